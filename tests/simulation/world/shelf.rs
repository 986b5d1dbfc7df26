//! The versions of one key.

use stocktake::model::{Listed, State, Timestamp, VersionId};

use super::{SECOND, Stamp};

/// One version or marker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) version: VersionId,
    pub(crate) stamp: Stamp,
    pub(crate) state: State,
    pub(crate) storage_class: Option<String>,
}

/// The versions of one key, newest stamp first, and when its null version was last removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shelf {
    entries: Vec<Entry>,
    emptied: Option<Stamp>,
}

impl Shelf {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts a version in its place. The null version is a register: what was stamped before the
    /// present one, or before its last removal, never becomes visible. Whether it did.
    pub(crate) fn place(&mut self, entry: Entry) -> bool {
        if entry.version.is_null() {
            if self.null_since() > Some(entry.stamp) {
                return false;
            }
            self.entries.retain(|other| !other.version.is_null());
        }
        let place = self.entries.partition_point(|other| other.stamp > entry.stamp);
        self.entries.insert(place, entry);
        true
    }

    /// Removes a version for good; `stamp` is what the removal counts as.
    pub(crate) fn remove(&mut self, version: &VersionId, stamp: Stamp) -> Option<Entry> {
        if version.is_null() {
            self.emptied = self.emptied.max(Some(stamp));
        }
        let place = self.entries.iter().position(|entry| entry.version == *version)?;
        Some(self.entries.remove(place))
    }

    /// The stamp of the last write or removal of the null version.
    pub(crate) fn null_since(&self) -> Option<Stamp> {
        let null = self.entries.iter().find(|entry| entry.version.is_null());
        null.map(|null| null.stamp).max(self.emptied)
    }

    /// Changes an attribute in place.
    pub(crate) fn transition(&mut self, nth: usize, class: &str) -> Option<&Entry> {
        let entry = self.entries.get_mut(nth).filter(|entry| entry.state != State::Marker)?;
        entry.storage_class = Some(class.to_owned());
        Some(entry)
    }

    /// What a listing shows of the key: dates are whole seconds.
    pub(crate) fn listed(&self) -> impl Iterator<Item = Listed> {
        self.entries.iter().enumerate().map(|(place, entry)| Listed {
            version: entry.version.clone(),
            is_latest: place == 0,
            state: entry.state.clone(),
            last_modified: Timestamp::from_micros(entry.stamp.div_euclid(SECOND * 1_000) * SECOND * 1_000),
            storage_class: entry.storage_class.clone(),
        })
    }
}
