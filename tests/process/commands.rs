//! The other commands, and what a wrong command line or configuration is told.

use std::path::{Path, PathBuf};

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};

use crate::support::{Stage, alone};

/// Message bodies, each beside the lines that `decode` prints for it.
fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/notification");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    files
}

#[tokio::test]
async fn decode_reads_files_and_standard_input_without_any_configuration() {
    let files = fixtures();
    let expected: Vec<String> =
        files.iter().map(|file| std::fs::read_to_string(file.with_extension("expected")).unwrap()).collect();
    let mut words = vec!["decode", "--format", "json"];
    words.extend(files.iter().map(|file| file.to_str().unwrap()));
    let all = alone(&words, "").await;
    assert_eq!(
        (all.code, all.stdout.as_str(), all.stderr.as_str()),
        (Some(1), expected.concat().as_str(), ""),
        "some of them are none of ours"
    );

    let body = std::fs::read_to_string(&files[0]).unwrap();
    let one = alone(&["decode", "--format", "json"], &body).await;
    assert_eq!((one.code, &one.stdout), (Some(0), &expected[0]));
    let text = alone(&["decode"], &body).await;
    assert!(text.code == Some(0) && text.stdout.contains("claim"), "{text:?}");
    let garbage = alone(&["decode"], "not a message").await;
    assert!(garbage.code == Some(1) && garbage.stdout.contains("undecodable: not JSON"), "{garbage:?}");
    // A record that cannot be read is set aside, though the rest of its message is taken.
    let part = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}"#;
    let part = alone(&["decode"], part).await;
    assert!(part.code == Some(1) && part.stdout.contains("unreadable"), "{part:?}");

    let nothing = alone(&["decode"], " \n").await;
    assert!(nothing.code == Some(1) && nothing.stderr.contains("nothing to decode"), "{nothing:?}");
    let absent = alone(&["decode", "no/such/file"], "").await;
    assert!(absent.code == Some(1) && absent.stderr.contains("no/such/file"), "{absent:?}");
}

#[tokio::test]
async fn a_wrong_command_line_exits_with_64() {
    for words in [
        &["srve"][..],
        &[],
        &["serve", "--fast"],
        &["recheck", "--bucket", "b"],
        &["status", "--format", "xml"],
    ] {
        let told = alone(words, "").await;
        assert!(
            told.code == Some(64) && told.stdout.is_empty() && !told.stderr.is_empty(),
            "{words:?}: {told:?}"
        );
    }
    let help = alone(&["--help"], "").await;
    assert!(help.code == Some(0) && help.stdout.contains("reconcile"), "{help:?}");
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_named_at_once() {
    let stage = Stage::new().await;
    let config = stage
        .config()
        .with("[ingest]\nworkerz = 3\nbatch_records = 0")
        .place_with("well/no-slash", "reconcile_every = \"often\"")
        .place_with("Not A Name", "project_region = \"Atlantis\"");
    for command in ["serve", "reconcile", "status", "migrate"] {
        let told = stage.run(&config, &[command]).await;
        assert_eq!(told.code, Some(78), "{told:?}");
        for words in [
            "command-",
            "6 mistakes",
            "workerz",
            "workers",
            "ingest.batch_records",
            "bucket[0].prefix",
            "bucket[0].reconcile_every",
            "bucket[1].name",
            "bucket[1].project_region",
            "Germany",
        ] {
            assert!(told.stderr.contains(words), "no {words:?} in {}", told.stderr);
        }
    }
    let torn = stage.run(&stage.config().with("[ingest\nworkers = 1"), &["serve"]).await;
    assert!(torn.code == Some(78) && torn.stderr.contains("line"), "{torn:?}");
    let empty = stage.run(&stage.config(), &["serve"]).await;
    assert!(empty.code == Some(78) && empty.stderr.contains("[[bucket]]"), "{empty:?}");
    let absent = alone(&["--config", "no/such.toml", "serve"], "").await;
    assert!(absent.code == Some(78) && absent.stderr.contains("no/such.toml"), "{absent:?}");
}

#[tokio::test]
async fn a_recheck_repairs_its_keys_and_no_others() {
    let stage = Stage::new().await;
    let bucket = stage.name("recheck");
    stage.silent_bucket(&bucket, Some(Suspended)).await;
    let config = stage.config_of(&[&format!("{bucket}/in/")]);
    for key in ["in/a b+c%.txt", "in/a b+c%.txt.bak", "in/gone"] {
        stage.put(&bucket, key, "body").await;
    }
    stage.serve(&config).await.stop().await;
    stage.put(&bucket, "in/a b+c%.txt", "another body").await;
    stage.put(&bucket, "in/a b+c%.txt.bak", "another body").await;
    stage.delete(&bucket, "in/gone").await;

    let words = ["recheck", "--format", "json", "--bucket", &bucket, "in/a b+c%.txt", "in/gone", "in/never"];
    let told = stage.run(&config, &words).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let outcomes: Vec<_> =
        told.json().iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        outcomes,
        [
            "repaired: stale version null",
            "repaired: stale version null",
            "unknown: neither the catalog nor the bucket has it"
        ]
    );
    let sizes: Vec<(String, i64)> = sqlx::query_as("select key, size from catalog.objects order by key")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(sizes, [("in/a b+c%.txt".to_owned(), 12), ("in/a b+c%.txt.bak".to_owned(), 4)]);

    let again = stage.run(&config, &["recheck", "--bucket", &bucket, "in/a b+c%.txt.bak"]).await;
    assert!(again.code == Some(0) && again.stdout.contains("repaired: stale version null"), "{again:?}");
    stage.must_be_exact(&[&format!("{bucket}/in/")]).await;
    let foreign = stage.run(&config, &["recheck", "--bucket", &bucket, "out"]).await;
    assert!(
        foreign.code == Some(64) && foreign.stderr.contains("choose one that begins with \"in/\""),
        "{foreign:?}"
    );
    // In the same words as of a run.
    for command in [&["recheck", "--bucket", "nope", "key"][..], &["reconcile", "--bucket", "nope"]] {
        let told = stage.run(&config, command).await;
        let unknown = "bucket \"nope\" is not configured: add a [[bucket]] section for it";
        assert!(told.code == Some(64) && told.stderr.contains(unknown), "{told:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_once_and_the_remedy_last() {
    let stage = Stage::new().await;
    let bucket = stage.name("absent");
    let config = stage.config_of(&[&bucket]);
    for command in [&["status"][..], &["reconcile"], &["recheck", "--bucket", &bucket, "key"], &["replay"]] {
        let told = stage.run(&config, command).await;
        let line = "stocktake: the database has no catalog yet: `stocktake migrate` makes it, and so does `stocktake serve`\n";
        assert!(told.code == Some(1) && told.stderr.ends_with(line), "{told:?}");
        assert!(!told.stderr.contains("does not exist"), "{told:?}");
    }
    stage.migrate(&config).await;
    let told = stage.run(&config, &["reconcile"]).await;
    let (cause, remedy) =
        told.stdout.split_once("check that arn:aws:s3:::").unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        cause.contains(&format!("reconcile bucket {bucket:?}: ")) && cause.contains("NoSuchBucket"),
        "{told:?}"
    );
    assert!(
        remedy.contains(&format!("`stocktake disconnect --bucket {bucket} --drop-rows --apply`")),
        "{told:?}"
    );

    // An error of Postgres's, too, says what is wrong once.
    sqlx::query("drop view catalog.daemons").execute(&stage.pool).await.unwrap();
    let told = stage.run(&config, &["status"]).await;
    assert!(told.code == Some(1) && told.stderr.matches("does not exist").count() == 1, "{told:?}");
    assert!(!told.stderr.contains(" at line "), "{told:?}");
}

#[tokio::test]
async fn two_daemons_share_a_queue_and_a_catalog() {
    let stage = Stage::new().await;
    let bucket = stage.name("shared");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    let config = stage.config_of(&[&bucket]);
    // Both make the schema and the bucket's room at once.
    let mut daemons = [stage.start(&config), stage.start(&config)];
    // Who starts second waits until the first knows of its bucket, and there would be nothing left for it.
    for daemon in &mut daemons {
        daemon.until_ready().await;
    }
    for seed in [51, 52] {
        stage.workload(&bucket, seed, 80, true).await;
    }
    stage.must_be_equal(&[&bucket]).await;
    let mut committed = Vec::new();
    for daemon in daemons {
        committed.push(daemon.metric("stocktake_commit_seconds_count").await);
        daemon.stop().await;
    }
    assert!(committed.iter().all(|count| *count > 0.0), "both had work: {committed:?}");
    assert_eq!(stage.depth(&stage.queue).await, (0, 0));
}
