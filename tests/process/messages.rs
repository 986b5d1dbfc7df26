//! One queue, and everything that can be in it.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::support::{Stage, eventually};

/// A record as S3 sends it; `key` is spelled as S3 spells keys.
fn record(bucket: &str, key: &str, name: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
        // Older than any listing: whatever it says is accounted for.
        "eventTime": "2020-01-02T03:04:05.678Z",
        "s3": {
            "bucket": { "name": bucket },
            "object": { "key": key, "size": 4, "eTag": "841a2d689ad86bd1611447453c22c6fc", "versionId": "v1",
                        "sequencer": "0055AED6DCD90281E5" },
        },
    })
}

fn message(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_holds_nothing_up() {
    let stage = Stage::new().await;
    let bucket = stage.name("odd");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&format!("{bucket}/in/")]);
    let daemon = stage.serve(&config).await;

    let marker = "ObjectRemoved:DeleteMarkerCreated";
    // Later than any listing, and not so late that it is not credible: what is made up is believed.
    let later = stocktake::clock::now() + Duration::from_secs(3600);
    let later = later.format(&Rfc3339).unwrap();
    let fresh = |key: &str| {
        let mut record = record(&bucket, key, "ObjectCreated:Put");
        record["eventTime"] = json!(later);
        record
    };
    stage.send("this is not JSON").await;
    let neighbours = [fresh("in/first"), json!({ "eventName": "ObjectCreated:Put" }), fresh("in/third")];
    stage.send(&message(&neighbours)).await;
    stage.send(&message(&[fresh("in/nul%00here"), fresh("in/beside+nul")])).await;
    stage.send(&message(&[record("nobodys", "key", marker), record(&bucket, "out/of/it", marker)])).await;
    stage
        .send(&message(&[
            record(&bucket, "in/k", "ObjectTeleported:Home"),
            record(&bucket, "in/k", "Nonsense"),
        ]))
        .await;
    stage.put(&bucket, "in/real/key", "body").await;
    stage.until_settled().await;

    let keys: Vec<String> = sqlx::query_scalar("select key from catalog.objects order by key")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(keys, ["in/beside nul", "in/first", "in/real/key", "in/third"]);
    let set_aside: Vec<(i32, String, String)> =
        sqlx::query_as("select record, reason, body from catalog.quarantine order by quarantine_id")
            .fetch_all(&stage.pool)
            .await
            .unwrap();
    let mut reasons: Vec<_> =
        set_aside.iter().map(|(record, reason, _)| (*record, reason.as_str())).collect();
    reasons.sort_unstable();
    let [(0, not_json), (1, nul), (2, no_object)] = reasons[..] else { panic!("{reasons:?}") };
    assert!(not_json.contains("JSON") && nul.contains("U+0000") && no_object.contains("s3"), "{reasons:?}");
    assert!(set_aside.iter().any(|(_, _, body)| body == "this is not JSON"));

    let (json, text) = stage.status(&config).await;
    assert_eq!(json["quarantined"], 3);
    assert!(text.contains("3 in quarantine: see catalog.quarantine"), "{text}");
    assert_eq!(json["problems"], json!([]), "what is set aside stops nothing");
    for (bucket, kind, count) in [("-", "marker", 2.0), (bucket.as_str(), "other", 2.0)] {
        let name =
            format!("stocktake_events_total{{bucket=\"{bucket}\",kind=\"{kind}\",outcome=\"ignored\"}}");
        assert_eq!(daemon.metric(&name).await, count, "{name} in {:?}", daemon.get("/metrics").await);
    }

    stage.must_be_equal(&[&format!("{bucket}/in/real/")]).await;
}

#[tokio::test]
async fn what_was_set_aside_is_put_through_again() {
    let stage = Stage::new().await;
    let bucket = stage.name("again");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let _daemon = stage.serve(&config).await;
    stage.send("this is not JSON").await;
    stage.send(&message(&[json!({ "eventName": "ObjectCreated:Put" })])).await;
    eventually("both in quarantine", async || {
        (stage.count("select count(*) from catalog.quarantine").await == 2).then_some(())
    })
    .await;

    let replay = async |words: &[&str]| stage.run(&config, &[&["replay"], words].concat()).await;
    let told = replay(&[]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stdout.contains("stays: s3: missing"), "{told:?}");
    assert!(told.stdout.ends_with("0 put through, 2 stay in quarantine\n"), "{told:?}");

    // As if this program could read what the one before could not.
    let mut fresh = record(&bucket, "set+aside", "ObjectCreated:Put");
    fresh["eventTime"] =
        json!((stocktake::clock::now() + Duration::from_secs(3600)).format(&Rfc3339).unwrap());
    sqlx::query("update catalog.quarantine set body = $1 where record = 1")
        .bind(message(&[fresh]))
        .execute(&stage.pool)
        .await
        .unwrap();
    let told = replay(&["--format", "json"]).await;
    assert_eq!(told.code, Some(1), "one of them stays: {told:?}");
    let lines = told.json();
    let through: Vec<_> = lines.iter().map(|line| line["replayed"].as_bool().unwrap()).collect();
    assert_eq!(through.iter().filter(|is_through| **is_through).count(), 1, "{lines:?}");
    let applied: Vec<_> = lines.iter().filter(|line| line["outcomes"]["applied"] == 1).collect();
    assert_eq!(applied.len(), 1, "{lines:?}");
    let key = "select count(*) from catalog.objects where key = 'set aside'";
    assert_eq!(stage.count(key).await, 1);

    let id = applied[0]["quarantine_id"].to_string();
    let told = replay(&["--id", &id]).await;
    assert!(
        told.code == Some(0) && told.stdout.contains(&format!("{id}: was put through already")),
        "{told:?}"
    );
    let told = replay(&["--id", "4711"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("nothing is in quarantine as 4711"), "{told:?}");
    let (json, text) = stage.status(&config).await;
    assert_eq!(json["quarantined"], 1);
    assert!(text.contains("1 in quarantine") && text.contains("`stocktake replay`"), "{text}");
}

#[tokio::test]
async fn all_shapes_share_a_queue() {
    let stage = Stage::new().await;
    let shapes = ["direct", "wrapped", "raw", "bridge"].map(|shape| stage.name(shape));
    for bucket in &shapes[..3] {
        stage.silent_bucket(bucket, Some(Enabled)).await;
    }
    // What the emulator hands to EventBridge lacks the version.
    stage.silent_bucket(&shapes[3], None).await;
    let config = stage.config_of(&shapes.each_ref().map(String::as_str));
    let daemon = stage.serve(&config).await;
    stage.fan_out(&shapes).await;
    let tests = "stocktake_events_total{bucket=\"-\",kind=\"test_event\",outcome=\"ignored\"}";
    eventually("test events, direct and through SNS", async || {
        (daemon.metric(tests).await >= 3.0).then_some(())
    })
    .await;
    for (seed, bucket) in (40..).zip(&shapes) {
        stage.workload(bucket, seed, 25, false).await;
    }
    for bucket in &shapes {
        stage.must_be_equal(&[bucket]).await;
        let events = sqlx::query_scalar::<_, i64>(
            "select count(*) from catalog.slots where bucket = $1 and event_time is not null",
        );
        assert!(events.bind(bucket).fetch_one(&stage.pool).await.unwrap() > 0, "{bucket} was told of");
    }
    assert_eq!(stage.count("select count(*) from catalog.quarantine").await, 0);
}

#[tokio::test]
async fn created_versions_are_looked_at() {
    let stage = Stage::new().await;
    let buckets = [("seen", Some(Enabled)), ("plain", None)].map(|(word, state)| (stage.name(word), state));
    let mut config = stage.config();
    for (bucket, state) in &buckets {
        stage.bucket(bucket, state.clone()).await;
        stage.put(bucket, "before", "body").await;
        config = config.place_with(bucket, "enrich = [\"head\", \"tags\"]");
    }
    let _daemon = stage.serve(&config).await;
    for (bucket, _) in &buckets {
        let request = stage
            .s3
            .put_object()
            .bucket(bucket)
            .key("a b")
            .content_type("text/x-lab")
            .metadata("Sample", "7");
        request.tagging("lab=7").body(b"body".to_vec().into()).send().await.unwrap();
    }
    let details = async |bucket: &str| {
        let query = "select concat_ws(' ', key, content_type, metadata ->> 'sample', tags ->> 'lab')
                     from catalog.object_details where bucket = $1 order by key";
        let details: Vec<String> =
            sqlx::query_scalar(query).bind(bucket).fetch_all(&stage.pool).await.unwrap();
        details
    };
    for (bucket, _) in &buckets {
        eventually("details", async || {
            let told = details(bucket).await;
            // The event of what was there before may still come after the first listing.
            told.contains(&"a b text/x-lab 7 7".to_owned()).then_some(())
        })
        .await;
    }

    // The emulator tells nobody of tags.
    let (bucket, _) = &buckets[0];
    let version: String =
        sqlx::query_scalar("select version_id from catalog.objects where bucket = $1 and key = 'a b'")
            .bind(bucket)
            .fetch_one(&stage.pool)
            .await
            .unwrap();
    let tag = aws_sdk_s3::types::Tag::builder().key("lab").value("8").build().unwrap();
    let tags = aws_sdk_s3::types::Tagging::builder().tag_set(tag).build().unwrap();
    stage.s3.put_object_tagging().bucket(bucket).key("a b").tagging(tags).send().await.unwrap();
    let mut tagged = record(bucket, "a+b", "ObjectTagging:Put");
    tagged["s3"]["object"]["versionId"] = json!(version);
    tagged["eventTime"] =
        json!((stocktake::clock::now() + Duration::from_secs(60)).format(&Rfc3339).unwrap());
    stage.send(&message(&[tagged])).await;
    eventually("the new tag", async || {
        details(bucket).await.contains(&"a b text/x-lab 7 8".to_owned()).then_some(())
    })
    .await;

    stage.s3.delete_object().bucket(bucket).key("a b").version_id(version).send().await.unwrap();
    eventually("no details of what is gone", async || {
        details(bucket).await.iter().all(|told| !told.starts_with("a b")).then_some(())
    })
    .await;
}
