//! `stocktake status`: what is connected, how fresh it is, how much drift there was.

use anyhow::Context;
use time::OffsetDateTime;
use time::macros::format_description;

use super::table::{printable, table};
use super::{catalog, print};
use crate::catalog::{BucketStatus, RunStatus, Status};
use crate::cli::{Exit, Format};
use crate::config::Config;

pub(super) async fn status(config: &Config, format: Format) -> anyhow::Result<Exit> {
    let status = catalog(config).await?.status().await;
    let status = status.context("read the catalog; if it is not there, `stocktake migrate` makes it")?;
    match format {
        Format::Json => print(&serde_json::to_string_pretty(&status).context("write the status as JSON")?)?,
        Format::Text => print(&describe(&status))?,
    }
    Ok(Exit::Done)
}

fn describe(status: &Status) -> String {
    let mut text = Vec::new();
    if status.buckets.is_empty() {
        text.push(
            "no bucket is connected yet: `stocktake serve` connects those that are configured".to_owned(),
        );
    } else {
        let head = [
            "bucket",
            "region",
            "versioning",
            "complete through",
            "last event",
            "caught up",
            "doubts",
            "last run",
        ];
        text.push(table(&head, status.buckets.iter().map(row)));
    }
    for problem in &status.problems {
        let since = moment(Some(problem.since));
        text.push(format!(
            "\nproblem since {since}: {}\n  {}\n  {}",
            printable(&problem.subject),
            printable(&problem.message),
            printable(&problem.remedy)
        ));
    }
    if status.quarantined > 0 {
        text.push(format!("\n{} in quarantine: see catalog.quarantine", status.quarantined));
    }
    text.join("\n")
}

fn row(bucket: &BucketStatus) -> [String; 8] {
    let unknown = || "?".to_owned();
    [
        if bucket.prefix.is_empty() {
            bucket.bucket.clone()
        } else {
            format!("{}/{}", bucket.bucket, bucket.prefix)
        },
        bucket.region.clone().unwrap_or_else(unknown),
        bucket.versioning.clone().unwrap_or_else(unknown),
        moment(bucket.complete_through),
        moment(bucket.last_event_at),
        moment(bucket.caught_up_at),
        bucket.rechecks.to_string(),
        run(&bucket.run),
    ]
}

fn run(run: &RunStatus) -> String {
    let Some(status) = &run.status else { return "none yet".to_owned() };
    let (keys, drift) = (run.keys_listed.unwrap_or_default(), run.drift.unwrap_or_default());
    let error = run.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{status}, {keys} keys, drift {drift}{error}")
}

/// To the second, in UTC.
fn moment(moment: Option<OffsetDateTime>) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let text = moment.and_then(|moment| moment.to_offset(time::UtcOffset::UTC).format(format).ok());
    text.unwrap_or_else(|| "never".to_owned())
}
