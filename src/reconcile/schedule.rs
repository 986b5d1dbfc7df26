//! When a run starts by itself.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Settings, Trouble, run};
use crate::bucket::Bucket;
use crate::catalog::{Catalog, Connection};
use crate::chain::chain;
use crate::clock::Clock;
use crate::fault::{Fault, Kind};
use crate::health::Health;
use crate::ingest::Backlog;

/// How often a bucket that is well is looked at: where it is, whether it keeps versions, and
/// whether a run is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The first pause after a run or a look that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// The least time between runs that start because too many keys are in doubt: a busy bucket raises
/// doubts while a run goes on, and must not be listed without end for it.
const FLOOD_EVERY: Duration = Duration::from_secs(3600);
/// How long a run may lie about before it is given up: what is listed of it is from another day, and
/// claims reckon with a listing that may have passed their key already.
const FORSAKEN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How often a run that waits for the backlog looks whether it is gone.
const BACKLOG_POLL: Duration = Duration::from_secs(5);

/// When runs of a connection start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From the start of one run to the start of the next; zero for none but the first.
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
}

/// All that keeping one connection true takes.
pub struct Keeper<B> {
    /// The bucket at S3.
    pub bucket: Arc<B>,
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

impl<B: Bucket> Keeper<B> {
    /// Lists the bucket when it is new and then on its schedule, until told to stop. Trouble is
    /// told and tried again, later each time.
    pub async fn keep_true(self, shutdown: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        while !shutdown.is_cancelled() {
            let rest = match self.look_and_run(&shutdown).await {
                Ok(rest) => {
                    self.health.ok(self.connection.subject());
                    pause = PAUSE_FIRST;
                    rest
                }
                Err(Trouble::Stopped) => return,
                Err(Trouble::Ended { .. }) => LOOK_EVERY,
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
            shutdown.run_until_cancelled(tokio::time::sleep(rest)).await;
        }
    }

    /// Looks at the bucket and runs if a run is due. How long to rest then.
    async fn look_and_run(&self, shutdown: &CancellationToken) -> Result<Duration, Trouble> {
        let Self { bucket, catalog, connection, .. } = self;
        let postgres =
            |action: &'static str| move |error| Trouble::Postgres(action, connection.bucket.clone(), error);
        let given_up = catalog.end_forsaken_runs(FORSAKEN_AFTER, (self.clock)()).await;
        given_up.map_err(postgres("give runs up"))?;
        let look = async {
            let region = bucket.region().await?;
            self.insist_on_region(&region)?;
            Ok::<_, Fault>((region, bucket.versioning().await?.0))
        };
        let (region, versioning) = shutdown.run_until_cancelled(look).await.ok_or(Trouble::Stopped)??;
        catalog
            .describe(connection, &region, versioning)
            .await
            .map_err(postgres("describe the connection"))?;
        let open = catalog.open_runs(connection).await.map_err(postgres("look for runs"))?;
        for started in open {
            self.take_turn(&started.prefix, shutdown).await?;
        }
        let last = catalog.last_run(connection).await.map_err(postgres("read the last run"))?;
        let rest = until_due(last, self.schedule.every, (self.clock)());
        let limit = self.schedule.recheck_limit;
        let doubts = catalog.count_rechecks(connection, limit).await.map_err(postgres("count the doubts"))?;
        let is_flooded = doubts > limit && until_due(last, FLOOD_EVERY, (self.clock)()).is_zero();
        if !rest.is_zero() && !is_flooded {
            // It stays a problem until a run is complete.
            let guarded = catalog.guarded(connection).await.map_err(postgres("read the last run"))?;
            let told = |why| Trouble::guarded(&connection.bucket, &connection.prefix, true, why);
            return guarded.map_or(Ok(rest.min(LOOK_EVERY)), |why| Err(told(why)));
        }
        if last.is_some() {
            self.wait_for_backlog(shutdown).await;
        }
        self.take_turn(&connection.prefix, shutdown).await?;
        let last = catalog.last_run(connection).await.map_err(postgres("read the last run"))?;
        Ok(until_due(last, self.schedule.every, (self.clock)()).min(LOOK_EVERY))
    }

    /// Runs, or joins a run, when it is our turn.
    async fn take_turn(&self, prefix: &str, shutdown: &CancellationToken) -> Result<(), Trouble> {
        let Self { bucket, catalog, connection, settings, .. } = self;
        let turn = self.turns.acquire();
        let _turn = shutdown.run_until_cancelled(turn).await.ok_or(Trouble::Stopped)?;
        run(bucket, catalog, connection, prefix, settings, self.clock, shutdown).await.map(drop)
    }

    fn insist_on_region(&self, found: &str) -> Result<(), Fault> {
        let Some(wanted) = self.schedule.region.as_deref().filter(|wanted| *wanted != found) else {
            return Ok(());
        };
        let bucket = &self.connection.bucket;
        Err(Fault {
            action: format!("look for bucket {bucket:?} in {wanted}"),
            kind: Kind::WrongRegion,
            answer: format!("it is in {found}"),
            remedy: format!("connect a bucket in {wanted}, or set region = {found:?} for this one"),
            source: None,
        })
    }

    async fn wait_for_backlog(&self, shutdown: &CancellationToken) {
        let began = (self.clock)();
        while self.backlog.age() > self.schedule.backlog_age
            && (self.clock)() - began < self.schedule.backlog_wait
        {
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
    if matches!(trouble, Trouble::Postgres(..)) { LOOK_EVERY } else { PAUSE_MAX }
}

/// How long until a run is due.
fn until_due(last: Option<OffsetDateTime>, every: Duration, now: OffsetDateTime) -> Duration {
    match last {
        None => Duration::ZERO,
        Some(_) if every.is_zero() => Duration::MAX,
        Some(last) => Duration::try_from(last + every - now).unwrap_or(Duration::ZERO),
    }
}
