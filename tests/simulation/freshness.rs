//! What may be concluded from the moments in `catalog.buckets`, as SEMANTICS.md says it: a reader does so at every
//! commit of every history, and is held to what the bucket was.

use std::collections::BTreeMap;

use stocktake::model::{State, VersionId, Window};

use crate::history::History;
use crate::ledger::{Row, held, listed};
use crate::run::KEYS;
use crate::shrink::shrink;
use crate::simulation::{MARGIN, Simulation};
use crate::world::{Key, Millis};
use crate::{dice, setting};

/// What a reader finds out beside the rows.
struct Fresh {
    /// The window of the last complete run: `complete_through` is where it begins.
    watermark: Option<Window>,
    /// `last_event_at`.
    last_event: Option<Millis>,
    /// Nobody finds that out: S3 has delivered an event of whatever happened before.
    told_through: Millis,
    now: Millis,
}

impl Fresh {
    fn of(simulation: &Simulation<'_>) -> Self {
        let Simulation { daemon, ledger, events, heard, .. } = simulation;
        let now = simulation.now;
        let times = |is_heard: bool| {
            let events = events.iter().enumerate();
            events.filter(move |(place, _)| heard.contains(place) == is_heard).map(|(_, event)| event.time)
        };
        let told_through = times(false).chain(ledger.first_loss()).min().unwrap_or(now);
        Self { watermark: daemon.watermark, last_event: times(true).max(), told_through, now }
    }
}

/// A way to read the moments.
#[derive(Clone, Copy)]
struct Reading {
    /// From when on the rows are taken to tell; none while they are taken to tell nothing.
    since: fn(&Fresh) -> Option<Millis>,
    minds_rechecks: bool,
}

/// As SEMANTICS.md has it.
const AS_WRITTEN: Reading =
    Reading { since: |fresh| Some(begun(fresh.watermark?) - MARGIN), minds_rechecks: true };
/// The same of what arrived, `caught_up_at`, where it is known that nothing else is on its way.
const CAUGHT_UP: Reading = Reading { since: |fresh| Some(fresh.told_through - MARGIN), minds_rechecks: true };

/// Each is tempting, and wrong.
const WRONG: [(&str, Reading); 5] = [
    ("keys in doubt are like others", Reading { minds_rechecks: false, ..AS_WRITTEN }),
    (
        "a listing is of the moment when it ended",
        Reading { since: |fresh| Some(ended(fresh.watermark?)), ..AS_WRITTEN },
    ),
    ("what is older than the last event is there", Reading { since: |fresh| fresh.last_event, ..AS_WRITTEN }),
    ("with the queues empty all is there", Reading { since: |fresh| Some(fresh.now), ..AS_WRITTEN }),
    (
        "before the first listing there is what is not shown",
        Reading { since: |fresh| Some(fresh.watermark.map_or(0, begun)), ..AS_WRITTEN },
    ),
];

fn begun(window: Window) -> Millis {
    window.from.as_micros() / 1_000
}

fn ended(window: Window) -> Millis {
    window.to.as_micros() / 1_000
}

/// Somebody who looks at the catalog all the time, and remembers what the bucket was.
pub(crate) struct Reader {
    reading: Reading,
    past: Vec<(Millis, BTreeMap<Key, Vec<Row>>)>,
}

impl Reader {
    fn new(reading: Reading) -> Self {
        let nothing = KEYS.map(|key| (key, Vec::new())).collect();
        Self { reading, past: vec![(Millis::MIN, nothing)] }
    }

    /// Something happened, to the bucket or to the catalog: of each version of a key that is not in doubt, the catalog
    /// shows what was true at some moment since.
    pub(crate) fn look(&mut self, simulation: &Simulation<'_>) -> Result<(), String> {
        let Simulation { bucket, daemon, ledger, .. } = simulation;
        let is = KEYS.map(|key| (key, listed(&bucket.listed(key)))).collect();
        if self.past.last().is_none_or(|(_, was)| *was != is) {
            self.past.push((simulation.now, is));
        }
        let fresh = Fresh::of(simulation);
        let Some(since) = (self.reading.since)(&fresh) else { return Ok(()) };
        let first = self.past.partition_point(|(at, _)| *at <= since) - 1;
        for key in KEYS {
            let is_in_doubt = self.reading.minds_rechecks && daemon.rechecks.contains_key(&key);
            if is_in_doubt || ledger.is_excepted(key) {
                continue;
            }
            let moments: Vec<&[Row]> =
                self.past[first..].iter().map(|(_, was)| was[&key].as_slice()).collect();
            judge(&held(&daemon.stack(key)), &moments)
                .map_err(|wrong| format!("{key}, read as of {since}: {wrong}"))?;
        }
        Ok(())
    }
}

/// Each version that is shown was there at one of the moments, as it is shown; each that is not shown was not, at one
/// of them.
fn judge(shown: &[Row], moments: &[&[Row]]) -> Result<(), String> {
    let has = |rows: &[Row], version: &VersionId, state: &State| {
        rows.iter().any(|(other, content, _)| other == version && content == state)
    };
    // S3 tells of an upload in parts also where it never shows it, and only what overtook it tells that.
    let is_upload = shown.iter().any(|(version, state, _)| version.is_null() && is_in_parts(state));
    let is_told = |version: &VersionId| !(is_upload && version.is_null());
    for (version, state, _) in shown.iter().filter(|(version, _, _)| is_told(version)) {
        if !moments.iter().any(|was| has(was, version, state)) {
            return Err(format!("{version} is shown as {state:?}, and never was since"));
        }
    }
    let first = moments.first().into_iter().flat_map(|was| was.iter());
    let always = first.filter(|(version, state, _)| moments.iter().all(|was| has(was, version, state)));
    for (version, state, _) in always.filter(|(version, _, _)| is_told(version)) {
        if !has(shown, version, state) {
            return Err(format!("{version} is not shown as {state:?}, and was all the time"));
        }
    }
    Ok(())
}

fn is_in_parts(state: &State) -> bool {
    let State::Object(content) = state else { return false };
    content.etag.as_ref().is_some_and(|etag| etag.contains('-'))
}

/// How a reading is wrong in a history, if it is.
fn wrong(reading: Reading, history: &History) -> Option<String> {
    let mut simulation = Simulation::new(history, false);
    simulation.reader = Some(Reader::new(reading));
    simulation.play().err()
}

/// The first of the histories in which a reading is wrong.
fn refuted(reading: Reading, histories: u64) -> Option<History> {
    let first = setting("SEED", 0);
    (first..first + histories).map(dice::throw).find(|history| wrong(reading, history).is_some())
}

/// How it is wrong in the least history like that, with all that happens in it.
fn report(reading: Reading, history: &History) -> String {
    let least = shrink(history, |history| wrong(reading, history).is_some());
    let mut simulation = Simulation::new(&least, true);
    simulation.reader = Some(Reader::new(reading));
    let told = simulation.play().err().unwrap_or_default();
    format!("{told}\n{}", simulation.ledger.trace.unwrap_or_default().join("\n"))
}

#[test]
fn what_the_moments_tell_is_true_at_every_moment() {
    let histories = setting("SEEDS", 200_000) / 10;
    for reading in [AS_WRITTEN, CAUGHT_UP] {
        if let Some(history) = refuted(reading, histories) {
            panic!("{}", report(reading, &history));
        }
    }
}

#[test]
fn who_concludes_more_is_found_wrong() {
    for (words, reading) in WRONG {
        let history = refuted(reading, 20_000).unwrap_or_else(|| panic!("nothing refutes that {words}"));
        let wrong = wrong(reading, &history).unwrap_or_default();
        assert!(wrong.contains("read as of"), "{words}: {wrong}");
    }
}
