//! Whether a row of an inventory report, or its absence, is worth a listing of the key.

use super::{Drift, Glance, Horizon, Listed, Slot, Stack, State, Timestamp, VersionId, Window};

/// Which versions a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them, markers among them.
    AllVersions,
    /// Those a plain GET would answer with. Their ids are not told.
    Current,
}

/// What an inventory report is of. It says nothing for sure: it is made over hours, and may lack
/// what was added or removed before it began
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// When S3 began to make it, on S3's clock.
    pub began: Timestamp,
    /// Which versions it is of.
    pub scope: Scope,
}

impl Report {
    /// Whether `held` differs from what the report has of a key by something that no later knowledge
    /// explains. Then the key is to be listed, alone, and nothing else: what is known to be from no
    /// earlier than [`Report::began`], allowing for the margin, is not compared, nor are versions that
    /// the report has from then on, whose events are on their way.
    pub fn nominates(&self, held: &Stack, reported: &[Listed], horizon: &Horizon) -> bool {
        match self.scope {
            Scope::AllVersions => self.differs(held, reported, horizon),
            Scope::Current => {
                let is_quiet = held.slots().all(|(_, slot)| self.is_older(slot, horizon));
                is_quiet && self.differs_in_current(held, reported, horizon)
            }
        }
    }

    /// The judge is that of listings, on a copy; but what a listing would call a doubt is nothing here.
    fn differs(&self, held: &Stack, reported: &[Listed], horizon: &Horizon) -> bool {
        let mut shown = held.clone();
        let began = Window { from: self.began, to: self.began };
        let observation = shown.observe(reported, began, Glance::Run, horizon);
        let is_news = |(version, kind): &(VersionId, Drift)| {
            let entry = reported.iter().find(|entry| entry.version == *version);
            *kind == Drift::Latest || entry.is_none_or(|entry| self.is_from_before(entry, horizon))
        };
        observation.drift.iter().any(is_news) || is_reclassed(held, &shown)
    }

    /// A report of current versions has no ids, no markers, and nothing of what is not current.
    fn differs_in_current(&self, held: &Stack, reported: &[Listed], horizon: &Horizon) -> bool {
        let latest = held.slots().find(|(version, _)| Some(*version) == held.latest());
        let Some(entry) = reported.first() else {
            return latest.is_some_and(|(_, slot)| slot.state != State::Marker)
                && self.differs(&alone(latest), &[], horizon);
        };
        let version = latest.map_or_else(VersionId::null, |(version, _)| version.clone());
        self.differs(&alone(latest), &[Listed { version, is_latest: true, ..entry.clone() }], horizon)
    }

    fn is_older(&self, slot: &Slot, horizon: &Horizon) -> bool {
        horizon.evidence(Some(slot)).to < self.began
    }

    fn is_from_before(&self, entry: &Listed, horizon: &Horizon) -> bool {
        entry.last_modified.plus(horizon.margin) < self.began
    }
}

/// A stack of one slot.
fn alone(latest: Option<(&VersionId, &Slot)>) -> Stack {
    let mut stack = Stack::default();
    if let Some((version, slot)) = latest {
        stack.restore(version.clone(), slot.clone(), true);
    }
    stack
}

/// Whether a storage class that was known is another now. That a class becomes known is no difference.
fn is_reclassed(before: &Stack, after: &Stack) -> bool {
    let differs = |(was, is): (&Slot, &Slot)| {
        was.storage_class.is_some() && is.storage_class.is_some() && was.storage_class != is.storage_class
    };
    let shown = |version| after.slots().find(|(other, _)| *other == version).map(|(_, slot)| slot);
    before.slots().filter_map(|(version, slot)| Some((slot, shown(version)?))).any(differs)
}
