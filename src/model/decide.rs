//! What one claim does to the slot of its version: the rules for claims, in order.

use std::cmp::Ordering;

use super::{Claim, Doubt, Horizon, Slot, Window};

/// What one claim does to its slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The slot becomes what the claim says.
    Write,
    /// The slot stays and takes over what it did not know.
    Fill,
    /// The slot stays, and is at least as new as the claim.
    Raise,
    /// The slot was observed to be so at about that time: it stays, and is at least as late.
    Confirm,
    /// The slot says so already.
    Duplicate,
    /// The slot, or the last listing, knows better.
    Stale,
    /// The key has to be listed again.
    Doubt(Doubt),
}

/// Decides between a claim and the slot of its version; `is_alone` when the key has no other slot.
pub(super) fn decide(slot: Option<&Slot>, is_alone: bool, claim: &Claim, horizon: &Horizon) -> Decision {
    let seen = match (horizon.watermark, slot.and_then(|slot| slot.observed)) {
        (Some(watermark), Some(observed)) => Some(watermark.later(observed)),
        (watermark, observed) => watermark.or(observed),
    };
    let happened = Window::around(claim.time, horizon.margin);
    let is_accounted_for = seen.is_some_and(|seen| happened.is_before(seen));
    match slot {
        None if is_accounted_for && !claim.is_removal() => Decision::Stale,
        // A removal of what we never heard of: its put may still be on the way.
        None => Decision::Write,
        Some(slot) if !claim.version.is_null() => decide_final(slot, claim),
        Some(slot) if is_accounted_for => decide_accounted_for(slot, claim),
        Some(slot) => decide_null(slot, is_alone, claim, seen, horizon),
    }
}

/// Every version but the null one is written once and removed at most once, so what there is to
/// know only grows and no order is needed.
fn decide_final(slot: &Slot, claim: &Claim) -> Decision {
    match (slot.is_present(), claim.is_removal()) {
        (true, true) => Decision::Write,
        (true, false) => Decision::Fill,
        (false, true) => Decision::Duplicate,
        (false, false) => Decision::Stale,
    }
}

/// The null version, and a claim from before the last observation of it.
fn decide_accounted_for(slot: &Slot, claim: &Claim) -> Decision {
    let is_ours_alone = slot.is_present() && slot.observed.is_none();
    let is_newer = slot.sequencer.is_some() && claim.sequencer >= slot.sequencer;
    if is_ours_alone && claim.is_removal() && is_newer {
        // By its time a listing accounts for this removal, by its stamp it is newer than the slot,
        // of which that listing says nothing: an upload that ended later can be so.
        return Decision::Doubt(Doubt::ClockAgainstSequencer);
    }
    Decision::Raise
}

/// The null version is a register, overwritten and emptied again and again: order is everything.
fn decide_null(
    slot: &Slot,
    is_alone: bool,
    claim: &Claim,
    seen: Option<Window>,
    horizon: &Horizon,
) -> Decision {
    let by_floor = claim.sequencer.as_ref().zip(slot.floor.as_ref()).map(|(ours, floor)| ours.cmp(floor));
    let by_sequencer =
        claim.sequencer.as_ref().zip(slot.sequencer.as_ref()).map(|(ours, theirs)| ours.cmp(theirs));
    if is_overtaken(by_floor, claim) {
        return Decision::Stale;
    }
    if claim.is_multipart() && !slot.is_present() && !is_overtaken(by_sequencer, claim) {
        let is_younger = by_sequencer == Some(Ordering::Greater) && slot.is_stamped_afresh();
        // A listing later than this removal shows nothing after a second one, too, of which nobody may
        // have heard, and which may have overtaken the upload.
        let is_listed_since =
            seen.zip(slot.event_time).is_some_and(|(seen, removed)| horizon.may_precede(removed, seen.from));
        if !is_younger || is_listed_since {
            return Decision::Doubt(Doubt::MultipartOverTombstone);
        }
    }

    let happened = Window::around(claim.time, horizon.margin);
    let is_later_than = |window: Option<Window>| window.is_none_or(|window| window.is_before(happened));
    if let Some(order) = by_sequencer.filter(|_| is_later_than(slot.observed)) {
        return decide_by_sequencer(order, slot, claim);
    }
    let is_same = claim.state().is_some_and(|state| state.is_same(&slot.state));
    if claim.is_multipart() && !is_same {
        return Decision::Doubt(Doubt::MultipartOvertaken);
    }
    if slot.observed.is_none() {
        return decide_by_time(slot, claim, horizon);
    }
    if is_later_than(seen) {
        // A claim confirmed what was observed. Either may be dated by a clock that is off by the margin.
        let is_close = slot.event_time.is_some_and(|theirs| claim.time <= theirs.plus(horizon.margin * 2));
        return if is_close { Decision::Doubt(Doubt::TooClose) } else { Decision::Write };
    }
    if is_overtaken(by_sequencer, claim) {
        return Decision::Stale;
    }
    // The write that the observation showed. Beside other versions it would have to be placed among
    // them, too; a slot with a stamp is another write; and an upload is dated by its start.
    let is_what_was_seen = is_same
        && is_alone
        && slot.is_present()
        && slot.sequencer.is_none()
        && (claim.is_multipart() || slot.is_written_at(claim.time, horizon.margin));
    if is_what_was_seen || (claim.is_removal() && !slot.is_present()) {
        return Decision::Confirm;
    }
    Decision::Doubt(Doubt::InsideWindow)
}

/// A removal may carry the stamp of what it removes, so only a removal wins with an equal one.
fn is_overtaken(order: Option<Ordering>, claim: &Claim) -> bool {
    match order {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => !claim.is_removal(),
        Some(Ordering::Greater) | None => false,
    }
}

/// Both carry a stamp, and nothing was observed since the slot was set.
fn decide_by_sequencer(order: Ordering, slot: &Slot, claim: &Claim) -> Decision {
    match order {
        Ordering::Greater => Decision::Write,
        Ordering::Less => Decision::Stale,
        Ordering::Equal if claim.is_removal() && slot.is_present() => Decision::Write,
        Ordering::Equal if claim.is_removal() => Decision::Duplicate,
        Ordering::Equal if slot.is_present() => {
            let is_duplicate = claim.state().is_some_and(|state| state.agrees(&slot.state));
            if is_duplicate { Decision::Duplicate } else { Decision::Doubt(Doubt::SequencerTwice) }
        }
        // The slot is the tombstone of just this put, unless the put came after it.
        Ordering::Equal if Some(claim.time) > slot.event_time => Decision::Doubt(Doubt::SequencerTwice),
        Ordering::Equal => Decision::Stale,
    }
}

/// A stamp is missing on either side and no listing helps: only the times are left, and they are
/// worth no more than the clocks behind them.
fn decide_by_time(slot: &Slot, claim: &Claim, horizon: &Horizon) -> Decision {
    let Some(theirs) = slot.event_time else { return Decision::Doubt(Doubt::TooClose) };
    let agrees = claim.state().is_some_and(|state| state.agrees(&slot.state));
    if agrees && claim.time == theirs {
        return Decision::Duplicate;
    }
    let happened = |time| Window::around(time, horizon.margin);
    match happened(claim.time).order(happened(theirs)) {
        Some(Ordering::Greater) => Decision::Write,
        // An upload's event is later than the stamp it is ordered by: this claim may have overtaken it.
        Some(_) if slot.may_be_multipart() => Decision::Doubt(Doubt::MultipartOvertaken),
        Some(_) => Decision::Stale,
        None => Decision::Doubt(Doubt::TooClose),
    }
}
