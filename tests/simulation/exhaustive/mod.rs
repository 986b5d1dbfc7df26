//! Every history there can be, up to a bound, instead of very many by chance: one key, up to three
//! writes, each event delivered never, once or twice in any order, a listing in pages of one
//! version, a death of the daemon, and whatever rechecks come of it.
//!
//! All of it at once is too much for every test run, so it is cut in two: writes and their events,
//! and fewer of them beside a listing. `WRITES` and `DOUBLED` set how much is beside a listing;
//! `make exhaustive` has it all.

mod promises;
mod state;
mod steps;

use std::thread;

use stateright::{Checker, Model, Property};
use stocktake::bucket::Versioning::{self, Enabled, Suspended, Unversioned};

use crate::setting;
use crate::world::Personality::{self, Nothing, Stamps};
use promises::{always, sometimes};
use state::Moment;
use steps::{Gap, Step};

/// How often one event arrives at most.
const DELIVERIES_MAX: usize = 2;

/// How much happens at most.
struct Bounds {
    writes: usize,
    /// How long after what was before a write may be.
    gaps: &'static [Gap],
    /// Events that arrive twice.
    doubled: usize,
    has_run: bool,
    deaths: usize,
    /// Rechecks that list too early to settle a doubt.
    hasty_looks: usize,
    /// Whether anything can happen between a recheck's listing and its result being written.
    is_slow: bool,
}

struct World {
    versioning: Versioning,
    personality: Personality,
    bounds: Bounds,
}

impl Model for World {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment::first(self.versioning, self.personality)]
    }

    fn actions(&self, moment: &Moment, steps: &mut Vec<Step>) {
        moment.steps(self.versioning, &self.bounds, steps);
    }

    fn next_state(&self, moment: &Moment, step: Step) -> Option<Moment> {
        Some(moment.after(step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always();
        if self.bounds.has_run {
            properties.extend(sometimes());
        }
        properties
    }
}

/// A few writes, near to each other or far apart, and their events in every order.
fn events(versioning: Versioning, personality: Personality, writes: usize) {
    let gaps = &[Gap::Near, Gap::Far];
    let bounds =
        Bounds { writes, gaps, doubled: writes, has_run: false, deaths: 1, hasty_looks: 1, is_slow: true };
    check("writes and their events", World { versioning, personality, bounds });
}

/// Two writes, unless told, at any moments of a listing in which the daemon may die.
fn listing(versioning: Versioning, personality: Personality) {
    let writes = setting("WRITES", 2) as usize;
    let doubled = setting("DOUBLED", 0) as usize;
    let gaps = &[Gap::Near];
    let bounds = Bounds { writes, gaps, doubled, has_run: true, deaths: 1, hasty_looks: 0, is_slow: false };
    check("writes beside a listing", World { versioning, personality, bounds });
}

#[track_caller]
fn check(what: &str, world: World) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let World { versioning, personality, .. } = world;
    let checker = world.checker().threads(threads).spawn_dfs().join();
    let (states, transitions) = (checker.unique_state_count(), checker.state_count());
    println!("{versioning}, sequencers {personality:?}, {what}: {states} states, {transitions} transitions");
    checker.assert_properties();
}

#[test]
fn every_small_history_of_an_unversioned_bucket_keeps_the_promises() {
    events(Unversioned, Stamps, 3);
    listing(Unversioned, Stamps);
}

#[test]
fn every_small_history_of_a_versioned_bucket_keeps_the_promises() {
    events(Enabled, Stamps, 3);
    listing(Enabled, Stamps);
}

#[test]
fn every_small_history_of_a_suspended_bucket_keeps_the_promises() {
    events(Suspended, Stamps, 3);
    listing(Suspended, Stamps);
}

#[test]
fn every_small_history_without_sequencers_keeps_the_promises() {
    for versioning in [Unversioned, Enabled, Suspended] {
        events(versioning, Nothing, 2);
    }
}
