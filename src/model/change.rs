//! What a write changed for those who read the catalog: a line of the journal.

use super::time::RESOLUTION;
use super::{Slot, Stack, State, VersionId};

/// What became of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object was written: a new version, or over what the null version was.
    Created,
    /// A delete marker was written.
    MarkerCreated,
    /// The version is gone.
    Removed,
    /// The version is the one it was, and something that may change about it did.
    Attributes,
}

impl Change {
    /// The word in `catalog.changes.change`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::MarkerCreated => "marker_created",
            Self::Removed => "removed",
            Self::Attributes => "attributes",
        }
    }

    /// What one claim or one observation changed of a version, where its slot was `before` and is
    /// `after`. None where only evidence changed, or only became known what had been so before.
    pub fn between(version: &VersionId, before: Option<&Slot>, after: &Slot) -> Option<Self> {
        match (before, &after.state) {
            (Some(before), State::Removed) => before.is_present().then_some(Self::Removed),
            // Of a version nobody told of: its event is late, or lost.
            (None, State::Removed) => Some(Self::Removed),
            (Some(before), _) if before.is_present() && !before.is_rewritten(after, version.is_null()) => {
                before.is_reclassed(after).then_some(Self::Attributes)
            }
            (_, State::Object(_)) => Some(Self::Created),
            (_, State::Marker) => Some(Self::MarkerCreated),
        }
    }
}

/// A version that is not what it was.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// The version.
    pub version: &'a VersionId,
    /// What became of it.
    pub change: Change,
    /// Its slot before; none where it had none.
    pub before: Option<&'a Slot>,
    /// Its slot now.
    pub after: &'a Slot,
}

impl Stack {
    /// What one observation changed, where `before` is what it was made on, if anything was there.
    pub fn changes_since<'a>(&'a self, before: Option<&'a Self>) -> impl Iterator<Item = Changed<'a>> {
        self.slots.iter().filter_map(move |(version, after)| {
            let before = before.and_then(|before| before.slots.get(version));
            Change::between(version, before, after).map(|change| Changed { version, change, before, after })
        })
    }

    /// What is believed of a version.
    pub fn slot(&self, version: &VersionId) -> Option<&Slot> {
        self.slots.get(version)
    }
}

impl Slot {
    /// Whether `after` is another write than this, where both are present.
    fn is_rewritten(&self, after: &Self, is_null: bool) -> bool {
        // A claim that writes leaves nothing observed; one that confirms does.
        let is_claimed = after.observed.is_none()
            && (self.event_time, &self.sequencer) != (after.event_time, &after.sequencer);
        let is_observed = self.event_time.is_some() && after.event_time.is_none();
        let is_redated = (self.last_modified.zip(after.last_modified))
            .is_some_and(|(ours, theirs)| ours.distance(theirs) >= RESOLUTION);
        let is_anew = is_claimed || is_observed || (self.is_exact && after.is_exact && is_redated);
        !self.state.agrees(&after.state) || (is_null && is_anew)
    }

    /// Whether the storage class changed. A listing that tells of one, where none was known, tells
    /// of no change; an event does.
    fn is_reclassed(&self, after: &Self) -> bool {
        let is_told = self.attributes_at != after.attributes_at;
        self.storage_class != after.storage_class && (is_told || self.storage_class.is_some())
    }
}
