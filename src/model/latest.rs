//! Which version of a key is its latest.

use std::cmp::Ordering;

use super::{Doubt, Horizon, Slot, Stack, VersionId};

impl Stack {
    /// Keeps the latest version right after the slot of `changed` was written. A latest version
    /// that stays is known to be later than all others, so only the newcomer is compared with it.
    pub(super) fn elect_after(&mut self, changed: &VersionId, horizon: &Horizon) -> Option<Doubt> {
        let newcomer = self.slots.get(changed).filter(|slot| slot.is_present());
        let latest = self.latest.as_ref().filter(|latest| *latest != changed);
        let champion = latest.and_then(|latest| self.slots.get(latest));
        match (newcomer, champion) {
            // A version that is not the latest has gone: the latest is what it was.
            (None, Some(_)) => None,
            (Some(newcomer), Some(champion)) => {
                let order = compare(newcomer, champion, horizon);
                if order.unwrap_or_else(|| guess(newcomer, champion)).is_gt() {
                    self.latest = Some(changed.clone());
                }
                order.is_none().then_some(Doubt::LatestUndecided)
            }
            // The latest was written anew. Only the null version can be, and only by something newer.
            (Some(_), None) if self.latest.is_some() => None,
            (_, None) => self.elect(horizon),
        }
    }

    /// Elects the latest among all present versions.
    pub(super) fn elect(&mut self, horizon: &Horizon) -> Option<Doubt> {
        let order = |ours: &Slot, theirs: &Slot| compare(ours, theirs, horizon);
        let best = self
            .present()
            .reduce(|best, other| {
                let order = order(other.1, best.1).unwrap_or_else(|| guess(other.1, best.1));
                if order.is_gt() { other } else { best }
            })
            .map(|(version, slot)| (version.clone(), slot));
        let is_decided = best.as_ref().is_none_or(|(version, best)| {
            self.present()
                .all(|(other, slot)| other == version || order(best, slot) == Some(Ordering::Greater))
        });
        self.latest = best.map(|(version, _)| version);
        (!is_decided).then_some(Doubt::LatestUndecided)
    }
}

/// Which of two versions S3 puts first, where that can be told.
fn compare(ours: &Slot, theirs: &Slot, horizon: &Horizon) -> Option<Ordering> {
    // A slot is at least as new as its stamp, and no newer if that is its own.
    let is_newer =
        |ours: &Slot, theirs: &Slot| theirs.own_stamp().is_some() && ours.stamp() > theirs.own_stamp();
    let by_stamp = || match (is_newer(ours, theirs), is_newer(theirs, ours)) {
        (true, _) => Some(Ordering::Greater),
        (_, true) => Some(Ordering::Less),
        _ => None,
    };
    let by_date = || {
        let dates = ours.last_modified.zip(theirs.last_modified);
        let (ours, theirs) = dates.filter(|_| ours.is_exact && theirs.is_exact)?;
        (ours.distance(theirs) > horizon.margin * 2).then(|| ours.cmp(&theirs))
    };
    horizon.trust_sequencers.then(by_stamp).flatten().or_else(by_date)
}

/// Which of two versions to show until a listing tells.
fn guess(ours: &Slot, theirs: &Slot) -> Ordering {
    ours.last_modified.cmp(&theirs.last_modified)
}
