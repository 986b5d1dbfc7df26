//! Keys that stay out of the catalog.

use std::sync::Arc;

use sqlx::PgPool;
use stocktake::catalog::{Connection, MIGRATOR};
use stocktake::ignore::Ignore;
use stocktake::model::{Doubt, Drift};
use stocktake::recheck::recheck_one;
use stocktake::reconcile::{Settings, run};
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Store, connected, listed};

const SETTINGS: Settings = Settings { concurrency: 1, ..Settings::DEFAULT };

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_ignored_from_now_on_goes_with_the_next_run(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let entries =
        ["a", "a/x.tmp", "b/y.tmp", "c", "d.tmp"].map(|key| (key, listed("v1", "e1", -9_000, true)));
    // Two on a page, so that a page has nothing but what is ignored.
    let store = Arc::new(Store::new(2, 0, &entries));
    let shutdown = CancellationToken::new();
    let listing = async |connection: &Connection| {
        run(&store, &catalog, connection, "", &SETTINGS, || NOW, &shutdown).await.unwrap()
    };
    let keys = async || -> Vec<String> {
        sqlx::query_scalar("select key from catalog.objects order by key").fetch_all(&pool).await.unwrap()
    };
    assert_eq!(listing(&connection).await.counts.keys, 5);

    let ignore = Ignore::new(vec!["*/*.tmp".to_owned()]).unwrap();
    let connection = Connection { ignore, ..connection };
    store.become_at(1_000, &entries);
    let second = listing(&connection).await;
    assert_eq!((second.counts.keys, second.counts.versions), (3, 3));
    assert_eq!(second.drift.into_iter().collect::<Vec<_>>(), [(Drift::Ghost, 2)]);
    assert_eq!(keys().await, ["a", "c", "d.tmp"]);
    store.become_at(2_000, &entries);
    assert!(listing(&connection).await.drift.is_empty());

    // A recheck that somebody asks for brings it back no more than a run does.
    let asked = catalog.take_recheck_of(&connection, "a/x.tmp", Doubt::Asked, std::time::Duration::ZERO, NOW);
    let recheck = asked.await.unwrap();
    recheck_one(&*store, &catalog, &connection, &recheck, || NOW).await.unwrap();
    assert_eq!(keys().await, ["a", "c", "d.tmp"]);
}
