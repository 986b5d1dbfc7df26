//! A loop that waits for something that never comes is found.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use stocktake::catalog::Catalog;
use stocktake::clock;
use stocktake::fault::Fault;
use stocktake::health::Health;
use stocktake::ingest::{self, Activity, Backlog, Ending, Known, Plant, Settings, Source};
use stocktake::pulse;
use stocktake::queue::{Attributes, Delivery, Queue, Refused};
use tokio::task::JoinSet;

/// A queue that takes what it is told and never answers.
struct Silent;

impl Queue for Silent {
    async fn receive(&self, _: Duration, _: Duration) -> Result<Vec<Delivery>, Fault> {
        pending().await
    }

    async fn acknowledge(&self, _: &[String]) -> Result<Vec<Refused>, Fault> {
        pending().await
    }

    async fn change_visibility(&self, _: &[String], _: Duration) -> Result<Vec<Refused>, Fault> {
        pending().await
    }

    async fn attributes(&self) -> Result<Attributes, Fault> {
        pending().await
    }
}

/// The names of the loops of this queue that are stuck.
fn stuck(queue: &str) -> Vec<String> {
    let stuck = pulse::of_process().stuck().into_iter().map(|sign| sign.name);
    stuck.filter(|name| name.contains(queue)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_never_ends_is_a_loop_that_is_stuck() {
    let pool = PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/nowhere").unwrap();
    let plant = Plant {
        catalog: Catalog::on(pool),
        known: Known::new(Arc::default()),
        activity: Activity::default(),
        backlog: Backlog::default(),
        health: Health::default(),
        clock: clock::now,
        ending: Ending::default(),
    };
    let patience = Duration::from_secs(20);
    let settings =
        Settings { workers: 1, batch_records: 10, bytes_in_hand: 1 << 20, patience, outage: patience };
    let name = "https://sqs.example.com/1/silent";
    let queue = Source {
        name: name.to_owned(),
        queue: Arc::new(Silent),
        receivers: 4,
        visibility: Duration::from_secs(30),
    };
    let mut tasks = JoinSet::new();
    ingest::start(&plant, vec![queue], settings, &mut tasks);

    tokio::time::sleep(pulse::PATIENCE).await;
    assert_eq!(stuck(name), Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Of four receivers one is at work, and the others wait until there is something for them.
    assert_eq!(stuck(name), [format!("receiver of {name}"), format!("depth of {name}")]);
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    assert_eq!(stuck(name), Vec::<String>::new(), "who has ended is not stuck");
}
