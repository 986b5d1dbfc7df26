//! A bucket whose runs read inventory reports.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::report::{self, ALL_VERSIONS, Row};
use crate::support::{Stage, eventually};

/// How long a daemon with nothing in hand takes to stop, at most: a receive that waits.
const QUICKLY: Duration = Duration::from_secs(8);

/// What a report says of an object that is there now.
async fn row(stage: &Stage, bucket: &str, key: &str) -> Row {
    let head = stage.s3.head_object().bucket(bucket).key(key).send().await.unwrap();
    let seconds = head.last_modified.unwrap().secs();
    Row {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version: String::new(),
        is_latest: true,
        is_marker: false,
        size: head.content_length.unwrap(),
        date: (
            OffsetDateTime::from_unix_timestamp(seconds).unwrap().format(&Rfc3339).unwrap(),
            seconds * 1_000,
        ),
        etag: head.e_tag.unwrap().trim_matches('"').to_owned(),
        class: "STANDARD".to_owned(),
    }
}

/// Delivers a report of one file.
async fn deliver(stage: &Stage, to: &str, folder: &str, bucket: &str, schema: Option<&str>, file: Vec<u8>) {
    // As it will be a minute from now, so that nothing is too new for it.
    let began = stage.count("select (extract(epoch from now()) * 1000)::int8 + 60000").await;
    for (key, bytes) in report::deliver(folder, bucket, began, schema, &[file]) {
        stage.s3.put_object().bucket(to).key(key).body(bytes.into()).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_report_that_means_harm_is_a_problem_and_keeps_nobody() {
    let stage = Stage::new().await;
    let (bucket, reports) = (stage.name("vast"), stage.name("reports"));
    for name in [&bucket, &reports] {
        stage.silent_bucket(name, None).await;
    }
    let place = format!("daily/{bucket}/all/");
    let keys =
        format!("source = \"inventory\"\ninventory = \"s3://{reports}/{place}\"\nreconcile_every = \"1s\"");
    let config = stage.config().place_with(&bucket, &keys);
    let daemon = stage.serve(&config).await;
    // Its reader would count booleans for an hour.
    let file = include_bytes!("../corpus/report/booleans-that-are-not-there");
    deliver(&stage, &reports, &format!("{place}2026-11-24T01-00Z/"), &bucket, None, file[1..].to_vec()).await;
    let (message, remedy) = stage.problem(&config, &format!("bucket {bucket}/")).await;
    let place = format!("read inventory report s3://{reports}/{place}data/");
    assert!(
        message.contains(&place) && message.contains("in its footer: a list claims 2147483647"),
        "{message}"
    );
    assert!(remedy.contains("see who else writes to the destination bucket"), "{remedy}");
    let ended = daemon.stop().await;
    assert!(ended.after < QUICKLY, "{ended:?}");
}

#[tokio::test]
async fn what_no_event_told_is_found_by_the_report_in_its_destination_bucket() {
    let stage = Stage::new().await;
    let (bucket, reports) = (stage.name("vast"), stage.name("reports"));
    for name in [&bucket, &reports] {
        stage.silent_bucket(name, None).await;
    }
    for key in ["gone", "stays", "a b+c"] {
        stage.put(&bucket, key, "v").await;
    }
    let place = format!("daily/{bucket}/all/");
    let keys =
        format!("source = \"inventory\"\ninventory = \"s3://{reports}/{place}\"\nreconcile_every = \"1s\"");
    let config = stage.config().place_with(&bucket, &keys);
    stage.serve(&config).await.stop().await;
    assert_eq!(stage.count("select count(*) from catalog.objects").await, 3, "it is listed once");

    stage.delete(&bucket, "gone").await;
    stage.put(&bucket, "lost", "v").await;
    let mut rows = Vec::new();
    for key in ["stays", "lost", "a b+c"] {
        rows.push(row(&stage, &bucket, key).await);
    }
    let folder = format!("{place}2026-11-24T01-00Z/");
    let file = report::csv(&rows, ALL_VERSIONS);
    deliver(&stage, &reports, &folder, &bucket, Some(ALL_VERSIONS), file).await;
    let daemon = stage.serve(&config).await;
    eventually("the run of the report", async || {
        let complete =
            "select count(*) from catalog.reconciliations where source = 'inventory' and status = 'complete'";
        (stage.count(complete).await == 1).then_some(())
    })
    .await;
    stage.must_be_exact(&[&bucket]).await;
    daemon.stop().await;
    let (status, text) = stage.status(&config).await;
    let run = &status["buckets"][0]["run"];
    assert_eq!(
        (&run["source"], run["report"].as_str()),
        (&"inventory".into(), Some(&*format!("{folder}manifest.json")))
    );
    assert!(text.contains("was about the inventory report") && text.contains(&folder), "{text}");
    assert!(text.lines().any(|line| line.starts_with("the last run of")), "{text}");
    let words = ["reconcile", "--dry-run", "--source", "inventory"];
    let told = stage.run(&config, &words).await;
    let manifest = format!("s3://{reports}/{folder}manifest.json");
    assert!(told.stdout.contains("inventory of 20") && told.stdout.contains(&manifest), "{told:?}");
    let found = "select count(*) from catalog.changes where cause = 'inventory' and key in ('gone', 'lost')";
    assert_eq!(stage.count(found).await, 2);
    assert_eq!(stage.count("select count(*) from catalog.reconciliations where source = 'listing'").await, 1);
}
