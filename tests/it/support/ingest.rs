//! Ingest at work on a queue that is played from a script, and messages for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection};
use stocktake::clock::Clock;
use stocktake::health::{Health, Subject};
use stocktake::ingest::{self, Activity, Backlog, Ending, Known, Plant, Settings, Source};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Line, NOW, connected, eventually};

/// The URL of the queue.
pub(crate) const QUEUE: &str = "https://queue";

/// Ingest at work on one queue. It ends when it is dropped, as suddenly as a process that is killed.
pub(crate) struct Ingest {
    pub(crate) line: Arc<Line>,
    pub(crate) health: Health,
    pub(crate) ending: Ending,
    pub(crate) tasks: JoinSet<&'static str>,
}

pub(crate) async fn ingest(pool: &PgPool, line: &Arc<Line>) -> Ingest {
    let (catalog, connection) = connected(pool.clone()).await;
    start(catalog, connection, line)
}

pub(crate) fn start(catalog: Catalog, connection: Connection, line: &Arc<Line>) -> Ingest {
    start_with(catalog, connection, line, 1, Duration::from_secs(30))
}

pub(crate) fn start_with(
    catalog: Catalog,
    connection: Connection,
    line: &Arc<Line>,
    receivers: usize,
    visibility: Duration,
) -> Ingest {
    start_by(catalog, connection, line, receivers, visibility, || NOW)
}

pub(crate) fn start_by(
    catalog: Catalog,
    connection: Connection,
    line: &Arc<Line>,
    receivers: usize,
    visibility: Duration,
    clock: Clock,
) -> Ingest {
    let known = Known::new(Arc::new([Arc::new(connection)]));
    known.hear(Vec::new(), Instant::now());
    start_knowing(catalog, known, line, receivers, visibility, clock)
}

pub(crate) fn start_knowing(
    catalog: Catalog,
    known: Known,
    line: &Arc<Line>,
    receivers: usize,
    visibility: Duration,
    clock: Clock,
) -> Ingest {
    let plant = Plant {
        catalog,
        known,
        activity: Activity::default(),
        backlog: Backlog::default(),
        health: Health::default(),
        clock,
        ending: Ending::default(),
    };
    let settings = Settings {
        workers: 1,
        batch_records: 100,
        bytes_in_hand: 1 << 20,
        patience: Duration::from_millis(500),
        outage: Duration::from_secs(3_600),
    };
    let mut tasks = JoinSet::new();
    let queue = Arc::clone(line);
    let source = Source { name: QUEUE.to_owned(), queue, receivers, visibility };
    ingest::start(&plant, vec![source], settings, &mut tasks);
    Ingest { line: Arc::clone(line), health: plant.health, ending: plant.ending, tasks }
}

impl Ingest {
    pub(crate) async fn until_in_hand(&self, count: usize) {
        eventually("messages in hand and the script played", async || {
            (self.line.depth() == (0, count) && self.line.is_played()).then_some(())
        })
        .await;
    }

    /// What is wrong with the queue.
    pub(crate) fn problem(&self) -> Option<String> {
        let snapshot = self.health.snapshot();
        let mut problems = snapshot.problems();
        problems.find(|(subject, _)| **subject == Subject::Queue(QUEUE.to_owned())).map(|(_, problem)| {
            assert_eq!(problem.remedy, "allow it");
            problem.message.clone()
        })
    }
}

pub(crate) fn record(key: &str, version: &str, name: &str, sequencer: u32) -> Value {
    json!({
        "eventName": name, "eventTime": "2026-11-01T12:00:00.000Z",
        "s3": {
            "bucket": { "name": "genomics" },
            "object": { "key": key, "versionId": version, "eTag": "e", "size": 7,
                        "sequencer": format!("{sequencer:04X}") },
        },
    })
}

pub(crate) fn put(key: &str, version: &str, sequencer: u32) -> Value {
    record(key, version, "ObjectCreated:Put", sequencer)
}

pub(crate) fn body(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}
