//! What can happen next, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use stocktake::bucket::Versioning;
use stocktake::model::Outcome;

use super::state::{KEY, Listing, Look, Moment, Page, content};
use super::{Bounds, DELIVERIES_MAX};
use crate::history::{self, whole};
use crate::run::Run;
use crate::world::{Millis, RemovalStamp, SECOND};

/// The time to something that may be too close to what was before to be told from it, and to
/// something surely later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gap {
    Near,
    Far,
}

/// A request to the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Put,
    /// With the bytes of the first.
    PutAgain,
    Delete,
    /// Of the version that is the latest.
    DeleteVersion(RemovalStamp),
    /// An upload in parts, which is no write until it is completed.
    Begin,
    Complete,
}

/// What can be asked of a bucket, as far as it makes a difference there.
const fn requests(versioning: Versioning) -> &'static [Request] {
    use RemovalStamp::{Fresh, Victims};
    use Request::{Begin, Complete, Delete, DeleteVersion, Put, PutAgain};
    match versioning {
        Versioning::Unversioned => &[Put, PutAgain, Delete, DeleteVersion(Victims), Begin, Complete],
        Versioning::Enabled => &[Put, Delete, DeleteVersion(Fresh), Begin, Complete],
        Versioning::Suspended => {
            &[Put, PutAgain, Delete, DeleteVersion(Fresh), DeleteVersion(Victims), Begin, Complete]
        }
    }
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Write(Request, Gap),
    Arrive(usize),
    StartRun(Gap),
    ReadPage,
    WritePage,
    /// What would remove versions is written, and the run is over.
    CompleteRun,
    /// The daemon dies. The run goes on from its last position, or is given up.
    Die {
        is_resumed: bool,
    },
    Look(Gap),
    Settle,
}

impl Moment {
    /// All that can happen now.
    pub(super) fn steps(&self, versioning: Versioning, bounds: &Bounds, steps: &mut Vec<Step>) {
        let gaps = [Gap::Near, Gap::Far];
        if self.writes < bounds.writes {
            let requests = requests(versioning).iter().filter(|request| self.is_possible(**request));
            steps.extend(
                requests.flat_map(|&request| bounds.gaps.iter().map(move |&gap| Step::Write(request, gap))),
            );
        }
        let doubled = self.events.iter().filter(|(_, times)| *times > 1).count();
        let times_max = if doubled < bounds.doubled { DELIVERIES_MAX } else { 1 };
        let waiting = (0..self.events.len()).filter(|event| self.events[*event].1 < times_max);
        steps.extend(waiting.map(Step::Arrive));
        match &self.listing {
            Listing::Ahead if bounds.has_run => steps.extend(gaps.map(Step::StartRun)),
            Listing::UnderWay { in_hand: None, run } if run.is_complete() => steps.push(Step::CompleteRun),
            Listing::UnderWay { in_hand: None, .. } => steps.push(Step::ReadPage),
            Listing::UnderWay { in_hand: Some(_), .. } => steps.push(Step::WritePage),
            Listing::Ahead | Listing::Complete { .. } | Listing::GivenUp => {}
        }
        let is_running = matches!(self.listing, Listing::UnderWay { .. });
        if self.deaths < bounds.deaths && (is_running || self.look.is_some()) {
            steps.push(Step::Die { is_resumed: true });
            if is_running {
                steps.push(Step::Die { is_resumed: false });
            }
        }
        if self.look.is_some() {
            if !bounds.is_slow {
                steps.clear();
            }
            steps.push(Step::Settle);
        } else if self.daemon.rechecks.contains_key(&KEY) {
            steps.push(Step::Look(Gap::Far));
            if self.hasty_looks < bounds.hasty_looks {
                steps.push(Step::Look(Gap::Near));
            }
        }
    }

    fn is_possible(&self, request: Request) -> bool {
        match request {
            Request::Put => true,
            Request::PutAgain => self.writes > 0,
            Request::Delete | Request::DeleteVersion(_) => !self.bucket.listed(KEY).is_empty(),
            Request::Begin => !self.has_upload,
            Request::Complete => self.has_upload,
        }
    }

    /// The moment after a step.
    pub(super) fn after(&self, step: Step) -> Self {
        let mut next = self.clone();
        match step {
            Step::Write(request, gap) => next.write(request, gap),
            Step::Arrive(event) => next.arrive(event),
            Step::StartRun(gap) => next.start_run(gap),
            Step::ReadPage => next.read_page(),
            Step::WritePage => next.write_page(),
            Step::CompleteRun => next.complete_run(),
            Step::Die { is_resumed } => next.die(is_resumed),
            Step::Look(gap) => next.look(gap),
            Step::Settle => next.settle(),
        }
        next.note_removals();
        next.forget_old_tickets();
        next
    }

    fn wait(&mut self, gap: Gap) {
        self.now = match gap {
            Gap::Near => self.now + SECOND,
            Gap::Far => self.now.max(self.stirred + 60 * SECOND),
        };
    }

    fn stir(&mut self, gap: Gap) {
        self.wait(gap);
        self.stirred = self.now;
    }

    fn write(&mut self, request: Request, gap: Gap) {
        self.stir(gap);
        let now = self.now;
        let bucket = Arc::make_mut(&mut self.bucket);
        let event = match request {
            Request::Put => Some(bucket.put(KEY, content(["x", "y", "z"][self.writes % 3]), now)),
            Request::PutAgain => Some(bucket.put(KEY, content("x"), now)),
            Request::Delete => Some(bucket.delete(KEY, now)),
            Request::DeleteVersion(stamp) => bucket.delete_version(KEY, 0, stamp, now),
            Request::Begin => {
                bucket.begin(0, KEY, now);
                None
            }
            Request::Complete => bucket.complete(0, content("p-2"), now),
        };
        match request {
            Request::Begin => self.has_upload = true,
            Request::Complete => self.has_upload = false,
            _ => {}
        }
        if let Some(event) = event {
            self.writes += 1;
            self.last_write = now;
            self.events.push((Arc::new(event), 0));
        }
    }

    fn arrive(&mut self, place: usize) {
        let (event, times) = &mut self.events[place];
        *times += 1;
        let claim = event.claim();
        let before = self.daemon.stack(KEY);
        let verdict = self.daemon.ingest(KEY, &claim);
        if verdict.outcome == Outcome::Applied {
            let is_listed = self.daemon.watermark.is_some() || self.daemon.run_started.is_some();
            self.exceptions.note(KEY, &claim, &before, is_listed, &self.bucket);
        }
    }

    fn start_run(&mut self, gap: Gap) {
        self.stir(gap);
        let window = self.window();
        let ticket = self.daemon.start(window.from);
        // One version to a page: a key with several is split.
        let plan = history::Run { page: 1, ..whole() };
        let run = Run::begin(&plan, self.now, window, ticket, 1, BTreeMap::new());
        self.listing = Listing::UnderWay { run: Box::new(run), in_hand: None };
    }

    fn read_page(&mut self) {
        self.stir(Gap::Near);
        let window = self.window();
        let Listing::UnderWay { run, in_hand } = &mut self.listing else { return };
        run.window.to = run.window.to.max(window.to);
        let range = &mut run.ranges[0];
        let (after, from) = range.position();
        let page = self.bucket.page(after, from, range.last, run.plan.page);
        let (findings, end) = range.take(page, window);
        let held = self.daemon.stack(KEY);
        let differs = |finding: &crate::run::Finding| {
            finding.key == KEY && self.daemon.differs(&held, &finding.listed, finding.window)
        };
        *in_hand = Some(Page { differing: findings.into_iter().filter(differs).collect(), end });
    }

    fn write_page(&mut self) {
        let Listing::UnderWay { run, in_hand } = &mut self.listing else { return };
        let Some(Page { differing, end }) = in_hand.take() else { return };
        for finding in differing {
            if self.daemon.removes(finding.key, &finding.listed, finding.window) {
                run.withheld.push(finding);
            } else {
                self.daemon.repair(finding.key, &finding.listed, finding.window);
            }
        }
        run.ranges[0].checkpoint = end;
    }

    fn complete_run(&mut self) {
        let Listing::UnderWay { run, .. } = &mut self.listing else { return };
        for finding in std::mem::take(&mut run.withheld) {
            self.daemon.repair(finding.key, &finding.listed, finding.window);
        }
        let (began, window, ticket) = (run.began, run.window, run.ticket);
        self.daemon.complete(window, ticket);
        self.exceptions.heal(began);
        self.listing = Listing::Complete { began };
    }

    fn die(&mut self, is_resumed: bool) {
        self.deaths += 1;
        self.look = None;
        let Listing::UnderWay { run, in_hand } = &mut self.listing else { return };
        if is_resumed {
            *in_hand = None;
            run.revive(1);
        } else {
            self.daemon.run_started = None;
            self.listing = Listing::GivenUp;
        }
    }

    fn look(&mut self, gap: Gap) {
        let Some(&ticket) = self.daemon.rechecks.get(&KEY) else { return };
        self.hasty_looks += usize::from(gap == Gap::Near);
        self.wait(gap);
        self.look = Some(Look { ticket, listed: self.bucket.listed(KEY), window: self.window() });
    }

    fn settle(&mut self) {
        let Some(Look { ticket, listed, window }) = self.look.take() else { return };
        self.daemon.settle(KEY, ticket, &listed, window);
    }

    fn note_removals(&mut self) {
        let Some(stack) = self.daemon.catalog.get(&KEY) else { return };
        let removed = stack.slots().filter(|(version, slot)| !slot.is_present() && !version.is_null());
        self.gone.extend(removed.map(|(version, _)| version.clone()));
    }

    /// How long ago the last write was when the run began that is complete now.
    pub(super) fn rest_before_run(&self) -> Option<Millis> {
        match self.listing {
            Listing::Complete { began } => Some(began - self.last_write),
            _ => None,
        }
    }
}
