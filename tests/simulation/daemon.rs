//! The daemon's three loops without their I/O: what is committed, in the order it is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use stocktake::model::{
    Claim, Doubt, Glance, Horizon, Listed, Observation, Stack, Timestamp, Verdict, Window,
};

use crate::world::Key;

/// What is committed about one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) catalog: BTreeMap<Key, Stack>,
    /// The keys in doubt. Each new doubt takes a new ticket, so that a recheck under way at that
    /// moment does not settle it.
    pub(crate) rechecks: BTreeMap<Key, u32>,
    pub(crate) watermark: Option<Window>,
    pub(crate) run_started: Option<Timestamp>,
    pub(crate) trust_sequencers: bool,
    pub(crate) margin: Duration,
    tickets: u32,
}

impl Daemon {
    pub(crate) fn new(trust_sequencers: bool, margin: Duration) -> Self {
        Self {
            catalog: BTreeMap::new(),
            rechecks: BTreeMap::new(),
            watermark: None,
            run_started: None,
            trust_sequencers,
            margin,
            tickets: 0,
        }
    }

    pub(crate) fn horizon(&self) -> Horizon {
        Horizon {
            watermark: self.watermark,
            run_started: self.run_started,
            margin: self.margin,
            trust_sequencers: self.trust_sequencers,
        }
    }

    pub(crate) fn stack(&self, key: Key) -> Stack {
        self.catalog.get(&key).cloned().unwrap_or_default()
    }

    /// Applies one event.
    pub(crate) fn ingest(&mut self, key: Key, claim: &Claim) -> Verdict {
        let horizon = self.horizon();
        let verdict = self.catalog.entry(key).or_default().apply(claim, &horizon);
        self.ask(key, verdict.doubt);
        verdict
    }

    /// Whether a listing of `key` says anything new, as far as the rows are now.
    pub(crate) fn differs(&self, key: Key, listed: &[Listed], window: Window) -> bool {
        let before = self.stack(key);
        let mut after = before.clone();
        let found = after.observe(listed, window, Glance::Run, &self.horizon());
        found.doubt.is_some() || after.writes_since(&before).next().is_some()
    }

    /// Writes what a page of a run shows of one key.
    pub(crate) fn repair(&mut self, key: Key, listed: &[Listed], window: Window) -> Observation {
        let horizon = self.horizon();
        let found = self.catalog.entry(key).or_default().observe(listed, window, Glance::Run, &horizon);
        self.ask(key, found.doubt);
        found
    }

    /// Writes what a recheck showed. The doubt it was made for is settled; a later one is not.
    pub(crate) fn settle(&mut self, key: Key, ticket: u32, listed: &[Listed], window: Window) -> Observation {
        let horizon = self.horizon();
        let found = self.catalog.entry(key).or_default().observe(listed, window, Glance::Recheck, &horizon);
        self.ask(key, found.doubt);
        if self.rechecks.get(&key) == Some(&ticket) {
            self.rechecks.remove(&key);
        }
        found
    }

    /// Completes a run: its window is the watermark now, and spent tombstones are purged.
    pub(crate) fn complete(&mut self, window: Window) {
        self.run_started = None;
        self.watermark = Some(window);
        let horizon = self.horizon();
        for stack in self.catalog.values_mut() {
            let mut kept = Stack::default();
            for (version, slot) in stack.slots() {
                if !slot.is_spent(&horizon) {
                    kept.restore(version.clone(), slot.clone(), stack.latest() == Some(version));
                }
            }
            *stack = kept;
        }
    }

    fn ask(&mut self, key: Key, doubt: Option<Doubt>) {
        if doubt.is_some() {
            self.tickets += 1;
            self.rechecks.insert(key, self.tickets);
        }
    }
}
