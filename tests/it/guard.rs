//! The removal guard: what a run may remove, when, and what happens when it is too much.

use std::sync::Arc;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, REMOVALS_MIN};
use stocktake::health::Health;
use stocktake::ingest::Backlog;
use stocktake::model::{Drift, Listed};
use stocktake::reconcile::{Keeper, Settings, Summary, Trouble, run};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::{
    NOW, Played, Store, at, connected, daily, eventually, listed, put, rows, runs, versions,
};

const GUARDED: Settings = Settings { concurrency: 2, ..Settings::DEFAULT };
const LIFTED: Settings = Settings { allow_removals: true, ..GUARDED };
const COUNT: usize = 6_000;

fn names() -> Vec<String> {
    (0..COUNT).map(|number| format!("k{number:05}")).collect()
}

fn objects(keys: &[String]) -> Vec<(&str, Listed)> {
    keys.iter().map(|key| (key.as_str(), listed("v1", "e1", -9_000, true))).collect()
}

async fn reconcile(
    store: &Arc<Store>,
    catalog: &Catalog,
    connection: &Connection,
    settings: &Settings,
) -> Result<Summary, Trouble> {
    run(store, catalog, connection, "", settings, || NOW, &CancellationToken::new()).await
}

async fn count(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

const PRESENT: &str = "select count(*) from catalog.objects";
const LEFT: &str = "select (select count(*) from catalog.withheld) + (select count(*) from catalog.ranges)";

#[sqlx::test(migrator = "MIGRATOR")]
async fn too_many_removals_stop_a_run_before_any(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let names = names();
    let store = Arc::new(Store::new(500, 0, &objects(&names)));
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    let before = rows(&pool).await;
    let watermark = catalog.horizon(&connection).await.unwrap().watermark;

    // From nothing at all down to just too little; a run that is allowed to would go on.
    for (step, kept) in [0, COUNT / 2, COUNT - COUNT / 5 - 1].into_iter().enumerate() {
        store.become_at(1_000 * (step as i64 + 1), &objects(&names[..kept]));
        let trouble = reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap_err();
        let Trouble::Guarded { why, remedy, .. } = &trouble else { panic!("{trouble}") };
        assert!(why.contains("of the 6000 versions") && why.contains("nothing was removed"), "{why}");
        assert!(remedy.contains("`stocktake reconcile --bucket genomics --allow-removals`"), "{remedy}");
        assert!(runs(&pool).await[step + 1].starts_with("stopped "), "{:?}", runs(&pool).await);
        assert_eq!(rows(&pool).await, before);
        let told =
            count(&pool, "select keys_listed from catalog.reconciliations order by run_id desc limit 1")
                .await;
        assert_eq!(told > 0, kept > 0, "{told} keys listed");
    }
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (watermark, None));
    assert_eq!(count(&pool, LEFT).await, 0);

    // A few less, and they are removed; and all the others as soon as that is allowed.
    store.become_at(10_000, &objects(&names[..COUNT - COUNT / 5]));
    let summary = reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    assert_eq!(summary.drift.get(&Drift::Ghost), Some(&(COUNT as i64 / 5)));
    assert_eq!(count(&pool, PRESENT).await, (COUNT - COUNT / 5) as i64);
    store.become_at(20_000, &[]);
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap_err();
    reconcile(&store, &catalog, &connection, &LIFTED).await.unwrap();
    assert_eq!((count(&pool, PRESENT).await, count(&pool, LEFT).await), (0, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_listed_a_moment_ago_is_guarded_too(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let names = names();
    let store = Arc::new(Store::new(1_000, 0, &objects(&names)));
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    // So soon that the two listings overlap: each key would be asked for by itself, and be removed by that.
    store.become_at(5, &[]);
    let before = rows(&pool).await;
    let trouble = reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Guarded { .. }), "{trouble}");
    assert_eq!((rows(&pool).await, count(&pool, "select count(*) from catalog.rechecks").await), (before, 0));
    let summary = reconcile(&store, &catalog, &connection, &LIFTED).await.unwrap();
    assert_eq!((summary.doubts, summary.drift.len()), (COUNT, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn removals_wait_until_all_is_listed(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let store = Arc::new(Store::new(1, 0, &objects(&names)));
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    assert!(names.len() < REMOVALS_MIN as usize, "so few may go at any time");
    store.become_at(1_000, &objects(&names[2..]));
    store.script(&[Played::Well, Played::Hang]);
    let one_by_one = Settings { concurrency: 1, ..GUARDED };
    let (bucket, dying, to) = (Arc::clone(&store), catalog.clone(), connection.clone());
    let until = CancellationToken::new();
    let stop = until.clone();
    let life = tokio::spawn(async move { run(&bucket, &dying, &to, "", &one_by_one, || NOW, &until).await });
    let asked = store.requests();
    eventually("a page that hangs", async || (store.requests() >= asked + 2).then_some(())).await;
    stop.cancel();
    assert!(matches!(life.await.unwrap(), Err(Trouble::Stopped)));
    assert_eq!(count(&pool, PRESENT).await, 4);

    // `a` is written again before the run goes on: it was gone, and is there now.
    catalog.apply(&connection, &[("a", &put("v2", "e2", "02", 1_200))], NOW).await.unwrap();
    store.become_at(1_500, &objects(&names[2..]));
    let summary = reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    assert_eq!(summary.drift.into_iter().collect::<Vec<_>>(), [(Drift::Ghost, 3)]);
    assert_eq!(versions(&pool, "a").await, Vec::<String>::new(), "gone at 1,500, too");
    assert_eq!((count(&pool, PRESENT).await, runs(&pool).await.len()), (2, 2));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_withheld_is_judged_again_when_it_is_applied(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    for key in ["back", "gone"] {
        catalog.apply(&connection, &[(key, &put("null", "e1", "01", -500))], NOW).await.unwrap();
    }
    let run = crate::support::started(&catalog, &connection, at(0)).await;
    let range = catalog.take_range(&run).await.unwrap().unwrap();
    let sightings = ["back", "gone"].map(|key| stocktake::catalog::Sighting {
        key: key.to_owned(),
        listed: Vec::new(),
        window: crate::support::window(1, 2),
    });
    let progress = crate::support::done(at(2));
    let saved = catalog.save(&connection, &run, &range, &sightings, &progress, NOW).await.unwrap().unwrap();
    assert_eq!((saved.withheld, saved.repaired.drift.len()), (2, 0));
    assert_eq!(catalog.apply_withheld(&connection, &run, NOW).await.unwrap(), None, "not judged yet");
    // An event that is later than the page: the key was written again.
    catalog.apply(&connection, &[("back", &put("null", "e2", "02", 60))], NOW).await.unwrap();
    catalog.judge_removals(&connection, &run, 20, true, NOW).await.unwrap();
    let applied = catalog.apply_withheld(&connection, &run, NOW).await.unwrap().unwrap();
    assert_eq!(applied.doubts, 0);
    assert_eq!(versions(&pool, "back").await, ["null e2 latest"]);
    assert_eq!(versions(&pool, "gone").await, Vec::<String>::new());
    assert!(catalog.complete_run(&connection, &run, NOW).await.unwrap());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_guarded_bucket_is_a_problem_until_the_guard_is_lifted(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let names = names();
    let store = Arc::new(Store::new(1_000, 0, &objects(&names)));
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap();
    store.become_at(1_000, &[]);
    reconcile(&store, &catalog, &connection, &GUARDED).await.unwrap_err();
    let health = Health::default();
    let keeper = || Keeper {
        bucket: Arc::clone(&store),
        inventory: None,
        catalog: catalog.clone(),
        connection: Arc::new(connection.clone()),
        schedule: daily(10),
        settings: GUARDED,
        backlog: Backlog::default(),
        turns: Arc::new(Semaphore::new(1)),
        health: health.clone(),
        clock: || NOW,
    };
    let look = async |is_well: bool| {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(keeper().keep_true(shutdown.clone()));
        let told = async || {
            let snapshot = health.snapshot();
            let (_, problem) = snapshot.subjects().next()?;
            (problem.is_none() == is_well).then(|| problem.cloned())
        };
        let problem = eventually("what the keeper finds", told).await;
        shutdown.cancel();
        task.await.unwrap();
        problem
    };
    let problem = look(false).await.unwrap();
    assert!(problem.message.contains("nothing was removed"), "{problem:?}");
    assert!(problem.remedy.contains("--allow-removals"), "{problem:?}");
    assert_eq!(runs(&pool).await.len(), 2, "it is not tried again at once");
    reconcile(&store, &catalog, &connection, &LIFTED).await.unwrap();
    assert_eq!(look(true).await, None);
    assert_eq!(count(&pool, PRESENT).await, 0);
}
