//! Runs that start by themselves, because of something that events did not tell.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};
use aws_sdk_s3::types::NotificationConfiguration;

use crate::support::{Stage, eventually};

/// Waits for a complete run of this reason that is later than another.
async fn run_for(stage: &Stage, reason: &str, after: i64) -> i64 {
    eventually(&format!("a run for {reason}"), async || {
        sqlx::query_scalar(
            "select max(run_id) from catalog.reconciliations
             where reason = $1 and run_id > $2 and status = 'complete'",
        )
        .bind(reason)
        .bind(after)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
    })
    .await
}

/// Often enough that a test need not wait long for a look at the bucket.
const OFTEN: &str = "reconcile_every = \"15s\"";

#[tokio::test]
async fn away_for_longer_than_the_queue_keeps_messages_it_lists_everything() {
    let stage = Stage::new().await;
    let bucket = stage.name("gone");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "v").await;
    let config = stage.config_of(&[&bucket]);
    let daemon = stage.serve(&config).await;
    eventually("a note of what was received", async || {
        (stage.count("select count(*) from catalog.queues").await == 1).then_some(())
    })
    .await;
    daemon.stop().await;

    // It keeps them for four days: what was told meanwhile is lost.
    stage.put(&bucket, "meanwhile", "v").await;
    eventually("its event", async || (stage.depth(&stage.queue).await.0 > 0).then_some(())).await;
    stage.purge().await;
    let days = "update catalog.queues set received_through = now() - interval '5 days'";
    sqlx::query(days).execute(&stage.pool).await.unwrap();
    let mut daemon = stage.start(&config);
    daemon.until_ready().await;
    run_for(&stage, "away", 0).await;
    stage.must_be_exact(&[&bucket]).await;
    assert!(daemon.log().contains("longer than the queue keeps messages"), "{}", daemon.log());
    assert!(daemon.log().contains("reason=\"away\""), "{}", daemon.log());
    daemon.stop().await;
}

#[tokio::test]
async fn a_queue_that_was_deleted_and_made_again_starts_a_run() {
    let stage = Stage::new().await;
    let bucket = stage.name("queueless");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "v").await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    // As if the queue of before had been read, and this one were a new one.
    eventually("a note of what was received", async || {
        (stage.count("select count(*) from catalog.queues").await == 1).then_some(())
    })
    .await;
    let before = "update catalog.queues set received_through = now() - interval '1 hour'";
    stage.sqs.delete_queue().queue_url(&stage.queue.url).send().await.unwrap();
    daemon.until_readyz(503, "queue").await;
    stage.put(&bucket, "meanwhile", "v").await;
    sqlx::query(before).execute(&stage.pool).await.unwrap();
    let name = stage.queue.url.rsplit('/').next().unwrap();
    assert_eq!(stage.another_queue(name).await.url, stage.queue.url);
    daemon.until_ready().await;
    run_for(&stage, "away", 0).await;
    stage.must_be_exact(&[&bucket]).await;
    assert!(daemon.log().contains("another one of the same name"), "{}", daemon.log());
    daemon.stop().await;
    assert_eq!(stage.count("select count(*) from catalog.due_runs").await, 0, "once is enough");
}

#[tokio::test]
async fn a_switch_of_versioning_starts_a_run() {
    let stage = Stage::new().await;
    let bucket = stage.name("switched");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "v").await;
    let _daemon = stage.serve(&stage.config().place_with(&bucket, OFTEN)).await;
    stage.version(&bucket, Suspended).await;
    stage.put(&bucket, "key", "null").await;
    run_for(&stage, "versioning", 0).await;
    stage.must_be_equal(&[&bucket]).await;
    let suspended = "select count(*) from catalog.buckets where versioning = 'suspended'";
    assert_eq!(stage.count(suspended).await, 1);
    let runs = "select count(*) from catalog.reconciliations where reason = 'versioning'";
    assert_eq!(stage.count(runs).await, 1);
}

#[tokio::test]
async fn notifications_that_are_removed_are_a_problem_and_start_a_run() {
    let stage = Stage::new().await;
    let bucket = stage.name("mute");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config().place_with(&bucket, OFTEN);
    let mut daemon = stage.serve(&config).await;
    let subject = format!("notifications of bucket {bucket}/");
    let problems = async || {
        let (status, _) = stage.status(&config).await;
        status["problems"].as_array().unwrap().len()
    };
    assert_eq!(problems().await, 0);

    let nothing = NotificationConfiguration::builder().build();
    let request = stage.s3.put_bucket_notification_configuration().bucket(&bucket);
    request.notification_configuration(nothing).send().await.unwrap();
    stage.put(&bucket, "untold", "v").await;
    let (message, remedy) = stage.problem(&config, &subject).await;
    assert!(message.contains("s3:ObjectCreated:Put") && remedy.contains(&stage.queue.url), "{message}");
    let body = daemon.until_readyz(200, &format!("degraded: {subject}")).await;
    assert!(body.contains("s3:LifecycleExpiration:*"), "{body}");
    let first = run_for(&stage, "notifications", 0).await;
    stage.must_be_exact(&[&bucket]).await;

    stage.tell(&bucket, &stage.queue).await;
    eventually("no problem", async || (problems().await == 0).then_some(())).await;
    run_for(&stage, "notifications", first).await;
    let settles = "select count(*) from catalog.due_runs where due_at > now() + interval '3 minutes'";
    assert_eq!(stage.count(settles).await, 1, "and another, once it is in effect");
    stage.put(&bucket, "told", "v").await;
    stage.must_be_equal(&[&bucket]).await;
    assert!(daemon.stop().await.after < Duration::from_secs(10));
}

#[tokio::test]
async fn what_was_to_stay_out_and_is_not_any_more_is_listed() {
    let stage = Stage::new().await;
    let bucket = stage.name("ignoring");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "tmp/a", "v").await;
    stage.put(&bucket, "b", "v").await;
    let daemon = stage.serve(&stage.config().place_with(&bucket, "ignore = [\"tmp/**\"]")).await;
    stage.put(&bucket, "tmp/c", "v").await;
    stage.until_settled().await;
    assert_eq!(stage.count("select count(*) from catalog.objects").await, 1);
    daemon.stop().await;

    let daemon = stage.serve(&stage.config_of(&[&bucket])).await;
    run_for(&stage, "ignore", 0).await;
    stage.must_be_exact(&[&bucket]).await;
    daemon.stop().await;
}
