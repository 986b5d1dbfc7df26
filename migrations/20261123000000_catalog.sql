-- What operators read is the views at the end; the tables they stand on may change.
-- Keys are compared byte by byte, as S3 orders them, whatever the database's locale: collate "C".

-- One row for each configured bucket and prefix. Written when a bucket is connected and when a
-- run starts or ends, never by a batch of events: batches share a lock on it.
create table catalog.connections (
    bucket         text collate "C" not null,
    prefix         text collate "C" not null,
    region         text,
    versioning     text,
    connected_at   timestamptz not null,
    -- The window of the last complete run, on S3's clock: what happened before it is accounted for.
    watermark_from timestamptz,
    watermark_to   timestamptz,
    -- When the run under way began, on S3's clock.
    run_started    timestamptz,
    primary key (bucket, prefix),
    check ((watermark_from is null) = (watermark_to is null))
);

-- What changes all the time, kept apart so that nobody waits for the lock above.
create table catalog.activity (
    bucket        text collate "C" not null,
    prefix        text collate "C" not null,
    last_event_at timestamptz,
    caught_up_at  timestamptz,
    -- When a daemon last said that it has the bucket, since when there was none for long, and how that one
    -- merges its events: those do so, too, that do not have it. On the clock of this database.
    attended_at    timestamptz,
    attended_since timestamptz,
    connection     jsonb,
    primary key (bucket, prefix),
    foreign key (bucket, prefix) references catalog.connections on delete cascade
);

-- What is believed of one version of one key, and on what evidence. Tombstones are slots, too.
-- Columns of fixed width come first: no padding.
create table catalog.slots (
    size             bigint,
    last_modified    timestamptz,
    event_time       timestamptz,
    observed_from    timestamptz,
    observed_to      timestamptz,
    attributes_at    timestamptz,
    first_seen_at    timestamptz not null,
    changed_at       timestamptz not null,
    is_present       boolean not null,
    is_latest        boolean not null,
    is_delete_marker boolean not null,
    -- Whether last_modified is S3's own and not the time of an event that stands in for it.
    is_exact         boolean not null,
    bucket           text collate "C" not null,
    key              text collate "C" not null,
    version_id       text collate "C" not null,
    etag             text,
    storage_class    text,
    sequencer        text,
    floor            text,
    check (is_present or not (is_latest or is_delete_marker)),
    check ((observed_from is null) = (observed_to is null))
) partition by list (bucket);
-- Its partitions name a row by its key and version (catalog.add_leaf).
alter table catalog.slots replica identity full;

-- A bucket is a partition, so that a billion rows leave with one drop. Its indexes do without the
-- bucket's name, which is the same in all its rows. A very large one is itself in several, by a hash of
-- the key, each with indexes of its own: what Postgres does to one of them it does to as much less.
create sequence catalog.partition_number;

create function catalog.add_partition(bucket text, partitions integer default 1) returns void language plpgsql as $$
declare
    relation text := 'slots_' || nextval('catalog.partition_number');
begin
    if partitions = 1 then
        perform catalog.add_leaf(relation);
    else
        execute format('create table catalog.%I (like catalog.slots including defaults including constraints)
                        partition by hash (key)', relation);
        execute format('alter table catalog.%I replica identity full', relation);
        for number in 0 .. partitions - 1 loop
            perform catalog.add_leaf(relation || '_' || number);
            execute format('alter table catalog.%I attach partition catalog.%I for values with (modulus %s, remainder %s)',
                           relation, relation || '_' || number, partitions, number);
        end loop;
    end if;
    execute format('alter table catalog.slots attach partition catalog.%I for values in (%L)', relation, bucket);
end
$$;

-- A table for rows of one bucket.
create function catalog.add_leaf(relation text) returns void language plpgsql as $$
begin
    -- Room for a null version that is written over to stay on its page, where no index hears of it; and no more dead
    -- rows, up to a hundred million, than a vacuum keeps in mind at once (docs/PERFORMANCE.md).
    execute format('create table catalog.%I (like catalog.slots including defaults including constraints)
                    with (fillfactor = 95, autovacuum_vacuum_scale_factor = 0.1)', relation);
    execute format('create unique index %I on catalog.%I (key, version_id)', relation || '_version', relation);
    -- At most one latest version of a key, whatever the code believes. All versions of a key are in one table.
    execute format('create unique index %I on catalog.%I (key) where is_latest', relation || '_latest', relation);
    execute format('create index %I on catalog.%I (key) where not is_present', relation || '_removed', relation);
    -- A publication for all tables must not refuse updates and deletes. All rows are of one bucket, so this names a row.
    execute format('alter table catalog.%I replica identity using index %I', relation, relation || '_version');
end
$$;

-- What has the rows of a bucket: a table, or several by a hash of the key. Null without one.
create function catalog.partition_of(bucket text) returns regclass language sql stable as $$
    select inhrelid::regclass from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'catalog.slots'::regclass
      and pg_get_expr(relpartbound, pg_class.oid) = format('FOR VALUES IN (%L)', bucket)
$$;

-- Keys in doubt: each is to be listed, alone. The ticket changes with every new doubt, so that one
-- raised while the key is being listed is not taken for settled.
create sequence catalog.recheck_ticket;

create table catalog.rechecks (
    bucket     text collate "C" not null,
    key        text collate "C" not null,
    reason     text not null,
    asked_at   timestamptz not null,
    due_at     timestamptz not null,
    attempts   integer not null default 0,
    ticket     bigint not null default nextval('catalog.recheck_ticket'),
    run_id     bigint,
    last_error text,
    primary key (bucket, key)
);
create index rechecks_due on catalog.rechecks (due_at);

create table catalog.quarantine (
    quarantine_id bigint generated always as identity primary key,
    received_at   timestamptz not null,
    queue         text not null,
    message_id    text not null,
    -- Which record of the message, from 1; 0 for the whole of it.
    record        integer not null,
    receive_count integer,
    body          text not null,
    reason        text not null,
    replayed_at   timestamptz,
    unique (queue, message_id, record)
);

create table catalog.reconciliations (
    run_id          bigint generated always as identity primary key,
    bucket          text collate "C" not null,
    prefix          text collate "C" not null,
    source          text not null default 'listing',
    started_at      timestamptz not null,
    finished_at     timestamptz,
    status          text not null default 'running' check (status in ('running', 'complete', 'stopped', 'failed')),
    -- On S3's clock.
    window_from     timestamptz not null,
    window_to       timestamptz,
    keys_listed     bigint not null default 0,
    versions_listed bigint not null default 0,
    missing         bigint not null default 0,
    stale           bigint not null default 0,
    ghost           bigint not null default 0,
    latest          bigint not null default 0,
    doubts          bigint not null default 0,
    error           text,
    -- Doubts with a ticket up to this were raised before the run began.
    ticket          bigint not null default nextval('catalog.recheck_ticket'),
    -- How many removals were too many, where the guard stopped the run.
    withheld        bigint not null default 0,
    -- An operator wants it to remove however many it finds gone.
    allow_removals  boolean not null default false,
    -- All is listed, and it may remove what it found gone.
    is_cleared      boolean not null default false
);
create index reconciliations_of_bucket on catalog.reconciliations (bucket, prefix, run_id);
create unique index reconciliations_running on catalog.reconciliations (bucket, prefix) where status = 'running';

-- The keys of a run under way, in parts that are listed at once, by one or several daemons. A key is
-- in the range that it is greater than the `range_after` of and not greater than the `range_to` of.
-- Leases are timed by the clock of Postgres, which all daemons share.
create sequence catalog.lease;

create table catalog.ranges (
    range_id        bigint generated always as identity primary key,
    run_id          bigint not null references catalog.reconciliations on delete cascade,
    leased_until    timestamptz not null default clock_timestamp(),
    -- Changes with every taking: who took a range earlier can write no more.
    lease           bigint,
    keys_listed     bigint not null default 0,
    versions_listed bigint not null default 0,
    -- Present versions that were found gone.
    withheld        bigint not null default 0,
    -- The latest moment, on S3's clock, that one of its pages can be of.
    window_to       timestamptz,
    is_done         boolean not null default false,
    -- Somebody has nothing to do, and would take a part of it.
    is_wanted       boolean not null default false,
    range_after     text collate "C" not null,
    range_to        text collate "C",
    -- Up to here all keys are judged and put right.
    position        text collate "C" not null,
    unique (run_id, range_after)
) with (fillfactor = 50);

-- What a run under way saw of keys of which it would remove a version. It waits until all is listed.
create table catalog.withheld (
    run_id      bigint not null references catalog.reconciliations on delete cascade,
    window_from timestamptz not null,
    window_to   timestamptz not null,
    key         text collate "C" not null,
    listed      jsonb not null,
    primary key (run_id, key)
);

-- Every difference ever found between the catalog and a bucket.
create table catalog.drift (
    drift_id   bigint generated always as identity primary key,
    run_id     bigint not null references catalog.reconciliations on delete cascade,
    bucket     text collate "C" not null,
    key        text collate "C" not null,
    version_id text collate "C" not null,
    kind       text not null check (kind in ('missing', 'stale', 'ghost', 'latest')),
    found_at   timestamptz not null,
    -- What the catalog said before and after.
    detail     jsonb not null
);
create index drift_of_run on catalog.drift (run_id);
create index drift_of_key on catalog.drift (bucket, key);

-- What is wrong now, in the words of the daemon that met it.
create table catalog.problems (
    subject text primary key,
    message text not null,
    remedy  text not null,
    since   timestamptz not null
);

create view catalog.objects as
select bucket, key, version_id, size, etag, last_modified, storage_class
from catalog.slots
where is_latest and not is_delete_marker;

create view catalog.object_versions as
select bucket, key, version_id, size, etag, last_modified, storage_class,
       is_latest, is_delete_marker, sequencer, first_seen_at, changed_at,
       is_exact as is_last_modified_exact
from catalog.slots
where is_present;

create view catalog.removed_versions as
select bucket, key, version_id, coalesce(event_time, observed_to) as removed_at
from catalog.slots
where not is_present;

create view catalog.buckets as
select bucket, prefix, region, versioning, connected_at, watermark_from as complete_through,
       last_event_at, caught_up_at
from catalog.connections
left join catalog.activity using (bucket, prefix);
