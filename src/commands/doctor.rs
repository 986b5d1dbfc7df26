//! `stocktake doctor`: everything that can be wrong with set-up.

use anyhow::Context;

use super::policy::parts;
use super::print;
use super::table::printable;
use crate::chain::chain;
use crate::cli::{Doctor, Exit, Format};
use crate::clock::Clock;
use crate::config::{Bucket, Config};
use crate::setup::aws::Account;
use crate::setup::doctor::{Depth, examine};
use crate::setup::probe::{Change, probe};
use crate::setup::{Finding, Verdict, Wish, examine_database};
use crate::wiring::{self, Clients};

pub(super) async fn doctor(
    config: &Config,
    options: &Doctor,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    config.require_buckets()?;
    let buckets: Vec<&Bucket> = match &options.bucket {
        Some(bucket) => parts(config, bucket)?,
        None => config.buckets.iter().collect(),
    };
    let mut findings = database(config, clock).await;
    let mut clients = Clients::default();
    for bucket in &buckets {
        let queues = wiring::queues_of(config, bucket);
        let of_queue = queues.first().map_or(&bucket.access, |queue| &queue.access);
        let account = clients.account(bucket, of_queue).await;
        let wish = wiring::wish(bucket, &queues);
        for finding in examine(&account, &wish, Depth::Full, clock).await {
            // Several buckets share a queue.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        let change = match (options.probe, options.probe_write) {
            (_, true) => Change::Ours,
            (true, _) => Change::Theirs,
            _ => continue,
        };
        findings.extend(round_trip(config, bucket, &account, &wish, change).await);
    }
    print(&match format {
        Format::Json => {
            let lines = findings.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
            lines.context("write the findings as JSON")?.join("\n")
        }
        Format::Text => described(&findings),
    })?;
    let is_failed = findings.iter().any(|finding| finding.verdict == Verdict::Failure);
    Ok(if is_failed { Exit::Failed } else { Exit::Done })
}

/// Waits for an event, while a daemon may be at work on the same queue.
async fn round_trip(
    config: &Config,
    bucket: &Bucket,
    account: &Account,
    wish: &Wish,
    change: Change,
) -> Vec<Finding> {
    if change == Change::Theirs {
        eprintln!("change something below {:?} in {:?} now", wish.prefix, wish.name);
    }
    let connection = wiring::connection(config, bucket);
    let catalog = wiring::catalog(config).ok();
    let before = match &catalog {
        Some(catalog) => catalog.last_event(&connection).await.ok().flatten(),
        None => None,
    };
    probe(account, wish, change, async |key| {
        let Some(catalog) = &catalog else { return false };
        match key {
            Some(key) => catalog.knows(&connection, key).await.unwrap_or(false),
            None => catalog.last_event(&connection).await.is_ok_and(|last| last > before),
        }
    })
    .await
}

async fn database(config: &Config, clock: Clock) -> Vec<Finding> {
    let server = async {
        let catalog = wiring::catalog(config)?;
        catalog.reach().await?;
        catalog.inspect().await.context("ask Postgres how it is set up")
    };
    let server = server.await.map_err(|error| chain(error.as_ref()));
    examine_database(&server, config.database.max_connections, clock())
}

/// Findings below what they are about, and a sum.
fn described(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    let mut subjects: Vec<&str> = Vec::new();
    for finding in findings {
        if !subjects.contains(&finding.subject.as_str()) {
            subjects.push(&finding.subject);
        }
    }
    for subject in subjects {
        lines.push(printable(subject));
        for finding in findings.iter().filter(|finding| finding.subject == subject) {
            let Finding { check, verdict, found, remedy, .. } = finding;
            lines.push(format!("  {verdict:<14}  {check}: {}", printable(found)));
            if !remedy.is_empty() && *verdict != Verdict::Ok {
                lines.push(format!("                  {}", printable(remedy)));
            }
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let [failures, warnings, unknown] = [Verdict::Failure, Verdict::Warning, Verdict::Unknown].map(count);
    lines.push(format!("{failures} failures, {warnings} warnings, {unknown} that could not be told"));
    lines.join("\n")
}
