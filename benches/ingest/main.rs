//! How fast events become rows, beside what cannot be beaten and what is common, on the same machine in the
//! same minutes: `make bench-ingest`. What is measured, and what came of it: docs/PERFORMANCE.md.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use stocktake::model::Timestamp;
use time::OffsetDateTime;
use tokio::time::Instant;

mod daemon;
mod events;
mod fold;
mod limit;
mod queue;

use daemon::Daemon;
use events::{Events, place_of};
use fold::{BATCH, Fold};
use limit::Way;
use queue::Queue;

/// The database that the bench makes for itself on the server of `DATABASE_URL`.
const DATABASE: &str = "stocktake_bench_ingest";
const SEED: u64 = 20_261_124;
/// Beyond this an event is surely later than the listing that the daemon begins with.
const AFTER_LISTING: Duration = Duration::from_secs(15);
/// How far events are apart that come all at once, in microseconds.
const APART: i64 = 20;
/// How many come in a second where it is measured how long each takes.
const RATE: u32 = 500;
const PATIENCE: Duration = Duration::from_secs(900);
/// The most memory the daemon may take, in bytes.
const MEMORY_MAX: u64 = 100 * 1_000_000;

struct Sizes {
    /// Events that wait when the daemon may begin.
    events: u64,
    /// Events that are written one by one, the common way.
    common: u64,
    /// Seconds of events that come evenly.
    seconds: u64,
    /// Milliseconds that each answer of the queue takes.
    latency: u64,
    /// Milliseconds that a write of commits to disk takes longer, as it does where the disk is behind a network.
    disk: u64,
}

impl Sizes {
    fn read() -> anyhow::Result<Self> {
        let read = |name: &str, usual: u64| match std::env::var(name) {
            Ok(text) => text.replace(['_', ','], "").parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(usual),
        };
        Ok(Self {
            events: read("EVENTS", 1_000_000)?,
            common: read("COMMON", 20_000)?,
            seconds: read("LAG_SECONDS", 30)?,
            latency: read("LATENCY", 0)?,
            disk: read("DISK", 0)?,
        })
    }
}

/// What is not as it should be.
#[derive(Default)]
struct Report(Vec<String>);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sizes = Sizes::read()?;
    let (pool, database) = fresh_database(sizes.disk).await?;
    println!("Postgres {}, {} ms more for each write of commits", settings(&pool).await?, sizes.disk);
    let mut report = Report::default();

    let nothing = Events::new(SEED, 0, Timestamp::from_micros(0), APART);
    let (queue, authority) = Queue::serve(nothing, Duration::from_millis(sizes.latency)).await?;
    let daemon = Daemon::start(&database, &authority)?;
    let listed = listed(&pool).await?;
    let from = Timestamp::from(listed).plus(AFTER_LISTING);
    let events = Events::new(SEED, sizes.events, from, APART);
    settle(&pool).await?;

    println!("\n{} events, all waiting, {} ms a call", count(events.count), sizes.latency);
    let asked = rechecks(&pool).await?;
    queue.restart(events);
    let (begin, computed) = (Instant::now(), daemon.computed()?);
    queue.send_all();
    let (end, again) = queue.drained(PATIENCE).await?;
    let computed = daemon.computed()?.saturating_sub(computed).as_secs_f64();
    let rate = events.count as f64 / (end - begin).as_secs_f64();
    line("daemon, from message to acknowledged", rate);
    let asked = rechecks(&pool).await? - asked;
    check(&pool, &events).await?;
    println!("  all rows and lines are as they should be; {again} messages came twice");

    let lags = lags(&pool, &queue, sizes.seconds, &events).await?;
    let memory = daemon.memory()?;
    drop(daemon);

    settle(&pool).await?;
    let mut bare = limit::bare_commits(&pool, &events, 2_000).await?;
    bare.sort_unstable();

    println!("\nthe same rows and lines by statements alone, one connection");
    let mut best: f64 = 0.0;
    for way in [Way::Unnest, Way::Copy] {
        empty(&pool).await?;
        let took = limit::write_all(&pool, &events, way).await?;
        let limit = events.count as f64 / took.as_secs_f64();
        line(&format!("limit: {way:?}"), limit);
        best = best.max(limit);
    }
    println!("\none upsert and one commit for each event");
    let alone = limit::one_by_one(&pool, &events, sizes.common.min(events.count), 1).await?;
    line("one connection", alone);
    let eight = limit::one_by_one(&pool, &events, (4 * sizes.common).min(events.count), 8).await?;
    line("eight connections", eight);

    println!("\nwhat came of it");
    report.at_least("of the limit", rate / best, 0.5);
    report.at_least("times one connection", rate / alone, 10.0);
    report.at_least("times eight connections", rate / eight, 4.0);
    let (lag, commit) = (percentiles(&lags), percentiles(&bare));
    println!(
        "  lag at {RATE} events/s: p50 {:?}, p99 {:?}; a bare commit: p50 {:?}, p99 {:?}",
        lag.0, lag.1, commit.0, commit.1
    );
    report.at_most("times a bare commit is the lag's p99", lag.1.as_secs_f64() / commit.0.as_secs_f64(), 4.0);
    println!("  {:.1} s of CPU for a million events", computed * 1e6 / events.count as f64);
    report.at_most("MB of memory", memory as f64 / 1e6, MEMORY_MAX as f64 / 1e6);
    report.at_most("% of the events are rechecked", asked as f64 * 100.0 / events.count as f64, 0.1);
    for miss in &report.0 {
        println!("missed: {miss}");
    }
    std::process::exit(i32::from(!report.0.is_empty()));
}

/// How long events took from being in the queue to being committed, so many a second.
async fn lags(pool: &PgPool, queue: &Queue, seconds: u64, before: &Events) -> anyhow::Result<Vec<Duration>> {
    let apart = 1_000_000 / i64::from(RATE);
    let from = before.from.plus(Duration::from_micros(before.count * 2 * APART.unsigned_abs()));
    let events = Events::new(SEED + 1, seconds * u64::from(RATE), from, apart);
    let last: i64 = sqlx::query_scalar("select max(change_id) from catalog.changes").fetch_one(pool).await?;
    settle(pool).await?;
    queue.restart(events);
    queue.send_evenly(RATE).await;
    queue.drained(PATIENCE).await?;
    let sent_at = queue.sent_at();
    // An event that came twice was committed with the first of its messages.
    let committed: Vec<(String, OffsetDateTime)> = sqlx::query_as(
        "select request_id, pg_xact_commit_timestamp(transaction_id::xid) from catalog.changes
         where change_id > $1 and cause = 'event'",
    )
    .bind(last)
    .fetch_all(pool)
    .await
    .context(
        "ask when transactions were committed; tests/testbed/run --bench has track_commit_timestamp=on",
    )?;
    let lag = |(request_id, committed_at): &(String, OffsetDateTime)| {
        let place = usize::try_from(place_of(request_id)?).ok()?;
        Duration::try_from(*committed_at - *sent_at.get(place)?).ok()
    };
    let mut lags: Vec<Duration> = committed.iter().filter_map(lag).collect();
    ensure!(
        lags.len() as u64 > events.count * 9 / 10,
        "{} of {} events have a line",
        lags.len(),
        events.count
    );
    lags.sort_unstable();
    Ok(lags)
}

/// Fails where rows are not what the events make, or lines not what the rows say.
async fn check(pool: &PgPool, events: &Events) -> anyhow::Result<()> {
    let mut fold = Fold::default();
    for from in (0..events.count).step_by(usize::try_from(BATCH)?) {
        fold.next(events, from)?;
    }
    let expected = fold.rows();
    let rows: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', bucket, key, version_id,
                          case when not is_present then 'removed' when is_delete_marker then 'marker' else 'object' end,
                          coalesce(etag, ''), coalesce(size, 0), is_latest::text)
         from catalog.slots",
    )
    .fetch_all(pool)
    .await?;
    let rows: BTreeSet<String> = rows.into_iter().collect();
    let (missing, needless) = (expected.difference(&rows).next(), rows.difference(&expected).next());
    ensure!(
        missing.is_none() && needless.is_none(),
        "rows differ: {missing:?} is missing, {needless:?} needless"
    );
    // How many lines there are depends on the order in which messages were received.
    let unlike: i64 = sqlx::query_scalar(
        "with last as (
             select distinct on (bucket, key, version_id) bucket, key, version_id, change, etag
             from catalog.changes order by bucket, key, version_id, change_id desc
         )
         select count(*) from catalog.slots full join last using (bucket, key, version_id)
         where last.etag is distinct from slots.etag
            or last.change is distinct from case when not is_present then 'removed'
                                                 when is_delete_marker then 'marker_created' else 'created' end",
    )
    .fetch_one(pool)
    .await?;
    ensure!(unlike == 0, "the last line of {unlike} versions does not say what their row says");
    Ok(())
}

impl Report {
    fn at_least(&mut self, what: &str, ratio: f64, least: f64) {
        println!("  {ratio:>6.2} {what}, at least {least} is wanted");
        if ratio < least {
            self.0.push(format!("{ratio:.2} {what}, at least {least} is wanted"));
        }
    }

    fn at_most(&mut self, what: &str, ratio: f64, most: f64) {
        println!("  {ratio:>6.2} {what}, at most {most} is wanted");
        if ratio > most {
            self.0.push(format!("{ratio:.2} {what}, at most {most} is wanted"));
        }
    }
}

fn line(what: &str, rate: f64) {
    println!("  {what:<40}{:>10} events/s", count(rate as u64));
}

/// With commas.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let pieces: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|piece| str::from_utf8(piece).ok()).collect();
    pieces.join(",")
}

/// The half and the ninety-nine hundredths of sorted times are no longer.
fn percentiles(times: &[Duration]) -> (Duration, Duration) {
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// A new database, and its URL. Its commits go to disk `disk` milliseconds later: whoever writes waits for so long
/// first, and writes what others have committed meanwhile, too.
async fn fresh_database(disk: u64) -> anyhow::Result<(PgPool, String)> {
    let url = std::env::var("DATABASE_URL").context("read DATABASE_URL, which tests/testbed/run sets")?;
    let server = PgPoolOptions::new().connect(&url).await.context("connect to Postgres")?;
    execute(&server, format!("drop database if exists {DATABASE} with (force)")).await?;
    execute(&server, format!("create database {DATABASE}")).await?;
    for setting in [format!("commit_delay = {}", disk * 1_000), "commit_siblings = 0".to_owned()] {
        execute(&server, format!("alter database {DATABASE} set {setting}")).await?;
    }
    let mut parsed = url::Url::parse(&url).context("read DATABASE_URL")?;
    parsed.set_path(DATABASE);
    let pool = PgPoolOptions::new().connect_with(PgConnectOptions::from_str(parsed.as_str())?).await?;
    Ok((pool, parsed.into()))
}

async fn settings(pool: &PgPool) -> anyhow::Result<String> {
    let version: String = sqlx::query_scalar("show server_version").fetch_one(pool).await?;
    let settings: Vec<String> = sqlx::query_scalar(
        "select name || '=' || current_setting(name) from pg_settings
         where name in ('fsync', 'full_page_writes', 'shared_buffers', 'synchronous_commit') order by name",
    )
    .fetch_all(pool)
    .await?;
    ensure!(
        settings.iter().all(|setting| setting != "fsync=off"),
        "Postgres runs with fsync=off, which no daemon would; tests/testbed/run --bench has it on"
    );
    Ok(format!("{version}, {}", settings.join(" ")))
}

/// Waits until the daemon has listed its empty buckets. When the last listing was, on S3's clock.
async fn listed(pool: &PgPool) -> anyhow::Result<OffsetDateTime> {
    let begin = Instant::now();
    loop {
        let statement =
            "select max(complete_through) from catalog.buckets having bool_and(complete_through is not null)";
        if let Ok(Some(listed)) = sqlx::query_scalar(statement).fetch_one(pool).await {
            return Ok(listed);
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(60),
            "the daemon has not listed its buckets in a minute"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many keys were ever asked for, less those of runs.
async fn rechecks(pool: &PgPool) -> anyhow::Result<i64> {
    let statement =
        "select last_value - (select count(*) from catalog.reconciliations) from catalog.recheck_ticket";
    Ok(sqlx::query_scalar(statement).fetch_one(pool).await?)
}

/// Takes all rows and lines away.
async fn empty(pool: &PgPool) -> anyhow::Result<()> {
    execute(pool, "truncate catalog.slots, catalog.journal".to_owned()).await?;
    settle(pool).await
}

/// What came before is not to be paid for by what comes after.
async fn settle(pool: &PgPool) -> anyhow::Result<()> {
    execute(pool, "checkpoint".to_owned()).await
}

async fn execute(pool: &PgPool, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}
