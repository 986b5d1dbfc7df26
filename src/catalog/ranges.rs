//! Ranges of a run under way: taken for a while, gone through, given away in part.

use std::time::Duration;

use sqlx::FromRow;

use super::rows::date;
use super::session::Session;
use super::{Catalog, Counts, Run};
use crate::model::{Span, Timestamp};

/// How long a range that was taken is ours unless the lease is renewed. Who dies, or is cut off from
/// Postgres for so long, loses it.
pub const LEASE: Duration = Duration::from_secs(30);

/// A range that is ours as long as nobody else takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    range_id: i64,
    /// Of this taking.
    pub lease: i64,
    /// What is left of it.
    pub span: Span,
}

#[derive(FromRow)]
struct RangeRow {
    range_id: i64,
    lease: i64,
    position: String,
    range_to: Option<String>,
}

/// How far we have come in a range since the last time that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// All keys up to here are judged.
    pub position: String,
    /// How much was listed.
    pub counts: Counts,
    /// The latest moment that one of the pages can be of.
    pub window_to: Timestamp,
    /// Whether that was all.
    pub is_done: bool,
    /// Where the range is cut, if somebody wants a part of it: what is beyond the first, and nothing else, is anybody's.
    pub cuts: Vec<String>,
}

/// Writes progress down, if the range is still ours, and renews the lease: whether it is, and
/// if so, whether somebody elsewhere waits for a part of it. Until the transaction ends nobody else can take it.
pub(super) async fn advance(
    transaction: &mut Session,
    range: &Range,
    progress: &Progress,
) -> Result<Option<bool>, sqlx::Error> {
    let advanced: Option<(i64, bool)> = sqlx::query_as(
        "update catalog.ranges
         set position = $3, keys_listed = keys_listed + $4, versions_listed = versions_listed + $5,
             window_to = greatest(window_to, $6), is_done = $7,
             leased_until = clock_timestamp() + make_interval(secs => $8)
         where range_id = $1 and lease = $2
         returning run_id, is_wanted",
    )
    .bind(range.range_id)
    .bind(range.lease)
    .bind(&progress.position)
    .bind(progress.counts.keys)
    .bind(progress.counts.versions)
    .bind(date(progress.window_to))
    .bind(progress.is_done)
    .bind(LEASE.as_secs_f64())
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((run_id, is_wanted)) = advanced else { return Ok(None) };
    let Some(first) = progress.cuts.first() else { return Ok(Some(is_wanted)) };
    sqlx::query("update catalog.ranges set range_to = $2, is_wanted = false where range_id = $1")
        .bind(range.range_id)
        .bind(first)
        .execute(&mut *transaction)
        .await?;
    let ends = progress.cuts.iter().skip(1).map(Some).chain([range.span.to.as_ref()]);
    let beyond = progress.cuts.iter().zip(ends);
    let beyond: Vec<Span> =
        beyond.map(|(after, to)| Span { after: after.clone(), to: to.cloned() }).collect();
    add(transaction, run_id, &beyond).await?;
    Ok(Some(false))
}

/// Notes how many removals were withheld of a range that we advance in.
pub(super) async fn note_withheld(
    transaction: &mut Session,
    range: &Range,
    removals: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update catalog.ranges set withheld = withheld + $2 where range_id = $1")
        .bind(range.range_id)
        .bind(removals)
        .execute(transaction)
        .await
        .map(drop)
}

/// Adds ranges that anybody may take.
pub(super) async fn add(transaction: &mut Session, run_id: i64, spans: &[Span]) -> Result<(), sqlx::Error> {
    let (after, to): (Vec<&str>, Vec<Option<&str>>) =
        spans.iter().map(|span| (span.after.as_str(), span.to.as_deref())).unzip();
    sqlx::query(
        "insert into catalog.ranges (run_id, range_after, range_to, position)
         select $1, range_after, range_to, range_after
         from unnest($2::text[], $3::text[]) as new (range_after, range_to)",
    )
    .bind(run_id)
    .bind(after)
    .bind(to)
    .execute(transaction)
    .await
    .map(drop)
}

impl Catalog {
    /// Takes a range of a run that nobody has, or whose lease is over.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take_range(&self, run: &Run) -> Result<Option<Range>, sqlx::Error> {
        let row: Option<RangeRow> = sqlx::query_as(
            "update catalog.ranges
             set lease = nextval('catalog.lease'), leased_until = clock_timestamp() + make_interval(secs => $2)
             where range_id = (
                 select range_id from catalog.ranges
                 where run_id = $1 and not is_done and leased_until <= clock_timestamp()
                 order by range_after limit 1
                 for update skip locked)
             returning range_id, lease, position, range_to",
        )
        .bind(run.run_id)
        .bind(LEASE.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Range {
            range_id: row.range_id,
            lease: row.lease,
            span: Span { after: row.position, to: row.range_to },
        }))
    }

    /// Asks those elsewhere who have a range, with none of the leases that are `ours`, for a part of it, `count` of
    /// them. None if all ranges are done; else whether they know of it now: who is saving a range just then does not.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn want_ranges(
        &self,
        run: &Run,
        count: usize,
        ours: &[i64],
    ) -> Result<Option<bool>, sqlx::Error> {
        let asked = sqlx::query(
            "update catalog.ranges set is_wanted = true
             where range_id = any (array(
                 select range_id from catalog.ranges
                 where run_id = $1 and not is_done and not is_wanted and leased_until > clock_timestamp()
                   and lease <> all($3)
                 order by keys_listed desc limit $2
                 for update skip locked))",
        )
        .bind(run.run_id)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .bind(ours)
        .execute(&self.pool)
        .await?
        .rows_affected();
        let are_all_asked: Option<bool> = sqlx::query_scalar(
            "select bool_and(is_wanted or coalesce(lease = any($2), false))
             from catalog.ranges where run_id = $1 and not is_done",
        )
        .bind(run.run_id)
        .bind(ours)
        .fetch_one(&self.pool)
        .await?;
        Ok(are_all_asked.map(|are_all_asked| asked > 0 || are_all_asked))
    }

    /// Renews leases, and notes for those who watch how far the run has come. A range that is being
    /// saved is renewed by that.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn renew_leases(&self, run: &Run, leases: &[i64]) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.ranges set leased_until = clock_timestamp() + make_interval(secs => $3)
             where range_id in (
                 select range_id from catalog.ranges where run_id = $1 and lease = any($2) and not is_done
                 for update skip locked)",
        )
        .bind(run.run_id)
        .bind(leases)
        .bind(LEASE.as_secs_f64())
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "update catalog.reconciliations set (keys_listed, versions_listed) = (
                 select sum(keys_listed), sum(versions_listed) from catalog.ranges where run_id = $1)
             where run_id = $1 and status = 'running'",
        )
        .bind(run.run_id)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Gives ranges back, so that somebody else need not wait until their lease is over.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn give_back_ranges(&self, run: &Run, leases: &[i64]) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.ranges set lease = null, leased_until = clock_timestamp()
             where run_id = $1 and lease = any($2)",
        )
        .bind(run.run_id)
        .bind(leases)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
