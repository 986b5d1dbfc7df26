//! What one event record says.

use super::{Content, Sequencer, State, Timestamp, VersionId};

/// One event record about the presence of one version of one key. The key stands outside:
/// claims are merged key by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The version it is about.
    pub version: VersionId,
    /// What it says happened.
    pub fact: Fact,
    /// The creation stamp of the version; some events and many stores send none.
    pub sequencer: Option<Sequencer>,
    /// When S3 finished the request.
    pub time: Timestamp,
}

/// What a claim says happened to its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An object was written in one request.
    Put(Content),
    /// A multipart upload was completed. S3 orders it by when it was *started*, so it may be born
    /// behind, or invisible under, what was written in between.
    Multipart(Content),
    /// A delete marker was written.
    Marker,
    /// The version, object or marker alike, is gone for good. Nothing says which of the two it was.
    Removed,
    /// The version is as it was, but for some attributes.
    Attributes(Attributes),
}

/// What an event about a version's attributes tells of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The storage class it has now, where the event says so.
    pub storage_class: Option<String>,
}

impl Claim {
    /// The state the claim puts its version in; none for attributes, which never touch presence.
    pub(super) fn state(&self) -> Option<State> {
        match &self.fact {
            Fact::Put(content) | Fact::Multipart(content) => Some(State::Object(content.clone())),
            Fact::Marker => Some(State::Marker),
            Fact::Removed => Some(State::Removed),
            Fact::Attributes(_) => None,
        }
    }

    pub(super) fn is_removal(&self) -> bool {
        self.fact == Fact::Removed
    }

    pub(super) fn is_multipart(&self) -> bool {
        matches!(self.fact, Fact::Multipart(_))
    }
}
