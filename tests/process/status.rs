//! What `stocktake status` says with a daemon at work and without one.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::Value;

use crate::support::{REGION, Stage, eventually};

fn state<'a>(status: &'a Value, bucket: &str) -> &'a str {
    let buckets = status["buckets"].as_array().unwrap();
    buckets.iter().find(|row| row["bucket"] == bucket).unwrap()["state"].as_str().unwrap()
}

#[tokio::test]
async fn it_is_told_whether_a_daemon_is_at_work_and_how_each_bucket_is() {
    let stage = Stage::new().await;
    let (bucket, other) = (stage.name("status"), stage.name("other"));
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "p/key", "body").await;
    let mut config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    assert_eq!(stage.run(&config, &["reconcile"]).await.code, Some(0));
    let (status, text) = stage.status(&config).await;
    assert_eq!((&status["is_attended"], state(&status, &bucket)), (&false.into(), "unattended"));
    let row = &status["buckets"][0];
    assert_eq!(
        (&row["region"], &row["versioning"]),
        (&REGION.into(), &"enabled".into()),
        "the command looked"
    );
    assert!(text.contains("no daemon is at work, nor was any lately"), "{text}");

    let absent = stage.queue.url.replace("/events", "/absent");
    config.queues.push(absent.clone());
    let daemon = stage.serve(&config).await;
    stage.problem(&config, &format!("queue {absent}")).await;
    let both = config.clone().place(&other);
    let (status, text) = eventually("a daemon that hears from one of its queues", async || {
        let told = stage.status(&both).await;
        told.1.contains("receives messages that are").then_some(told)
    })
    .await;
    assert_eq!((state(&status, &bucket), state(&status, &other)), ("degraded", "not_connected"));
    assert!(!text.contains("no daemon"), "{text}");
    assert_eq!(status["problems"][0]["is_current"], true);
    let (status, text) = stage.status(&stage.config_of(&[&other])).await;
    assert_eq!(state(&status, &bucket), "not_configured");
    assert!(text.contains("not configured"), "{text}");

    stage.another_queue("absent").await;
    eventually("a bucket that is well", async || {
        (state(&stage.status(&config).await.0, &bucket) == "well").then_some(())
    })
    .await;
    let told = stage.run(&config, &["reconcile", "--bucket", &bucket, "--prefix", "p/"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let (status, text) = stage.status(&config).await;
    assert_eq!(status["buckets"][0]["run"]["prefix"], "p/");
    assert_eq!((&status["buckets"][0]["objects"], &status["buckets"][0]["bytes"]), (&1.into(), &4.into()));
    assert!(text.contains("1 key, only below p/"), "{text}");

    for url in [&stage.queue.url, &absent] {
        stage.sqs.delete_queue().queue_url(url).send().await.unwrap();
    }
    eventually("a daemon that hears nothing", async || {
        let (status, text) = stage.status(&config).await;
        let is_told = text.contains("hears from no queue") && !text.contains("receives messages");
        (status["daemons"][0]["lag_seconds"].is_null() && is_told).then_some(())
    })
    .await;

    sqlx::query("insert into catalog.problems values ('queue gone', 'it is gone', 'make it', now())")
        .execute(&stage.pool)
        .await
        .unwrap();
    daemon.stop().await;
    let (status, text) = stage.status(&config).await;
    assert_eq!(
        (state(&status, &bucket), &status["problems"][0]["is_current"]),
        ("unattended", &false.into())
    );
    assert!(
        text.contains("no daemon is at work: the last one, on ") && text.contains(" was stopped at "),
        "{text}"
    );
    assert!(text.contains("what was wrong when a daemon was last at work:"), "{text}");

    let code = stage.watch_lines(&config, &["status", "--watch", "--format", "json"], 2).await;
    assert_eq!(code, Some(0), "it ends well by Ctrl-C");
}
