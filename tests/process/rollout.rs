//! Daemons that are replaced one by one, to add a bucket: for a while some have it and others do not.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::{Decode, Postgres, Type};
use stocktake::ingest::HEARD_FOR;
use time::OffsetDateTime;

use crate::support::{Stage, Writer, eventually};

/// The only answer to a question about a bucket.
async fn of<T>(stage: &Stage, bucket: &str, query: &'static str) -> T
where
    T: for<'a> Decode<'a, Postgres> + Type<Postgres> + Send + Unpin,
{
    sqlx::query_scalar(query).bind(bucket).fetch_one(&stage.pool).await.unwrap()
}

async fn runs_of(stage: &Stage, bucket: &str) -> i64 {
    of(stage, bucket, "select count(*) from catalog.reconciliations where bucket = $1").await
}

async fn last_event(stage: &Stage, bucket: &str) -> Option<OffsetDateTime> {
    of(stage, bucket, "select last_event_at from catalog.buckets where bucket = $1").await
}

#[tokio::test]
async fn a_bucket_that_only_the_new_daemon_has_loses_no_event_to_the_old_one() {
    let stage = Stage::new().await;
    let (old, new) = (stage.name("old"), stage.name("new"));
    for bucket in [&old, &new] {
        stage.bucket(bucket, Some(Enabled)).await;
        stage.put(bucket, "before", "v").await;
    }
    let config = stage.config_of(&[&old]);
    let daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &new, "");

    let added = stage.config_of(&[&old, &new]);
    let mut second = stage.serve(&added).await;
    assert!(second.log().contains("until the other daemons know of our buckets"), "{}", second.log());
    writer.stop().await;
    stage.must_be_equal(&[&old, &new]).await;

    // While the new one is away, the old one does what it can. Keys in doubt wait for one that may list the bucket.
    second.stop().await;
    let last = last_event(&stage, &new).await;
    stage.put(&new, "meanwhile", "v").await;
    stage.s3.delete_object().bucket(&new).key("before").send().await.unwrap();
    eventually("an empty queue", async || (stage.depth(&stage.queue).await == (0, 0)).then_some(())).await;
    eventually("word of these events", async || (last_event(&stage, &new).await > last).then_some(())).await;
    second = stage.serve(&added).await;
    stage.must_be_equal(&[&old, &new]).await;
    assert_eq!(runs_of(&stage, &new).await, 1);

    // But not for ever: it is listed when it is back.
    second.stop().await;
    let long_ago = "update catalog.activity set attended_at = now() - interval '2 hours' where bucket = $1";
    sqlx::query(long_ago).bind(&new).execute(&stage.pool).await.unwrap();
    tokio::time::sleep(HEARD_FOR).await;
    stage.put(&new, "unheard", "v").await;
    eventually("an event that is dropped", async || {
        let metrics = daemon.get("/metrics").await?.1;
        metrics.lines().any(|line| line.contains("put") && line.contains("ignored")).then_some(())
    })
    .await;
    let (status, text) = stage.status(&added).await;
    let state = status["buckets"].as_array().unwrap().iter().find(|told| told["bucket"] == *new).unwrap();
    assert_eq!(state["state"], "unattended", "{text}");
    assert!(text.contains("no daemon that is at work has it, so its events are dropped"), "{text}");
    let noted = "update catalog.queues set noted_at = now()";
    sqlx::query(noted).execute(&stage.pool).await.unwrap();
    let second = stage.start(&added);
    eventually("a second run", async || (runs_of(&stage, &new).await == 2).then_some(())).await;
    eventually("its end", async || {
        let open = "select count(*) from catalog.reconciliations where status <> 'complete'";
        (stage.count(open).await == 0).then_some(())
    })
    .await;
    stage.must_be_exact(&[&old, &new]).await;
    assert!(second.log().contains("no daemon had it for over an hour"), "{}", second.log());
    second.stop().await;
    daemon.stop().await;
}
