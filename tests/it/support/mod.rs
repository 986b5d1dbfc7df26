//! Facts to try things on, and the two edges played from a script.

mod bucket;
pub(crate) mod ingest;
mod objects;
mod queue;
#[path = "../../support/report.rs"]
pub(crate) mod report;

pub(crate) use bucket::{Played, Store};
pub(crate) use queue::{Acknowledge, Line};

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, Counts, Ending, Progress, Run, Sighting, Terms, Trigger};
use stocktake::fault::{Fault, Kind};
use stocktake::ignore::Ignore;
use stocktake::model::{Claim, Content, Fact, Listed, Sequencer, Span, State, Timestamp, VersionId, Window};
use stocktake::reconcile::Schedule;
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);

/// Seconds after noon, on S3's clock.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from(NOW + time::Duration::seconds(seconds))
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

pub(crate) fn content(etag: &str) -> Content {
    Content { etag: Some(etag.to_owned()), size: Some(7) }
}

pub(crate) fn claim(version: &str, fact: Fact, sequencer: &str, time: i64) -> Claim {
    Claim {
        version: VersionId::parse(Some(version)),
        fact,
        sequencer: Sequencer::parse(sequencer),
        time: at(time),
    }
}

pub(crate) fn put(version: &str, etag: &str, sequencer: &str, time: i64) -> Claim {
    claim(version, Fact::Put(content(etag)), sequencer, time)
}

pub(crate) fn listed(version: &str, etag: &str, date: i64, is_latest: bool) -> Listed {
    Listed {
        version: VersionId::parse(Some(version)),
        is_latest,
        state: State::Object(content(etag)),
        last_modified: at(date),
        storage_class: Some("STANDARD".to_owned()),
    }
}

pub(crate) fn connection(prefix: &str) -> Connection {
    let terms = Terms {
        margin: Duration::from_secs(5),
        trust_sequencers: true,
        recheck_delay: Duration::from_secs(3),
        is_journaled: true,
        is_enriched: false,
        has_raw_keys: false,
    };
    let (bucket, prefix, ignore) = ("genomics".to_owned(), prefix.to_owned(), Ignore::default());
    Connection { bucket, prefix, ignore, partitions: 1, terms }
}

pub(crate) async fn connected(pool: PgPool) -> (Catalog, Connection) {
    divided(pool, 1).await
}

/// A bucket whose rows are in so many tables.
pub(crate) async fn divided(pool: PgPool, partitions: u32) -> (Catalog, Connection) {
    let (catalog, connection) = (Catalog::on(pool), Connection { partitions, ..connection("") });
    catalog.connect(&connection, NOW).await.unwrap();
    (catalog, connection)
}

/// A run over everything, in one range.
pub(crate) async fn started(catalog: &Catalog, connection: &Connection, start: Timestamp) -> Run {
    catalog.start_run(connection, "", Trigger::Operator, &[Span::all()], start, NOW).await.unwrap().unwrap()
}

/// Progress to the end of a range, seen at `window_to` at the latest.
pub(crate) fn done(window_to: Timestamp) -> Progress {
    Progress {
        position: "z".to_owned(),
        counts: Counts::default(),
        window_to,
        is_done: true,
        cuts: Vec::new(),
    }
}

/// What a run does that has seen this and no more, but to complete.
pub(crate) async fn see(catalog: &Catalog, connection: &Connection, run: &Run, sightings: &[Sighting]) {
    let range = catalog.take_range(run).await.unwrap().unwrap();
    let until = sightings.iter().map(|sighting| sighting.window.to).max().unwrap_or(run.started);
    catalog.save(connection, run, &range, sightings, &done(until), NOW).await.unwrap().unwrap();
    catalog.judge_removals(connection, run, 20, true, NOW).await.unwrap();
    while catalog.apply_withheld(connection, run, NOW).await.unwrap().is_some() {}
}

/// Applies what a run saw that never came to its end.
pub(crate) async fn repair(catalog: &Catalog, connection: &Connection, sightings: &[Sighting]) {
    let run = started(catalog, connection, at(-1_000)).await;
    see(catalog, connection, &run, sightings).await;
    catalog.end_run("genomics", &run, Ending::Stopped, "enough", None, NOW).await.unwrap();
}

/// `version_id etag latest`, in order.
pub(crate) async fn versions(pool: &PgPool, key: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', version_id, etag, case when is_delete_marker then 'marker' end,
                          case when is_latest then 'latest' end)
         from catalog.object_versions where bucket = 'genomics' and key = $1 order by version_id",
    )
    .bind(key)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What AWS says when it is not well.
pub(crate) fn fault(answer: &str) -> Fault {
    Fault {
        action: "try".to_owned(),
        kind: Kind::Denied,
        answer: answer.to_owned(),
        remedy: "allow it".to_owned(),
        source: None,
    }
}

/// Every row with the transaction that wrote it: what writes nothing leaves this as it is.
pub(crate) async fn rows(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', xmin, row_to_json(slots)) from catalog.slots order by key, version_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// `status error` of each run, in order.
pub(crate) async fn runs(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select concat_ws(' ', status, error) from catalog.reconciliations order by run_id")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds what it looks for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A run a day, and one when so many keys are in doubt.
pub(crate) fn daily(recheck_limit: usize) -> Schedule {
    Schedule {
        every: Duration::from_secs(24 * 3_600),
        backlog_age: Duration::from_secs(300),
        backlog_wait: Duration::from_secs(300),
        recheck_limit,
        region: None,
        queues: Arc::default(),
    }
}
