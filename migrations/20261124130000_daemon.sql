-- Lets the daemon be a role that does not own what is here: it writes rows, and makes and drops nothing but
-- partitions, by the functions for that.

-- These run as whoever owns them, so nobody else may call them unless that is granted.
alter function catalog.add_partition(text, integer) security definer set search_path = pg_catalog, pg_temp;
alter function catalog.drop_partition(text) security definer set search_path = pg_catalog, pg_temp;
alter function catalog.add_journal_days(integer) security definer set search_path = pg_catalog, pg_temp;
alter function catalog.drop_journal_days(interval) security definer set search_path = pg_catalog, pg_temp;
revoke execute on function catalog.add_partition(text, integer), catalog.drop_partition(text),
    catalog.add_journal_days(integer), catalog.drop_journal_days(interval) from public;

-- Grants a role what `stocktake serve --no-migrate` and the other commands need. What later migrations of the same
-- owner add is granted with it.
create function catalog.grant_daemon(role text) returns void language plpgsql as $$
begin
    execute format('grant usage on schema catalog to %I', role);
    execute format('grant select, insert, update, delete on all tables in schema catalog to %I', role);
    execute format('grant usage on all sequences in schema catalog to %I', role);
    execute format('grant execute on all functions in schema catalog to %I', role);
    -- Only whoever migrates writes down what was migrated.
    execute format('revoke insert, update, delete on catalog.migrations from %I', role);
    execute format('revoke execute on function catalog.grant_daemon(text) from %I', role);
    execute format('alter default privileges in schema catalog grant select, insert, update, delete on tables to %I', role);
    execute format('alter default privileges in schema catalog grant usage on sequences to %I', role);
end
$$;

revoke execute on function catalog.grant_daemon(text) from public;
comment on function catalog.grant_daemon is 'Grants a role what the daemon needs: rows, and partitions by the functions for them. Called by the owner of the schema.';
