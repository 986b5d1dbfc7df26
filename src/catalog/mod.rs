//! The edge to Postgres. Every statement of the daemon is below this folder.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgPool};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::model::{Horizon, Timestamp, Window};
use news::News;
use pool::{SessionPool, Size};
use precedence::Precedence;
use session::STATEMENT_MAX;
use settings::SESSION;

mod apply;
mod attended;
mod blocking;
mod connections;
mod daemons;
mod details;
mod due;
mod fingerprint;
mod forget;
mod held;
mod history;
mod inspect;
mod journal;
mod keep;
mod locks;
mod news;
mod page;
mod pool;
mod pooler;
mod precedence;
mod problems;
mod quarantine;
mod ranges;
mod rechecks;
mod remedy;
mod repair;
mod reported;
mod reports;
mod retry;
mod rows;
mod runs;
mod sample;
mod schema;
mod session;
mod settings;
mod standing;
mod starts;
mod stats;
mod status;
mod sweep;
mod unrepresentable;
mod withheld;
mod write;

pub use attended::Attended;
pub(crate) use blocking::with_versions;
pub use connections::Connection;
pub use daemons::{Daemon, DaemonStatus};
pub use details::{Lookup, Seen};
pub use forget::{FORGOTTEN, FORGOTTEN_REMEDY, is_forgotten, said};
pub use held::{Held, HeldKey, Place};
pub use history::{Amount, Stretch, Traffic};
pub use inspect::{Server, Uninspected};
pub use journal::{Event, Origin};
pub use locks::Blocker;
pub use page::{
    Change, Entry, Inside, KeyDoubt, KeyDrift, KeyVersion, QuarantinedMessage, RangeUnderWay, RunLine,
    RunUnderWay, StatsLine,
};
pub use pool::Servers;
pub use pooler::{POOLED_REMEDY, is_pooled};
pub use precedence::GIVE_WAY_MAX;
pub use quarantine::{Aside, Quarantined};
pub use ranges::{LEASE, Progress, Range};
pub use rechecks::{Ask, Recheck};
pub(crate) use remedy::{AWAY, remedy_of};
pub use repair::{Difference, Effect, Rehearsed, Repaired, Saved, Sighting};
pub use reported::{Reported, ReportedRow};
pub use reports::{LastReport, Reading};
pub use retry::{Trouble, trouble};
pub use runs::{Counts, Ending, Run};
pub use sample::PAGES_COUNTED;
pub use schema::{ENCODING_REMEDY, MIGRATOR, SchemaError};
pub use standing::Standing;
pub use starts::{LastRun, Look, Reason, Trigger};
pub use status::{BucketStatus, Levels, ProblemStatus, RunStatus, Status};
pub use sweep::PURGE_MAX;
pub use unrepresentable::{UNREPRESENTABLE_MAX, UnrepresentableKeys};
pub use withheld::REMOVALS_MIN;

/// A session that was not used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// How long Postgres may take to answer when it is asked whether it is there.
const REACH_PATIENCE: Duration = Duration::from_secs(5);

/// How many connections those have at once who only look.
const READERS_MAX: usize = 3;
/// How long they wait for one.
const READ_PATIENCE: Duration = Duration::from_secs(3);
/// How long a statement of theirs may take.
pub const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long its answer may take to arrive.
const READ_ANSWER_MAX: Duration = Duration::from_secs(7);
/// How long it may wait for a lock. A statement that reads the state of everything waits no longer, either.
const READ_LOCK_LIMIT: &str = "1s";
/// How long a connection of theirs is kept without use.
const READ_IDLE: Duration = Duration::from_secs(60);

/// The catalog in Postgres. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Catalog {
    pool: SessionPool,
    /// As many connections as runs may use at once: half of them, so that events find one.
    shares: Arc<Semaphore>,
    precedence: Arc<Precedence>,
    news: Arc<News>,
}

impl Catalog {
    /// A catalog on one of `servers`. Connects when first used, so it cannot fail here; each use
    /// waits up to `wait` for a connection.
    pub fn new(servers: impl Into<Servers>, connections_max: u32, wait: Duration) -> Self {
        let servers = servers.into().each(|options| options.application_name(locks::OURS).options(SESSION));
        let size = Size {
            sessions: usize::try_from(connections_max).unwrap_or(usize::MAX),
            wait,
            statement: STATEMENT_MAX,
            idle: IDLE_MAX,
        };
        Self::with(SessionPool::new(servers, size))
    }

    /// A catalog on one of `servers` for those who only look, and whom nobody is to wait for: connections of its own and
    /// few, on which nothing can be written, and each statement ends after [`READ_LIMIT`].
    pub fn to_read(servers: impl Into<Servers>) -> Self {
        let limit = format!("{}ms", READ_LIMIT.as_millis());
        let servers = servers.into().each(|options| {
            options.application_name("stocktake page").options(SESSION).options([
                ("default_transaction_read_only", "on"),
                ("statement_timeout", limit.as_str()),
                ("lock_timeout", READ_LOCK_LIMIT),
            ])
        });
        let size =
            Size { sessions: READERS_MAX, wait: READ_PATIENCE, statement: READ_ANSWER_MAX, idle: READ_IDLE };
        Self::with(SessionPool::new(servers, size))
    }

    /// A catalog in the database that a pool of the driver's leads to, with as many connections of its own.
    pub fn on(pool: PgPool) -> Self {
        let options = (*pool.connect_options()).clone();
        Self::new(options, pool.options().get_max_connections(), pool.options().get_acquire_timeout())
    }

    fn with(pool: SessionPool) -> Self {
        let shares = Arc::new(Semaphore::new((pool.max_sessions() / 2).clamp(1, Semaphore::MAX_PERMITS)));
        Self { pool, shares, precedence: Arc::default(), news: Arc::default() }
    }

    /// Waits until a run may use one more connection, and lets it until that is dropped. Batches of
    /// events go first.
    async fn share(&self) -> Option<SemaphorePermit<'_>> {
        self.precedence.give_way().await;
        // The semaphore is never closed.
        self.shares.acquire().await.ok()
    }

    /// Connects once, past the pool, which tells no more than that it waited in vain.
    ///
    /// # Errors
    /// With where Postgres was looked for, and what it or the network said.
    pub async fn reach(&self) -> anyhow::Result<()> {
        let servers = self.pool.servers();
        let user = servers.options.first().map_or("", |options| options.get_username());
        let (connection, _) = servers
            .connect(REACH_PATIENCE)
            .await
            .with_context(|| format!("connect to Postgres at {} as {user:?}", servers.places()))?;
        // That it was reached is all there is to know; the server need not hear that we leave.
        let _ = tokio::time::timeout(REACH_PATIENCE, connection.close()).await;
        Ok(())
    }
}

/// How one bucket's claims and observations are merged: the part of a [`Horizon`] that an
/// operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How far S3's clocks may disagree.
    pub margin: Duration,
    /// Whether sequencers mean anything.
    pub trust_sequencers: bool,
    /// How long a key in doubt waits before it is listed.
    pub recheck_delay: Duration,
    /// Whether changes are written into the journal.
    pub is_journaled: bool,
    /// Whether versions are looked at when they are created.
    pub is_enriched: bool,
    /// Whether keys in records of S3's shape stand as they are, and not form-encoded.
    #[serde(default)]
    pub has_raw_keys: bool,
}

impl Terms {
    const fn horizon(&self, watermark: Option<Window>, run_started: Option<Timestamp>) -> Horizon {
        Horizon { watermark, run_started, margin: self.margin, trust_sequencers: self.trust_sequencers }
    }
}
