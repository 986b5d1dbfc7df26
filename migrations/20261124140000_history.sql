-- What the last hours and months were like, for whoever looks: nothing is decided by it. Times are on the clock of this
-- database, and daemons add up what each of them did.

create table catalog.minutes (
    minute timestamptz not null,
    events bigint not null,
    -- The longest that one of them took, from when it happened to its commit.
    lag    interval,
    bucket text collate "C" not null,
    prefix text collate "C" not null,
    primary key (bucket, prefix, minute),
    foreign key (bucket, prefix) references catalog.connections on delete cascade
);

-- The last that was known of stats in each hour.
create table catalog.hours (
    hour                timestamptz not null,
    objects             bigint not null,
    bytes               bigint not null,
    noncurrent_versions bigint not null,
    noncurrent_bytes    bigint not null,
    delete_markers      bigint not null,
    bucket              text collate "C" not null,
    -- Empty where it is not known, and for markers.
    storage_class       text not null,
    primary key (bucket, hour, storage_class)
);

create view catalog.traffic as
select bucket, prefix, minute, events, lag
from catalog.minutes;

create view catalog.growth as
select bucket, hour, nullif(storage_class, '') as storage_class, objects, bytes, noncurrent_versions, noncurrent_bytes,
       delete_markers
from catalog.hours;

select catalog.grant_reader('stocktake_reader');

comment on view catalog.traffic is 'Events of each minute of the last two days. A minute without a row is one in which no daemon was at work.';
comment on column catalog.traffic.bucket is 'which connection, as in `buckets`';
comment on column catalog.traffic.prefix is 'which connection, as in `buckets`';
comment on column catalog.traffic.minute is 'Postgres''s: when the minute began';
comment on column catalog.traffic.events is 'how many were committed in it, whatever came of them';
comment on column catalog.traffic.lag is 'the longest that one of them took, from when it happened on S3''s clock to its commit on ours; null if there were none';

comment on view catalog.growth is 'What `bucket_stats` said at the end of each hour of the last 90 days in which a daemon was at work; of the current one, what it says now, give or take half a minute.';
comment on column catalog.growth.bucket is 'as in `bucket_stats`';
comment on column catalog.growth.hour is 'Postgres''s: when the hour began';
comment on column catalog.growth.storage_class is 'as in `bucket_stats`';
comment on column catalog.growth.objects is 'as in `bucket_stats`';
comment on column catalog.growth.bytes is 'as in `bucket_stats`';
comment on column catalog.growth.noncurrent_versions is 'as in `bucket_stats`';
comment on column catalog.growth.noncurrent_bytes is 'as in `bucket_stats`';
comment on column catalog.growth.delete_markers is 'as in `bucket_stats`';
