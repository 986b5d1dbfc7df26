//! Lists keys in doubt, each alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bucket::{Bucket, Cursor, Key};
use crate::catalog::{Catalog, Connection, Recheck, Repaired, Sighting};
use crate::chain::chain;
use crate::clock::Clock;
use crate::fault::{Fault, Kind};
use crate::health::{Health, Subject};
use crate::{metrics, pulse};

/// How long a key that was taken is ours. If we die, it waits for so long; if its listing takes
/// longer, somebody else may list it, too, which costs a request and changes nothing.
pub(crate) const LEASE: Duration = Duration::from_secs(20);
/// How many keys [`settle_all`] takes at once, to list them one after the other.
const BATCH: usize = 10;
/// How long to wait before looking for due keys again, when there were none.
const POLL: Duration = Duration::from_secs(1);
/// How long a key waits that was listed too early to settle anything, beside the margin of S3's clocks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a key waits that could not be listed, times its attempts.
const PAUSE_FAULT: Duration = Duration::from_secs(5);
const PAUSE_FAULT_MAX: Duration = Duration::from_secs(600);
/// The most pages one key may fill: S3 itself slows down long before
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshooting-versioning.html>).
const PAGES_MAX: usize = 10_000;

/// Lists one key: all its versions and markers, or that there are none.
///
/// # Errors
/// When S3 is away or refuses, or when the key never ends.
pub async fn look(bucket: &impl Bucket, key: &str) -> Result<Sighting, Fault> {
    let mut after: Option<Cursor> = None;
    let mut sighting: Option<Sighting> = None;
    for _ in 0..PAGES_MAX {
        // Other keys begin with this one, too, but it is the first of them in byte order.
        pulse::beat();
        let page = bucket.list(key, after.as_ref()).await?;
        let sighting = sighting.get_or_insert_with(|| Sighting {
            key: key.to_owned(),
            listed: Vec::new(),
            window: page.window,
        });
        sighting.window = sighting.window.span(page.window);
        let is_beyond = page.keys.iter().any(|other| other.name != key)
            || page.unrepresentable.iter().any(|raw| *raw.bytes != *key.as_bytes());
        let of_key = page.keys.iter().filter(|other| other.name == key);
        sighting.listed.extend(of_key.flat_map(Key::listed));
        match page.next {
            Some(next) if !is_beyond => after = Some(next),
            _ => return Ok(sighting.clone()),
        }
    }
    Err(Fault {
        action: format!("list versions of key {key:?}"),
        kind: Kind::Malformed,
        answer: format!("no end after {PAGES_MAX} pages"),
        remedy: "see whether the store's version listing repeats itself".to_owned(),
        source: None,
    })
}

/// All that settling the doubts of one connection takes.
pub struct Rechecker<B> {
    /// The bucket at S3.
    pub bucket: Arc<B>,
    /// The catalog in Postgres.
    pub catalog: Catalog,
    /// Which bucket and prefix.
    pub connection: Arc<Connection>,
    /// Keys listed at once.
    pub concurrency: usize,
    /// Where trouble is told.
    pub health: Health,
    /// Our own clock.
    pub clock: Clock,
}

impl<B: Bucket> Rechecker<B> {
    /// Settles doubts until told to stop. A key that cannot be listed stays queued and is tried
    /// again, later each time.
    pub async fn settle_doubts(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            pulse::beat();
            let due = self.take().await.unwrap_or_else(|error| {
                // The database has a watch of its own; here there is nothing to do but to wait.
                tracing::debug!(%error, bucket = self.connection.bucket, "take rechecks");
                Vec::new()
            });
            if due.is_empty() {
                shutdown.run_until_cancelled(tokio::time::sleep(POLL)).await;
                continue;
            }
            let mut looks = JoinSet::new();
            for recheck in due {
                metrics::rechecks(&recheck.reason).increment(1);
                let (bucket, catalog) = (Arc::clone(&self.bucket), self.catalog.clone());
                let (connection, clock) = (Arc::clone(&self.connection), self.clock);
                let name = format!("recheck in bucket {}", connection.bucket);
                looks.spawn(pulse::keep(name, async move {
                    recheck_one(&*bucket, &catalog, &connection, &recheck, clock).await
                }));
            }
            while let Some(look) = pulse::rest(looks.join_next()).await {
                match look {
                    Ok(Ok(_)) => drop(self.health.ok(self.subject())),
                    Ok(Err(trouble)) => self.tell(&trouble),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                }
            }
        }
    }

    async fn take(&self) -> Result<Vec<Recheck>, sqlx::Error> {
        self.catalog.take_rechecks(&self.connection, self.concurrency, LEASE, (self.clock)()).await
    }

    fn subject(&self) -> Subject {
        Subject::Rechecks { name: self.connection.bucket.clone(), prefix: self.connection.prefix.clone() }
    }

    fn tell(&self, trouble: &Trouble) {
        match trouble {
            Trouble::S3(fault) => self.health.fault(self.subject(), fault, (self.clock)()),
            Trouble::Postgres(error) => {
                tracing::warn!(bucket = self.connection.bucket, error = chain(error), "settle a doubt")
            }
        }
    }
}

/// Settles what is in doubt now, for up to `patience`. How many keys are left in doubt.
///
/// # Errors
/// When S3 or Postgres is away or refuses; the keys stay queued.
pub async fn settle_all(
    bucket: &impl Bucket,
    catalog: &Catalog,
    connection: &Connection,
    patience: Duration,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<usize, Trouble> {
    let deadline = Instant::now() + patience;
    loop {
        let left = catalog.count_rechecks(connection, usize::MAX >> 1).await?;
        if left == 0 || Instant::now() > deadline || shutdown.is_cancelled() {
            return Ok(left);
        }
        let due = catalog.take_rechecks(connection, BATCH, LEASE, clock()).await?;
        if due.is_empty() {
            shutdown.run_until_cancelled(tokio::time::sleep(POLL)).await;
        }
        for recheck in due {
            recheck_one(bucket, catalog, connection, &recheck, clock).await?;
        }
    }
}

/// Why a key in doubt could not be settled.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The listing failed.
    #[error(transparent)]
    S3(#[from] Fault),
    /// The answer could not be written down.
    #[error("settle a recheck")]
    Postgres(#[from] sqlx::Error),
}

/// Lists one key that was taken, and writes down what that says.
///
/// # Errors
/// When S3 or Postgres is away or refuses; the key stays queued.
#[tracing::instrument(name = "recheck", skip_all, fields(bucket = connection.bucket, reason = recheck.reason))]
pub async fn recheck_one(
    bucket: &impl Bucket,
    catalog: &Catalog,
    connection: &Connection,
    recheck: &Recheck,
    clock: Clock,
) -> Result<Repaired, Trouble> {
    match look(bucket, &recheck.key).await {
        Ok(mut sighting) => {
            if connection.ignore.has(&recheck.key) {
                sighting.listed.clear();
            }
            let pause = connection.terms.margin + PAUSE;
            let repaired = catalog.settle(connection, recheck, &sighting, pause, clock()).await?;
            if recheck.run_id.is_some() {
                for (kind, count) in repaired.counts() {
                    metrics::drift(&connection.bucket, kind.as_str()).increment(count.unsigned_abs());
                }
            }
            Ok(repaired)
        }
        Err(fault) => {
            let attempts = u32::try_from(recheck.attempts).unwrap_or(1);
            let pause = PAUSE_FAULT.saturating_mul(attempts).min(PAUSE_FAULT_MAX);
            catalog.put_off_recheck(recheck, &fault.to_string(), pause, clock()).await?;
            Err(fault.into())
        }
    }
}
