//! Setting up: what the doctor says, and what `ignore` keeps out.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::support::{Stage, eventually};

/// What a policy of the queue's must say for a bucket.
fn queue_policy(stage: &Stage, bucket: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sqs:SendMessage",
        "Resource": stage.queue.arn,
        "Condition": { "ArnLike": { "aws:SourceArn": format!("arn:aws:s3:::{bucket}") } },
    }] })
    .to_string()
}

async fn set(stage: &Stage, name: QueueAttributeName, value: &str) {
    let request = stage.sqs.set_queue_attributes().queue_url(&stage.queue.url);
    request.attributes(name, value).send().await.unwrap();
}

/// The verdict of each check of the doctor's about the bucket or its queue, and whether it exited as it should.
async fn doctor(stage: &Stage, config: &crate::support::Config) -> Vec<Value> {
    let told = stage.run(config, &["doctor", "--format", "json"]).await;
    let findings = told.json();
    let is_failed = findings.iter().any(|finding| finding["verdict"] == "failure");
    assert_eq!(told.code, Some(i32::from(is_failed)), "{told:?}");
    let text = stage.run(config, &["doctor"]).await;
    for finding in &findings {
        let found = finding["found"].as_str().unwrap();
        // Seconds pass, and requests have ids.
        let differs = found.contains("second")
            || found.ends_with("s ago")
            || found.contains("request id")
            || finding["verdict"] == "could not tell";
        assert!(differs || text.stdout.contains(found), "no {found} in {}", text.stdout);
    }
    findings
}

fn verdict<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let finding = findings.iter().find(|finding| finding["check"] == check);
    &finding.unwrap_or_else(|| panic!("no {check:?} in {findings:#?}"))["verdict"]
}

#[tokio::test]
async fn the_doctor_names_what_is_broken_and_then_nothing() {
    let stage = Stage::new().await;
    let bucket = stage.name("patient");
    stage.silent_bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&format!("{bucket}/a/")]);

    let findings = doctor(&stage, &config).await;
    for (check, expected) in [
        ("reachable", "ok"),
        ("bucket", "ok"),
        ("owner", "ok"),
        ("credentials", "ok"),
        ("listing", "ok"),
        ("notifications", "failure"),
        ("queue policy", "failure"),
        ("retention", "warning"),
        ("receiving", "ok"),
        ("acknowledging", "ok"),
    ] {
        assert_eq!(verdict(&findings, check), expected, "{check} in {findings:#?}");
    }

    set(&stage, QueueAttributeName::Policy, &queue_policy(&stage, &bucket)).await;
    set(&stage, QueueAttributeName::MessageRetentionPeriod, "1209600").await;
    stage.tell(&bucket, &stage.queue).await;
    let findings = doctor(&stage, &config).await;
    for check in ["notifications", "queue policy", "retention"] {
        assert_eq!(verdict(&findings, check), "ok", "{check} in {findings:#?}");
    }
    // Databases for tests need not survive a crash.
    let failed = findings.iter().filter(|finding| finding["verdict"] == "failure");
    assert!(failed.into_iter().all(|finding| finding["check"] == "durability"), "{findings:#?}");

    let absent = stage.name("nowhere");
    let findings = doctor(&stage, &stage.config_of(&[&absent])).await;
    assert_eq!(verdict(&findings, "bucket"), "failure");
    let unknown = stage.run(&config, &["doctor", "--bucket", &absent]).await;
    assert!(unknown.code == Some(64) && unknown.stderr.contains("not configured"), "{unknown:?}");
}

#[tokio::test]
async fn ignored_keys_stay_out_whoever_tells_of_them() {
    let stage = Stage::new().await;
    let bucket = stage.name("ignoring");
    stage.bucket(&bucket, Some(Enabled)).await;
    for key in ["a/.iap_upload_test.tmp", "a/b"] {
        stage.put(&bucket, key, "before").await;
    }
    let config = stage.config().place_with(&bucket, "ignore = [\"**/.iap_upload_test.tmp\"]");
    let daemon = stage.serve(&config).await;
    for key in [".iap_upload_test.tmp", "a/c"] {
        stage.put(&bucket, key, "meanwhile").await;
    }
    let objects = async || -> Vec<String> {
        sqlx::query_scalar("select key from catalog.objects order by key")
            .fetch_all(&stage.pool)
            .await
            .unwrap()
    };
    eventually("an event of a key that is not ignored", async || (objects().await.len() > 1).then_some(()))
        .await;
    stage.until_settled().await;
    assert_eq!(objects().await, ["a/b", "a/c"]);
    let events = format!("stocktake_events_total{{bucket=\"{bucket}\",kind=\"put\",outcome=\"ignored\"}}");
    assert_eq!(daemon.metric(&events).await, 2.0, "of before and meanwhile");
    assert_eq!(daemon.metric(&format!("stocktake_ignored_keys_total{{bucket=\"{bucket}\"}}")).await, 1.0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_tells_of_a_broken_set_up_until_it_is_mended() {
    let stage = Stage::new().await;
    let bucket = stage.name("watched");
    stage.bucket(&bucket, None).await;
    let config = crate::support::Config { doctor: "1s", ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.serve(&config).await;
    let subject = format!("set-up of bucket {bucket}/");
    let words = "queue policy: it has none";
    daemon.until_readyz(200, &format!("degraded: {subject}: {words}")).await;
    let (message, remedy) = stage.problem(&config, &subject).await;
    assert!(
        message.contains(words) && remedy.contains("stocktake policy --bucket B --account ID --only queue"),
        "{message}; {remedy}"
    );
    let metric = format!("stocktake_setup_failures{{bucket=\"{bucket}\",check=\"queue policy\"}}");
    assert_eq!(daemon.metric(&metric).await, 1.0);
    set(&stage, QueueAttributeName::Policy, &queue_policy(&stage, &bucket)).await;
    eventually("a set-up that is as it must be", async || {
        (daemon.metric(&metric).await == 0.0).then_some(())
    })
    .await;
    eventually("a status without problems", async || {
        stage.status(&config).await.0["problems"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn policies_are_printed_as_documents() {
    let stage = Stage::new().await;
    let config = stage.config_of(&["genomics/a/"]);
    let told = stage.run(&config, &["policy", "--bucket", "genomics", "--only", "queue"]).await;
    let policy: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], json!([stage.queue.arn]), "{told:?}");
    for kind in ["trust", "key"] {
        let told = stage.run(&config, &["policy", "--bucket", "genomics", "--only", kind]).await;
        assert!(told.code == Some(0) && told.stdout.is_empty(), "{told:?}");
        assert!(told.stderr.contains("there is nothing to print"), "{told:?}");
    }
    let lines = stage.run(&config, &["policy", "--bucket", "genomics", "--format", "json"]).await.json();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["permissions", "queue"]);
    assert!(lines[0]["policy"]["Statement"].is_array(), "{lines:?}");
}
