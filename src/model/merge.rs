//! A claim arrives: what it changes in the stack of its key.

use std::borrow::Cow;
use std::time::Duration;

use super::decide::{Decision, decide};
use super::slot::fill;
use super::{Claim, Doubt, Fact, Slot, Stack, State, Timestamp, VersionId, Window};

/// What is known of a bucket as a whole when a claim or an observation of one key arrives.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// The window of the last complete listing: whatever happened before its start is accounted
    /// for, also for keys without a row.
    pub watermark: Option<Window>,
    /// When the listing now under way began, on S3's clock.
    pub run_started: Option<Timestamp>,
    /// How far S3's clocks may disagree: an event at `t` happened within `margin` of `t`.
    pub margin: Duration,
    /// Whether sequencers mean anything: stores and emulators exist that send a constant.
    pub trust_sequencers: bool,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The catalog says something else now.
    Applied,
    /// It was known already.
    Duplicate,
    /// Something later was known already.
    Stale,
    /// Nothing was decided; see the doubt.
    Doubt,
}

impl Outcome {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Doubt => "doubt",
        }
    }
}

/// What became of a claim, and whether the key is to be listed again. A claim that was applied
/// may leave a doubt, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of it.
    pub outcome: Outcome,
    /// Why the key must be listed again, if it must.
    pub doubt: Option<Doubt>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, doubt: None }
    }
}

impl From<Doubt> for Verdict {
    fn from(doubt: Doubt) -> Self {
        Self { outcome: Outcome::Doubt, doubt: Some(doubt) }
    }
}

impl Stack {
    /// Merges one claim about a version of this key.
    pub fn apply(&mut self, claim: &Claim, horizon: &Horizon) -> Verdict {
        let claim = trusted(claim, horizon);
        if let Fact::Attributes(attributes) = &claim.fact {
            return self.apply_attributes(&claim, attributes, horizon);
        }
        let slot = self.slots.get(&claim.version);
        match decide(slot, self.slots.len() == 1, &claim, horizon) {
            Decision::Write => self.write(&claim, horizon),
            Decision::Fill => self.fill(&claim),
            Decision::Raise => self.raise(&claim),
            Decision::Confirm => self.confirm(&claim),
            Decision::Duplicate => Outcome::Duplicate.into(),
            Decision::Stale => Outcome::Stale.into(),
            Decision::Doubt(doubt) => doubt.into(),
        }
    }

    fn write(&mut self, claim: &Claim, horizon: &Horizon) -> Verdict {
        let before = self.slots.get(&claim.version);
        let Some(slot) = Slot::claimed(claim, before) else { return Outcome::Stale.into() };
        self.slots.insert(claim.version.clone(), slot);
        let undecided = self.elect_after(&claim.version, horizon);
        let is_final = claim.is_removal() && !claim.version.is_null();
        let doubt = if !is_final && horizon.may_have_passed(claim.time) {
            Some(Doubt::RunUnderWay)
        } else {
            undecided
        };
        Verdict { outcome: Outcome::Applied, doubt }
    }

    fn fill(&mut self, claim: &Claim) -> Verdict {
        let Some(slot) = self.slots.get_mut(&claim.version) else { return Outcome::Stale.into() };
        let mut is_news = fill(&mut slot.sequencer, claim.sequencer.as_ref());
        if let (State::Object(ours), Some(State::Object(theirs))) = (&mut slot.state, claim.state()) {
            is_news |= ours.fill(&theirs);
        }
        if is_news { Outcome::Applied.into() } else { Outcome::Duplicate.into() }
    }

    fn raise(&mut self, claim: &Claim) -> Verdict {
        if let Some(slot) = self.slots.get_mut(&claim.version) {
            slot.raise_floor(claim.sequencer.as_ref());
        }
        Outcome::Stale.into()
    }

    /// The same bytes, maybe of another write: the stamp becomes a floor, not the slot's own.
    fn confirm(&mut self, claim: &Claim) -> Verdict {
        self.raise(claim);
        if let Some(slot) = self.slots.get_mut(&claim.version) {
            slot.event_time = slot.event_time.max(Some(claim.time));
        }
        Outcome::Duplicate.into()
    }

    /// The slots of the versions that are there.
    pub(super) fn present(&self) -> impl Iterator<Item = (&VersionId, &Slot)> {
        self.slots.iter().filter(|(_, slot)| slot.is_present())
    }
}

/// The claim without its sequencer, where the bucket's are not to be trusted.
fn trusted<'a>(claim: &'a Claim, horizon: &Horizon) -> Cow<'a, Claim> {
    if horizon.trust_sequencers || claim.sequencer.is_none() {
        return Cow::Borrowed(claim);
    }
    Cow::Owned(Claim { sequencer: None, ..claim.clone() })
}
