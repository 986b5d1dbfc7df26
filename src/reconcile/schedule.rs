//! When a run starts by itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Settings, Trouble, run};
use crate::bucket::{Bucket, Objects};
use crate::catalog::{Catalog, Connection, LastRun, Reason, Trigger};
use crate::chain::chain;
use crate::clock::Clock;
use crate::health::Health;
use crate::ingest::Backlog;
use crate::inventory::Source;
use crate::pulse;

/// How often a bucket that is well is looked at: where it is, whether it keeps versions, and
/// whether a run is due.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The first pause after a run or a look that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// The least time between runs that start because too many keys are in doubt: a busy bucket raises
/// doubts while a run goes on, and must not be listed without end for it.
const FLOOD_EVERY: Duration = Duration::from_secs(3600);
/// How long a run may lie about before it is given up: what is listed of it is from another day, and
/// claims reckon with a listing that may have passed their key already.
const FORSAKEN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The part of the time between two scheduled runs by which a connection may be early: each is by another
/// share of it, so that buckets that were first listed together do not stay together.
const SPREAD: u32 = 10;
/// How often a keeper that rests looks whether a run was asked for.
const ASKED_POLL: Duration = Duration::from_secs(5);
/// How often a run that waits for the backlog looks whether it is gone.
const BACKLOG_POLL: Duration = Duration::from_secs(5);

/// What the window of a page and that of the listing before have of grain and latency between them: each is as wide
/// as the request took and a second more at both ends, and the date in its middle up to a second early.
const WINDOWS: Duration = Duration::from_secs(4);

/// The least time from the end of a listing to the next, where S3's clocks disagree by up to `margin`: what is seen
/// sooner may be from before that listing as well, so that what differs only ever is in doubt.
const fn least_pause(margin: Duration) -> Duration {
    margin.saturating_add(WINDOWS)
}

/// The least time between the starts of two scheduled listings: `least_pause`, also where a connection is early.
pub const fn least_period(margin: Duration) -> Duration {
    let least = least_pause(margin);
    Duration::from_secs(
        (least.saturating_mul(SPREAD).as_millis() as u64).div_ceil(1_000 * (SPREAD as u64 - 1)),
    )
}

/// When runs of a connection start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From the start of one run to the start of the next at most, and nine tenths of that at least; zero
    /// for none but the first, and those that something else calls for.
    pub every: Duration,
    /// A run waits until the messages being received are younger than this: otherwise each late
    /// event of the backlog would be a doubt …
    pub backlog_age: Duration,
    /// … but not longer than this.
    pub backlog_wait: Duration,
    /// With more keys in doubt than this a run starts at once and settles them together, instead
    /// of a listing for each.
    pub recheck_limit: usize,
    /// The region the bucket must be in, where one is configured.
    pub region: Option<String>,
    /// The queues that events come from, by their URLs. Without any nobody asks what the bucket tells to whom.
    pub queues: Arc<[String]>,
}

/// All that keeping one connection true takes.
pub struct Keeper<B> {
    /// The bucket at S3.
    pub bucket: Arc<B>,
    /// Where its inventory reports are, if runs but the first read those instead of listing it.
    pub inventory: Option<Source<B>>,
    /// The catalog in Postgres.
    pub catalog: Catalog,
    /// Which bucket and prefix.
    pub connection: Arc<Connection>,
    /// When.
    pub schedule: Schedule,
    /// How old the messages are that are being received.
    pub backlog: Backlog,
    /// How.
    pub settings: Settings,
    /// A run takes one, so that only so many go on at once.
    pub turns: Arc<Semaphore>,
    /// Where trouble is told.
    pub health: Health,
    /// Our own clock.
    pub clock: Clock,
}

impl<B: Bucket + Objects> Keeper<B> {
    /// Lists the bucket when it is new and then on its schedule, until told to stop. Trouble is
    /// told and tried again, later each time.
    pub async fn keep_true(self, shutdown: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        while !shutdown.is_cancelled() {
            pulse::beat();
            let looked = self.look_and_run(&shutdown).await;
            self.tell_unrepresentable().await;
            let rest = match looked {
                Ok(rest) => {
                    self.health.ok(self.connection.subject());
                    pause = PAUSE_FIRST;
                    self.rest_unless_asked(rest, &shutdown).await;
                    continue;
                }
                Err(Trouble::Stopped) => return,
                Err(Trouble::Ended { .. }) => LOOK_EVERY,
                Err(Trouble::Needless(_)) => Duration::ZERO,
                Err(trouble @ Trouble::Guarded { .. }) => {
                    self.tell(trouble);
                    LOOK_EVERY
                }
                Err(trouble) => {
                    let rest = pause.min(longest_pause(&trouble));
                    self.tell(trouble);
                    pause = (pause * 2).min(PAUSE_MAX);
                    rest
                }
            };
            pulse::rest(shutdown.run_until_cancelled(tokio::time::sleep(rest))).await;
        }
    }

    /// Looks at the bucket and runs if a run is due. How long to rest then.
    async fn look_and_run(&self, shutdown: &CancellationToken) -> Result<Duration, Trouble> {
        let Self { catalog, connection, .. } = self;
        let postgres = |action| self.postgres(action);
        let given_up = catalog.end_forsaken_runs(FORSAKEN_AFTER, (self.clock)()).await;
        given_up.map_err(postgres("give runs up"))?;
        shutdown.run_until_cancelled(self.look()).await.ok_or(Trouble::Stopped)??;
        let open = catalog.open_runs(connection).await.map_err(postgres("look for runs"))?;
        for started in open {
            self.take_turn(&started.prefix, None, shutdown).await?;
        }
        let last = catalog.last_run(connection).await.map_err(postgres("read the last run"))?;
        let reason = self.reason(last).await?;
        if let (Some(source), Some(last), None | Some(Reason::Schedule)) = (&self.inventory, last, reason) {
            return self.keep_true_by_reports(source, last, shutdown).await;
        }
        let Some(reason) = reason else {
            // It stays a problem until a run is complete.
            let guarded = catalog.guarded(connection).await.map_err(postgres("read the last run"))?;
            let told = |why| Trouble::guarded(&connection.bucket, &connection.prefix, why);
            return guarded.map_or(Ok(self.rest(last)), |why| Err(told(why)));
        };
        let Connection { bucket, prefix, .. } = &**connection;
        tracing::info!(bucket, prefix, reason = reason.as_str(), "a run is due");
        if last.is_some() {
            self.wait_for_backlog(shutdown).await;
        }
        let trigger = Trigger::Due { reason, last: last.map(|last| last.run_id) };
        self.take_turn(&connection.prefix, Some(trigger), shutdown).await?;
        let last = catalog.last_run(connection).await.map_err(postgres("read the last run"))?;
        Ok(self.rest(last))
    }

    /// Why a run is due now, if one is.
    async fn reason(&self, last: Option<LastRun>) -> Result<Option<Reason>, Trouble> {
        let Self { catalog, connection, .. } = self;
        let now = (self.clock)();
        if last.is_none() {
            return Ok(Some(Reason::New));
        }
        let asked = catalog.asked_run(connection, now).await;
        if let Some(reason) = asked.map_err(self.postgres("look for runs that were asked for"))? {
            return Ok(Some(reason));
        }
        if self.until_scheduled(last, now).is_zero() {
            return Ok(Some(Reason::Schedule));
        }
        let limit = self.schedule.recheck_limit;
        let doubts = catalog.count_rechecks(connection, limit).await;
        let is_flooded = doubts.map_err(self.postgres("count the doubts"))? > limit;
        if !is_flooded || !self.until_useful(last, now).is_zero() {
            return Ok(None);
        }
        let before = catalog.last_run_because(connection, Some(Reason::Doubts)).await;
        let before = before.map_err(self.postgres("read the last run that doubts called for"))?;
        Ok(until_due(before, FLOOD_EVERY, now).is_zero().then_some(Reason::Doubts))
    }

    /// Rests, but not any longer when a run was asked for: by another loop, or by another daemon.
    async fn rest_unless_asked(&self, rest: Duration, shutdown: &CancellationToken) {
        let end = Instant::now() + rest;
        loop {
            pulse::beat();
            let left = end.saturating_duration_since(Instant::now());
            let slept = shutdown.run_until_cancelled(tokio::time::sleep(left.min(ASKED_POLL))).await;
            if slept.is_none() || left <= ASKED_POLL {
                return;
            }
            // A database that is away is told of by the next look.
            if let Ok(Some(_)) = self.catalog.asked_run(&self.connection, (self.clock)()).await {
                return;
            }
        }
    }

    pub(super) fn period(&self) -> Duration {
        self.schedule.period(&self.connection.bucket, &self.connection.prefix)
    }

    fn rest(&self, last: Option<LastRun>) -> Duration {
        self.until_scheduled(last, (self.clock)()).min(LOOK_EVERY)
    }

    /// How long until it is time for a run. One that takes as long as the time between two is not followed at
    /// once by the next, which could tell nothing from it.
    fn until_scheduled(&self, last: Option<LastRun>, now: OffsetDateTime) -> Duration {
        until_due(last, self.period(), now).max(self.until_useful(last, now))
    }

    /// How long until a listing can tell something that the last one did not.
    fn until_useful(&self, last: Option<LastRun>, now: OffsetDateTime) -> Duration {
        let pause = least_pause(self.connection.terms.margin);
        let ended = last.and_then(|last| last.finished_at);
        ended.map(|ended| Duration::try_from(ended + pause - now).unwrap_or_default()).unwrap_or_default()
    }

    /// Runs, or joins a run, when it is our turn.
    pub(super) async fn take_turn(
        &self,
        prefix: &str,
        trigger: Option<Trigger>,
        shutdown: &CancellationToken,
    ) -> Result<(), Trouble> {
        let Self { bucket, catalog, connection, settings, clock, .. } = self;
        let turn = self.turns.acquire();
        let _turn = pulse::rest(shutdown.run_until_cancelled(turn)).await.ok_or(Trouble::Stopped)?;
        let settings = Settings { trigger, ..*settings };
        // Those at work on its ranges have pulses of their own; and to remove what is gone may take any time.
        let run = run(bucket, catalog, connection, prefix, &settings, *clock, shutdown);
        pulse::rest(Box::pin(run)).await.map(drop)
    }

    pub(super) fn postgres(&self, action: &'static str) -> impl Fn(sqlx::Error) -> Trouble {
        move |error| Trouble::postgres(action, &self.connection.bucket, error)
    }

    pub(super) async fn wait_for_backlog(&self, shutdown: &CancellationToken) {
        let began = (self.clock)();
        while self.backlog.age() > self.schedule.backlog_age
            && (self.clock)() - began < self.schedule.backlog_wait
        {
            pulse::beat();
            if shutdown.run_until_cancelled(tokio::time::sleep(BACKLOG_POLL)).await.is_none() {
                return;
            }
        }
    }

    fn tell(&self, trouble: Trouble) {
        let remedy = trouble.remedy().to_owned();
        let Connection { bucket, prefix, .. } = &*self.connection;
        if self.health.problem(self.connection.subject(), trouble.message(), &remedy, (self.clock)()) {
            tracing::warn!(bucket, prefix, remedy, "bucket is not kept true: {}", chain(&trouble));
        }
    }
}

/// S3 is spared where it keeps refusing. Postgres is asked all the time anyway, and once it is back
/// no bucket should say for ten minutes more that it is not.
fn longest_pause(trouble: &Trouble) -> Duration {
    if matches!(trouble, Trouble::Postgres(..) | Trouble::Forgotten(_)) { LOOK_EVERY } else { PAUSE_MAX }
}

impl Schedule {
    /// From the start of one run of a connection to the start of the next: its own, and always the same.
    fn period(&self, bucket: &str, prefix: &str) -> Duration {
        let mut hasher = DefaultHasher::new();
        (bucket, prefix).hash(&mut hasher);
        let share = (hasher.finish() >> 32) as f64 / f64::from(u32::MAX);
        self.every - (self.every / SPREAD).mul_f64(share)
    }
}

/// How long until a run is due.
pub(super) fn until_due(last: Option<LastRun>, every: Duration, now: OffsetDateTime) -> Duration {
    match last {
        None => Duration::ZERO,
        Some(_) if every.is_zero() => Duration::MAX,
        Some(last) => Duration::try_from(last.started_at + every - now).unwrap_or(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, Glance, Horizon, Listed, Stack, State, Timestamp, VersionId, Window};

    /// The window of an answer of this moment, in milliseconds, that took half a second to come.
    fn window(millis: i64) -> Window {
        let date = Timestamp::from_micros(millis.div_euclid(1_000) * 1_000_000);
        Window::around(date, Duration::from_millis(1_500))
    }

    #[test]
    fn a_listing_that_follows_another_too_soon_decides_nothing() {
        let margin = Duration::from_secs(5);
        let listed = Listed {
            version: VersionId::null(),
            is_latest: true,
            state: State::Object(Content::default()),
            last_modified: Timestamp::from_micros(0),
            storage_class: None,
        };
        let is_decided = |first: i64, second: i64| {
            let (watermark, run_started) = (Some(window(first)), None);
            let horizon = Horizon { watermark, run_started, margin, trust_sequencers: true };
            let seen = Stack::default().observe(
                std::slice::from_ref(&listed),
                window(second),
                Glance::Run,
                &horizon,
            );
            seen.doubt.is_none()
        };
        let pause = i64::try_from(least_pause(margin).as_millis()).unwrap();
        let moments = || (0..1_000).step_by(50);
        assert!(
            moments().all(|moment| is_decided(moment, moment + pause)),
            "whatever part of a second it is"
        );
        assert!(
            !moments().all(|moment| is_decided(moment, moment + pause - 1_000)),
            "and a second less is too little"
        );
        let early = least_period(margin) - least_period(margin) / SPREAD;
        assert!(early >= least_pause(margin), "also for a connection that is early: {early:?}");
    }

    #[test]
    fn connections_with_one_period_are_spread() {
        let schedule = Schedule {
            every: Duration::from_secs(24 * 3600),
            backlog_age: Duration::ZERO,
            backlog_wait: Duration::ZERO,
            recheck_limit: 1,
            region: None,
            queues: Arc::default(),
        };
        let period = |number: u32| schedule.period(&format!("bucket-{number}"), "");
        let mut periods: Vec<_> = (0..50).map(period).collect();
        assert_eq!(periods, (0..50).map(period).collect::<Vec<_>>(), "a restart changes nothing");
        periods.sort_unstable();
        let (least, most) = (periods[0], periods[49]);
        let hours = |hours: f64| Duration::from_secs_f64(hours * 3600.0);
        assert!(least >= hours(21.6) && least < hours(22.0), "{least:?}");
        assert!(most > hours(23.6) && most <= hours(24.0), "{most:?}");
        // Fifty in eight slots of eighteen minutes.
        for slot in 0..8 {
            let from = hours(21.6 + 0.3 * f64::from(slot));
            let count =
                periods.iter().filter(|&&period| period >= from && period < from + hours(0.3)).count();
            assert!((1..16).contains(&count), "{count} at once: {periods:?}");
        }
    }
}
