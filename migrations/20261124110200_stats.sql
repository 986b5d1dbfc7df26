-- How much is in a bucket, without counting it. Each transaction appends by how much it changed that, so
-- nobody waits for anybody; the sum of all rows is what there is, and the daemon sums them up now and then.
-- Sizes that events make up may add up to more than a bigint holds: such a sum ends there, until a run counts anew.
create table catalog.stats (
    objects             bigint not null,
    bytes               bigint not null,
    noncurrent_versions bigint not null,
    noncurrent_bytes    bigint not null,
    delete_markers      bigint not null,
    bucket              text collate "C" not null,
    -- Empty where it is not known, and for markers.
    storage_class       text not null
);
-- Rows are appended and summed up, and none is named by anything.
alter table catalog.stats replica identity full;

create view catalog.bucket_stats as
select bucket, nullif(storage_class, '') as storage_class,
       sum(objects)::bigint as objects, least(sum(bytes), 9223372036854775807)::bigint as bytes,
       sum(noncurrent_versions)::bigint as noncurrent_versions,
       least(sum(noncurrent_bytes), 9223372036854775807)::bigint as noncurrent_bytes,
       sum(delete_markers)::bigint as delete_markers
from catalog.stats
group by bucket, stats.storage_class
having (sum(objects), sum(bytes), sum(noncurrent_versions), sum(noncurrent_bytes), sum(delete_markers))
       <> (0, 0, 0, 0, 0);

-- Counts a bucket: the storage classes of which the sum is wrong, with what it says and what there is. Rows and
-- sum are of one snapshot, and what is committed meanwhile changes both.
create function catalog.wrong_stats(bucket text)
returns table (class text, summed catalog.stats, counted catalog.stats) language plpgsql stable
-- All of a bucket, which is faster in the table's own order than by any index, and by two than by one. There are few
-- groups, but while a table has no statistics Postgres would rather sort all of it, on disk.
set enable_seqscan = on set enable_sort = off set max_parallel_workers_per_gather = 1 as $$
#variable_conflict use_column
begin
    return query
    with groups as (
        select coalesce(slots.storage_class, '') as class, is_latest, is_delete_marker, count(*) as versions,
               least(coalesce(sum(size), 0), 9223372036854775807)::bigint as bytes
        from catalog.slots
        where slots.bucket = wrong_stats.bucket and is_present
        group by slots.storage_class, is_latest, is_delete_marker
    ),
    counted as (
        select coalesce(sum(versions) filter (where is_latest and not is_delete_marker), 0)::bigint as objects,
               least(coalesce(sum(bytes) filter (where is_latest and not is_delete_marker), 0), 9223372036854775807)::bigint
                   as bytes,
               coalesce(sum(versions) filter (where not is_latest and not is_delete_marker), 0)::bigint
                   as noncurrent_versions,
               least(coalesce(sum(bytes) filter (where not is_latest and not is_delete_marker), 0), 9223372036854775807)::bigint
                   as noncurrent_bytes,
               coalesce(sum(versions) filter (where is_delete_marker), 0)::bigint as delete_markers,
               wrong_stats.bucket as bucket, class as storage_class
        from groups
        group by class
    ),
    summed as (
        select objects, bytes, noncurrent_versions, noncurrent_bytes, delete_markers, bucket_stats.bucket,
               coalesce(bucket_stats.storage_class, '') as storage_class
        from catalog.bucket_stats
        where bucket_stats.bucket = wrong_stats.bucket
    )
    select storage_class,
           case when summed.bucket is not null then summed::catalog.stats end,
           case when counted.bucket is not null then counted::catalog.stats end
    from counted full join summed using (storage_class)
    where counted::catalog.stats is distinct from summed::catalog.stats;
end
$$;

-- Appends what the sum of a bucket is wrong by. Two who do this at once would both append it. What was wrong.
create function catalog.repair_stats(bucket text)
returns table (storage_class text, before jsonb, after jsonb) language sql as $$
    with wrong as (select class, summed, counted from catalog.wrong_stats(repair_stats.bucket)),
    repaired as (
        insert into catalog.stats
        select coalesce((counted).objects, 0) - coalesce((summed).objects, 0),
               coalesce((counted).bytes, 0) - coalesce((summed).bytes, 0),
               coalesce((counted).noncurrent_versions, 0) - coalesce((summed).noncurrent_versions, 0),
               coalesce((counted).noncurrent_bytes, 0) - coalesce((summed).noncurrent_bytes, 0),
               coalesce((counted).delete_markers, 0) - coalesce((summed).delete_markers, 0),
               repair_stats.bucket, class
        from wrong
    )
    select nullif(class, ''), to_jsonb(summed) - '{bucket,storage_class}'::text[],
           to_jsonb(counted) - '{bucket,storage_class}'::text[]
    from wrong
$$;

-- Sums up the rows of all buckets. Of two who do this at once, each moves what the other does not.
create function catalog.fold_stats() returns void language sql as $$
    with gone as (delete from catalog.stats returning *)
    insert into catalog.stats
    select sum(objects), least(sum(bytes), 9223372036854775807), sum(noncurrent_versions),
           least(sum(noncurrent_bytes), 9223372036854775807), sum(delete_markers), bucket, storage_class
    from gone
    group by bucket, storage_class
    having (sum(objects), sum(bytes), sum(noncurrent_versions), sum(noncurrent_bytes), sum(delete_markers))
           <> (0, 0, 0, 0, 0)
$$;

-- What is there already.
select catalog.repair_stats(bucket) from (select distinct bucket from catalog.connections) as connected;

alter table catalog.drift drop constraint drift_kind_check;
alter table catalog.drift add constraint drift_kind_check check (kind in ('missing', 'stale', 'ghost', 'latest', 'stats'));

comment on view catalog.bucket_stats is 'How much is in each bucket, by storage class: written by the transactions that change it, so reading it costs nothing however large the bucket is, and counted anew by each run over all of a connection. A difference is drift of the kind `stats`, and is put right.';
comment on column catalog.bucket_stats.bucket is 'the bucket''s name, with all of its prefixes that are connected';
comment on column catalog.bucket_stats.storage_class is 'null where it is not known yet (most events leave it out), and for delete markers';
comment on column catalog.bucket_stats.objects is 'what `objects` shows; a size that is not known counts as 0';
comment on column catalog.bucket_stats.bytes is 'what `objects` shows; a size that is not known counts as 0';
comment on column catalog.bucket_stats.noncurrent_versions is 'versions that are not the latest of their key, without markers';
comment on column catalog.bucket_stats.noncurrent_bytes is 'versions that are not the latest of their key, without markers';
comment on column catalog.bucket_stats.delete_markers is 'all of them, the latest or not';

comment on function catalog.wrong_stats is 'Counts a bucket beside what bucket_stats says: for the daemon.';
comment on function catalog.repair_stats is 'Counts a bucket and puts bucket_stats right: for the daemon.';
comment on function catalog.fold_stats is 'Sums up what transactions noted for bucket_stats: for the daemon.';

select catalog.grant_reader('stocktake_reader');
