//! The state of everything, for people: on one screen, the worst last.

use crate::catalog::{BucketStatus, DaemonStatus};
use crate::commands::table::table;
use crate::overview::{Bucket, Overview, Problem, State, drift, notice, place};
use crate::words::{ago, grouped, moment, printable, rough};

pub(super) fn describe(overview: &Overview) -> String {
    let mut text = daemons(overview);
    text.push(String::new());
    if overview.buckets.is_empty() {
        text.push(
            "no bucket is connected yet: `stocktake serve` connects those that are configured".to_owned(),
        );
    } else {
        let head = [
            "bucket",
            "state",
            "region",
            "versioning",
            "objects",
            "bytes",
            "complete through",
            "last event",
            "caught up",
            "doubts",
            "last run",
            "drift",
        ];
        text.push(table(&head, overview.buckets.iter().map(|bucket| row(bucket, overview))));
    }
    text.extend(overview.buckets.iter().filter_map(|bucket| unattended(bucket, overview)));
    text.extend(overview.buckets.iter().filter_map(|bucket| report(&bucket.status)));
    text.extend(overview.buckets.iter().filter_map(|bucket| error(bucket, overview)));
    text.extend(overview.buckets.iter().filter_map(|bucket| {
        let notice = notice(&bucket.status)?;
        Some(format!("\n{}: {}", printable(&place(&bucket.status)), printable(&notice)))
    }));
    if !overview.is_attended && !overview.problems.is_empty() {
        text.push("\nwhat was wrong when a daemon was last at work:".to_owned());
    }
    text.extend(overview.problems.iter().map(problem));
    if overview.quarantined > 0 {
        text.push(format!(
            "\n{} in quarantine: see catalog.quarantine for the reasons; once they are gone, `stocktake replay` puts \
             them through",
            grouped(overview.quarantined)
        ));
    }
    text.join("\n")
}

/// That daemons are at work, and none has the bucket.
fn unattended(bucket: &Bucket, overview: &Overview) -> Option<String> {
    let is_so = overview.is_attended && bucket.state == State::Unattended;
    is_so.then(|| {
        format!(
            "\n{}: no daemon that is at work has it, so its events are dropped; give their configuration its [[bucket]] section, \
             and start them again",
            place(&bucket.status)
        )
    })
}

fn daemons(overview: &Overview) -> Vec<String> {
    let Overview { as_of, daemons, .. } = overview;
    let name = |daemon: &DaemonStatus| format!("on {}, process {}", printable(&daemon.host), daemon.pid);
    if !overview.is_attended {
        return vec![match daemons.first() {
            None => "no daemon is at work, nor was any lately: `stocktake serve` starts one".to_owned(),
            Some(daemon) => {
                let (how, when) = match daemon.stopped_at {
                    Some(stopped_at) => ("was stopped", stopped_at),
                    None => ("was last seen", daemon.seen_at),
                };
                let name = name(daemon);
                format!(
                    "no daemon is at work: the last one, {name}, {how} at {}, {}; what follows is as of then",
                    moment(when),
                    ago(Some(when), *as_of)
                )
            }
        }];
    }
    let (running, others): (Vec<_>, Vec<_>) = daemons.iter().partition(|daemon| daemon.is_running);
    let mut lines: Vec<String> = running
        .iter()
        .map(|daemon| {
            format!(
                "daemon {}, version {}, since {}: seen {}, {}",
                name(daemon),
                daemon.version,
                moment(daemon.started_at),
                ago(Some(daemon.seen_at), *as_of),
                daemon.lag().map_or("hears from no queue".to_owned(), |lag| {
                    format!("receives messages that are {} old", rough(lag))
                })
            )
        })
        .collect();
    let mut silent = others.iter().filter(|daemon| daemon.stopped_at.is_none());
    lines.extend(silent.next().map(|daemon| {
        let more = silent.count();
        let more = if more == 0 { String::new() } else { format!(", and {more} more before") };
        format!("a daemon {} went silent {}{more}", name(daemon), ago(Some(daemon.seen_at), *as_of))
    }));
    lines
}

fn row(Bucket { state, status, .. }: &Bucket, overview: &Overview) -> [String; 12] {
    let as_of = overview.as_of;
    // Sums are of buckets, and each part of one would seem to have it all.
    let parts = || overview.buckets.iter().filter(|other| other.status.connected_at.is_some());
    let parts = parts().filter(|other| other.status.bucket == status.bucket).count();
    let whole = if parts > 1 { format!(" in {parts} parts") } else { String::new() };
    let sum = |amount| format!("{}{whole}", grouped(amount));
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    [
        place(status),
        state.as_str().to_owned(),
        known(&status.region),
        known(&status.versioning),
        sum(status.objects),
        sum(status.bytes),
        status.complete_through.map_or("never".to_owned(), moment),
        ago(status.last_event_at, as_of),
        ago(status.caught_up_at, as_of),
        grouped(status.rechecks),
        run(status),
        drift(&status.run),
    ]
}

/// `complete at …, 12,345 keys`.
fn run(bucket: &BucketStatus) -> String {
    let run = &bucket.run;
    let (Some(status), Some(started_at)) = (&run.status, run.started_at) else {
        return "none yet".to_owned();
    };
    let when = match run.finished_at {
        Some(finished_at) => format!("at {}", moment(finished_at)),
        None => format!("since {}", moment(started_at)),
    };
    let listed = run.keys_listed.unwrap_or_default();
    let keys = if listed == 1 { "1 key".to_owned() } else { format!("{} keys", grouped(listed)) };
    let source = if run.source.as_deref() == Some("inventory") { " of a report" } else { "" };
    let part = match &run.prefix {
        Some(prefix) if *prefix != bucket.prefix => format!(", only below {prefix}"),
        _ => String::new(),
    };
    format!("{status} {when}, {keys}{source}{part}")
}

/// The report that the last run was about, whatever came of it.
fn report(bucket: &BucketStatus) -> Option<String> {
    let (report, from) = (bucket.run.report.as_ref()?, bucket.run.report_from?);
    let told = format!(
        "the last run of {} was about the inventory report {report}, which S3 began to make at {}",
        place(bucket),
        moment(from)
    );
    Some(format!("\n{}", printable(&told)))
}

/// What stopped the last run, unless a daemon says so of the bucket itself.
fn error(bucket: &Bucket, overview: &Overview) -> Option<String> {
    let (error, remedy) = overview.untold_end(bucket)?;
    let mut text = format!("\nthe last run of {}: {}", place(&bucket.status), printable(error));
    if let Some(remedy) = remedy {
        text += &format!("\n  {}", printable(&remedy));
    }
    Some(text)
}

/// A problem with its remedy; one that comes of the one before in a line.
fn problem(problem: &Problem) -> String {
    let status = &problem.status;
    let (subject, message) = (printable(&status.subject), printable(&status.message));
    if problem.cause.is_some() {
        return format!("  and with it {subject}: {message}");
    }
    let since = moment(status.since);
    format!("\nproblem since {since}: {subject}\n  {message}\n  {}", printable(&status.remedy))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_sums_of_a_bucket_are_not_told_as_those_of_each_part() {
        let as_of = datetime!(2026-11-01 12:00 UTC);
        let bucket = |name: &str, prefix: &str| Bucket {
            state: State::Well,
            is_configured: true,
            status: BucketStatus {
                bucket: name.to_owned(),
                prefix: prefix.to_owned(),
                connected_at: Some(as_of),
                objects: 1_500,
                bytes: 7,
                ..BucketStatus::default()
            },
        };
        let buckets = vec![bucket("a", "x/"), bucket("a", "y/"), bucket("b", "x/")];
        let (daemons, problems) = (Vec::new(), Vec::new());
        let overview = Overview { as_of, is_attended: true, daemons, buckets, problems, quarantined: 0 };
        let sums = |number: usize| row(&overview.buckets[number], &overview)[4..6].join(" | ");
        let in_parts = "1,500 in 2 parts | 7 in 2 parts";
        assert_eq!([0, 1, 2].map(sums), [in_parts, in_parts, "1,500 | 7"]);
    }
}
