//! Runs and batches at once: neither starves the other.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{GIVE_WAY_MAX, MIGRATOR};
use stocktake::model::Span;
use stocktake::reconcile::{Settings, run};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Store, connected, eventually, listed, put, runs};

/// Keys that the run has to write.
const KEYS: usize = 20_000;
/// What a batch may take beside a run, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_millis(250);

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_piece_of_a_run_gives_way_to_a_batch_for_so_long(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let scan = async || {
        let began = Instant::now();
        catalog.scan(&connection, "", &Span::all(), None, 10).await.unwrap();
        began.elapsed()
    };
    // Of several, since the machine has other things to do.
    let quickest = async || {
        let mut quickest = Duration::MAX;
        for _ in 0..10 {
            quickest = quickest.min(scan().await);
        }
        quickest
    };
    assert!(quickest().await < GIVE_WAY_MAX, "without any batch");
    // A batch that cannot get on: somebody holds its connection.
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("select 1 from catalog.connections for update").execute(&mut *transaction).await.unwrap();
    let batch = tokio::spawn({
        let (catalog, connection) = (catalog.clone(), connection.clone());
        async move { catalog.apply(&connection, &[("k", &put("v1", "e1", "01", 0))], NOW).await.map(drop) }
    });
    eventually("a batch that waits for the lock", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        (sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() > 0).then_some(())
    })
    .await;
    assert!(quickest().await >= GIVE_WAY_MAX, "it gives way, and gets on");
    transaction.rollback().await.unwrap();
    batch.await.unwrap().unwrap();
    assert!(quickest().await < GIVE_WAY_MAX, "after the batch");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn batches_keep_their_latency_while_a_run_is_on(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let keys: Vec<String> = (0..KEYS).map(|number| format!("k{number:05}")).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), listed("v1", "e1", -9_000, true))).collect();
    let store = Arc::new(Store::new(1_000, 0, &entries));
    let task = tokio::spawn({
        let (catalog, connection) = (catalog.clone(), connection.clone());
        async move {
            let shutdown = CancellationToken::new();
            run(&store, &catalog, &connection, "", &Settings::default(), || NOW, &shutdown).await
        }
    });
    // One batch after the other, without a pause, for as long as the run takes.
    let (mut took, mut number) = (Vec::new(), 0);
    while !task.is_finished() {
        let (key, claim) = (format!("new {number}"), put("v1", "e1", "01", 100));
        let began = Instant::now();
        catalog.apply(&connection, &[(key.as_str(), &claim)], NOW).await.unwrap();
        took.push(began.elapsed());
        number += 1;
    }
    task.await.unwrap().unwrap();
    assert_eq!(runs(&pool).await, ["complete"], "and the run gets on beside them");
    took.sort_unstable();
    let (median, last) = (took[took.len() / 2], took[took.len() * 9 / 10]);
    println!(
        "{} batches while the run was on: half within {median:?}, nine of ten within {last:?}",
        took.len()
    );
    assert!(took.len() >= 20, "the run was over before that could be seen: {}", took.len());
    assert!(last < PATIENCE, "half within {median:?}, nine of ten within {last:?}");
}
