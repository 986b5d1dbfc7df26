//! Merges claims in batches: what is waiting, up to a limit, and never waits for more. So latency
//! is one commit when there is little to do, and batches grow with the load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::aside::set_aside;
use super::{Ending, Plant, Settings, Work};
use crate::catalog::{Connection, Event, Traffic, Trouble, is_forgotten, said, trouble};
use crate::chain::chain;
use crate::health::Subject;
use crate::model::Verdict;
use crate::{metrics, pulse, watch};

/// The first pause before a batch that Postgres could not take is tried again; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Batches of several buckets that a worker has under way at once, or each would wait for the commits
/// of the others: they take most of the time, and Postgres makes several with one write to disk.
const BUCKETS_AT_ONCE: usize = 4;

/// Works until all receivers are gone and nothing is waiting.
pub(super) async fn work(
    plant: Plant,
    mut waiting: mpsc::Receiver<Work>,
    settings: Settings,
) -> &'static str {
    let mut batch = Vec::with_capacity(settings.batch_records);
    while pulse::rest(waiting.recv_many(&mut batch, settings.batch_records)).await > 0 {
        let mut by_connection: BTreeMap<(String, String), Vec<Work>> = BTreeMap::new();
        for work in batch.drain(..) {
            let Connection { bucket, prefix, .. } = &*work.claimed.connection;
            by_connection.entry((bucket.clone(), prefix.clone())).or_default().push(work);
        }
        let mut batches = JoinSet::new();
        for works in by_connection.into_values() {
            if batches.len() == BUCKETS_AT_ONCE {
                finished(pulse::rest(batches.join_next()).await);
            }
            let plant = plant.clone();
            batches.spawn(pulse::keep("ingest batch", async move { apply(&plant, works, settings).await }));
        }
        while !batches.is_empty() {
            finished(pulse::rest(batches.join_next()).await);
        }
    }
    "ingest worker"
}

/// What a batch died of, the worker dies of.
fn finished(batch: Option<Result<(), JoinError>>) {
    if let Some(Err(error)) = batch
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Applies a batch of one connection. One that Postgres does not take is halved until the
/// record that it does not take stands alone, and that one is set aside.
#[tracing::instrument(
    name = "batch",
    skip_all,
    fields(bucket = batch.first().map(|work| &*work.claimed.connection.bucket), records = batch.len())
)]
async fn apply(plant: &Plant, batch: Vec<Work>, settings: Settings) {
    let Ending { stop, give_back } = &plant.ending;
    let started = Instant::now();
    let mut pause = PAUSE_FIRST;
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        pulse::beat();
        let Some(connection) = batch.first().map(|work| Arc::clone(&work.claimed.connection)) else {
            continue;
        };
        let events: Vec<Event<'_>> = batch.iter().map(|work| work.claimed.event()).collect();
        let began = Instant::now();
        let apply = plant.catalog.apply(&connection, &events, (plant.clock)());
        let error = match give_back.run_until_cancelled(apply).await {
            // What is dropped comes again. Perhaps it was just being committed: then it changes nothing.
            None => continue,
            Some(Ok(verdicts)) => {
                metrics::batch_records().record(batch.len() as f64);
                metrics::commit().record(began.elapsed());
                finish(plant, &connection, batch, &verdicts);
                continue;
            }
            Some(Err(error)) => error,
        };
        match trouble(&error) {
            Trouble::Race | Trouble::Unfit if batch.len() > 1 => {
                let half = batch.split_off(batch.len() / 2);
                batches.extend([half, batch]);
            }
            Trouble::Unfit => {
                for Work { place, message, .. } in batch {
                    pulse::rest(set_aside(plant, &message, place, &chain(&error), "unfit", &[])).await;
                }
            }
            kind @ (Trouble::Race | Trouble::Locked | Trouble::Away | Trouble::Other) => {
                let said = said(&error);
                tracing::warn!(
                    bucket = connection.bucket,
                    records = batch.len(),
                    error = said,
                    "commit a batch"
                );
                let waits = matches!(kind, Trouble::Locked | Trouble::Away);
                if waits && !watch::waits_for_lock(&error, &plant.health) {
                    // The receivers pause at once; the database's watch will tell when it is back.
                    plant.health.problem(
                        Subject::Database,
                        said,
                        crate::catalog::remedy_of(&error),
                        (plant.clock)(),
                    );
                } else if kind == Trouble::Other && !is_forgotten(&error) {
                    // Postgres is there, and takes no event of this bucket.
                    let remedy = crate::catalog::remedy_of(&error);
                    plant.health.problem(subject(&connection), said, remedy, (plant.clock)());
                }
                let patience = if waits { settings.outage } else { settings.patience };
                let is_over = started.elapsed() > patience || stop.is_cancelled();
                let is_cut = is_over || stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
                pause = (pause * 2).min(PAUSE_MAX);
                if !is_cut {
                    batches.push(batch);
                }
            }
        }
    }
}

/// The subject of what does not get into the catalog.
fn subject(connection: &Connection) -> Subject {
    Subject::Events { name: connection.bucket.clone(), prefix: connection.prefix.clone() }
}

fn finish(plant: &Plant, connection: &Connection, batch: Vec<Work>, verdicts: &[Verdict]) {
    plant.health.ok(subject(connection));
    let now = (plant.clock)();
    let times = batch.iter().map(|work| work.claimed.claim.time);
    if let (Some(earliest), Some(latest)) = (times.clone().min(), times.max()) {
        let lag = Duration::try_from(now - OffsetDateTime::from(earliest)).unwrap_or_default();
        let traffic = Traffic { events: batch.len() as u64, lag: Some(lag) };
        plant.activity.note_events(connection, latest, traffic);
    }
    let lag = metrics::event_lag();
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for (Work { claimed, .. }, verdict) in batch.iter().zip(verdicts) {
        *counts.entry((claimed.kind, verdict.outcome.as_str())).or_default() += 1;
        lag.record((now - OffsetDateTime::from(claimed.claim.time)).as_seconds_f64());
    }
    for ((kind, outcome), count) in counts {
        metrics::events(&connection.bucket, kind, outcome).increment(count);
    }
    tracing::debug!(bucket = connection.bucket, records = batch.len(), "batch committed");
    for work in batch {
        work.message.done();
    }
}
