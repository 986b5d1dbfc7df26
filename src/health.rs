//! What is well and what is not, in words for operators.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;

use crate::chain::chain;
use crate::fault::Fault;

/// What can be well or not. They are reported in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The catalog's database: reachable, and with the schema this program knows.
    Database,
    /// Its locks, which others may keep from us.
    Locks,
    /// The queue with this URL, as messages come from it.
    Queue(String),
    /// The queue with this URL, as messages go back to it, acknowledged or released.
    Returns(String),
    /// The queue with this URL, as messages in hand are kept from others, or made visible again.
    Visibility(String),
    /// The dead-letter queue of the queue with this URL.
    DeadLetters(String),
    /// The part of a bucket that an entry of the configuration mirrors.
    Bucket {
        /// Its name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// What is told of its changes, on the way into the catalog.
    Events {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// What it tells of its changes, and whom.
    Notifications {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// What is looked at there beyond listings and events.
    Details {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// What lies between that part and its queues, as the doctor finds it.
    SetUp {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// The keys there that the catalog cannot hold.
    Unrepresentable {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
    /// The keys in doubt there.
    Rechecks {
        /// The bucket's name.
        name: String,
        /// Its prefix; empty for the whole bucket.
        prefix: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => formatter.write_str("database"),
            Self::Locks => formatter.write_str("database (locks)"),
            Self::Queue(url) => write!(formatter, "queue {url}"),
            Self::Returns(url) => write!(formatter, "queue {url} (acknowledging)"),
            Self::Visibility(url) => write!(formatter, "queue {url} (visibility)"),
            Self::DeadLetters(url) => write!(formatter, "queue {url} (dead letters)"),
            Self::Bucket { name, prefix } => write!(formatter, "bucket {name}/{prefix}"),
            Self::Events { name, prefix } => write!(formatter, "events of bucket {name}/{prefix}"),
            Self::Notifications { name, prefix } => {
                write!(formatter, "notifications of bucket {name}/{prefix}")
            }
            Self::Details { name, prefix } => write!(formatter, "details in bucket {name}/{prefix}"),
            Self::SetUp { name, prefix } => write!(formatter, "set-up of bucket {name}/{prefix}"),
            Self::Unrepresentable { name, prefix } => write!(formatter, "keys of bucket {name}/{prefix}"),
            Self::Rechecks { name, prefix } => write!(formatter, "rechecks in bucket {name}/{prefix}"),
        }
    }
}

/// What is wrong with a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, with its causes.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Since when the subject has not been well, for whatever reason.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// The state of everything, shared by those who report and those who ask.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<Subject, Option<Problem>>>>);

impl Health {
    /// Reports that a subject is well. Whether that is news, and so worth a line in the log: that
    /// it is well from the start is not.
    pub fn ok(&self, subject: Subject) -> bool {
        self.report(subject, None).is_some_and(|before| before.is_some())
    }

    /// Reports that a subject is not well. Whether that is news: the same message again is not,
    /// however often a retry fails.
    pub fn problem(
        &self,
        subject: Subject,
        message: impl Into<String>,
        remedy: impl Into<String>,
        now: OffsetDateTime,
    ) -> bool {
        let message = message.into();
        let problem = Problem { message: message.clone(), remedy: remedy.into(), since: now };
        self.report(subject, Some(problem)).flatten().is_none_or(|before| before.message != message)
    }

    /// Reports what AWS answered, and logs it if it is news.
    pub fn fault(&self, subject: Subject, fault: &Fault, now: OffsetDateTime) {
        let name = subject.to_string();
        if self.problem(subject, fault.to_string(), &fault.remedy, now) {
            tracing::warn!(remedy = fault.remedy, "{name}: {}", chain(fault));
        }
    }

    /// Whether nothing is wrong with a subject, as far as was reported.
    pub fn is_well(&self, subject: &Subject) -> bool {
        let subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.get(subject).is_none_or(Option::is_none)
    }

    /// Everything that was ever reported, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot { subjects: subjects.clone() }
    }

    /// Replaces what was known of a subject, which is returned.
    fn report(&self, subject: Subject, problem: Option<Problem>) -> Option<Option<Problem>> {
        let mut subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = subjects.get(&subject).cloned();
        let since = before.as_ref().and_then(|before| before.as_ref()).map(|before| before.since);
        let problem = problem.map(|problem| Problem { since: since.unwrap_or(problem.since), ..problem });
        subjects.insert(subject, problem);
        before
    }
}

/// The state of everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    subjects: BTreeMap<Subject, Option<Problem>>,
}

impl Snapshot {
    /// Every subject, with what is wrong with it.
    pub fn subjects(&self) -> impl Iterator<Item = (&Subject, Option<&Problem>)> {
        self.subjects.iter().map(|(subject, problem)| (subject, problem.as_ref()))
    }

    /// Those that are not well.
    pub fn problems(&self) -> impl Iterator<Item = (&Subject, &Problem)> {
        self.subjects().filter_map(|(subject, problem)| Some((subject, problem?)))
    }

    /// Why nothing useful can be done now, in a line each; empty if something can. A bucket, or
    /// one queue of several, is degraded by its problem and does not stop the others.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.subjects.get(&Subject::Database) {
            None => reasons.push("database: not reached yet".to_owned()),
            Some(Some(problem)) => reasons.push(line(&Subject::Database, problem)),
            Some(None) => {}
        }
        let queues: Vec<_> =
            self.subjects().filter(|(subject, _)| matches!(subject, Subject::Queue(_))).collect();
        if queues.iter().all(|(_, problem)| problem.is_some()) {
            reasons.extend(queues.iter().filter_map(|(subject, problem)| Some(line(subject, (*problem)?))));
        }
        reasons
    }
}

/// A problem in one line, whatever characters its message brought along.
pub(crate) fn line(subject: &Subject, problem: &Problem) -> String {
    let text = format!("{subject}: {}; {}", problem.message, problem.remedy);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-05-04 12:00 UTC);
    const LATER: OffsetDateTime = datetime!(2026-05-04 12:05 UTC);

    fn queue(url: &str) -> Subject {
        Subject::Queue(url.to_owned())
    }

    #[test]
    fn only_changes_are_news() {
        let health = Health::default();
        assert!(!health.ok(Subject::Database));
        assert!(health.problem(Subject::Database, "refused", "start it", NOON));
        assert!(!health.problem(Subject::Database, "refused", "start it", LATER));
        assert!(health.problem(Subject::Database, "no such role", "create it", LATER));
        let snapshot = health.snapshot();
        let (_, problem) = snapshot.problems().next().unwrap();
        assert_eq!((problem.message.as_str(), problem.since), ("no such role", NOON));
        assert!(health.ok(Subject::Database));
        assert!(!health.ok(Subject::Database));
        assert!(health.problem(Subject::Database, "refused", "start it", LATER));
    }

    #[test]
    fn ready_is_who_can_do_something() {
        let health = Health::default();
        assert_eq!(health.snapshot().reasons(), ["database: not reached yet"]);
        health.ok(Subject::Database);
        assert!(health.snapshot().reasons().is_empty());

        health.problem(queue("a"), "AccessDenied", "grant it", NOON);
        assert_eq!(health.snapshot().reasons(), ["queue a: AccessDenied; grant it"]);
        health.ok(queue("b"));
        assert!(health.snapshot().reasons().is_empty());

        let bucket = Subject::Bucket { name: "genomics".into(), prefix: "a/".into() };
        health.problem(bucket, "AccessDenied", "grant it", NOON);
        assert!(health.snapshot().reasons().is_empty());
        assert_eq!(health.snapshot().problems().count(), 2);

        health.problem(Subject::Database, "refused\r\n\x1b[31m", "start it", NOON);
        assert_eq!(health.snapshot().reasons(), ["database: refused   [31m; start it"]);
    }
}
