//! What `stocktake status` shows.

use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::attended::ATTENDED_NOW;
use super::daemons::daemons;
use super::{Catalog, DaemonStatus, READ_LOCK_LIMIT};

/// The state of everything, as far as the catalog knows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// When this was read, on the clock of Postgres.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    /// Daemons that are at work, or were not long ago; those first that said so last.
    pub daemons: Vec<DaemonStatus>,
    /// One for each connected bucket and prefix.
    pub buckets: Vec<BucketStatus>,
    /// What is wrong.
    pub problems: Vec<ProblemStatus>,
    /// Messages set aside and not replayed.
    pub quarantined: i64,
}

/// One connected bucket and prefix.
#[derive(Clone, Debug, Default, Serialize, FromRow)]
pub struct BucketStatus {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix, empty for the whole bucket.
    pub prefix: String,
    /// When it was connected.
    #[serde(with = "time::serde::rfc3339::option")]
    pub connected_at: Option<OffsetDateTime>,
    /// The region it is in, once S3 told.
    pub region: Option<String>,
    /// `unversioned`, `enabled` or `suspended`, once S3 told.
    pub versioning: Option<String>,
    /// The catalog is complete up to here, on S3's clock.
    #[serde(with = "time::serde::rfc3339::option")]
    pub complete_through: Option<OffsetDateTime>,
    /// The time of the latest event applied.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_event_at: Option<OffsetDateTime>,
    /// When the queues were last seen empty.
    #[serde(with = "time::serde::rfc3339::option")]
    pub caught_up_at: Option<OffsetDateTime>,
    /// Whether a daemon said within the last minutes that it has it.
    pub is_attended: bool,
    /// Keys in doubt.
    pub rechecks: i64,
    /// Objects that a plain listing would show now, in all connected parts of the bucket.
    pub objects: i64,
    /// Their bytes.
    pub bytes: i64,
    /// The latest run.
    #[sqlx(flatten)]
    pub run: RunStatus,
}

/// The latest run in a bucket, over all of what is connected or a part of it; all none when there was none yet.
#[derive(Clone, Debug, Default, Serialize, FromRow)]
pub struct RunStatus {
    /// Its id.
    pub run_id: Option<i64>,
    /// What it was over: the connected prefix, or a longer one.
    #[sqlx(rename = "run_prefix")]
    pub prefix: Option<String>,
    /// `listing` or `inventory`.
    pub source: Option<String>,
    /// The manifest of the inventory report, if it read one.
    pub report: Option<String>,
    /// When S3 began to make that report.
    #[serde(with = "time::serde::rfc3339::option")]
    pub report_from: Option<OffsetDateTime>,
    /// Why it began.
    pub reason: Option<String>,
    /// `running`, `complete`, `stopped` or `failed`.
    pub status: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// Keys it listed; while it is running, so far.
    pub keys_listed: Option<i64>,
    /// Differences it found.
    pub drift: Option<i64>,
    /// Of these, what the bucket had and the catalog had not.
    pub missing: Option<i64>,
    /// What the catalog had with other content.
    pub stale: Option<i64>,
    /// What the catalog had and the bucket had not.
    pub ghost: Option<i64>,
    /// The right versions, and the wrong latest.
    pub latest: Option<i64>,
    /// What stopped it.
    pub error: Option<String>,
    /// How many removals were too many, if it was the guard that stopped it: at least, as it stops before
    /// all is listed.
    pub withheld: Option<i64>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct ProblemStatus {
    /// What it is wrong with.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// What metrics show of the catalog, and what it takes to ask whether Postgres answers.
#[derive(Debug, PartialEq)]
pub struct Levels {
    /// Keys in doubt.
    pub rechecks: i64,
    /// Since when the one is in doubt that is it the longest.
    pub oldest_recheck: Option<OffsetDateTime>,
    /// What is set aside and not put through again.
    pub quarantined: i64,
    /// How many connections of each bucket have a run that the guard stopped.
    pub guarded: Vec<(String, i64)>,
    /// Buckets that were listed completely, with the moment (on S3's clock) up to which all of
    /// their connections are complete.
    pub complete_through: Vec<(String, OffsetDateTime)>,
}

impl Catalog {
    /// Reads what metrics show.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn levels(&self) -> Result<Levels, sqlx::Error> {
        let (rechecks, oldest_recheck) =
            sqlx::query_as("select count(*), min(asked_at) from catalog.rechecks")
                .fetch_one(&self.pool)
                .await?;
        let quarantined =
            sqlx::query_scalar("select count(*) from catalog.quarantine where replayed_at is null")
                .fetch_one(&self.pool)
                .await?;
        // As `guarded` sees a single connection.
        let guarded = sqlx::query_as(
            "select bucket, count(*) filter (where last.withheld > 0)
             from catalog.connections
             left join lateral (
                 select withheld from catalog.reconciliations as run
                 where run.bucket = connections.bucket and run.prefix = connections.prefix
                   and source = 'listing' and (status = 'complete' or withheld > 0)
                 order by run_id desc limit 1
             ) as last on true
             group by bucket",
        )
        .fetch_all(&self.pool)
        .await?;
        let complete_through = sqlx::query_as(
            "select bucket, min(watermark_from) from catalog.connections
             group by bucket having bool_and(watermark_from is not null)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(Levels { rechecks, oldest_recheck, quarantined, guarded, complete_through })
    }

    /// Reads the state of everything.
    ///
    /// # Errors
    /// When Postgres is away or refuses, the schema is not there, or somebody keeps a table of it locked.
    pub async fn status(&self) -> Result<Status, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("select set_config('lock_timeout', $1, true)")
            .bind(READ_LOCK_LIMIT)
            .execute(&mut *transaction)
            .await?;
        let buckets = sqlx::query_as(
            "select buckets.*, (
                 select count(*) from catalog.rechecks
                 where rechecks.bucket = buckets.bucket and starts_with(rechecks.key, buckets.prefix)
             ) as rechecks, exists (
                 select from catalog.activity
                 where activity.bucket = buckets.bucket and activity.prefix = buckets.prefix
                   and attended_at > clock_timestamp() - make_interval(secs => $1)
             ) as is_attended, total.*, run.*
             from catalog.buckets
             cross join lateral (
                 select coalesce(sum(objects), 0)::bigint as objects, least(coalesce(sum(bytes), 0), 9223372036854775807)::bigint as bytes
                 from catalog.bucket_stats where bucket_stats.bucket = buckets.bucket
             ) as total
             left join lateral (
                 select run_id, prefix as run_prefix, source, report,
                        case when source = 'inventory' then window_from end as report_from, reason, status,
                        started_at, finished_at, missing, stale, ghost, latest,
                        missing + stale + ghost + latest as drift, error, withheld,
                        case when status = 'running' then (
                            select coalesce(sum(ranges.keys_listed), 0)::bigint
                            from catalog.ranges where ranges.run_id = reconciliations.run_id
                        ) else keys_listed end as keys_listed
                 from catalog.reconciliations
                 where reconciliations.bucket = buckets.bucket
                   and starts_with(reconciliations.prefix, buckets.prefix)
                 order by run_id desc limit 1
             ) as run on true
             order by bucket, prefix",
        )
        .bind(ATTENDED_NOW.as_secs_f64())
        .fetch_all(&mut *transaction)
        .await?;
        let problems =
            sqlx::query_as("select subject, message, remedy, since from catalog.problems order by subject")
                .fetch_all(&mut *transaction)
                .await?;
        let quarantined =
            sqlx::query_scalar("select count(*) from catalog.quarantine where replayed_at is null")
                .fetch_one(&mut *transaction)
                .await?;
        let as_of = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut *transaction).await?;
        let daemons = daemons(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Status { as_of, daemons, buckets, problems, quarantined })
    }
}
