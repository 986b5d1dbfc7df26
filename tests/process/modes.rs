//! The main job in each versioning mode: connect, follow, lose events, reconcile.

use aws_sdk_s3::types::BucketVersioningStatus::{self, Enabled, Suspended};

use crate::support::{Config, Stage};

/// Keys beside the prefix: their neighbours in byte order, and the prefix's own name.
const FOREIGN: [&str; 5] = ["aaa", "in", "in.txt", "in0", "z/in/x"];

#[tokio::test]
async fn an_unversioned_bucket_is_mirrored() {
    mirror(None, 11).await;
}

#[tokio::test]
async fn a_versioned_bucket_is_mirrored() {
    mirror(Some(Enabled), 12).await;
}

#[tokio::test]
async fn a_bucket_with_suspended_versioning_is_mirrored() {
    mirror(Some(Suspended), 13).await;
}

/// One bucket that holds objects already is connected whole, and another of the same kind below a prefix.
async fn mirror(versioning: Option<BucketVersioningStatus>, seed: u32) {
    let stage = Stage::new().await;
    let (whole, part) = (stage.name("whole"), stage.name("part"));
    let below = format!("{part}/in/");
    let places = [whole.as_str(), below.as_str()];
    for bucket in [&whole, &part] {
        stage.silent_bucket(bucket, versioning.clone()).await;
    }
    for key in FOREIGN {
        stage.put(&part, key, "not ours").await;
    }
    for place in places {
        stage.workload(place, seed, 30, true).await;
    }
    for bucket in [&whole, &part] {
        stage.tell(bucket, &stage.queue).await;
    }
    let config = stage.config_of(&places);

    let daemon = stage.serve(&config).await;
    stage.must_be_exact(&places).await;

    for place in places {
        stage.workload(place, seed + 100, 60, true).await;
    }
    for key in FOREIGN {
        stage.delete(&part, key).await;
    }
    stage.must_be_equal(&places).await;
    assert_eq!(foreign_rows(&stage).await, 0);
    daemon.stop().await;

    lose_events_and_reconcile(&stage, &config, &places, seed + 200).await;
    assert_eq!(foreign_rows(&stage).await, 0);
}

async fn lose_events_and_reconcile(stage: &Stage, config: &Config, places: &[&str], seed: u32) {
    for place in places {
        stage.workload(place, seed, 30, true).await;
    }
    stage.purge().await;
    let reconciled = stage.run(config, &["reconcile", "--format", "json"]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    assert!(drift(&reconciled.json()) > 0, "{reconciled:?}");
    let ledger =
        stage.count("select count(*) from catalog.drift join catalog.reconciliations using (run_id)").await;
    assert!(ledger >= drift(&reconciled.json()), "{ledger} of {reconciled:?}");

    // What was too close to call is looked at again by a daemon.
    let daemon = stage.serve(config).await;
    stage.must_be_exact(places).await;
    daemon.stop().await;

    let before = rows(stage).await;
    assert!(!before.is_empty());
    let again = stage.run(config, &["reconcile", "--format", "json"]).await;
    assert_eq!((again.code, drift(&again.json())), (Some(0), 0), "{again:?}");
    assert_eq!(rows(stage).await, before, "a run that finds nothing writes nothing");
}

/// The drift of all kinds that a reconcile told of.
fn drift(lines: &[serde_json::Value]) -> i64 {
    let kinds = ["missing", "stale", "ghost", "latest"];
    lines.iter().flat_map(|line| kinds.map(|kind| line[kind].as_i64().unwrap())).sum()
}

/// Every row with the transaction that wrote it.
async fn rows(stage: &Stage) -> Vec<String> {
    let query = "select concat_ws(' ', bucket, key, version_id, changed_at, xmin) from catalog.slots
                 where is_present order by bucket, key, version_id";
    sqlx::query_scalar(query).fetch_all(&stage.pool).await.unwrap()
}

async fn foreign_rows(stage: &Stage) -> i64 {
    stage
        .count(
            "select count(*) from catalog.slots where bucket like 'part-%' and not starts_with(key, 'in/')",
        )
        .await
}
