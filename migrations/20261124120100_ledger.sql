-- Runs, their drift and the quarantine are not kept for ever.
comment on table catalog.reconciliations is 'One row for each run, kept for `ledger.keep`, 90 days; the last complete one of each bucket or prefix stays.';
comment on table catalog.drift is 'One row for each difference a run found, kept as long as the run: for `ledger.keep`, 90 days, or until the bucket is forgotten (`stocktake disconnect --drop-rows --apply`). What the first run of a new bucket loads is no drift: nothing was promised before it.';
comment on table catalog.quarantine is 'Messages, and records of messages, that could not be read. They were acknowledged. Kept for `ledger.keep`, 90 days, whether or not they were put through.';

-- Deleting a run looks for what still speaks of it.
create index rechecks_of_run on catalog.rechecks (run_id) where run_id is not null;
