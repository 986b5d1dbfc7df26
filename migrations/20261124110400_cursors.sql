-- What a cursor can be wrong by is told, rather than answered as if there were no changes.

-- The two numbers of a cursor; of none, those before all changes.
create function catalog.read_cursor(cursor text, out transaction_id xid8, out change_id bigint)
language plpgsql immutable parallel safe as $$
begin
    if cursor !~ '^[0-9]{1,19}:[0-9]{1,18}$' then
        raise exception '"%" is not a cursor of changes', cursor
            using errcode = 'invalid_parameter_value',
                  hint = 'a cursor is a value of catalog.changes.cursor, or of catalog.changes_end()';
    end if;
    transaction_id := coalesce(split_part(cursor, ':', 1), '0')::xid8;
    change_id := coalesce(split_part(cursor, ':', 2), '0')::bigint;
end
$$;

-- Fails where the answer would not be what is behind the cursor: where some of it was dropped, where the
-- cursor is of another server, and where nobody ever heard of the bucket.
create or replace function catalog.is_kept(bucket text, cursor text) returns boolean
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
declare
    place record := catalog.read_cursor(cursor);
begin
    -- What was journaled of a bucket stays when it is disconnected.
    if not exists (select from catalog.connections where connections.bucket = is_kept.bucket)
        and not exists (select from catalog.journal where journal.bucket = is_kept.bucket)
        and not exists (select from catalog.journal_dropped where journal_dropped.bucket = is_kept.bucket)
    then
        raise exception 'bucket "%" is not connected', bucket
            using errcode = 'undefined_object', hint = 'select bucket, prefix from catalog.buckets';
    end if;
    if exists (
        select from catalog.journal_dropped as dropped
        where dropped.bucket = is_kept.bucket
          and (dropped.transaction_id, dropped.change_id) > (place.transaction_id, place.change_id)
          and cursor is not null
    ) then
        raise exception 'changes of bucket "%" behind cursor "%" were dropped', bucket, cursor
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'begin again: copy catalog.object_versions, and go on from catalog.changes_end()';
    end if;
    if (place.transaction_id, place.change_id) > (pg_snapshot_xmin(pg_current_snapshot()), 0::bigint) then
        raise exception 'cursor "%" is beyond the end of all changes', cursor
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'it is of another server, or of before this one was restored: begin again: copy '
                         'catalog.object_versions, and go on from catalog.changes_end()';
    end if;
    return true;
end
$$;

create or replace function catalog.changes_since(bucket text, cursor text default null)
returns setof catalog.changes language sql stable parallel safe as $$
    select changes.* from catalog.changes
    where changes.bucket = changes_since.bucket
      and catalog.is_kept(changes_since.bucket, changes_since.cursor)
      and (changes.transaction_id, changes.change_id)
          > ((catalog.read_cursor(changes_since.cursor)).transaction_id,
             (catalog.read_cursor(changes_since.cursor)).change_id)
      and changes.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    order by changes.transaction_id, changes.change_id
$$;
