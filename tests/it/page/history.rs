//! What is remembered of the last hours and months.

use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{MIGRATOR, Traffic};
use stocktake::model::Claim;

use super::Site;
use crate::support::{NOW, connected, put};

async fn counts(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as("select (select count(*) from catalog.traffic), (select count(*) from catalog.growth)")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn daemons_add_up_what_each_of_them_did(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let of = |events, lag| Traffic { events, lag: Some(Duration::from_millis(lag)) };
    // Both within one minute, or the test would fail once an hour.
    sqlx::query("select pg_sleep(case when extract(second from clock_timestamp()) > 55 then 6 else 0 end)")
        .execute(&pool)
        .await
        .unwrap();
    for traffic in [of(5, 300), of(7, 2_500), Traffic::default()] {
        catalog.note_history(&[(&connection, traffic)]).await.unwrap();
    }
    let (events, lag): (i64, f64) = sqlx::query_as(
        "select sum(events)::bigint, max(extract(epoch from lag))::float8 from catalog.traffic",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((events, lag), (12, 2.5));
    let recent = catalog.recent_traffic(6, 72).await.unwrap();
    assert_eq!((&*recent[0].0, recent[0].2.place, recent[0].2.lag_seconds), ("genomics", 71, Some(2.5)));
    let page = Site::of(&pool).await.page("/").await;
    assert!(page.contains("Longest lag over the last 6 hours: now 2s, at most 2s"), "{page}");

    // Who was disconnected meanwhile is nobody's trouble.
    let mut stranger = connection.clone();
    stranger.prefix = "elsewhere/".to_owned();
    catalog.note_history(&[(&stranger, of(1, 1))]).await.unwrap();
    assert_eq!(counts(&pool).await.0, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_hour_says_what_there_was_at_its_end_and_old_ones_go(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claim = put("", "e1", "01", 1);
    let events: [(&str, &Claim); 2] = [("a", &claim), ("b", &claim)];
    catalog.apply(&connection, &events[..1], NOW).await.unwrap();
    catalog.note_history(&[(&connection, Traffic::default())]).await.unwrap();
    catalog.apply(&connection, &events[1..], NOW).await.unwrap();
    catalog.note_history(&[(&connection, Traffic::default())]).await.unwrap();
    let (objects, bytes): (i64, i64) =
        sqlx::query_as("select objects, bytes from catalog.growth order by hour desc limit 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((objects, bytes), (2, 14));

    for statement in [
        "update catalog.hours set hour = hour - interval '10 days'",
        "insert into catalog.hours select hour - interval '81 days', objects, bytes, noncurrent_versions, noncurrent_bytes,
             delete_markers, bucket, storage_class from catalog.hours",
        "update catalog.minutes set minute = minute - interval '47 hours'",
        "insert into catalog.minutes select minute - interval '2 hours', events, lag, bucket, prefix from catalog.minutes",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let before = counts(&pool).await;
    catalog.note_history(&[(&connection, Traffic::default())]).await.unwrap();
    // One of each is new, and what is older than two days and ninety is gone.
    let after = counts(&pool).await;
    assert_eq!((after.0, after.1), (before.0 / 2 + 1, before.1 / 2 + 1), "{before:?}");
    let page = Site::of(&pool).await.page("/bucket?name=genomics").await;
    assert!(
        page.contains("Bytes by storage class, all versions, from ") && page.contains("class=\"layer0\""),
        "{page}"
    );

    catalog.forget(&connection).await.unwrap();
    assert_eq!(counts(&pool).await, (0, 0), "they go with the bucket");
}
