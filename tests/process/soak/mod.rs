//! Two replicas, a bucket of each kind that never stands still, and everything that may break breaking again and again:
//! in the end the catalog is what the buckets are, nothing that stood still was ever removed, and nothing has grown.
//! A short while of it is a test like any other; `make soak-e2e MINUTES=60` is an hour.

use std::fs::File;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};
use sqlx::PgPool;
use tokio::process::Child;
use tokio::time::Instant;

use crate::support::{Cluster, Config, Stage, eventually};
use faults::Faults;
use replica::Replica;
use watch::{Sample, Verdict};

mod faults;
mod replica;
mod tables;
mod watch;

/// How long a message is hidden that was in the hands of one that was killed.
const SECONDS_INVISIBLE: u32 = 5;
/// Objects of each bucket that nobody touches.
const STILL: usize = 400;
/// What a workload lets a bucket grow to, and how long it rests after each operation.
const VERSIONS_MAX: u32 = 300;
const PAUSE_SECONDS: f64 = 0.05;
/// With less time than that, growth and warming up cannot be told apart.
const GROWTH_SHOWS_AFTER: Duration = Duration::from_secs(600);

/// How long, and by which seed.
struct Plan {
    lasts: Duration,
    seed: u64,
}

impl Plan {
    fn read() -> Self {
        let minutes = variable("MINUTES").unwrap_or(0.5);
        Self {
            lasts: Duration::from_secs_f64(minutes * 60.0),
            seed: variable("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }

    /// How often each bucket is listed as a whole.
    fn runs_every(&self) -> Duration {
        (self.lasts / 15).clamp(Duration::from_secs(6), Duration::from_secs(180))
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

#[tokio::test]
async fn under_faults_without_end_nothing_is_lost_and_nothing_grows() {
    let plan = Plan::read();
    println!("SEED={} for {:?}, a run over each bucket every {:?}", plan.seed, plan.lasts, plan.runs_every());
    let mut stage = Stage::forgiving(SECONDS_INVISIBLE).await;
    let cluster = Cluster::of(&mut stage).await;
    let buckets = ["versioned", "plain", "suspended"].map(|word| stage.name(word));
    let config = prepare(&stage, &buckets, &plan).await;
    // The second is never killed: should it grow, an hour of growing would show.
    let mut replicas =
        [Replica::start(&stage, &config, "mortal").await, Replica::start(&stage, &config, "immortal").await];
    for replica in &mut replicas {
        replica.daemon.until_ready().await;
    }
    let mut writers = buckets.each_ref().map(|bucket| writer(&stage, bucket, &plan));

    let began = Instant::now();
    let mut faults = Faults::new(plan.seed, plan.lasts, cluster);
    let mut samples = Vec::new();
    while began.elapsed() < plan.lasts {
        let told = faults.strike(&stage, &mut replicas).await;
        let sample = Sample::take(began.elapsed(), &mut replicas, &stage.pool).await;
        println!("{sample}  {told}");
        samples.push(sample);
        for (writer, bucket) in writers.iter_mut().zip(&buckets) {
            assert_eq!(writer.try_wait().unwrap(), None, "the writer of {bucket} ended by itself");
        }
    }

    for writer in &mut writers {
        writer.kill().await.unwrap();
    }
    faults.mend(&replicas);
    for replica in &mut replicas {
        replica.daemon.until_ready().await;
    }
    must_be_true(&stage, &config, &buckets).await;
    let mut verdict = Verdict::of(&samples, plan.lasts >= GROWTH_SHOWS_AFTER);
    verdict.at_rest(&Sample::at_rest(began, &mut replicas, &stage.pool).await);
    verdict.calm(&replicas);
    let [first, second] = replicas;
    first.daemon.stop().await;
    second.daemon.stop().await;
    eventually("no connection left to Postgres", async || {
        (watch::connections(&stage.pool).await == Some(0)).then_some(())
    })
    .await;
    println!("{}\n{}", faults.told(), amounts(&stage.pool).await);
    println!("{}", tables::shown(&stage.pool).await);
    println!("{verdict}");
    assert!(verdict.is_well(), "{verdict}");
}

/// Makes the schema and the buckets, with what stands still in them.
async fn prepare(stage: &Stage, buckets: &[String; 3], plan: &Plan) -> Config {
    let states = [Some(Enabled), None, Some(Enabled)];
    for (bucket, state) in buckets.iter().zip(states) {
        stage.silent_bucket(bucket, state).await;
        stage.fill(bucket, STILL).await;
    }
    // A suspended bucket is worth more with versions of before in it.
    let [versioned, _, suspended] = buckets;
    stage.workload(&place(suspended), 1, 100, false).await;
    stage.version(suspended, Suspended).await;
    let every = format!("reconcile_every = \"{}s\"", plan.runs_every().as_secs());
    let mut config = stage.config();
    for bucket in buckets {
        stage.tell(bucket, &stage.queue).await;
        let looks = if bucket == versioned { "enrich = [\"head\"]" } else { "" };
        config = config.place_with(bucket, &format!("{every}\n{looks}"));
    }
    stage.migrate(&config).await;
    stage.witness_removals().await;
    config
}

/// What the writers change of a bucket.
fn place(bucket: &str) -> String {
    // In byte order before what stands still, so that no page of a listing ends among what changes: there, the
    // emulator loses what follows of a key whose version is deleted between two pages.
    format!("{bucket}/live/")
}

/// Changes a bucket in all ways that there are, for longer than the soak lasts.
fn writer(stage: &Stage, bucket: &str, plan: &Plan) -> Child {
    let operations = 1_000.0 + 2.0 * plan.lasts.as_secs_f64() / PAUSE_SECONDS;
    let [seed, operations] = [plan.seed.to_string(), format!("{operations:.0}")];
    let [pause, most, place] = [PAUSE_SECONDS.to_string(), VERSIONS_MAX.to_string(), place(bucket)];
    let words = ["--seed", &seed, "--operations", &operations, "--pause", &pause, "--most", &most, &place];
    let log = File::create(stage.folder.join(format!("{bucket}.operations"))).unwrap();
    let mut command = stage.python_with("workload.py", &words);
    command.envs(stage.environment()).stdin(Stdio::null()).stdout(log);
    command.spawn().unwrap()
}

/// The catalog is what the buckets are before a run mends it; a run finds nothing amiss; and nothing that stood still was
/// ever away.
async fn must_be_true(stage: &Stage, config: &Config, buckets: &[String; 3]) {
    let places = buckets.each_ref().map(String::as_str);
    stage.must_be_equal(&places).await;
    let told = stage.run(config, &["reconcile", "--format", "json"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let runs = told.json();
    assert_eq!(runs.len(), buckets.len(), "{runs:?}");
    for kind in ["missing", "stale", "ghost", "latest"] {
        assert!(runs.iter().all(|run| run[kind] == 0), "{kind} in {runs:?}");
    }
    stage.must_be_exact(&places).await;
    stage.must_not_have_removed().await;
    assert_eq!(stage.count("select count(*) from catalog.quarantine").await, 0);
}

/// How much was done.
async fn amounts(pool: &PgPool) -> String {
    let query = "select concat_ws(', ',
            (select count(*) from catalog.changes) || ' lines in the journal',
            (select count(*) || ' runs, ' || count(*) filter (where status = 'complete') || ' of them complete'
             from catalog.reconciliations),
            (select count(*) from catalog.drift) || ' differences found by them: '
             || (select coalesce(jsonb_object_agg(kind, times), '{}') from
                 (select kind, count(*) as times from catalog.drift group by kind) as kinds))";
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}
