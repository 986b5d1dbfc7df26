//! An observation arrives: the entries of one key in a listing, with the window they are true in.

use super::time::RESOLUTION;
use super::{Doubt, Horizon, Slot, Stack, State, Timestamp, VersionId, Window};

/// One entry of a listing: a version or a delete marker of the key observed.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// What an observation says to one slot.
enum Finding {
    Confirmed,
    /// The slot knows something later.
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
        let before: Vec<VersionId> = self.present().map(|(version, _)| version.clone()).collect();
        let mut is_newer_known = false;
        let mut judge = |stack: &mut Self, version: &VersionId, entry: Option<&Listed>| match stack
            .find(version, entry, window, horizon)
        {
            Finding::Confirmed => {}
            Finding::Newer => is_newer_known = true,
            Finding::Doubt => observation.doubt = Some(Doubt::ListingOverlaps),
            Finding::Wrong => {
                let drift = stack.correct(version, entry, window);
                observation.drift.push((version.clone(), drift));
            }
        };
        for entry in listed {
            judge(self, &entry.version, Some(entry));
        }
        for version in &before {
            if !listed.iter().any(|entry| entry.version == *version) {
                judge(self, version, None);
            }
        }
        if glance == Glance::Recheck {
            self.stamp(window, horizon);
        }
        self.settle_latest(listed, is_newer_known, &mut observation, horizon);
        // The run may have compared the key with its page since this was listed, and found nothing
        // to correct.
        if glance == Glance::Recheck && horizon.run_started.is_some() && !observation.drift.is_empty() {
            observation.doubt.get_or_insert(Doubt::RunUnderWay);
        }
        observation
    }

    /// Judges the slot of one version against its entry, or against there being none.
    fn find(
        &mut self,
        version: &VersionId,
        entry: Option<&Listed>,
        window: Window,
        horizon: &Horizon,
    ) -> Finding {
        let evidence = horizon.evidence(self.slots.get(version));
        let Some(slot) = self.slots.get_mut(version) else {
            return if evidence.is_before(window) {
                Finding::Wrong
            } else if window.is_before(evidence) {
                Finding::Newer
            } else {
                Finding::Doubt
            };
        };
        if let Some(entry) = entry.filter(|entry| slot.is_confirmed_by(version, entry, window, horizon)) {
            // The null version may have been written again since, with the same content.
            let is_sure = !version.is_null() || slot.is_exact || evidence.is_before(window);
            slot.take_over(entry);
            return if is_sure { Finding::Confirmed } else { Finding::Newer };
        }
        if window.is_before(evidence) {
            // An upload is stamped before its event: what was listed, or removed
            // before, may have overtaken it.
            let is_overtaken = version.is_null() && slot.may_be_multipart() && slot.observed.is_none();
            if is_overtaken { Finding::Doubt } else { Finding::Newer }
        } else if evidence.is_before(window) {
            Finding::Wrong
        } else if !version.is_null() && !slot.is_present() {
            // A removal of a version is final: the listing was taken just before it.
            Finding::Newer
        } else {
            Finding::Doubt
        }
    }

    fn correct(&mut self, version: &VersionId, entry: Option<&Listed>, window: Window) -> Drift {
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
        }
        self.slots.insert(version.clone(), slot);
        drift
    }

    fn stamp(&mut self, window: Window, horizon: &Horizon) {
        for slot in self.slots.values_mut() {
            if horizon.evidence(Some(slot)).is_before(window) {
                slot.observed = Some(window);
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

impl Horizon {
    /// When what is known of a version is known to have been true, if only that it has no slot:
    /// a complete listing says as much of every version.
    fn evidence(&self, slot: Option<&Slot>) -> Window {
        let beginning = Timestamp::from_micros(i64::MIN);
        let never = Window { from: beginning, to: beginning };
        let slots = slot.map_or(never, |slot| slot.evidence(self.margin));
        self.watermark.map_or(slots, |watermark| slots.later(watermark.widened(self.margin)))
    }
}

impl Slot {
    /// Whether the entry shows what the slot says.
    fn is_confirmed_by(
        &self,
        version: &VersionId,
        entry: &Listed,
        window: Window,
        horizon: &Horizon,
    ) -> bool {
        if version.is_null() && !self.is_dated_by(entry, window, horizon) {
            return false;
        }
        self.state.agrees(&entry.state)
    }

    /// The null version is rewritten in place, maybe with the same content: only the date tells
    /// which of its writes the entry shows.
    fn is_dated_by(&self, entry: &Listed, window: Window, horizon: &Horizon) -> bool {
        let Some(date) = self.last_modified else { return true };
        let (distance, slack) = (date.distance(entry.last_modified), horizon.margin * 2);
        if self.is_exact {
            return distance < RESOLUTION;
        }
        // The date is that of the event. S3's own is of the beginning of the request, which may
        // have been long before, but never after.
        let evidence = horizon.evidence(Some(self));
        if evidence.is_before(window) {
            entry.last_modified <= date.plus(slack)
        } else {
            !window.is_before(evidence) && distance <= slack
        }
    }

    fn take_over(&mut self, entry: &Listed) {
        if let (State::Object(ours), State::Object(theirs)) = (&mut self.state, &entry.state) {
            ours.fill(theirs);
        }
        self.take_details(entry);
    }

    fn take_details(&mut self, entry: &Listed) {
        self.last_modified = Some(entry.last_modified);
        self.is_exact = true;
        if entry.storage_class.is_some() {
            self.storage_class.clone_from(&entry.storage_class);
        }
    }
}
