//! How fast runs are, and how much memory they take, beside what cannot be beaten on the same machine in
//! the same minute: `make bench-reconcile`. What is measured, and what came of it: docs/PERFORMANCE.md.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::{Catalog, MIGRATOR};
use stocktake::clock;

mod limit;
mod process;
mod reader;
#[path = "../store/mod.rs"]
mod store;

use process::{Ran, Store, connection, reconcile};

/// The database that the bench makes for itself on the server of `DATABASE_URL`.
const DATABASE: &str = "stocktake_bench_reconcile";
const SEED: u64 = 20_261_124;
/// As in config/default.toml.
const CONCURRENCY: usize = 16;
/// With a page that takes as long as S3's.
const LATENCY: Duration = Duration::from_millis(100);
const CONCURRENCY_OF_SLOW: usize = 64;
/// The most entries on a page.
const PAGE: f64 = 1_000.0;
/// The most memory a run may take, in bytes.
const MEMORY_MAX: u64 = 200 * 1_000_000;
/// How much more memory a bucket of ten times the size may take.
const GROWTH_MAX: f64 = 1.25;

/// How many versions are in the bucket that is listed for the first time, in the one that is
/// listed again and again, and in the one of which memory is measured; and how often each is done.
struct Sizes {
    first: usize,
    clean: usize,
    large: usize,
    rounds: usize,
}

impl Sizes {
    fn read() -> anyhow::Result<Self> {
        let read = |name: &str, usual: usize| match std::env::var(name) {
            Ok(text) => text.replace(['_', ','], "").parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(usual),
        };
        Ok(Self {
            first: read("FIRST", 1_000_000)?,
            clean: read("CLEAN", 2_000_000)?,
            large: read("LARGE", 10_000_000)?,
            rounds: read("ROUNDS", 3)?.max(1),
        })
    }
}

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured, and whether it is as it should be.
#[derive(Default)]
struct Report {
    /// Memory of the runs over each size with [`CONCURRENCY`], in bytes.
    memory: Vec<(usize, u64)>,
    misses: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((role, rest)) if role == "store" => process::be_store(rest).await,
        Some((role, rest)) if role == "run" => process::be_run(rest).await,
        Some((role, rest)) if role == "reader" => reader::be_reader(rest).await,
        _ => bench(&Sizes::read()?).await,
    }
}

async fn bench(sizes: &Sizes) -> anyhow::Result<()> {
    let (pool, catalog) = fresh_catalog().await?;
    let settings: Vec<String> = sqlx::query_scalar(
        "select name || '=' || current_setting(name) from pg_settings
         where name in ('fsync', 'full_page_writes', 'shared_buffers', 'synchronous_commit') order by name",
    )
    .fetch_all(&pool)
    .await?;
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&pool).await?;
    println!("Postgres {version}, {}", settings.join(" "));
    if settings.iter().any(|setting| setting == "fsync=off") {
        anyhow::bail!(
            "Postgres runs with fsync=off, which no daemon would; tests/testbed/run --bench has it on"
        );
    }
    let mut report = Report::default();
    first(sizes, &pool, &catalog, &mut report).await?;
    clean(sizes, &pool, &catalog, &mut report).await?;
    large(sizes, &catalog, &mut report).await?;
    reader::compare(SEED).await?;
    for miss in &report.misses {
        println!("missed: {miss}");
    }
    std::process::exit(i32::from(!report.misses.is_empty()));
}

/// The first listing of a bucket, beside a `copy` of the rows that it makes.
async fn first(sizes: &Sizes, pool: &PgPool, catalog: &Catalog, report: &mut Report) -> anyhow::Result<()> {
    println!("\nfirst listing, {} versions, {CONCURRENCY} pages at once", count(sizes.first));
    let store = Store::start(SEED, sizes.first, Duration::ZERO).await?;
    let mut ratios = Vec::new();
    for round in 0..sizes.rounds {
        let name = format!("first-{round}");
        catalog.connect(&connection(&name), clock::now()).await?;
        settle(pool).await?;
        let ran = reconcile(&store, &name, CONCURRENCY).await?;
        report.line("run", sizes.first, &ran);
        let table = table_of(pool, &name).await?;
        let rows = limit::rows(pool, &table).await?;
        execute(pool, format!("truncate {table}")).await?;
        settle(pool).await?;
        let took = limit::load(pool, &table, &rows).await?;
        line("limit: copy of the same rows", sizes.first, took, "");
        ratios.push(took.as_secs_f64() / ran.took.as_secs_f64());
        execute(pool, format!("truncate {table}")).await?;
    }
    report.ratio("first listing", median(ratios), 0.4);
    Ok(())
}

/// A listing that finds nothing to do, beside the same pages and rows read and thrown away; and one with slow
/// pages, beside the other or what pages allow. Each round has all of them, one after the other.
async fn clean(sizes: &Sizes, pool: &PgPool, catalog: &Catalog, report: &mut Report) -> anyhow::Result<()> {
    println!("\nclean run, {} versions, {CONCURRENCY} pages at once", count(sizes.clean));
    let store = Store::start(SEED, sizes.clean, Duration::ZERO).await?;
    let slow = Store::start(SEED, sizes.clean, LATENCY).await?;
    catalog.connect(&connection("clean"), clock::now()).await?;
    report.line("first listing", sizes.clean, &reconcile(&store, "clean", CONCURRENCY).await?);
    let table = table_of(pool, "clean").await?;
    execute(pool, format!("vacuum analyze {table}")).await?;
    settle(pool).await?;
    let pages = CONCURRENCY_OF_SLOW as f64 * PAGE / LATENCY.as_secs_f64();
    println!(
        "  at most {} versions/s with {LATENCY:?} a page, {CONCURRENCY_OF_SLOW} at once",
        count(pages as usize)
    );
    let rate = |took: Duration| sizes.clean as f64 / took.as_secs_f64();
    let (mut clean, mut with_latency) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let limit = limit::clean(pool, &table, &store.authority, &store.bucket, CONCURRENCY).await?;
        line("limit: pages and rows discarded", sizes.clean, limit, "");
        let ran = reconcile(&store, "clean", CONCURRENCY).await?;
        report.line("run", sizes.clean, &ran);
        clean.push(rate(ran.took) / rate(limit));
        let late = reconcile(&slow, "clean", CONCURRENCY_OF_SLOW).await?;
        Report::default().line("run, slow pages", sizes.clean, &late);
        with_latency.push(rate(late.took) / pages.min(rate(ran.took)));
    }
    report.ratio("clean run", median(clean), 0.5);
    report.ratio("slow pages", median(with_latency), 0.8);
    execute(pool, format!("truncate {table}")).await
}

/// Memory, over a bucket that is larger.
async fn large(sizes: &Sizes, catalog: &Catalog, report: &mut Report) -> anyhow::Result<()> {
    println!("\n{} versions, {CONCURRENCY} pages at once", count(sizes.large));
    let store = Store::start(SEED, sizes.large, Duration::ZERO).await?;
    catalog.connect(&connection("large"), clock::now()).await?;
    for what in ["first listing", "clean run"] {
        report.line(what, sizes.large, &reconcile(&store, "large", CONCURRENCY).await?);
    }
    println!("\npeak memory of the process that does the run");
    let mut most: Vec<(usize, u64)> = Vec::new();
    for size in [sizes.first, sizes.clean, sizes.large] {
        let runs = report.memory.iter().filter(|(of, _)| *of == size);
        most.push((size, runs.map(|(_, memory)| *memory).max().unwrap_or_default()));
    }
    for (size, memory) in &most {
        println!("  {:>11} versions  {}", count(*size), megabytes(*memory));
        if *memory >= MEMORY_MAX {
            report.misses.push(format!("{} at {} versions", megabytes(*memory), count(*size)));
        }
    }
    let (least, greatest) =
        (most.iter().map(|(_, memory)| *memory).min(), most.last().map(|(_, memory)| *memory));
    let growth = greatest.unwrap_or_default() as f64 / least.unwrap_or_default() as f64;
    println!("  the largest bucket takes {growth:.2} of the least, {GROWTH_MAX:.2} is allowed");
    if growth > GROWTH_MAX {
        report.misses.push(format!("memory grows to {growth:.2} with the bucket"));
    }
    Ok(())
}

impl Report {
    fn line(&mut self, what: &str, versions: usize, ran: &Ran) {
        let rest = format!("{:>6.2} s of CPU  {}", ran.computed.as_secs_f64(), megabytes(ran.memory));
        line(what, versions, ran.took, &rest);
        self.memory.push((versions, ran.memory));
    }

    fn ratio(&mut self, what: &str, ratio: f64, least: f64) {
        println!("  {what}: ratio {ratio:.2}, at least {least:.2} is wanted");
        if ratio < least {
            self.misses.push(format!("{what}, {ratio:.2} of {least:.2}"));
        }
    }
}

fn line(what: &str, versions: usize, took: Duration, rest: &str) {
    let rate = versions as f64 / took.as_secs_f64();
    println!("  {what:<32}{:>8.2} s {:>11} versions/s  {rest}", took.as_secs_f64(), count(rate as usize));
}

/// With commas.
fn count(number: usize) -> String {
    let digits = number.to_string();
    let pieces: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|piece| str::from_utf8(piece).ok()).collect();
    pieces.join(",")
}

fn megabytes(bytes: u64) -> String {
    format!("{:>4.0} MB", bytes as f64 / 1e6)
}

/// Of the rounds: what else is at work on the machine changes from one to the next, and less within one.
fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn database(name: &str) -> anyhow::Result<PgConnectOptions> {
    let url = std::env::var("DATABASE_URL").context("read DATABASE_URL, which tests/testbed/run sets")?;
    Ok(PgConnectOptions::from_str(&url).context("read DATABASE_URL")?.database(name))
}

/// A new database with a catalog in it.
async fn fresh_catalog() -> anyhow::Result<(PgPool, Catalog)> {
    let server =
        PgPoolOptions::new().connect_with(database("postgres")?).await.context("connect to Postgres")?;
    execute(&server, format!("drop database if exists {DATABASE} with (force)")).await?;
    execute(&server, format!("create database {DATABASE}")).await?;
    let pool = PgPoolOptions::new().connect_with(database(DATABASE)?).await?;
    MIGRATOR.run(&pool).await?;
    Ok((pool.clone(), Catalog::on(pool)))
}

/// The partition of a bucket.
async fn table_of(pool: &PgPool, bucket: &str) -> anyhow::Result<String> {
    let statement = "select tableoid::regclass::text from catalog.slots where bucket = $1 limit 1";
    Ok(sqlx::query_scalar(statement).bind(bucket).fetch_one(pool).await?)
}

/// What came before is not to be paid for by what comes after.
async fn settle(pool: &PgPool) -> anyhow::Result<()> {
    execute(pool, "checkpoint".to_owned()).await
}

async fn execute(pool: &PgPool, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}
