//! `stocktake status`: what is connected, how fresh it is, how much drift there was.

use anyhow::Context;
use time::OffsetDateTime;
use time::macros::format_description;

use super::table::{printable, table};
use super::{catalog, print};
use crate::catalog::{BucketStatus, RunStatus, Status};
use crate::cli::{Exit, Format};
use crate::config::Config;
use crate::health::Subject;
use crate::reconcile::guard_remedy;

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
    for bucket in status.buckets.iter().filter(|bucket| !is_problem(status, bucket)) {
        let Some(error) = &bucket.run.error else { continue };
        text.push(format!("\nthe last run of {}: {}", place(bucket), printable(error)));
        if bucket.run.withheld > Some(0) {
            text.push(format!("  {}", printable(&guard_remedy(&bucket.bucket, &bucket.prefix))));
        }
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
        place(bucket),
        bucket.region.clone().unwrap_or_else(unknown),
        bucket.versioning.clone().unwrap_or_else(unknown),
        moment(bucket.complete_through),
        moment(bucket.last_event_at),
        moment(bucket.caught_up_at),
        bucket.rechecks.to_string(),
        run(&bucket.run),
    ]
}

/// Whether a daemon says of the bucket itself what is wrong, and so what stopped its last run.
fn is_problem(status: &Status, bucket: &BucketStatus) -> bool {
    let subject = Subject::Bucket { name: bucket.bucket.clone(), prefix: bucket.prefix.clone() }.to_string();
    status.problems.iter().any(|problem| problem.subject == subject)
}

fn place(bucket: &BucketStatus) -> String {
    let slash = if bucket.prefix.is_empty() { "" } else { "/" };
    format!("{}{slash}{}", bucket.bucket, bucket.prefix)
}

fn run(run: &RunStatus) -> String {
    let Some(status) = &run.status else { return "none yet".to_owned() };
    let (keys, drift) = (run.keys_listed.unwrap_or_default(), run.drift.unwrap_or_default());
    format!("{status}, {keys} keys, drift {drift}")
}

/// To the second, in UTC.
fn moment(moment: Option<OffsetDateTime>) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let text = moment.and_then(|moment| moment.to_offset(time::UtcOffset::UTC).format(format).ok());
    text.unwrap_or_else(|| "never".to_owned())
}
