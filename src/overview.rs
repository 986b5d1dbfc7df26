//! What the state of everything comes to: a word for each bucket, and which problem is the cause of which. The command
//! `status` and the status page show it.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::catalog::{BucketStatus, DaemonStatus, ProblemStatus, RunStatus, Status};
use crate::config::Config;
use crate::health::Subject;
use crate::reconcile::guard_remedy;
use crate::words::grouped;

/// All that is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) as_of: OffsetDateTime,
    /// Whether a daemon is at work. If none is, all else is as the last one left it.
    pub(crate) is_attended: bool,
    pub(crate) daemons: Vec<DaemonStatus>,
    pub(crate) buckets: Vec<Bucket>,
    /// Causes before what comes of them.
    pub(crate) problems: Vec<Problem>,
    pub(crate) quarantined: i64,
}

/// A bucket that is connected, or is to be.
#[derive(Debug, Serialize)]
pub(crate) struct Bucket {
    pub(crate) state: State,
    pub(crate) is_configured: bool,
    #[serde(flatten)]
    pub(crate) status: BucketStatus,
}

/// How a bucket is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The configuration does not name it any more.
    NotConfigured,
    /// No daemon has connected it yet.
    NotConnected,
    /// No daemon is at work, or none of them has it.
    Unattended,
    /// It is not kept true.
    InTrouble,
    /// It is waiting for its first listing.
    New,
    /// Something around it is wrong.
    Degraded,
    /// Messages are received that have waited for long.
    Behind,
    /// A run is under way.
    Listing,
    /// All is well.
    Well,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not configured",
            Self::NotConnected => "not connected",
            Self::Unattended => "unattended",
            Self::InTrouble => "in trouble",
            Self::New => "new",
            Self::Degraded => "degraded",
            Self::Behind => "behind",
            Self::Listing => "listing",
            Self::Well => "well",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(flatten)]
    pub(crate) status: ProblemStatus,
    /// The subject of the problem that this one comes of, or is the same as.
    pub(crate) cause: Option<String>,
    /// Whether a daemon is at work that would know if it was over.
    pub(crate) is_current: bool,
}

impl Overview {
    /// What it comes to, with this configuration.
    pub(crate) fn of(status: Status, config: &Config) -> Self {
        let Status { as_of, daemons, buckets, problems, quarantined } = status;
        let is_attended = daemons.iter().any(|daemon| daemon.is_running);
        let is_behind = lag(&daemons) > Some(config.reconcile.backlog_age);
        let absent = config.buckets.iter().filter(|section| {
            !buckets.iter().any(|bucket| bucket.bucket == section.name && bucket.prefix == section.prefix)
        });
        let absent: Vec<BucketStatus> = absent
            .map(|section| BucketStatus {
                bucket: section.name.clone(),
                prefix: section.prefix.clone(),
                ..BucketStatus::default()
            })
            .collect();
        let judge = |status: BucketStatus| {
            let is_configured = config
                .buckets
                .iter()
                .any(|section| section.name == status.bucket && section.prefix == status.prefix);
            let state = match () {
                () if !is_configured => State::NotConfigured,
                () if status.connected_at.is_none() => State::NotConnected,
                () if !is_attended || !status.is_attended => State::Unattended,
                () => state(&status, &problems, is_behind),
            };
            Bucket { state, is_configured, status }
        };
        let buckets = buckets.into_iter().chain(absent).map(judge).collect();
        let problems = trace(problems, is_attended);
        Self { as_of, is_attended, daemons, buckets, problems, quarantined }
    }

    /// What ended the last run of a bucket and, where it was the removal guard, what to do; none if a problem of the
    /// bucket itself says so.
    pub(crate) fn untold_end<'a>(&self, bucket: &'a Bucket) -> Option<(&'a str, Option<String>)> {
        let status = &bucket.status;
        let error = status.run.error.as_deref()?;
        let subject = subject(status);
        if self.problems.iter().any(|problem| problem.status.subject == subject) {
            return None;
        }
        let prefix = status.run.prefix.as_deref().unwrap_or(&status.prefix);
        Some((error, (status.run.withheld > Some(0)).then(|| guard_remedy(&status.bucket, prefix))))
    }
}

/// What deserves a look although nothing is wrong.
pub(crate) fn notice(status: &BucketStatus) -> Option<String> {
    let run = &status.run;
    let is_whole = run.prefix.as_deref() == Some(&*status.prefix) && run.source.as_deref() == Some("listing");
    let is_empty = run.status.as_deref() == Some("complete") && run.keys_listed == Some(0);
    if !is_whole || !is_empty || status.last_event_at > run.finished_at {
        return None;
    }
    Some(if status.prefix.is_empty() {
        "the last listing found no keys in the bucket".to_owned()
    } else {
        format!(
            "the last listing found no keys that begin with {:?}: `stocktake doctor` names prefixes that differ only in \
             Unicode normalization, case or a slash",
            status.prefix
        )
    })
}

/// How old the messages are that daemons at work receive; none if no queue answers any of them.
pub(crate) fn lag(daemons: &[DaemonStatus]) -> Option<Duration> {
    let running = daemons.iter().filter(|daemon| daemon.is_running);
    running.filter_map(DaemonStatus::lag).max()
}

/// The state of a bucket that a daemon keeps.
fn state(bucket: &BucketStatus, problems: &[ProblemStatus], is_behind: bool) -> State {
    let subject = subject(bucket);
    let is_wrong = |test: &dyn Fn(&str) -> bool| problems.iter().any(|problem| test(&problem.subject));
    let (events, database) = (format!("events of {subject}"), Subject::Database.to_string());
    let is_running = bucket.run.status.as_deref() == Some("running");
    // Also where it stopped a command, and a daemon did not look yet.
    let is_guarded = bucket.run.withheld > Some(0);
    match () {
        () if is_guarded => State::InTrouble,
        () if is_wrong(&|name| name == subject || name == events || name == database) => State::InTrouble,
        () if bucket.complete_through.is_none() && !is_running => State::New,
        // Any queue may be the one that brings its events.
        () if is_wrong(&|name| is_part(name, &subject) || is_around(name)) => State::Degraded,
        () if is_running => State::Listing,
        () if is_behind => State::Behind,
        () => State::Well,
    }
}

/// What a bucket is called among places: `genomics`, `genomics/projects/alpha/`.
pub(crate) fn place(bucket: &BucketStatus) -> String {
    let slash = if bucket.prefix.is_empty() { "" } else { "/" };
    format!("{}{slash}{}", bucket.bucket, bucket.prefix)
}

/// How much a run found, and of what kind.
pub(crate) fn drift(run: &RunStatus) -> String {
    let kinds =
        [(run.missing, "missing"), (run.stale, "stale"), (run.ghost, "ghost"), (run.latest, "latest")];
    let found = kinds.iter().filter_map(|(count, kind)| Some((count.filter(|count| *count > 0)?, kind)));
    let found: Vec<_> = found.map(|(count, kind)| format!("{} {kind}", grouped(count))).collect();
    match run.drift {
        None => "?".to_owned(),
        Some(_) if found.is_empty() => "none".to_owned(),
        Some(_) => found.join(", "),
    }
}

/// What a bucket is called among the problems.
fn subject(bucket: &BucketStatus) -> String {
    Subject::Bucket { name: bucket.bucket.clone(), prefix: bucket.prefix.clone() }.to_string()
}

/// Whether a subject is what all buckets have in common.
fn is_around(subject: &str) -> bool {
    subject.starts_with("queue ") || subject.starts_with("database")
}

/// Whether a subject is a part of another, which has to be well for it: `rechecks in bucket b/` of
/// `bucket b/`, and `queue https://… (visibility)` of `queue https://…`.
fn is_part(part: &str, whole: &str) -> bool {
    let front =
        part.strip_suffix(whole).is_some_and(|front| whole.starts_with("bucket ") && !front.is_empty());
    let back = part.strip_prefix(whole).is_some_and(|rest| is_around(whole) && rest.starts_with(" ("));
    front || back
}

/// Puts each problem behind its cause: a problem of what it is a part of, or an earlier one with the same
/// remedy, such as credentials that all have in common.
fn trace(mut problems: Vec<ProblemStatus>, is_current: bool) -> Vec<Problem> {
    let rank = |subject: &str| {
        ["database", "queue ", "bucket "].iter().position(|word| subject.starts_with(word)).unwrap_or(3)
    };
    problems.sort_by(|one, two| (rank(&one.subject), &one.subject).cmp(&(rank(&two.subject), &two.subject)));
    let mut traced: Vec<Vec<Problem>> = Vec::new();
    for status in problems {
        let cause = traced.iter_mut().find(|group| {
            let head = &group[0].status;
            head.remedy == status.remedy
                || group.iter().any(|known| is_part(&status.subject, &known.status.subject))
        });
        let problem = |cause| Problem { status, cause, is_current };
        match cause {
            Some(group) => {
                let head = group[0].status.subject.clone();
                group.push(problem(Some(head)));
            }
            None => traced.push(vec![problem(None)]),
        }
    }
    traced.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);

    fn problem(subject: &str, remedy: &str) -> ProblemStatus {
        let (subject, remedy) = (subject.to_owned(), remedy.to_owned());
        ProblemStatus { subject, message: "wrong".to_owned(), remedy, since: NOW }
    }

    /// Subjects, each with its cause.
    fn traced(problems: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let problems = problems.iter().map(|(subject, remedy)| problem(subject, remedy)).collect();
        trace(problems, true).into_iter().map(|problem| (problem.status.subject, problem.cause)).collect()
    }

    #[test]
    fn a_cause_comes_before_what_comes_of_it() {
        let of = |subject: &str, cause: Option<&str>| (subject.to_owned(), cause.map(str::to_owned));
        assert_eq!(
            traced(&[
                ("rechecks in bucket a/", "list"),
                ("bucket a/", "allow"),
                ("bucket ba/", "mend"),
                ("set-up of bucket b/", "keys"),
                ("bucket b/", "keys"),
                ("queue u", "keys"),
                ("queue u (visibility)", "let"),
                ("queue ux", "make"),
                ("database (locks)", "end"),
                ("database", "start"),
            ]),
            [
                of("database", None),
                of("database (locks)", Some("database")),
                of("queue u", None),
                of("queue u (visibility)", Some("queue u")),
                of("bucket b/", Some("queue u")),
                of("set-up of bucket b/", Some("queue u")),
                of("queue ux", None),
                of("bucket a/", None),
                of("rechecks in bucket a/", Some("bucket a/")),
                of("bucket ba/", None),
            ]
        );
    }

    #[test]
    fn a_listing_that_found_nothing_is_worth_a_notice() {
        let mut bucket = BucketStatus { prefix: "caf\u{E9}/".to_owned(), ..BucketStatus::default() };
        let check = |bucket: &BucketStatus, expected| {
            assert_eq!(notice(bucket).is_some(), expected, "{bucket:?}");
        };
        check(&bucket, false);
        bucket.run.status = Some("complete".to_owned());
        bucket.run.source = Some("listing".to_owned());
        bucket.run.prefix = Some(bucket.prefix.clone());
        bucket.run.finished_at = Some(NOW);
        bucket.run.keys_listed = Some(0);
        check(&bucket, true);
        check(&BucketStatus { last_event_at: Some(NOW + Duration::from_secs(1)), ..bucket.clone() }, false);
        bucket.run.keys_listed = Some(1);
        check(&bucket, false);
    }

    #[test]
    fn a_word_says_how_a_bucket_is() {
        let well = || BucketStatus {
            bucket: "b".to_owned(),
            connected_at: Some(NOW),
            complete_through: Some(NOW),
            ..BucketStatus::default()
        };
        let check = |bucket: &BucketStatus, subjects: &[&str], is_behind, expected| {
            let problems: Vec<_> = subjects.iter().map(|subject| problem(subject, "")).collect();
            assert_eq!(state(bucket, &problems, is_behind), expected, "{subjects:?}");
        };
        check(&well(), &["bucket bb/", "rechecks in bucket bb/"], false, State::Well);
        check(&well(), &["rechecks in bucket b/"], true, State::Degraded);
        check(&well(), &["queue u (acknowledging)"], false, State::Degraded);
        check(&well(), &["rechecks in bucket b/", "bucket b/"], false, State::InTrouble);
        check(&well(), &["database"], false, State::InTrouble);
        check(&well(), &["database (locks)"], false, State::Degraded);
        check(&well(), &[], true, State::Behind);
        let mut running = well();
        running.run.status = Some("running".to_owned());
        check(&running, &[], true, State::Listing);
        running.complete_through = None;
        check(&running, &[], false, State::Listing);
        running.run.status = Some("failed".to_owned());
        check(&running, &["queue u"], false, State::New);
        let mut guarded = well();
        guarded.run.withheld = Some(1_001);
        check(&guarded, &[], false, State::InTrouble);
    }
}
