//! `stocktake recheck`: ask S3 about some keys now.

use anyhow::{Context, anyhow, ensure};
use serde_json::json;

use super::policy::{beginnings, parts};
use super::table::table;
use super::{Usage, print};
use crate::bucket::region::admitted;
use crate::catalog::{Catalog, Connection};
use crate::chain::chain;
use crate::cli::{Exit, Format, Recheck};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Doubt;
use crate::recheck::{LEASE, Trouble, recheck_one};
use crate::wiring::{self, Clients};

/// The longest key, in UTF-8
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const KEY_BYTES_MAX: usize = 1_024;

pub(super) async fn recheck(
    config: &Config,
    options: &Recheck,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let sections = parts(config, &options.bucket)?;
    let catalog = super::catalog(config).await?;
    let mut clients = Clients::default();
    let mut done = Vec::new();
    for key in &options.keys {
        if key.len() > KEY_BYTES_MAX {
            let (bytes, begins) = (key.len(), key.chars().take(40).collect::<String>());
            let message = format!(
                "the key that begins with {begins:?} has {bytes} bytes, and keys of S3 have up to {KEY_BYTES_MAX}"
            );
            return Err(Usage(message).into());
        }
        let Some(section) = sections.iter().find(|section| key.starts_with(&section.prefix)) else {
            return Err(Usage(format!(
                "key {key:?} of bucket {:?} is outside what is configured: choose one that begins with {}",
                options.bucket,
                beginnings(&sections)
            ))
            .into());
        };
        let connection = wiring::connection(config, section);
        let is_connected = catalog.is_connected(&connection).await;
        ensure!(
            is_connected.context("look for the bucket in the catalog")?,
            "bucket {:?} has never been listed: `stocktake reconcile` or `serve` does that",
            section.name
        );
        let bucket = clients.bucket(section).await;
        if let Some(required) = &section.required_region {
            let place = admitted(&bucket, &section.name, Some(required)).await;
            place.map_err(|fault| anyhow!("recheck key {key:?}: {}; {}", chain(&fault), fault.remedy))?;
        }
        let outcome = one(&bucket, &catalog, &connection, key, clock).await;
        done.push((
            key,
            outcome.with_context(|| format!("recheck key {key:?} of bucket {:?}", options.bucket))?,
        ));
    }
    print(&match format {
        Format::Json => {
            let lines =
                done.iter().map(|(key, outcome)| json!({ "key": key, "outcome": outcome }).to_string());
            lines.collect::<Vec<_>>().join("\n")
        }
        Format::Text => {
            table(&["key", "outcome"], done.iter().map(|(key, outcome)| [(*key).clone(), outcome.clone()]))
        }
    })?;
    Ok(Exit::Done)
}

/// Queues the key, so that a daemon goes on with it if this process does not, and lists it.
async fn one(
    bucket: &impl crate::bucket::Bucket,
    catalog: &Catalog,
    connection: &Connection,
    key: &str,
    clock: Clock,
) -> anyhow::Result<String> {
    let recheck = catalog.take_recheck_of(connection, key, Doubt::Asked, LEASE, clock()).await?;
    let repaired = recheck_one(bucket, catalog, connection, &recheck, clock).await;
    let repaired = repaired.map_err(|trouble| match trouble {
        Trouble::S3(fault) => anyhow!("{}; {}", chain(&fault), fault.remedy),
        other @ Trouble::Postgres(_) => other.into(),
    })?;
    let drift: Vec<String> = repaired
        .drift
        .iter()
        .map(|(_, version, kind)| format!("{} version {version}", kind.as_str()))
        .collect();
    Ok(match (drift.is_empty(), repaired.doubts) {
        (_, 1..) => "undecided yet: a daemon will look again".to_owned(),
        (true, 0) if connection.ignore.has(key) => "left out: `ignore` in its section says so".to_owned(),
        (true, 0) if !catalog.knows(connection, key).await? => {
            "unknown: neither the catalog nor the bucket has it".to_owned()
        }
        (true, 0) => "the catalog was right".to_owned(),
        (false, 0) => format!("repaired: {}", drift.join(", ")),
    })
}
