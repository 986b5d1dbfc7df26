-- Keys of a bucket that a text or an index entry of Postgres cannot hold. Such a key may also be too long for an index
-- itself, so its digest stands for it.
create table catalog.unrepresentable (
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    run_id        bigint,
    bucket        text collate "C" not null,
    prefix        text collate "C" not null,
    key           bytea not null,
    key_sha256    bytea not null generated always as (sha256(key)) stored,
    reason        text not null check (reason in ('not_utf8', 'nul', 'too_long')),
    primary key (bucket, prefix, key_sha256),
    foreign key (bucket, prefix) references catalog.connections on delete cascade
);

comment on table catalog.unrepresentable is 'Keys of the bucket that the catalog cannot hold: no other table or view has them. A key stays until a complete listing does not show it any more. Of one connection the first 10,000 are kept.';
comment on column catalog.unrepresentable.bucket is 'the connection that the key belongs to';
comment on column catalog.unrepresentable.prefix is 'the connection that the key belongs to';
comment on column catalog.unrepresentable.key is 'its bytes, decoded; `encode(key, ''escape'')` shows them';
comment on column catalog.unrepresentable.key_sha256 is 'SHA-256 of `key`: part of the primary key, because `key` may be longer than an index entry';
comment on column catalog.unrepresentable.reason is '`not_utf8`: its bytes are not UTF-8; `nul`: it contains U+0000; `too_long`: bucket, key and version id together have more than 2,675 bytes, which is what an index entry holds';
comment on column catalog.unrepresentable.first_seen_at is 'ours: when a listing, an inventory report or an event first showed it';
comment on column catalog.unrepresentable.last_seen_at is 'ours: when one of them last showed it';
comment on column catalog.unrepresentable.run_id is 'the last listing that showed it; null before one did';

select catalog.grant_reader('stocktake_reader');
