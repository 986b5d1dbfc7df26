//! Runs: listings of a whole connection, from their start to their watermark.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::FromRow;
use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::ranges::add;
use super::retry::retry;
use super::rows::date;
use super::session::Session;
use super::starts::strike_off;
use super::unrepresentable::forget_unlisted;
use super::{Catalog, Connection, Trigger};
use crate::model::{Drift, Span, Timestamp};

/// A run under way, on which several processes may be at work. It outlives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub run_id: i64,
    /// What it lists: the connection's prefix, or a longer one.
    pub prefix: String,
    /// Its start on S3's clock: before its first page was asked for.
    pub started: Timestamp,
}

#[derive(FromRow)]
struct RunRow {
    run_id: i64,
    prefix: String,
    window_from: OffsetDateTime,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self { run_id: row.run_id, prefix: row.prefix, started: row.window_from.into() }
    }
}

/// How much a run has listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys.
    pub keys: i64,
    /// Versions and markers.
    pub versions: i64,
}

impl Counts {
    /// Counts a key with so many versions; one without is none.
    pub fn add(&mut self, versions: usize) {
        self.keys += i64::from(versions > 0);
        self.versions += i64::try_from(versions).unwrap_or(i64::MAX);
    }
}

/// How a run ends that has not seen every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It cannot go on.
    Failed,
    /// Somebody, or the guard, does not want it to.
    Stopped,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl Catalog {
    /// The run over what is below `prefix` that is under way, here or elsewhere or nowhere now.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn open_run(&self, connection: &Connection, prefix: &str) -> Result<Option<Run>, sqlx::Error> {
        let row: Option<RunRow> = sqlx::query_as(
            "select run_id, prefix, window_from from catalog.reconciliations
             where bucket = $1 and prefix = $2 and source = 'listing' and status = 'running'",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Run::from))
    }

    /// The runs within a connection that are under way.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn open_runs(&self, connection: &Connection) -> Result<Vec<Run>, sqlx::Error> {
        let rows: Vec<RunRow> = sqlx::query_as(
            "select run_id, prefix, window_from from catalog.reconciliations
             where bucket = $1 and starts_with(prefix, $2) and source = 'listing' and status = 'running'
             order by run_id",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Run::from).collect())
    }

    /// Starts a run over what is below `prefix`, in ranges, and commits that it started before its
    /// first page is asked for. Waits for the batches in flight: claims applied later know of the
    /// run. None if such a run is under way, or if its trigger is gone. Only a run over all of the
    /// connection can move its watermark.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn start_run(
        &self,
        connection: &Connection,
        prefix: &str,
        trigger: Trigger,
        spans: &[Span],
        started: Timestamp,
        now: OffsetDateTime,
    ) -> Result<Option<Run>, sqlx::Error> {
        let last = match trigger {
            Trigger::Operator => None,
            Trigger::Due { last, .. } => Some(last),
        };
        let mut transaction = self.pool.begin().await?;
        hold(&mut transaction, connection, Hold::Alone).await?;
        let run_id: Option<i64> = sqlx::query_scalar(
            "insert into catalog.reconciliations (bucket, prefix, started_at, window_from, reason)
             select $1, $2, $3, $4, $5
             where not $6 or $7 is not distinct from (
                 select max(run_id) from catalog.reconciliations
                 where bucket = $1 and prefix = $2 and source = 'listing'
                   and (status = 'complete' or withheld > 0))
             on conflict do nothing returning run_id",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(now)
        .bind(date(started))
        .bind(trigger.reason().as_str())
        .bind(last.is_some())
        .bind(last.flatten())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(run_id) = run_id else { return Ok(None) };
        add(&mut transaction, run_id, spans).await?;
        if prefix == connection.prefix {
            sqlx::query("update catalog.connections set run_started = $3 where bucket = $1 and prefix = $2")
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .bind(date(started))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Some(Run { run_id, prefix: prefix.to_owned(), started }))
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

    /// How much a run has listed, and how many keys it left in doubt.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn counts_of_run(&self, run_id: i64) -> Result<(Counts, i64), sqlx::Error> {
        let (keys, versions, doubts) = sqlx::query_as(
            "select keys_listed, versions_listed, doubts from catalog.reconciliations where run_id = $1",
        )
        .bind(run_id)
        .fetch_one(&self.pool)
        .await?;
        Ok((Counts { keys, versions }, doubts))
    }

    /// Completes a run whose ranges are all done, and whose removals are applied: from its start to its last page becomes the
    /// watermark, if it was over all of the connection, and the doubts it has settled in passing are
    /// struck off. Whether that was done: somebody else may have been first, or ended the run.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn complete_run(
        &self,
        connection: &Connection,
        run: &Run,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        retry("complete run", || async {
            let mut transaction = self.pool.begin().await?;
            hold(&mut transaction, connection, Hold::Alone).await?;
            let completed: Option<(i64, OffsetDateTime)> = sqlx::query_as(
                "update catalog.reconciliations
                 set status = 'complete', finished_at = $2, window_to = done.window_to,
                     keys_listed = done.keys, versions_listed = done.versions
                 from (select max(window_to) as window_to, sum(keys_listed) as keys, sum(versions_listed) as versions,
                              bool_and(is_done) as is_done
                       from catalog.ranges where run_id = $1) as done
                 where run_id = $1 and status = 'running' and is_cleared and done.is_done
                   and not exists (select from catalog.withheld where run_id = $1)
                 returning ticket, reconciliations.window_to",
            )
            .bind(run.run_id)
            .bind(now)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some((ticket, window_to)) = completed else { return Ok(false) };
            if run.prefix == connection.prefix {
                sqlx::query(
                    "update catalog.connections set run_started = null, watermark_from = $3, watermark_to = $4
                     where bucket = $1 and prefix = $2",
                )
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .bind(date(run.started))
                .bind(window_to)
                .execute(&mut *transaction)
                .await?;
                strike_off(&mut transaction, connection, run.run_id).await?;
            }
            sqlx::query(
                "delete from catalog.rechecks
                 where bucket = $1 and starts_with(key, $2) and ticket <= $3",
            )
            .bind(&connection.bucket)
            .bind(&run.prefix)
            .bind(ticket)
            .execute(&mut *transaction)
            .await?;
            forget_unlisted(&mut transaction, connection, run).await?;
            clear(&mut transaction, run.run_id).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// How a run stands: its status, why, and whether it was the guard.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn end_of_run(&self, run: &Run) -> Result<(String, Option<String>, bool), sqlx::Error> {
        sqlx::query_as("select status, error, withheld > 0 from catalog.reconciliations where run_id = $1")
            .bind(run.run_id)
            .fetch_one(&self.pool)
            .await
    }

    /// Ends a run that has not seen every key. What it repaired stays; the watermark does not move.
    /// With `idle`, only if nobody has been at work on it for so long. Whether it was ended.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn end_run(
        &self,
        bucket: &str,
        run: &Run,
        ending: Ending,
        error: &str,
        idle: Option<Duration>,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let is_ended = end(&mut transaction, bucket, run, ending, error, idle, now).await?;
        transaction.commit().await?;
        Ok(is_ended)
    }

    /// Ends the runs, of whatever connection, that nobody has been at work on for so long: claims and
    /// rechecks must not reckon with them for ever.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn end_forsaken_runs(&self, idle: Duration, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let forsaken: Vec<(i64, String, String, OffsetDateTime)> = sqlx::query_as(
            "select run_id, bucket, prefix, window_from from catalog.reconciliations
             where status = 'running' and not exists (
                 select from catalog.ranges
                 where ranges.run_id = reconciliations.run_id
                   and leased_until > clock_timestamp() - make_interval(secs => $1))",
        )
        .bind(idle.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        for (run_id, bucket, prefix, started) in forsaken {
            let run = Run { run_id, prefix, started: started.into() };
            let error = "nobody went on with it for too long";
            self.end_run(&bucket, &run, Ending::Failed, error, Some(idle), now).await?;
        }
        Ok(())
    }
}

/// Ends a run within a transaction.
pub(super) async fn end(
    transaction: &mut Session,
    bucket: &str,
    run: &Run,
    ending: Ending,
    error: &str,
    idle: Option<Duration>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    // As `hold` does it; but of a connection that may be gone, or that the run is only a part of.
    sqlx::query("select 1 from catalog.connections where bucket = $1 and prefix = $2 for update")
        .bind(bucket)
        .bind(&run.prefix)
        .execute(&mut *transaction)
        .await?;
    let is_ended = sqlx::query(
        "update catalog.reconciliations
         set status = $2, finished_at = $3, error = $4,
             (keys_listed, versions_listed) = (
                 select coalesce(sum(ranges.keys_listed), reconciliations.keys_listed),
                        coalesce(sum(ranges.versions_listed), reconciliations.versions_listed)
                 from catalog.ranges where run_id = $1)
         where run_id = $1 and status = 'running'
           and ($5::float8 is null or not exists (
               select from catalog.ranges
               where run_id = $1 and leased_until > clock_timestamp() - make_interval(secs => $5)))",
    )
    .bind(run.run_id)
    .bind(ending.as_str())
    .bind(now)
    .bind(error)
    .bind(idle.map(|idle| idle.as_secs_f64()))
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if is_ended {
        // A run that reads a report has set none: it is that of a listing beside it.
        sqlx::query(
            "update catalog.connections set run_started = null
             where bucket = $1 and prefix = $2
               and exists (select from catalog.reconciliations where run_id = $3 and source = 'listing')",
        )
        .bind(bucket)
        .bind(&run.prefix)
        .bind(run.run_id)
        .execute(&mut *transaction)
        .await?;
        clear(transaction, run.run_id).await?;
    }
    Ok(is_ended)
}

/// Removes what only a run under way needs.
async fn clear(transaction: &mut Session, run_id: i64) -> Result<(), sqlx::Error> {
    for statement in
        ["delete from catalog.ranges where run_id = $1", "delete from catalog.withheld where run_id = $1"]
    {
        sqlx::query(statement).bind(run_id).execute(&mut *transaction).await?;
    }
    Ok(())
}
