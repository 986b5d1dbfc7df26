//! `stocktake doctor`: everything that can be wrong with set-up.

use anyhow::Context;

use super::policy::parts;
use super::print;
use crate::catalog::{Catalog, Uninspected};
use crate::chain::chain;
use crate::cli::{Doctor, Exit, Format};
use crate::clock::Clock;
use crate::config::{Bucket, Config};
use crate::setup::aws::Account;
use crate::setup::doctor::{Depth, examine};
use crate::setup::probe::{Change, probe};
use crate::setup::{Finding, Verdict, Wish, examine_database, examine_partitions};
use crate::watch;
use crate::wiring::{self, Clients};
use crate::words::{counted, printable};

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
    let mut report = Report::new(format);
    let (findings, catalog) = database(config, clock).await;
    report.tell(findings)?;
    let mut clients = Clients::default();
    for bucket in &buckets {
        let queues = wiring::queues_of(config, bucket);
        let account = clients.account(bucket, &wiring::accesses(&queues)).await;
        let wish = wiring::wish(bucket, &queues);
        let mut printed = Ok(());
        examine(&account, &wish, Depth::Full, clock, |findings| {
            if printed.is_ok() {
                printed = report.tell(findings);
            }
        })
        .await;
        printed?;
        report.tell(partitions(catalog.as_ref(), bucket).await)?;
        let change = match (options.probe, options.probe_write) {
            (_, true) => Change::Ours,
            (true, _) => Change::Theirs,
            _ => continue,
        };
        report.tell(round_trip(config, bucket, &account, &wish, change).await)?;
    }
    report.end()
}

/// What was found, printed as soon as it is known.
struct Report {
    format: Format,
    findings: Vec<Finding>,
}

impl Report {
    fn new(format: Format) -> Self {
        Self { format, findings: Vec::new() }
    }

    fn tell(&mut self, mut findings: Vec<Finding>) -> anyhow::Result<()> {
        // Several buckets share a queue.
        findings.retain(|finding| !self.findings.contains(finding));
        for finding in findings {
            let subject = self.findings.last().map(|last| last.subject.as_str());
            let text = match self.format {
                Format::Json => serde_json::to_string(&finding).context("write a finding as JSON")?,
                Format::Text => described(&finding, subject != Some(&finding.subject)),
            };
            print(&text)?;
            self.findings.push(finding);
        }
        Ok(())
    }

    /// The sum, and how it went.
    fn end(self) -> anyhow::Result<Exit> {
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        let [failures, warnings, unknown] = [Verdict::Failure, Verdict::Warning, Verdict::Unknown].map(count);
        if self.format == Format::Text {
            let (failures, warnings) = (counted(failures, "failure"), counted(warnings, "warning"));
            print(&format!("{failures}, {warnings}, {unknown} that could not be told"))?;
        }
        Ok(if failures > 0 { Exit::Failed } else { Exit::Done })
    }
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
    let catalog = wiring::catalog_to_look(config).ok();
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

/// What was found of Postgres, and the catalog if it has one.
async fn database(config: &Config, clock: Clock) -> (Vec<Finding>, Option<Catalog>) {
    let (server, catalog) = match wiring::catalog_to_look(config) {
        Ok(catalog) => (catalog.look().await, Some(catalog)),
        Err(error) => (Err(Uninspected::Away(chain(error.as_ref()), watch::remedy(&error))), None),
    };
    let has_schema = server.as_ref().is_ok_and(|server| server.has_schema);
    let findings = examine_database(&server, config.database.max_connections, clock());
    (findings, catalog.filter(|_| has_schema))
}

/// What was found of the bucket's tables; nothing of one that is not connected yet, nor where Postgres does not say.
async fn partitions(catalog: Option<&Catalog>, bucket: &Bucket) -> Vec<Finding> {
    let Some(catalog) = catalog else { return Vec::new() };
    let found = catalog.partitions(&bucket.name).await.ok().flatten();
    found.map(|found| examine_partitions(&bucket.name, bucket.partitions, found)).into_iter().collect()
}

/// A finding, below what it is about if that was not said yet.
fn described(finding: &Finding, is_new_subject: bool) -> String {
    let Finding { check, subject, verdict, found, remedy } = finding;
    let mut lines = Vec::new();
    if is_new_subject {
        lines.push(printable(subject));
    }
    lines.push(format!("  {verdict:<14}  {check}: {}", printable(found)));
    if *verdict != Verdict::Ok {
        lines.push(format!("                  {}", printable(remedy)));
    }
    lines.join("\n")
}
