//! `stocktake reconcile`, as an operator watches it.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;

use crate::support::{Config, Front, LIST, Play, Rule, Stage, eventually};

const KINDS: [&str; 4] = ["missing", "stale", "ghost", "latest"];

#[tokio::test]
async fn a_rehearsal_tells_what_a_run_would_do_and_changes_nothing() {
    let stage = Stage::new().await;
    let bucket = stage.name("rehearsal");
    stage.silent_bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    stage.workload(&bucket, 31, 20, false).await;
    stage.serve(&config).await.stop().await;
    stage.must_be_exact(&[&bucket]).await;

    stage.workload(&bucket, 32, 20, false).await;
    let wrong =
        "update catalog.stats set bytes = bytes + 7 where ctid = (select min(ctid) from catalog.stats)";
    assert_eq!(sqlx::query(wrong).execute(&stage.pool).await.unwrap().rows_affected(), 1);
    let state = async || {
        let query = "select concat_ws(' ', tableoid::regclass, xmin, row_to_json(slots)) from catalog.slots
                     union all select row_to_json(rechecks)::text from catalog.rechecks
                     union all select row_to_json(reconciliations)::text from catalog.reconciliations
                     union all select row_to_json(connections)::text from catalog.connections
                     union all select row_to_json(stats)::text from catalog.stats order by 1";
        sqlx::query_scalar::<_, String>(query).fetch_all(&stage.pool).await.unwrap()
    };
    let before = state().await;
    let words = ["reconcile", "--dry-run", "--format", "json"];
    let told = stage.run(&config, &words).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let line = &told.json()[0];
    assert!(
        line["missing"].as_i64() > Some(0) && line["dry_run"] == true && line["run_id"].is_null(),
        "{line}"
    );
    assert_eq!(state().await, before);
    let changes = line["changes"].as_array().unwrap();
    let count = |kind: &str| changes.iter().filter(|change| change["kind"] == kind).count() as i64;
    for kind in KINDS {
        assert_eq!(count(kind), line[kind].as_i64().unwrap(), "{kind} in {line}");
    }
    assert_eq!((&line["changes_left_out"], &line["is_stopped_by_guard"]), (&0.into(), &false.into()));
    let text = stage.run(&config, &["reconcile", "--dry-run"]).await;
    assert!(text.stdout.contains("nothing was changed"), "{text:?}");
    let is_shown = |change: &serde_json::Value| {
        let version = change["version_id"].as_str().unwrap();
        text.stdout
            .lines()
            .any(|line| line.contains(version) && line.contains(change["kind"].as_str().unwrap()))
    };
    assert!(changes.iter().all(is_shown), "{changes:?} in {text:?}");

    let kept = stage.run(&config, &["reconcile", "--format", "json"]).await;
    assert!(
        line["stats"] == 1 && text.stdout.contains("of the rows of catalog.bucket_stats are wrong"),
        "{text:?}"
    );
    for kind in KINDS.into_iter().chain(["stats"]) {
        assert_eq!(kept.json()[0][kind], line[kind], "{kind} in {kept:?} and {told:?}");
    }
    // The ledger says what the rehearsal said.
    let ledger =
        "select json_build_object('key', key, 'version_id', version_id, 'kind', kind)::jsonb || detail
                  from catalog.drift join catalog.reconciliations using (run_id)
                  where run_id = (select max(run_id) from catalog.reconciliations) and kind <> 'stats'
                  order by key, version_id, kind";
    let ledger: Vec<serde_json::Value> = sqlx::query_scalar(ledger).fetch_all(&stage.pool).await.unwrap();
    let mut sorted = changes.clone();
    let name =
        |change: &serde_json::Value| ["key", "version_id", "kind"].map(|part| change[part].to_string());
    sorted.sort_by_key(name);
    let mut ledger = ledger;
    ledger.sort_by_key(name);
    assert_eq!(ledger, sorted);
}

/// Twenty pages of two keys each, one after the other.
fn slowly(pause: u64) -> [Rule; 2] {
    [Rule::of(LIST, Play::Entries(2)), Rule::of(LIST, Play::Delay(Duration::from_millis(pause)))]
}

async fn slow(stage: &Stage, bucket: &str) -> (Front, Config) {
    stage.silent_bucket(bucket, Some(Enabled)).await;
    stage.fill(bucket, 40).await;
    let front = Front::of(&stage.endpoint).await;
    let config = stage.config_of(&[bucket]).with("[reconcile]\nconcurrency = 1");
    let config = Config { endpoint: front.url.clone(), ..config };
    stage.migrate(&config).await;
    (front, config)
}

#[tokio::test]
async fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let stage = Stage::new().await;
    let bucket = stage.name("bar");
    let (front, config) = slow(&stage, &bucket).await;
    front.play(slowly(100));
    let first = stage.draw(&config, &["reconcile"]).await;
    assert!(first.contains("keys/s") && first.contains("is not known before the first listing"), "{first}");
    let again = stage.draw(&config, &["reconcile"]).await;
    assert!(again.contains("of about 40 versions") && again.contains("[2K"), "{again}");
    assert!(!again.contains("not known"), "{again}");
    let dry = stage.draw(&config, &["reconcile", "--dry-run"]).await;
    assert!(dry.contains("of about 40 versions") && dry.contains("nothing was changed"), "{dry}");
}

#[tokio::test]
async fn elsewhere_lines_tell_how_far_it_is_and_an_interruption_what_becomes_of_it() {
    let stage = Stage::new().await;
    let bucket = stage.name("lines");
    let (front, config) = slow(&stage, &bucket).await;
    front.play(slowly(600));
    let enough = async || eventually("some pages", async || (front.came(LIST) >= 12).then_some(())).await;
    let told = stage.interrupt(&config, &["reconcile"], enough).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("keys/s, drift 0"), "{told:?}");
    let said = "interrupted; the run is ended, what it repaired stays, and the next one begins anew";
    assert!(told.stdout.contains(said), "{told:?}");
    let runs = "select status || ' ' || error from catalog.reconciliations";
    let ended: Vec<String> = sqlx::query_scalar(runs).fetch_all(&stage.pool).await.unwrap();
    assert_eq!(ended, ["stopped the command was interrupted"]);
    assert_eq!(stage.count("select count(*) from catalog.ranges").await, 0);
    let kept = stage.count("select count(*) from catalog.objects").await;
    assert!(kept > 0, "what it listed stays");
    let (_, text) = stage.status(&config).await;
    assert!(text.contains("the command was interrupted"), "{text}");
    front.play([]);
    let again = stage.run(&config, &["reconcile"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    stage.must_be_exact(&[&bucket]).await;
}

#[tokio::test]
async fn a_bucket_in_another_region_than_demanded_is_refused_by_every_command() {
    let stage = Stage::new().await;
    let bucket = stage.name("elsewhere");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "body").await;
    let config = |keys: &str| stage.config().place_with(&bucket, keys);
    let (right, wrong) = (config(""), config("project_region = \"UK\""));
    assert_eq!(stage.run(&right, &["migrate"]).await.code, Some(0));
    let refused = async |words: &[&str]| {
        let told = stage.run(&wrong, words).await;
        assert_eq!(told.code, Some(1), "{words:?}: {told:?}");
        let said = format!("{}{}", told.stdout, told.stderr);
        assert!(
            said.contains("it is in eu-central-1") && said.contains("connect a bucket in eu-west-2"),
            "{words:?}: {told:?}"
        );
    };
    refused(&["reconcile", "--bucket", &bucket]).await;
    assert_eq!(stage.count("select count(*) from catalog.buckets").await, 0, "nothing is left behind");
    assert_eq!(stage.run(&right, &["reconcile", "--bucket", &bucket]).await.code, Some(0));
    refused(&["reconcile", "--bucket", &bucket]).await;
    refused(&["reconcile", "--bucket", &bucket, "--dry-run"]).await;
    refused(&["recheck", "--bucket", &bucket, "key"]).await;
    assert_eq!(stage.count("select count(*) from catalog.reconciliations").await, 1);
}
