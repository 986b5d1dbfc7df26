//! Whether a listing shows what is believed already: of nearly all keys it does, so this is asked first.

use std::collections::BTreeSet;

use super::{Listed, Slot, Stack};

impl Stack {
    /// Whether the entries of a listing are what this stack says, to the last detail. Then observing them in
    /// passing changes nothing and leaves no doubt, whatever the window and the horizon are, so there
    /// is no need to. Where it is not so, observing them may change something.
    pub fn is_as_listed(&self, listed: &[Listed]) -> bool {
        let is_told = |entry: &Listed| {
            let is_latest = self.latest.as_ref() == Some(&entry.version);
            let slot = self.slots.get(&entry.version);
            entry.is_latest == is_latest && slot.is_some_and(|slot| slot.is_as_listed(entry))
        };
        listed.iter().all(is_told)
            && self.present().count() == listed.len()
            && self.latest.is_some() != listed.is_empty()
            && are_distinct(listed)
    }
}

impl Slot {
    fn is_as_listed(&self, entry: &Listed) -> bool {
        self.is_exact
            && self.last_modified == Some(entry.last_modified)
            && self.state == entry.state
            && (entry.storage_class.is_none() || entry.storage_class == self.storage_class)
    }
}

/// Not every store lists a version once.
fn are_distinct(listed: &[Listed]) -> bool {
    match listed {
        [] | [_] => true,
        [one, other] => one.version != other.version,
        _ => listed.iter().map(|entry| &entry.version).collect::<BTreeSet<_>>().len() == listed.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::{Content, Glance, Horizon, State, Timestamp, VersionId, Window};
    use super::*;

    fn state() -> impl Strategy<Value = State> {
        let object =
            |etag: Option<&str>| State::Object(Content { etag: etag.map(str::to_owned), size: Some(1) });
        select(vec![object(Some("e1")), object(Some("e2")), object(None), State::Marker])
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        (0..60_i64).prop_map(|seconds| Timestamp::from_micros(seconds * 1_000_000))
    }

    fn window() -> impl Strategy<Value = Window> {
        (moment(), moment()).prop_map(|(one, other)| Window { from: one.min(other), to: one.max(other) })
    }

    fn class() -> impl Strategy<Value = Option<String>> {
        select(vec![None, Some("STANDARD".to_owned()), Some("GLACIER".to_owned())])
    }

    fn slot() -> impl Strategy<Value = Slot> {
        let known = (option::of(moment()), option::of(window()), option::of(moment()));
        let shape =
            (prop_oneof![3 => state(), 1 => Just(State::Removed)], moment(), prop::bool::weighted(0.8));
        (shape, class(), known).prop_map(|((state, date, is_exact), storage_class, known)| {
            let (event_time, observed, attributes_at) = known;
            let last_modified = (state != State::Removed).then_some(date);
            let (sequencer, floor) = (None, None);
            Slot {
                state,
                sequencer,
                floor,
                event_time,
                observed,
                last_modified,
                is_exact,
                storage_class,
                attributes_at,
            }
        })
    }

    fn version() -> impl Strategy<Value = VersionId> {
        select(vec!["null", "v1", "v2", "v3"]).prop_map(|id| VersionId::parse(Some(id)))
    }

    /// A stack, one of the present slots being the latest.
    fn stack() -> impl Strategy<Value = Stack> {
        (btree_map(version(), slot(), 0..5), any::<prop::sample::Index>()).prop_map(|(slots, chosen)| {
            let mut stack = Stack { slots, latest: None };
            let present: Vec<_> = stack.present().map(|(version, _)| version.clone()).collect();
            stack.latest = (!present.is_empty()).then(|| chosen.get(&present).clone());
            stack
        })
    }

    fn entry() -> impl Strategy<Value = Listed> {
        (version(), any::<bool>(), state(), moment(), class()).prop_map(
            |(version, is_latest, state, last_modified, storage_class)| Listed {
                version,
                is_latest,
                state,
                last_modified,
                storage_class,
            },
        )
    }

    /// How a listing differs from what a stack says, at one of its entries.
    #[derive(Clone, Debug)]
    enum Slip {
        Lacks,
        Repeats,
        IsLatest(bool),
        Has(State),
        Dates(Timestamp),
        Classes(Option<String>),
        Is(Listed),
        Adds(Listed),
    }

    fn slip() -> impl Strategy<Value = Slip> {
        prop_oneof![
            Just(Slip::Lacks),
            Just(Slip::Repeats),
            any::<bool>().prop_map(Slip::IsLatest),
            state().prop_map(Slip::Has),
            moment().prop_map(Slip::Dates),
            class().prop_map(Slip::Classes),
            entry().prop_map(Slip::Is),
            entry().prop_map(Slip::Adds),
        ]
    }

    fn mirror(stack: &Stack) -> Vec<Listed> {
        let entries = stack.present().map(|(version, slot)| Listed {
            version: version.clone(),
            is_latest: stack.latest.as_ref() == Some(version),
            state: slot.state.clone(),
            last_modified: slot.last_modified.unwrap_or(Timestamp::from_micros(0)),
            storage_class: slot.storage_class.clone(),
        });
        entries.collect()
    }

    fn make(listed: &mut Vec<Listed>, place: &prop::sample::Index, slip: Slip) {
        if let Slip::Adds(entry) = slip {
            return listed.push(entry);
        }
        if listed.is_empty() {
            return;
        }
        let place = place.index(listed.len());
        match slip {
            Slip::Lacks => drop(listed.remove(place)),
            Slip::Repeats => listed.push(listed[place].clone()),
            Slip::IsLatest(is_latest) => listed[place].is_latest = is_latest,
            Slip::Has(state) => listed[place].state = state,
            Slip::Dates(date) => listed[place].last_modified = date,
            Slip::Classes(class) => listed[place].storage_class = class,
            Slip::Is(entry) | Slip::Adds(entry) => listed[place] = entry,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_as_listed_is_not_changed_by_observing_it(
            stack in stack(),
            slips in vec((any::<prop::sample::Index>(), slip()), 0..3),
            window in window(),
            known in (option::of(window()), option::of(moment())),
            trust_sequencers: bool,
        ) {
            let mut listed = mirror(&stack);
            let is_all_exact = stack.present().all(|(_, slot)| slot.is_exact);
            if slips.is_empty() {
                prop_assert_eq!(stack.is_as_listed(&listed), is_all_exact);
            }
            for (place, slip) in slips {
                make(&mut listed, &place, slip);
            }
            let (watermark, run_started) = known;
            let horizon = Horizon { watermark, run_started, margin: Duration::from_secs(5), trust_sequencers };
            let mut after = stack.clone();
            let observation = after.observe(&listed, window, Glance::Run, &horizon);
            if stack.is_as_listed(&listed) {
                prop_assert_eq!(after, stack);
                prop_assert_eq!(observation, Default::default());
            }
        }
    }
}
