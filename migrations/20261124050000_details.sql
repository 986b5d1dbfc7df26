-- What is known of versions beyond what listings and events tell. Rows are there only for buckets
-- that ask for it (`enrich`), so that the others pay nothing.
create table catalog.details (
    looked_up_at timestamptz not null,
    bucket       text collate "C" not null,
    key          text collate "C" not null,
    version_id   text collate "C" not null,
    -- As the program that asked wrote them down; null where it did not ask.
    head         jsonb,
    tags         jsonb,
    primary key (bucket, key, version_id)
);

-- Versions to be looked at, written by the transaction that makes them necessary. The ticket changes
-- with every new reason, so that what was seen before is not taken for what is there now.
create sequence catalog.lookup_ticket;

create table catalog.lookups (
    ticket     bigint not null default nextval('catalog.lookup_ticket'),
    due_at     timestamptz not null,
    attempts   integer not null default 0,
    bucket     text collate "C" not null,
    key        text collate "C" not null,
    version_id text collate "C" not null,
    last_error text,
    primary key (bucket, key, version_id)
);
create index lookups_due on catalog.lookups (bucket, due_at);

create view catalog.object_details as
select bucket, key, version_id, looked_up_at,
       head ->> 'content_type' as content_type,
       head ->> 'content_encoding' as content_encoding,
       head ->> 'content_language' as content_language,
       head ->> 'content_disposition' as content_disposition,
       head ->> 'cache_control' as cache_control,
       head -> 'metadata' as metadata,
       head ->> 'storage_class' as storage_class,
       head -> 'checksums' as checksums,
       head ->> 'encryption' as encryption,
       head ->> 'kms_key' as kms_key,
       head ->> 'lock_mode' as lock_mode,
       (head ->> 'lock_until')::timestamptz as lock_until,
       (head ->> 'legal_hold')::boolean as legal_hold,
       head ->> 'replication' as replication,
       head ->> 'restore' as restore,
       tags
from catalog.details
where exists (
    select from catalog.slots
    where slots.bucket = details.bucket and slots.key = details.key and slots.version_id = details.version_id
      and is_present and not is_delete_marker
);
