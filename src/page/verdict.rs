//! Is all well? In a sentence, for somebody who looks for ten seconds.

use super::layout::Tone;
use crate::health::Subject;
use crate::overview::{Bucket, Overview, State, lag, place};
use crate::words::counted;

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) sentence: String,
    /// What it is about, or what stands behind it.
    pub(super) more: String,
}

/// How a bucket in that state is.
pub(super) const fn tone(state: State) -> Tone {
    match state {
        State::Well => Tone::Well,
        State::Listing | State::New | State::NotConfigured => Tone::Note,
        State::NotConnected | State::Degraded | State::Behind => Tone::Warn,
        State::InTrouble | State::Unattended => Tone::Bad,
    }
}

/// What everything comes to. `stuck` are loops of this daemon that hang.
pub(super) fn verdict(overview: &Overview, stuck: &[String]) -> Verdict {
    let say = |tone, sentence: String, more: String| Verdict { tone, sentence, more };
    let buckets: Vec<&Bucket> = overview.buckets.iter().filter(|bucket| bucket.is_configured).collect();
    let of = |tone_of: Tone| buckets.iter().copied().filter(|bucket| tone(bucket.state) == tone_of).collect();
    let (lost, ailing): (Vec<&Bucket>, Vec<&Bucket>) = (of(Tone::Bad), of(Tone::Warn));
    let quarantined = (overview.quarantined > 0)
        .then(|| format!("{} in quarantine", counted(overview.quarantined as usize, "message")));
    let broken = buckets.iter().filter(|bucket| overview.untold_end(bucket).is_some());
    let broken = broken.map(|bucket| format!("the last run of {} did not end well", place(&bucket.status)));
    let mut wrong: Vec<String> = ailing.iter().map(|bucket| told(bucket)).collect();
    wrong.extend(broken);
    wrong.extend(quarantined);
    if wrong.is_empty() && !overview.problems.is_empty() {
        wrong.push("see what is wrong below".to_owned());
    }
    if !overview.is_attended {
        let sentence = "No daemon is at work: nothing is kept true.".to_owned();
        return say(Tone::Bad, sentence, "What follows is as of when one last was.".to_owned());
    }
    if !stuck.is_empty() {
        let sentence = "This daemon hangs.".to_owned();
        return say(Tone::Bad, sentence, format!("It has to be started anew: {}.", stuck.join(", ")));
    }
    if let Some(first) = lost.first() {
        let sentence = match lost.len() {
            1 => format!("{} is not kept true.", place(&first.status)),
            count => format!("{count} of {} are not kept true.", counted(buckets.len(), "bucket")),
        };
        let others = buckets.len() - lost.len();
        let more =
            if others > 0 { format!("{} not affected.", are(others, "other bucket")) } else { String::new() };
        return say(Tone::Bad, sentence, more);
    }
    if overview.problems.iter().any(|problem| problem.status.subject == Subject::Locks.to_string()) {
        let sentence = "The catalog waits for somebody's locks.".to_owned();
        return say(Tone::Bad, sentence, "What needs them stands still until they are let go.".to_owned());
    }
    // As the probe has it, which is not ready then. What else may be wrong with a queue is told in brackets.
    let is_deaf = |subject: &&str| subject.starts_with("queue ") && !subject.ends_with(')');
    if let Some(queue) = overview.problems.iter().map(|problem| &*problem.status.subject).find(is_deaf) {
        let sentence = "The catalog does not hear of what changes.".to_owned();
        return say(Tone::Bad, sentence, format!("Messages cannot be received from the {queue}."));
    }
    if !wrong.is_empty() {
        let more = format!("Somebody should look: {}.", wrong.join("; "));
        return say(Tone::Warn, "The catalog is kept true, but not all is well.".to_owned(), more);
    }
    let kept = kept(overview, buckets.len());
    let new: Vec<_> = buckets.iter().filter(|bucket| bucket.status.complete_through.is_none()).collect();
    match new.first() {
        None => say(Tone::Well, "All is well.".to_owned(), kept),
        Some(first) => {
            let listed = match new.len() {
                1 => format!("{} is", place(&first.status)),
                count => format!("{count} buckets are"),
            };
            say(Tone::Note, format!("All is well so far: {listed} being listed for the first time."), kept)
        }
    }
}

/// `3 buckets are kept true by 2 daemons; what they receive is 2s old.`
fn kept(overview: &Overview, buckets: usize) -> String {
    let running = overview.daemons.iter().filter(|daemon| daemon.is_running).count();
    let heard = lag(&overview.daemons).map_or("no queue has answered yet".to_owned(), |lag| {
        format!("what they receive is {} old", crate::words::rough(lag))
    });
    let runs =
        overview.buckets.iter().filter(|bucket| bucket.status.run.status.as_deref() == Some("running"));
    let runs = match runs.count() {
        0 => String::new(),
        runs => format!(" {} under way.", are(runs, "run")),
    };
    format!("{} kept true by {}; {heard}.{runs}", are(buckets, "bucket"), counted(running, "daemon"))
}

fn are(count: usize, thing: &str) -> String {
    format!("{} {}", counted(count, thing), if count == 1 { "is" } else { "are" })
}

fn told(bucket: &Bucket) -> String {
    format!("{} is {}", place(&bucket.status), bucket.state.as_str())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::*;
    use crate::catalog::{BucketStatus, DaemonStatus, ProblemStatus, RunStatus};
    use crate::overview::Problem;

    const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);

    fn bucket(name: &str, state: State) -> Bucket {
        let status = BucketStatus {
            bucket: name.to_owned(),
            complete_through: (state != State::New).then_some(NOW),
            ..BucketStatus::default()
        };
        Bucket { state, is_configured: state != State::NotConfigured, status }
    }

    fn overview(buckets: Vec<Bucket>) -> Overview {
        let daemon = DaemonStatus {
            host: "here".to_owned(),
            pid: 1,
            version: "1".to_owned(),
            started_at: NOW,
            seen_at: NOW,
            stopped_at: None,
            lag_seconds: Some(2.0),
            is_running: true,
        };
        Overview {
            as_of: NOW,
            is_attended: true,
            daemons: vec![daemon],
            buckets,
            problems: Vec::new(),
            quarantined: 0,
        }
    }

    fn check(overview: &Overview, tone: Tone, sentence: &str, more: &str) {
        let verdict = verdict(overview, &[]);
        assert_eq!((verdict.tone, &*verdict.sentence, &*verdict.more), (tone, sentence, more));
    }

    #[test]
    fn a_sentence_says_whether_all_is_well() {
        let all = || vec![bucket("a", State::Well), bucket("b", State::Listing)];
        let kept = "2 buckets are kept true by 1 daemon; what they receive is 2s old.";
        check(&overview(all()), Tone::Well, "All is well.", kept);
        let mut known = overview(vec![bucket("a", State::Well), bucket("c", State::NotConfigured)]);
        let kept = "1 bucket is kept true by 1 daemon; what they receive is 2s old.";
        check(&known, Tone::Well, "All is well.", kept);
        known.buckets.push(bucket("d", State::New));
        let kept = "2 buckets are kept true by 1 daemon; what they receive is 2s old.";
        let sentence = "All is well so far: d is being listed for the first time.";
        check(&known, Tone::Note, sentence, kept);

        let mut young = overview(vec![bucket("a", State::Well)]);
        young.daemons[0].lag_seconds = None;
        let kept = "1 bucket is kept true by 1 daemon; no queue has answered yet.";
        check(&young, Tone::Well, "All is well.", kept);

        let sentence = "The catalog is kept true, but not all is well.";
        let mut ailing = overview(vec![bucket("a", State::Degraded), bucket("b", State::Behind)]);
        check(&ailing, Tone::Warn, sentence, "Somebody should look: a is degraded; b is behind.");
        ailing.quarantined = 1;
        ailing.buckets = all();
        check(&ailing, Tone::Warn, sentence, "Somebody should look: 1 message in quarantine.");
        ailing.quarantined = 0;
        ailing.buckets[0].status.run = RunStatus { error: Some("no".to_owned()), ..RunStatus::default() };
        check(&ailing, Tone::Warn, sentence, "Somebody should look: the last run of a did not end well.");

        let subject = "queue https://sqs/q".to_owned();
        let (message, remedy) = ("it does not exist".to_owned(), "look".to_owned());
        let status = ProblemStatus { subject, message, remedy, since: NOW };
        ailing.problems.push(Problem { status, cause: None, is_current: true });
        let more = "Messages cannot be received from the queue https://sqs/q.";
        check(&ailing, Tone::Bad, "The catalog does not hear of what changes.", more);

        ailing.problems[0].status.subject = Subject::Locks.to_string();
        let more = "What needs them stands still until they are let go.";
        check(&ailing, Tone::Bad, "The catalog waits for somebody's locks.", more);

        ailing.buckets.push(bucket("c", State::InTrouble));
        check(&ailing, Tone::Bad, "c is not kept true.", "2 other buckets are not affected.");
        ailing.is_attended = false;
        let more = "What follows is as of when one last was.";
        check(&ailing, Tone::Bad, "No daemon is at work: nothing is kept true.", more);
        let hangs = verdict(&overview(all()), &["receiver".to_owned()]);
        assert_eq!((hangs.tone, &*hangs.more), (Tone::Bad, "It has to be started anew: receiver."));
    }
}
