//! When what is known was true, which decides between what is known and what is heard or seen.

use super::time::RESOLUTION;
use super::{Horizon, Slot, Timestamp, Window};

impl Horizon {
    /// When what is known of a version is known to have been true, by any of S3's clocks; that
    /// it has no slot is knowledge, too. A complete listing says as much of every version.
    pub(super) fn evidence(&self, slot: Option<&Slot>) -> Window {
        slot.map_or(Window::NEVER, |slot| slot.evidence(self.margin)).later(self.listed())
    }

    /// When the storage class in a slot is known to have been the version's. The null version is
    /// rewritten in place, so what was told before is of another one.
    pub(super) fn evidence_of_class(&self, slot: &Slot, is_null: bool) -> Window {
        let around =
            |time: Option<Timestamp>| time.map_or(Window::NEVER, |time| Window::around(time, self.margin));
        let observed = slot.observed.map_or(Window::NEVER, |window| window.widened(self.margin));
        let written = around(slot.event_time.filter(|_| is_null));
        around(slot.attributes_at).later(observed).later(written).later(self.listed())
    }

    /// Whether a listing may have passed the key before a claim of that `time` was heard, and after
    /// what it tells had happened: the listing would have seen what came of that, maybe nothing.
    /// Of what is surely from before the last complete listing, that listing is the judge.
    pub(super) fn may_have_passed(&self, time: Timestamp) -> bool {
        self.run_started.is_some_and(|start| self.may_precede(time, start))
            || self.watermark.is_some_and(|watermark| {
                self.may_precede(time, watermark.from) && time.plus(self.margin) >= watermark.from
            })
    }

    /// Whether something of that `time` may have happened before a listing started whose window
    /// begins at `start`: that is the window of an answer, so the start was up to that much later.
    pub(super) fn may_precede(&self, time: Timestamp, start: Timestamp) -> bool {
        time.minus(self.margin) <= start.plus(RESOLUTION * 3)
    }

    fn listed(&self) -> Window {
        self.watermark.map_or(Window::NEVER, |watermark| watermark.widened(self.margin))
    }
}
