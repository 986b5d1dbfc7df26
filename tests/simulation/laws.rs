//! Laws of the pure functions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use stocktake::model::{Claim, Glance, Horizon, Join, Pair, Sequencer, Stack, Step, Timestamp, Window};

use crate::dice;
use crate::ledger::held;
use crate::simulation::{MARGIN, Simulation};
use crate::world::{Key, Personality};

/// What is known of a bucket that was never listed.
fn unlisted(personality: Personality) -> Horizon {
    Horizon {
        watermark: None,
        run_started: None,
        margin: Duration::from_millis(MARGIN as u64),
        trust_sequencers: personality != Personality::Constant,
    }
}

/// The claims of a history about one key, each as often as its event arrives, in some order.
fn claims_of(seed: u64) -> (Vec<(Key, Claim)>, Horizon, Simulation<'static>) {
    let history = Box::leak(Box::new(dice::without_runs(seed)));
    let mut simulation = Simulation::new(history, false);
    simulation.write_only();
    (simulation.claims(), unlisted(history.personality), simulation)
}

/// The stacks that the claims make, and the keys that were ever in doubt.
fn fold(claims: &[(Key, Claim)], horizon: &Horizon) -> (BTreeMap<Key, Stack>, BTreeSet<Key>) {
    let (mut stacks, mut doubts) = (BTreeMap::<Key, Stack>::new(), BTreeSet::new());
    for (key, claim) in claims {
        if stacks.entry(*key).or_default().apply(claim, horizon).doubt.is_some() {
            doubts.insert(*key);
        }
    }
    (stacks, doubts)
}

fn hexadecimal() -> impl Strategy<Value = String> {
    "0{0,3}[0-9a-fA-F]{1,24}"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sequencers_are_ordered_as_numbers_of_any_length(texts in prop::collection::vec(hexadecimal(), 2..5)) {
        let padded = |text: &str| format!("{text:0>32}").to_ascii_uppercase();
        let read = |text: &String| Sequencer::parse(text).expect("hexadecimal digits");
        for (one, other) in texts.iter().zip(texts.iter().skip(1)) {
            let order = read(one).cmp(&read(other));
            prop_assert_eq!(order, padded(one).cmp(&padded(other)));
            prop_assert_eq!(order == Ordering::Equal, read(one) == read(other));
        }
        let mut sorted: Vec<Sequencer> = texts.iter().map(read).collect();
        sorted.sort();
        prop_assert!(sorted.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_join_yields_each_key_of_either_side_once(
        listed in prop::collection::btree_set("[a-cé]{1,3}", 0..12),
        held in prop::collection::btree_set("[a-cé]{1,3}", 0..12),
        piece in 1..5_usize,
    ) {
        let (mut more_listed, mut more_held) = (listed.iter().cloned(), held.iter().cloned());
        let mut join: Join<usize, usize> = Join::default();
        let mut keys = Vec::new();
        loop {
            match join.step() {
                Step::NeedListed => {
                    let keys: Vec<String> = more_listed.by_ref().take(piece).collect();
                    if keys.is_empty() {
                        join.end_listed();
                    }
                    for key in keys {
                        prop_assert!(join.push_listed(key.clone(), key.len()).is_ok());
                    }
                }
                Step::NeedHeld => match more_held.next() {
                    Some(key) => prop_assert!(join.push_held(key.clone(), key.len()).is_ok()),
                    None => join.end_held(),
                },
                Step::Pair(Pair { key, listed: on_left, held: on_right }) => {
                    prop_assert_eq!(on_left, listed.contains(&key).then_some(key.len()));
                    prop_assert_eq!(on_right, held.contains(&key).then_some(key.len()));
                    keys.push(key);
                }
                Step::Done => break,
            }
        }
        prop_assert_eq!(keys, listed.union(&held).cloned().collect::<Vec<_>>());
    }

    #[test]
    fn claims_in_any_order_make_the_same_rows_or_a_doubt(seed in any::<u64>(), order in any::<u64>()) {
        let (claims, horizon, _) = claims_of(seed);
        let mut shuffled: Vec<(Key, Claim)> = claims.iter().chain(&claims).cloned().collect();
        fastrand::Rng::with_seed(order).shuffle(&mut shuffled);
        let ((one, doubts), (other, other_doubts)) = (fold(&claims, &horizon), fold(&shuffled, &horizon));
        for (key, stack) in &one {
            if !doubts.contains(key) && !other_doubts.contains(key) {
                prop_assert_eq!(held(stack), held(&other[key]));
            }
        }
    }

    #[test]
    fn claims_repeated_change_nothing(seed in any::<u64>(), order in any::<u64>()) {
        let (claims, horizon, _) = claims_of(seed);
        let (mut stacks, doubts) = fold(&claims, &horizon);
        let mut shuffled = claims;
        fastrand::Rng::with_seed(order).shuffle(&mut shuffled);
        for (key, claim) in shuffled.iter().filter(|(key, _)| !doubts.contains(key)) {
            let stack = stacks.get_mut(key).expect("its stack");
            let before = held(stack);
            stack.apply(claim, &horizon);
            prop_assert_eq!(held(stack), before);
        }
    }

    #[test]
    fn a_listing_seen_twice_says_nothing_new(seed in any::<u64>(), later in 0..3_600_000_i64, is_recheck: bool) {
        let (claims, horizon, simulation) = claims_of(seed);
        let (stacks, _) = fold(&claims, &horizon);
        let now = Timestamp::from_micros((simulation.now + later) * 1_000);
        let window = Window::around(now, Duration::from_secs(1));
        let glance = if is_recheck { Glance::Recheck } else { Glance::Run };
        for (key, mut stack) in stacks {
            let listed = simulation.bucket.listed(key);
            let first = stack.observe(&listed, window, glance, &horizon);
            let once = stack.clone();
            let second = stack.observe(&listed, window, glance, &horizon);
            prop_assert!(second.drift.is_empty(), "{:?} after {:?}", second, first);
            prop_assert_eq!(second.doubt, first.doubt);
            prop_assert_eq!(stack, once);
        }
    }
}
