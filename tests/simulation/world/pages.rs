//! Listings: each page is true for itself, and the next one may contradict it.

use stocktake::model::{Listed, VersionId};

use super::{Bucket, Key, Stamp};

/// The last entry of the page before. S3 resumes behind its place, also when it is gone by then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct After {
    pub(crate) key: Key,
    pub(crate) version: VersionId,
    stamp: Stamp,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) entries: Vec<(Key, Listed)>,
    pub(crate) next: Option<After>,
}

impl Bucket {
    /// Up to `limit` versions behind `after` and of keys up to `last`, as they are now.
    pub(crate) fn page(&self, after: Option<&After>, from: Key, last: Key, limit: usize) -> Page {
        let rest = self.shelves.range(from..=last).flat_map(|(&key, shelf)| {
            shelf.entries().iter().zip(shelf.listed()).map(move |(entry, listed)| (key, entry, listed))
        });
        let mut rest = rest.filter(|(key, entry, _)| {
            after.is_none_or(|after| {
                (after.key, -after.stamp) < (*key, -entry.stamp)
                    && (after.key, &after.version) != (*key, &entry.version)
            })
        });
        let mut entries = Vec::new();
        let mut last_entry = None;
        for (key, entry, listed) in rest.by_ref().take(limit) {
            last_entry = Some(After { key, version: entry.version.clone(), stamp: entry.stamp });
            entries.push((key, listed));
        }
        let next = if rest.next().is_some() { last_entry } else { None };
        Page { entries, next }
    }
}
