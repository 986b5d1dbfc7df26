//! What can break while events come in, again and again, under load: nothing is lost by it.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::endings::{hold_up, until_stuck};
use crate::support::{
    Cluster, Config, DELETE, Front, LIST, Play, RECEIVE, Rule, Stage, Writer, eventually, s3_error, sqs_error,
};
use crate::trouble::database_behind_relay;

/// How soon a message comes again that was in somebody's hands.
const INVISIBLE: u32 = 2;

#[tokio::test]
async fn killed_under_load_again_and_again_it_loses_nothing() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("killed");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    for round in 0..30 {
        let mut daemon = stage.start(&config);
        daemon.until_ready().await;
        if round % 3 == 0 {
            let lock = hold_up(&stage).await;
            until_stuck(&stage).await;
            daemon.kill().await;
            lock.rollback().await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..400))).await;
            daemon.kill().await;
        }
    }
    writer.stop().await;
    let daemon = stage.serve(&config).await;
    stage.must_be_true(&config, &bucket).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_postgres_that_is_stopped_and_killed_keeps_all_that_was_acknowledged() {
    let mut stage = Stage::forgiving(INVISIBLE).await;
    let mut cluster = Cluster::of(&mut stage).await;
    let bucket = stage.name("restarted");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    for is_killed in [true, false, true] {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(200..800))).await;
        if is_killed {
            cluster.kill().await;
        } else {
            cluster.stop().await;
        }
        daemon.until_readyz(503, "database: ").await;
        cluster.start().await;
        daemon.until_ready().await;
    }
    writer.stop().await;
    stage.must_be_true(&config, &bucket).await;
    daemon.stop().await;
}

#[tokio::test]
async fn connections_that_are_cut_and_stalled_in_the_middle_of_a_batch_lose_nothing() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("cut");
    stage.bucket(&bucket, Some(Suspended)).await;
    let (relay, url) = database_behind_relay(&stage).await;
    relay.close();
    let config = Config { database: url, ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    for stalled in [0, 0, 2, 4].map(Duration::from_secs) {
        let lock = hold_up(&stage).await;
        until_stuck(&stage).await;
        if stalled.is_zero() {
            relay.open();
            lock.rollback().await.unwrap();
        } else {
            relay.stall();
            // What Postgres says now is stuck, that it has committed for example.
            lock.rollback().await.unwrap();
            tokio::time::sleep(stalled).await;
            if stalled > Duration::from_secs(2) {
                relay.open();
            }
        }
        relay.close();
        daemon.until_ready().await;
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..100))).await;
        relay.open();
        relay.close();
    }
    writer.stop().await;
    daemon.until_ready().await;
    stage.must_be_true(&config, &bucket).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_database_that_is_full_is_waited_for() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("full");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    let tell = async |statements: String| {
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&stage.pool).await.unwrap();
    };

    // What Postgres says, in the middle of a transaction, when its disk is full.
    tell(
        "create function fill() returns trigger language plpgsql as $$
         begin
             raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
         end $$;
         create trigger fill before insert or update on catalog.slots for each row execute function fill()"
            .to_owned(),
    )
    .await;
    daemon.until_readyz(503, "No space left on device").await;
    tell("drop trigger fill on catalog.slots".to_owned()).await;
    daemon.until_ready().await;

    writer.stop().await;
    stage.must_be_true(&config, &bucket).await;
    assert_eq!(stage.count("select count(*) from catalog.quarantine").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_queue_that_fails_or_only_says_so_loses_nothing() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("unsure");
    stage.bucket(&bucket, Some(Enabled)).await;
    let front = Front::of(&stage.endpoint).await;
    let config = Config { endpoint: front.url.clone(), ..stage.config_of(&[&bucket]) };
    let daemon = stage.serve(&config).await;
    front.play([
        Rule::of(RECEIVE, Play::Lose).by_chance(0.1),
        Rule::of(RECEIVE, sqs_error(500, "InternalFailure")).by_chance(0.1),
        Rule::of(RECEIVE, sqs_error(400, "ThrottlingException")).by_chance(0.1),
        Rule::of(RECEIVE, Play::Reset).by_chance(0.05),
        Rule::of(DELETE, Play::Lose).by_chance(0.3),
        Rule::of(DELETE, sqs_error(500, "InternalFailure")).by_chance(0.2),
        Rule::of(DELETE, sqs_error(400, "ThrottlingException")).by_chance(0.1),
        Rule::of(DELETE, Play::Reset).by_chance(0.1),
    ]);
    let writer = Writer::start(&stage, &bucket, "");
    eventually("faults of both calls", async || {
        (front.failed(RECEIVE) >= 10 && front.failed(DELETE) >= 10).then_some(())
    })
    .await;
    writer.stop().await;
    front.play([]);
    stage.must_be_true(&config, &bucket).await;
    daemon.stop().await;
}

/// Brings each message of an answer twice, the last first.
pub(crate) fn twice_and_in_reverse(answer: &mut Value) {
    if let Some(messages) = answer.get_mut("Messages").and_then(Value::as_array_mut) {
        messages.extend(messages.clone());
        messages.reverse();
    }
}

#[tokio::test]
async fn what_comes_twice_and_in_reverse_changes_nothing_and_poison_between_stops_nothing() {
    let stage = Stage::new().await;
    let bucket = stage.name("twice");
    stage.bucket(&bucket, Some(Enabled)).await;
    let front = Front::of(&stage.endpoint).await;
    front.play([Rule::of(RECEIVE, Play::Change(twice_and_in_reverse))]);
    let config = Config { endpoint: front.url.clone(), ..stage.config_of(&[&bucket]) };
    let daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    for number in 0..20 {
        stage.send(&format!("poison {number}")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writer.stop().await;
    assert!(front.failed(RECEIVE) > 10);
    stage.must_be_true(&config, &bucket).await;
    let bodies: Vec<String> = sqlx::query_scalar("select distinct body from catalog.quarantine")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!((bodies.len(), stage.count("select count(*) from catalog.quarantine").await), (20, 20));
    daemon.stop().await;
}

#[tokio::test]
async fn credentials_that_expire_are_told_and_waited_for() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("expired");
    stage.bucket(&bucket, Some(Enabled)).await;
    let front = Front::of(&stage.endpoint).await;
    let config = Config { endpoint: front.url.clone(), ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    tokio::time::sleep(Duration::from_millis(300)).await;
    front.play([
        Rule::of(RECEIVE, sqs_error(403, "ExpiredToken")),
        Rule::of(DELETE, sqs_error(403, "ExpiredToken")),
        Rule::of(LIST, s3_error(400, "ExpiredToken")),
    ]);
    let (message, remedy) = stage.problem(&config, &format!("queue {}", stage.queue.url)).await;
    assert!(message.contains("ExpiredToken") && remedy.contains("credentials"), "{message}; {remedy}");
    daemon.until_readyz(503, "ExpiredToken").await;
    front.play([]);
    daemon.until_ready().await;
    writer.stop().await;
    stage.must_be_true(&config, &bucket).await;
    daemon.stop().await;
}

#[tokio::test]
async fn three_daemons_share_a_queue_and_any_of_them_may_die() {
    let stage = Stage::forgiving(INVISIBLE).await;
    let bucket = stage.name("three");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemons = Vec::from([(); 3].map(|()| stage.start(&config)));
    for daemon in &mut daemons {
        daemon.until_ready().await;
    }
    let writers = ["", "also "].map(|prefix| Writer::start(&stage, &bucket, prefix));
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemons.remove(0).kill().await;
        daemons.push(stage.start(&config));
    }
    for writer in writers {
        writer.stop().await;
    }
    stage.must_be_true(&config, &bucket).await;
    for daemon in daemons {
        daemon.stop().await;
    }
}
