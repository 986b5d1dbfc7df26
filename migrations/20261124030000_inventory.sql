-- Runs whose source is an inventory report: they list nothing, and stand beside those that do.
alter table catalog.reconciliations
    -- The manifest that was read. None where it has to be read again: the run did not come to its end.
    add column report text,
    add check (source in ('listing', 'inventory'));

drop index catalog.reconciliations_running;
create unique index reconciliations_running on catalog.reconciliations (bucket, prefix, source) where status = 'running';
