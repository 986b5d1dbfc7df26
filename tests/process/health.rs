//! What the admin endpoint says of a daemon at work.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::support::{Config, Stage, eventually};

#[tokio::test]
async fn every_loop_has_a_pulse() {
    let stage = Stage::new().await;
    let bucket = stage.name("turning");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = Config { doctor: "1h", ..stage.config_of(&[&bucket]) };
    let daemon = stage.serve(&config).await;
    let (status, body) = daemon.get_as("/livez", "application/json").await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["live"]), (200, &json!(true)), "{body}");
    let loops: Vec<&str> =
        body["loops"].as_array().unwrap().iter().filter_map(|one| one["loop"].as_str()).collect();
    let url = &stage.queue.url;
    for name in [
        "metrics",
        "activity",
        "history",
        "news of changes",
        "journal",
        "database watch",
        "locks",
        "problems",
        "ingest worker",
        &format!("receiver of {url}"),
        &format!("depth of {url}"),
        &format!("attendance of {url}"),
        &format!("returns of {url}"),
        &format!("visibility of {url}"),
        &format!("bucket keeper of bucket {bucket}/"),
        &format!("rechecks of bucket {bucket}/"),
        &format!("doctor's rounds of bucket {bucket}/"),
    ] {
        assert!(loops.contains(&name), "{name} is not in {loops:?}");
    }
}

#[tokio::test]
async fn what_somebody_has_to_look_at_is_in_the_metrics() {
    let stage = Stage::new().await;
    let bucket = stage.name("paged");
    stage.bucket(&bucket, Some(Enabled)).await;
    let dead = stage.another_queue("events-dead").await;
    let redrive = json!({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1_000}).to_string();
    let request = stage.sqs.set_queue_attributes().queue_url(&stage.queue.url);
    request.attributes(QueueAttributeName::RedrivePolicy, redrive).send().await.unwrap();
    stage.sqs.send_message().queue_url(&dead.url).message_body("given up").send().await.unwrap();
    stage.send("this is not JSON").await;
    let mut config = stage.config_of(&[&bucket]);
    let absent = stage.queue.url.replace("/events", "/absent");
    config.queues.push(absent.clone());
    let daemon = stage.serve(&config).await;
    let url = &stage.queue.url;
    for line in [
        format!("stocktake_dead_letters{{queue=\"{url}\"}} 1"),
        "stocktake_quarantine_waiting 1".to_owned(),
        format!("stocktake_problems{{subject=\"queue {absent}\"}} 1"),
        format!("stocktake_problems{{subject=\"queue {url}\"}} 0"),
        format!("stocktake_runs_guarded{{bucket=\"{bucket}\"}} 0"),
        format!("stocktake_reconcile_every_seconds{{bucket=\"{bucket}\"}} 86400"),
        "stocktake_rechecks_oldest_age_seconds 0".to_owned(),
        "stocktake_credentials_end_timestamp_seconds 0".to_owned(),
    ] {
        eventually(&line, async || {
            let (_, text) = daemon.get("/metrics").await?;
            text.lines().any(|found| found == line).then_some(())
        })
        .await;
    }
    let (message, remedy) = stage.problem(&config, &format!("queue {url} (dead letters)")).await;
    assert!(message.contains("1 message in its dead-letter queue"), "{message}");
    assert!(remedy.contains("start-message-move-task"), "{remedy}");
}
