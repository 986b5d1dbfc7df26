//! `stocktake replay`: put what is in quarantine through again.

use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::print;
use crate::catalog::{Aside, Connection};
use crate::cli::{Exit, Format, Replay};
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::{self, Replayed};
use crate::wiring;
use crate::words::{moment, printable};

const READ: &str = "read the quarantine";

pub(super) async fn replay(
    config: &Config,
    options: &Replay,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let catalog = super::catalog(config).await?;
    let connections: Vec<Arc<Connection>> =
        config.buckets.iter().map(|section| wiring::connection(config, section)).collect();
    for connection in &connections {
        ensure!(
            catalog.is_connected(connection).await.context(READ)?,
            "bucket {:?} has never been listed: `stocktake reconcile` or `serve` does that",
            connection.bucket
        );
    }
    let replay = async |item: Aside| {
        let replayed = ingest::replay(&catalog, &connections, &item, clock()).await;
        let replayed =
            replayed.with_context(|| format!("replay {} of the quarantine", item.quarantine_id))?;
        print(&line(&item, &replayed, format))?;
        anyhow::Ok(matches!(replayed, Replayed::Through(_)))
    };
    let (mut through, mut stay) = (0, 0);
    let mut count = |is_through| if is_through { through += 1 } else { stay += 1 };
    if options.id.is_empty() {
        // One after the other: bodies may be large, and there may be many.
        let mut last = 0;
        while let Some(item) = catalog.next_quarantined(last).await.context(READ)? {
            last = item.quarantine_id;
            count(replay(item).await?);
        }
    } else {
        for id in &options.id {
            let item = catalog.quarantined(*id).await.context(READ)?;
            let item = item.with_context(|| format!("nothing is in quarantine as {id}"))?;
            match item.replayed_at {
                None => count(replay(item).await?),
                Some(at) => print(&already(&item, at, format))?,
            }
        }
    }
    if format == Format::Text {
        print(&format!("{through} put through, {stay} stay in quarantine"))?;
    }
    Ok(if stay == 0 { Exit::Done } else { Exit::Failed })
}

/// What is told of one that there was nothing to do about.
fn already(item: &Aside, at: OffsetDateTime, format: Format) -> String {
    let Aside { quarantine_id, message_id, record, queue, .. } = item;
    match format {
        Format::Json => json!({
            "quarantine_id": quarantine_id, "queue": queue, "message_id": message_id, "record": record,
            "replayed": true, "replayed_at": at.format(&Rfc3339).ok(),
        })
        .to_string(),
        Format::Text => format!("{quarantine_id}: was put through already, at {}", moment(at)),
    }
}

/// What came of one item.
fn line(item: &Aside, replayed: &Replayed, format: Format) -> String {
    let Aside { quarantine_id, message_id, record, queue, .. } = item;
    match (format, replayed) {
        (Format::Json, Replayed::Through(outcomes)) => json!({
            "quarantine_id": quarantine_id, "queue": queue, "message_id": message_id, "record": record,
            "replayed": true, "outcomes": outcomes,
        })
        .to_string(),
        (Format::Json, Replayed::Stays(reason)) => json!({
            "quarantine_id": quarantine_id, "queue": queue, "message_id": message_id, "record": record,
            "replayed": false, "reason": reason,
        })
        .to_string(),
        (Format::Text, Replayed::Through(outcomes)) => {
            let counts: Vec<_> =
                outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
            let counts = if counts.is_empty() { "it says nothing".to_owned() } else { counts.join(", ") };
            format!("{quarantine_id}: put through: {counts}")
        }
        (Format::Text, Replayed::Stays(reason)) => printable(&format!("{quarantine_id}: stays: {reason}")),
    }
}
