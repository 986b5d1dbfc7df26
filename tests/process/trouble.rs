//! What an operator can get wrong, and what can break: each is told once, with its remedy, where
//! operators look, and never stops the other buckets.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use url::Url;

use crate::support::{Config, Front, LIST, REGION, Relay, Rule, Stage, eventually, s3_error};

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let stage = Stage::new().await;
    let bucket = stage.name("early");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    let (relay, url) = database_behind_relay(&stage).await;
    let config = Config { database: url, ..stage.config_of(&[&bucket]) };

    let mut daemon = stage.start(&config);
    let body = daemon.until_readyz(503, "database: ").await;
    assert!(body.contains("see that Postgres runs") && body.contains("database.url"), "{body}");
    assert_eq!(daemon.get("/livez").await.unwrap().0, 200);
    let status = stage.run(&config, &["status"]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    for words in ["see that Postgres runs", "database.url"] {
        assert!(status.stderr.contains(words), "{status:?}");
    }

    relay.close();
    daemon.until_ready().await;
    stage.must_be_equal(&[&bucket]).await;
    let complaints = daemon.log().lines().filter(|line| line.contains("WARN stocktake::watch")).count();
    assert_eq!(complaints, 1, "the same again is no news: {}", daemon.log());
}

#[tokio::test]
async fn a_database_that_takes_connections_and_says_nothing_is_waited_for_too() {
    let stage = Stage::new().await;
    let bucket = stage.name("silent");
    stage.bucket(&bucket, Some(Enabled)).await;
    let (relay, url) = database_behind_relay(&stage).await;
    relay.stall();
    let config = Config { database: url, ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.start(&config);
    daemon.until_readyz(503, "the server does not answer").await;
    relay.close();
    daemon.until_ready().await;
    stage.must_be_equal(&[&bucket]).await;
}

#[tokio::test]
async fn a_database_that_goes_away_is_waited_for_and_loses_nothing() {
    let stage = Stage::new().await;
    let bucket = stage.name("away");
    stage.bucket(&bucket, Some(Enabled)).await;
    let (relay, url) = database_behind_relay(&stage).await;
    relay.close();
    let config = Config { database: url, ..stage.config_of(&[&bucket]) };
    let mut daemon = stage.serve(&config).await;

    relay.open();
    for number in 0..40 {
        stage.put(&bucket, &format!("key {number}"), "body").await;
    }
    stage.send("this is not JSON").await;
    daemon.until_readyz(503, "database: ").await;
    relay.close();
    daemon.until_ready().await;
    stage.must_be_equal(&[&bucket]).await;
    assert_eq!(stage.count("select count(*) from catalog.quarantine").await, 1);

    // And while it is away, a stop is a stop.
    relay.open();
    for number in 0..20 {
        stage.delete(&bucket, &format!("key {number}")).await;
    }
    daemon.until_readyz(503, "database: ").await;
    daemon.stop().await;
    assert_eq!(stage.depth(&stage.queue).await.1, 0, "all was given back");
    relay.close();
    let _daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
}

/// A relay to the stage's database, open, and the URL that leads through it.
pub(crate) async fn database_behind_relay(stage: &Stage) -> (Relay, String) {
    let mut url = Url::parse(&stage.database).unwrap();
    let relay = Relay::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(relay.address.port())).unwrap();
    (relay, url.into())
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_named_and_the_other_one_goes_on() {
    let stage = Stage::new().await;
    let bucket = stage.name("queues");
    stage.bucket(&bucket, Some(Enabled)).await;
    let mut config = stage.config_of(&[&bucket]);
    let absent = stage.queue.url.replace("/events", "/absent");
    config.queues.push(absent.clone());
    let mut daemon = stage.serve(&config).await;

    let (message, remedy) = stage.problem(&config, &format!("queue {absent}")).await;
    assert!(message.contains(&absent) && message.contains("NonExistentQueue"), "{message}");
    assert!(remedy.contains(&absent) && remedy.contains("exists"), "{remedy}");
    daemon.until_readyz(200, &format!("degraded: queue {absent}")).await;
    stage.put(&bucket, "key", "body").await;
    stage.must_be_equal(&[&bucket]).await;

    // It comes, and is well.
    stage.another_queue("absent").await;
    eventually("a status without problems", async || {
        stage.status(&config).await.0["problems"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(daemon.get("/readyz").await.unwrap(), (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn a_daemon_whose_only_queue_does_not_exist_is_not_ready() {
    let stage = Stage::new().await;
    let bucket = stage.name("listed");
    stage.silent_bucket(&bucket, None).await;
    stage.put(&bucket, "key", "body").await;
    let mut config = stage.config_of(&[&bucket]);
    let absent = stage.queue.url.replace("/events", "/absent");
    config.queues = vec![absent.clone()];
    let mut daemon = stage.start(&config);
    let body = daemon.until_readyz(503, &absent).await;
    assert!(body.contains("exists"), "{body}");
    // Listings need no queue.
    stage.problem(&config, &format!("queue {absent}")).await;
    stage.must_be_equal(&[&bucket]).await;
}

#[tokio::test]
async fn buckets_that_cannot_be_mirrored_are_named_and_the_others_go_on() {
    let stage = Stage::new().await;
    let (well, absent, elsewhere, denied) =
        (stage.name("well"), stage.name("absent"), stage.name("elsewhere"), stage.name("denied"));
    for bucket in [&well, &elsewhere, &denied] {
        stage.bucket(bucket, Some(Enabled)).await;
        stage.put(bucket, "before", "body").await;
    }
    let front = Front::of(&stage.endpoint).await;
    front.play([Rule::of(LIST, s3_error(403, "AccessDenied"))]);
    let config = stage
        .config_of(&[&well, &absent])
        .place_with(&format!("{elsewhere}/in/"), "project_region = \"UK\"")
        .place_with(&denied, &format!("endpoint_url = {:?}", front.url));
    let mut daemon = stage.start(&config);
    daemon.until_ready().await;

    let expected = [
        (format!("{absent}/"), &absent, "NotFound", "exists"),
        (format!("{elsewhere}/in/"), &elsewhere, "it is in eu-central-1", "connect a bucket in eu-west-2"),
        (
            format!("{denied}/"),
            &denied,
            "AccessDenied: as played",
            "allow s3:ListBucketVersions on arn:aws:s3:::",
        ),
    ];
    for (subject, name, answer, advice) in &expected {
        let subject = format!("bucket {subject}");
        let (message, remedy) = stage.problem(&config, &subject).await;
        assert!(message.contains(name.as_str()) && message.contains(answer), "{message}");
        assert!(remedy.contains(advice), "{remedy}");
        let body = daemon.until_readyz(200, &format!("degraded: {subject}")).await;
        assert!(body.contains(answer) && body.contains(advice), "{body}");
    }
    stage.put(&well, "after", "body").await;
    stage.put(&denied, "after", "body").await;
    stage.must_be_equal(&[&well]).await;
    let (status, _) = stage.status(&config).await;
    let of = |name: &str| {
        status["buckets"].as_array().unwrap().iter().find(|bucket| bucket["bucket"] == name).unwrap().clone()
    };
    assert_eq!(of(&denied)["run"]["status"], "failed");
    assert!(of(&denied)["run"]["error"].as_str().unwrap().contains("AccessDenied"));
    assert_eq!((&of(&well)["run"]["status"], &of(&well)["region"]), (&"complete".into(), &REGION.into()));

    // What operators mend is noticed by itself.
    front.play([]);
    stage.bucket(&absent, None).await;
    eventually("nothing wrong but the region", async || {
        let (status, _) = stage.status(&config).await;
        (status["problems"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    stage.must_be_equal(&[&well, &denied, &absent]).await;
    assert!(daemon.stop().await.after < Duration::from_secs(5));
}

#[tokio::test]
async fn who_keeps_locks_is_named_and_what_waits_goes_on_by_itself() {
    let stage = Stage::new().await;
    let bucket = stage.name("held");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "body").await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    let mut forgotten = stage.pool.begin().await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid() from catalog.slots where key = 'key' for update")
            .fetch_one(&mut *forgotten)
            .await
            .unwrap();
    stage.put(&bucket, "key", "another body").await;
    let (message, remedy) = stage.problem(&config, "database (locks)").await;
    assert!(message.starts_with(&format!("process {pid} of Postgres (postgres, ")), "{message}");
    assert!(message.contains("idle in transaction, since 20"), "{message}");
    assert!(remedy.contains(&format!("pg_terminate_backend({pid})")), "{remedy}");
    daemon.until_readyz(200, "degraded: database (locks)").await;
    forgotten.rollback().await.unwrap();
    stage.must_be_equal(&[&bucket]).await;
    eventually("nobody who is waited for", async || {
        stage.status(&config).await.0["problems"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    daemon.stop().await;
}
