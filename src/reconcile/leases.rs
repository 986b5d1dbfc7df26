//! The ranges of a run that are ours, and who here asks for parts of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many rows make a part worth asking for, where one was asked for already: a page.
const PART_MIN: f64 = 1_000.0;

/// By their leases.
#[derive(Default)]
pub(super) struct Leases(Mutex<BTreeMap<i64, Held>>);

/// What we know of a range.
#[derive(Default)]
struct Held {
    /// About how many rows are left of it.
    left: f64,
    /// How many parts of it are asked for.
    asked: usize,
}

impl Held {
    /// How much each would have, if one more asked.
    fn part(&self) -> f64 {
        self.left / (self.asked + 2) as f64
    }

    /// The first may ask whatever the catalog knows: what is left may be new to it.
    fn has_more(&self) -> bool {
        self.asked == 0 || self.part() > PART_MIN
    }
}

impl Leases {
    pub(super) fn begin(&self, lease: i64, left: f64) {
        self.held().insert(lease, Held { left, asked: 0 });
    }

    pub(super) fn end(&self, lease: i64) {
        self.held().remove(&lease);
    }

    pub(super) fn all(&self) -> Vec<i64> {
        self.held().keys().copied().collect()
    }

    /// About how many rows are left of all.
    pub(super) fn left(&self) -> f64 {
        self.held().values().map(|held| held.left).sum()
    }

    /// Notes how many rows are left of a range. How many parts of it are asked for.
    pub(super) fn hear(&self, lease: i64, left: f64) -> usize {
        self.held().get_mut(&lease).map_or(0, |held| {
            held.left = left;
            held.asked
        })
    }

    /// Notes that somebody elsewhere waits for a part of a range.
    pub(super) fn want(&self, lease: i64) {
        if let Some(held) = self.held().get_mut(&lease) {
            held.asked = held.asked.max(1);
        }
    }

    /// Notes that as many parts of a range were given as there are.
    pub(super) fn answer(&self, lease: i64) {
        if let Some(held) = self.held().get_mut(&lease) {
            held.asked = 0;
        }
    }

    /// Asks for parts until so many are asked for, each of a range of which the part would be the largest. How many
    /// too few that is.
    pub(super) fn ask(&self, count: usize) -> usize {
        let mut held = self.held();
        let asked: usize = held.values().map(|held| held.asked).sum();
        for missing in (1..=count.saturating_sub(asked)).rev() {
            let ranges = held.values_mut().filter(|held| held.has_more());
            match ranges.max_by(|one, other| one.part().total_cmp(&other.part())) {
                Some(range) => range.asked += 1,
                None => return missing,
            }
        }
        0
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<i64, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many parts are asked for of each range.
    fn asked(leases: &Leases) -> Vec<usize> {
        leases.held().values().map(|held| held.asked).collect()
    }

    fn leases(left: &[f64]) -> Leases {
        let leases = Leases::default();
        for (lease, left) in left.iter().enumerate() {
            leases.begin(lease as i64, *left);
        }
        leases
    }

    #[test]
    fn parts_are_asked_for_where_they_are_largest() {
        for (count, missing, of_each) in [
            (0, 0, [0, 0, 0]),
            (1, 0, [0, 1, 0]),
            (2, 0, [0, 2, 0]),
            (3, 0, [0, 2, 1]),
            (12, 0, [0, 8, 4]),
            // A part of a page is worth nothing, but the first of a range, of which the catalog may know nothing.
            (15, 2, [1, 8, 4]),
        ] {
            let leases = leases(&[0.0, 10_000.0, 6_000.0]);
            assert_eq!((leases.ask(count), asked(&leases)), (missing, of_each.to_vec()), "{count} parts");
        }
        assert_eq!(Leases::default().ask(3), 3, "nobody has a range");
    }

    #[test]
    fn who_gave_is_asked_anew_and_not_before() {
        let leases = leases(&[8_000.0, 8_500.0]);
        assert_eq!((leases.ask(2), asked(&leases)), (0, vec![1, 1]));
        assert_eq!((leases.ask(2), asked(&leases)), (0, vec![1, 1]), "these two were asked for");
        assert_eq!(leases.hear(1, 7_000.0), 1);
        leases.answer(1);
        assert_eq!(leases.hear(1, 3_500.0), 0);
        assert_eq!((leases.ask(2), asked(&leases)), (0, vec![2, 0]), "of what is more by now");
        assert_eq!(leases.left(), 11_500.0);
        leases.end(0);
        assert_eq!(leases.left(), 3_500.0);
        assert_eq!((leases.hear(0, 1.0), leases.all()), (0, vec![1]));
    }

    #[test]
    fn who_waits_elsewhere_is_one_of_those_who_ask() {
        let leases = leases(&[8_000.0, 8_500.0]);
        leases.want(0);
        leases.want(0);
        leases.want(7);
        assert_eq!((leases.ask(2), asked(&leases)), (0, vec![1, 1]));
        leases.want(1);
        assert_eq!(asked(&leases), [1, 1]);
    }
}
