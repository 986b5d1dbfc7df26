//! Why runs do not end well.

use crate::catalog::{FORGOTTEN, FORGOTTEN_REMEDY, is_forgotten};
use crate::chain::chain;
use crate::fault::{Fault, Kind};
use crate::inventory::Broken;
use crate::model::Unsorted;

/// Why a run did not end well. What it repaired before stays repaired.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Another process ended the run.
    #[error("the run of {bucket:?} below {prefix:?} was ended: {why}")]
    Ended {
        /// The bucket.
        bucket: String,
        /// The run's prefix.
        prefix: String,
        /// How, and why.
        why: String,
    },
    /// The guard did not let it remove what it found gone.
    #[error("the run of {bucket:?} below {prefix:?} was stopped: {why}")]
    Guarded {
        /// The bucket.
        bucket: String,
        /// The run's prefix.
        prefix: String,
        /// How much it would have removed.
        why: String,
        /// What to look at, and what lifts the guard.
        remedy: String,
    },
    /// Another run was over before this one could start.
    #[error("another run of {0:?} was faster")]
    Needless(String),
    /// A page could not be listed.
    #[error(transparent)]
    S3(#[from] Fault),
    /// Rows could not be read or written.
    #[error("{0} of {1:?}")]
    Postgres(&'static str, String, #[source] sqlx::Error),
    /// Somebody dropped the rows while we were at work on them.
    #[error("bucket {0:?} {FORGOTTEN}")]
    Forgotten(String),
    /// The store does not list in byte order.
    #[error("list versions of {0:?}")]
    Unsorted(String, #[source] Unsorted),
    /// A report is of no use.
    #[error(transparent)]
    Report(#[from] Broken),
    /// The last report was of no use, and no other came since.
    #[error("the last inventory report of {0:?} was of no use: {1}")]
    Useless(String, String),
    /// There is no report to be read.
    #[error("no inventory report of {bucket:?} to read in {place}: {why}")]
    NoReport {
        /// The bucket.
        bucket: String,
        /// Where they are delivered to.
        place: String,
        /// What there is.
        why: String,
        /// Whether there ever was one.
        is_any: bool,
    },
    /// A report has something else of more keys than may be listed one by one.
    #[error("more than {limit} keys of {bucket:?} below {prefix:?} are not as {report} has them")]
    Flooded {
        /// The bucket.
        bucket: String,
        /// The run's prefix.
        prefix: String,
        /// Which report.
        report: String,
        /// How many may be.
        limit: usize,
    },
    /// A report says nothing of a bucket that was never listed.
    #[error("bucket {0:?} has never been listed")]
    NeverListed(String),
    /// Another process reads the report.
    #[error("another process reads the inventory report of {0:?}")]
    Elsewhere(String),
    /// A file of a report could not be kept while it is read.
    #[error("keep a file of an inventory report in {dir}", dir = std::env::temp_dir().display())]
    Spool(#[source] std::io::Error),
    /// This process is going down.
    #[error("told to stop")]
    Stopped,
}

impl Trouble {
    /// The guard stopped a run of `bucket` below `prefix`.
    pub(super) fn guarded(bucket: &str, prefix: &str, why: String) -> Self {
        let remedy = guard_remedy(bucket, prefix);
        Self::Guarded { bucket: bucket.to_owned(), prefix: prefix.to_owned(), why, remedy }
    }

    /// What an error of Postgres says of a run, or of what it is about to run in.
    pub(crate) fn postgres(action: &'static str, bucket: &str, error: sqlx::Error) -> Self {
        if is_forgotten(&error) {
            Self::Forgotten(bucket.to_owned())
        } else {
            Self::Postgres(action, bucket.to_owned(), error)
        }
    }

    /// What is wrong, in words that stay the same while it does: the log also has the id of each request.
    pub fn message(&self) -> String {
        match self {
            Self::S3(fault) => fault.to_string(),
            other => chain(other),
        }
    }

    /// What an operator can do about it.
    pub fn remedy(&self) -> &str {
        match self {
            Self::S3(fault) => &fault.remedy,
            Self::Ended { .. } => "start it again",
            Self::Needless(_) => "see what that one found",
            Self::Guarded { remedy, .. } => remedy,
            Self::Postgres(.., error) => crate::catalog::remedy_of(error),
            Self::Forgotten(_) => FORGOTTEN_REMEDY,
            Self::Unsorted(..) => "reconcile only stores that list in the byte order of keys, as S3 does",
            Self::Report(broken) => broken.remedy,
            Self::Useless(..) => {
                "see its run in catalog.reconciliations; the next report is read in its stead, or a listing if you ask for one: \
                 `stocktake reconcile --source listing`"
            }
            Self::NoReport { .. } => {
                "wait for the next report: the first may take two days; if none comes, see that inventory names the \
                 folder that has dated ones in it, and that the bucket's inventory configuration is enabled"
            }
            Self::Flooded { .. } => {
                "list the bucket (`stocktake reconcile --source listing`; the daemon does so by itself), and see that the \
                 inventory configuration has no filter that leaves a part of it out"
            }
            Self::NeverListed(_) => "list it first: `stocktake reconcile --source listing`",
            Self::Elsewhere(_) => "let it, or try again in a minute",
            Self::Spool(_) => {
                "make room there for one file of the report, or set TMPDIR to a folder that has it"
            }
            Self::Stopped => "start it again: it goes on where it was",
        }
    }

    /// Whether the run is over with it. Else it goes on where it was, as soon as somebody tries again.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::S3(fault) => {
                !matches!(fault.kind, Kind::Throttled | Kind::Unreachable | Kind::Credentials | Kind::Other)
            }
            Self::Unsorted(..) | Self::Report(_) => true,
            Self::Ended { .. }
            | Self::Guarded { .. }
            | Self::Needless(_)
            | Self::Postgres(..)
            | Self::Forgotten(_)
            | Self::Useless(..)
            | Self::NoReport { .. }
            | Self::Flooded { .. }
            | Self::NeverListed(_)
            | Self::Elsewhere(_)
            | Self::Spool(_)
            | Self::Stopped => false,
        }
    }
}

/// The command that lists what is below `prefix`, as a shell can be given it.
pub fn command(bucket: &str, prefix: &str) -> String {
    let quoted = format!(" --prefix '{}'", prefix.replace('\'', r"'\''"));
    let part = if prefix.is_empty() { "" } else { &quoted };
    format!("stocktake reconcile --bucket {bucket}{part}")
}

/// What to look at when the guard stopped a run of `bucket` below `prefix`, and what lifts the guard.
pub fn guard_remedy(bucket: &str, prefix: &str) -> String {
    let command = command(bucket, prefix);
    format!(
        "see that the bucket, its prefix, endpoint and credentials are the right ones and may list all there is; \
         `{command} --dry-run` shows what would be removed, and if that is really gone, \
         `{command} --allow-removals` removes it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_can_be_pasted_into_a_shell() {
        let remedy = guard_remedy("genomics", "it's $5/");
        assert!(
            remedy.contains(r"`stocktake reconcile --bucket genomics --prefix 'it'\''s $5/' --dry-run`"),
            "{remedy}"
        );
        assert!(!remedy.contains("  "), "{remedy}");
        assert!(guard_remedy("b", "").contains("`stocktake reconcile --bucket b --allow-removals`"));
    }

    #[test]
    fn the_same_trouble_again_is_no_news() {
        let attempt = |request: &str| {
            Trouble::from(Fault {
                action: "list".to_owned(),
                kind: Kind::Denied,
                answer: "AccessDenied".to_owned(),
                remedy: "allow it".to_owned(),
                source: Some(request.into()),
            })
        };
        assert_eq!(attempt("request id 1").message(), "list: AccessDenied");
        assert_eq!(attempt("request id 2").message(), attempt("request id 1").message());
        assert_eq!(chain(&attempt("request id 2")), "list: AccessDenied: request id 2");
    }
}
