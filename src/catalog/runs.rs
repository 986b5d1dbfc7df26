//! Runs: listings of a whole connection, from their start to their watermark.

use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::retry::retry;
use super::rows::date;
use super::{Catalog, Connection};
use crate::model::{Drift, Timestamp, Window};

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
    _lock: PgConnection,
}

/// How much a run has listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys.
    pub keys: i64,
    /// Versions and markers.
    pub versions: i64,
}

/// Ends a run that is said to go on; for one who holds the lock, and so knows that it does not.
async fn bury(
    transaction: &mut PgConnection,
    connection: &Connection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("update catalog.connections set run_started = null where bucket = $1 and prefix = $2")
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "update catalog.reconciliations set status = 'failed', finished_at = $3, error = 'its process died'
         where bucket = $1 and starts_with(prefix, $2) and status = 'running'",
    )
    .bind(&connection.bucket)
    .bind(&connection.prefix)
    .bind(now)
    .execute(transaction)
    .await
    .map(drop)
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
        let Some(lock) = self.lock_runs(connection).await? else { return Ok(None) };
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Alone).await?;
        bury(&mut transaction, connection, now).await?;
        sqlx::query("update catalog.connections set run_started = $3 where bucket = $1 and prefix = $2")
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind((prefix == connection.prefix).then(|| date(started)))
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

    /// Ends a run whose process died without a word, if there is one: claims and rechecks must not
    /// reckon with it for ever.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn bury_dead_run(
        &self,
        connection: &Connection,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let is_said_to_run: bool = sqlx::query_scalar(
            "select exists (select from catalog.reconciliations
                            where bucket = $1 and starts_with(prefix, $2) and status = 'running')",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_one(&self.pool)
        .await?;
        if !is_said_to_run {
            return Ok(());
        }
        let Some(_lock) = self.lock_runs(connection).await? else { return Ok(()) };
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Alone).await?;
        bury(&mut transaction, connection, now).await?;
        transaction.commit().await
    }

    /// Takes the lock that is held while a run of the connection lives. None when it does. It ends
    /// with its connection, which is not one of the pool's.
    async fn lock_runs(&self, connection: &Connection) -> Result<Option<PgConnection>, sqlx::Error> {
        let mut lock = PgConnection::connect_with(&self.pool.connect_options()).await?;
        let is_ours: bool =
            sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1 || '/' || $2, 1))")
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .fetch_one(&mut lock)
                .await?;
        Ok(is_ours.then_some(lock))
    }

    /// How much drift a run, and the rechecks it asked for, have found so far.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn drift_of_run(&self, run_id: i64) -> Result<BTreeMap<Drift, i64>, sqlx::Error> {
        let (missing, stale, ghost, latest): (i64, i64, i64, i64) = sqlx::query_as(
            "select missing, stale, ghost, latest from catalog.reconciliations where run_id = $1",
        )
        .bind(run_id)
        .fetch_one(&self.pool)
        .await?;
        let counts = [
            (Drift::Missing, missing),
            (Drift::Stale, stale),
            (Drift::Ghost, ghost),
            (Drift::Latest, latest),
        ];
        Ok(counts.into_iter().filter(|(_, count)| *count > 0).collect())
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

    /// Ends a run that has not seen every key, because it was stopped or failed. What it repaired stays; the watermark does not move.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn fail_run(
        &self,
        connection: &Connection,
        run: &Run,
        is_stopped: bool,
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
            "update catalog.reconciliations set status = $4, finished_at = $2, error = $3 where run_id = $1",
        )
        .bind(run.run_id)
        .bind(now)
        .bind(error)
        .bind(if is_stopped { "stopped" } else { "failed" })
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}
