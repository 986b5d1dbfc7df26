-- The settings of a session change neither the answers of the functions of the catalog, nor how many locks they take.

-- Names and operators are those of Postgres, whatever search_path says. Two functions have their body parsed when they are
-- made instead (`begin atomic`), where the planner is to put it into the query that calls them.
alter function catalog.add_leaf(text) set search_path = pg_catalog, pg_temp;
alter function catalog.partition_of(text) set search_path = pg_catalog, pg_temp;
alter function catalog.note_journal_dropped(catalog.journal_dropped[]) set search_path = pg_catalog, pg_temp;
alter function catalog.read_cursor(text) set search_path = pg_catalog, pg_temp;
alter function catalog.is_connected(text, text) set search_path = pg_catalog, pg_temp;
alter function catalog.is_known(text, timestamptz, text) set search_path = pg_catalog, pg_temp;
alter function catalog.grant_reader(text) set search_path = pg_catalog, pg_temp;
alter function catalog.grant_daemon(text) set search_path = pg_catalog, pg_temp;
alter function catalog.repair_stats(text) set search_path = pg_catalog, pg_temp;
alter function catalog.fold_stats() set search_path = pg_catalog, pg_temp;

-- A plan that is made before the bucket is known locks the partitions of all buckets, with all of their indexes. With a
-- thousand buckets, a few of those fill the lock table of the server. So each call is planned with its bucket.
alter function catalog.ls(text, text, text, boolean)
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set enable_partition_pruning = on;
alter function catalog.as_of(text, timestamptz, text)
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set enable_partition_pruning = on;
alter function catalog.wrong_stats(text)
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set enable_partition_pruning = on;

alter function catalog.is_kept(text, text) set plan_cache_mode = force_custom_plan set enable_partition_pruning = on;

-- Days begin at midnight UTC, and their bounds are written as text and read again.
alter function catalog.add_journal_days(integer)
    set standard_conforming_strings = on set "TimeZone" = 'UTC' set "DateStyle" = 'ISO, YMD';
alter function catalog.drop_journal_days(interval)
    set standard_conforming_strings = on set "TimeZone" = 'UTC' set "DateStyle" = 'ISO, YMD';

-- A statement that a reader prepares is planned without its bucket from its sixth use on, and then locks the partitions of
-- all buckets. Only a setting of the reader's session prevents that. So it is set for all sessions of this database, unless
-- somebody set it before, or we may not: docs/CATALOG.md says what to do then.
do $$
begin
    if exists (select from pg_catalog.pg_database as this where datname = current_database() and pg_has_role(datdba, 'usage')
               and not exists (select from pg_catalog.pg_db_role_setting cross join unnest(setconfig) as setting
                               where setdatabase = this.oid and setrole = 0 and setting like 'plan\_cache\_mode=%'))
    then
        execute format('alter database %I set plan_cache_mode = force_custom_plan', current_database());
    end if;
end
$$;
