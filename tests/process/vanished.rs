//! A Postgres that vanishes without a word, and one that turns out to be a standby.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::Executor;
use tokio::time::timeout;
use url::Url;

use crate::endings::until_stuck;
use crate::support::{Cluster, Config, Stage};
use crate::trouble::database_behind_relay;

/// How soon events are merged again after all connections froze.
const RECOVERY_MAX: Duration = Duration::from_secs(45);
/// How soon after the address leads to the primary again.
const FAILOVER_MAX: Duration = Duration::from_secs(15);
/// More than a pool of 10 could spare, were each freeze to cost it the sessions that are busy.
const FREEZES: usize = 5;

/// Freezes all connections, again and again, while statements of events in so many buckets are under way.
async fn freeze(buckets: usize) {
    let stage = Stage::new().await;
    let names: Vec<String> = (0..buckets).map(|number| stage.name(&format!("frozen-{number}"))).collect();
    for name in &names {
        stage.bucket(name, Some(Enabled)).await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (relay, url) = database_behind_relay(&stage).await;
    relay.close();
    let config = Config { database: url, ..stage.config_of(&names) };
    let mut daemon = stage.serve(&config).await;
    for round in 0..FREEZES {
        let mut lock = stage.pool.begin().await.unwrap();
        lock.execute("lock table catalog.slots in access exclusive mode").await.unwrap();
        for name in &names {
            stage.put(name, &format!("key {round}"), "body").await;
        }
        until_stuck(&stage).await;
        relay.freeze();
        lock.rollback().await.unwrap();
        let merged = async || -> i64 {
            let merged = "select count(*) from catalog.objects where key = $1";
            let merged = sqlx::query_scalar(merged).bind(format!("key {round}"));
            merged.fetch_one(&stage.pool).await.unwrap()
        };
        let all = async {
            while merged().await < i64::try_from(buckets).unwrap() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(RECOVERY_MAX, all).await.unwrap_or_else(|_| panic!("round {round}: {}", daemon.log()));
    }
    assert!(daemon.log().contains("the server stopped answering"), "{}", daemon.log());
    assert!(!daemon.log().contains("max_connections"), "{}", daemon.log());
    daemon.until_ready().await;
    daemon.stop().await;
}

#[tokio::test]
async fn events_of_a_bucket_go_on_after_all_connections_froze() {
    freeze(1).await;
}

#[tokio::test]
async fn events_of_many_buckets_go_on_after_all_connections_froze() {
    freeze(12).await;
}

#[tokio::test]
async fn a_session_with_a_standby_is_given_up() {
    let mut stage = Stage::new().await;
    let mut cluster = Cluster::of(&mut stage).await;
    let standby = cluster.standby().await;
    let bucket = stage.name("failover");
    stage.bucket(&bucket, Some(Enabled)).await;
    let (relay, url) = database_behind_relay(&stage).await;
    relay.close();
    let primary = Url::parse(&stage.database).unwrap();
    let primary = format!("{}:{}", primary.host_str().unwrap(), primary.port().unwrap());
    let config = Config { database: url, ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.serve(&config).await;
    stage.put(&bucket, "before", "body").await;
    stage.must_be_equal(&[&bucket]).await;

    relay.lead_to(standby);
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stocktake'";
    stage.pool.execute(cut).await.unwrap();
    stage.put(&bucket, "during", "body").await;
    daemon.until_readyz(503, "the server is a standby, which takes no writes").await;

    relay.lead_to(primary);
    let merged = "select count(*) from catalog.objects where key = 'during'";
    let all = async {
        while stage.count(merged).await == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(FAILOVER_MAX, all).await.unwrap_or_else(|_| panic!("{}", daemon.log()));
    daemon.until_ready().await;
    assert!(!daemon.log().contains("read-only transaction"), "no session stayed there: {}", daemon.log());
    stage.must_be_equal(&[&bucket]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_first_of_several_servers_that_takes_writes_is_used() {
    let mut stage = Stage::new().await;
    let mut cluster = Cluster::of(&mut stage).await;
    let bucket = stage.name("several");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "body").await;
    let standby = cluster.standby().await;
    let primary = Url::parse(&stage.database).unwrap();
    let hosts = format!("127.0.0.1:1,{standby},{}:{}", primary.host_str().unwrap(), primary.port().unwrap());
    let database = format!(
        "postgres://{}@{hosts}{}?target_session_attrs=read-write",
        userinfo(&primary),
        primary.path()
    );
    let config = Config { database, ..stage.config_of(&[&bucket]) };
    let daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
    daemon.stop().await;
}

fn userinfo(url: &Url) -> String {
    match url.password() {
        Some(password) => format!("{}:{password}", url.username()),
        None => url.username().to_owned(),
    }
}
