//! The two processes beside the bench: the stand-in, and the one that does a run as the daemon does it.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use stocktake::aws::{self, Access};
use stocktake::bucket::s3::Bucket;
use stocktake::catalog::{Catalog, Connection, Terms};
use stocktake::clock;
use stocktake::ignore::Ignore;
use stocktake::reconcile::{Settings, run};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::{REGION, Synthetic, Weather, serve};

/// As in config/default.toml.
const CONNECTIONS_MAX: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// Ticks in a second, of what Linux tells of the time a process used
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
const TICKS: f64 = 100.0;

/// The stand-in, in a process of its own, which ends with this.
pub(crate) struct Store {
    _process: Child,
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) bucket: Synthetic,
}

impl Store {
    pub(crate) async fn start(seed: u64, versions: usize, latency: Duration) -> anyhow::Result<Self> {
        let arguments = [seed.to_string(), versions.to_string(), latency.as_millis().to_string()];
        let mut process = ourselves("store", &arguments)?.spawn().context("start the stand-in")?;
        let mut lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        let authority = lines.next_line().await?.context("the stand-in ended")?;
        Ok(Self { _process: process, authority, bucket: Synthetic::new(seed, versions) })
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) took: Duration,
    /// The time that the process had a processor.
    pub(crate) computed: Duration,
    /// The most memory that it ever had, in bytes.
    pub(crate) memory: u64,
}

/// Lists the bucket of `store` as `name` in a process of its own, which must find what is expected: all
/// versions, and no drift.
pub(crate) async fn reconcile(store: &Store, name: &str, concurrency: usize) -> anyhow::Result<Ran> {
    let arguments = [store.authority.clone(), name.to_owned(), concurrency.to_string()];
    let told = told(ourselves("run", &arguments)?).await?;
    let versions: usize = (0..store.bucket.keys()).map(|number| store.bucket.versions(number)).sum();
    let expected = json!([store.bucket.keys(), versions, 0, 0]);
    ensure!(told["found"] == expected, "the run found {}, which should be {expected}", told["found"]);
    let seconds = |name: &str| told[name].as_f64().map(Duration::from_secs_f64).context("seconds");
    Ok(Ran {
        took: seconds("took")?,
        computed: seconds("computed")?,
        memory: told["memory"].as_u64().context("bytes")?,
    })
}

/// What a process of ours tells before it ends.
pub(crate) async fn told(mut process: Command) -> anyhow::Result<Value> {
    let output = process.spawn()?.wait_with_output().await?;
    ensure!(output.status.success(), "a process of the bench ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("read what a process told")
}

/// This program again, in another role.
pub(crate) fn ourselves(role: &str, arguments: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
    Ok(command)
}

/// The process of the stand-in: tells where it listens, and serves until the bench is gone.
pub(crate) async fn be_store(arguments: &[String]) -> anyhow::Result<()> {
    let [seed, versions, latency] = arguments else { anyhow::bail!("seed, versions, milliseconds") };
    let weather = Weather { latency: Duration::from_millis(latency.parse()?), errors: 0.0 };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    Ok(serve(listener, Synthetic::new(seed.parse()?, versions.parse()?), weather).await?)
}

/// The process of a run: does it with what the daemon has, and tells what came of it.
pub(crate) async fn be_run(arguments: &[String]) -> anyhow::Result<()> {
    let [authority, name, concurrency] = arguments else { anyhow::bail!("host:port, bucket, concurrency") };
    let bucket = Arc::new(Bucket::new(name, client(authority).await));
    let catalog = Catalog::new(crate::database(crate::DATABASE)?, CONNECTIONS_MAX, PATIENCE);
    let settings = Settings { concurrency: concurrency.parse()?, ..Settings::default() };
    let shutdown = CancellationToken::new();
    let begin = Instant::now();
    let summary = run(&bucket, &catalog, &connection(name), "", &settings, clock::now, &shutdown).await?;
    let took = begin.elapsed();
    let drift: i64 = summary.drift.values().sum();
    let told = json!({
        "found": [summary.counts.keys, summary.counts.versions, drift, summary.doubts],
        "took": took.as_secs_f64(),
        "computed": computed()?.as_secs_f64(),
        "memory": memory()?,
    });
    println!("{told}");
    Ok(())
}

/// A client of the stand-in as the daemon would make it.
pub(crate) async fn client(authority: &str) -> aws_sdk_s3::Client {
    let endpoint_url = Some(format!("http://{authority}"));
    let access = Access { region: Some(REGION.to_owned()), endpoint_url, ..Access::default() };
    aws::s3(&aws::sdk_config(&access).await)
}

/// As config/default.toml has it for every bucket.
pub(crate) fn connection(name: &str) -> Connection {
    let terms = Terms {
        margin: Duration::from_secs(5),
        trust_sequencers: true,
        recheck_delay: Duration::from_secs(3),
        is_journaled: true,
        is_enriched: false,
        has_raw_keys: false,
    };
    Connection {
        bucket: name.to_owned(),
        prefix: String::new(),
        ignore: Ignore::default(),
        partitions: 1,
        terms,
    }
}

fn memory() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("ask Linux for our memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

/// The time that this process had a processor.
pub(crate) fn computed() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("ask Linux for our time")?;
    // After the name, which is in brackets, `utime` and `stime` are the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(|ticks| Ok(ticks.parse::<f64>()?)).sum::<anyhow::Result<f64>>()?;
    Ok(Duration::from_secs_f64(ticks / TICKS))
}
