//! `stocktake reconcile`: list buckets now.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::table::table;
use super::{Usage, print, until_signalled};
use crate::bucket::Bucket;
use crate::catalog::{Catalog, Connection, Effect, Reason};
use crate::chain::chain;
use crate::cli::{Exit, Format, Reconcile};
use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::inventory;
use crate::model::Drift;
use crate::recheck;
use crate::reconcile::{Settings, Summary, Trouble, call_off, run};
use crate::wiring::{self, Clients};

/// The kinds of drift, in the order they are told.
const KINDS: [Drift; 4] = [Drift::Missing, Drift::Stale, Drift::Ghost, Drift::Latest];

/// How long doubts may take to be settled, beside what the margin of S3's clocks makes them wait.
const DOUBT_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that was to be listed, and what came of it.
struct Done {
    bucket: String,
    prefix: String,
    result: anyhow::Result<Summary>,
}

pub(super) async fn reconcile(
    config: &Config,
    options: &Reconcile,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    config.require_buckets()?;
    let chosen = choose(config, options)?;
    let shutdown = until_signalled()?;
    let catalog = super::catalog(config).await?;
    let settings = Settings {
        effect: if options.dry_run { Effect::Rehearse } else { Effect::Keep },
        concurrency: config.reconcile.concurrency,
        max_removals: config.reconcile.max_removals,
        allow_removals: options.allow_removals,
    };
    let mut clients = Clients::default();
    let mut done = Vec::new();
    for (section, prefix) in chosen {
        let result =
            one(config, &catalog, &mut clients, section, options, &prefix, &settings, clock, &shutdown).await;
        done.push(Done { bucket: section.name.clone(), prefix, result });
    }
    print(&match format {
        Format::Json => as_json(&done, options.dry_run),
        Format::Text => as_text(&done, options.dry_run),
    })?;
    Ok(if done.iter().all(|done| done.result.is_ok()) { Exit::Done } else { Exit::Failed })
}

/// The configured connections that are meant, each with the prefix to be listed.
fn choose<'a>(config: &'a Config, options: &Reconcile) -> anyhow::Result<Vec<(&'a config::Bucket, String)>> {
    let named = |bucket: &&config::Bucket| options.bucket.as_ref().is_none_or(|name| *name == bucket.name);
    let buckets: Vec<&config::Bucket> = config.buckets.iter().filter(named).collect();
    if buckets.is_empty() {
        return Err(Usage(format!(
            "bucket {:?} is not configured: add a [[bucket]] section for it",
            options.bucket.as_deref().unwrap_or("")
        ))
        .into());
    }
    if options.source == Some(Source::Inventory) {
        if let Some(bucket) = buckets.iter().find(|bucket| bucket.inventory.is_none()) {
            let message =
                format!("bucket {:?} has no inventory configured: set inventory in its section", bucket.name);
            return Err(Usage(message).into());
        }
        if options.allow_removals {
            let message =
                "an inventory report removes nothing by itself: leave --allow-removals or --source out";
            return Err(Usage(message.to_owned()).into());
        }
    }
    let Some(prefix) = &options.prefix else {
        return Ok(buckets.into_iter().map(|bucket| (bucket, bucket.prefix.clone())).collect());
    };
    let within: Vec<_> = buckets.iter().filter(|bucket| prefix.starts_with(&bucket.prefix)).collect();
    match within.first() {
        Some(bucket) => Ok(vec![(*bucket, prefix.clone())]),
        None => Err(Usage(format!(
            "prefix {prefix:?} is outside what is configured: choose one that begins with {:?}",
            buckets[0].prefix
        ))
        .into()),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is one of the things a run needs, and none belong together"
)]
async fn one(
    config: &Config,
    catalog: &Catalog,
    clients: &mut Clients,
    section: &config::Bucket,
    options: &Reconcile,
    prefix: &str,
    settings: &Settings,
    clock: Clock,
    shutdown: &CancellationToken,
) -> anyhow::Result<Summary> {
    let connection = wiring::connection(config, section);
    let bucket = Arc::new(clients.bucket(section).await);
    let name = &section.name;
    if settings.effect == Effect::Keep {
        // A name that S3 has never heard of is not to leave anything behind.
        bucket.versioning().await.map_err(Trouble::from).map_err(|trouble| describe(trouble, name))?;
        let room = catalog.connect(&connection, clock()).await;
        room.with_context(|| {
            format!("make room for bucket {name:?}; if there is no schema yet, `stocktake migrate` makes it")
        })?;
    } else {
        let is_connected = catalog.is_connected(&connection).await;
        ensure!(
            is_connected.context("read the catalog; if it is not there, `stocktake migrate` makes it")?,
            "bucket {name:?} has never been listed: there is nothing to compare it with",
        );
    }
    let source = source(catalog, &connection, section, options).await?;
    let run = match clients.inventory(section).await.filter(|_| source == Source::Inventory) {
        Some(source) => {
            let (effect, limit) = (settings.effect, config.recheck.limit);
            let settings = inventory::Settings { effect, reason: Reason::Operator, limit };
            inventory::run(&source, catalog, &connection, prefix, settings, clock, shutdown).await
        }
        None => run(&bucket, catalog, &connection, prefix, settings, clock, shutdown).await,
    };
    if matches!(run, Err(Trouble::Stopped)) {
        let called_off = call_off(catalog, &connection, prefix, "the command was interrupted", clock).await;
        called_off.context("note that the run was stopped")?;
    }
    let mut summary = run.map_err(|trouble| describe(trouble, name))?;
    if let Some(run_id) = summary.run_id {
        // A run close to another, or to events, leaves doubts that a daemon would settle. There may be none.
        let patience = connection.terms.margin * 4 + DOUBT_PATIENCE;
        let left = recheck::settle_all(&*bucket, catalog, &connection, patience, clock, shutdown).await;
        summary.doubts = left.with_context(|| format!("settle the doubts in bucket {name:?}"))?;
        summary.drift = catalog.drift_of_run(run_id).await.context("read the drift of the run")?;
    }
    Ok(summary)
}

/// What the catalog is compared with: without a word, a bucket that was never listed is listed.
async fn source(
    catalog: &Catalog,
    connection: &Connection,
    section: &config::Bucket,
    options: &Reconcile,
) -> anyhow::Result<Source> {
    if let Some(source) = options.source {
        return Ok(source);
    }
    let horizon = catalog.horizon(connection).await.context("read the horizon of the catalog")?;
    Ok(if horizon.watermark.is_some() { section.source } else { Source::Listing })
}

fn describe(trouble: Trouble, bucket: &str) -> anyhow::Error {
    let remedy = trouble.remedy().to_owned();
    anyhow::Error::new(trouble).context(format!("reconcile bucket {bucket:?}; {remedy}"))
}

fn as_json(done: &[Done], is_rehearsal: bool) -> String {
    let lines: Vec<String> = done
        .iter()
        .map(|Done { bucket, prefix, result }| {
            let mut line = match result {
                Err(error) => json!({ "bucket": bucket, "prefix": prefix, "error": chain(error.as_ref()) }),
                Ok(summary) => json!({
                    "bucket": bucket,
                    "prefix": prefix,
                    "run_id": summary.run_id,
                    "keys_listed": summary.counts.keys,
                    "versions_listed": summary.counts.versions,
                    "doubts": summary.doubts,
                    "tombstones_purged": summary.purged,
                }),
            };
            if let Ok(summary) = result {
                for kind in KINDS {
                    line[kind.as_str()] = summary.drift.get(&kind).copied().unwrap_or_default().into();
                }
            }
            line["dry_run"] = is_rehearsal.into();
            line.to_string()
        })
        .collect();
    lines.join("\n")
}

fn as_text(done: &[Done], is_rehearsal: bool) -> String {
    let head = ["bucket", "prefix", "keys", "versions", "missing", "stale", "ghost", "latest", "doubts"];
    let rows = done.iter().filter_map(|done| {
        let summary = done.result.as_ref().ok()?;
        let mut row = vec![done.bucket.clone(), done.prefix.clone()];
        row.extend([summary.counts.keys.to_string(), summary.counts.versions.to_string()]);
        row.extend(KINDS.map(|kind| summary.drift.get(&kind).copied().unwrap_or_default().to_string()));
        row.push(summary.doubts.to_string());
        Some(row)
    });
    let rows: Vec<_> = rows.collect();
    let mut text = if rows.is_empty() { Vec::new() } else { vec![table(&head, rows)] };
    let errors = done.iter().filter_map(|done| done.result.as_ref().err());
    text.extend(errors.map(|error| format!("error: {}", chain(error.as_ref()))));
    let is_drifted =
        done.iter().any(|done| done.result.as_ref().is_ok_and(|summary| !summary.drift.is_empty()));
    if is_rehearsal {
        text.push("nothing was changed: this was a rehearsal".to_owned());
    } else if is_drifted {
        text.push("what differed is repaired, and written down in catalog.drift".to_owned());
    }
    text.join("\n")
}
