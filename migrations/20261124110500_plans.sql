-- Folders by the index, also where there are no statistics yet: before a new bucket is analyzed, the planner
-- takes it for so small that it would read and sort all of it for each folder.
create or replace function catalog.ls(bucket text, prefix text default '', delimiter text default '/', deep boolean default false)
returns table (
    is_folder     boolean,
    key           text,
    name          text,
    version_id    text,
    size          bigint,
    etag          text,
    last_modified timestamptz,
    storage_class text,
    objects       bigint
) language plpgsql stable parallel safe rows 100
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
begin
    return query
    with recursive found as (
        select first.*
        from catalog.is_connected(ls.bucket)
        left join lateral (
            select now.key, now.version_id, now.size, now.etag, now.last_modified, now.storage_class,
                   catalog.folder_of(now.key, ls.prefix, ls.delimiter) as folder
            from catalog.objects as now
            where now.bucket = ls.bucket and now.key >= ls.prefix
            order by now.key
            limit 1
        ) as first on true
        union all
        select next.*
        from found
        cross join lateral (
            select now.key, now.version_id, now.size, now.etag, now.last_modified, now.storage_class,
                   catalog.folder_of(now.key, ls.prefix, ls.delimiter) as folder
            from catalog.objects as now
            where now.bucket = ls.bucket
              -- Between a key and itself with U+0001 there is none: Postgres has no U+0000.
              and now.key >= case when found.folder is null then found.key || chr(1)
                                  else catalog.after_prefix(found.folder) end
            order by now.key
            limit 1
        ) as next
        where starts_with(found.key, ls.prefix)
    )
    select found.folder is not null,
           coalesce(found.folder, found.key) collate "C",
           substr(coalesce(found.folder, found.key), length(ls.prefix) + 1),
           case when found.folder is null then found.version_id end,
           case when found.folder is null then found.size else below.size end,
           case when found.folder is null then found.etag end,
           case when found.folder is null then found.last_modified else below.last_modified end,
           case when found.folder is null then found.storage_class end,
           below.objects
    from found
    left join lateral (
        select sum(inside.size)::bigint as size, max(inside.last_modified) as last_modified, count(*) as objects
        from catalog.objects as inside
        -- No key has more than 1,024 bytes, so none is beyond the greatest 257 characters.
        where inside.bucket = ls.bucket and inside.key >= found.folder
          and inside.key < coalesce(catalog.after_prefix(found.folder), repeat(chr(1114111), 257))
    ) as below on ls.deep and found.folder is not null
    where starts_with(found.key, ls.prefix)
    order by 1 desc, 2;
end
$$;
