//! Runs whose source is an inventory report: they nominate keys for rechecks, and end.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::ranges::add;
use super::rechecks::{Ask, ask};
use super::retry::retry;
use super::rows::date;
use super::{Catalog, Connection, Counts, Ending, Range, Reason, Run};
use crate::model::{Doubt, Span, Timestamp};

/// A run that reads a report, and is ours as long as its lease is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The run. It started, on S3's clock, when S3 began to make the report.
    pub run: Run,
    range: Range,
}

/// The last report that was read to its end, or found to be of no use.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LastReport {
    /// The run that read it.
    pub run_id: i64,
    /// Its manifest.
    pub report: String,
    /// When the run began, on our clock.
    pub started_at: OffsetDateTime,
    /// `complete`; `stopped` where it differed in too many keys, which a listing has to settle;
    /// `failed` where it made no sense.
    pub status: String,
    /// Why it was stopped or failed.
    pub error: Option<String>,
    /// Whether a later listing was complete, or stopped by the guard.
    pub is_outlisted: bool,
}

impl Catalog {
    /// The last report that was used for what is below `prefix`.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn last_report(
        &self,
        connection: &Connection,
        prefix: &str,
    ) -> Result<Option<LastReport>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, report, started_at, status, error, exists (
                 select from catalog.reconciliations as listing
                 where listing.bucket = $1 and listing.prefix = $2 and listing.source = 'listing'
                   and listing.run_id > report.run_id
                   and (listing.status = 'complete' or listing.withheld > 0)
             ) as is_outlisted
             from catalog.reconciliations as report
             where bucket = $1 and prefix = $2 and source = 'inventory' and status <> 'running' and report is not null
             order by run_id desc limit 1",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .fetch_optional(&self.pool)
        .await
    }

    /// Begins to read the report of that manifest, which S3 began to make at `began`, for what is below
    /// `prefix`; or takes over the run of a process that died while it did so. None if somebody is at it.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn begin_report(
        &self,
        connection: &Connection,
        prefix: &str,
        report: &str,
        began: Timestamp,
        reason: Reason,
        now: OffsetDateTime,
    ) -> Result<Option<Reading>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let run_id: Option<i64> = sqlx::query_scalar(
            "insert into catalog.reconciliations (bucket, prefix, source, started_at, window_from, report, reason)
             values ($1, $2, 'inventory', $3, $4, $5, $6)
             on conflict do nothing returning run_id",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(now)
        .bind(date(began))
        .bind(report)
        .bind(reason.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(run_id) = run_id {
            add(&mut transaction, run_id, &[Span::all()]).await?;
        }
        transaction.commit().await?;
        let run_id: Option<i64> = sqlx::query_scalar(
            "update catalog.reconciliations set window_from = $3, report = $4
             where bucket = $1 and prefix = $2 and source = 'inventory' and status = 'running'
               and not exists (
                   select from catalog.ranges
                   where ranges.run_id = reconciliations.run_id and leased_until > clock_timestamp())
             returning run_id",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(date(began))
        .bind(report)
        .fetch_optional(&self.pool)
        .await?;
        let Some(run_id) = run_id else { return Ok(None) };
        let run = Run { run_id, prefix: prefix.to_owned(), started: began };
        Ok(self.take_range(&run).await?.map(|range| Reading { run, range }))
    }

    /// Renews the lease, and notes for those who watch how far we have come. Whether it is still ours.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn renew_report(&self, reading: &Reading, counts: Counts) -> Result<bool, sqlx::Error> {
        let noted = sqlx::query(
            "update catalog.ranges set keys_listed = $3, versions_listed = $4 where run_id = $1 and lease = $2",
        )
        .bind(reading.run.run_id)
        .bind(reading.range.lease)
        .bind(counts.keys)
        .bind(counts.versions)
        .execute(&self.pool)
        .await?;
        self.renew_leases(&reading.run, &[reading.range.lease]).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Completes a run that read its report to the end: queues the keys that it nominated. Neither does
    /// this move the watermark, nor does it settle any doubt. Whether it was done: somebody else may
    /// have taken the run over.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn complete_report(
        &self,
        connection: &Connection,
        reading: &Reading,
        counts: Counts,
        nominated: &[String],
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let run_id = reading.run.run_id;
        retry("complete report", || async {
            let mut transaction = self.pool.begin().await?;
            let completed = sqlx::query(
                "update catalog.reconciliations
                 set status = 'complete', finished_at = $3, keys_listed = $4, versions_listed = $5, doubts = $6
                 where run_id = $1 and status = 'running'
                   and exists (select from catalog.ranges where run_id = $1 and lease = $2)",
            )
            .bind(run_id)
            .bind(reading.range.lease)
            .bind(now)
            .bind(counts.keys)
            .bind(counts.versions)
            .bind(i64::try_from(nominated.len()).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
            if completed.rows_affected() == 0 {
                return Ok(false);
            }
            let (reason, run) = (Doubt::Inventory, Some(run_id));
            let asks = nominated.iter().map(|key| Ask { key: key.clone(), reason, run_id: run }).collect();
            ask(&mut transaction, &connection.bucket, asks, now, connection.terms.recheck_delay).await?;
            sqlx::query("delete from catalog.ranges where run_id = $1")
                .bind(run_id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Ends a run that came to nothing. Its report is not read again, unless `is_unread`.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn end_report(
        &self,
        connection: &Connection,
        reading: &Reading,
        ending: Ending,
        why: &str,
        is_unread: bool,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if is_unread {
            sqlx::query(
                "update catalog.reconciliations set report = null where run_id = $1 and status = 'running'",
            )
            .bind(reading.run.run_id)
            .execute(&self.pool)
            .await?;
        }
        self.end_run(&connection.bucket, &reading.run, ending, why, None, now).await.map(drop)
    }

    /// Leaves a run as it is, so that somebody, we or another, can take it over at once.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn leave_report(&self, reading: &Reading) -> Result<(), sqlx::Error> {
        self.give_back_ranges(&reading.run, &[reading.range.lease]).await
    }
}
