//! Keys in doubt, and a bucket that does not always do as it should.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Recheck};
use stocktake::health::Health;
use stocktake::model::{Doubt, Listed};
use stocktake::recheck::{Rechecker, Trouble, look, recheck_one};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Played, Store, at, connected, eventually, listed, put, versions};

const LEASE: Duration = Duration::from_secs(300);

/// A key among others that begin with it, with versions that fill several pages.
fn neighbours() -> Vec<(&'static str, Listed)> {
    let old = |version: &str, is_latest| listed(version, "e1", -9_000, is_latest);
    vec![
        ("k", old("v3", true)),
        ("k", old("v2", false)),
        ("k", old("v1", false)),
        ("k.bak", old("w1", true)),
        ("k/child", old("x1", true)),
        ("k0", old("y1", true)),
    ]
}

async fn ask(catalog: &Catalog, connection: &Connection, key: &str) -> Recheck {
    catalog.take_recheck_of(connection, key, Doubt::Asked, LEASE, NOW).await.unwrap()
}

#[tokio::test]
async fn a_key_is_looked_at_alone_and_whole() {
    for (page, requests) in [(1, 4), (2, 2), (3, 2), (10, 1)] {
        let store = Store::new(page, 0, &neighbours());
        let sighting = look(&store, "k").await.unwrap();
        let ids: Vec<_> = sighting.listed.iter().map(|entry| entry.version.as_str()).collect();
        assert_eq!(ids, ["v3", "v2", "v1"], "pages of {page}");
        assert_eq!(store.requests(), requests, "pages of {page}");
        assert_eq!(
            (sighting.window.from, sighting.window.to),
            (at(0), at(requests as i64)),
            "pages of {page}"
        );
    }
    let store = Store::new(1, 0, &neighbours()[3..]);
    assert!(look(&store, "k").await.unwrap().listed.is_empty());
    assert_eq!(store.requests(), 1, "the first of the others shows that it is not there");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recheck_leaves_the_neighbours_alone(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    for key in ["k", "k.bak", "k0"] {
        catalog.apply(&connection, &[(key, &put("gone", "e9", "09", -5_000))], NOW).await.unwrap();
    }
    let recheck = ask(&catalog, &connection, "k").await;
    let store = Store::new(2, 0, &neighbours());
    let repaired = recheck_one(&store, &catalog, &connection, &recheck, || NOW).await.unwrap();
    assert_eq!((repaired.drift.len(), repaired.doubts), (4, 0));
    assert_eq!(versions(&pool, "k").await, ["v1 e1", "v2 e1", "v3 e1 latest"]);
    for key in ["k.bak", "k0"] {
        assert_eq!(versions(&pool, key).await, ["gone e9 latest"]);
    }
    assert_eq!(catalog.count_rechecks(&connection, 9).await.unwrap(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_that_cannot_be_listed_stays_queued_and_waits_longer_each_time(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Store::new(2, 0, &neighbours());
    store.script(&[Played::Fault("SlowDown"), Played::Well, Played::Fault("AccessDenied")]);
    let mut recheck = ask(&catalog, &connection, "k").await;
    let mut now = NOW;
    for (attempts, answer) in [(1, "try: SlowDown"), (2, "try: AccessDenied")] {
        let trouble =
            recheck_one(&store, &catalog, &connection, &recheck, clock_at(attempts)).await.unwrap_err();
        assert!(matches!(&trouble, Trouble::S3(fault) if fault.to_string() == answer), "{trouble}");
        let (due_at, error): (OffsetDateTime, String) =
            sqlx::query_as("select due_at, last_error from catalog.rechecks").fetch_one(&pool).await.unwrap();
        let pause = due_at - clock_at(attempts)();
        assert_eq!((pause.whole_seconds(), error.as_str()), (i64::from(attempts) * 5, answer));
        assert!(catalog.take_rechecks(&connection, 9, LEASE, due_at - pause / 2).await.unwrap().is_empty());
        now = due_at;
        recheck = catalog.take_rechecks(&connection, 9, LEASE, now).await.unwrap().remove(0);
        assert_eq!(recheck.attempts, attempts + 1);
    }
    assert!(now > NOW);
    recheck_one(&store, &catalog, &connection, &recheck, || NOW).await.unwrap();
    assert_eq!(catalog.count_rechecks(&connection, 9).await.unwrap(), 0);
    assert_eq!(versions(&pool, "k").await.len(), 3);
}

/// The clock at each attempt: a minute apart.
fn clock_at(attempt: i32) -> fn() -> OffsetDateTime {
    match attempt {
        1 => || NOW,
        _ => || NOW + Duration::from_secs(60),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_daemon_tells_of_a_bucket_that_it_cannot_ask_and_goes_on(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(2, 0, &neighbours()));
    store.script(&[Played::Fault("AccessDenied")]);
    // Queued by somebody who died: its lease is over when the daemon looks.
    for key in ["k", "k0"] {
        ask(&catalog, &connection, key).await;
    }
    let health = Health::default();
    let rechecker = Rechecker {
        bucket: Arc::clone(&store),
        catalog: catalog.clone(),
        connection: Arc::new(connection.clone()),
        concurrency: 1,
        health: health.clone(),
        clock: || NOW + LEASE,
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(rechecker.settle_doubts(shutdown.clone()));
    eventually("one of two settled", async || {
        (catalog.count_rechecks(&connection, 9).await.unwrap() == 1).then_some(())
    })
    .await;
    let error: Vec<Option<String>> =
        sqlx::query_scalar("select last_error from catalog.rechecks").fetch_all(&pool).await.unwrap();
    assert_eq!(error, [Some("try: AccessDenied".to_owned())], "the other is queued, and says why");
    assert_eq!(health.snapshot().problems().count(), 0, "the last one went well");
    shutdown.cancel();
    task.await.unwrap();
}
