-- Runs, their drift and the quarantine are not kept for ever.

-- Deleting a run looks for what still speaks of it.
create index rechecks_of_run on catalog.rechecks (run_id) where run_id is not null;
