//! What makes a run start by itself, and how often.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::bucket::Versioning;
use stocktake::bucket::rules::{Destination, NEEDED, Rule, Rules};
use stocktake::catalog::{Catalog, Connection, Look, MIGRATOR, Reason, Trigger};
use stocktake::clock::Clock;
use stocktake::health::Health;
use stocktake::ingest::Backlog;
use stocktake::model::Span;
use stocktake::reconcile::{Keeper, Schedule, Settings, Trouble, run};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Store, at, connected, daily, eventually, listed, see, started};

const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake";
const HOUR: Duration = Duration::from_secs(3_600);

fn store() -> Arc<Store> {
    Arc::new(Store::new(10, 0, &[("a", listed("v1", "e1", -9_000, true))]))
}

fn rules() -> Rules {
    let rule = Rule {
        id: "1".to_owned(),
        destination: Destination::Queue("arn:aws:sqs:eu-central-1:123456789012:stocktake".to_owned()),
        events: NEEDED.map(str::to_owned).to_vec(),
        filters: Vec::new(),
    };
    Rules { rules: vec![rule], event_bridge: false }
}

struct Watched {
    store: Arc<Store>,
    catalog: Catalog,
    connection: Connection,
    health: Health,
    pool: PgPool,
}

impl Watched {
    async fn on(pool: PgPool) -> Self {
        let (catalog, connection) = connected(pool.clone()).await;
        Self { store: store(), catalog, connection, health: Health::default(), pool }
    }

    fn keeper(&self, clock: Clock) -> Keeper<Store> {
        Keeper {
            bucket: Arc::clone(&self.store),
            inventory: None,
            catalog: self.catalog.clone(),
            connection: Arc::new(self.connection.clone()),
            schedule: Schedule { queues: Arc::new([URL.to_owned()]), ..daily(10) },
            settings: Settings::default(),
            backlog: Backlog::default(),
            turns: Arc::new(Semaphore::new(1)),
            health: self.health.clone(),
            clock,
        }
    }

    /// What runs were for, after a keeper had a look at this hour and did what it found due.
    async fn at(&self, clock: Clock) -> Vec<String> {
        let shutdown = CancellationToken::new();
        let versions = self.store.looks();
        let task = tokio::spawn(self.keeper(clock).keep_true(shutdown.clone()));
        eventually("a look", async || (self.store.looks() > versions).then_some(())).await;
        // What follows the look is over when nothing is under way, and nothing begins for a while.
        let (mut last, mut calm) = (self.reasons().await, 0);
        while calm < 5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let open = self.catalog.open_runs(&self.connection).await.unwrap();
            let reasons = self.reasons().await;
            calm = if open.is_empty() && reasons == last { calm + 1 } else { 0 };
            last = reasons;
        }
        shutdown.cancel();
        task.await.unwrap();
        last
    }

    async fn reasons(&self) -> Vec<String> {
        sqlx::query_scalar("select reason from catalog.reconciliations order by run_id")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    async fn due(&self) -> Vec<(String, OffsetDateTime)> {
        sqlx::query_as("select reason, due_at from catalog.due_runs order by due_at")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    fn problems(&self) -> Vec<String> {
        self.health.snapshot().problems().map(|(subject, _)| subject.to_string()).collect()
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_reason_starts_one_run_and_is_kept(pool: PgPool) {
    let watched = Watched::on(pool).await;
    watched.store.notify(Some(rules()));
    assert_eq!(watched.at(|| NOW).await, ["new"]);
    assert_eq!(watched.at(|| NOW + HOUR).await, ["new"], "what is as it was asks for nothing");

    watched.store.become_versioned(Versioning::Suspended);
    assert_eq!(watched.at(|| NOW + 2 * HOUR).await, ["new", "versioning"]);
    assert_eq!(watched.at(|| NOW + 3 * HOUR).await.len(), 2, "one run for one change");

    watched.store.notify(Some(Rules { event_bridge: true, ..rules() }));
    assert_eq!(watched.at(|| NOW + 4 * HOUR).await[2..], ["notifications"]);
    let settled = NOW + 4 * HOUR + Duration::from_secs(300);
    assert_eq!(watched.due().await, [("notifications".to_owned(), settled)]);
    assert_eq!(watched.at(|| NOW + 4 * HOUR + Duration::from_secs(299)).await.len(), 3);
    assert_eq!(watched.at(|| NOW + 5 * HOUR).await[3..], ["notifications"], "once it is in effect");
    assert_eq!(watched.due().await, []);

    assert_eq!(watched.at(|| NOW + 26 * HOUR).await.len(), 4);
    assert_eq!(watched.at(|| NOW + 29 * HOUR).await[4..], ["schedule"]);
    assert_eq!(watched.problems(), Vec::<String>::new());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn events_that_do_not_reach_us_are_a_problem_until_they_do(pool: PgPool) {
    let watched = Watched::on(pool).await;
    watched.store.notify(Some(rules()));
    watched.at(|| NOW).await;
    assert_eq!(watched.problems(), Vec::<String>::new());

    watched.store.notify(Some(Rules::default()));
    assert_eq!(watched.at(|| NOW + HOUR).await, ["new", "notifications"]);
    assert_eq!(watched.problems(), ["notifications of bucket genomics/"]);
    assert_eq!(watched.due().await, [], "a second run would find what the next one does");

    watched.store.notify(None);
    assert_eq!(watched.at(|| NOW + 2 * HOUR).await.len(), 2, "who may not look sees no change");
    assert_eq!(watched.problems(), Vec::<String>::new(), "and no problem");

    watched.store.notify(Some(Rules::default()));
    assert_eq!(watched.at(|| NOW + 3 * HOUR).await.len(), 2);
    assert_eq!(watched.problems().len(), 1);
    watched.store.notify(Some(rules()));
    assert_eq!(watched.at(|| NOW + 4 * HOUR).await[2..], ["notifications"]);
    assert_eq!(watched.problems(), Vec::<String>::new(), "repaired");
    assert_eq!(watched.due().await.len(), 1, "and listed again once that is in effect");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_gap_longer_than_the_retention_asks_for_a_run_of_everything(pool: PgPool) {
    let watched = Watched::on(pool.clone()).await;
    let Watched { catalog, connection, .. } = &watched;
    let part = Connection { bucket: "archive".to_owned(), prefix: "a/".to_owned(), ..connection.clone() };
    catalog.connect(&part, NOW).await.unwrap();
    let both = [connection, &part];
    let retention = 96 * HOUR;
    let told = async |through: OffsetDateTime, now: OffsetDateTime| {
        catalog.note_received(URL, through, now - retention, &both, now).await.unwrap()
    };
    assert_eq!(told(NOW, NOW).await, None, "a queue that is new");
    assert_eq!(told(NOW + HOUR, NOW + HOUR).await, None);
    assert_eq!(told(NOW, NOW + 2 * HOUR).await, None, "it does not move back");
    let back = NOW + 97 * HOUR;
    assert_eq!(told(back, back).await, None, "just in time");
    let back = back + retention + HOUR;
    // Messages that waited are old; what counts is since when nobody came.
    assert_eq!(told(back - 90 * HOUR, back).await, Some(NOW + 97 * HOUR));
    assert_eq!(told(back, back).await, None, "it is noticed once");
    assert_eq!(watched.due().await, [("away".to_owned(), back), ("away".to_owned(), back)]);
    assert_eq!(catalog.asked_run(&part, back).await.unwrap(), Some(Reason::Away));
    assert_eq!(catalog.asked_run(&part, back - HOUR).await.unwrap(), None, "not before it is due");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_two_daemons_that_find_a_run_due_one_starts_it(pool: PgPool) {
    let watched = Watched::on(pool).await;
    let Watched { store, catalog, connection, .. } = &watched;
    let shutdown = CancellationToken::new();
    let due = Trigger::Due { reason: Reason::New, last: None };
    let go = |trigger| {
        let settings = Settings { trigger, ..Settings::default() };
        async move {
            let shutdown = CancellationToken::new();
            run(store, catalog, connection, "", &settings, || NOW, &shutdown).await
        }
    };
    // Whoever is the later of the two finds the other's run under way, and joins it, or over.
    let (one, two) = tokio::join!(go(Some(due)), go(Some(due)));
    for ended in [one, two] {
        assert!(matches!(ended, Ok(_) | Err(Trouble::Needless(_))), "{ended:?}");
    }
    assert_eq!(watched.reasons().await, ["new"]);
    // It looked before the other's run was over, and starts after.
    let requests = store.requests();
    assert!(matches!(go(Some(due)).await, Err(Trouble::Needless(_))));
    assert!(matches!(go(None).await, Err(Trouble::Needless(_))), "nothing to join");
    let stale = catalog.start_run(connection, "", due, &[Span::all()], at(0), NOW).await.unwrap();
    assert_eq!((stale, store.requests()), (None, requests), "nor does the catalog let it");

    let last = catalog.last_run(connection).await.unwrap().map(|last| last.run_id);
    go(Some(Trigger::Due { reason: Reason::Schedule, last })).await.unwrap();
    run(store, catalog, connection, "", &Settings::default(), || NOW, &shutdown).await.unwrap();
    assert_eq!(watched.reasons().await, ["new", "schedule", "operator"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_comes_up_during_a_run_starts_another(pool: PgPool) {
    let watched = Watched::on(pool).await;
    let Watched { catalog, connection, .. } = &watched;
    let look = |versioning| Look {
        region: "eu-central-1".to_owned(),
        versioning,
        notifications: None,
        settles_at: None,
    };
    assert_eq!(catalog.describe(connection, &look(Versioning::Enabled), NOW).await.unwrap(), []);
    let run = started(catalog, connection, at(0)).await;
    let later = NOW + Duration::from_secs(1);
    let changed = catalog.describe(connection, &look(Versioning::Suspended), later).await.unwrap();
    assert_eq!(changed, [Reason::Versioning]);
    see(catalog, connection, &run, &[]).await;
    assert!(catalog.complete_run(connection, &run, NOW).await.unwrap());
    assert_eq!(catalog.asked_run(connection, later).await.unwrap(), Some(Reason::Versioning));
    assert_eq!(watched.at(|| NOW + HOUR).await, ["operator", "versioning"]);
    assert_eq!(watched.due().await, []);
}
