//! What went wrong at AWS: what was being done to what, why, and what to do about it.

use std::error::Error;
use std::fmt;

/// Kinds of faults that callers or operators treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller may not do it.
    Denied,
    /// The bucket or queue does not exist, or the endpoint is another service's.
    Absent,
    /// The bucket is in another region.
    WrongRegion,
    /// No credentials, or expired or unknown ones.
    Credentials,
    /// Too many requests, or the service is not well: it will pass.
    Throttled,
    /// Nobody answered: network, DNS, TLS, time-out.
    Unreachable,
    /// The store has no such call.
    Unsupported,
    /// The answer could not be read, or contradicts itself.
    Malformed,
    /// Anything else.
    Other,
}

/// One failed call. `Display` says what was being done to what and what AWS answered; the
/// sources say the rest; [`Fault::remedy`] what an operator can do.
#[derive(Debug)]
pub struct Fault {
    /// What was being done to what: `list versions of "genomics" from "a/b"`.
    pub action: String,
    /// What kind of fault it is.
    pub kind: Kind,
    /// What was answered, in AWS's words where there are any: `AccessDenied: …`.
    pub answer: String,
    /// What to do about it.
    pub remedy: String,
    /// Where it came from.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// The same once more, for what would meet it, too, and is not asked therefore.
    #[must_use]
    pub fn again(&self) -> Self {
        let Self { action, kind, answer, remedy, .. } = self;
        Self {
            action: action.clone(),
            kind: *kind,
            answer: answer.clone(),
            remedy: remedy.clone(),
            source: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.action, self.answer)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}
