//! Keys that a text or an index entry of Postgres cannot hold.

use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::retry::retry;
use super::session::Session;
use super::{Catalog, Connection, Run};
use crate::model::RawKey;

/// So many keys are kept of one connection. Of more it is only known that there are more.
pub const UNREPRESENTABLE_MAX: i64 = 10_000;

/// Keys of a connection that the catalog cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnrepresentableKeys {
    /// How many there are: [`UNREPRESENTABLE_MAX`] where there may be more.
    pub count: i64,
    /// The first of them, in the order of their bytes.
    pub first: Vec<u8>,
    /// Why the catalog cannot hold that one, as [`crate::model::Unrepresentable::as_str`] says it.
    pub reason: String,
}

impl Catalog {
    /// Records keys that a listing showed, or an event or a report if there is no run. A key that is known keeps
    /// the time when it was first seen.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the connection is gone.
    pub async fn note_unrepresentable(
        &self,
        connection: &Connection,
        run: Option<&Run>,
        keys: &[RawKey],
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<&RawKey> = keys.iter().collect();
        keys.sort_unstable();
        keys.dedup_by(|one, other| one.bytes == other.bytes);
        let bytes: Vec<&[u8]> = keys.iter().map(|key| key.bytes.as_slice()).collect();
        let reasons: Vec<&str> = keys.iter().map(|key| key.reason.as_str()).collect();
        retry("note unrepresentable keys", || async {
            let mut transaction = self.pool.begin().await?;
            // Before the keys, as the end of a run takes the two in this order.
            hold(&mut transaction, connection, Hold::Shared).await?;
            // One after the other, or each would see room for as many.
            sqlx::query("select pg_advisory_xact_lock(hashtextextended('unrepresentable ' || $1 || '/' || $2, 0))")
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "with new as (
                     select key, reason, sha256(key) as key_sha256
                     from unnest($3::bytea[], $4::text[]) as new (key, reason)
                 ), known as (
                     update catalog.unrepresentable as old
                     set last_seen_at = greatest(old.last_seen_at, $5), reason = new.reason,
                         run_id = coalesce($6, old.run_id)
                     from new
                     where old.bucket = $1 and old.prefix = $2 and old.key_sha256 = new.key_sha256
                     returning old.key_sha256
                 )
                 insert into catalog.unrepresentable (bucket, prefix, key, reason, first_seen_at, last_seen_at, run_id)
                 select $1, $2, key, reason, $5, $5, $6
                 from new
                 where not exists (select from known where known.key_sha256 = new.key_sha256)
                 order by key
                 limit greatest(0, $7 - (
                     select count(*) from catalog.unrepresentable where bucket = $1 and prefix = $2))",
            )
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind(&bytes)
            .bind(&reasons)
            .bind(now)
            .bind(run.map(|run| run.run_id))
            .bind(UNREPRESENTABLE_MAX)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    /// Keys of the connection that the catalog cannot hold, if there are any.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn unrepresentable(
        &self,
        connection: &Connection,
    ) -> Result<Option<UnrepresentableKeys>, sqlx::Error> {
        let first: Option<(i64, Vec<u8>, String)> = sqlx::query_as(
            "select count(*) over (), key, reason from catalog.unrepresentable
             where bucket = $1 and prefix = $2 order by key limit 1",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_optional(&self.pool)
        .await?;
        Ok(first.map(|(count, first, reason)| UnrepresentableKeys { count, first, reason }))
    }
}

/// Forgets the keys that a listing, which is complete, did not show. What an event told of since it started stays.
pub(super) async fn forget_unlisted(
    transaction: &mut Session,
    connection: &Connection,
    run: &Run,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from catalog.unrepresentable
         where bucket = $1 and prefix = $2 and run_id is distinct from $3
           and last_seen_at < (select started_at from catalog.reconciliations where run_id = $3)
           and substr(key, 1, length(convert_to($4, 'UTF8'))) = convert_to($4, 'UTF8')",
    )
    .bind(&connection.bucket)
    .bind(&connection.prefix)
    .bind(run.run_id)
    .bind(&run.prefix)
    .execute(transaction)
    .await
    .map(drop)
}
