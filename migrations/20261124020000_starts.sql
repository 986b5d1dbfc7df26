-- Why runs start.

-- In the ledger; unknown for those from before.
alter table catalog.reconciliations add column reason text;

-- What the bucket tells of our keys and to whom, as far as we may read it: a change asks for a run.
alter table catalog.connections add column notifications text;

-- Runs that something asked for beside the schedule. One is due as long as no run over the whole
-- connection began later.
create table catalog.due_runs (
    bucket text collate "C" not null,
    prefix text collate "C" not null,
    reason text not null,
    due_at timestamptz not null,
    foreign key (bucket, prefix) references catalog.connections on delete cascade
);
create index due_runs_of_connection on catalog.due_runs (bucket, prefix, due_at);
-- Two rows may be alike, so there is no primary key, which a publication for all tables needs to let rows be deleted.
alter table catalog.due_runs replica identity full;

-- What was sent to a queue before this was received, as far as a queue without order allows to say.
-- What is older than the queue's retention and was not received then is lost.
create table catalog.queues (
    url              text primary key,
    received_through timestamptz not null,
    -- When that was noted last, on the clock of this database.
    noted_at         timestamptz not null default clock_timestamp()
);
