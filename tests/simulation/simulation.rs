//! Plays a history: a bucket, its events on their way, and the daemon, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use stocktake::model::{Claim, Listed, Timestamp, Window};

use crate::daemon::Daemon;
use crate::freshness::Reader;
use crate::history::{Deed, Fate, History, START, in_one, in_parts};
use crate::ledger::Ledger;
use crate::run::{Finding, KEYS, Run};
use crate::world::{Bucket, Event, Key, Millis, Personality, SECOND};

/// How far S3's clocks may disagree.
pub(crate) const MARGIN: Millis = 5 * SECOND;

/// No history takes so many steps, unless rechecks ask for each other without end.
const STEPS_MAX: usize = 50_000;

/// A simulation in play.
pub(crate) struct Simulation<'a> {
    history: &'a History,
    pub(crate) now: Millis,
    agenda: BinaryHeap<Reverse<(Millis, usize)>>,
    actions: Vec<Option<Action>>,
    pub(crate) events: Vec<Event>,
    /// The events that arrived, by their places.
    pub(crate) heard: BTreeSet<usize>,
    run: Option<Run>,
    /// Keys whose recheck is planned.
    looking: BTreeSet<Key>,
    /// Runs begun and taken up again: what an earlier life had in hand is not done.
    lives: usize,
    pub(crate) rechecks: usize,
    responses: usize,
    pub(crate) bucket: Bucket,
    pub(crate) daemon: Daemon,
    pub(crate) ledger: Ledger,
    pub(crate) reader: Option<Reader>,
}

/// What is to be done at some moment.
enum Action {
    Deed(usize),
    Arrive(usize),
    Look(Key),
    Settle { key: Key, ticket: u32, listed: Vec<Listed>, window: Window },
    Page { life: usize, range: usize },
    Judge { life: usize, range: usize, findings: Vec<Finding>, end: Key },
    Repair { life: usize, range: usize, findings: Vec<Finding>, end: Key },
    Complete,
}

impl<'a> Simulation<'a> {
    pub(crate) fn new(history: &'a History, is_traced: bool) -> Self {
        let is_constant = history.personality == Personality::Constant;
        let mut simulation = Self {
            history,
            now: 0,
            agenda: BinaryHeap::new(),
            actions: Vec::new(),
            events: Vec::new(),
            heard: BTreeSet::new(),
            run: None,
            looking: BTreeSet::new(),
            lives: 0,
            rechecks: 0,
            responses: 0,
            bucket: Bucket::new(history.versioning, history.personality),
            daemon: Daemon::new(!is_constant, Duration::from_millis(MARGIN as u64)),
            ledger: Ledger::new(is_traced),
            reader: None,
        };
        for (place, step) in history.steps.iter().enumerate() {
            simulation.plan(step.at, Action::Deed(place));
        }
        simulation
    }

    /// Plays until nothing is left to happen.
    ///
    /// # Errors
    /// What was broken first, in words.
    pub(crate) fn play(&mut self) -> Result<(), String> {
        let mut steps = 0;
        while let Some(Reverse((at, place))) = self.agenda.pop() {
            steps += 1;
            if steps > STEPS_MAX {
                return Err("rechecks never end".to_owned());
            }
            self.now = self.now.max(at);
            if let Some(action) = self.actions[place].take() {
                self.act(action)?;
                if let Some(mut reader) = self.reader.take() {
                    reader.look(self)?;
                    self.reader = Some(reader);
                }
            }
        }
        Ok(())
    }

    /// Plays what happens in the bucket, and delivers nothing.
    pub(crate) fn write_only(&mut self) {
        for place in 0..self.history.steps.len() {
            self.now = self.now.max(self.history.steps[place].at);
            self.deed(place);
        }
    }

    /// The claims of all events so far, each as often as it is to arrive.
    pub(crate) fn claims(&self) -> Vec<(Key, Claim)> {
        let arrivals = self.actions.iter().flatten().filter_map(|action| match action {
            Action::Arrive(event) => self.events.get(*event),
            _ => None,
        });
        arrivals.map(|event| (event.key, event.claim())).collect()
    }

    /// Whether the catalog is the bucket.
    ///
    /// # Errors
    /// In what they differ, in words.
    pub(crate) fn compare(&self) -> Result<(), String> {
        self.ledger.compare(&self.daemon, &self.bucket)
    }

    /// Delivers every event once more that arrived before, the last first.
    pub(crate) fn replay(&mut self) -> Result<(), String> {
        self.note(|| "every event arrives once more".to_owned());
        self.ledger.is_settled = true;
        let heard = (0..self.events.len()).rev().filter(|event| self.heard.contains(event));
        self.deliver(heard.collect())
    }

    /// Delivers the lost events after all.
    pub(crate) fn deliver_lost(&mut self) -> Result<(), String> {
        self.note(|| "what was lost arrives after all".to_owned());
        self.ledger.is_settled = false;
        let lost = (0..self.events.len()).filter(|event| !self.heard.contains(event));
        self.deliver(lost.collect())
    }

    fn deliver(&mut self, events: Vec<usize>) -> Result<(), String> {
        for (place, event) in events.into_iter().enumerate() {
            self.plan(self.now + SECOND * place as Millis, Action::Arrive(event));
        }
        self.play()
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Deed(place) => self.deed(place),
            Action::Arrive(event) => return self.arrive(event),
            Action::Look(key) => self.look(key),
            Action::Settle { key, ticket, listed, window } => {
                let before = self.daemon.stack(key);
                let found = self.daemon.settle(key, ticket, &listed, window);
                self.note(|| format!("recheck of {key} from {window:?} is written: {found:?}"));
                self.ledger.doubted(found.doubt);
                self.plan_recheck(key);
                return self.ledger.check(key, &before, &self.daemon, &self.bucket);
            }
            Action::Page { life, range } => self.page(life, range),
            Action::Judge { life, range, findings, end } => self.judge(life, range, findings, end),
            Action::Repair { life, range, findings, end } => return self.repair(life, range, findings, end),
            Action::Complete => return self.complete(),
        }
        Ok(())
    }

    fn deed(&mut self, place: usize) {
        let history = self.history;
        let now = self.now;
        let bucket = &mut self.bucket;
        let deed = &history.steps[place].deed;
        let event = match deed {
            Deed::Put(key, bytes, _) => Some(bucket.put(*key, in_one(*bytes), now)),
            Deed::Begin(upload, key) => {
                bucket.begin(*upload, *key, now);
                None
            }
            Deed::Complete(upload, bytes, _) => bucket.complete(*upload, in_parts(*bytes), now),
            Deed::Delete(key, _) => Some(bucket.delete(*key, now)),
            Deed::DeleteVersion(key, nth, stamp, _) => bucket.delete_version(*key, *nth, *stamp, now),
            Deed::Expire(key, nth, _) => bucket.expire(*key, *nth, now),
            Deed::Bury(key, _) => bucket.bury(*key, now),
            Deed::Reap(key) => {
                if bucket.reap(*key) {
                    self.ledger.lost(now);
                }
                None
            }
            Deed::Replicate(key, bytes, age, _) => bucket.replicate(*key, in_one(*bytes), *age, now),
            Deed::Transition(key, nth, class, _) => bucket.transition(*key, *nth, class, now),
            Deed::Switch => {
                bucket.switch();
                None
            }
            Deed::Run(plan) => {
                self.begin_run(plan);
                None
            }
        };
        self.note(|| {
            format!("{}{}", deed, event.as_ref().map(|event| event.to_string()).unwrap_or_default())
        });
        if let (Some(event), Some(fate)) = (event, deed.fate()) {
            self.send(event, fate);
        }
    }

    fn send(&mut self, event: Event, fate: &Fate) {
        if fate.is_lost() {
            self.ledger.lost(self.now);
        }
        for delay in &fate.arrives {
            self.plan(self.now + delay, Action::Arrive(self.events.len()));
        }
        self.events.push(Event { time: event.time + fate.skew, ..event });
    }

    fn arrive(&mut self, place: usize) -> Result<(), String> {
        self.heard.insert(place);
        let event = self.events[place].clone();
        let (key, claim) = (event.key, event.claim());
        let before = self.daemon.stack(key);
        let verdict = self.daemon.ingest(key, &claim);
        self.note(|| format!("event{event} arrives: {verdict:?}"));
        self.ledger.arrived(key, &claim, &before, verdict, &self.daemon, &self.bucket);
        self.plan_recheck(key);
        self.ledger.check(key, &before, &self.daemon, &self.bucket)
    }

    /// Rechecks of one key are one.
    fn plan_recheck(&mut self, key: Key) {
        if self.daemon.rechecks.contains_key(&key) && self.looking.insert(key) {
            self.plan(self.now + self.history.pace.recheck_after, Action::Look(key));
        }
    }

    fn look(&mut self, key: Key) {
        self.looking.remove(&key);
        let Some(&ticket) = self.daemon.rechecks.get(&key) else { return };
        let pace = &self.history.pace;
        self.rechecks += 1;
        if pace.recheck_dies.is_some_and(|nth| self.rechecks.is_multiple_of(nth)) {
            let after = pace.recheck_after;
            self.note(|| format!("recheck of {key} dies"));
            self.looking.insert(key);
            return self.plan(self.now + after, Action::Look(key));
        }
        let takes = pace.recheck_takes;
        let window = self.window();
        let listed = self.bucket.listed(key);
        self.note(|| format!("recheck of {key} lists, clock says {window:?}"));
        self.plan(self.now + takes, Action::Settle { key, ticket, listed, window });
    }

    fn begin_run(&mut self, plan: &crate::history::Run) {
        if self.run.is_some() {
            return;
        }
        let window = self.window();
        let ticket = self.daemon.start(window.from);
        self.lives += 1;
        let run = Run::begin(plan, self.now, window, ticket, self.lives, self.daemon.catalog.clone());
        let (life, pause) = (run.life, run.pause());
        for range in 0..run.ranges.len() {
            self.plan(self.now + pause, Action::Page { life, range });
        }
        self.run = Some(run);
    }

    fn page(&mut self, life: usize, range: usize) {
        let window = self.window();
        let Some(run) = self.run.as_mut().filter(|run| run.life == life) else { return };
        run.pages += 1;
        run.window.to = run.window.to.max(window.to);
        let state = &mut run.ranges[range];
        let (after, from) = state.position();
        let page = self.bucket.page(after, from, state.last, run.plan.page);
        let (findings, end) = state.take(page, window);
        let is_listed = state.is_listed;
        let (pause, judged_after) = (run.pause(), run.plan.judged_after);
        let death = run.plan.dies_after.filter(|(pages, _)| *pages == run.pages);
        self.note(|| format!("page of the run: {findings:?}"));
        match death {
            None => {
                self.plan(self.now + judged_after, Action::Judge { life, range, findings, end });
                if !is_listed {
                    self.plan(self.now + pause, Action::Page { life, range });
                }
            }
            Some((_, true)) => self.revive_run(),
            Some((_, false)) => {
                self.note(|| "the run is given up".to_owned());
                self.run = None;
                self.daemon.run_started = None;
            }
        }
    }

    fn revive_run(&mut self) {
        self.note(|| "the daemon dies, and takes the run up at its checkpoints".to_owned());
        let Some(run) = &mut self.run else { return };
        self.lives += 1;
        run.revive(self.lives);
        let (life, pause) = (run.life, run.pause());
        let open: Vec<usize> = (0..run.ranges.len()).filter(|&range| !run.ranges[range].is_listed).collect();
        for range in open {
            self.plan(self.now + pause, Action::Page { life, range });
        }
    }

    /// Compares with the rows as they are at this moment; they are not locked.
    fn judge(&mut self, life: usize, range: usize, findings: Vec<Finding>, end: Key) {
        let Some(run) = self.run.as_ref().filter(|run| run.life == life) else { return };
        let repaired_after = run.plan.repaired_after;
        let held = if run.plan.is_read_ahead { &run.read_ahead } else { &self.daemon.catalog };
        let differs = |Finding { key, listed, window }: &Finding| {
            self.daemon.differs(&held.get(key).cloned().unwrap_or_default(), listed, *window)
        };
        let differing = findings.into_iter().filter(differs).collect();
        let repair = Action::Repair { life, range, findings: differing, end };
        self.plan(self.now + repaired_after, repair);
    }

    fn repair(&mut self, life: usize, range: usize, findings: Vec<Finding>, end: Key) -> Result<(), String> {
        if self.run.as_ref().is_none_or(|run| run.life != life) {
            return Ok(());
        }
        for finding in findings {
            let removes = self.daemon.removes(finding.key, &finding.listed, finding.window);
            match self.run.as_mut().filter(|_| removes) {
                Some(run) => run.withheld.push(finding),
                None => self.write(finding)?,
            }
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        run.ranges[range].checkpoint = end;
        if run.is_complete() {
            let after = run.plan.repaired_after;
            self.plan(self.now + after, Action::Complete);
        }
        Ok(())
    }

    /// Writes what one key was seen to be.
    fn write(&mut self, Finding { key, listed, window }: Finding) -> Result<(), String> {
        let before = self.daemon.stack(key);
        let found = self.daemon.repair(key, &listed, window);
        self.note(|| format!("the run repairs {key} from {window:?}: {found:?}"));
        self.ledger.doubted(found.doubt);
        self.plan_recheck(key);
        self.ledger.check(key, &before, &self.daemon, &self.bucket)
    }

    /// All is listed: what was withheld is written, and the run is complete.
    fn complete(&mut self) -> Result<(), String> {
        let Some(run) = self.run.take() else { return Ok(()) };
        for finding in run.withheld {
            self.write(finding)?;
        }
        let (began, window) = (run.began, run.window);
        self.daemon.complete(window, run.ticket);
        self.ledger.completed(began);
        self.note(|| format!("the run is complete: {window:?}"));
        for key in KEYS {
            let before = self.daemon.stack(key);
            self.ledger.check(key, &before, &self.daemon, &self.bucket)?;
        }
        Ok(())
    }

    /// The window of an answer given now: its date has whole seconds and a clock of its own.
    fn window(&mut self) -> Window {
        let clocks = &self.history.pace.clocks;
        let error = clocks.get(self.responses % clocks.len().max(1)).copied().unwrap_or(0);
        self.responses += 1;
        let date = (self.now + error).div_euclid(SECOND) * SECOND;
        Window::around(Timestamp::from_micros(date * 1_000), Duration::from_secs(1))
    }

    fn plan(&mut self, at: Millis, action: Action) {
        self.agenda.push(Reverse((at, self.actions.len())));
        self.actions.push(Some(action));
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.ledger.trace {
            trace.push(format!("{:>12.3}  {}", (self.now - START) as f64 / 1_000.0, line()));
        }
    }
}
