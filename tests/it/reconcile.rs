//! Runs over a bucket that does not always do as it should.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting};
use stocktake::health::Health;
use stocktake::ingest::Backlog;
use stocktake::model::{Doubt, Drift, Listed};
use stocktake::reconcile::{Keeper, Settings, Summary, Trouble, run};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::{
    NOW, Played, Store, connected, daily, eventually, listed, put, rows, runs, versions, window,
};

/// One range at a time: what a store does in what order is not left to chance.
const IN_TURN: Settings = Settings { concurrency: 1, ..Settings::DEFAULT };

async fn reconcile(
    store: &Arc<Store>,
    catalog: &Catalog,
    connection: &Connection,
) -> Result<Summary, Trouble> {
    let shutdown = CancellationToken::new();
    run(store, catalog, connection, "", &IN_TURN, || NOW, &shutdown).await
}

/// One version of each key, all from long before the tests.
fn objects<'a>(keys: &[&'a str]) -> Vec<(&'a str, Listed)> {
    keys.iter().map(|key| (*key, listed("v1", "e1", -9_000, true))).collect()
}

async fn keys(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select key from catalog.objects order by key").fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_on_several_pages_is_judged_once_and_whole(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let mut entries = objects(&["a"]);
    let versions_of_k = ["v5", "v4", "v3", "v2", "v1"];
    entries.extend((0..5).map(|age| ("k", listed(versions_of_k[age], "e1", -100 - age as i64, age == 0))));
    entries.extend(objects(&["z"]));
    let store = Arc::new(Store::new(2, 0, &entries));
    let first = reconcile(&store, &catalog, &connection).await.unwrap();
    assert_eq!((first.counts.keys, first.counts.versions, first.doubts), (3, 7, 0));
    assert_eq!(first.drift.len(), 0, "what a first run loads is no drift");
    assert_eq!(versions(&pool, "k").await, ["v1 e1", "v2 e1", "v3 e1", "v4 e1", "v5 e1 latest"]);

    // One of them goes, on a page in the middle: it alone does.
    let before = rows(&pool).await;
    let remaining: Vec<_> =
        entries.iter().filter(|(_, entry)| entry.version.as_str() != "v3").cloned().collect();
    for page in 1..=7 {
        let store = Arc::new(Store::new(page, 1_000, &entries));
        assert!(reconcile(&store, &catalog, &connection).await.unwrap().drift.is_empty(), "pages of {page}");
    }
    assert_eq!(rows(&pool).await, before, "confirmed, and not written");
    store.become_at(2_000, &remaining);
    let last = reconcile(&store, &catalog, &connection).await.unwrap();
    assert_eq!(last.drift.into_iter().collect::<Vec<_>>(), [(Drift::Ghost, 1)]);
    assert_eq!(versions(&pool, "k").await, ["v1 e1", "v2 e1", "v4 e1", "v5 e1 latest"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_unsorted_listing_ends_the_run_and_removes_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(2, 0, &objects(&["a", "b", "c", "d"])));
    reconcile(&store, &catalog, &connection).await.unwrap();
    let (before, watermark) = (rows(&pool).await, catalog.horizon(&connection).await.unwrap().watermark);
    // On one page, and over two: by then `b` was taken for gone.
    for page in [4, 2] {
        let store = Arc::new(Store::new(page, 1_000, &objects(&["a", "c", "b", "d"])));
        let trouble = reconcile(&store, &catalog, &connection).await.unwrap_err();
        assert!(matches!(trouble, Trouble::Unsorted(..)), "{trouble}");
        assert!(trouble.remedy().contains("byte order"));
        assert_eq!(rows(&pool).await, before);
    }
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (watermark, None));
    let runs = runs(&pool).await;
    assert!(runs[1].starts_with("failed ") && runs[1].contains("\"b\""), "{runs:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_page_that_fails_ends_the_run_and_harms_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(2, 0, &objects(&["a", "b", "c", "d", "e"])));
    reconcile(&store, &catalog, &connection).await.unwrap();
    let (before, watermark) = (rows(&pool).await, catalog.horizon(&connection).await.unwrap().watermark);
    store.become_at(1_000, &objects(&["a", "e"]));
    store.script(&[Played::Fault("AccessDenied")]);
    let trouble = reconcile(&store, &catalog, &connection).await.unwrap_err();
    assert_eq!((trouble.to_string().as_str(), trouble.remedy()), ("try: AccessDenied", "allow it"));
    let store = Arc::new(Store::new(1, 2_000, &objects(&["a", "e"])));
    store.script(&[Played::Well, Played::Fault("SlowDown")]);
    reconcile(&store, &catalog, &connection).await.unwrap_err();
    assert_eq!(rows(&pool).await, before);
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (watermark, None));
    assert_eq!(runs(&pool).await, ["complete", "failed try: AccessDenied", "failed try: SlowDown"]);

    // And the next one makes up for it.
    reconcile(&store, &catalog, &connection).await.unwrap();
    assert_eq!(keys(&pool).await, ["a", "e"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_empty_listing_removes_only_what_is_older_than_it(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(10, 0, &objects(&["old"])));
    reconcile(&store, &catalog, &connection).await.unwrap();
    // Listed from 1,000 on: one event just before, one while it is listed, one long after.
    for (key, time) in [("before", 900), ("meanwhile", 1_001), ("after", 1_100)] {
        let claim = put("v1", "e1", "01", time);
        catalog.apply(&connection, &[(key, &claim)], NOW).await.unwrap();
    }
    store.become_at(1_000, &[]);
    let summary = reconcile(&store, &catalog, &connection).await.unwrap();
    assert_eq!(summary.drift.into_iter().collect::<Vec<_>>(), [(Drift::Ghost, 2)]);
    assert_eq!(keys(&pool).await, ["after", "meanwhile"]);
    let doubts: Vec<String> =
        sqlx::query_scalar("select key from catalog.rechecks").fetch_all(&pool).await.unwrap();
    assert_eq!((summary.doubts, doubts), (1, vec!["meanwhile".to_owned()]));

    // A recheck in vain is no further doubt of the run.
    let due = NOW + connection.terms.recheck_delay;
    let taken = catalog.take_rechecks(&connection, 10, Duration::from_secs(60), due).await.unwrap();
    let early = Sighting { key: "meanwhile".to_owned(), listed: Vec::new(), window: window(1_000, 1_002) };
    let settled = catalog.settle(&connection, &taken[0], &early, Duration::ZERO, due).await.unwrap();
    assert_eq!((taken[0].run_id, settled.doubts), (summary.run_id, 1));
    let (_, counted) = catalog.counts_of_run(summary.run_id.unwrap()).await.unwrap();
    assert_eq!(counted, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_that_is_told_to_stop_is_gone_on_with(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(2, 0, &objects(&["a", "b", "c", "d"])));
    store.script(&[Played::Well, Played::Hang]);
    let shutdown = CancellationToken::new();
    let stopped = run(&store, &catalog, &connection, "", &IN_TURN, || NOW, &shutdown);
    let tell = async {
        eventually("the second page", async || (store.requests() == 2).then_some(())).await;
        shutdown.cancel();
    };
    let (trouble, ()) = tokio::join!(stopped, tell);
    assert!(matches!(trouble, Err(Trouble::Stopped)), "{trouble:?}");
    assert_eq!(runs(&pool).await, ["running"]);
    let started = catalog.horizon(&connection).await.unwrap().run_started;
    assert!(started.is_some());
    let next = reconcile(&store, &catalog, &connection).await.unwrap();
    assert_eq!((next.counts.keys, keys(&pool).await.len()), (4, 4));
    assert_eq!(runs(&pool).await, ["complete"]);
    let watermark = catalog.horizon(&connection).await.unwrap().watermark;
    assert_eq!(watermark.map(|window| window.from), started, "its start stays its start");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_below_a_prefix_sees_nothing_of_its_neighbours(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    let connection = crate::support::connection("in/");
    catalog.connect(&connection, NOW).await.unwrap();
    let foreign = ["in", "in.txt", "in0"];
    // Rows of a neighbour's connection are in the same partition.
    for key in foreign {
        catalog.apply(&connection, &[(key, &put("v1", "e1", "01", -900))], NOW).await.unwrap();
    }
    let store = Arc::new(Store::new(2, 0, &objects(&["in", "in.txt", "in/a", "in/b", "in0"])));
    let shutdown = CancellationToken::new();
    let summary = run(&store, &catalog, &connection, "in/", &IN_TURN, || NOW, &shutdown).await.unwrap();
    assert_eq!((summary.counts.keys, summary.doubts), (2, 0));
    assert_eq!(keys(&pool).await, ["in", "in.txt", "in/a", "in/b", "in0"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn with_too_many_doubts_a_run_settles_them_together(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(10, 0, &objects(&["a", "b", "c"])));
    reconcile(&store, &catalog, &connection).await.unwrap();
    let lease = Duration::from_secs(300);
    let keeper = |limit, clock| Keeper {
        bucket: Arc::clone(&store),
        inventory: None,
        catalog: catalog.clone(),
        connection: Arc::new(connection.clone()),
        schedule: daily(limit),
        settings: IN_TURN,
        backlog: Backlog::default(),
        turns: Arc::new(Semaphore::new(1)),
        health: Health::default(),
        clock,
    };
    let soon = || NOW + Duration::from_secs(60);
    let doubt = async || {
        for key in ["a", "b", "c"] {
            catalog.take_recheck_of(&connection, key, Doubt::Asked, lease, soon()).await.unwrap();
        }
    };
    let rests = async |keeper: Keeper<Store>| {
        let before = runs(&pool).await.len();
        let kept = Box::pin(keeper.keep_true(CancellationToken::new()));
        tokio::time::timeout(Duration::from_millis(500), kept).await.is_err()
            && runs(&pool).await.len() == before
    };
    let lists = async |keeper: Keeper<Store>| {
        let (shutdown, before) = (CancellationToken::new(), runs(&pool).await.len());
        let task = tokio::spawn(keeper.keep_true(shutdown.clone()));
        eventually("a run", async || {
            let runs = runs(&pool).await;
            (runs.len() == before + 1 && runs[before] == "complete").then_some(())
        })
        .await;
        shutdown.cancel();
        task.await.unwrap();
    };
    doubt().await;
    assert!(rests(keeper(3, soon)).await, "three are not too many");
    assert!(rests(keeper(2, || NOW + Duration::from_secs(8))).await, "it would be of no use yet");
    store.become_at(60, &objects(&["a", "b", "c"]));
    lists(keeper(2, soon)).await;
    assert_eq!(catalog.count_rechecks(&connection, 9).await.unwrap(), 0);
    let watermark = catalog.horizon(&connection).await.unwrap().watermark.unwrap();
    assert!(watermark.from >= window(60, 61).from);

    // A bucket that raises doubts all the time is not listed all the time.
    doubt().await;
    assert!(rests(keeper(2, || NOW + Duration::from_secs(3_600))).await, "not within an hour");
    store.become_at(3_700, &objects(&["a", "b", "c"]));
    lists(keeper(2, || NOW + Duration::from_secs(3_700))).await;
}
