//! What runs and rehearsals came to, as a table or as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Done, Outcome, Rehearsed};
use crate::catalog::{Counts, Difference};
use crate::chain::chain;
use crate::cli::Reconcile;
use crate::commands::table::table;
use crate::model::Drift;
use crate::reconcile::{Found, ReadReport, command};
use crate::words::{counted, moment, printable};

/// The kinds of drift, in the order they are told.
const KINDS: [Drift; 4] = [Drift::Missing, Drift::Stale, Drift::Ghost, Drift::Latest];

pub(super) fn as_json(done: &[Done], options: &Reconcile) -> String {
    let lines = done.iter().map(|Done { bucket, prefix, result }| {
        let mut line = json!({ "bucket": bucket, "prefix": prefix, "dry_run": options.dry_run });
        match result {
            Err(error) => line["error"] = chain(error.as_ref()).into(),
            Ok(outcome) => {
                line["run_id"] = outcome.run_id().into();
                let report = outcome.report();
                line["source"] = if report.is_some() { "inventory" } else { "listing" }.into();
                line["report"] = report.map(|report| report.manifest.as_str()).into();
                line["report_from"] = report.and_then(|report| date(report).format(&Rfc3339).ok()).into();
                let (counts, drift, doubts) = outcome.figures();
                line["keys_listed"] = counts.keys.into();
                line["versions_listed"] = counts.versions.into();
                line["doubts"] = doubts.into();
                for kind in KINDS {
                    line[kind.as_str()] = drift.get(&kind).copied().unwrap_or_default().into();
                }
                line["stats"] = outcome.wrong_sums().into();
            }
        }
        match result {
            Ok(Outcome::Run(summary)) => line["tombstones_purged"] = summary.purged.into(),
            Ok(Outcome::Rehearsal(Rehearsed { found, excess, .. })) => {
                line["removals"] = found.removals.into();
                line["is_stopped_by_guard"] = excess.is_some().into();
                line["changes"] = found.changes().map(change_as_json).collect();
                line["changes_left_out"] = found.changes_left_out().into();
            }
            Err(_) => {}
        }
        line.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn change_as_json(change: &Difference) -> Value {
    json!({
        "key": change.key,
        "version_id": change.version.as_str(),
        "kind": change.kind.as_str(),
        "before": change.before,
        "after": change.after,
    })
}

pub(super) fn as_text(done: &[Done], options: &Reconcile) -> String {
    let mut text = Vec::new();
    for done in done {
        if let Ok(Outcome::Rehearsal(rehearsed)) = &done.result {
            text.extend(changes(&done.bucket, &rehearsed.found));
        }
    }
    let head =
        ["bucket", "prefix", "source", "keys", "versions", "missing", "stale", "ghost", "latest", "doubts"];
    let rows: Vec<Vec<String>> = done.iter().filter_map(row).collect();
    if !rows.is_empty() {
        text.push(table(&head, rows));
    }
    for done in done {
        match &done.result {
            Err(error) => text.push(format!("error: {}", printable(&chain(error.as_ref())))),
            Ok(Outcome::Rehearsal(Rehearsed { found, excess: Some(rows), .. })) => text.push(printable(&format!(
                "the guard would stop this run: {} of the {rows} versions that the catalog has of {:?} below {:?} are not in \
                 the listing, which is more than reconcile.max_removals; if they are really gone, `{} --allow-removals` \
                 removes them",
                found.removals,
                done.bucket,
                done.prefix,
                command(&done.bucket, &done.prefix)
            ))),
            Ok(outcome) => text.extend(outcome.report().map(|report| {
                printable(&format!("{} was compared with the report {}", done.bucket, report.manifest))
            })),
        }
    }
    let outcomes = || done.iter().filter_map(|done| done.result.as_ref().ok());
    let wrong_sums: i64 = outcomes().map(Outcome::wrong_sums).sum();
    if options.dry_run {
        if wrong_sums > 0 {
            text.push(format!("{wrong_sums} of the rows of catalog.bucket_stats are wrong"));
        }
        text.push("nothing was changed: this was a rehearsal".to_owned());
        return text.join("\n");
    }
    let doubts: usize = outcomes().map(|outcome| outcome.figures().2).sum();
    if outcomes().any(|outcome| !outcome.figures().1.is_empty()) {
        let what = if doubts > 0 { "what differed, but for the doubts," } else { "what differed" };
        text.push(format!("{what} is repaired, and written down in catalog.drift"));
    }
    if wrong_sums > 0 {
        text.push(format!("{wrong_sums} of the rows of catalog.bucket_stats had to be put right"));
    }
    if doubts > 0 {
        text.push(format!(
            "{} left in doubt, and as before: `stocktake serve` looks at each again, and another \
             `stocktake reconcile{}` at all of them",
            counted(doubts, "key"),
            if options.allow_removals { " --allow-removals" } else { "" }
        ));
    }
    text.join("\n")
}

fn row(done: &Done) -> Option<Vec<String>> {
    let (counts, drift, doubts) = done.result.as_ref().ok()?.figures();
    let source = match done.result.as_ref().ok()?.report() {
        Some(report) => format!("inventory of {}", moment(date(report))),
        None => "listing".to_owned(),
    };
    let mut row = vec![done.bucket.clone(), done.prefix.clone(), source];
    row.extend([counts.keys.to_string(), counts.versions.to_string()]);
    row.extend(KINDS.map(|kind| drift.get(&kind).copied().unwrap_or_default().to_string()));
    row.push(doubts.to_string());
    Some(row)
}

/// When S3 began to make a report.
fn date(report: &ReadReport) -> OffsetDateTime {
    OffsetDateTime::from(report.began)
}

/// What a rehearsal would change, key by key; nothing where that is nothing.
fn changes(bucket: &str, found: &Found) -> Vec<String> {
    let head = ["bucket", "key", "version", "would be", "the catalog says", "the bucket has"];
    let row = |change: &Difference| {
        let (version, kind) = (change.version.as_str().to_owned(), change.kind.as_str().to_owned());
        let (before, after) = (state(&change.before), state(&change.after));
        [bucket.to_owned(), change.key.clone(), version, kind, before, after]
    };
    let rows: Vec<_> = found.changes().map(row).collect();
    let mut text = Vec::new();
    if !rows.is_empty() {
        text.push(table(&head, rows));
        if found.changes_left_out() > 0 {
            text.push(format!(" … and {} more: --prefix narrows it", found.changes_left_out()));
        }
        text.push(String::new());
    }
    text
}

/// What a side says of a version, as the ledger writes it, in few words.
fn state(side: &Value) -> String {
    let text = |name: &str| side[name].as_str().unwrap_or("?");
    match side["state"].as_str() {
        None | Some("removed") => "not there".to_owned(),
        Some(state) => {
            let latest = if side["is_latest"] == true { ", latest" } else { "" };
            match state {
                "object" => format!(
                    "{}, etag {}, {}{latest}",
                    counted(side["size"].as_u64().unwrap_or_default(), "byte"),
                    text("etag"),
                    text("last_modified")
                ),
                state => format!("{state}, {}{latest}", text("last_modified")),
            }
        }
    }
}

impl Outcome {
    fn run_id(&self) -> Option<i64> {
        match self {
            Self::Run(summary) => summary.run_id,
            Self::Rehearsal(..) => None,
        }
    }

    fn report(&self) -> Option<&ReadReport> {
        match self {
            Self::Run(summary) => summary.report.as_ref(),
            Self::Rehearsal(..) => None,
        }
    }

    fn wrong_sums(&self) -> i64 {
        match self {
            Self::Run(summary) => summary.wrong_sums,
            Self::Rehearsal(rehearsed) => rehearsed.wrong_sums,
        }
    }

    fn figures(&self) -> (Counts, &BTreeMap<Drift, i64>, usize) {
        match self {
            Self::Run(summary) => (summary.counts, &summary.drift, summary.doubts),
            Self::Rehearsal(Rehearsed { found, .. }) => (found.counts, &found.drift, found.doubts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Summary;

    #[test]
    fn what_is_repaired_and_what_is_not_settled_is_told() {
        let told = |drift: i64, doubts, wrong_sums, dry_run| {
            let options = Reconcile { dry_run, ..Reconcile::default() };
            let drift = (drift > 0).then_some((Drift::Stale, drift)).into_iter().collect();
            let result = Ok(Outcome::Run(Summary { drift, doubts, wrong_sums, ..Summary::default() }));
            let text = as_text(&[Done { bucket: "b".to_owned(), prefix: String::new(), result }], &options);
            text.lines()
                .skip(2)
                .map(|line| line.split(": ").next().unwrap_or(line).to_owned())
                .collect::<Vec<_>>()
        };
        let doubts = "3 keys left in doubt, and as before";
        assert_eq!(told(0, 0, 0, false), [""; 0]);
        assert_eq!(told(2, 0, 0, false), ["what differed is repaired, and written down in catalog.drift"]);
        assert_eq!(
            told(2, 3, 0, false),
            ["what differed, but for the doubts, is repaired, and written down in catalog.drift", doubts]
        );
        assert_eq!(
            told(0, 3, 1, false),
            ["1 of the rows of catalog.bucket_stats had to be put right", doubts]
        );
        assert_eq!(
            told(2, 3, 1, true),
            ["1 of the rows of catalog.bucket_stats are wrong", "nothing was changed"]
        );
    }

    #[test]
    fn doubts_of_a_run_that_may_remove_are_settled_by_another_that_may() {
        let text = |allow_removals| {
            let result = Ok(Outcome::Run(Summary { doubts: 1, ..Summary::default() }));
            let options = Reconcile { allow_removals, ..Reconcile::default() };
            as_text(&[Done { bucket: "b".to_owned(), prefix: String::new(), result }], &options)
        };
        assert!(
            text(true).contains("1 key left")
                && text(true).contains("`stocktake reconcile --allow-removals`")
        );
        assert!(text(false).contains("`stocktake reconcile`"));
    }

    #[test]
    fn both_sides_of_a_change_are_told_in_few_words() {
        let object = json!({"state": "object", "is_latest": true, "last_modified": "2026-05-04T12:00:00Z",
                            "etag": "e1", "size": 7});
        assert_eq!(state(&object), "7 bytes, etag e1, 2026-05-04T12:00:00Z, latest");
        let marker = json!({"state": "marker", "is_latest": false, "last_modified": "2026-05-04T12:00:00Z"});
        assert_eq!(state(&marker), "marker, 2026-05-04T12:00:00Z");
        assert_eq!(
            (state(&Value::Null), state(&json!({"state": "removed"}))),
            ("not there".into(), "not there".into())
        );
    }
}
