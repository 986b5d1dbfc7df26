//! A claim about attributes arrives: it may change what is there, never whether it is.

use std::cmp::Ordering;

use super::{Attributes, Claim, Doubt, Horizon, Outcome, Stack, State, Verdict, Window};

impl Stack {
    /// Merges a claim about the attributes of a version. Such claims carry no sequencer, and are
    /// ordered by their time.
    pub(super) fn apply_attributes(
        &mut self,
        claim: &Claim,
        attributes: &Attributes,
        horizon: &Horizon,
    ) -> Verdict {
        let happened = Window::around(claim.time, horizon.margin);
        let Some(slot) = self.slots.get_mut(&claim.version) else {
            let is_accounted_for = horizon.watermark.is_some_and(|watermark| happened.is_before(watermark));
            return if is_accounted_for { Outcome::Stale.into() } else { Doubt::AttributesOfUnknown.into() };
        };
        let known = horizon.evidence_of_class(slot, claim.version.is_null());
        let order = happened.order(known);
        let is_final = !slot.is_present() && !claim.version.is_null();
        if is_final || order == Some(Ordering::Less) {
            return Outcome::Stale.into();
        }
        if !matches!(slot.state, State::Object(_)) {
            return Doubt::AttributesOfUnknown.into();
        }
        let is_same = attributes.storage_class.is_none() || attributes.storage_class == slot.storage_class;
        if !is_same && order.is_none() {
            return Doubt::TooClose.into();
        }
        slot.attributes_at = slot.attributes_at.max(Some(claim.time));
        if is_same {
            return Outcome::Duplicate.into();
        }
        slot.storage_class.clone_from(&attributes.storage_class);
        let doubt = horizon.may_have_passed(claim.time).then_some(Doubt::RunUnderWay);
        Verdict { outcome: Outcome::Applied, doubt }
    }
}
