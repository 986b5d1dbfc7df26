//! From messages to rows, with a queue that does not always do as it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use stocktake::catalog::{Catalog, MIGRATOR};
use stocktake::health::Subject;
use stocktake::model::Doubt;
use time::OffsetDateTime;

use crate::support::ingest::{QUEUE, body, ingest, put, record, start, start_by, start_with};
use crate::support::{
    Acknowledge, Line, NOW, at, connected, connection, eventually, rows, see, started, versions,
};

/// A put, its delete marker and its removal, an overwrite in the null version.
fn history() -> [String; 4] {
    [
        body(&[put("a", "v1", 1), put("b", "", 2)]),
        body(&[record("a", "m1", "ObjectRemoved:DeleteMarkerCreated", 3)]),
        body(&[record("a", "v1", "ObjectRemoved:Delete", 4), put("b", "", 5)]),
        body(&[put("c", "v9", 6)]),
    ]
}

async fn redelivery_changes_nothing(pool: PgPool, script: &[Acknowledge], left: usize) {
    let line = Arc::new(Line::default());
    line.script(script);
    for body in history() {
        line.send(body);
    }
    let ingest = ingest(&pool, &line).await;
    ingest.until_in_hand(left).await;
    let before = rows(&pool).await;
    assert_eq!(before.len(), 4, "{before:#?}");
    line.expire();
    ingest.until_in_hand(0).await;
    assert_eq!(rows(&pool).await, before);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_whose_deletion_was_refused_comes_again_and_changes_nothing(pool: PgPool) {
    redelivery_changes_nothing(pool, &[Acknowledge::Refuse(0)], 1).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn messages_whose_deletion_failed_come_again_and_change_nothing(pool: PgPool) {
    // Four messages may be given back in up to four calls.
    let script = [Acknowledge::Fail, Acknowledge::Fail, Acknowledge::Fail, Acknowledge::Fail];
    let line = Arc::new(Line::default());
    line.script(&script);
    for body in history() {
        line.send(body);
    }
    let ingest = ingest(&pool, &line).await;
    eventually("rows", async || (rows(&pool).await.len() == 4).then_some(())).await;
    let before = rows(&pool).await;
    eventually("an end of the script", async || {
        line.expire();
        tokio::time::sleep(Duration::from_millis(50)).await;
        (line.is_played() && line.depth() == (0, 0)).then_some(())
    })
    .await;
    assert_eq!(rows(&pool).await, before);
    drop(ingest);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deletion_that_was_done_and_reported_failed_is_no_harm(pool: PgPool) {
    redelivery_changes_nothing(pool, &[Acknowledge::Lose], 0).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_committed_and_not_deleted_before_a_crash_changes_nothing(pool: PgPool) {
    let line = Arc::new(Line::default());
    line.script(&[Acknowledge::Hang]);
    for body in history() {
        line.send(body);
    }
    let killed = ingest(&pool, &line).await;
    eventually("rows and a deletion", async || {
        (line.is_played() && rows(&pool).await.len() == 4).then_some(())
    })
    .await;
    let before = rows(&pool).await;
    drop(killed);
    line.expire();
    let ingest = ingest(&pool, &line).await;
    ingest.until_in_hand(0).await;
    assert_eq!(rows(&pool).await, before);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_queue_that_cannot_be_read_is_told_of_until_it_can(pool: PgPool) {
    let line = Arc::new(Line::default());
    line.fail_receives(&["AccessDenied", "Throttled"]);
    line.send(body(&[put("a", "v1", 1)]));
    let ingest = ingest(&pool, &line).await;
    eventually("a problem", async || (ingest.problem()? == "try: AccessDenied").then_some(())).await;
    ingest.until_in_hand(0).await;
    eventually("no problem", async || ingest.problem().is_none().then_some(())).await;
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"]);
}

/// Postgres takes no row of the key `poison`. What really cannot be stored is found before it gets
/// there, so a trigger has to stand in for what nobody thought of.
async fn poison(pool: &PgPool) {
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'this is poison' using errcode = '22021'; end $$;
         create trigger refuse before insert on catalog.slots for each row
         when (new.key = 'poison') execute function refuse()",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_one_record_that_postgres_never_takes_is_set_aside_alone(pool: PgPool) {
    poison(&pool).await;
    let line = Arc::new(Line::default());
    line.send(body(&[put("a", "v1", 1), put("poison", "v2", 2), put("b", "v3", 3)]));
    line.send(body(&[put("c", "v4", 4)]));
    line.send(body(&[put("d", "v5", 5), put("e", "v6", 6)]));
    let ingest = ingest(&pool, &line).await;
    ingest.until_in_hand(0).await;
    let keys: Vec<String> =
        sqlx::query_scalar("select key from catalog.objects order by key").fetch_all(&pool).await.unwrap();
    assert_eq!(keys, ["a", "b", "c", "d", "e"]);
    let set_aside: Vec<(String, String, i32, bool)> = sqlx::query_as(
        "select queue, message_id, record, reason like '%this is poison%' from catalog.quarantine",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(set_aside, [(QUEUE.to_owned(), "m1".to_owned(), 2, true)]);
}

/// Batches wait for the lock until it is let go of.
async fn hold_up(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("select 1 from catalog.connections for update").execute(&mut *lock).await.unwrap();
    lock
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_held_up_is_kept_from_others(pool: PgPool) {
    let line = Arc::new(Line::default());
    let (catalog, connection) = connected(pool.clone()).await;
    let lock = hold_up(&pool).await;
    for body in history() {
        line.send(body);
    }
    let ingest = start_with(catalog, connection, &line, 2, Duration::from_secs(1));
    eventually("more extensions than the first time would last", async || {
        (line.extended() >= 5).then_some(())
    })
    .await;
    assert_eq!(line.depth(), (0, 4), "nobody else got any");
    lock.rollback().await.unwrap();
    ingest.until_in_hand(0).await;
    assert_eq!(line.deliveries(), 4, "each was delivered once");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_outage_of_the_database_costs_no_message_a_delivery(pool: PgPool) {
    let line = Arc::new(Line::default());
    let (catalog, connection) = connected(pool.clone()).await;
    let tell = async |statement: &'static str| {
        sqlx::raw_sql(statement).execute(&pool).await.unwrap();
    };
    tell(
        "create function fill() returns trigger language plpgsql as $$
         begin raise exception 'No space left on device' using errcode = 'disk_full'; end $$;
         create trigger fill before insert on catalog.slots for each row execute function fill()",
    )
    .await;
    for body in history() {
        line.send(body);
    }
    let ingest = start_with(catalog, connection, &line, 2, Duration::from_secs(1));
    eventually("more extensions than the visibility and the patience together", async || {
        // Whatever else is written may well be taken; so receivers do not pause.
        ingest.health.ok(Subject::Database);
        (line.extended() >= 10).then_some(())
    })
    .await;
    assert_eq!((line.depth(), line.deliveries()), ((0, 4), 4), "all is kept, and from others");
    line.send(body(&[put("d", "v7", 7)]));
    ingest.until_in_hand(5).await;
    tell("drop trigger fill on catalog.slots").await;
    ingest.until_in_hand(0).await;
    assert_eq!(line.deliveries(), 5, "each was delivered once");
    assert_eq!(versions(&pool, "d").await, ["v7 e latest"]);
}

/// By how many hours the clock of the next test is wrong.
static HOURS_WRONG: AtomicI64 = AtomicI64::new(0);

fn wrong_clock() -> OffsetDateTime {
    NOW + time::Duration::hours(HOURS_WRONG.load(Ordering::Relaxed))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_clock_that_jumps_by_hours_loses_nothing_and_removes_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(-60)).await;
    see(&catalog, &connection, &run, &[]).await;
    assert!(catalog.complete_run(&connection, &run, NOW).await.unwrap());
    let line = Arc::new(Line::default());
    let (catalog, watched) = (Catalog::on(pool.clone()), connection.clone());
    let ingest = start_by(catalog.clone(), connection, &line, 2, Duration::from_secs(1), wrong_clock);
    for (number, hours) in [0, 6, -6, 30, 0].into_iter().enumerate() {
        HOURS_WRONG.store(hours, Ordering::Relaxed);
        let number = u32::try_from(number).unwrap();
        let key = format!("k{number}");
        line.send(body(&[put(&key, "v", 2 * number + 1), put("doubted", "", 2 * number + 2)]));
        ingest.until_in_hand(0).await;
        assert_eq!(versions(&pool, &key).await, ["v e latest"], "{hours} h");
        assert_eq!(versions(&pool, "doubted").await, ["null e latest"], "{hours} h");
        let reason = Doubt::Asked;
        let asked =
            catalog.take_recheck_of(&watched, &key, reason, Duration::from_secs(3), wrong_clock()).await;
        assert_eq!(asked.unwrap().attempts, 1);
    }
    // What the clock put off while it was ahead is due soon after it was set back.
    let take = async || {
        let due = NOW + time::Duration::minutes(1);
        let taken = catalog.take_rechecks(&watched, 10, Duration::from_secs(20), due).await.unwrap();
        let mut keys: Vec<String> = taken.into_iter().map(|taken| taken.key).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(take().await, ["k0", "k2", "k4"]);
    assert_eq!(catalog.recall(NOW).await.unwrap(), 2);
    assert_eq!(take().await, ["k1", "k3"]);
    assert_eq!(line.deliveries(), 5, "each message was delivered once");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_comes_again_while_it_is_held_up_changes_nothing(pool: PgPool) {
    let line = Arc::new(Line::default());
    line.refuse_extensions();
    let (catalog, connection) = connected(pool.clone()).await;
    let lock = hold_up(&pool).await;
    line.send(body(&[put("a", "v1", 1), put("b", "v2", 2)]));
    let ingest = start_with(catalog, connection, &line, 2, Duration::from_secs(1));
    eventually("a second delivery", async || (line.deliveries() >= 2).then_some(())).await;
    lock.rollback().await.unwrap();
    ingest.until_in_hand(0).await;
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"]);
    assert!(ingest.health.snapshot().problems().next().is_none(), "to be late is no problem");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deletion_that_takes_long_holds_up_no_other(pool: PgPool) {
    let line = Arc::new(Line::default());
    line.script(&[Acknowledge::Hang]);
    let (catalog, connection) = connected(pool.clone()).await;
    for number in 0..40 {
        line.send(body(&[put(&format!("k{number}"), "v", number)]));
    }
    let ingest = start_with(catalog, connection, &line, 2, Duration::from_secs(30));
    eventually("all but those of one call", async || {
        let (waiting, in_hand) = line.depth();
        (waiting == 0 && line.is_played() && (1..=10).contains(&in_hand)).then_some(())
    })
    .await;
    drop(ingest);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn told_to_stop_it_commits_what_it_holds_and_told_to_give_back_it_does(pool: PgPool) {
    let line = Arc::new(Line::default());
    let mut ingest = ingest(&pool, &line).await;
    let lock = hold_up(&pool).await;
    line.send(body(&[put("a", "v1", 1)]));
    ingest.until_in_hand(1).await;
    ingest.ending.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(line.depth(), (0, 1), "it waits for the commit");
    lock.rollback().await.unwrap();
    while ingest.tasks.join_next().await.is_some() {}
    assert_eq!((line.depth(), versions(&pool, "a").await), ((0, 0), vec!["v1 e latest".to_owned()]));

    let _lock = hold_up(&pool).await;
    let mut ingest = start(Catalog::on(pool.clone()), connection(""), &line);
    line.send(body(&[put("b", "v2", 2)]));
    ingest.until_in_hand(1).await;
    ingest.ending.stop.cancel();
    ingest.ending.give_back.cancel();
    while ingest.tasks.join_next().await.is_some() {}
    assert_eq!((line.depth(), versions(&pool, "b").await), ((1, 0), Vec::new()));
}
