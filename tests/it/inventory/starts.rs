//! When reports are read, and when a listing takes place instead.

use std::sync::Arc;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR};
use stocktake::health::Health;
use stocktake::ingest::Backlog;
use stocktake::inventory;
use stocktake::reconcile::{self, Keeper, Trouble};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    BEGAN, LATER, PREFIX, QUEUE, began, deliver, doubts, keys, ledger, listed_at_noon, now, object, source,
};
use crate::support::{NOW, Store, at, connected, daily, eventually};

fn keeper(store: &Arc<Store>, catalog: &Catalog, connection: &Connection, limit: usize) -> Keeper<Store> {
    Keeper {
        bucket: Arc::clone(store),
        inventory: Some(source(store)),
        catalog: catalog.clone(),
        connection: Arc::new(connection.clone()),
        schedule: daily(limit),
        settings: reconcile::Settings::default(),
        backlog: Backlog::default(),
        turns: Arc::new(Semaphore::new(1)),
        health: Health::default(),
        clock: now,
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_report_that_differs_in_too_much_makes_a_listing_due(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &["a", "b", "c"].map(object)).await;
    deliver(&store, "02", BEGAN, &[]);
    store.become_at(LATER, &["a", "b"].map(object));
    let shutdown = CancellationToken::new();
    let kept = tokio::spawn(keeper(&store, &catalog, &connection, 2).keep_true(shutdown.clone()));
    eventually("a second listing", async || {
        let ledger = ledger(&pool).await;
        (ledger.len() == 3 && ledger[2] == "listing complete").then_some(())
    })
    .await;
    shutdown.cancel();
    kept.await.unwrap();
    let stopped = &ledger(&pool).await[1];
    let expected = format!(
        "inventory stopped more than 2 keys of \"genomics\" below \"\" are not as s3://reports/{PREFIX}"
    );
    assert!(stopped.starts_with(&expected), "{stopped}");
    assert_eq!((keys(&pool).await, doubts(&pool).await), (vec!["a".to_owned(), "b".to_owned()], Vec::new()));
    let watermark = catalog.horizon(&connection).await.unwrap().watermark.unwrap();
    assert!(watermark.from > at(LATER), "the listing, and only that, moves it");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_listing_that_such_a_report_makes_due_is_not_forgotten_for_a_later_one(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &["a", "b", "c"].map(object)).await;
    let few = inventory::Settings { limit: 2, ..QUEUE };
    let read = async || {
        let (source, shutdown) = (source(&store), CancellationToken::new());
        inventory::run(&source, &catalog, &connection, "", few, now, &shutdown).await.unwrap_err()
    };
    deliver(&store, "02", BEGAN, &["0", "1"].map(object));
    assert!(matches!(read().await, Trouble::Flooded { .. }));
    deliver(&store, "03", BEGAN + 100, &[object("x")]);
    let data = format!("{PREFIX}data/{}-0.csv.gz", began(BEGAN + 100));
    store.deliver([(data, Vec::new())]);
    assert!(matches!(read().await, Trouble::Report(_)));
    let compared =
        "select keys_listed from catalog.reconciliations where source = 'inventory' order by run_id";
    let compared: Vec<i64> = sqlx::query_scalar(compared).fetch_all(&pool).await.unwrap();
    store.become_at(LATER, &["a", "b"].map(object));
    let shutdown = CancellationToken::new();
    let kept = tokio::spawn(keeper(&store, &catalog, &connection, 2).keep_true(shutdown.clone()));
    eventually("a listing", async || (keys(&pool).await == ["a", "b"]).then_some(())).await;
    eventually("its end", async || {
        (ledger(&pool).await.last().map(String::as_str) == Some("listing complete")).then_some(())
    })
    .await;
    shutdown.cancel();
    kept.await.unwrap();
    assert_eq!((compared, ledger(&pool).await.len()), (vec![2, 0], 4));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn runs_that_start_by_themselves_list_once_and_then_read_reports(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(10, 0, &[object("a")]));
    deliver(&store, "02", BEGAN, &[]);
    let shutdown = CancellationToken::new();
    let mut early = keeper(&store, &catalog, &connection, 2);
    early.clock = || NOW;
    let kept = tokio::spawn(early.keep_true(shutdown.clone()));
    eventually("a listing", async || (ledger(&pool).await == ["listing complete"]).then_some(())).await;
    shutdown.cancel();
    kept.await.unwrap();

    let shutdown = CancellationToken::new();
    let kept = tokio::spawn(keeper(&store, &catalog, &connection, 2).keep_true(shutdown.clone()));
    eventually("a report", async || (ledger(&pool).await.len() == 2).then_some(())).await;
    eventually("its doubt", async || (doubts(&pool).await.len() == 1).then_some(())).await;
    shutdown.cancel();
    kept.await.unwrap();
    assert_eq!(ledger(&pool).await, ["listing complete", "inventory complete"]);
}
