//! A rehearsal: what a run would change, without changing it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::catalog::{Counts, Difference, Rehearsed};
use crate::model::{Drift, VersionId};

/// So many changes are remembered, the first in the order of keys; all are counted.
pub const CHANGES_MAX: usize = 100;

/// What a rehearsal has found so far. Whoever holds one can watch it grow.
#[derive(Debug, Default)]
pub struct Rehearsal(Mutex<Found>);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How much was listed.
    pub counts: Counts,
    /// How much drift of each kind.
    pub drift: BTreeMap<Drift, i64>,
    /// How many keys would have to be listed again, alone.
    pub doubts: usize,
    /// How many present versions would be removed.
    pub removals: i64,
    changes: BTreeMap<(String, VersionId, Drift), Difference>,
}

impl Rehearsal {
    /// What was found so far.
    pub fn found(&self) -> Found {
        self.lock().clone()
    }

    pub(super) fn add(&self, counts: Counts, rehearsed: Rehearsed) {
        let mut found = self.lock();
        found.counts.keys += counts.keys;
        found.counts.versions += counts.versions;
        for (kind, count) in rehearsed.repaired.counts() {
            *found.drift.entry(kind).or_default() += count;
        }
        found.doubts += rehearsed.repaired.doubts;
        found.removals += i64::try_from(rehearsed.removals).unwrap_or(i64::MAX);
        for change in rehearsed.changes {
            found.changes.insert((change.key.clone(), change.version.clone(), change.kind), change);
            if found.changes.len() > CHANGES_MAX {
                found.changes.pop_last();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// The first of the changes, in the order of keys.
    pub fn changes(&self) -> impl Iterator<Item = &Difference> {
        self.changes.values()
    }

    /// How many more there are.
    pub fn changes_left_out(&self) -> i64 {
        let known = i64::try_from(self.changes.len()).unwrap_or(i64::MAX);
        self.drift.values().sum::<i64>() - known
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalog::Repaired;

    fn rehearsed(key: String) -> Rehearsed {
        let (version, kind) = (VersionId::null(), Drift::Ghost);
        let drift = vec![(key.clone(), version.clone(), kind)];
        let change = Difference { key, version, kind, before: Value::Null, after: Value::Null };
        Rehearsed { repaired: Repaired { drift, doubts: 1 }, changes: vec![change], removals: 1 }
    }

    #[test]
    fn the_first_changes_are_kept_whatever_order_they_come_in() {
        let (rehearsal, count) = (Rehearsal::default(), CHANGES_MAX + 50);
        for number in 0..count {
            // 7 shares no factor with the count: each number comes once.
            let key = format!("k{:03}", number * 7 % count);
            rehearsal.add(Counts { keys: 1, versions: 2 }, rehearsed(key));
        }
        let found = rehearsal.found();
        let keys: Vec<&str> = found.changes().map(|change| change.key.as_str()).collect();
        let first: Vec<String> = (0..CHANGES_MAX).map(|number| format!("k{number:03}")).collect();
        assert_eq!((keys, found.changes_left_out()), (first.iter().map(String::as_str).collect(), 50));
        assert_eq!((found.counts, found.doubts), (Counts { keys: 150, versions: 300 }, 150));
        assert_eq!((found.drift.get(&Drift::Ghost), found.removals), (Some(&150), 150));
    }
}
