//! Reports that are of no use.

/// Why a report is of no use. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read inventory report {place}: {reason}")]
pub struct Broken {
    /// Which file, and where in it: `s3://reports/…/data/a.csv.gz, line 3`.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Where a file does not hold what S3 says it wrote.
pub(super) const AWAIT_NEXT: &str = "wait for the next report; if it is no better, see who else writes to the \
    destination bucket, or set source = \"listing\"";

/// Where a report cannot serve.
pub(super) const CONFIGURE: &str = "change the bucket's inventory configuration: CSV or Parquet, with the last \
    modified date, of the bucket named here, and wait for the next report";

impl Broken {
    pub(super) fn at(place: impl Into<String>, reason: impl ToString) -> Self {
        Self { place: place.into(), reason: reason.to_string(), remedy: AWAIT_NEXT }
    }

    pub(super) fn unfit(place: impl Into<String>, reason: impl ToString) -> Self {
        Self { remedy: CONFIGURE, ..Self::at(place, reason) }
    }

    /// The same, in that line, or row.
    pub(super) fn in_line(mut self, word: &str, number: u64) -> Self {
        self.place = format!("{}, {word} {number}", self.place);
        self
    }
}
