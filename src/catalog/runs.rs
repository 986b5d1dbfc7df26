//! Runs: listings of a whole connection, from their start to their watermark.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{FromRow, Postgres};
use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::retry::retry;
use super::rows::{Held, Place, date, scan};
use super::{Catalog, Connection};
use crate::model::{Horizon, Timestamp, Window, after_prefix};

/// How many tombstones one statement removes, so that none holds its locks for long.
const PURGE_MAX: i64 = 10_000;

/// A run under way. While it lives, no other run of the same connection can start, here or
/// in another process: it holds a lock of Postgres's that ends with its connection.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub run_id: i64,
    /// What it lists: the connection's prefix, or a longer one.
    pub prefix: String,
    /// Its start on S3's clock: before its first page was asked for.
    pub started: Timestamp,
    /// Doubts with a ticket up to this were raised before it began.
    ticket: i64,
    _lock: PoolConnection<Postgres>,
}

/// How much a run has listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys.
    pub keys: i64,
    /// Versions and markers.
    pub versions: i64,
}

/// When a connection was last listed, as far as the ledger tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct LastRun {
    /// When the last complete run began, on our clock.
    pub completed: Option<OffsetDateTime>,
    /// When the last run of any status began, on our clock.
    pub tried: Option<OffsetDateTime>,
}

impl Catalog {
    /// Starts a run over what is below `prefix` and commits that it started, before its first page
    /// is asked for. Waits for the batches in flight: claims applied later know of the run. None
    /// while another run is under way. Only a run over all of the connection can move its watermark.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn start_run(
        &self,
        connection: &Connection,
        prefix: &str,
        started: Timestamp,
        now: OffsetDateTime,
    ) -> Result<Option<Run>, sqlx::Error> {
        let mut lock = self.pool.acquire().await?;
        lock.close_on_drop();
        let is_ours: bool =
            sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1 || '/' || $2, 1))")
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .fetch_one(&mut *lock)
                .await?;
        if !is_ours {
            return Ok(None);
        }
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Alone).await?;
        sqlx::query("update catalog.connections set run_started = $3 where bucket = $1 and prefix = $2")
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind((prefix == connection.prefix).then(|| date(started)))
            .execute(&mut *transaction)
            .await?;
        // We hold the lock, so whatever still says it is running died without a word.
        sqlx::query(
            "update catalog.reconciliations set status = 'failed', finished_at = $3, error = 'its process died'
             where bucket = $1 and starts_with(prefix, $2) and status = 'running'",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let run_id = sqlx::query_scalar(
            "insert into catalog.reconciliations (bucket, prefix, started_at, window_from) values ($1, $2, $3, $4)
             returning run_id",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(now)
        .bind(date(started))
        .fetch_one(&mut *transaction)
        .await?;
        let ticket = sqlx::query_scalar("select nextval('catalog.recheck_ticket')")
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(Run { run_id, prefix: prefix.to_owned(), started, ticket, _lock: lock }))
    }

    /// Notes how far a run has come, for those who watch.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_progress(&self, run: &Run, counts: Counts) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.reconciliations set keys_listed = $2, versions_listed = $3 where run_id = $1",
        )
        .bind(run.run_id)
        .bind(counts.keys)
        .bind(counts.versions)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Completes a run that has seen every key: its window becomes the watermark, and the doubts
    /// it has settled in passing are struck off.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn complete_run(
        &self,
        connection: &Connection,
        run: &Run,
        window: Window,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        retry("complete run", || async {
            let mut transaction = self.pool.begin().await?;
            hold(&mut transaction, connection, Hold::Alone).await?;
            if run.prefix == connection.prefix {
                sqlx::query(
                    "update catalog.connections set run_started = null, watermark_from = $3, watermark_to = $4
                     where bucket = $1 and prefix = $2",
                )
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .bind(date(window.from))
                .bind(date(window.to))
                .execute(&mut *transaction)
                .await?;
            }
            sqlx::query(
                "delete from catalog.rechecks
                 where bucket = $1 and starts_with(key, $2) and ticket <= $3",
            )
            .bind(&connection.bucket)
            .bind(&run.prefix)
            .bind(run.ticket)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "update catalog.reconciliations set status = 'complete', finished_at = $2, window_to = $3
                 where run_id = $1",
            )
            .bind(run.run_id)
            .bind(now)
            .bind(date(window.to))
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    /// Ends a run that has not seen every key. What it repaired stays; the watermark does not move.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn fail_run(
        &self,
        connection: &Connection,
        run: &Run,
        error: &str,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("update catalog.connections set run_started = null where bucket = $1 and prefix = $2")
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "update catalog.reconciliations set status = 'failed', finished_at = $2, error = $3 where run_id = $1",
        )
        .bind(run.run_id)
        .bind(now)
        .bind(error)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Removes the tombstones that have no further use: everything from before the watermark is
    /// accounted for, so no late event can bring those versions back. How many there were.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn purge_tombstones(
        &self,
        connection: &Connection,
        watermark_from: Timestamp,
    ) -> Result<u64, sqlx::Error> {
        let margin = connection.terms.margin;
        let mut purged = 0;
        loop {
            // What `Slot::is_spent` says of one slot, in SQL. The conditions stand twice: a row that
            // changed since it was found is looked at again.
            let rows = sqlx::query(
                "delete from catalog.slots
                 where bucket = $1 and not is_present
                   and coalesce(event_time < $3, true) and coalesce(observed_to < $3, true)
                   and (key, version_id) in (
                       select key, version_id from catalog.slots
                       where bucket = $1 and not is_present and key >= $2 and ($4::text is null or key < $4)
                         and coalesce(event_time < $3, true) and coalesce(observed_to < $3, true)
                       limit $5)",
            )
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind(date(watermark_from.minus(margin * 3)))
            .bind(after_prefix(&connection.prefix))
            .bind(PURGE_MAX)
            .execute(&self.pool)
            .await?
            .rows_affected();
            purged += rows;
            if rows == 0 {
                return Ok(purged);
            }
        }
    }

    /// Reads whole keys of a connection in byte order, about `rows_max` rows of them, from after
    /// `after` (from the beginning without).
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn scan(
        &self,
        connection: &Connection,
        prefix: &str,
        after: Option<&Place>,
        rows_max: i64,
    ) -> Result<Held, sqlx::Error> {
        let first = Place { key: prefix.to_owned(), version_id: String::new() };
        let before = after_prefix(prefix);
        let mut reader = self.pool.acquire().await?;
        scan(&mut reader, &connection.bucket, after.unwrap_or(&first), before.as_deref(), rows_max).await
    }

    /// What is known of the bucket as a whole.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn horizon(&self, connection: &Connection) -> Result<Horizon, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Shared).await
    }

    /// When the connection was last listed.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn last_run(&self, connection: &Connection) -> Result<LastRun, sqlx::Error> {
        sqlx::query_as(
            "select max(started_at) filter (where status = 'complete') as completed, max(started_at) as tried
             from catalog.reconciliations where bucket = $1 and prefix = $2",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_one(&self.pool)
        .await
    }

    /// Closes all connections, waiting up to `patience` for those in use.
    pub async fn close(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.pool.close()).await.is_err() {
            tracing::warn!("left connections to Postgres open: they were still in use");
        }
    }
}
