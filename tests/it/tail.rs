//! Reading the journal while it is written: nothing is missed, nothing comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection, PgPool};
use stocktake::catalog::MIGRATOR;
use tokio::task::JoinSet;

use crate::support::{NOW, connected, eventually, put};

/// Waits until every transaction is over that began before now, in any database of the server: a tail
/// shows what was committed by now.
pub(crate) async fn until_shown(pool: &PgPool) {
    let statement = "select pg_snapshot_xmax(pg_current_snapshot())::text";
    let next: String = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
    eventually("older transactions are over", async || {
        let statement = "select pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8";
        let is_shown: bool = sqlx::query_scalar(statement).bind(&next).fetch_one(pool).await.unwrap();
        is_shown.then_some(())
    })
    .await;
}

const WRITERS: usize = 6;
const ROUNDS: usize = 30;

/// Writes lines in transactions of very different length, every seventh of which is taken back.
async fn write_slowly(pool: PgPool, writer: usize) {
    for round in 0..ROUNDS {
        let mut transaction = pool.begin().await.unwrap();
        for line in 0..3 {
            let statement = "insert into catalog.journal (bucket, key, version_id, change, cause)
                             values ('genomics', $1, 'null', 'created', 'event')";
            let key = format!("{writer}/{round}/{line}");
            sqlx::query(statement).bind(key).execute(&mut *transaction).await.unwrap();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..8) * fastrand::u64(0..4))).await;
        }
        if round % 7 == 6 {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
        }
    }
}

/// Reads on from where the consumer is, keeps what it read and its new place in one transaction, and
/// often dies before that is committed. How many lines were read.
async fn read_on(connection: &mut PgConnection, consumer: i32) -> usize {
    let mut transaction = connection.begin().await.unwrap();
    let place = "select place from places where consumer = $1";
    let place: Option<String> =
        sqlx::query_scalar(place).bind(consumer).fetch_one(&mut *transaction).await.unwrap();
    let statement = "select change_id, cursor from catalog.changes_since('genomics', $1) limit 17";
    let changes: Vec<(i64, String)> =
        sqlx::query_as(statement).bind(place).fetch_all(&mut *transaction).await.unwrap();
    if let Some((_, last)) = changes.last() {
        let ids: Vec<i64> = changes.iter().map(|(id, _)| *id).collect();
        sqlx::query("insert into taken (consumer, change_id) select $1, unnest($2::int8[])")
            .bind(consumer)
            .bind(ids)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query("update places set place = $2 where consumer = $1")
            .bind(consumer)
            .bind(last)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    if fastrand::u8(0..3) == 0 {
        transaction.rollback().await.unwrap();
        return changes.len();
    }
    transaction.commit().await.unwrap();
    changes.len()
}

async fn consume(pool: PgPool, consumer: i32, is_over: Arc<AtomicBool>) {
    let mut connection = pool.acquire().await.unwrap();
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let read = read_on(&mut connection, consumer).await;
        if read == 0 && was_over {
            return;
        }
    }
}

/// What a tail by number alone reads: it never looks back.
async fn consume_by_number(pool: PgPool, is_over: Arc<AtomicBool>) -> usize {
    let (mut last, mut count) = (0, 0);
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let statement = "select change_id from catalog.changes where change_id > $1 order by change_id";
        let ids: Vec<i64> = sqlx::query_scalar(statement).bind(last).fetch_all(&pool).await.unwrap();
        count += ids.len();
        match ids.last() {
            Some(id) => last = *id,
            None if was_over => return count,
            None => {}
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_tail_misses_nothing_and_repeats_nothing_whoever_is_slow_or_dies(pool: PgPool) {
    connected(pool.clone()).await;
    for statement in [
        "create table places (consumer integer primary key, place text)",
        "insert into places values (0), (1)",
        // In the order of arrival; nothing may come twice.
        "create table taken (number bigserial, consumer integer, change_id bigint, unique (consumer, change_id))",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut consumers = JoinSet::new();
    for consumer in 0..2 {
        consumers.spawn(consume(pool.clone(), consumer, Arc::clone(&is_over)));
    }
    let by_number = tokio::spawn(consume_by_number(pool.clone(), Arc::clone(&is_over)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_slowly(pool.clone(), writer));
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    until_shown(&pool).await;
    is_over.store(true, Ordering::Release);
    while let Some(consumer) = consumers.join_next().await {
        consumer.unwrap();
    }
    let written: Vec<i64> =
        sqlx::query_scalar("select change_id from catalog.changes order by transaction_id, change_id")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(written.len(), WRITERS * (ROUNDS - ROUNDS / 7) * 3);
    for consumer in 0..2 {
        let taken: Vec<i64> =
            sqlx::query_scalar("select change_id from taken where consumer = $1 order by number")
                .bind(consumer)
                .fetch_all(&pool)
                .await
                .unwrap();
        assert_eq!(taken, written, "consumer {consumer}");
    }
    assert!(by_number.await.unwrap() < written.len(), "the writers never met: this test shows nothing");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_begins_at_the_end_reads_what_comes(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    catalog.apply(&connection, &[("a", &put("", "e1", "01", 1))], NOW).await.unwrap();
    until_shown(&pool).await;
    let end: String = sqlx::query_scalar("select catalog.changes_end()").fetch_one(&pool).await.unwrap();
    catalog.apply(&connection, &[("b", &put("", "e1", "01", 1))], NOW).await.unwrap();
    until_shown(&pool).await;
    let statement = "select key from catalog.changes_since('genomics', $1)";
    let keys: Vec<String> = sqlx::query_scalar(statement).bind(end).fetch_all(&pool).await.unwrap();
    assert_eq!(keys, ["b"]);
}

/// Waits for a notification, for no longer than one takes that is sent.
async fn heard(listener: &mut PgListener) -> Option<String> {
    let told = tokio::time::timeout(Duration::from_millis(300), listener.recv()).await;
    told.ok().map(|told| told.unwrap().payload().to_owned())
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_waits_is_told_once_the_tail_shows_the_change(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("catalog_changes").await.unwrap();
    let mut older = pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *older).await.unwrap();
    for sequencer in ["01", "02"] {
        catalog.apply(&connection, &[("k", &put("", "e", sequencer, 1))], NOW).await.unwrap();
    }
    for _ in 0..3 {
        catalog.tell_changes().await.unwrap();
    }
    assert_eq!(heard(&mut listener).await, None, "an older transaction is under way");
    older.rollback().await.unwrap();
    until_shown(&pool).await;
    catalog.tell_changes().await.unwrap();
    assert_eq!(heard(&mut listener).await.as_deref(), Some("genomics"));
    let shown: i64 = sqlx::query_scalar("select count(*) from catalog.changes_since('genomics')")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(shown, 2);
    // Nothing came since, and what changes nothing is no news.
    catalog.apply(&connection, &[("k", &put("", "e", "01", 1))], NOW).await.unwrap();
    for _ in 0..3 {
        catalog.tell_changes().await.unwrap();
    }
    assert_eq!(heard(&mut listener).await, None);
}
