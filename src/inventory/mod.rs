//! Inventory reports of S3, for buckets whose full listing is too dear
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html>).
//!
//! A report is up to two days old, in no order, and made over hours of a bucket that changes. So it
//! only *nominates*: a key of which it has something else than the catalog, for which nothing that is
//! known to be later accounts, is queued for a recheck. What the catalog says changes by that listing
//! alone, and the watermark does not move.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bucket::Objects;
use crate::catalog::{
    Catalog, Connection, Counts, Effect, Ending, LEASE, Place, Reading, Reason, Reported, ReportedRow,
};
use crate::chain::chain;
use crate::clock::Clock;
use crate::ignore::Ignore;
use crate::model::{Horizon, Join, Listed, Pair, RawKey, Stack, Step};
use crate::reconcile::{ReadReport, Summary, Trouble};

mod broken;
mod columns;
mod csv;
mod find;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod guarded;
#[cfg(test)]
mod hostile;
mod manifest;
mod parquet;
mod spool;
#[cfg(test)]
mod tests;
mod thrift;

pub use broken::Broken;
use find::Found;
use manifest::{Format, Manifest};

/// Rows on their way into Postgres together, and how many such batches may wait.
const BATCH_ROWS: usize = 1_000;
const BATCHES_MAX: usize = 8;
/// The most keys that the catalog cannot hold which are recorded of one file.
const UNREPRESENTABLE_ROWS_MAX: usize = 10_000;
/// The most keys one report may nominate, whatever `recheck.limit` allows: they are in memory together.
const NOMINATIONS_MAX: usize = 100_000;
/// How often a report that is being read is noted to be ours still.
const RENEW_EVERY: Duration = Duration::from_secs(LEASE.as_secs() / 3);

/// Where the reports of a bucket are delivered to.
#[derive(Clone, Debug)]
pub struct Source<B> {
    /// The destination bucket.
    pub bucket: Arc<B>,
    /// Its name.
    pub name: String,
    /// The folder that the dated folders are in, with its `/`.
    pub prefix: String,
}

impl<B> Source<B> {
    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }
}

/// How a report is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether keys are queued, or only counted.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// With more keys than this a full listing is due, and none is queued.
    pub limit: usize,
}

/// Reads the newest report that is complete and was not read before, and queues the keys below `prefix`
/// (the connection's, or a longer one) of which it has something else than the catalog. How many those
/// are is in the summary's `doubts`.
///
/// # Errors
/// See [`Trouble`]. Then nothing is queued.
pub async fn run<B: Objects>(
    source: &Source<B>,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    settings: Settings,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<Summary, Trouble> {
    let bucket = &connection.bucket;
    let postgres = |action: &'static str| move |error| Trouble::postgres(action, bucket, error);
    let horizon = catalog.horizon(connection).await.map_err(postgres("read the horizon"))?;
    let Some(watermark) = horizon.watermark else { return Err(Trouble::NeverListed(bucket.clone())) };
    let is_kept = settings.effect == Effect::Keep;
    let read = catalog.last_report(connection, prefix).await.map_err(postgres("read the last report"))?;
    let read = read.filter(|_| is_kept);
    let search = find::newest(source, bucket, read.as_ref(), watermark.from);
    let found = shutdown.run_until_cancelled(search).await.ok_or(Trouble::Stopped)??;
    let comparison = Comparison {
        source,
        catalog,
        connection,
        prefix,
        horizon,
        limit: settings.limit.min(NOMINATIONS_MAX),
        clock,
        keys: AtomicI64::new(0),
        versions: AtomicI64::new(0),
    };
    if !is_kept {
        let nominated =
            shutdown.run_until_cancelled(comparison.nominate(&found)).await.ok_or(Trouble::Stopped)?;
        return Ok(comparison.summary(None, &found, nominated?.len()));
    }
    let began = found.manifest.report.began;
    let reading = catalog.begin_report(connection, prefix, &found.key, began, settings.reason, clock()).await;
    let Some(reading) = reading.map_err(postgres("begin to read a report"))? else {
        return Err(Trouble::Elsewhere(bucket.clone()));
    };
    let (run_id, report) = (reading.run.run_id, source.url(&found.key));
    tracing::info!(bucket, prefix, run_id, report, "reading an inventory report");
    let nominated = tokio::select! {
        nominated = shutdown.run_until_cancelled(comparison.nominate(&found)) => nominated.unwrap_or(Err(Trouble::Stopped)),
        trouble = comparison.keep_lease(&reading) => Err(trouble),
    };
    match nominated {
        Ok(nominated) => {
            let counts = comparison.counts();
            let done = catalog.complete_report(connection, &reading, counts, &nominated, clock()).await;
            if !done.map_err(postgres("complete the reading of a report"))? {
                return Err(Trouble::Elsewhere(bucket.clone()));
            }
            let Counts { keys, versions } = counts;
            let nominated = nominated.len();
            tracing::info!(bucket, prefix, run_id, keys, versions, nominated, "read an inventory report");
            Ok(comparison.summary(Some(run_id), &found, nominated))
        }
        Err(trouble) => {
            if let Err(error) = comparison.end(&reading, &trouble, clock).await {
                tracing::warn!(error = chain(&error), run_id, "note that a report was not read");
            }
            Err(trouble)
        }
    }
}

/// A report beside the catalog.
struct Comparison<'a, B> {
    source: &'a Source<B>,
    catalog: &'a Catalog,
    connection: &'a Connection,
    prefix: &'a str,
    horizon: Horizon,
    limit: usize,
    clock: Clock,
    /// How many were compared so far.
    keys: AtomicI64,
    versions: AtomicI64,
}

impl<B: Objects> Comparison<'_, B> {
    /// The keys that the report nominates. All of it is read, and checked, before the first is compared.
    async fn nominate(&self, found: &Found) -> Result<Vec<String>, Trouble> {
        let mut reported = self.catalog.reported().await.map_err(self.postgres("make room for a report"))?;
        for file in &found.manifest.files {
            let spooled = spool::fetch(self.source, file).await?;
            self.take(&mut reported, spooled, &self.source.url(&file.key), &found.manifest).await?;
        }
        reported.sort().await.map_err(self.postgres("sort a report"))?;
        self.compare(reported, found).await
    }

    /// Takes in the rows of one file.
    async fn take(
        &self,
        reported: &mut Reported<'_>,
        file: File,
        place: &str,
        manifest: &Manifest,
    ) -> Result<(), Trouble> {
        let (sender, receiver) = mpsc::channel(BATCHES_MAX);
        let (place, manifest) = (place.to_owned(), manifest.clone());
        let (prefix, ignore) = (self.prefix.to_owned(), self.connection.ignore.clone());
        let is_below = move |key: &[u8]| key.starts_with(prefix.as_bytes());
        let reader = spool::blocking(move || read(file, &place, &manifest, is_below, &ignore, &sender));
        let (read, taken) = tokio::join!(reader, reported.take(receiver));
        let unrepresentable = read?;
        taken.map(drop).map_err(self.postgres("take a report in"))?;
        let noted =
            self.catalog.note_unrepresentable(self.connection, None, &unrepresentable, (self.clock)());
        noted.await.map_err(self.postgres("record keys that the catalog cannot hold"))
    }

    async fn compare(&self, mut reported: Reported<'_>, found: &Found) -> Result<Vec<String>, Trouble> {
        let report = found.manifest.report;
        let mut join: Join<Vec<Listed>, Stack> = Join::default();
        let (mut nominated, mut place): (Vec<String>, Option<Place>) = (Vec::new(), None);
        // A key may go on with the rows that are read next.
        let mut open: Option<(String, Vec<Listed>)> = None;
        let unsorted = |unsorted| Trouble::Unsorted(self.connection.bucket.clone(), unsorted);
        loop {
            match join.step() {
                Step::NeedListed => {
                    let rows = reported.next_reported().await.map_err(self.postgres("read a report"))?;
                    let is_end = rows.is_empty();
                    for (key, entry) in rows {
                        match &mut open {
                            Some((last, entries)) if *last == key => entries.push(entry),
                            open => {
                                if let Some((key, entries)) = open.replace((key, vec![entry])) {
                                    join.push_listed(key, entries).map_err(unsorted)?;
                                }
                            }
                        }
                    }
                    if is_end {
                        if let Some((key, entries)) = open.take() {
                            join.push_listed(key, entries).map_err(unsorted)?;
                        }
                        join.end_listed();
                    }
                }
                Step::NeedHeld => {
                    let held = reported.next_held(self.connection, self.prefix, place.as_ref()).await;
                    let held = held.map_err(self.postgres("read the rows"))?;
                    for (key, stack) in held.keys {
                        join.push_held(key, stack).map_err(unsorted)?;
                    }
                    if held.next.is_none() {
                        join.end_held();
                    }
                    place = held.next;
                }
                Step::Pair(Pair { key, listed, held }) => {
                    let listed = listed.unwrap_or_default();
                    self.keys.fetch_add(i64::from(!listed.is_empty()), Ordering::Relaxed);
                    self.versions
                        .fetch_add(i64::try_from(listed.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
                    if report.nominates(&held.unwrap_or_default(), &listed, &self.horizon) {
                        nominated.push(key);
                    }
                    if nominated.len() > self.limit {
                        return Err(self.flooded(found));
                    }
                }
                Step::Done => return Ok(nominated),
            }
        }
    }

    fn flooded(&self, found: &Found) -> Trouble {
        Trouble::Flooded {
            bucket: self.connection.bucket.clone(),
            prefix: self.prefix.to_owned(),
            report: self.source.url(&found.key),
            limit: self.limit,
        }
    }

    /// Renews the lease until it is lost.
    async fn keep_lease(&self, reading: &Reading) -> Trouble {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.catalog.renew_report(reading, self.counts()).await {
                Ok(true) => {}
                Ok(false) => return Trouble::Elsewhere(self.connection.bucket.clone()),
                // Whether it is lost with that, the end will show.
                Err(error) => {
                    tracing::debug!(%error, run_id = reading.run.run_id, "renew the lease of a report")
                }
            }
        }
    }

    /// Writes down that it came to nothing, if it is over with that; else who tries again takes it over. Where it
    /// differs in too much, a listing is asked for.
    async fn end(&self, reading: &Reading, trouble: &Trouble, clock: Clock) -> Result<(), sqlx::Error> {
        let (ending, why) = match trouble {
            Trouble::Flooded { .. } | Trouble::Stopped => (Ending::Stopped, trouble.to_string()),
            Trouble::Elsewhere(_) => return Ok(()),
            _ if trouble.is_final() => (Ending::Failed, chain(trouble)),
            _ => return self.catalog.leave_report(reading).await,
        };
        let is_flooded = matches!(trouble, Trouble::Flooded { .. });
        if is_flooded && self.prefix == self.connection.prefix {
            // Before the end of this run, after which nobody would think of it.
            self.catalog.ask_run(self.connection, Reason::Doubts, clock()).await?;
        }
        self.catalog.renew_report(reading, self.counts()).await?;
        let is_unread = !(is_flooded || matches!(trouble, Trouble::Report(_)));
        self.catalog.end_report(self.connection, reading, ending, &why, is_unread, clock()).await
    }

    fn counts(&self) -> Counts {
        Counts { keys: self.keys.load(Ordering::Relaxed), versions: self.versions.load(Ordering::Relaxed) }
    }

    fn summary(&self, run_id: Option<i64>, found: &Found, nominated: usize) -> Summary {
        let (manifest, began) = (self.source.url(&found.key), found.manifest.report.began);
        let report = Some(ReadReport { manifest, began });
        Summary { run_id, report, counts: self.counts(), doubts: nominated, ..Summary::default() }
    }

    fn postgres(&self, action: &'static str) -> impl Fn(sqlx::Error) -> Trouble {
        move |error| Trouble::postgres(action, &self.connection.bucket, error)
    }
}

/// Reads the rows that are ours of a file that was fetched, and sends them on in batches. Keys that the catalog cannot
/// hold, up to as many as are kept.
fn read(
    file: File,
    place: &str,
    manifest: &Manifest,
    is_below: impl Fn(&[u8]) -> bool,
    ignore: &Ignore,
    sender: &mpsc::Sender<Vec<ReportedRow>>,
) -> Result<Vec<RawKey>, Broken> {
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    let mut unrepresentable = Vec::new();
    let give = |row: Result<ReportedRow, RawKey>| {
        match row {
            Ok(row) if is_below(row.0.as_bytes()) && !ignore.has(&row.0) => batch.push(row),
            Err(key) if is_below(&key.bytes) && unrepresentable.len() < UNREPRESENTABLE_ROWS_MAX => {
                unrepresentable.push(key);
            }
            _ => {}
        }
        // Where nobody takes any more, there is a trouble that tells why, or the daemon stops.
        !sender.is_closed() && batch.len() < BATCH_ROWS
            || sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS))).is_ok()
    };
    match manifest.format {
        Format::Csv => csv::read(file, place, manifest, give)?,
        Format::Parquet => parquet::read(file, place, manifest, give)?,
    }
    let _ = sender.blocking_send(batch);
    Ok(unrepresentable)
}
