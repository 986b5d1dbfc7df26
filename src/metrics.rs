//! A function to record each metric in the table, and what shows them to Prometheus.

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram};
use ::metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::pulse;

mod table;

use table::*;
pub use table::{ALL, Kind, Metric};

/// The `bucket` of events from buckets that are not configured. Their names would be anybody's to
/// choose, and each a series of its own.
pub const NO_BUCKET: &str = "-";

/// How often observations are moved out of the way of the next ones.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

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

/// Sets how long a queue keeps messages.
pub fn queue_retention(queue: &str) -> Gauge {
    gauge!(QUEUE_RETENTION.name, "queue" => queue.to_owned())
}

/// Sets how many messages a queue's dead-letter queue has.
pub fn dead_letters(queue: &str) -> Gauge {
    gauge!(DEAD_LETTERS.name, "queue" => queue.to_owned())
}

/// Counts what was set aside.
pub fn quarantined(reason: &'static str) -> Counter {
    counter!(QUARANTINED.name, "reason" => reason)
}

/// Sets how much is set aside.
pub fn quarantine_waiting() -> Gauge {
    gauge!(QUARANTINE_WAITING.name)
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

/// Sets how long the oldest doubt has waited.
pub fn rechecks_oldest_age() -> Gauge {
    gauge!(RECHECKS_OLDEST_AGE.name)
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
pub fn drift(bucket: &str, kind: &'static str) -> Counter {
    counter!(DRIFT.name, "bucket" => bucket.to_owned(), "kind" => kind)
}

/// Sets the seconds since 1970 up to which a bucket's catalog is complete. Of several parts of one
/// bucket it is the least.
pub fn complete_through(bucket: &str) -> Gauge {
    gauge!(COMPLETE_THROUGH.name, "bucket" => bucket.to_owned())
}

/// Sets how often a bucket is to be listed. Of several parts of one bucket it is the most.
pub fn reconcile_every(bucket: &str) -> Gauge {
    gauge!(RECONCILE_EVERY.name, "bucket" => bucket.to_owned())
}

/// Sets how many connections of a bucket have a run that the guard stopped.
pub fn runs_guarded(bucket: &str) -> Gauge {
    gauge!(RUNS_GUARDED.name, "bucket" => bucket.to_owned())
}

/// Sets how many keys below a prefix of a bucket the catalog cannot hold.
pub fn unrepresentable_keys(bucket: &str, prefix: &str) -> Gauge {
    gauge!(UNREPRESENTABLE_KEYS.name, "bucket" => bucket.to_owned(), "prefix" => prefix.to_owned())
}

/// Sets whether something is wrong with a subject.
pub fn problems(subject: &str) -> Gauge {
    gauge!(PROBLEMS.name, "subject" => subject.to_owned())
}

/// Sets when our credentials end.
pub fn credentials_end() -> Gauge {
    gauge!(CREDENTIALS_END.name)
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
        pulse::beat();
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
