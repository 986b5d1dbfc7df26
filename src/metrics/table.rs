//! Every metric there is, with its unit and help.

use ::metrics::Unit;

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
    EVENTS, MESSAGES, QUEUE_DEPTH, QUEUE_OLDEST_AGE, QUEUE_RETENTION, DEAD_LETTERS, QUARANTINED, QUARANTINE_WAITING, EVENT_LAG,
    BATCH_RECORDS, COMMIT, COMMIT_RETRIES, RECHECKS, RECHECKS_PENDING, RECHECKS_OLDEST_AGE, S3_REQUESTS, RECONCILE_KEYS,
    IGNORED_KEYS, SETUP_FAILURES, DRIFT, COMPLETE_THROUGH, RECONCILE_EVERY, RUNS_GUARDED, UNREPRESENTABLE_KEYS, PROBLEMS, CREDENTIALS_END, BUILD_INFO,
];

pub(super) const EVENTS: Metric = metric(
    "stocktake_events_total",
    Kind::Counter,
    Unit::Count,
    &["bucket", "kind", "outcome"],
    "Records of notifications, by what they said and what came of them.",
);
pub(super) const MESSAGES: Metric = metric(
    "stocktake_messages_total",
    Kind::Counter,
    Unit::Count,
    &["queue", "outcome"],
    "Messages received, by what became of them.",
);
pub(super) const QUEUE_DEPTH: Metric = metric(
    "stocktake_queue_depth",
    Kind::Gauge,
    Unit::Count,
    &["queue"],
    "Messages in the queue: about how many wait or are in somebody's hands.",
);
pub(super) const QUEUE_OLDEST_AGE: Metric = metric(
    "stocktake_queue_oldest_age_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["queue"],
    "How long ago the oldest message that was received last had been sent; 0 when none was there.",
);
pub(super) const QUEUE_RETENTION: Metric = metric(
    "stocktake_queue_retention_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["queue"],
    "How long the queue keeps a message that nobody deletes.",
);
pub(super) const DEAD_LETTERS: Metric = metric(
    "stocktake_dead_letters",
    Kind::Gauge,
    Unit::Count,
    &["queue"],
    "Messages in the dead-letter queue of the queue, about.",
);
pub(super) const QUARANTINED: Metric = metric(
    "stocktake_quarantined_total",
    Kind::Counter,
    Unit::Count,
    &["reason"],
    "Messages and records set aside because they could not be read.",
);
pub(super) const QUARANTINE_WAITING: Metric = metric(
    "stocktake_quarantine_waiting",
    Kind::Gauge,
    Unit::Count,
    &[],
    "What was set aside and not put through again, over all daemons.",
);
pub(super) const EVENT_LAG: Metric = metric(
    "stocktake_event_lag_seconds",
    LAG,
    Unit::Seconds,
    &[],
    "From the time S3 gives an event to the commit that has it in the catalog.",
);
pub(super) const BATCH_RECORDS: Metric =
    metric("stocktake_batch_records", SIZES, Unit::Count, &[], "Records in one transaction.");
pub(super) const COMMIT: Metric = metric(
    "stocktake_commit_seconds",
    COMMITS,
    Unit::Seconds,
    &[],
    "How long one transaction took, from its beginning to its commit.",
);
pub(super) const COMMIT_RETRIES: Metric = metric(
    "stocktake_commit_retries_total",
    Kind::Counter,
    Unit::Count,
    &[],
    "Transactions tried again because another writer was faster.",
);
pub(super) const RECHECKS: Metric = metric(
    "stocktake_rechecks_total",
    Kind::Counter,
    Unit::Count,
    &["reason"],
    "Keys that S3 was asked about, by why they were in doubt.",
);
pub(super) const RECHECKS_PENDING: Metric =
    metric("stocktake_rechecks_pending", Kind::Gauge, Unit::Count, &[], "Keys in doubt now.");
pub(super) const RECHECKS_OLDEST_AGE: Metric = metric(
    "stocktake_rechecks_oldest_age_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &[],
    "For how long the key has been in doubt that is it the longest; 0 when none is.",
);
pub(super) const S3_REQUESTS: Metric = metric(
    "stocktake_s3_requests_total",
    Kind::Counter,
    Unit::Count,
    &["operation", "outcome"],
    "Requests to S3, each attempt counted.",
);
pub(super) const RECONCILE_KEYS: Metric = metric(
    "stocktake_reconcile_keys_total",
    Kind::Counter,
    Unit::Count,
    &[],
    "Keys that runs have compared with the catalog.",
);
pub(super) const IGNORED_KEYS: Metric = metric(
    "stocktake_ignored_keys_total",
    Kind::Counter,
    Unit::Count,
    &["bucket"],
    "Keys that runs have seen and kept out of the catalog, as `ignore` says.",
);
pub(super) const SETUP_FAILURES: Metric = metric(
    "stocktake_setup_failures",
    Kind::Gauge,
    Unit::Count,
    &["bucket", "check"],
    "1 while a check of the doctor's fails for a bucket, then 0.",
);
pub(super) const DRIFT: Metric = metric(
    "stocktake_drift_total",
    Kind::Counter,
    Unit::Count,
    &["bucket", "kind"],
    "Differences that runs have found between bucket and catalog.",
);
pub(super) const COMPLETE_THROUGH: Metric = metric(
    "stocktake_complete_through_timestamp_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["bucket"],
    "The time, on S3's clock and since 1970, up to which the catalog is known to be complete.",
);
pub(super) const RECONCILE_EVERY: Metric = metric(
    "stocktake_reconcile_every_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &["bucket"],
    "How often the bucket is to be listed; 0 where no schedule says so.",
);
pub(super) const RUNS_GUARDED: Metric = metric(
    "stocktake_runs_guarded",
    Kind::Gauge,
    Unit::Count,
    &["bucket"],
    "Connections of the bucket whose last run was stopped as it would have removed too much.",
);
pub(super) const UNREPRESENTABLE_KEYS: Metric = metric(
    "stocktake_unrepresentable_keys",
    Kind::Gauge,
    Unit::Count,
    &["bucket", "prefix"],
    "Keys that the catalog cannot hold: rows of catalog.unrepresentable. At 10,000 there may be more.",
);
pub(super) const PROBLEMS: Metric = metric(
    "stocktake_problems",
    Kind::Gauge,
    Unit::Count,
    &["subject"],
    "1 while something is wrong with the subject, as /readyz tells, then 0.",
);
pub(super) const CREDENTIALS_END: Metric = metric(
    "stocktake_credentials_end_timestamp_seconds",
    Kind::Gauge,
    Unit::Seconds,
    &[],
    "When the daemon's own credentials end, since 1970; 0 where they do not.",
);
pub(super) const BUILD_INFO: Metric =
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
