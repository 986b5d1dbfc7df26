-- Daemons, each as it last said that it is there, by the clock of this database: what is told of buckets
-- and problems is no newer than that.
create table catalog.heartbeats (
    daemon_id  bigint primary key,
    started_at timestamptz not null default clock_timestamp(),
    seen_at    timestamptz not null default clock_timestamp(),
    stopped_at timestamptz,
    -- When it last asked which buckets others have.
    heard_at   timestamptz,
    lag        interval,
    pid        integer not null,
    host       text not null,
    version    text not null
) with (fillfactor = 50);

create view catalog.daemons as
select daemon_id, host, pid, version, started_at, seen_at, stopped_at, lag,
       stopped_at is null and seen_at > clock_timestamp() - interval '30 seconds' as is_running
from catalog.heartbeats;

select catalog.grant_reader('stocktake_reader');

comment on view catalog.daemons is 'Those that are at work, and those that were within a day. Each says every five seconds that it is there. All times are Postgres''s own.';
comment on column catalog.daemons.daemon_id is 'drawn by lot when it starts';
comment on column catalog.daemons.host is 'the machine it runs on';
comment on column catalog.daemons.pid is 'its process there';
comment on column catalog.daemons.version is 'of this program';
comment on column catalog.daemons.started_at is 'when it started';
comment on column catalog.daemons.seen_at is 'when it last said that it is there';
comment on column catalog.daemons.stopped_at is 'when it ended as it was told to; null if it is at work, or died';
comment on column catalog.daemons.lag is 'the age of the oldest message that it received last; null while no queue answers it';
comment on column catalog.daemons.is_running is 'whether it is at work, as far as can be told: it was not stopped, and not silent for half a minute';
