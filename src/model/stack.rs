//! All that is believed about the versions of one key.

use std::collections::BTreeMap;

use super::{Slot, VersionId};

/// The slots of one key and which of them is the latest version. Exactly one present slot is the
/// latest, or none when none is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stack {
    pub(super) slots: BTreeMap<VersionId, Slot>,
    pub(super) latest: Option<VersionId>,
}

/// One row to be written so that the database holds what a stack says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The version whose row it is.
    pub version: &'a VersionId,
    /// What the row is to hold.
    pub slot: &'a Slot,
    /// Whether it is the key's latest version.
    pub is_latest: bool,
    /// Whether there was no such row.
    pub is_new: bool,
}

impl Stack {
    /// Puts back a slot that was written earlier.
    pub fn restore(&mut self, version: VersionId, slot: Slot, is_latest: bool) {
        if is_latest {
            self.latest = Some(version.clone());
        }
        self.slots.insert(version, slot);
    }

    /// The slots by version id, tombstones among them.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (&VersionId, &Slot)> {
        self.slots.iter()
    }

    /// The version that a plain GET would answer with, or the marker that hides the key.
    pub fn latest(&self) -> Option<&VersionId> {
        self.latest.as_ref()
    }

    /// The rows in which `self` differs from `before`, an earlier state of the same stack.
    /// Slots are never dropped from a stack, so there is nothing to delete.
    pub fn writes_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Write<'a>> {
        self.slots.iter().filter_map(|(version, slot)| {
            let is_latest = self.latest.as_ref() == Some(version);
            let was = before.slots.get(version);
            let is_unchanged = was == Some(slot) && is_latest == (before.latest.as_ref() == Some(version));
            (!is_unchanged).then_some(Write { version, slot, is_latest, is_new: was.is_none() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{State, Timestamp, Window};
    use super::*;

    #[test]
    fn what_differs_is_written_and_nothing_else() {
        let id = |text| VersionId::parse(Some(text));
        let window = |at| Window { from: Timestamp::from_micros(at), to: Timestamp::from_micros(at) };
        let marker = |at| Slot::observed(State::Marker, window(at), None);
        let mut before = Stack::default();
        for (version, is_latest) in [("changed", false), ("loses", true), ("same", false), ("wins", false)] {
            before.restore(id(version), marker(1), is_latest);
        }
        let mut after = before.clone();
        after.restore(id("changed"), marker(2), false);
        after.restore(id("new"), marker(1), false);
        after.restore(id("wins"), marker(1), true);
        let writes: Vec<_> = (after.writes_since(&before))
            .map(|write| (write.version.as_str(), write.is_latest, write.is_new))
            .collect();
        let expected =
            [("changed", false, false), ("loses", false, false), ("new", false, true), ("wins", true, false)];
        assert_eq!(writes, expected);
    }
}
