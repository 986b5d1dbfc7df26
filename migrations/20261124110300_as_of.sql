-- What was there at some moment of the past: what is there now, with every change since then undone.

-- Since when all is known that happened to keys below a prefix: since the first listing of each connection that has
-- to do with it, as far as the journal is kept. Null while a first listing is not complete; of what nobody connected it
-- fails.
create function catalog.history_from(bucket text, prefix text default '') returns timestamptz
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
    select case when catalog.is_connected(history_from.bucket, history_from.prefix)
                     and bool_and(first.window_to is not null)
                then greatest(max(first.window_to), max(since)) end
    from catalog.journal_kept cross join catalog.connections
    left join lateral (
        select min(window_to) as window_to from catalog.reconciliations
        where reconciliations.bucket = connections.bucket and reconciliations.prefix = connections.prefix
          and source = 'listing' and status = 'complete'
    ) as first on true
    where connections.bucket = history_from.bucket
      and (starts_with(history_from.prefix, connections.prefix) or starts_with(connections.prefix, history_from.prefix))
$$;

-- Fails for a moment that nothing, or not all, is known of.
create function catalog.is_known(bucket text, at timestamptz, prefix text) returns boolean
language plpgsql stable parallel safe as $$
declare
    since timestamptz := catalog.history_from(bucket, prefix);
begin
    if at is null or at > clock_timestamp() then
        raise exception 'what is in bucket "%" at % is not known yet', bucket, coalesce(at::text, 'no moment')
            using errcode = 'invalid_parameter_value';
    elsif since is null then
        raise exception 'the first listing of bucket "%" is not complete', bucket
            using errcode = 'object_not_in_prerequisite_state', hint = 'see catalog.reconciliations';
    elsif at < since then
        raise exception 'what was in bucket "%" at % is not known: its history goes back to %', bucket, at, since
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'journal.keep says for how long changes are kept';
    end if;
    return true;
end
$$;

-- Below a prefix, rows are read by the index. Of the journal all lines since then are read all the same, but only those
-- below the prefix are kept: an index that can do better costs every event more than that is worth (docs/PERFORMANCE.md).
create function catalog.as_of(bucket text, at timestamptz, prefix text default '')
returns table (
    key              text,
    version_id       text,
    is_latest        boolean,
    is_delete_marker boolean,
    size             bigint,
    etag             text,
    last_modified    timestamptz,
    storage_class    text,
    is_certain       boolean
) language plpgsql stable parallel safe rows 100000 as $$
#variable_conflict use_column
begin
    return query
    with undone as materialized (
        -- Of each version, the first change after that moment: before it, things were as they were then.
        select distinct on (line.key, line.version_id) line.*
        from (
            select changes.*, coalesce(event_time, case when change in ('created', 'marker_created')
                                                        then changes.last_modified end, recorded_at) as happened
            from catalog.changes
            -- Nobody's clock is a day slow.
            -- What is compared with null is not even looked at, so nothing would refuse it.
            where changes.bucket = coalesce(as_of.bucket, '')
              and recorded_at > coalesce(as_of.at, '-infinity') - interval '24 hours'
              and changes.key >= coalesce(as_of.prefix, '')
              and changes.key < coalesce(catalog.after_prefix(as_of.prefix), repeat(chr(1114111), 257))
              and catalog.is_known(as_of.bucket, as_of.at, as_of.prefix)
        ) as line
        where happened > coalesce(as_of.at, '-infinity')
        order by line.key, line.version_id, change_id
    ),
    touched as materialized (select distinct undone.key from undone),
    there as (
        select now.key, now.version_id, now.is_delete_marker, now.size, now.etag, now.last_modified,
               now.storage_class, true as is_certain
        from touched
        cross join lateral (
            select * from catalog.object_versions
            where object_versions.bucket = as_of.bucket and object_versions.key = touched.key
        ) as now
        where not exists (select from undone where undone.key = now.key and undone.version_id = now.version_id)
        union all
        select undone.key, undone.version_id, coalesce(before_is_delete_marker, false), before_size, before_etag,
               before_last_modified, before_storage_class,
               -- An event says when it happened. A listing shows only that it did since the listing before.
               before_is_delete_marker is not null and (event_time is not null or as_of.at <= (
                   select max(window_from) from catalog.reconciliations
                   where reconciliations.bucket = as_of.bucket and status = 'complete' and source = 'listing'
                     and starts_with(undone.key, reconciliations.prefix) and finished_at < undone.recorded_at))
                   is true
        from undone
        -- A version was there before it was removed, also where nobody had told of it.
        where before_is_delete_marker is not null or (change = 'removed' and undone.version_id <> 'null')
    ),
    ranked as (
        select there.*, row_number() over newest as place,
               -- Dates have whole seconds: of two in one second nobody knows which was the later.
               nth_value(there.last_modified, 1) over newest - nth_value(there.last_modified, 2) over newest
                   < interval '1 second' as is_close
        from there
        window newest as (partition by there.key order by there.last_modified desc nulls last
                          rows between unbounded preceding and unbounded following)
    )
    select now.key, now.version_id, now.is_latest, now.is_delete_marker, now.size, now.etag, now.last_modified,
           now.storage_class, true
    from catalog.object_versions as now
    where now.bucket = as_of.bucket
      -- No key has more than 1,024 bytes, so none is beyond the greatest 257 characters.
      and now.key >= as_of.prefix
      and now.key < coalesce(catalog.after_prefix(as_of.prefix), repeat(chr(1114111), 257))
      and not exists (select from touched where touched.key = now.key)
    union all
    select ranked.key, ranked.version_id, place = 1, ranked.is_delete_marker, ranked.size, ranked.etag,
           ranked.last_modified, ranked.storage_class, ranked.is_certain and (place > 2 or is_close is not true)
    from ranked;
end
$$;

comment on function catalog.as_of is 'The versions and markers that were in a bucket, or below a prefix of it, at a moment of the past.';
comment on function catalog.history_from is 'The earliest moment that as_of knows of; null while the first listing is not complete.';
