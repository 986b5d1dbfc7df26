//! What must hold, checked after every step and at the end.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use stocktake::model::{Claim, Fact, Listed, Outcome, Slot, Stack, State, Verdict, VersionId};

use crate::daemon::Daemon;
use crate::run::KEYS;
use crate::simulation::MARGIN;
use crate::world::{Bucket, Key, Millis};

/// How long after the last lost write a run must begin to account for it.
pub(crate) const GRACE: Millis = 0;

/// The observer's book: what was lost, what was seen to go, what was counted.
pub(crate) struct Ledger {
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) doubts: usize,
    pub(crate) claims: usize,
    last_loss: Option<Millis>,
    last_run: Option<Millis>,
    gone: BTreeSet<(Key, VersionId)>,
    /// Keys with the one known exception: an upload that a removal overtook, and the tombstone of
    /// that removal was purged before the upload was heard of.
    excused: BTreeMap<Key, Millis>,
}

impl Ledger {
    pub(crate) fn new(is_traced: bool) -> Self {
        Self {
            trace: is_traced.then(Vec::new),
            doubts: 0,
            claims: 0,
            last_loss: None,
            last_run: None,
            gone: BTreeSet::new(),
            excused: BTreeMap::new(),
        }
    }

    /// Something happened of which no event will tell.
    pub(crate) fn lost(&mut self, at: Millis) {
        self.last_loss = self.last_loss.max(Some(at));
    }

    /// A run that began then is complete.
    pub(crate) fn completed(&mut self, began: Millis) {
        self.last_run = Some(began);
        self.excused.retain(|_, heard| *heard > began);
    }

    /// Whether the catalog must be the bucket once nothing is left to happen.
    pub(crate) fn is_promised(&self) -> bool {
        self.last_loss.is_none_or(|lost| self.last_run.is_some_and(|began| began > lost + GRACE))
    }

    pub(crate) fn arrived(
        &mut self,
        key: Key,
        claim: &Claim,
        before: &Stack,
        verdict: Verdict,
        daemon: &Daemon,
        bucket: &Bucket,
    ) {
        self.claims += 1;
        self.doubts += usize::from(verdict.doubt.is_some());
        if !claim.version.is_null() || verdict.outcome != Outcome::Applied {
            return;
        }
        let is_upload = matches!(claim.fact, Fact::Multipart(_));
        let is_hidden = !bucket
            .listed(key)
            .iter()
            .any(|entry| entry.version.is_null() && Some(&entry.state) == claim_state(claim).as_ref());
        let is_listed_before = daemon.watermark.is_some() || daemon.run_started.is_some();
        let is_unnoticed = match before.slots().find(|(version, _)| version.is_null()) {
            None => is_listed_before,
            Some((_, slot)) => is_rewritten_unnoticed(slot, &bucket.listed(key)),
        };
        if is_upload && is_hidden && (is_unnoticed || self.excused.contains_key(&key)) {
            self.excused.insert(key, claim.time.as_micros() / 1_000);
        } else {
            self.excused.remove(&key);
        }
    }

    /// What holds after every step.
    pub(crate) fn check(
        &mut self,
        key: Key,
        before: &Stack,
        daemon: &Daemon,
        bucket: &Bucket,
    ) -> Result<(), String> {
        let Some(stack) = daemon.catalog.get(&key) else { return Ok(()) };
        let mut latest = None;
        for (version, slot) in stack.slots() {
            if !slot.is_present() {
                if !version.is_null() {
                    self.gone.insert((key, version.clone()));
                }
                continue;
            }
            if stack.latest() == Some(version) {
                latest = Some(version);
            }
            if self.gone.contains(&(key, version.clone())) {
                return Err(format!("I3: {key} {version} came back; before: {before:?}"));
            }
            if !bucket.ever_had(key, version, &slot.state) {
                return Err(format!("S3 never had {key} {version} as {:?}", slot.state));
            }
        }
        let is_empty = stack.slots().all(|(_, slot)| !slot.is_present());
        match (is_empty, stack.latest(), latest) {
            (true, None, _) | (false, Some(_), Some(_)) => Ok(()),
            _ => Err(format!("I4: {key} has {:?} as its latest: {stack:?}", stack.latest())),
        }
    }

    /// What holds at the end: the catalog is the bucket.
    pub(crate) fn compare(&self, daemon: &Daemon, bucket: &Bucket) -> Result<(), String> {
        for key in KEYS.filter(|key| !self.excused.contains_key(key)) {
            let held = held(&daemon.stack(key));
            let listed = listed(&bucket.listed(key));
            if held != listed {
                return Err(format!("{key}: the catalog has\n  {held:?}, the bucket\n  {listed:?}"));
            }
        }
        Ok(())
    }
}

/// Whether S3's null version is a later write than the slot's, of the same bytes and at a date
/// that does not betray it.
fn is_rewritten_unnoticed(slot: &Slot, listed: &[Listed]) -> bool {
    let Some(null) = listed.iter().find(|entry| entry.version.is_null()) else { return false };
    let slack = Duration::from_millis(2 * MARGIN as u64);
    null.state == slot.state && slot.event_time.is_some_and(|time| null.last_modified <= time.plus(slack))
}

fn claim_state(claim: &Claim) -> Option<State> {
    match &claim.fact {
        Fact::Put(content) | Fact::Multipart(content) => Some(State::Object(content.clone())),
        _ => None,
    }
}

/// What a reader sees of one version.
pub(crate) type Row = (VersionId, State, bool);

/// What a reader of the catalog sees of one key.
pub(crate) fn held(stack: &Stack) -> Vec<Row> {
    let row = |(version, slot): (&VersionId, &Slot)| {
        (version.clone(), slot.state.clone(), stack.latest() == Some(version))
    };
    stack.slots().filter(|(_, slot)| slot.is_present()).map(row).collect()
}

fn listed(entries: &[Listed]) -> Vec<Row> {
    let row = |entry: &Listed| (entry.version.clone(), entry.state.clone(), entry.is_latest);
    let mut rows: Vec<Row> = entries.iter().map(row).collect();
    rows.sort_by(|ours, theirs| ours.0.cmp(&theirs.0));
    rows
}
