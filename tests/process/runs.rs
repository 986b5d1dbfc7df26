//! Runs, whatever dies, refuses or lies meanwhile, in a bucket that somebody changes all the time.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};
use sqlx::types::time::OffsetDateTime;

use crate::support::{Config, Front, KEYS, LIST, Play, Rule, Stage, Writer, eventually, s3_error};

/// Objects that nobody changes meanwhile.
const STILL: usize = 300;

/// Pages so small and slow that a run takes seconds.
fn slowly() -> [Rule; 2] {
    pages_in(Duration::from_millis(20))
}

/// Pages so small and slow that a run takes longer than a daemon waits, at its start, for others to know of its
/// buckets.
fn crawling() -> [Rule; 2] {
    pages_in(Duration::from_millis(500))
}

fn pages_in(delay: Duration) -> [Rule; 2] {
    [Rule::of(LIST, Play::Entries(4)), Rule::of(LIST, Play::Delay(delay))]
}

/// A configuration for one bucket behind a front, listed in a few parts at once.
fn behind(stage: &Stage, front: &Front, bucket: &str) -> Config {
    let config = stage.config_of(&[bucket]).with("[reconcile]\nconcurrency = 2");
    Config { endpoint: front.url.clone(), ..config }
}

/// A bucket with objects in it that will not be changed, and a schema that notes whatever is removed.
async fn prepared(stage: &Stage, bucket: &str, count: usize) {
    stage.bucket(bucket, Some(Enabled)).await;
    stage.fill(bucket, count).await;
    stage.purge().await;
    stage.migrate(&stage.config_of(&[bucket])).await;
    stage.witness_removals().await;
}

impl Stage {
    /// The run under way, as soon as there is one, and when it began.
    async fn run_under_way(&self) -> (i64, OffsetDateTime) {
        eventually("a run under way", async || {
            let query = "select run_id, started_at from catalog.reconciliations where status = 'running'";
            sqlx::query_as(query).fetch_optional(&self.pool).await.unwrap()
        })
        .await
    }

    /// How many keys of it are judged, as far as that is saved.
    async fn saved(&self) -> i64 {
        self.count("select coalesce(sum(keys_listed), 0)::bigint from catalog.ranges").await
    }

    /// Lets half a minute pass in Postgres: what a process held that was killed is anybody's.
    async fn let_leases_end(&self) {
        sqlx::query("update catalog.ranges set leased_until = clock_timestamp() where not is_done")
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Waits until the run is complete, which has to be the one that was begun, and the only one.
    async fn until_complete(&self, begun: (i64, OffsetDateTime)) {
        eventually("the end of the run", async || {
            let open = "select count(*) from catalog.reconciliations where status = 'running'";
            (self.count(open).await == 0).then_some(())
        })
        .await;
        let runs: Vec<(i64, OffsetDateTime, String)> =
            sqlx::query_as("select run_id, started_at, status from catalog.reconciliations")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        assert_eq!(runs, [(begun.0, begun.1, "complete".to_owned())]);
    }
}

#[tokio::test]
async fn a_run_outlives_the_daemons_that_are_killed_in_the_middle_of_it() {
    let stage = Stage::forgiving(2).await;
    let bucket = stage.name("deaths");
    prepared(&stage, &bucket, STILL).await;
    let front = Front::of(&stage.endpoint).await;
    front.play(slowly());
    let config = behind(&stage, &front, &bucket);
    let writer = Writer::beside_small_pages(&stage, &bucket);

    let mut daemon = stage.start(&config);
    let begun = stage.run_under_way().await;
    for _ in 0..4 {
        let before = stage.saved().await;
        eventually("progress", async || (stage.saved().await > before).then_some(())).await;
        daemon.kill().await;
        assert_eq!(stage.run_under_way().await, begun);
        daemon = stage.start(&config);
        eventually("word of what it waits for", async || {
            daemon.log().contains("others have all that is left of the run").then_some(())
        })
        .await;
        stage.let_leases_end().await;
    }
    stage.until_complete(begun).await;
    writer.stop().await;
    let listed = stage.count("select keys_listed from catalog.reconciliations").await;
    assert!((STILL as i64..=(STILL + KEYS) as i64).contains(&listed), "{listed}: no key was judged twice");
    front.play([]);
    stage.must_be_true(&config, &bucket).await;
    stage.must_not_have_removed().await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_takes_over_what_another_that_is_killed_leaves_of_their_run() {
    let stage = Stage::forgiving(2).await;
    let bucket = stage.name("heirs");
    prepared(&stage, &bucket, STILL).await;
    let fronts = [Front::of(&stage.endpoint).await, Front::of(&stage.endpoint).await];
    for front in &fronts {
        front.play(crawling());
    }
    let configs = fronts.each_ref().map(|front| behind(&stage, front, &bucket));
    let writer = Writer::beside_small_pages(&stage, &bucket);

    let [dies, mut lives] = configs.each_ref().map(|config| stage.start(config));
    let begun = stage.run_under_way().await;
    eventually("pages that both have listed", async || {
        fronts.iter().all(|front| front.came(LIST) >= 5).then_some(())
    })
    .await;
    dies.kill().await;
    assert_eq!(stage.run_under_way().await, begun);
    stage.let_leases_end().await;
    fronts[1].play(slowly());
    stage.until_complete(begun).await;
    lives.must_run();
    writer.stop().await;
    for front in &fronts {
        front.play([]);
    }
    stage.must_be_true(&configs[1], &bucket).await;
    stage.must_not_have_removed().await;
    lives.stop().await;
}

#[tokio::test]
async fn a_store_that_is_not_well_is_listed_all_the_same() {
    let stage = Stage::new().await;
    let bucket = stage.name("unwell");
    prepared(&stage, &bucket, STILL).await;
    let front = Front::of(&stage.endpoint).await;
    let [small, _] = slowly();
    front.play([
        small,
        // Each slows the run down for a while.
        Rule::of(LIST, s3_error(503, "SlowDown")).by_chance(0.1).times(2),
        Rule::of(LIST, s3_error(500, "InternalError")).by_chance(0.1).times(3),
        Rule::of(LIST, Play::Lose).by_chance(0.1).times(2),
        Rule::of(LIST, Play::Reset).by_chance(0.1).times(2),
    ]);
    let config = behind(&stage, &front, &bucket).with("[ingest]\nworkers = 1");
    let writer = Writer::beside_small_pages(&stage, &bucket);
    let daemon = stage.start(&config);
    let begun = stage.run_under_way().await;
    stage.until_complete(begun).await;
    writer.stop().await;
    assert!(front.failed(LIST) > 3, "{} of {} failed", front.failed(LIST), front.came(LIST));
    front.play([]);
    stage.must_be_true(&config, &bucket).await;
    stage.must_not_have_removed().await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_run_waits_for_credentials_that_are_refused_midway() {
    let stage = Stage::new().await;
    let bucket = stage.name("refused");
    prepared(&stage, &bucket, STILL).await;
    let front = Front::of(&stage.endpoint).await;
    let [small, slow] = slowly();
    front.play([small, slow, Rule::of(LIST, s3_error(403, "InvalidAccessKeyId")).after(20)]);
    let config = behind(&stage, &front, &bucket);
    let writer = Writer::beside_small_pages(&stage, &bucket);
    let daemon = stage.start(&config);
    let begun = stage.run_under_way().await;
    let (message, remedy) = stage.problem(&config, &format!("bucket {bucket}/")).await;
    assert!(message.contains("InvalidAccessKeyId") && remedy.contains("access key"), "{message}; {remedy}");
    assert_eq!(stage.run_under_way().await, begun, "it may pass, so the run stays");
    front.play(slowly());
    stage.until_complete(begun).await;
    writer.stop().await;
    front.play([]);
    stage.must_be_true(&config, &bucket).await;
    stage.must_not_have_removed().await;
    daemon.stop().await;
}

/// What a store says that has lost its bucket's contents, or looks at another bucket's.
const NOTHING: &str = "<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListVersionsResult>";

#[tokio::test]
async fn a_listing_that_suddenly_returns_nothing_removes_nothing() {
    let stage = Stage::new().await;
    let bucket = stage.name("nothing");
    // More than a run may remove whatever their share is.
    let count = 1_001;
    stage.silent_bucket(&bucket, Some(Suspended)).await;
    stage.fill(&bucket, count).await;
    let front = Front::of(&stage.endpoint).await;
    let config = behind(&stage, &front, &bucket);
    stage.migrate(&config).await;
    let words = |more: &[&'static str]| [&["reconcile"], more].concat();
    let listed = stage.run(&config, &words(&[])).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let present = "select count(*) from catalog.objects";

    front.play([Rule::of(LIST, Play::Answer(200, NOTHING.to_owned()))]);
    let told = stage.run(&config, &words(&[])).await;
    let expected = [
        "1001 of the 1001 versions in the catalog are not in the listing",
        "still/0000",
        "still/1000",
        "20 % of reconcile.max_removals, so nothing was removed",
    ];
    let lifts = format!("`stocktake reconcile --bucket {bucket} --allow-removals`");
    let shows = format!("`stocktake reconcile --bucket {bucket} --dry-run`");
    assert_eq!((told.code, stage.count(present).await), (Some(1), 1_001), "{told:?}");
    for words in expected.into_iter().chain([lifts.as_str(), shows.as_str()]) {
        assert!(told.stdout.contains(words), "no {words:?} in {told:?}");
    }
    // Without a daemon, too, status tells the operator; with one, it is a problem of the bucket.
    let (status, text) = stage.status(&config).await;
    assert_eq!(status["buckets"][0]["run"]["withheld"], 1_001);
    assert!(text.contains("stopped at ") && text.contains(expected[0]) && text.contains(&lifts), "{text}");
    let daemon = stage.serve(&config).await;
    let (message, remedy) = stage.problem(&config, &format!("bucket {bucket}/")).await;
    assert!(message.contains(expected[0]) && remedy.contains(&lifts), "{message}; {remedy}");

    // What the message says to look at: what would go.
    let line = eventually("changes, once they are surely later than the first listing", async || {
        let told = stage.run(&config, &words(&["--dry-run", "--format", "json"])).await;
        let line = told.json().remove(0);
        assert_eq!(line["is_stopped_by_guard"], true, "{told:?}");
        (line["doubts"] == 0).then_some(line)
    })
    .await;
    assert_eq!(line["removals"], 1_001);
    assert_eq!((line["changes"].as_array().unwrap().len(), &line["changes_left_out"]), (100, &901.into()));
    assert_eq!(line["changes"][0]["key"], "still/0000");
    let told = stage.run(&config, &words(&["--dry-run"])).await;
    for words in ["still/0000", "not there", "and 901 more", "the guard would stop this run"] {
        assert!(told.stdout.contains(words), "no {words:?} in {told:?}");
    }
    assert!(told.stdout.contains(&lifts), "{told:?}");
    assert_eq!(stage.count(present).await, 1_001);

    // It was the store. And when they are really gone, the command that was told removes them.
    front.play([]);
    stage.must_be_exact(&[&bucket]).await;
    stage.empty(&bucket).await;
    assert_eq!(stage.run(&config, &words(&[])).await.code, Some(1));
    assert_eq!(stage.count(present).await, 1_001);
    let lifted = stage.run(&config, &words(&["--allow-removals"])).await;
    assert_eq!((lifted.code, stage.count(present).await), (Some(0), 0), "{lifted:?}");
    stage.must_be_exact(&[&bucket]).await;
    daemon.stop().await;
    let _daemon = stage.serve(&config).await;
    eventually("a status that speaks of it no more", async || {
        let (_, text) = stage.status(&config).await;
        (!text.contains("nothing was removed") && !text.contains("stopped")).then_some(())
    })
    .await;
}
