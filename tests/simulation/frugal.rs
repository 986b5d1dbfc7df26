//! What a doubt costs where nothing is hostile: a bucket followed from its first write, events in
//! roughly their order, a listing every day.

use std::collections::BTreeMap;

use fastrand::Rng;
use stocktake::bucket::Versioning::{self, Enabled, Suspended, Unversioned};
use stocktake::model::Doubt;

use crate::history::{Deed, Fate, History, Pace, Run, START, Step, calm, whole};
use crate::simulation::Simulation;
use crate::world::{DAY, Millis, Personality, RemovalStamp, SECOND};

const DAYS: Millis = 10;
/// Doubts an event may raise, on average.
const PRICE_MAX: f64 = 0.001;

/// Ten days of a bucket with three keys, each written about once an hour.
fn days(versioning: Versioning, seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    let mut steps = Vec::new();
    let mut upload = 0;
    for key in ['a', 'b', 'c'] {
        let mut at = START + rng.i64(0..3_600 * SECOND);
        while at < START + DAYS * DAY {
            let bytes = rng.choice(['x', 'y', 'z']).unwrap_or('x');
            let fate = fate(&mut rng);
            let deed = match rng.u8(0..20) {
                0..9 => Deed::Put(key, bytes, fate),
                9..12 => {
                    // Whoever uploads in parts does not write the key meanwhile.
                    upload = (upload + 1) % 200;
                    steps.push(Step { at, deed: Deed::Begin(upload, key) });
                    at += rng.i64(SECOND..600 * SECOND);
                    Deed::Complete(upload, bytes, fate)
                }
                12..15 => Deed::Delete(key, fate),
                _ => Deed::DeleteVersion(key, rng.usize(0..3), RemovalStamp::Fresh, fate),
            };
            steps.push(Step { at, deed });
            let is_burst = rng.u8(0..20) == 0;
            at += if is_burst { rng.i64(SECOND..5 * SECOND) } else { rng.i64(60 * SECOND..7_200 * SECOND) };
        }
    }
    for day in 1..DAYS {
        // A long run comes past the keys at some moment, and is done with them soon.
        let pauses = vec![rng.i64(0..3_600 * SECOND), 100, 100, 100, 100];
        let run = Run { page: 1_000, pauses, ..whole() };
        steps.push(Step { at: START + day * DAY + rng.i64(0..3_600 * SECOND), deed: Deed::Run(run) });
    }
    steps.sort_by_key(|step| step.at);
    let clocks = vec![-200, 300, 0];
    History { versioning, personality: Personality::Stamps, pace: Pace { clocks, ..calm() }, steps }
}

fn fate(rng: &mut Rng) -> Fate {
    let mut arrives = vec![rng.i64(300..3 * SECOND)];
    match rng.u16(0..1_000) {
        0..10 => arrives.push(rng.i64(SECOND..60 * SECOND)),
        10 => arrives.push(rng.i64(3_600 * SECOND..DAY)),
        11 => arrives = vec![rng.i64(60 * SECOND..3_600 * SECOND)],
        _ => {}
    }
    Fate { skew: rng.i64(-500..500), arrives }
}

#[test]
fn a_doubt_is_rare_where_sequencers_come_in_order() {
    for versioning in [Unversioned, Enabled, Suspended] {
        let (mut claims, mut rechecks) = (0, 0);
        let mut reasons = BTreeMap::<Doubt, usize>::new();
        for seed in 0..60 {
            let history = days(versioning, seed);
            let mut simulation = Simulation::new(&history, false);
            simulation.play().unwrap();
            simulation.compare().unwrap();
            claims += simulation.ledger.claims;
            rechecks += simulation.rechecks;
            for (doubt, times) in simulation.ledger.doubts {
                *reasons.entry(doubt).or_default() += times;
            }
        }
        let price = rechecks as f64 / claims as f64;
        println!("{versioning}: {rechecks} rechecks of {claims} events, {:.3} %: {reasons:?}", price * 100.0);
        assert!(price < PRICE_MAX, "{versioning}: {rechecks} rechecks of {claims} events: {reasons:?}");
    }
}
