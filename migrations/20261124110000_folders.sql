-- Folders, as S3 makes them out of keys and a delimiter.

-- The least text that is greater than all that begin with a prefix; null where there is none. Bytes of
-- UTF-8 are in the order of characters, so the last one becomes the next one, and surrogates are none.
create function catalog.after_prefix(prefix text) returns text
language sql immutable parallel safe
begin atomic
    select case ascii(right(kept, 1))
        when 0 then null
        when 55295 then left(kept, -1) || chr(57344)
        else left(kept, -1) || chr(ascii(right(kept, 1)) + 1)
    end
    from (select rtrim(after_prefix.prefix, chr(1114111)) as kept) as shortened;
end;

-- The folder below a prefix that a key is in: up to and with the first delimiter after the prefix. Null for
-- a key that has none there.
create function catalog.folder_of(key text, prefix text, delimiter text) returns text
language sql immutable parallel safe
return case when delimiter <> '' and position(delimiter in substr(key, length(prefix) + 1)) > 0
        then left(key, length(prefix) + position(delimiter in substr(key, length(prefix) + 1))
                       + length(delimiter) - 1)
    end;

-- Fails for a bucket of which nobody connected anything that has to do with the prefix: an empty answer would
-- say that nothing is there.
create function catalog.is_connected(bucket text, prefix text default '') returns boolean
language plpgsql stable parallel safe as $$
begin
    if not exists (select from catalog.buckets where buckets.bucket = is_connected.bucket) then
        raise exception 'bucket "%" is not connected', bucket
            using errcode = 'undefined_object', hint = 'select bucket, prefix from catalog.buckets';
    end if;
    if not exists (
        select from catalog.buckets
        where buckets.bucket = is_connected.bucket
          and (starts_with(is_connected.prefix, buckets.prefix) or starts_with(buckets.prefix, is_connected.prefix))
    ) then
        raise exception 'prefix "%" of bucket "%" is not connected', prefix, bucket
            using errcode = 'undefined_object', hint = 'select bucket, prefix from catalog.buckets';
    end if;
    return true;
end
$$;

-- One level of folders: what ListObjectsV2 shows with this prefix and delimiter, folders first. A folder
-- costs one descent of the index, whatever is below it: the next key to look at is the first that is not.
-- With `deep`, all below is read, and the folders have its number, bytes and newest date.
--
-- By the index, also where there are no statistics yet: before a new bucket is analyzed, the planner takes it
-- for so small that it would read and sort all of it for each folder.
create function catalog.ls(bucket text, prefix text default '', delimiter text default '/', deep boolean default false)
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
    perform catalog.is_connected(ls.bucket, ls.prefix);
    return query
    with recursive found as (
        (
            select now.key, now.version_id, now.size, now.etag, now.last_modified, now.storage_class,
                   catalog.folder_of(now.key, ls.prefix, ls.delimiter) as folder
            from catalog.objects as now
            where now.bucket = ls.bucket and now.key >= ls.prefix
            order by now.key
            limit 1
        )
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
        select least(sum(inside.size), 9223372036854775807)::bigint as size, max(inside.last_modified) as last_modified, count(*) as objects
        from catalog.objects as inside
        -- No key has more than 1,024 bytes, so none is beyond the greatest 257 characters.
        where inside.bucket = ls.bucket and inside.key >= found.folder
          and inside.key < coalesce(catalog.after_prefix(found.folder), repeat(chr(1114111), 257))
    ) as below on ls.deep and found.folder is not null
    where starts_with(found.key, ls.prefix)
    order by 1 desc, 2;
end
$$;
