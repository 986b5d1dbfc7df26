-- Who may read the catalog, and what they read there, in words.

-- Makes the role, unless it is there, and lets it read all that docs/CATALOG.md names. Whether it may now:
-- a role belongs to the whole server, and whoever owns the schema need not be allowed to make one.
create function catalog.grant_reader(role text) returns boolean language plpgsql as $$
declare
    relation text;
begin
    if not exists (select from pg_roles where rolname = role) then
        begin
            execute format('create role %I nologin', role);
        exception
            -- Somebody made it at the same moment.
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise warning 'role "%" cannot be made: nobody but the owner may read the catalog', role
                    using hint = format('create role %I nologin; then select catalog.grant_reader(%L)', role, role);
                return false;
        end;
    end if;
    execute format('grant usage on schema catalog to %I', role);
    -- What operators read is the views, and tables that are as they are read.
    for relation in
        select relname from pg_class
        where relnamespace = 'catalog'::regnamespace
          and (relkind = 'v'
               or relname in ('reconciliations', 'drift', 'rechecks', 'quarantine', 'problems', 'unrepresentable'))
    loop
        execute format('grant select on catalog.%I to %I', relation, role);
    end loop;
    return true;
end
$$;

comment on view catalog.objects is 'What a plain listing of the bucket shows: the latest version of each key, unless it is a delete marker.';
comment on column catalog.objects.bucket is 'the bucket''s name';
comment on column catalog.objects.key is 'as it is in S3, decoded; compared byte by byte';
comment on column catalog.objects.version_id is 'of the latest version';
comment on column catalog.objects.size is 'bytes; null if an event left it out and no listing has told it yet';
comment on column catalog.objects.etag is 'entity tag without quotes; of a multipart upload `…-<parts>` and no digest of the content';
comment on column catalog.objects.last_modified is 'S3''s date of the version, in whole seconds; of a multipart upload its start. Until a listing or recheck has seen the version: the time of its event';
comment on column catalog.objects.storage_class is 'as S3 spells it; null until a listing, a recheck or a lifecycle transition has told it';

comment on view catalog.object_versions is 'Every version and delete marker that is there.';
comment on column catalog.object_versions.bucket is 'as in `objects`';
comment on column catalog.object_versions.key is 'as in `objects`';
comment on column catalog.object_versions.version_id is 'as in `objects`';
comment on column catalog.object_versions.size is 'as in `objects`';
comment on column catalog.object_versions.etag is 'as in `objects`';
comment on column catalog.object_versions.last_modified is 'as in `objects`';
comment on column catalog.object_versions.storage_class is 'as in `objects`';
comment on column catalog.object_versions.is_latest is 'exactly one row of each key has it';
comment on column catalog.object_versions.is_delete_marker is 'then `size`, `etag` and `storage_class` are null';
comment on column catalog.object_versions.sequencer is 'S3''s stamp from the event that told of the version; null when a listing did. Hexadecimal: compare as numbers, left-padded with zeros to one length, and only within one key';
comment on column catalog.object_versions.first_seen_at is 'ours: when the row was made. The null version keeps it when it is overwritten';
comment on column catalog.object_versions.is_last_modified_exact is 'whether `last_modified` is S3''s own date';
comment on column catalog.object_versions.changed_at is 'ours: when the row was last written. That a newer version took its place counts, and so does a date that a listing filled in';

comment on view catalog.object_details is 'What S3 tells of a version beyond listings and events, for buckets with `enrich`. A row comes some moments after its version, is renewed after events about its tags, retention, storage class and the like, and goes with it. Versions that were there before the bucket was first listed have none. What S3 does not say is null.';
comment on column catalog.object_details.bucket is 'which version';
comment on column catalog.object_details.key is 'which version';
comment on column catalog.object_details.version_id is 'which version';
comment on column catalog.object_details.looked_up_at is 'ours: when S3 was asked last';
comment on column catalog.object_details.content_type is 'the headers of those names';
comment on column catalog.object_details.content_encoding is 'the headers of those names';
comment on column catalog.object_details.content_language is 'the headers of those names';
comment on column catalog.object_details.content_disposition is 'the headers of those names';
comment on column catalog.object_details.cache_control is 'the headers of those names';
comment on column catalog.object_details.metadata is 'what the writer gave as `x-amz-meta-…`, by name without that prefix';
comment on column catalog.object_details.storage_class is 'as the head says it; `STANDARD` where it says none';
comment on column catalog.object_details.checksums is 'in base 64, by algorithm (`crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`); `type` is `FULL_OBJECT` or `COMPOSITE`';
comment on column catalog.object_details.encryption is '`AES256`, `aws:kms`, `aws:kms:dsse`, and the key''s ARN';
comment on column catalog.object_details.kms_key is '`AES256`, `aws:kms`, `aws:kms:dsse`, and the key''s ARN';
comment on column catalog.object_details.lock_mode is 'object lock';
comment on column catalog.object_details.lock_until is 'object lock';
comment on column catalog.object_details.legal_hold is 'object lock';
comment on column catalog.object_details.replication is '`x-amz-replication-status` and `x-amz-restore`';
comment on column catalog.object_details.restore is '`x-amz-replication-status` and `x-amz-restore`';
comment on column catalog.object_details.tags is 'by name';

comment on view catalog.removed_versions is 'Versions known to be gone, while a late event might still bring them up. Purged by the first complete listing of the connection that begins three times `merge.margin` (15 s) later, or more: not a history.';
comment on column catalog.removed_versions.bucket is 'which version';
comment on column catalog.removed_versions.key is 'which version';
comment on column catalog.removed_versions.version_id is 'which version';
comment on column catalog.removed_versions.removed_at is 'S3''s: the time of the event or, where a listing found out, when that showed it absent';

comment on view catalog.buckets is 'One row for each `[[bucket]]` that was ever configured.';
comment on column catalog.buckets.bucket is 'the bucket''s name';
comment on column catalog.buckets.prefix is 'what its keys begin with; empty for the whole bucket';
comment on column catalog.buckets.region is 'where S3 says it is; null until it was asked';
comment on column catalog.buckets.versioning is '`unversioned`, `enabled`, `suspended`; null until S3 was asked. Looked at once a minute';
comment on column catalog.buckets.connected_at is 'ours: when it was first configured';
comment on column catalog.buckets.complete_through is 'S3''s: what happened before is in the catalog; null until the first listing is complete';
comment on column catalog.buckets.last_event_at is 'S3''s: the time of the latest event merged';
comment on column catalog.buckets.caught_up_at is 'ours: when all queues were last found empty';

comment on view catalog.changes is 'The journal: a line for each change that a reader of the catalog could see, written in the transaction that made it and kept for `journal.keep`.';
comment on column catalog.changes.change_id is 'of two changes of one key, the greater is the later. Has gaps';
comment on column catalog.changes.transaction_id is 'the transaction that wrote it';
comment on column catalog.changes.bucket is 'which version';
comment on column catalog.changes.key is 'which version';
comment on column catalog.changes.version_id is 'which version';
comment on column catalog.changes.change is '`created`: an object was written, a new version or over what the null version was; `marker_created`; `removed`; `attributes`: the same version, of another storage class';
comment on column catalog.changes.cause is '`event`, `reconcile`, `recheck`, `inventory`: what told of it';
comment on column catalog.changes.event_time is 'S3''s: when it happened; null where a listing found out';
comment on column catalog.changes.recorded_at is 'the database''s: when it was written here';
comment on column catalog.changes.requester is 'who did it, from where, in which request (as in S3''s access logs); null where the event does not say, and where a listing found out. S3 itself, as in lifecycle rules, gives its own name';
comment on column catalog.changes.source_ip is 'who did it, from where, in which request (as in S3''s access logs); null where the event does not say, and where a listing found out. S3 itself, as in lifecycle rules, gives its own name';
comment on column catalog.changes.request_id is 'who did it, from where, in which request (as in S3''s access logs); null where the event does not say, and where a listing found out. S3 itself, as in lifecycle rules, gives its own name';
comment on column catalog.changes.size is 'what is there now, as far as it is known; null after a removal and for markers (but for their `last_modified`)';
comment on column catalog.changes.etag is 'what is there now, as far as it is known; null after a removal and for markers (but for their `last_modified`)';
comment on column catalog.changes.last_modified is 'what is there now, as far as it is known; null after a removal and for markers (but for their `last_modified`)';
comment on column catalog.changes.storage_class is 'what is there now, as far as it is known; null after a removal and for markers (but for their `last_modified`)';
comment on column catalog.changes.before_size is 'what was there under this version id before; null where nothing was';
comment on column catalog.changes.before_etag is 'what was there under this version id before; null where nothing was';
comment on column catalog.changes.before_last_modified is 'what was there under this version id before; null where nothing was';
comment on column catalog.changes.before_storage_class is 'what was there under this version id before; null where nothing was';
comment on column catalog.changes.before_is_delete_marker is 'whether that was a marker; null where nothing was';
comment on column catalog.changes.cursor is 'the place of this line for `changes_since`';

comment on table catalog.reconciliations is 'One row for each run, kept for `ledger.keep`, 90 days; the last complete one of each bucket or prefix stays.';
comment on column catalog.reconciliations.run_id is 'the later, the greater';
comment on column catalog.reconciliations.bucket is 'what was listed; the prefix may be longer than the configured one';
comment on column catalog.reconciliations.prefix is 'what was listed; the prefix may be longer than the configured one';
comment on column catalog.reconciliations.source is '`listing`; `inventory`: a report was compared, and keys were nominated for rechecks';
comment on column catalog.reconciliations.reason is 'what it started for, see below; null for runs from before this was noted';
comment on column catalog.reconciliations.report is 'the manifest that was read, where the source is `inventory`; null where it was not read to its end, and is to be read again';
comment on column catalog.reconciliations.started_at is 'ours';
comment on column catalog.reconciliations.finished_at is 'ours';
comment on column catalog.reconciliations.status is '`running`, also while nobody is at work on it: the next daemon goes on; `complete`; `failed`: it could not go on; `stopped`: an operator interrupted it, it would have removed too much, or an inventory report differed in too many keys, which makes a listing due';
comment on column catalog.reconciliations.window_from is 'S3''s: the run saw the bucket at moments between the two; `window_to` is null until it is complete. Of an inventory report: `window_from` is when S3 began to make it, and no end is known';
comment on column catalog.reconciliations.window_to is 'S3''s: the run saw the bucket at moments between the two; `window_to` is null until it is complete. Of an inventory report: `window_from` is when S3 began to make it, and no end is known';
comment on column catalog.reconciliations.keys_listed is 'so far; noted every ten seconds, and at the end';
comment on column catalog.reconciliations.versions_listed is 'so far; noted every ten seconds, and at the end';
comment on column catalog.reconciliations.missing is 'differences repaired, by kind';
comment on column catalog.reconciliations.stale is 'differences repaired, by kind';
comment on column catalog.reconciliations.ghost is 'differences repaired, by kind';
comment on column catalog.reconciliations.latest is 'differences repaired, by kind';
comment on column catalog.reconciliations.doubts is 'keys that were left to rechecks; those that an inventory report nominated';
comment on column catalog.reconciliations.error is 'why it failed or was stopped';
comment on column catalog.reconciliations.withheld is 'how many removals were too many, where `reconcile.max_removals` stopped it; else 0';
comment on column catalog.reconciliations.allow_removals is 'an operator lifted that guard; its removals may be applied';
comment on column catalog.reconciliations.is_cleared is 'an operator lifted that guard; its removals may be applied';
comment on column catalog.reconciliations.ticket is 'doubts up to this one are older than the run';

comment on table catalog.drift is 'One row for each difference a run found, kept as long as the run: for `ledger.keep`, 90 days, or until the bucket is forgotten (`stocktake disconnect --drop-rows --apply`). What the first run of a new bucket loads is no drift: nothing was promised before it.';
comment on column catalog.drift.drift_id is 'the later, the greater';
comment on column catalog.drift.run_id is 'of `reconciliations`';
comment on column catalog.drift.bucket is 'which version';
comment on column catalog.drift.key is 'which version';
comment on column catalog.drift.version_id is 'which version';
comment on column catalog.drift.kind is '`missing`: the bucket has it, the catalog had not; `stale`: another content; `ghost`: the catalog had it, the bucket has not; `latest`: another version is the latest; `stats`: `bucket_stats` was wrong';
comment on column catalog.drift.found_at is 'ours';
comment on column catalog.drift.detail is '`before` and `after` the repair: what the catalog said of this version, see below; null where it said nothing';

comment on table catalog.rechecks is 'Keys in doubt now, about to be listed by themselves.';
comment on column catalog.rechecks.bucket is 'which key';
comment on column catalog.rechecks.key is 'which key';
comment on column catalog.rechecks.reason is 'what is in doubt';
comment on column catalog.rechecks.asked_at is 'ours: when the first doubt that is still open came up';
comment on column catalog.rechecks.due_at is 'ours: not listed before; while it is being listed, when another daemon may try';
comment on column catalog.rechecks.attempts is 'how often it was taken';
comment on column catalog.rechecks.ticket is 'changes with each new doubt';
comment on column catalog.rechecks.run_id is 'the run that raised the doubt, if one did';
comment on column catalog.rechecks.last_error is 'why it could not be listed';

comment on table catalog.quarantine is 'Messages, and records of messages, that could not be read. They were acknowledged. Kept for `ledger.keep`, 90 days, whether or not they were put through.';
comment on column catalog.quarantine.quarantine_id is 'the later, the greater';
comment on column catalog.quarantine.received_at is 'ours';
comment on column catalog.quarantine.queue is 'the URL of the queue, and SQS''s id of the message';
comment on column catalog.quarantine.message_id is 'the URL of the queue, and SQS''s id of the message';
comment on column catalog.quarantine.record is 'which record of the message, from 1; 0 for the whole message, also where more than ten of its records are unfit';
comment on column catalog.quarantine.receive_count is 'how often it had been delivered';
comment on column catalog.quarantine.body is 'of the whole message; NUL characters stand as U+FFFD, and more than 1 MiB is cut off';
comment on column catalog.quarantine.reason is 'names the field';
comment on column catalog.quarantine.replayed_at is 'when `stocktake replay` put it through; set it yourself for what was dealt with otherwise: `stocktake status` counts the rest';

comment on table catalog.problems is 'What is wrong, as a daemon met it; `stocktake status` shows the same, causes before what comes of them. What another process did, such as a run that the guard stopped, is here within a minute. What a daemon left behind that was stopped stays until one finds its subject well: look into `daemons` whether one is at work.';
comment on column catalog.problems.subject is '`database`, `queue <url>`, `bucket <name>/<prefix>`, `notifications of bucket <name>/<prefix>`, `set-up of bucket <name>/<prefix>`; with ` (acknowledging)` or ` (visibility)` behind the URL of a queue, for that part of the work with it';
comment on column catalog.problems.message is 'what is wrong, and what to do';
comment on column catalog.problems.remedy is 'what is wrong, and what to do';
comment on column catalog.problems.since is 'ours';

comment on function catalog.ls is 'One level of folders and the objects beside them, folders first.';
comment on function catalog.changes_since is 'The changes of a bucket behind a cursor, in an order that never changes.';
comment on function catalog.changes_end is 'A cursor behind all that is committed by now.';
comment on function catalog.grant_reader is 'Makes a role, unless it is there, and lets it read the catalog. Whether it may now.';

select catalog.grant_reader('stocktake_reader');
