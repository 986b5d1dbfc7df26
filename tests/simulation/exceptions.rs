//! What the catalog cannot know until the next run, and does not promise.

use std::collections::BTreeMap;
use std::time::Duration;

use stocktake::model::{Claim, Fact, Sequencer, Slot, Stack, State};

use crate::simulation::MARGIN;
use crate::world::{Bucket, Key, Millis, SECOND};

/// Keys with a known exception, and when what made it one happened. Each needs a version that S3
/// stamped long before its event, as it does with multipart uploads, replicas and the markers of
/// lifecycle rules, and something between stamp and event of which the catalog never heard:
///
/// 1. The null version was removed in between, so the upload is born invisible, and nothing is
///    known of the removal: its event was lost, or its tombstone is purged.
/// 2. The null version was written in between with the bytes it had, within what clocks may be
///    wrong of the write that is known, and that event was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Exceptions {
    keys: BTreeMap<Key, Millis>,
}

impl Exceptions {
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.keys.contains_key(&key)
    }

    /// A complete run that began then has healed what was before.
    pub(crate) fn heal(&mut self, began: Millis) {
        self.keys.retain(|_, happened| *happened > began);
    }

    /// A claim was applied to what was `before`.
    pub(crate) fn note(&mut self, key: Key, claim: &Claim, before: &Stack, is_listed: bool, bucket: &Bucket) {
        let null = before.slots().find(|(version, _)| version.is_null()).map(|(_, slot)| slot);
        let is_exception = match null {
            Some(slot) => is_behind_unnoticed_write(claim, slot, key, bucket),
            None => is_listed && is_invisible(claim, key, bucket),
        };
        let is_still = self.contains(key) && is_invisible(claim, key, bucket);
        if is_exception || is_still {
            self.keys.insert(key, claim.time.as_micros() / 1_000);
        } else if claim.version.is_null() && !matches!(claim.fact, Fact::Attributes(_)) {
            self.keys.remove(&key);
        }
    }
}

/// An upload that became the null version for its event only.
fn is_invisible(claim: &Claim, key: Key, bucket: &Bucket) -> bool {
    let Fact::Multipart(content) = &claim.fact else { return false };
    let state = State::Object(content.clone());
    let is_there = |entry: &stocktake::model::Listed| entry.version.is_null() && entry.state == state;
    claim.version.is_null() && !bucket.listed(key).iter().any(is_there)
}

/// S3's null version is a later write than the slot's, and the claim's stamp is between the two.
fn is_behind_unnoticed_write(claim: &Claim, slot: &Slot, key: Key, bucket: &Bucket) -> bool {
    let Some(null) = bucket.listed(key).into_iter().find(|entry| entry.version.is_null()) else {
        return false;
    };
    let stamp = bucket.null_since(key).and_then(|stamp| Sequencer::parse(&format!("{stamp:x}")));
    let slack = Duration::from_millis((MARGIN + SECOND) as u64);
    slot.state == null.state
        && slot.event_time.is_some_and(|time| null.last_modified <= time.plus(slack))
        && slot.sequencer < claim.sequencer
        && claim.sequencer < stamp
}
