//! What a check found.

use std::fmt;

use serde::Serialize;

use crate::chain::chain;
use crate::fault::Fault;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// As it must be.
    #[serde(rename = "ok")]
    Ok,
    /// It could not be looked at.
    #[serde(rename = "could not tell")]
    Unknown,
    /// It works, and is seldom meant.
    #[serde(rename = "warning")]
    Warning,
    /// It does not work.
    #[serde(rename = "failure")]
    Failure,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "ok",
            Self::Unknown => "could not tell",
            Self::Warning => "warning",
            Self::Failure => "failure",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// What was checked: `bucket genomics/a/`, `queue https://…`, `database`.
    pub subject: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

/// What findings are about.
#[derive(Clone, Debug)]
pub(super) struct Subject(pub(super) String);

impl Subject {
    pub(super) fn ok(&self, check: &'static str, found: impl Into<String>) -> Finding {
        self.finding(check, Verdict::Ok, found, "")
    }

    pub(super) fn warning(
        &self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(check, Verdict::Warning, found, remedy)
    }

    pub(super) fn failure(
        &self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(check, Verdict::Failure, found, remedy)
    }

    pub(super) fn unknown(
        &self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(check, Verdict::Unknown, found, remedy)
    }

    /// It could not be looked at; the fault says which permission that takes.
    pub(super) fn untold(&self, check: &'static str, fault: &Fault) -> Finding {
        self.unknown(check, words(fault), &fault.remedy)
    }

    /// What the daemon itself does was refused, so that it will be again.
    pub(super) fn refused(&self, check: &'static str, fault: &Fault) -> Finding {
        self.failure(check, words(fault), &fault.remedy)
    }

    /// The rest was not looked at, for what is told already would be told again of all of it.
    pub(super) fn unlooked(&self, why: &str) -> Finding {
        self.unknown("everything else", format!("not looked at: {why}"), "mend that first, and look again")
    }

    fn finding(
        &self,
        check: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding { check, subject: self.0.clone(), verdict, found: found.into(), remedy: remedy.into() }
    }
}

/// The fault with its causes, but for the request's id: the same again is to be the same words.
fn words(fault: &Fault) -> String {
    let words = chain(fault);
    words.split(": request id ").next().unwrap_or(&words).to_owned()
}
