//! The daemon's three loops without their I/O: what is committed, in the order it is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use stocktake::model::{
    Claim, Doubt, Glance, Horizon, Listed, Observation, Stack, Timestamp, Verdict, Window,
};

use crate::journal;
use crate::world::Key;

/// What is committed about one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        let (horizon, before) = (self.horizon(), self.stack(key));
        let stack = self.catalog.entry(key).or_default();
        let verdict = stack.apply(claim, &horizon);
        journal::check_claim(&before, claim, verdict, stack);
        self.ask(key, verdict.doubt);
        verdict
    }

    /// Whether a listing of a key says anything new, as far as the rows `held` tell.
    pub(crate) fn differs(&self, held: &Stack, listed: &[Listed], window: Window) -> bool {
        let mut after = held.clone();
        let found = after.observe(listed, window, Glance::Run, &self.horizon());
        found.doubt.is_some() || after != *held
    }

    /// Whether a listing of a key shows that a version is gone that is held to be there.
    pub(crate) fn removes(&self, key: Key, listed: &[Listed], window: Window) -> bool {
        self.stack(key).observe(listed, window, Glance::Run, &self.horizon()).gone > 0
    }

    /// Writes what a page of a run shows of one key.
    pub(crate) fn repair(&mut self, key: Key, listed: &[Listed], window: Window) -> Observation {
        let found = self.observe(key, listed, window, Glance::Run);
        self.ask(key, found.doubt);
        found
    }

    /// Writes what a recheck showed. If that settled the doubt it was made for, the key is struck
    /// off; a later doubt stays.
    pub(crate) fn settle(&mut self, key: Key, ticket: u32, listed: &[Listed], window: Window) -> Observation {
        let found = self.observe(key, listed, window, Glance::Recheck);
        if self.rechecks.get(&key) == Some(&ticket) {
            self.rechecks.remove(&key);
        }
        // The row may be gone by now: another recheck or a run settled it. This doubt is a new one.
        self.ask(key, found.doubt);
        found
    }

    /// Starts a run, and returns the ticket of the last doubt raised before it.
    pub(crate) fn start(&mut self, started: Timestamp) -> u32 {
        self.run_started = Some(started);
        self.tickets
    }

    /// Completes a run: its window is the watermark now, the doubts raised before it are settled,
    /// and spent tombstones are purged.
    pub(crate) fn complete(&mut self, window: Window, ticket: u32) {
        self.run_started = None;
        self.watermark = Some(window);
        self.rechecks.retain(|_, asked| *asked > ticket);
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

    /// Numbers the doubts from 1 on, in their order; `others` are tickets that are kept elsewhere.
    pub(crate) fn renumber(&mut self, others: Vec<&mut u32>) {
        let mut tickets: Vec<&mut u32> = self.rechecks.values_mut().chain(others).collect();
        tickets.push(&mut self.tickets);
        let mut known: Vec<u32> = tickets.iter().map(|ticket| **ticket).collect();
        known.sort_unstable();
        known.dedup();
        for ticket in tickets {
            *ticket = known.partition_point(|other| other < ticket) as u32 + 1;
        }
    }

    fn observe(&mut self, key: Key, listed: &[Listed], window: Window, glance: Glance) -> Observation {
        let (horizon, before) = (self.horizon(), self.stack(key));
        let stack = self.catalog.entry(key).or_default();
        let found = stack.observe(listed, window, glance, &horizon);
        journal::check_observation(&before, &found, stack);
        found
    }

    fn ask(&mut self, key: Key, doubt: Option<Doubt>) {
        if doubt.is_some() {
            self.tickets += 1;
            self.rechecks.insert(key, self.tickets);
        }
    }
}
