//! Looks at versions that were created, where that is wanted: after the commit, at its own pace, so
//! that a slow S3 holds nothing up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::bucket::details::{Details, Enrich};
use crate::catalog::{Catalog, Connection, Lookup, Seen};
use crate::chain::chain;
use crate::clock::Clock;
use crate::fault::{Fault, Kind};
use crate::health::{Health, Subject};
use crate::model::VersionId;
use crate::pulse;

/// How many versions are taken at once for each that is looked at at once.
const TAKE: usize = 8;
/// How long a version that was taken is ours. If we die, it waits for so long.
const LEASE: Duration = Duration::from_secs(300);
/// How long to wait before looking for due versions again, when there were none.
const POLL: Duration = Duration::from_secs(1);
/// How long a version waits that could not be looked at, times its attempts.
const PAUSE_FAULT: Duration = Duration::from_secs(10);
const PAUSE_FAULT_MAX: Duration = Duration::from_secs(3_600);
/// How long all wait where something is wrong with more than one version.
const PAUSE_ALL: Duration = Duration::from_secs(10);
/// How often a version is looked at whose answer is of no use, such as one encrypted with a key that only
/// its writer has.
const ATTEMPTS_MAX: i32 = 5;

/// All that looking at the versions of one connection takes.
pub struct Enricher<B> {
    /// The bucket at S3.
    pub bucket: Arc<B>,
    /// The catalog in Postgres.
    pub catalog: Catalog,
    /// Which bucket and prefix.
    pub connection: Arc<Connection>,
    /// What is asked.
    pub enrich: Enrich,
    /// Versions looked at at once.
    pub concurrency: usize,
    /// Requests a second.
    pub rate: u32,
    /// Where trouble is told.
    pub health: Health,
    /// Our own clock.
    pub clock: Clock,
}

impl<B: Details> Enricher<B> {
    /// Looks at versions until told to stop. One that cannot be looked at stays queued and is tried again,
    /// later each time.
    pub async fn look_at_versions(self, shutdown: CancellationToken) {
        let pace = Arc::new(Mutex::new(pace(self.rate)));
        let places = Arc::new(Semaphore::new(self.concurrency));
        while !shutdown.is_cancelled() {
            pulse::beat();
            let (connection, now) = (&self.connection, (self.clock)());
            let take = self.catalog.take_lookups(connection, self.concurrency * TAKE, LEASE, now);
            let due = take.await.unwrap_or_else(|error| {
                // The database has a watch of its own; here there is nothing to do but to wait.
                tracing::debug!(%error, bucket = connection.bucket, "take lookups");
                Vec::new()
            });
            if due.is_empty() {
                shutdown.run_until_cancelled(tokio::time::sleep(POLL)).await;
                continue;
            }
            let mut looks = JoinSet::new();
            for lookup in due {
                let (bucket, enrich) = (Arc::clone(&self.bucket), self.enrich);
                let (pace, places) = (Arc::clone(&pace), Arc::clone(&places));
                looks.spawn(async move {
                    // The semaphore is never closed.
                    let _place = places.acquire().await;
                    look(&*bucket, enrich, lookup, &pace).await
                });
            }
            // What was taken and is not looked at is due again when its lease is over.
            let Some(looked) = shutdown.run_until_cancelled(looks.join_all()).await else { return };
            if !self.write_down(looked).await {
                shutdown.run_until_cancelled(tokio::time::sleep(PAUSE_ALL)).await;
            }
        }
    }

    /// Writes down what was seen. Whether it makes sense to go on at once.
    async fn write_down(&self, looked: Vec<Result<Seen, (Lookup, Fault)>>) -> bool {
        let Self { connection, catalog, health, clock, .. } = self;
        let Connection { bucket, prefix, .. } = &**connection;
        let subject = Subject::Details { name: bucket.clone(), prefix: prefix.clone() };
        let (mut seen, mut worst) = (Vec::new(), None);
        for look in looked {
            let (lookup, fault) = match look {
                Ok(one) => {
                    seen.push(one);
                    continue;
                }
                Err(failed) => failed,
            };
            let is_of_this_one = matches!(fault.kind, Kind::Other | Kind::Malformed | Kind::Unsupported);
            if is_of_this_one && lookup.attempts >= ATTEMPTS_MAX {
                tracing::warn!(bucket, key = lookup.key, version_id = lookup.version_id, %fault, "give up looking");
                seen.push(Seen { lookup, is_there: false, head: None, tags: None });
                continue;
            }
            let attempts = u32::try_from(lookup.attempts).unwrap_or(1);
            let pause = PAUSE_FAULT.saturating_mul(attempts).min(PAUSE_FAULT_MAX);
            let error = fault.to_string();
            let put_off = catalog.put_off_lookup(connection, &lookup, &error, pause, clock()).await;
            if let Err(error) = put_off {
                tracing::debug!(%error, bucket, "put a lookup off");
            }
            if !is_of_this_one || worst.is_none() {
                worst = Some((fault, is_of_this_one));
            }
        }
        if let Err(error) = catalog.note_seen(connection, &seen, clock()).await {
            tracing::warn!(error = chain(&error), bucket, "write down what was seen of versions");
            return false;
        }
        match worst {
            Some((fault, is_of_one)) => {
                health.fault(subject, &fault, clock());
                is_of_one
            }
            None => {
                health.ok(subject);
                true
            }
        }
    }
}

/// At most so many ticks a second, and none made up for.
fn pace(rate: u32) -> Interval {
    let mut interval = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Looks at one version.
#[tracing::instrument(name = "lookup", skip_all, fields(attempts = lookup.attempts))]
async fn look(
    bucket: &impl Details,
    enrich: Enrich,
    lookup: Lookup,
    pace: &Mutex<Interval>,
) -> Result<Seen, (Lookup, Fault)> {
    let version = VersionId::parse(Some(&lookup.version_id));
    let (mut head, mut tags) = (None, None);
    let mut is_there = true;
    if enrich.head {
        pace.lock().await.tick().await;
        match bucket.head(&lookup.key, &version).await {
            Ok(answer) => head = answer,
            Err(fault) => return Err((lookup, fault)),
        }
        is_there = head.is_some();
    }
    if enrich.tags && is_there {
        pace.lock().await.tick().await;
        match bucket.tags(&lookup.key, &version).await {
            Ok(answer) => tags = answer,
            Err(fault) => return Err((lookup, fault)),
        }
        is_there = tags.is_some();
    }
    Ok(Seen { lookup, is_there, head, tags })
}
