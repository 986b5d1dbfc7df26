//! Every metric there is, with its unit and help, and a function to record each.

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Unit};
use ::metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// The `bucket` of events from buckets that are not configured. Their names would be anybody's to
/// choose, and each a series of its own.
pub const NO_BUCKET: &str = "-";

/// How often observations are moved out of the way of the next ones.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name, exactly as it is scraped.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How often it was at most each of these.
    Histogram(&'static [f64]),
}

/// From a commit when idle to a day after an outage, in seconds.
const LAG: Kind =
    Kind::Histogram(&[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0]);
const SIZES: Kind =
    Kind::Histogram(&[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0]);
const COMMITS: Kind =
    Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);

/// All of them.
#[rustfmt::skip]
pub const ALL: &[Metric] = &[
    EVENTS, MESSAGES, QUEUE_DEPTH, QUEUE_OLDEST_AGE, QUARANTINED, EVENT_LAG, BATCH_RECORDS, COMMIT, COMMIT_RETRIES,
    RECHECKS, RECHECKS_PENDING, S3_REQUESTS, RECONCILE_KEYS, IGNORED_KEYS, SETUP_FAILURES, DRIFT, COMPLETE_THROUGH, BUILD_INFO,
];

const EVENTS: Metric = metric(
    "stocktake_events_total",
    Kind::Counter,
    Unit::Count,
    &["bucket", "kind", "outcome"],
    "Records of notifications, by what they said and what came of them.",
);
const MESSAGES: Metric = metric(
    "stocktake_messages_total",
    Kind::Counter,
    Unit::Count,
    &["queue", "outcome"],
    "Messages received, by what became of them.",
);
const QUEUE_DEPTH: Metric = metric(
    "stocktake_queue_depth",
    Kind::Gauge,
    Unit::Count,
    &["queue"],
    "Messages in the queue: about how many wait or are in somebody's hands.",
);
const QUEUE_OLDEST_AGE: Metric = metric(
    "stocktake_queue_oldest_age_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["queue"],
    "How long ago the oldest message that was received last had been sent; 0 when none was there.",
);
const QUARANTINED: Metric = metric(
    "stocktake_quarantined_total",
    Kind::Counter,
    Unit::Count,
    &["reason"],
    "Messages and records set aside because they could not be read.",
);
const EVENT_LAG: Metric = metric(
    "stocktake_event_lag_seconds",
    LAG,
    Unit::Seconds,
    &[],
    "From the time S3 gives an event to the commit that has it in the catalog.",
);
const BATCH_RECORDS: Metric =
    metric("stocktake_batch_records", SIZES, Unit::Count, &[], "Records in one transaction.");
const COMMIT: Metric = metric(
    "stocktake_commit_seconds",
    COMMITS,
    Unit::Seconds,
    &[],
    "How long one transaction took, from its beginning to its commit.",
);
const COMMIT_RETRIES: Metric = metric(
    "stocktake_commit_retries_total",
    Kind::Counter,
    Unit::Count,
    &[],
    "Transactions tried again because another writer was faster.",
);
const RECHECKS: Metric = metric(
    "stocktake_rechecks_total",
    Kind::Counter,
    Unit::Count,
    &["reason"],
    "Keys that S3 was asked about, by why they were in doubt.",
);
const RECHECKS_PENDING: Metric =
    metric("stocktake_rechecks_pending", Kind::Gauge, Unit::Count, &[], "Keys in doubt now.");
const S3_REQUESTS: Metric = metric(
    "stocktake_s3_requests_total",
    Kind::Counter,
    Unit::Count,
    &["operation", "outcome"],
    "Requests to S3, each attempt counted.",
);
const RECONCILE_KEYS: Metric = metric(
    "stocktake_reconcile_keys_total",
    Kind::Counter,
    Unit::Count,
    &[],
    "Keys that runs have compared with the catalog.",
);
const IGNORED_KEYS: Metric = metric(
    "stocktake_ignored_keys_total",
    Kind::Counter,
    Unit::Count,
    &["bucket"],
    "Keys that runs have seen and kept out of the catalog, as `ignore` says.",
);
const SETUP_FAILURES: Metric = metric(
    "stocktake_setup_failures",
    Kind::Gauge,
    Unit::Count,
    &["bucket", "check"],
    "1 while a check of the doctor's fails for a bucket, then 0.",
);
const DRIFT: Metric = metric(
    "stocktake_drift_total",
    Kind::Counter,
    Unit::Count,
    &["kind"],
    "Differences that runs have found between bucket and catalog.",
);
const COMPLETE_THROUGH: Metric = metric(
    "stocktake_complete_through_timestamp_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["bucket"],
    "The time, on S3's clock and since 1970, up to which the catalog is known to be complete.",
);
const BUILD_INFO: Metric =
    metric("stocktake_build_info", Kind::Gauge, Unit::Count, &["version"], "1, for the version that runs.");

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

/// Counts records. `outcome` is `applied`, `duplicate`, `stale`, `doubt` or `ignored`; `bucket`
/// is a configured one's name or [`NO_BUCKET`].
pub fn events(bucket: &str, kind: &'static str, outcome: &'static str) -> Counter {
    counter!(EVENTS.name, "bucket" => bucket.to_owned(), "kind" => kind, "outcome" => outcome)
}

/// Counts messages of a queue, by its URL.
pub fn messages(queue: &str, outcome: &'static str) -> Counter {
    counter!(MESSAGES.name, "queue" => queue.to_owned(), "outcome" => outcome)
}

/// Sets how many messages are in a queue.
pub fn queue_depth(queue: &str) -> Gauge {
    gauge!(QUEUE_DEPTH.name, "queue" => queue.to_owned())
}

/// Sets how many seconds ago the oldest message of the last answer had been sent.
pub fn queue_oldest_age(queue: &str) -> Gauge {
    gauge!(QUEUE_OLDEST_AGE.name, "queue" => queue.to_owned())
}

/// Counts what was set aside.
pub fn quarantined(reason: &'static str) -> Counter {
    counter!(QUARANTINED.name, "reason" => reason)
}

/// Records seconds from an event's time to its commit.
pub fn event_lag() -> Histogram {
    histogram!(EVENT_LAG.name)
}

/// Records how many records a transaction had.
pub fn batch_records() -> Histogram {
    histogram!(BATCH_RECORDS.name)
}

/// Records how many seconds a transaction took.
pub fn commit() -> Histogram {
    histogram!(COMMIT.name)
}

/// Counts transactions that are tried again.
pub fn commit_retries() -> Counter {
    counter!(COMMIT_RETRIES.name)
}

/// Counts keys that S3 was asked about.
pub fn rechecks(reason: &str) -> Counter {
    counter!(RECHECKS.name, "reason" => reason.to_owned())
}

/// Sets how many keys are in doubt.
pub fn rechecks_pending() -> Gauge {
    gauge!(RECHECKS_PENDING.name)
}

/// Counts requests, by the name S3 has for them and by how they end: `ok`, `error`, `throttled`, or
/// `cancelled` when nobody waits for it any more. Each attempt of a call is one.
pub fn s3_requests(operation: &'static str, outcome: &'static str) -> Counter {
    counter!(S3_REQUESTS.name, "operation" => operation, "outcome" => outcome)
}

/// Counts keys compared.
pub fn reconcile_keys() -> Counter {
    counter!(RECONCILE_KEYS.name)
}

/// Counts keys that runs have seen and ignored.
pub fn ignored_keys(bucket: &str) -> Counter {
    counter!(IGNORED_KEYS.name, "bucket" => bucket.to_owned())
}

/// Sets whether a check of the doctor's fails for a bucket.
pub fn setup_failures(bucket: &str, check: &'static str) -> Gauge {
    gauge!(SETUP_FAILURES.name, "bucket" => bucket.to_owned(), "check" => check)
}

/// Counts differences found. `kind` is `missing`, `stale`, `ghost` or `latest`.
pub fn drift(kind: &'static str) -> Counter {
    counter!(DRIFT.name, "kind" => kind)
}

/// Sets the seconds since 1970 up to which a bucket's catalog is complete. Of several parts of one
/// bucket it is the least.
pub fn complete_through(bucket: &str) -> Gauge {
    gauge!(COMPLETE_THROUGH.name, "bucket" => bucket.to_owned())
}

/// Starts to record in this process; what is recorded before is lost. To be called once.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let recorder = builder()?.build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder)
        .ok()
        .context("install the recorder of metrics: there is one already")?;
    begin();
    Ok(handle)
}

/// Keeps the recorder's memory small until told to stop, whether or not anybody scrapes.
pub async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP_EVERY)).await.is_some() {
        handle.run_upkeep();
    }
}

/// Without buckets a histogram would come out as a summary, which cannot be added up.
fn builder() -> anyhow::Result<PrometheusBuilder> {
    ALL.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
            .with_context(|| format!("set the buckets of {}", metric.name)),
        Kind::Counter | Kind::Gauge => Ok(builder),
    })
}

/// Describes every metric, and lets those without labels begin at nothing: a series that appears
/// with its first event has no rate for it.
fn begin() {
    for metric in ALL {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram(_) => describe_histogram!(name, unit, help),
        }
        if metric.labels.is_empty() {
            match metric.kind {
                Kind::Counter => counter!(name).absolute(0),
                Kind::Gauge => gauge!(name).set(0.0),
                Kind::Histogram(_) => drop(histogram!(name)),
            }
        }
    }
    gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests;
