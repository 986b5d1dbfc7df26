//! The journal tells of every write, and of nothing else.

use std::collections::BTreeSet;

use stocktake::model::{Change, Claim, Drift, Fact, Observation, Outcome, Stack, Verdict};

/// A claim that was applied has one line, unless it removes what was not there or fills in what was
/// not known of a version that stays.
pub(crate) fn check_claim(before: &Stack, claim: &Claim, verdict: Verdict, after: &Stack) {
    let changed: Vec<_> =
        after.changes_since(Some(before)).map(|changed| (changed.version, changed.change)).collect();
    let held = before.slot(&claim.version);
    let is_there = held.is_some_and(|slot| slot.is_present());
    let expected = match &claim.fact {
        _ if verdict.outcome != Outcome::Applied => None,
        Fact::Removed => (held.is_none() || is_there).then_some(Change::Removed),
        Fact::Attributes(_) => Some(Change::Attributes),
        _ if is_there && !claim.version.is_null() => None,
        Fact::Put(_) | Fact::Multipart(_) => Some(Change::Created),
        Fact::Marker => Some(Change::MarkerCreated),
    };
    let expected: Vec<_> = expected.map(|change| (&claim.version, change)).into_iter().collect();
    assert_eq!(changed, expected, "{claim:?}, {verdict:?}: from {before:?} to {after:?}");
}

/// What a listing corrects has a line, but for which version is the latest; and so has a storage
/// class that it found changed.
pub(crate) fn check_observation(before: &Stack, found: &Observation, after: &Stack) {
    let told: BTreeSet<_> = (after.changes_since(Some(before)))
        .filter(|changed| changed.change != Change::Attributes)
        .map(|changed| changed.version)
        .collect();
    let corrected: BTreeSet<_> =
        found.drift.iter().filter(|(_, kind)| *kind != Drift::Latest).map(|(version, _)| version).collect();
    assert_eq!(told, corrected, "from {before:?} to {after:?}");
}
