//! An observation arrives: the entries of one key in a listing, with the window they are true in.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::Duration;

use super::time::RESOLUTION;
use super::{Doubt, Horizon, Slot, Stack, State, Timestamp, VersionId, Window};

/// One entry of a listing: a version or a delete marker of the key observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Its id.
    pub version: VersionId,
    /// Whether S3 calls it the latest.
    pub is_latest: bool,
    /// An object or a marker.
    pub state: State,
    /// S3's date of it, in whole seconds. For multipart uploads the date of their start.
    pub last_modified: Timestamp,
    /// The storage class; markers have none.
    pub storage_class: Option<String>,
}

/// Why the key was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// In passing, by a listing of the bucket. What it confirms is not written down for each
    /// key: the watermark says the same for all of them at once.
    Run,
    /// On purpose, alone. Its window is remembered with every slot it is newer than.
    Recheck,
}

/// How the catalog was found to differ from the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drift {
    /// The bucket has a version that the catalog had not.
    Missing,
    /// The catalog had another content for a version.
    Stale,
    /// The catalog had a version that the bucket has not.
    Ghost,
    /// The versions were right, and another one is the latest.
    Latest,
}

impl Drift {
    /// The word in `catalog.drift.kind` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Ghost => "ghost",
            Self::Latest => "latest",
        }
    }
}

/// What an observation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Each version that was wrong and is right now.
    pub drift: Vec<(VersionId, Drift)>,
    /// Why the key must be listed again, if it must.
    pub doubt: Option<Doubt>,
    /// How many versions held to be there the listing does not show, and no event from about then accounts
    /// for: they are removed now, or by the listing that the doubt asks for.
    pub gone: usize,
}

/// What an observation says to one slot.
enum Finding {
    Confirmed,
    /// The observation is later, and tells another storage class.
    Reclassed,
    /// The slot knows something later, or may.
    Newer,
    /// The observation is later, and the slot was wrong.
    Wrong,
    Doubt,
}

impl Stack {
    /// Merges what a listing shows of this key: all its entries, newest first, and the window
    /// in which they were true. No entries: the listing shows that the key is not there.
    pub fn observe(
        &mut self,
        listed: &[Listed],
        window: Window,
        glance: Glance,
        horizon: &Horizon,
    ) -> Observation {
        let mut observation = Observation::default();
        let (mut is_newer_known, mut is_changed) = (false, false);
        // Looked up twice for each version, so a search of the listing itself would be quadratic.
        let ids: HashSet<&VersionId> = listed.iter().map(|entry| &entry.version).collect();
        let unlisted = self.unlisted(&ids);
        let pairs = listed.iter().map(|entry| (&entry.version, Some(entry)));
        for (version, entry) in pairs.chain(unlisted.iter().map(|version| (version, None))) {
            match self.find(version, entry, window, horizon) {
                Finding::Confirmed => {}
                Finding::Reclassed => is_changed = true,
                Finding::Newer => is_newer_known = true,
                Finding::Doubt => {
                    observation.doubt = Some(Doubt::ListingOverlaps);
                    observation.gone +=
                        usize::from(entry.is_none() && !self.is_told_of(version, window, horizon));
                }
                Finding::Wrong => {
                    observation.gone += usize::from(entry.is_none());
                    let drift = self.correct(version, entry, window, horizon);
                    observation.drift.push((version.clone(), drift));
                }
            }
        }
        if glance == Glance::Recheck {
            self.stamp(observation.doubt.is_none().then_some(&ids), window, horizon);
        }
        self.settle_latest(listed, is_newer_known, &mut observation, horizon);
        is_changed |= !observation.drift.is_empty();
        // The run may have compared the key with its page since this was listed, and found nothing
        // to correct.
        if glance == Glance::Recheck && horizon.run_started.is_some() && is_changed {
            observation.doubt.get_or_insert(Doubt::RunUnderWay);
        }
        observation
    }

    /// The versions present that are not listed.
    fn unlisted(&self, listed: &HashSet<&VersionId>) -> Vec<VersionId> {
        let unlisted = self.present().filter(|(version, _)| !listed.contains(version));
        unlisted.map(|(version, _)| version.clone()).collect()
    }

    /// Judges the slot of one version against its entry, or against there being none.
    fn find(
        &mut self,
        version: &VersionId,
        entry: Option<&Listed>,
        window: Window,
        horizon: &Horizon,
    ) -> Finding {
        let age = horizon.evidence(self.slots.get(version)).order(window);
        let is_null = version.is_null();
        let slot = self.slots.get_mut(version);
        if let (Some(slot), Some(entry)) = (slot, entry)
            && slot.is_shown_by(entry, is_null, age, horizon.margin)
        {
            let finding = slot.confirm(entry, is_null, window, horizon);
            // The null version may have been written again since, with the same content.
            let is_sure = !is_null || slot.is_exact || age == Some(Ordering::Less);
            slot.take_details(entry);
            return if is_sure { finding } else { Finding::Newer };
        }
        match (age, self.slots.get(version)) {
            (Some(Ordering::Less), _) => Finding::Wrong,
            // An upload is stamped before its event: what was listed, or removed before, may have
            // overtaken it.
            (Some(Ordering::Greater), Some(slot)) if is_null && slot.may_be_overtaken() => Finding::Doubt,
            (Some(_), _) => Finding::Newer,
            // A removal of a version is final: the listing was taken just before it.
            (None, Some(slot)) if !is_null && !slot.is_present() => Finding::Newer,
            (None, _) => Finding::Doubt,
        }
    }

    /// Whether an event from about then, or later, speaks for what is held of a version.
    fn is_told_of(&self, version: &VersionId, window: Window, horizon: &Horizon) -> bool {
        let told = self.slots.get(version).and_then(|slot| slot.event_time);
        told.is_some_and(|time| !Window::around(time, horizon.margin).is_before(window))
    }

    fn correct(
        &mut self,
        version: &VersionId,
        entry: Option<&Listed>,
        window: Window,
        horizon: &Horizon,
    ) -> Drift {
        let before = self.slots.get(version);
        let drift = match (before.is_some_and(Slot::is_present), entry) {
            (true, Some(_)) => Drift::Stale,
            (_, None) => Drift::Ghost,
            (false, Some(_)) => Drift::Missing,
        };
        let state = entry.map_or(State::Removed, |entry| entry.state.clone());
        let mut slot = Slot::observed(state, window, before);
        if let Some(entry) = entry {
            slot.take_details(entry);
            slot.storage_class.clone_from(&entry.storage_class);
        }
        // An event may have told of the class that this version has since.
        let told = slot.attributes_at.map(|time| Window::around(time, horizon.margin));
        if told.is_some_and(|told| !told.is_before(window)) {
            slot.storage_class = None;
        }
        self.slots.insert(version.clone(), slot);
        drift
    }

    /// Remembers the window with every slot that it is newer than, and with every version that it
    /// shows: those, but for the null version, cannot have been others before.
    fn stamp(&mut self, shown: Option<&HashSet<&VersionId>>, window: Window, horizon: &Horizon) {
        for (version, slot) in &mut self.slots {
            let is_shown = !version.is_null() && shown.is_some_and(|shown| shown.contains(version));
            if horizon.evidence(Some(slot)).is_before(window) {
                slot.observed = Some(window);
            } else if is_shown && slot.is_present() {
                slot.observed = Some(slot.observed.map_or(window, |observed| observed.later(window)));
            }
        }
    }

    fn settle_latest(
        &mut self,
        listed: &[Listed],
        is_newer_known: bool,
        observation: &mut Observation,
        horizon: &Horizon,
    ) {
        let before =
            self.latest.clone().filter(|latest| self.slots.get(latest).is_some_and(Slot::is_present));
        let mut marked = listed.iter().filter(|entry| entry.is_latest);
        let told = match (marked.next(), marked.next()) {
            (Some(entry), None) => Some(entry.version.clone()),
            (None, None) if listed.is_empty() => None,
            // Pages are not a snapshot: a key split over two may show none or several.
            _ => {
                observation.doubt.get_or_insert(Doubt::ListingTorn);
                None
            }
        };
        if observation.doubt.is_none() && !is_newer_known {
            self.latest = told;
        } else {
            observation.doubt = observation.doubt.or(self.elect(horizon));
        }
        let is_corrected = before.is_some() && self.latest != before;
        if let (true, true, Some(latest)) = (is_corrected, observation.drift.is_empty(), &self.latest) {
            observation.drift.push((latest.clone(), Drift::Latest));
        }
    }
}

impl Slot {
    /// Whether the entry shows what the slot says, where `age` is how the evidence of the slot
    /// lies beside the window of the entry.
    fn is_shown_by(&self, entry: &Listed, is_null: bool, age: Option<Ordering>, margin: Duration) -> bool {
        self.state.agrees(&entry.state) && (!is_null || self.is_dated_by(entry, age, margin))
    }

    /// The null version is rewritten in place, maybe with the same content: only the date tells
    /// which of its writes the entry shows.
    fn is_dated_by(&self, entry: &Listed, age: Option<Ordering>, margin: Duration) -> bool {
        let Some(date) = self.last_modified else { return true };
        let (distance, slack) = (date.distance(entry.last_modified), margin + RESOLUTION);
        if self.is_exact {
            return distance < RESOLUTION;
        }
        // The date is that of the event. S3's own is of the beginning of the request, which may
        // have been long before, but never after.
        match age {
            Some(Ordering::Less) => entry.last_modified <= date.plus(slack),
            None => distance <= slack,
            Some(_) => false,
        }
    }

    /// Whether the slot may be an upload that something it has never met overtook.
    fn may_be_overtaken(&self) -> bool {
        self.may_be_multipart() && self.observed.is_none()
    }

    /// Takes over what the slot did not know.
    fn confirm(&mut self, entry: &Listed, is_null: bool, window: Window, horizon: &Horizon) -> Finding {
        if let (State::Object(ours), State::Object(theirs)) = (&mut self.state, &entry.state) {
            ours.fill(theirs);
        }
        if entry.storage_class.is_none() || entry.storage_class == self.storage_class {
            return Finding::Confirmed;
        }
        let is_known = self.storage_class.is_some() || self.attributes_at.is_some();
        match horizon.evidence_of_class(self, is_null).order(window) {
            Some(Ordering::Greater) => return Finding::Newer,
            None if is_known => return Finding::Doubt,
            Some(_) | None => self.storage_class.clone_from(&entry.storage_class),
        }
        if is_known { Finding::Reclassed } else { Finding::Confirmed }
    }

    fn take_details(&mut self, entry: &Listed) {
        self.last_modified = Some(entry.last_modified);
        self.is_exact = true;
    }
}
