//! What a sweep over all keys of a connection needs: rows in order, the horizon, and the removal of
//! tombstones that it makes useless.

use super::connections::{Hold, hold};
use super::held::{Held, HeldKey, Place, bounds, scan, stacks};
use super::rows::date;
use super::{Catalog, Connection};
use crate::model::{Horizon, Span, Stack, Timestamp, after_prefix};

/// How many tombstones one statement removes, so that none holds its locks for long.
pub const PURGE_MAX: i64 = 10_000;

impl Catalog {
    /// Removes tombstones that have no further use, up to [`PURGE_MAX`] of them: everything from before the watermark is
    /// accounted for, so no late event can bring those versions back. How many there were; none if there are no more.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn purge_tombstones(
        &self,
        connection: &Connection,
        watermark_from: Timestamp,
    ) -> Result<u64, sqlx::Error> {
        // What `Slot::is_spent` says of one slot, in SQL. What it is true of is locked until it is gone, so it need not be
        // asked twice; that is also why the rows are looked up by nothing but their key: were it known of them that they
        // are tombstones, Postgres might look for each among all others, if it thinks that there are none.
        sqlx::query(
            "with spent as materialized (
                 select key, version_id from catalog.slots
                 where bucket = $1 and not is_present and key >= $2 and ($4::text is null or key < $4)
                   and coalesce(event_time < $3, true) and coalesce(observed_to < $3, true)
                 limit $5
                 for update skip locked)
             delete from catalog.slots using spent
             where slots.bucket = $1 and slots.key = spent.key and slots.version_id = spent.version_id",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(date(watermark_from.minus(connection.terms.margin * 3)))
        .bind(after_prefix(&connection.prefix))
        .bind(PURGE_MAX)
        .execute(&self.pool)
        .await
        .map(|done| done.rows_affected())
    }

    /// Reads what is there of whole keys below `prefix` and in `span`, in byte order, about `rows_max` versions of
    /// them, from after `after` (from the beginning without).
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn scan(
        &self,
        connection: &Connection,
        prefix: &str,
        span: &Span,
        after: Option<&Place>,
        rows_max: i64,
    ) -> Result<Held<HeldKey>, sqlx::Error> {
        let (first, end) = bounds(prefix, span);
        let _share = self.share().await;
        let mut reader = self.pool.acquire().await?;
        scan(&mut reader, &connection.bucket, after.unwrap_or(&first), &end, rows_max).await
    }

    /// The same with tombstones, and with all that is known.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn stacks(
        &self,
        connection: &Connection,
        prefix: &str,
        after: Option<&Place>,
        rows_max: i64,
    ) -> Result<Held<Stack>, sqlx::Error> {
        let (first, end) = bounds(prefix, &Span::all());
        let mut reader = self.pool.acquire().await?;
        stacks(&mut reader, &connection.bucket, after.unwrap_or(&first), &end, rows_max).await
    }

    /// What is known of the bucket as a whole.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn horizon(&self, connection: &Connection) -> Result<Horizon, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Shared).await
    }

    /// Why the guard stopped the last listing of the connection, if it did.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn guarded(&self, connection: &Connection) -> Result<Option<String>, sqlx::Error> {
        let last: Option<Option<String>> = sqlx::query_scalar(
            "select case when withheld > 0 then error end from catalog.reconciliations
             where bucket = $1 and prefix = $2 and source = 'listing'
               and (status = 'complete' or withheld > 0)
             order by run_id desc limit 1",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_optional(&self.pool)
        .await?;
        Ok(last.flatten())
    }

    /// Closes all connections, once nobody uses them any more.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
