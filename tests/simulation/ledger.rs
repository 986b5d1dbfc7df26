//! What must hold, checked after every step and at the end.

use std::collections::{BTreeMap, BTreeSet};

use stocktake::model::{Claim, Doubt, Listed, Outcome, Slot, Stack, State, Verdict, VersionId};

use crate::daemon::Daemon;
use crate::exceptions::Exceptions;
use crate::run::KEYS;
use crate::world::{Bucket, Key, Millis};

/// How long after the last lost write a run must begin to account for it.
pub(crate) const GRACE: Millis = 0;

/// The observer's book: what was lost, what was seen to go, what was counted.
pub(crate) struct Ledger {
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) doubts: BTreeMap<Doubt, usize>,
    pub(crate) claims: usize,
    /// Whether nothing new happens any more, so that nothing may change.
    pub(crate) is_settled: bool,
    first_loss: Option<Millis>,
    last_loss: Option<Millis>,
    last_run: Option<Millis>,
    gone: BTreeSet<(Key, VersionId)>,
    exceptions: Exceptions,
}

impl Ledger {
    pub(crate) fn new(is_traced: bool) -> Self {
        Self {
            trace: is_traced.then(Vec::new),
            doubts: BTreeMap::new(),
            claims: 0,
            is_settled: false,
            first_loss: None,
            last_loss: None,
            last_run: None,
            gone: BTreeSet::new(),
            exceptions: Exceptions::default(),
        }
    }

    /// A claim or an observation left a doubt.
    pub(crate) fn doubted(&mut self, doubt: Option<Doubt>) {
        if let Some(doubt) = doubt {
            *self.doubts.entry(doubt).or_default() += 1;
        }
    }

    /// Something happened of which no event will tell.
    pub(crate) fn lost(&mut self, at: Millis) {
        self.first_loss = self.first_loss.or(Some(at));
        self.last_loss = self.last_loss.max(Some(at));
    }

    /// When the first thing happened of which no event will tell.
    pub(crate) fn first_loss(&self) -> Option<Millis> {
        self.first_loss
    }

    /// Whether the catalog may be wrong about a key until the next run.
    pub(crate) fn is_excepted(&self, key: Key) -> bool {
        self.exceptions.contains(key)
    }

    /// A run that began then is complete.
    pub(crate) fn completed(&mut self, began: Millis) {
        self.last_run = Some(began);
        self.exceptions.heal(began);
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
        self.doubted(verdict.doubt);
        if verdict.outcome == Outcome::Applied {
            let is_listed = daemon.watermark.is_some() || daemon.run_started.is_some();
            self.exceptions.note(key, claim, before, is_listed, bucket);
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
        if self.is_settled && !self.exceptions.contains(key) && held(before) != held(stack) {
            return Err(format!("I6: {key} was\n  {:?}, and is\n  {:?}", held(before), held(stack)));
        }
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
            if bucket.times(key, version, &slot.state) == 0 {
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
        for key in KEYS.filter(|key| !self.exceptions.contains(*key)) {
            let held = held(&daemon.stack(key));
            let listed = listed(&bucket.listed(key));
            if held != listed {
                return Err(format!("{key}: the catalog has\n  {held:?}, the bucket\n  {listed:?}"));
            }
            compare_classes(key, &daemon.stack(key), bucket)?;
        }
        Ok(())
    }
}

/// A storage class may be unknown, but not wrong; unless the null version was written again with
/// the bytes it had, which nobody may have noticed.
fn compare_classes(key: Key, stack: &Stack, bucket: &Bucket) -> Result<(), String> {
    for Listed { version, state, storage_class, .. } in bucket.listed(key) {
        let slot = stack.slots().find(|(other, _)| **other == version).map(|(_, slot)| slot);
        let told = slot.and_then(|slot| slot.storage_class.as_ref());
        if told.is_some() && told != storage_class.as_ref() && bucket.times(key, &version, &state) == 1 {
            return Err(format!("{key}: the class of {version} is {storage_class:?}, not {told:?}"));
        }
    }
    Ok(())
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

/// What a reader of the bucket sees of one key.
pub(crate) fn listed(entries: &[Listed]) -> Vec<Row> {
    let row = |entry: &Listed| (entry.version.clone(), entry.state.clone(), entry.is_latest);
    let mut rows: Vec<Row> = entries.iter().map(row).collect();
    rows.sort_by(|ours, theirs| ours.0.cmp(&theirs.0));
    rows
}
