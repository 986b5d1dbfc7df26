//! Runs: a listing beside the catalog's rows, and what differs put right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::catalog::{Catalog, Connection, Counts, Ending, Repaired, Run, Trigger};
use crate::chain::chain;
use crate::clock::Clock;
use crate::metrics;
use crate::model::{Drift, Sample, Span, Timestamp, partition};

mod leases;
mod look;
mod pages;
mod rehearsal;
mod reports;
mod schedule;
mod sweep;
mod team;
mod trouble;
mod unrepresentable;

pub use rehearsal::{CHANGES_MAX, Found, Rehearsal};
pub use schedule::{Keeper, Schedule, least_period};
use team::{Task, Team};
pub use trouble::{Trouble, command, guard_remedy};

/// How many rows make a part worth a request of its own.
const ROWS_A_PART: f64 = 10_000.0;

/// How often somebody who is done looks whether the others are, too.
const REMOVALS_POLL: Duration = Duration::from_millis(200);

/// How a run goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Why it may start; none to go on with one that is under way and nothing else.
    pub trigger: Option<Trigger>,
    /// How many ranges of the run this process has in flight.
    pub concurrency: usize,
    /// How many percent of the catalog's versions it may remove.
    pub max_removals: u8,
    /// Whether it may remove however many it finds gone.
    pub allow_removals: bool,
}

impl Settings {
    /// As they are where nobody says anything, for a run that an operator asks for.
    pub const DEFAULT: Self =
        Self { trigger: Some(Trigger::Operator), concurrency: 16, max_removals: 20, allow_removals: false };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// An inventory report that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReport {
    /// Where its manifest is, as `s3://…`.
    pub manifest: String,
    /// When S3 began to make it.
    pub began: Timestamp,
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its id in `catalog.reconciliations`; a rehearsal has none.
    pub run_id: Option<i64>,
    /// The inventory report that it read, if it did not list.
    pub report: Option<ReadReport>,
    /// How much it listed.
    pub counts: Counts,
    /// How much drift of each kind.
    pub drift: BTreeMap<Drift, i64>,
    /// How many keys have to be listed again, alone.
    pub doubts: usize,
    /// How many tombstones it made useless.
    pub purged: u64,
    /// Of how many storage classes `catalog.bucket_stats` was wrong.
    pub wrong_sums: i64,
}

/// Lists everything of `connection` below `prefix` (its own, or a longer one) and puts the catalog
/// right. A run over all of the connection makes its window the watermark.
///
/// If such a run is under way, here or elsewhere or given up by a process that died, this joins it,
/// and the summary is of all of it. Without a trigger it does
/// nothing else. Told to stop, it leaves the run as it is, for the next to go on.
///
/// # Errors
/// See [`Trouble`]. If the run is over with it, the ledger says the same.
#[tracing::instrument(skip_all, fields(bucket = connection.bucket, prefix, run_id))]
pub async fn run<B: Bucket>(
    bucket: &Arc<B>,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    settings: &Settings,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<Summary, Trouble> {
    let Settings { concurrency, max_removals, allow_removals, .. } = *settings;
    let (run, sample) = join_or_start(&**bucket, catalog, connection, prefix, settings, clock).await?;
    tracing::Span::current().record("run_id", run.run_id);
    if allow_removals {
        let allowed = catalog.allow_removals(&run).await;
        allowed.map_err(postgres(connection, "allow removals"))?;
    }
    let task = Task::Run { run: run.clone(), max_removals };
    let team = Team::new(bucket, catalog, connection, prefix, task, clock, shutdown).knowing(sample);
    let team = Arc::new(team);
    // Too large for those who wait for it, as it is.
    let work = Box::pin(async {
        let listed = Arc::clone(&team).list(concurrency).await;
        if let Some(trouble) = listed.as_ref().err().filter(|trouble| trouble.is_final()) {
            let (ending, why) = (Ending::Failed, chain(trouble));
            let ended = catalog.end_run(&connection.bucket, &run, ending, &why, None, clock()).await;
            if let Err(error) = ended {
                tracing::warn!(error = chain(&error), run_id = run.run_id, "note that a run failed");
            }
        }
        listed?;
        complete(catalog, connection, &run, max_removals, clock, shutdown).await
    });
    // Beside the last pages, while there is little else to do. The sums are right at every moment, or wrong.
    let count = Box::pin(async {
        team.wanes().await;
        let is_whole = run.prefix == connection.prefix;
        Ok(if is_whole { catalog.verify_stats(connection, &run, clock()).await } else { Ok(0) })
    });
    let ((is_ours, purged), wrong) = tokio::try_join!(work, count)?;
    let wrong = wrong.map_err(postgres(connection, "count the bucket"))?;
    metrics::drift(&connection.bucket, "stats").increment(wrong);
    summary(catalog, connection, &run, is_ours, purged).await
}

/// Lists like [`run`], and adds to `rehearsal` what a run would change, with so many parts in flight at
/// once. Changes nothing.
///
/// # Errors
/// See [`Trouble`].
#[expect(clippy::too_many_arguments, reason = "each is one of the things it takes, and none belong together")]
pub async fn rehearse<B: Bucket>(
    bucket: &Arc<B>,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    concurrency: usize,
    rehearsal: &Arc<Rehearsal>,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<(), Trouble> {
    let sample = sample(catalog, connection, prefix).await?;
    let spans = spans(&sample, concurrency);
    let task = Task::Rehearsal(Arc::clone(rehearsal));
    let team = Team::new(bucket, catalog, connection, prefix, task, clock, shutdown).knowing(sample);
    Arc::new(team).rehearse(spans, concurrency).await
}

/// Ends a run as stopped that this process leaves unfinished, unless another is at work on it: whether it
/// was ended. Without this the run is gone on with, by any daemon that keeps the bucket.
///
/// # Errors
/// When Postgres is away or refuses.
pub async fn call_off(
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    why: &str,
    clock: Clock,
) -> Result<bool, sqlx::Error> {
    let Some(run) = catalog.open_run(connection, prefix).await? else { return Ok(true) };
    let idle = Some(Duration::ZERO);
    catalog.end_run(&connection.bucket, &run, Ending::Stopped, why, idle, clock()).await
}

async fn join_or_start<B: Bucket>(
    bucket: &B,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    settings: &Settings,
    clock: Clock,
) -> Result<(Run, Sample), Trouble> {
    loop {
        let open = catalog.open_run(connection, prefix).await;
        if let Some(run) = open.map_err(postgres(connection, "look for a run"))? {
            tracing::info!(bucket = connection.bucket, prefix, run_id = run.run_id, "run goes on");
            return Ok((run, sample(catalog, connection, prefix).await?));
        }
        let needless = || Trouble::Needless(connection.bucket.clone());
        let trigger = settings.trigger.ok_or_else(needless)?;
        if let Trigger::Due { last, .. } = trigger {
            let now =
                catalog.last_run(connection).await.map_err(postgres(connection, "read the last run"))?;
            if now.map(|now| now.run_id) != last {
                return Err(needless());
            }
        }
        let sample = sample(catalog, connection, prefix);
        let (versioning, sampled) = tokio::join!(bucket.versioning(), sample);
        let ((versioning, start), sample) = (versioning?, sampled?);
        let spans = spans(&sample, settings.concurrency);
        let (ranges, started) = (spans.len(), start.from);
        let run = catalog.start_run(connection, prefix, trigger, &spans, started, clock()).await;
        // None if somebody else was faster.
        if let Some(run) = run.map_err(postgres(connection, "start a run"))? {
            let (bucket, run_id, reason) = (&connection.bucket, run.run_id, trigger.reason().as_str());
            tracing::info!(bucket, prefix, run_id, reason, %versioning, ranges, "run starts");
            return Ok((run, sample));
        }
    }
}

/// Some of the keys in the catalog.
async fn sample(catalog: &Catalog, connection: &Connection, prefix: &str) -> Result<Sample, Trouble> {
    catalog.sample_keys(connection, prefix).await.map_err(postgres(connection, "sample the keys"))
}

/// The parts a run begins with, one for each range in flight: whoever is done with theirs gets a part of another. Where
/// the catalog has few rows it is one.
fn spans(sample: &Sample, concurrency: usize) -> Vec<Span> {
    let parts = concurrency.min((sample.rows(&Span::all()) / ROWS_A_PART) as usize).max(1);
    partition(sample.cuts(&Span::all(), parts))
}

/// What follows when all is listed: removals, if they are not too many, and the new watermark. Whether it was us who
/// completed the run, and how many tombstones were purged then.
async fn complete(
    catalog: &Catalog,
    connection: &Connection,
    run: &Run,
    max_removals: u8,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<(bool, u64), Trouble> {
    let judged = catalog.judge_removals(connection, run, max_removals, true, clock()).await;
    judged.map_err(postgres(connection, "judge what to remove"))?;
    let is_ours = loop {
        if shutdown.is_cancelled() {
            return Err(Trouble::Stopped);
        }
        let applied = catalog.apply_withheld(connection, run, clock()).await;
        if let Some(repaired) = applied.map_err(postgres(connection, "remove what is gone"))? {
            count(&connection.bucket, &repaired);
            continue;
        }
        let is_ours = catalog.complete_run(connection, run, clock()).await;
        if is_ours.map_err(postgres(connection, "complete a run"))? {
            break true;
        }
        let end = catalog.end_of_run(run).await.map_err(postgres(connection, "read the end of a run"))?;
        let (bucket, prefix) = (&connection.bucket, &run.prefix);
        match (end.0.as_str(), end.1, end.2) {
            ("complete", ..) => break false,
            // Another process is removing some of them, or died while it did.
            ("running", ..) => {
                shutdown.run_until_cancelled(tokio::time::sleep(REMOVALS_POLL)).await;
            }
            (_, why, true) => return Err(Trouble::guarded(bucket, prefix, why.unwrap_or_default())),
            (status, why, false) => {
                let why = why.map_or(status.to_owned(), |why| format!("{status}, {why}"));
                return Err(Trouble::Ended { bucket: bucket.clone(), prefix: prefix.clone(), why });
            }
        }
    };
    let mut purged = 0;
    while is_ours && run.prefix == connection.prefix && !shutdown.is_cancelled() {
        let more = catalog.purge_tombstones(connection, run.started).await;
        match more.map_err(postgres(connection, "purge tombstones"))? {
            0 => break,
            more => purged += more,
        }
    }
    Ok((is_ours, purged))
}

/// What all who were at work on a run found.
async fn summary(
    catalog: &Catalog,
    connection: &Connection,
    run: &Run,
    is_ours: bool,
    purged: u64,
) -> Result<Summary, Trouble> {
    let found = catalog.counts_of_run(run.run_id).await;
    let (counts, doubts) = found.map_err(postgres(connection, "read what a run found"))?;
    let drift = catalog.drift_of_run(run.run_id).await;
    let drift = drift.map_err(postgres(connection, "read the drift of a run"))?;
    let wrong_sums = catalog.wrong_sums_of_run(connection, run).await;
    let wrong_sums = wrong_sums.map_err(postgres(connection, "read the drift of a run"))?;
    let doubts = usize::try_from(doubts).unwrap_or_default();
    if is_ours {
        tracing::info!(
            bucket = connection.bucket,
            prefix = run.prefix,
            run_id = run.run_id,
            keys = counts.keys,
            versions = counts.versions,
            drift = drift.values().sum::<i64>(),
            doubts,
            purged,
            "run complete"
        );
    }
    Ok(Summary { run_id: Some(run.run_id), report: None, counts, drift, doubts, purged, wrong_sums })
}

/// Counts what a run put right.
fn count(bucket: &str, repaired: &Repaired) {
    for (kind, count) in repaired.counts() {
        metrics::drift(bucket, kind.as_str()).increment(count.unsigned_abs());
    }
}

fn postgres(connection: &Connection, action: &'static str) -> impl Fn(sqlx::Error) -> Trouble {
    move |error| Trouble::postgres(action, &connection.bucket, error)
}
