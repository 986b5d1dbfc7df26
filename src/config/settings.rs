//! The sections that tune the daemon. All of them may be left out.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::section::Section;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// More threads of work than this only wait for each other's rows.
const WORKERS_MAX: usize = 64;
/// Limits of one transaction: it should stay well below a second.
const BATCH_RECORDS_MAX: usize = 10_000;
const BYTES_IN_HAND_MIN: usize = 1 << 20;
const BYTES_IN_HAND_MAX: usize = 1 << 30;
/// S3 refuses requests that are signed further off than this, so no clock of its own can be.
const MARGIN_MAX: Duration = Duration::from_secs(15 * 60);
/// Every day is a table of its own.
const KEEP_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);
const RECHECKS_AT_ONCE_MAX: usize = 64;
/// Each has a page and some thousand rows in memory.
const RANGES_AT_ONCE_MAX: usize = 256;
/// More would mean more pages and rows in memory than anybody wants.
const RUNS_AT_ONCE_MAX: usize = 64;
const LOOKUPS_AT_ONCE_MAX: usize = 64;
/// What S3 promises for all of a prefix is 5,500
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>).
const LOOKUP_RATE_MAX: u32 = 5_000;
const RECHECK_LIMIT_MAX: usize = 10_000_000;
/// The whole exit has 25 s, and what follows the grace needs one of them.
const GRACE_MAX: Duration = Duration::from_secs(24);

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines; for people without a word.
    pub format: LogFormat,
    /// Which events, as `tracing-subscriber`'s filter directives: `info,stocktake=debug`. Without a word
    /// `info`, but of the SDK's credentials only what is wrong: it tells each time that it reads them again.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// To be read on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let format = match section.optional("format").as_deref() {
            Some("json") => LogFormat::Json,
            Some("text") | None => LogFormat::Text,
            Some(other) => {
                section.mistake("format", format_args!("must be \"text\" or \"json\", not {other:?}"));
                LogFormat::Text
            }
        };
        let filter = section.optional("filter").unwrap_or_default();
        if let Err(error) = EnvFilter::builder().parse(&filter) {
            section.mistake(
                "filter",
                format_args!("must be directives such as \"info,stocktake=debug\": {error}"),
            );
        }
        Self { format, filter }
    }
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// A collector of OpenTelemetry's, which takes OTLP over gRPC; none without a word.
    pub endpoint: Option<String>,
}

impl Trace {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let endpoint = section.optional("endpoint").filter(|endpoint| {
            let url = url::Url::parse(endpoint).ok().filter(|url| url.scheme() == "http" && url.has_host());
            // What else it says may be a password, or a path that is of OTLP over HTTP.
            let is_bare = endpoint.trim() == endpoint
                && url.is_some_and(|url| {
                    let is_all = &url[url::Position::BeforePath..] == "/";
                    is_all && url.username().is_empty() && url.password().is_none()
                });
            if !is_bare {
                section.mistake(
                    "endpoint",
                    "must be where a collector takes OTLP over gRPC, such as \"http://127.0.0.1:4317\": one near by, as it is sent \
                     to without TLS and password",
                );
            }
            is_bare
        });
        Self { endpoint }
    }
}

/// How events get into the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// How many transactions are under way at once in one bucket, 2. Each key belongs to one worker.
    pub workers: usize,
    /// The most records in one transaction, 1,000: what a busy queue is cut into.
    pub batch_records: usize,
    /// The most bytes of message bodies in hand at once, over all queues, 32 MiB: what bounds the
    /// daemon's memory.
    pub bytes_in_hand: usize,
}

impl Ingest {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            workers: section.number("workers", 1..=WORKERS_MAX),
            batch_records: section.number("batch_records", 1..=BATCH_RECORDS_MAX),
            bytes_in_hand: section.number("bytes_in_hand", BYTES_IN_HAND_MIN..=BYTES_IN_HAND_MAX),
        }
    }
}

/// How long changes are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// How long they are kept, 30 days, to the end of a day; zero for no journal at all.
    pub keep: Duration,
}

impl Journal {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { keep: section.duration("keep", Duration::ZERO..=KEEP_MAX) }
    }
}

/// How long runs are remembered, and what is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// How long they are kept, 90 days; zero for ever.
    pub keep: Duration,
}

impl Ledger {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { keep: section.duration("keep", Duration::ZERO..=KEEP_MAX) }
    }
}

/// How evidence is weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// How far S3's own clocks may disagree, 5 s: events and listings that are closer together
    /// than this have no order until S3 is asked.
    pub margin: Duration,
}

impl Merge {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { margin: section.duration("margin", Duration::ZERO..=MARGIN_MAX) }
    }
}

/// How keys in doubt are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// How long a doubt waits, 3 s, so that a burst on one key costs one request.
    pub delay: Duration,
    /// How many keys are asked about at once, 8.
    pub concurrency: usize,
    /// How many doubts a bucket may have, 10,000; beyond that a full run is cheaper, and settles
    /// them together.
    pub limit: usize,
}

impl Recheck {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            delay: section.duration("delay", Duration::ZERO..=5 * MINUTE),
            concurrency: section.number("concurrency", 1..=RECHECKS_AT_ONCE_MAX),
            limit: section.number("limit", 1..=RECHECK_LIMIT_MAX),
        }
    }
}

/// How buckets are listed, and when a scheduled run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// How many parts of one bucket are listed at once, 16.
    pub concurrency: usize,
    /// How many buckets are listed at once, 2.
    pub runs: usize,
    /// How many percent of its versions one run may remove, 20, beyond the first 1,000. A run that would
    /// remove more is stopped before it removes any.
    pub max_removals: u8,
    /// How long a run that is due waits for the queues to be worked off, 1 h: each event from
    /// before the run that is read after it is a doubt.
    pub backlog_wait: Duration,
    /// How old the oldest waiting message may be for the queues to count as worked off, 5 min.
    pub backlog_age: Duration,
}

impl Reconcile {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            concurrency: section.number("concurrency", 1..=RANGES_AT_ONCE_MAX),
            runs: section.number("runs", 1..=RUNS_AT_ONCE_MAX),
            max_removals: section.number("max_removals", 0..=100),
            backlog_wait: section.duration("backlog_wait", Duration::ZERO..=24 * HOUR),
            backlog_age: section.duration("backlog_age", SECOND..=24 * HOUR),
        }
    }
}

/// How versions are looked at that are created in buckets with `enrich`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrich {
    /// How many versions of one bucket are looked at at once, 8.
    pub concurrency: usize,
    /// How many requests a second are made for one bucket at most, 100.
    pub rate: u32,
}

impl Enrich {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            concurrency: section.number("concurrency", 1..=LOOKUPS_AT_ONCE_MAX),
            rate: section.number("rate", 1..=LOOKUP_RATE_MAX),
        }
    }
}

/// How often set-up is looked at while serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doctor {
    /// The pause between two looks, 15 min; none if there are none.
    pub every: Option<Duration>,
}

impl Doctor {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        if section.scalar("every").as_deref() == Some("never") {
            return Self { every: None };
        }
        Self { every: Some(section.duration("every", SECOND..=24 * HOUR)) }
    }
}

/// How the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long batches in hand may take to be committed and acknowledged, 20 s; after that their
    /// messages come again.
    pub grace: Duration,
}

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { grace: section.duration("grace", SECOND..=GRACE_MAX) }
    }
}
