//! Those who go through the ranges of one run in this process.

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::leases::Leases;
use super::sweep::Sweep;
use super::{Rehearsal, Trouble, count};
use crate::bucket::Bucket;
use crate::catalog::{
    Catalog, Connection, Counts, LEASE, PAGES_COUNTED, Progress, REMOVALS_MIN, Range, Run, Saved, Sighting,
};
use crate::clock::Clock;
use crate::model::{RawKey, Sample, Span, middle, share};
use crate::pulse;

/// How often leases are renewed: twice may fail before one is over.
const RENEW_EVERY: Duration = Duration::from_secs(LEASE.as_secs() / 3);
/// How often somebody without a range looks for one that another process gave away.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How soon it asks again when all who have one were busy saving it.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// After so many looks in vain, whoever has no range at all says so.
const LOOKS_IN_VAIN: u32 = 10;

/// As many rows by the sample are counted, before they are cut: about as many as are counted at most.
const FEW_ROWS: f64 = PAGES_COUNTED as f64 * 1_000.0;
/// Which share of the rows is left when there are only last pages to be waited for.
const TAIL: f64 = 0.05;

/// What they are at.
pub(super) enum Task {
    /// A run, with how many percent of the catalog's versions it may remove.
    Run { run: Run, max_removals: u8 },
    /// A rehearsal, and where what it finds is noted.
    Rehearsal(Arc<Rehearsal>),
}

/// What all of them need.
pub(super) struct Team<B> {
    pub(super) bucket: Arc<B>,
    pub(super) catalog: Catalog,
    pub(super) connection: Connection,
    /// What is listed: the connection's prefix, or a longer one.
    pub(super) prefix: String,
    pub(super) clock: Clock,
    /// Ends all of them: the process is told to, or one is in trouble.
    pub(super) stop: CancellationToken,
    /// Keys of the catalog.
    sample: Sample,
    task: Task,
    /// By the leases that we hold.
    leases: Leases,
    /// How many present versions were found gone here, and with how many to look at that.
    withheld: AtomicI64,
    guard_at: AtomicI64,
    /// How many have no range.
    hungry: AtomicUsize,
    /// One of them at a time looks for one, and notes whether all are done.
    looks: tokio::sync::Mutex<bool>,
    /// There is a range more, or one less to be done.
    changed: Notify,
    /// The last pages are under way.
    wanes: Notify,
}

impl<B: Bucket> Team<B> {
    pub(super) fn new(
        bucket: &Arc<B>,
        catalog: &Catalog,
        connection: &Connection,
        prefix: &str,
        task: Task,
        clock: Clock,
        shutdown: &CancellationToken,
    ) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            catalog: catalog.clone(),
            connection: connection.clone(),
            prefix: prefix.to_owned(),
            clock,
            stop: shutdown.child_token(),
            sample: Sample::default(),
            task,
            leases: Leases::default(),
            withheld: AtomicI64::new(0),
            guard_at: AtomicI64::new(REMOVALS_MIN),
            hungry: AtomicUsize::new(0),
            looks: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            wanes: Notify::new(),
        }
    }

    /// The same, where the catalog is known to have these keys.
    pub(super) fn knowing(self, sample: Sample) -> Self {
        Self { sample, ..self }
    }

    pub(super) fn postgres(&self, action: &'static str) -> impl Fn(sqlx::Error) -> Trouble {
        move |error| Trouble::postgres(action, &self.connection.bucket, error)
    }

    /// Records keys that the catalog cannot hold; a rehearsal does not.
    pub(super) async fn note_unrepresentable(&self, keys: &[RawKey]) -> Result<(), Trouble> {
        let Task::Run { run, .. } = &self.task else { return Ok(()) };
        let noted = self.catalog.note_unrepresentable(&self.connection, Some(run), keys, (self.clock)());
        noted.await.map_err(self.postgres("record keys that the catalog cannot hold"))
    }

    /// Goes through the ranges of the run until no more are left, here or elsewhere, with so many at
    /// once. When one is in trouble, so are all; what they have taken is given back.
    pub(super) async fn list(self: Arc<Self>, concurrency: usize) -> Result<(), Trouble> {
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let team = Arc::clone(&self);
            let name = format!("range of a run over bucket {}", self.connection.bucket);
            let work = async move {
                while let Some(range) = pulse::rest(team.next_range()).await? {
                    let lease = range.lease;
                    let swept = Sweep::of_range(&team, range).await;
                    if swept.is_ok() {
                        team.leases.end(lease);
                    }
                    // Who waits for a range need not, if this was the last.
                    team.changed.notify_one();
                    swept?;
                }
                Ok(())
            };
            workers.spawn(pulse::keep(name, work.in_current_span()));
        }
        let listed = tokio::select! {
            listed = self.join(&mut workers) => listed,
            never = self.keep_leases() => never,
        };
        self.give_back().await;
        self.wanes.notify_one();
        listed
    }

    /// Waits until hardly anything is left to be listed here, as far as the catalog knows, or nothing.
    pub(super) async fn wanes(&self) {
        self.wanes.notified().await;
    }

    /// Goes through spans, and notes what would be repaired.
    pub(super) async fn rehearse(
        self: Arc<Self>,
        spans: Vec<Span>,
        concurrency: usize,
    ) -> Result<(), Trouble> {
        let mut workers = JoinSet::new();
        let spans = Arc::new(Mutex::new(spans));
        for _ in 0..concurrency {
            let (team, spans) = (Arc::clone(&self), Arc::clone(&spans));
            workers.spawn(async move {
                let next = || spans.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(span) = next() {
                    Sweep::rehearse(&team, span).await?;
                }
                Ok(())
            });
        }
        self.join(&mut workers).await
    }

    /// Waits for all. The first trouble ends them all, and is told.
    async fn join(&self, workers: &mut JoinSet<Result<(), Trouble>>) -> Result<(), Trouble> {
        let mut trouble = None;
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(first)) => {
                    trouble.get_or_insert(first);
                    self.stop.cancel();
                }
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Saves what somebody found in a range of the run.
    pub(super) async fn save(
        &self,
        range: &Range,
        sightings: &[Sighting],
        progress: &Progress,
    ) -> Result<Option<Saved>, Trouble> {
        let Task::Run { run, .. } = &self.task else { return Ok(None) };
        let saved = self
            .catalog
            .save(&self.connection, run, range, sightings, progress, (self.clock)())
            .await
            .map_err(self.postgres("save what was listed"))?;
        if let Some(saved) = &saved {
            count(&self.connection.bucket, &saved.repaired);
            self.withheld.fetch_add(saved.withheld, Ordering::Relaxed);
            self.guard().await?;
        }
        Ok(saved)
    }

    /// Notes what would be repaired.
    pub(super) async fn rehearse_repairs(
        &self,
        sightings: &[Sighting],
        counts: Counts,
    ) -> Result<(), Trouble> {
        let Task::Rehearsal(rehearsal) = &self.task else { return Ok(()) };
        let rehearsed = self.catalog.rehearse(&self.connection, sightings, (self.clock)()).await;
        rehearsal.add(counts, rehearsed.map_err(self.postgres("rehearse a repair"))?);
        Ok(())
    }

    /// Looks whether the run would remove too much, each time that twice as much was withheld here: if so
    /// it is stopped, and no range of it is left to be had or saved.
    async fn guard(&self) -> Result<(), Trouble> {
        let Task::Run { run, max_removals } = &self.task else { return Ok(()) };
        let (withheld, next) = (self.withheld.load(Ordering::Relaxed), self.guard_at.load(Ordering::Relaxed));
        if withheld <= next {
            return Ok(());
        }
        self.guard_at.store(withheld.saturating_mul(2), Ordering::Relaxed);
        let judged =
            self.catalog.judge_removals(&self.connection, run, *max_removals, false, (self.clock)()).await;
        judged.map_err(self.postgres("judge what to remove"))
    }

    /// Where to cut what is left of a range, after the last key of a page whose keys have `path` characters in common, for
    /// itself and so many others. If the page `is_held`, so is what follows, as far as anybody knows: whole
    /// pages are given away, if there is more than one. Else it is by the sample, or where no catalog is needed.
    pub(super) async fn cuts(
        &self,
        left: &Span,
        path: usize,
        others: usize,
        is_held: bool,
    ) -> Result<Vec<String>, Trouble> {
        if is_held && self.sample.rows(left) < FEW_ROWS {
            let ends = self.catalog.page_ends(&self.connection, &self.prefix, left).await;
            return Ok(share(ends.map_err(self.postgres("look for the ends of pages"))?, others));
        }
        let mut cuts = self.sample.cuts(left, others + 1);
        if cuts.is_empty() {
            cuts.extend(middle(&left.after, left.to.as_deref(), path));
        }
        Ok(cuts)
    }

    /// Notes what is left of a range. How many parts of it are asked for here.
    pub(super) fn hear(&self, range: &Range, left: &Span) -> usize {
        self.leases.hear(range.lease, self.sample.rows(left))
    }

    /// Notes that somebody elsewhere waits for a part of a range.
    pub(super) fn want(&self, range: &Range) {
        self.leases.want(range.lease);
    }

    /// Parts of a range were given away: there are new ones to be had.
    pub(super) fn answer(&self, range: &Range) {
        self.leases.answer(range.lease);
        self.changed.notify_one();
    }

    /// Takes a range, as soon as there is one. None when all are done, or the run is.
    async fn next_range(&self) -> Result<Option<Range>, Trouble> {
        let Task::Run { run, .. } = &self.task else { return Ok(None) };
        // As long as there are some to be had, nobody need cut theirs, and many can take one at once.
        if let Some(range) = self.take_range(run).await? {
            return Ok(Some(range));
        }
        if self.leases.left() < self.sample.rows(&Span::all()) * TAIL {
            self.wanes.notify_one();
        }
        let hungry = Hungry::new(&self.hungry);
        let mut are_all_done = self.looks.lock().await;
        let mut looks = 0;
        while !*are_all_done {
            if let Some(range) = self.take_range(run).await? {
                return Ok(Some(range));
            }
            looks += 1;
            if looks == LOOKS_IN_VAIN && self.leases.all().is_empty() {
                let (bucket, run_id, lease) = (&self.connection.bucket, run.run_id, LEASE.as_secs());
                tracing::info!(
                    bucket,
                    run_id,
                    "others have all that is left of the run; who died keeps it for up to {lease} s"
                );
            }
            let mut pause = LOOK_EVERY;
            let missing = self.leases.ask(hungry.count());
            if missing > 0 {
                let wanted = self.catalog.want_ranges(run, missing, &self.leases.all()).await;
                match wanted.map_err(self.postgres("look for a range"))? {
                    Some(true) => {}
                    Some(false) => pause = ASK_AGAIN,
                    None => {
                        *are_all_done = true;
                        break;
                    }
                }
            }
            let changed = tokio::time::timeout(pause, self.changed.notified());
            self.stop.run_until_cancelled(changed).await;
        }
        Ok(None)
    }

    async fn take_range(&self, run: &Run) -> Result<Option<Range>, Trouble> {
        if self.stop.is_cancelled() {
            return Err(Trouble::Stopped);
        }
        let taken = self.catalog.take_range(run).await.map_err(self.postgres("take a range"))?;
        if let Some(Range { lease, span, .. }) = &taken {
            self.leases.begin(*lease, self.sample.rows(span));
        }
        Ok(taken)
    }

    async fn keep_leases<T>(&self) -> T {
        let Task::Run { run, .. } = &self.task else { return pending().await };
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let leases = self.leases.all();
            // Who cannot reach Postgres in time loses them, and finds out when it saves.
            if let Err(error) = self.catalog.renew_leases(run, &leases).await {
                tracing::debug!(%error, run_id = run.run_id, "renew the leases of ranges");
            }
        }
    }

    async fn give_back(&self) {
        let leases = self.leases.all();
        let Task::Run { run, .. } = &self.task else { return };
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.catalog.give_back_ranges(run, &leases).await {
            tracing::debug!(%error, run_id = run.run_id, "give ranges back");
        }
    }
}

/// Somebody without a range, counted as long as that lasts.
struct Hungry<'a>(&'a AtomicUsize);

impl<'a> Hungry<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Hungry<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
