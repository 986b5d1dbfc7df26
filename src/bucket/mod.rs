//! The edge to S3: pages of versions, each with the window in which it was true.

use std::fmt;
use std::future::Future;

use crate::fault::Fault;
use crate::model::{RawKey, VersionId, Window};

pub mod details;
mod keys;
pub mod listing;
mod objects;
mod pace;
mod raw;
mod reader;
pub mod region;
pub mod rules;
pub mod s3;

pub use keys::{Key, Keys};
pub use objects::Objects;

use rules::Rules;

/// The most entries S3 puts on a page
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>).
pub const PAGE_MAX: i32 = 1_000;

/// The last entry of a page: the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The key, decoded.
    pub key: String,
    /// The version. Without one, the next page begins at the next *key* and the remaining
    /// versions of this one are skipped.
    pub version: Option<VersionId>,
    /// The last key of the page, where it is not UTF-8; else nothing. It stands after `key`, which no text but
    /// those that were listed stands between, and the next page shows it again.
    pub seen: Vec<u8>,
    /// Whether the next page begins with the key, and not after it: what stands before is not UTF-8.
    pub is_skip: bool,
}

impl Cursor {
    /// After a key and all of its versions.
    pub fn after(key: impl Into<String>) -> Self {
        Self { key: key.into(), version: None, seen: Vec::new(), is_skip: false }
    }

    /// How far the listing has come.
    pub fn reached(&self) -> &[u8] {
        if self.seen.is_empty() { self.key.as_bytes() } else { &self.seen }
    }

    /// Whether nothing up to `key` is listed any more, nor of it.
    pub fn is_past(&self, key: &str) -> bool {
        let is_done = self.version.is_none() && !self.is_skip && self.key == key;
        is_done || *self.key > *key
    }
}

/// One page of a listing of versions and markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Keys, each with its entries, in S3's order: keys ascending, versions newest first,
    /// versions and markers interleaved. The last key may go on with the next page.
    pub keys: Keys,
    /// Keys with entries that the catalog cannot hold: those entries are not in `keys`.
    pub unrepresentable: Vec<RawKey>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
    /// When the page was true, on S3's clock.
    pub window: Window,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versioning {
    /// It never did.
    Unversioned,
    /// Every write makes a version.
    Enabled,
    /// It once did; writes now go to the null version.
    Suspended,
}

impl Versioning {
    /// The word in `catalog.buckets.versioning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unversioned => "unversioned",
            Self::Enabled => "enabled",
            Self::Suspended => "suspended",
        }
    }
}

impl fmt::Display for Versioning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A bucket to look at. The one real implementation is [`s3::Bucket`]; tests script faults.
pub trait Bucket: Send + Sync + 'static {
    /// Lists a page of versions and markers of keys that begin with `prefix`, after `after`.
    fn list(&self, prefix: &str, after: Option<&Cursor>) -> impl Future<Output = Result<Page, Fault>> + Send;

    /// Asks for the versioning state, and thereby what time it is on S3's clock.
    fn versioning(&self) -> impl Future<Output = Result<(Versioning, Window), Fault>> + Send;

    /// Asks for the region the bucket is in.
    fn region(&self) -> impl Future<Output = Result<String, Fault>> + Send;

    /// Reads its whole notification configuration.
    fn notifications(&self) -> impl Future<Output = Result<Rules, Fault>> + Send;
}
