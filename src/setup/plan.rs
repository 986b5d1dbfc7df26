//! What it takes to connect a bucket, or to undo that: a list of steps, made without asking anybody.

use std::collections::BTreeMap;
use std::fmt;

use super::estate::QueueLook;
use crate::bucket::rules::Rules;

mod connect;
mod disconnect;

pub use connect::connect;
pub(super) use connect::wanted_events;
pub use disconnect::disconnect;

/// A mark on queues that were made here, so that they go again.
pub const MADE: &str = "stocktake:made";
/// What a setting was before, so that it comes back: followed by its name.
pub const BEFORE: &str = "stocktake:before:";
/// The queue for the dead letters of another is called as that, with this behind it.
pub const DEAD: &str = "-dead";
/// The ids of our rules begin with this.
pub const OURS: &str = "stocktake";

/// What is to be connected.
#[derive(Clone, Debug)]
pub struct Target {
    /// The bucket's name.
    pub bucket: String,
    /// What keys begin with; empty for all.
    pub prefix: String,
    /// The bucket's ARN.
    pub bucket_arn: String,
    /// The account that owns it.
    pub account: String,
    /// The queue's name and ARN.
    pub queue: (String, String),
    /// The name and ARN of the queue for dead letters.
    pub dead: (String, String),
    /// The key that the queue is encrypted with, if one of our own.
    pub kms_key: Option<String>,
}

/// What is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whether the bucket is; if it is gone, so is what told of it.
    pub is_there: bool,
    /// The queue; none if there is none.
    pub queue: Option<QueueLook>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The queue for dead letters; none if there is none of that name.
    pub dead: Option<QueueLook>,
    /// Whether that one was made here.
    pub dead_is_made: bool,
    /// Who is told what.
    pub rules: Rules,
    /// The same as S3 wrote it.
    pub configuration: String,
    /// Whether all that is needed comes already, be it by topics or EventBridge.
    pub is_delivered: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done; none if it is so already.
    pub action: Option<Action>,
    /// What it is done to.
    pub what: String,
    /// Why nothing is there that anything could be done to.
    pub absent: Option<&'static str>,
    /// Settings, each with what it was where that changes.
    pub lines: Vec<String>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A queue is made.
    MakeQueue {
        /// Its name.
        name: String,
        /// What it is set to.
        settings: BTreeMap<String, String>,
    },
    /// A queue is set to something else.
    SetQueue {
        /// Its name.
        name: String,
        /// What it is set to; an empty text takes a setting away.
        settings: BTreeMap<String, String>,
        /// Marks that it gets.
        tags: BTreeMap<String, String>,
        /// Marks that go.
        untag: Vec<String>,
    },
    /// The bucket tells our queue.
    Tell {
        /// The name of the rule.
        id: String,
        /// The rule as S3 takes it.
        entry: String,
    },
    /// It does not any more.
    Hush {
        /// The name of the rule.
        id: String,
    },
    /// A queue is deleted.
    DeleteQueue {
        /// Its name.
        name: String,
    },
}

/// How what a bucket tells is called.
const NOTIFICATIONS: &str = "notifications";

/// Everything it takes, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Why it cannot be done; then nothing is.
    pub refusals: Vec<String>,
}

impl Plan {
    /// Whether nothing has to be done.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| step.action.is_none())
    }
}

/// What a bucket tells, as it is called in steps.
fn notifications(target: &Target) -> String {
    format!("{NOTIFICATIONS} of bucket {} below {:?}", target.bucket, target.prefix)
}

impl Step {
    fn of(action: Action, what: String, lines: Vec<String>) -> Self {
        Self { action: Some(action), what, absent: None, lines }
    }

    fn kept(what: String) -> Self {
        Self { action: None, what, absent: None, lines: Vec::new() }
    }

    fn absent(what: String, why: &'static str) -> Self {
        Self { absent: Some(why), ..Self::kept(what) }
    }
}

/// A line that says of the rules of others that they stay, but for `ours` of them.
fn others_stay(rules: &Rules, ours: usize) -> String {
    let others = rules.rules.len() + usize::from(rules.event_bridge) - ours;
    match others {
        0 => "  = there is no entry of others".to_owned(),
        1 => "  = 1 entry of others stays as it is".to_owned(),
        others => format!("  = {others} entries of others stay as they are"),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, verb) = match &self.action {
            None if self.absent.is_some() => ("=", ""),
            None if self.what.starts_with(NOTIFICATIONS) => ("=", " stay as they are"),
            None => ("=", " stays as it is"),
            Some(Action::MakeQueue { .. }) => ("+", " will be made"),
            Some(Action::SetQueue { .. } | Action::Tell { .. } | Action::Hush { .. }) => {
                ("~", " will be changed")
            }
            Some(Action::DeleteQueue { .. }) => ("-", " will be deleted"),
        };
        write!(formatter, "{sign} {}{verb}", self.what)?;
        if let Some(why) = self.absent {
            write!(formatter, ": {why}")?;
        }
        for line in &self.lines {
            write!(formatter, "\n{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
