//! What the daemon makes of the events, batch by batch, without a queue and without a database.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use stocktake::model::{Change, Claim, Content, Horizon, Slot, Stack, State, Timestamp, VersionId};
use stocktake::notification::{Body, Record, decode};
use time::OffsetDateTime;

use crate::events::{BUCKETS, Events};

/// As in config/default.toml.
pub(crate) const BATCH: u64 = 1_000;

/// Rows of one bucket that belong to one transaction, in the order in which they are to be written.
pub(crate) struct Batch {
    pub(crate) bucket: usize,
    /// Which lose what makes them the latest, or are not the latest anyway.
    pub(crate) demoted: Vec<Row>,
    pub(crate) promoted: Vec<Row>,
    pub(crate) inserted: Vec<Row>,
    pub(crate) lines: Vec<Line>,
}

/// A row of `catalog.slots`, as far as events fill it.
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) version: VersionId,
    pub(crate) slot: Slot,
    pub(crate) is_latest: bool,
}

/// A line of the journal.
pub(crate) struct Line {
    pub(crate) record: Record,
    pub(crate) change: Change,
    pub(crate) before: Option<Slot>,
    pub(crate) after: Slot,
}

#[derive(Default)]
pub(crate) struct Fold {
    stacks: [HashMap<String, Stack>; 2],
}

/// The record of a message. Every message has one.
pub(crate) fn record(events: &Events, place: u64) -> anyhow::Result<Record> {
    let Body::Records(records) = decode(&events.body(place)) else { anyhow::bail!("no records") };
    Ok(records.into_iter().next().context("no record")??)
}

impl Fold {
    /// Applies the messages from one place on, as many as a worker takes at once.
    pub(crate) fn next(&mut self, events: &Events, from: u64) -> anyhow::Result<[Batch; 2]> {
        let mut records = [Vec::new(), Vec::new()];
        for place in from..(from + BATCH).min(events.count) {
            records[events.bucket(place)].push(record(events, place)?);
        }
        let [versioned, plain] = records;
        Ok([self.apply(0, versioned)?, self.apply(1, plain)?])
    }

    fn apply(&mut self, bucket: usize, records: Vec<Record>) -> anyhow::Result<Batch> {
        let horizon = Horizon {
            watermark: None,
            run_started: None,
            margin: Duration::from_secs(5),
            trust_sequencers: true,
        };
        let stacks = &mut self.stacks[bucket];
        let keys: BTreeSet<String> = records.iter().map(|record| record.key.clone()).collect();
        let before: HashMap<&String, Stack> =
            keys.iter().map(|key| (key, stacks.get(key).cloned().unwrap_or_default())).collect();
        let mut lines = Vec::new();
        for record in records {
            let claim: Claim = record.claim().context("no claim")?;
            let stack = stacks.entry(record.key.clone()).or_default();
            let held = stack.slot(&claim.version).cloned();
            stack.apply(&claim, &horizon);
            let Some(after) = stack.slot(&claim.version) else { continue };
            if let Some(change) = Change::between(&claim.version, held.as_ref(), after) {
                let before = held.filter(Slot::is_present);
                lines.push(Line { record, change, before, after: after.clone() });
            }
        }
        let (mut demoted, mut promoted, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
        for key in &keys {
            for write in stacks[key].writes_since(&before[key]) {
                let (version, slot) = (write.version.clone(), write.slot.clone());
                let row = Row { key: key.clone(), version, slot, is_latest: write.is_latest };
                match (write.is_new, write.is_latest) {
                    (true, _) => inserted.push(row),
                    (false, true) => promoted.push(row),
                    (false, false) => demoted.push(row),
                }
            }
        }
        Ok(Batch { bucket, demoted, promoted, inserted, lines })
    }

    /// `bucket key version_id etag size is_latest` of all that is there, and of tombstones.
    pub(crate) fn rows(&self) -> BTreeSet<String> {
        let mut rows = BTreeSet::new();
        for (bucket, stacks) in self.stacks.iter().enumerate() {
            for (key, stack) in stacks {
                for (version, slot) in stack.slots() {
                    let is_latest = stack.latest() == Some(version);
                    rows.insert(row(BUCKETS[bucket], key, version.as_str(), slot, is_latest));
                }
            }
        }
        rows
    }
}

fn row(bucket: &str, key: &str, version: &str, slot: &Slot, is_latest: bool) -> String {
    let (etag, size) = shown(slot);
    let (etag, size) = (etag.unwrap_or_default(), size.unwrap_or_default());
    let state = match slot.state {
        State::Object(_) => "object",
        State::Marker => "marker",
        State::Removed => "removed",
    };
    format!("{bucket} {key} {version} {state} {etag} {size} {is_latest}")
}

/// Entity tag and size, where it is an object.
pub(crate) fn shown(slot: &Slot) -> (Option<&str>, Option<i64>) {
    match &slot.state {
        State::Object(Content { etag, size }) => (etag.as_deref(), *size),
        State::Marker | State::Removed => (None, None),
    }
}

pub(crate) fn is_marker(slot: &Slot) -> bool {
    slot.state == State::Marker
}

pub(crate) fn date(moment: Option<Timestamp>) -> Option<OffsetDateTime> {
    moment.map(OffsetDateTime::from)
}
