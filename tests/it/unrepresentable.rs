//! Keys that the catalog cannot hold.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, UNREPRESENTABLE_MAX};
use stocktake::model::{RawKey, Unrepresentable};
use stocktake::reconcile::{Settings, run};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Store, connected, listed};

const HOUR: Duration = Duration::from_secs(3_600);

fn raw(bytes: &[u8]) -> RawKey {
    RawKey { bytes: bytes.to_vec(), reason: Unrepresentable::NotUtf8 }
}

/// The keys of the connection, each with when it was first and last seen, in hours after noon.
async fn kept(pool: &PgPool) -> Vec<(Vec<u8>, i64, i64)> {
    let rows: Vec<(Vec<u8>, OffsetDateTime, OffsetDateTime)> =
        sqlx::query_as("select key, first_seen_at, last_seen_at from catalog.unrepresentable order by key")
            .fetch_all(pool)
            .await
            .unwrap();
    let hours = |moment: OffsetDateTime| (moment - NOW).whole_hours();
    rows.into_iter().map(|(key, first, last)| (key, hours(first), hours(last))).collect()
}

async fn list(store: &Arc<Store>, catalog: &Catalog, connection: &Connection, clock: fn() -> OffsetDateTime) {
    let settings = Settings { concurrency: 1, ..Settings::DEFAULT };
    let summary = run(store, catalog, connection, "", &settings, clock, &CancellationToken::new()).await;
    assert_eq!(summary.unwrap().counts.keys, 3);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_is_kept_until_a_complete_listing_does_not_show_it(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let entries = ["a", "b", "c"].map(|key| (key, listed("v1", "e1", -9_000, true)));
    let store = Arc::new(Store::new(2, 0, &entries));
    // Longer than an index entry, whatever compresses it.
    let long = RawKey { bytes: (0..4_000_u16).flat_map(u16::to_be_bytes).collect(), ..raw(b"") };
    store.hold_raw(&[long.clone(), raw(b"x\xFF"), raw(b"y\xFF")]);
    list(&store, &catalog, &connection, || NOW).await;
    let objects: i64 =
        sqlx::query_scalar("select count(*) from catalog.objects").fetch_one(&pool).await.unwrap();
    assert_eq!(objects, 3, "its neighbours are mirrored");
    assert_eq!(
        kept(&pool).await,
        [(long.bytes.clone(), 0, 0), (b"x\xFF".to_vec(), 0, 0), (b"y\xFF".to_vec(), 0, 0)]
    );
    let found = catalog.unrepresentable(&connection).await.unwrap().unwrap();
    assert_eq!((found.count, found.first, found.reason.as_str()), (3, long.bytes, "not_utf8"));

    // What an event told of while the listing went on stays, and so does what is listed.
    store.become_at(7_200, &entries);
    store.hold_raw(&[raw(b"x\xFF")]);
    catalog.note_unrepresentable(&connection, None, &[raw(b"z\xFF")], NOW + 2 * HOUR).await.unwrap();
    list(&store, &catalog, &connection, || NOW + 2 * HOUR).await;
    assert_eq!(kept(&pool).await, [(b"x\xFF".to_vec(), 0, 2), (b"z\xFF".to_vec(), 2, 2)]);
    store.become_at(10_800, &entries);
    store.hold_raw(&[]);
    list(&store, &catalog, &connection, || NOW + 3 * HOUR).await;
    assert_eq!(catalog.unrepresentable(&connection).await.unwrap(), None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn so_many_are_kept_and_no_more(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let most = usize::try_from(UNREPRESENTABLE_MAX).unwrap();
    let keys: Vec<RawKey> = (0..most + 5).map(|number| raw(format!("{number:06}").as_bytes())).collect();
    let (first, rest) = keys.split_at(most - 1);
    for keys in [first, rest, rest] {
        catalog.note_unrepresentable(&connection, None, keys, NOW).await.unwrap();
    }
    assert_eq!(catalog.unrepresentable(&connection).await.unwrap().unwrap().count, UNREPRESENTABLE_MAX);
    catalog.note_unrepresentable(&connection, None, &keys, NOW + HOUR).await.unwrap();
    let kept = kept(&pool).await;
    assert!(kept.len() == most && kept.iter().all(|(_, first, last)| (*first, *last) == (0, 1)));
}
