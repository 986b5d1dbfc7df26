//! A bucket in memory, with a clock of its own, that fails where its script says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use stocktake::bucket::rules::Rules;
use stocktake::bucket::{Bucket, Cursor, Page, Versioning};
use stocktake::fault::Fault;
use stocktake::model::{Listed, RawKey, Window};

use super::objects::Shelf;
use super::{fault, window};

/// How one request for a page ends.
#[derive(Clone, Debug)]
pub(crate) enum Played {
    /// As it should.
    Well,
    /// So, after a while.
    Late(Duration),
    /// With this answer.
    Fault(&'static str),
    /// Not at all.
    Hang,
}

/// Entries as a store lists them, so many on a page.
pub(crate) struct Store {
    page: usize,
    state: Mutex<State>,
    pub(super) shelf: Shelf,
}

struct State {
    entries: Vec<(String, Listed)>,
    /// Keys after all others that the catalog cannot hold.
    raw: Vec<RawKey>,
    script: VecDeque<Played>,
    /// Seconds after noon.
    clock: i64,
    requests: usize,
    /// How many of them began after a whole key.
    begins: usize,
    looks: usize,
    versioning: Versioning,
    /// What is told to whom; none if nobody may ask.
    notifications: Option<Rules>,
}

impl Store {
    /// A store at `clock` seconds after noon. Every request takes a second.
    pub(crate) fn new(page: usize, clock: i64, entries: &[(&str, Listed)]) -> Self {
        let entries = own(entries);
        let state = State {
            entries,
            raw: Vec::new(),
            script: VecDeque::new(),
            clock,
            requests: 0,
            begins: 0,
            looks: 0,
            versioning: Versioning::Enabled,
            notifications: Some(Rules::default()),
        };
        Self { page, shelf: Shelf::default(), state: Mutex::new(state) }
    }

    /// Holds something else from `clock` on.
    pub(crate) fn become_at(&self, clock: i64, entries: &[(&str, Listed)]) {
        let mut state = self.state();
        (state.clock, state.entries) = (clock, own(entries));
    }

    /// Has these keys as well from now on, after all others.
    pub(crate) fn hold_raw(&self, raw: &[RawKey]) {
        self.state().raw = raw.to_vec();
    }

    /// Keeps versions like this from now on.
    pub(crate) fn become_versioned(&self, versioning: Versioning) {
        self.state().versioning = versioning;
    }

    /// Tells this from now on; or without rules, nobody may know what.
    pub(crate) fn notify(&self, rules: Option<Rules>) {
        self.state().notifications = rules;
    }

    /// The next requests for pages end like this; those after them well.
    pub(crate) fn script(&self, script: &[Played]) {
        self.state().script.extend(script.iter().cloned());
    }

    /// How many pages were asked for.
    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    /// How often somebody asked what is told to whom.
    pub(crate) fn looks(&self) -> usize {
        self.state().looks
    }

    /// How many listings began after a key, and not at the beginning nor where a page ended.
    pub(crate) fn begins(&self) -> usize {
        self.state().begins
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A second goes by.
    fn tick(&self) -> Window {
        let mut state = self.state();
        state.clock += 1;
        window(state.clock - 1, state.clock)
    }
}

fn own(entries: &[(&str, Listed)]) -> Vec<(String, Listed)> {
    entries.iter().map(|(key, entry)| ((*key).to_owned(), entry.clone())).collect()
}

impl Bucket for Store {
    async fn list(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, Fault> {
        let played = {
            let mut state = self.state();
            state.requests += 1;
            state.begins += usize::from(after.is_some_and(|after| after.version.is_none()));
            state.script.pop_front().unwrap_or(Played::Well)
        };
        match played {
            Played::Well => {}
            Played::Late(pause) => tokio::time::sleep(pause).await,
            Played::Fault(answer) => return Err(fault(answer)),
            Played::Hang => std::future::pending().await,
        }
        let window = self.tick();
        let state = self.state();
        let below: Vec<_> = state.entries.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        // By its place, not by its name: the store may list in any order.
        let is_last = |(key, entry): &&(String, Listed), after: &Cursor| {
            *key == after.key && after.version.as_ref() == Some(&entry.version)
        };
        let begin = after.map_or(0, |after| match after.version {
            Some(_) => {
                1 + below.iter().position(|entry| is_last(entry, after)).expect("a cursor that we gave")
            }
            None => below.iter().position(|(key, _)| *key > after.key).unwrap_or(below.len()),
        });
        let end = below.len().min(begin + self.page);
        let entries: Vec<_> = below[begin..end].iter().map(|entry| (*entry).clone()).collect();
        let next = entries.last().filter(|_| end < below.len()).map(|(key, entry)| Cursor {
            version: Some(entry.version.clone()),
            ..Cursor::after(key.clone())
        });
        let keys = entries.iter().map(|(key, entry)| (key.as_str(), entry.told())).collect();
        let unrepresentable = if next.is_none() { state.raw.clone() } else { Vec::new() };
        Ok(Page { keys, unrepresentable, next, window })
    }

    async fn versioning(&self) -> Result<(Versioning, Window), Fault> {
        let versioning = self.state().versioning;
        Ok((versioning, self.tick()))
    }

    async fn region(&self) -> Result<String, Fault> {
        Ok("eu-central-1".to_owned())
    }

    async fn notifications(&self) -> Result<Rules, Fault> {
        let mut state = self.state();
        state.looks += 1;
        state.notifications.clone().ok_or_else(|| fault("AccessDenied"))
    }
}
