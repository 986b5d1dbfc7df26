//! What somebody at a `psql` keeps from the daemon: locks of whole tables, and permissions.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{Stage, eventually};

/// For longer than a statement waits for a lock.
const LONG: Duration = Duration::from_secs(35);
/// The most that a loop may be without a sign of life then: one statement, and some slack.
const SILENT_MAX: f64 = 30.0;

/// Somebody locks a table: the daemon says who, and what waits for it is not taken for stuck.
async fn kept(table: &str) {
    let stage = Stage::new().await;
    let bucket = stage.name("kept");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "body").await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
    let mut forgotten = stage.pool.begin().await.unwrap();
    forgotten.execute(AssertSqlSafe(format!("lock table catalog.{table}"))).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *forgotten).await.unwrap();
    stage.put(&bucket, "key", "another body").await;
    daemon.until_readyz(200, &format!("degraded: database (locks): process {pid} of Postgres")).await;
    let told = stage.run(&config, &["status"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains(&format!("pg_terminate_backend({pid})")), "{told:?}");

    tokio::time::sleep(LONG).await;
    let (status, body) = daemon.get_as("/livez", "application/json").await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    for name in ["database watch", "problems", "locks"] {
        let one = body["loops"].as_array().unwrap().iter().find(|one| one["loop"] == name).unwrap();
        assert!(one["silent_seconds"].as_f64().unwrap() < SILENT_MAX, "{table}: {one}");
    }
    assert_eq!(status, 200);
    let readyz = daemon.until_readyz(200, "database (locks)").await;
    assert!(!readyz.contains("database: "), "Postgres is there: {readyz}");
    forgotten.rollback().await.unwrap();
    stage.must_be_equal(&[&bucket]).await;
    eventually("nobody who is waited for", async || {
        stage.status(&config).await.0["problems"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn whoever_keeps_the_table_of_daemons_is_named() {
    kept("heartbeats").await;
}

#[tokio::test]
async fn whoever_keeps_the_table_of_problems_is_named() {
    kept("problems").await;
}

#[tokio::test]
async fn whoever_keeps_the_table_of_connections_is_named() {
    kept("connections").await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_is_told_until_it_is_given_back() {
    let stage = Stage::new().await;
    let bucket = stage.name("revoked");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    let (config, role) = stage.granted(config).await;
    let mut daemon = stage.start_with(&config, &[], &["serve", "--no-migrate"]);
    daemon.until_ready().await;
    stage.put(&bucket, "before", "body").await;
    stage.must_be_equal(&[&bucket]).await;
    stage.pool.execute(AssertSqlSafe(format!("revoke insert on catalog.journal from {role}"))).await.unwrap();
    stage.put(&bucket, "after", "body").await;
    let (message, remedy) = stage.problem(&config, &format!("events of bucket {bucket}/")).await;
    assert!(message.contains("permission denied for table journal"), "{message}");
    assert!(remedy.contains("stocktake doctor"), "{remedy}");
    let (status, _) = stage.status(&config).await;
    assert_eq!(status["buckets"][0]["state"], "in_trouble", "{status}");
    stage.pool.execute(AssertSqlSafe(format!("grant insert on catalog.journal to {role}"))).await.unwrap();
    stage.must_be_equal(&[&bucket]).await;
    eventually("no problem", async || {
        stage.status(&config).await.0["problems"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    daemon.stop().await;
}
