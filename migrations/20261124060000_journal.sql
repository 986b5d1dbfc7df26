-- The journal: every change the catalog made, in the transaction that made it. A day is a partition,
-- so that the old ones leave with one drop; all days are told by the clock of this database.
create sequence catalog.change_number;

create table catalog.journal (
    change_id               bigint not null default nextval('catalog.change_number'),
    transaction_id          xid8 not null default pg_current_xact_id(),
    recorded_at             timestamptz not null default statement_timestamp(),
    event_time              timestamptz,
    -- What a reader sees now, and saw before. Nulls where nothing is, or was.
    size                    bigint,
    last_modified           timestamptz,
    before_size             bigint,
    before_last_modified    timestamptz,
    before_is_delete_marker boolean,
    bucket                  text collate "C" not null,
    key                     text collate "C" not null,
    version_id              text collate "C" not null,
    change                  text not null check (change in ('created', 'marker_created', 'removed', 'attributes')),
    cause                   text not null check (cause in ('event', 'reconcile', 'recheck', 'inventory')),
    etag                    text,
    storage_class           text,
    before_etag             text,
    before_storage_class    text,
    requester               text,
    source_ip               text,
    request_id              text
) partition by range (recorded_at);
-- Lines are only ever appended, and dropped with their day. A primary key would cost each of them an index entry, and a
-- publication for all tables is content with this.
alter table catalog.journal replica identity full;

create index journal_tail on catalog.journal (bucket, transaction_id, change_id);
-- A key's history. Only equality is asked for, and a hash has four bytes for a key of a hundred.
create index journal_key on catalog.journal using hash (key);

-- Takes what no day was made for: a change is never refused because of the journal.
create table catalog.journal_rest partition of catalog.journal default;
alter table catalog.journal_rest replica identity full;

-- How far the journal of a bucket was dropped: who has read less than that has missed something.
create table catalog.journal_dropped (
    bucket         text collate "C" primary key,
    transaction_id xid8 not null,
    change_id      bigint not null
);

-- From when on the journal has everything: what was recorded before was dropped, or never written.
create table catalog.journal_kept (
    since timestamptz not null
);
-- It has one row.
alter table catalog.journal_kept replica identity full;
insert into catalog.journal_kept values ('-infinity');

-- Makes partitions for so many days from today on. A day that changes in journal_rest belong to
-- stays there. Attaching waits for readers of the journal, but no writer waits meanwhile.
create function catalog.add_journal_days(days integer) returns void language plpgsql as $$
declare
    day date;
    relation text;
begin
    for number in 0 .. days - 1 loop
        day := (statement_timestamp() at time zone 'UTC')::date + number;
        relation := 'journal_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('catalog.' || relation) is not null;
        begin
            execute format('create table catalog.%I (like catalog.journal including all)', relation);
            execute format('alter table catalog.%I replica identity full', relation);
            execute format('alter table catalog.journal attach partition catalog.%I for values from (%L) to (%L)',
                           relation, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
        exception when check_violation then
            null;
        end;
    end loop;
end
$$;

-- Drops the days that ended so long ago, and deletes as much of the rest, up to a limit. The number
-- of days dropped.
create function catalog.drop_journal_days(keep interval) returns integer language plpgsql as $$
declare
    cutoff timestamptz := statement_timestamp() - keep;
    relation text;
    dropped integer := 0;
    deleted bigint;
begin
    for relation in
        select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'catalog.journal'::regclass and relname ~ '^journal_\d{8}$'
          and (to_date(right(relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC' <= cutoff
        order by relname
    loop
        execute format('lock table catalog.%I in share mode', relation);
        execute format('select catalog.note_journal_dropped(array(select distinct on (bucket)
                            (bucket, transaction_id, change_id)::catalog.journal_dropped
                            from catalog.%I order by bucket desc, transaction_id desc, change_id desc))', relation);
        execute format('drop table catalog.%I', relation);
        dropped := dropped + 1;
    end loop;
    with gone as (
        delete from catalog.journal_rest where ctid = any(array(
            select ctid from catalog.journal_rest where recorded_at < cutoff limit 10000))
        returning bucket, transaction_id, change_id
    ),
    noted as (
        select catalog.note_journal_dropped(array(
            select distinct on (bucket) (bucket, transaction_id, change_id)::catalog.journal_dropped
            from gone order by bucket, transaction_id desc, change_id desc))
    )
    select count(*) into deleted from gone cross join noted;
    -- Who keeps nothing writes nothing.
    if dropped > 0 or deleted > 0 or keep <= interval '0' then
        update catalog.journal_kept set since = greatest(since, cutoff);
    end if;
    return dropped;
end
$$;

create function catalog.note_journal_dropped(dropped catalog.journal_dropped[]) returns void language sql as $$
    insert into catalog.journal_dropped as known
    select * from unnest(dropped)
    on conflict (bucket) do update
    set transaction_id = excluded.transaction_id, change_id = excluded.change_id
    where (known.transaction_id, known.change_id) < (excluded.transaction_id, excluded.change_id)
$$;

create view catalog.changes as
select change_id, transaction_id, bucket, key, version_id, change, cause, event_time, recorded_at,
       requester, source_ip, request_id, size, etag, last_modified, storage_class,
       before_size, before_etag, before_last_modified, before_storage_class, before_is_delete_marker,
       transaction_id || ':' || change_id as cursor
from catalog.journal;

-- A cursor says up to where the journal was read: '<transaction_id>:<change_id>'.

-- What was committed by now is before this cursor; what comes is behind it.
create function catalog.changes_end() returns text language sql stable parallel safe
return pg_snapshot_xmin(pg_current_snapshot()) || ':0';

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
create function catalog.is_kept(bucket text, cursor text) returns boolean
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

-- What is behind the cursor, in an order that never changes. Transactions commit in another order than
-- they began in, so this stops before the oldest that is still under way: nothing can come up before
-- what was read. Without a cursor, all that is kept.
--
-- The planner puts the body into the query that calls it, so that `limit` stops reading. A function with settings of its
-- own is not put there. The body is parsed here, so the search_path of a session does not matter.
create function catalog.changes_since(bucket text, cursor text default null)
returns setof catalog.changes language sql stable parallel safe
begin atomic
    select changes.* from catalog.changes
    -- What is compared with null is not even looked at, so nothing would refuse it.
    where changes.bucket = coalesce(changes_since.bucket, '')
      and catalog.is_kept(changes_since.bucket, changes_since.cursor)
      and (changes.transaction_id, changes.change_id)
          > ((catalog.read_cursor(changes_since.cursor)).transaction_id,
             (catalog.read_cursor(changes_since.cursor)).change_id)
      and changes.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    order by changes.transaction_id, changes.change_id;
end;
