//! How the daemon ends, politely or not, and that nothing is lost by it.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::{Postgres, Transaction};

use crate::support::{Stage, Writer, eventually};

/// Holds up every batch until it is dropped: batches share a lock on their bucket's row.
pub(crate) async fn hold_up(stage: &Stage) -> Transaction<'static, Postgres> {
    let mut transaction = stage.pool.begin().await.unwrap();
    sqlx::query("select 1 from catalog.connections for update").execute(&mut *transaction).await.unwrap();
    transaction
}

/// Puts objects, and waits until a batch of their events is with Postgres and cannot get on.
async fn get_stuck(stage: &Stage, bucket: &str) {
    for number in 0..30 {
        stage.put(bucket, &format!("key {number}"), "body").await;
    }
    until_stuck(stage).await;
}

/// Waits until a batch is with Postgres and cannot get on.
pub(crate) async fn until_stuck(stage: &Stage) {
    eventually("a batch that waits for the lock", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        (stage.count(waiting).await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_batch_waits_for_its_commit() {
    let stage = Stage::new().await;
    let bucket = stage.name("middle");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    let lock = hold_up(&stage).await;
    get_stuck(&stage, &bucket).await;

    daemon.signal("TERM").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    daemon.must_run();
    lock.rollback().await.unwrap();
    let ended = daemon.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.after < Duration::from_secs(5), "{ended:?}");
    assert_eq!(stage.depth(&stage.queue).await.1, 0, "nothing stays in the hands of nobody");
    assert!(stage.count("select count(*) from catalog.objects").await > 0, "the batch was committed");

    let _daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
}

#[tokio::test]
async fn what_takes_longer_than_messages_are_hidden_is_not_delivered_twice() {
    let stage = Stage::forgiving(2).await;
    let bucket = stage.name("slow");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let daemon = stage.serve(&config).await;
    let lock = hold_up(&stage).await;
    get_stuck(&stage, &bucket).await;

    // Time enough to come again three times, for the daemon or for another.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (waiting, in_hand) = stage.depth(&stage.queue).await;
        assert_eq!(waiting, 0, "{in_hand} are in hand");
    }
    lock.rollback().await.unwrap();
    stage.must_be_equal(&[&bucket]).await;
    let count = async |outcome: &str| {
        let labels = format!("bucket={bucket:?},kind=\"put\",outcome={outcome:?}");
        daemon.metric(&format!("stocktake_events_total{{{labels}}}")).await
    };
    assert_eq!((count("applied").await, count("duplicate").await), (30.0, 0.0), "{}", daemon.log());
}

#[tokio::test]
async fn what_cannot_be_committed_in_time_is_given_back() {
    let stage = Stage::new().await;
    let bucket = stage.name("stuck");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]).with("[shutdown]\ngrace = \"3s\"");
    let mut daemon = stage.serve(&config).await;
    let lock = hold_up(&stage).await;
    get_stuck(&stage, &bucket).await;

    daemon.signal("INT").await;
    let ended = daemon.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.after < Duration::from_secs(5), "{ended:?}");
    let (waiting, in_hand) = stage.depth(&stage.queue).await;
    assert!(waiting >= 30 && in_hand == 0, "{waiting} wait, {in_hand} in the hands of nobody");

    lock.rollback().await.unwrap();
    let _daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let stage = Stage::forgiving(2).await;
    let bucket = stage.name("twice");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    let lock = hold_up(&stage).await;
    get_stuck(&stage, &bucket).await;

    daemon.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    daemon.must_run();
    daemon.signal("TERM").await;
    let ended = daemon.end().await;
    // Without the second one it would wait for the lock as long as its grace lasts, 20 s.
    assert!(ended.status.code() == Some(1) && ended.after < Duration::from_secs(5), "{ended:?}");

    lock.rollback().await.unwrap();
    let _daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
}

#[tokio::test]
async fn sigterm_under_load_leaves_no_message_in_the_hands_of_nobody() {
    let stage = Stage::new().await;
    let bucket = stage.name("load");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let writers = ["a/", "b/"].map(|prefix| Writer::start(&stage, &bucket, prefix));
    for _ in 0..3 {
        let daemon = stage.serve(&config).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ended = daemon.stop().await;
        assert!(ended.after < Duration::from_secs(5), "{ended:?}");
        assert_eq!(stage.depth(&stage.queue).await.1, 0);
    }
    for writer in writers {
        writer.stop().await;
    }
    let _daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
}
