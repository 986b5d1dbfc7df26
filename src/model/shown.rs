//! Whether a listing shows what is held already: of nearly all keys it does, so this is asked first, and
//! asked of rows as they come from the database.

use super::{Content, Listed, State, Timestamp, VersionId};

/// What is told of a version: by an entry of a listing, or by a row, as far as a listing could tell otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Its id.
    pub version: &'a str,
    /// Whether it is the key's latest.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
    /// The entity tag, where known.
    pub etag: Option<&'a str>,
    /// Bytes, where known.
    pub size: Option<i64>,
    /// S3's own date of it.
    pub last_modified: Timestamp,
    /// The storage class, where known.
    pub storage_class: Option<&'a str>,
}

/// Whether the entries of a listing show nothing of a key that is not held, where `told` is every version
/// held to be there, in the order of version ids; none of one whose date is not S3's own yet. Then observing them in passing changes nothing and leaves
/// no doubt, whatever the window and the horizon are. Where it is not so, it may.
pub fn is_as_listed<'a>(told: impl IntoIterator<Item = Option<Told<'a>>>, listed: &[Listed]) -> bool {
    let mut entries: Vec<&Listed> = listed.iter().collect();
    entries.sort_unstable_by(|one, other| one.version.cmp(&other.version));
    let mut entries = entries.into_iter();
    let mut told = told.into_iter();
    let are_same =
        told.all(|told| told.zip(entries.next()).is_some_and(|(told, entry)| told.is_as_listed(entry)));
    let latest = listed.iter().filter(|entry| entry.is_latest).count();
    are_same && entries.next().is_none() && latest == usize::from(!listed.is_empty())
}

impl Listed {
    /// What the entry tells.
    pub fn told(&self) -> Told<'_> {
        let content = match &self.state {
            State::Object(content) => Some(content),
            State::Marker | State::Removed => None,
        };
        Told {
            version: self.version.as_str(),
            is_latest: self.is_latest,
            is_marker: self.state == State::Marker,
            etag: content.and_then(|content| content.etag.as_deref()),
            size: content.and_then(|content| content.size),
            last_modified: self.last_modified,
            storage_class: self.storage_class.as_deref(),
        }
    }
}

impl Told<'_> {
    /// The entry of a listing that tells this.
    pub fn listed(&self) -> Listed {
        let content = || Content { etag: self.etag.map(str::to_owned), size: self.size };
        Listed {
            version: VersionId::parse(Some(self.version)),
            is_latest: self.is_latest,
            state: if self.is_marker { State::Marker } else { State::Object(content()) },
            last_modified: self.last_modified,
            storage_class: self.storage_class.map(str::to_owned),
        }
    }

    fn is_as_listed(&self, entry: &Listed) -> bool {
        let is_state = match &entry.state {
            State::Object(content) => {
                let is_etag = content.etag.is_none() || content.etag.as_deref() == self.etag;
                !self.is_marker && is_etag && (content.size.is_none() || content.size == self.size)
            }
            State::Marker => self.is_marker,
            State::Removed => false,
        };
        is_state
            && self.version == entry.version.as_str()
            && self.is_latest == entry.is_latest
            && self.last_modified == entry.last_modified
            && (entry.storage_class.is_none() || entry.storage_class.as_deref() == self.storage_class)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::super::{Fingerprint, Glance, Horizon, Slot, Stack, Window};
    use super::*;

    fn state() -> impl Strategy<Value = State> {
        let object =
            |etag: Option<&str>, size| State::Object(Content { etag: etag.map(str::to_owned), size });
        let objects = [object(Some("e1"), Some(1)), object(Some("e2"), None), object(None, Some(2))];
        select(objects.into_iter().chain([State::Marker]).collect::<Vec<_>>())
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
        (shape, class(), known).prop_map(|((state, date, is_exact), storage_class, known)| Slot {
            last_modified: (state != State::Removed).then_some(date),
            state,
            sequencer: None,
            floor: None,
            event_time: known.0,
            observed: known.1,
            is_exact,
            storage_class,
            attributes_at: known.2,
        })
    }

    fn version() -> impl Strategy<Value = VersionId> {
        select(vec!["null", "v1", "v2", "v3"]).prop_map(|id| VersionId::parse(Some(id)))
    }

    /// A stack, one of the present slots being the latest.
    fn stack() -> impl Strategy<Value = Stack> {
        (btree_map(version(), slot(), 0..5), any::<Index>()).prop_map(|(slots, chosen)| {
            let mut stack = Stack { slots, latest: None };
            let present: Vec<_> = stack.present().map(|(version, _)| version.clone()).collect();
            stack.latest = (!present.is_empty()).then(|| chosen.get(&present).clone());
            stack
        })
    }

    /// What is held of a stack.
    fn told(stack: &Stack) -> impl Iterator<Item = Option<Told<'_>>> {
        stack.present().map(|(version, slot)| {
            let content = match &slot.state {
                State::Object(content) => Some(content),
                State::Marker | State::Removed => None,
            };
            let last_modified = slot.last_modified.filter(|_| slot.is_exact)?;
            Some(Told {
                version: version.as_str(),
                is_latest: stack.latest.as_ref() == Some(version),
                is_marker: slot.state == State::Marker,
                etag: content.and_then(|content| content.etag.as_deref()),
                size: content.and_then(|content| content.size),
                last_modified,
                storage_class: slot.storage_class.as_deref(),
            })
        })
    }

    /// The listing of a bucket in which all is as the stack says.
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

    fn make(listed: &mut Vec<Listed>, place: &Index, slip: Slip) {
        let place = match (&slip, listed.len()) {
            (Slip::Adds(_), _) => 0,
            (_, 0) => return,
            (_, count) => place.index(count),
        };
        match slip {
            Slip::Lacks => drop(listed.remove(place)),
            Slip::Repeats => listed.push(listed[place].clone()),
            Slip::IsLatest(is_latest) => listed[place].is_latest = is_latest,
            Slip::Has(state) => listed[place].state = state,
            Slip::Dates(date) => listed[place].last_modified = date,
            Slip::Classes(class) => listed[place].storage_class = class,
            Slip::Is(entry) => listed[place] = entry,
            Slip::Adds(entry) => listed.push(entry),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_as_listed_is_not_changed_by_observing_it(
            stack in stack(),
            slips in vec((any::<Index>(), slip()), 0..3),
            window in window(),
            known in (option::of(window()), option::of(moment())),
            trust_sequencers: bool,
            seed: i64,
        ) {
            let mut listed = mirror(&stack);
            if slips.is_empty() {
                let are_all_exact = stack.present().all(|(_, slot)| slot.is_exact);
                prop_assert_eq!(is_as_listed(told(&stack), &listed), are_all_exact);
            }
            for (place, slip) in slips {
                make(&mut listed, &place, slip);
            }
            let rows: Option<Vec<_>> = told(&stack).collect();
            let rows = rows.and_then(|rows| Fingerprint::of(seed, [("key", rows)]));
            if rows.is_some() && rows == Fingerprint::of(seed, [("key", listed.iter().map(Listed::told))]) {
                prop_assert!(is_as_listed(told(&stack), &listed));
            }
            let (watermark, run_started) = known;
            let horizon = Horizon { watermark, run_started, margin: Duration::from_secs(5), trust_sequencers };
            let mut after = stack.clone();
            let observation = after.observe(&listed, window, Glance::Run, &horizon);
            if is_as_listed(told(&stack), &listed) {
                prop_assert_eq!(after, stack);
                prop_assert_eq!(observation, Default::default());
            }
        }
    }
}
