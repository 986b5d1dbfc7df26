//! What is believed about one version of one key, and on what evidence.

use std::cmp::Ordering;
use std::time::Duration;

use super::time::RESOLUTION;
use super::{Claim, Horizon, Sequencer, Timestamp, Window};

/// What tells the bytes of one version from another's, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content {
    /// The entity tag without quotes.
    pub etag: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
}

impl Content {
    /// Nothing known of the one contradicts the other.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(ours: Option<&T>, theirs: Option<&T>) -> bool {
            ours.zip(theirs).is_none_or(|(ours, theirs)| ours == theirs)
        }
        agree(self.etag.as_ref(), other.etag.as_ref()) && agree(self.size.as_ref(), other.size.as_ref())
    }

    /// Takes over what was unknown here. Whether anything was.
    pub(super) fn fill(&mut self, other: &Self) -> bool {
        fill(&mut self.etag, other.etag.as_ref()) | fill(&mut self.size, other.size.as_ref())
    }

    /// Entity tags of multipart uploads end in `-` and the number of parts
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>).
    fn looks_multipart(&self) -> bool {
        self.etag.as_ref().is_none_or(|etag| etag.contains('-'))
    }
}

/// Puts `value` where nothing was. Whether it did.
pub(super) fn fill<T: Clone>(place: &mut Option<T>, value: Option<&T>) -> bool {
    let fills = place.is_none() && value.is_some();
    if fills {
        *place = value.cloned();
    }
    fills
}

/// Whether a version is there, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// An object with these bytes.
    Object(Content),
    /// A delete marker.
    Marker,
    /// A tombstone: known to be gone.
    Removed,
}

impl State {
    /// Nothing known of the one contradicts the other.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(ours), Self::Object(theirs)) => ours.agrees(theirs),
            _ => self == other,
        }
    }

    /// Surely the same: entity tags are known and equal.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(ours), Self::Object(theirs)) => {
                ours.etag.is_some() && theirs.etag.is_some() && ours.agrees(theirs)
            }
            _ => self == other,
        }
    }
}

/// What is believed about one version of one key, and on what evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Whether it is there, and as what.
    pub state: State,
    /// The sequencer of the claim that set it; none when an observation did.
    pub sequencer: Option<Sequencer>,
    /// The greatest sequencer it is known to be at least as new as, beside its own.
    pub floor: Option<Sequencer>,
    /// The time of the claim that set it; none when an observation did.
    pub event_time: Option<Timestamp>,
    /// When an observation set it, or a recheck last confirmed it.
    pub observed: Option<Window>,
    /// S3's date of it or, before a listing told that, the time of the claim.
    pub last_modified: Option<Timestamp>,
    /// Whether `last_modified` is S3's own.
    pub is_exact: bool,
    /// The storage class, where known.
    pub storage_class: Option<String>,
    /// The time of the last claim about attributes.
    pub attributes_at: Option<Timestamp>,
}

impl Slot {
    /// The slot that `claim` alone would make, where `before` is what it replaces.
    /// None for a claim that says nothing of presence.
    pub(super) fn claimed(claim: &Claim, before: Option<&Self>) -> Option<Self> {
        let state = claim.state()?;
        Some(Self {
            last_modified: (state != State::Removed).then_some(claim.time),
            state,
            sequencer: claim.sequencer.clone(),
            // What is replaced was older: its stamps are a floor here, unless our own says more.
            // A tombstone keeps an older one, too: it shows that its stamp is its own.
            floor: before
                .and_then(Self::stamp)
                .filter(|&floor| match Some(floor).cmp(&claim.sequencer.as_ref()) {
                    Ordering::Less => claim.is_removal(),
                    Ordering::Equal => false,
                    Ordering::Greater => true,
                })
                .cloned(),
            event_time: Some(claim.time),
            observed: None,
            is_exact: false,
            storage_class: None,
            attributes_at: before.and_then(|before| before.attributes_at),
        })
    }

    /// A slot that an observation sets, where `before` is what it replaces.
    pub(super) fn observed(state: State, window: Window, before: Option<&Self>) -> Self {
        Self {
            state,
            sequencer: None,
            // What the observation replaces was older than what it saw.
            floor: before.and_then(Self::stamp).cloned(),
            event_time: None,
            observed: Some(window),
            last_modified: None,
            is_exact: false,
            storage_class: None,
            attributes_at: before.and_then(|before| before.attributes_at),
        }
    }

    /// Whether the version is there: an object or a marker.
    pub fn is_present(&self) -> bool {
        self.state != State::Removed
    }

    /// When what the slot says is known to have been true, by any of S3's clocks.
    pub(super) fn evidence(&self, margin: Duration) -> Window {
        let claimed = self.event_time.map_or(Window::NEVER, |time| Window::around(time, margin));
        let observed = self.observed.map_or(Window::NEVER, |window| window.widened(margin));
        claimed.later(observed)
    }

    /// Whether this is a tombstone of no further use: whatever could contradict it is accounted
    /// for by the watermark.
    pub fn is_spent(&self, horizon: &Horizon) -> bool {
        horizon.watermark.is_some_and(|watermark| {
            !self.is_present() && self.evidence(horizon.margin).to < watermark.from.minus(horizon.margin * 2)
        })
    }

    /// Remembers that the slot is at least as new as `sequencer`.
    pub(super) fn raise_floor(&mut self, sequencer: Option<&Sequencer>) {
        if sequencer > self.stamp() {
            self.floor = sequencer.cloned();
        }
    }

    /// The stamp of the version itself: not known where something newer was heard of since, which
    /// may have been written over it.
    pub(super) fn own_stamp(&self) -> Option<&Sequencer> {
        self.sequencer.as_ref().filter(|_| self.floor <= self.sequencer)
    }

    /// Whether this is a tombstone stamped later than all we had heard of, and so not with the stamp
    /// of what it removed, as those of lifecycle rules are. That may still be the stamp of something
    /// whose put is late: such a removal is taken to count from its stamp, not from its request.
    pub(super) fn is_stamped_afresh(&self) -> bool {
        self.floor.is_some() && self.floor < self.sequencer
    }

    /// The greatest sequencer it is known to be at least as new as.
    pub(super) fn stamp(&self) -> Option<&Sequencer> {
        self.floor.as_ref().max(self.sequencer.as_ref())
    }

    /// Whether its date is that of a write at `time`, as far as clocks go.
    pub(super) fn is_written_at(&self, time: Timestamp, margin: Duration) -> bool {
        self.last_modified.is_none_or(|date| date.distance(time) <= margin + RESOLUTION)
    }

    /// Whether it may have been stamped long before its event: a multipart upload.
    pub(super) fn may_be_multipart(&self) -> bool {
        matches!(&self.state, State::Object(content) if content.looks_multipart())
    }
}
