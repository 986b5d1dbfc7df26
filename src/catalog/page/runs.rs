//! Runs: those that were, and those under way with their ranges.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::catalog::{Catalog, RunStatus};

/// A run, over all of what is connected or a part of it.
#[derive(Debug, FromRow)]
pub struct RunLine {
    /// What `stocktake status` shows of it.
    #[sqlx(flatten)]
    pub run: RunStatus,
    /// Keys that were left to rechecks.
    pub doubts: i64,
}

/// A run under way, as of what those at work on it last saved.
#[derive(Debug, FromRow)]
pub struct RunUnderWay {
    /// Its id.
    pub run_id: i64,
    /// The bucket's name.
    pub bucket: String,
    /// What it is over.
    pub prefix: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// Why.
    pub reason: Option<String>,
    /// Keys listed.
    pub keys: i64,
    /// Versions and markers listed.
    pub versions: i64,
    /// Differences put right.
    pub drift: i64,
    /// How many versions the last complete run over the same listed.
    pub versions_before: Option<i64>,
    /// Ranges in all; there will be more.
    pub ranges: i64,
    /// Those that are gone through.
    pub ranges_done: i64,
    /// Those that somebody is at work on.
    pub ranges_taken: i64,
}

/// A part of a run: the keys after one up to another.
#[derive(Debug, FromRow)]
pub struct RangeUnderWay {
    /// It begins after this key.
    pub range_after: String,
    /// It ends with this key; none: with the last one of the run.
    pub range_to: Option<String>,
    /// Up to here all keys are judged.
    pub position: String,
    /// Keys listed.
    pub keys_listed: i64,
    /// Whether it is gone through.
    pub is_done: bool,
    /// Whether somebody is at work on it.
    pub is_taken: bool,
}

impl Catalog {
    /// The last runs of a connection, or of parts of it, the latest first.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn runs_of(&self, bucket: &str, prefix: &str, limit: i64) -> Result<Vec<RunLine>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, prefix as run_prefix, source, report,
                    case when source = 'inventory' then window_from end as report_from, reason, status, started_at,
                    finished_at, keys_listed, missing, stale, ghost, latest, missing + stale + ghost + latest as drift,
                    error, withheld, doubts
             from catalog.reconciliations
             where bucket = $1 and starts_with(prefix, $2)
             order by run_id desc limit $3",
        )
        .bind(bucket)
        .bind(prefix)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// The bucket that a run is or was over, as long as it is remembered.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn bucket_of_run(&self, run_id: i64) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("select bucket from catalog.reconciliations where run_id = $1")
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
    }

    /// All runs under way, up to a limit.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn runs_under_way(&self, limit: i64) -> Result<Vec<RunUnderWay>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, bucket, prefix, started_at, reason, missing + stale + ghost + latest as drift,
                    sums.*, (
                        select versions_listed from catalog.reconciliations as before
                        where before.bucket = run.bucket and before.prefix = run.prefix
                          and before.status = 'complete' and before.source = 'listing'
                        order by run_id desc limit 1
                    ) as versions_before
             from catalog.reconciliations as run, lateral (
                 select coalesce(sum(ranges.keys_listed), 0)::bigint as keys,
                        coalesce(sum(ranges.versions_listed), 0)::bigint as versions,
                        count(*) as ranges, count(*) filter (where is_done) as ranges_done,
                        count(*) filter (where not is_done and lease is not null
                                         and leased_until > statement_timestamp()) as ranges_taken
                 from catalog.ranges where ranges.run_id = run.run_id) as sums
             where status = 'running'
             order by bucket, prefix limit $1",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// The ranges of a run in the order of keys, up to a limit.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn ranges_of(&self, run_id: i64, limit: i64) -> Result<Vec<RangeUnderWay>, sqlx::Error> {
        sqlx::query_as(
            "select range_after, range_to, position, keys_listed, is_done,
                    not is_done and lease is not null and leased_until > statement_timestamp() as is_taken
             from catalog.ranges where run_id = $1 order by range_after limit $2",
        )
        .bind(run_id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }
}
