//! The edge to Postgres. Every statement of the daemon is below this folder.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::model::{Horizon, Timestamp, Window};
use news::News;
use precedence::Precedence;

mod apply;
mod attended;
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
mod pooler;
mod precedence;
mod problems;
mod quarantine;
mod ranges;
mod rechecks;
mod repair;
mod reported;
mod reports;
mod retry;
mod rows;
mod runs;
mod sample;
mod schema;
mod standing;
mod starts;
mod stats;
mod status;
mod sweep;
mod withheld;
mod write;

pub use attended::Attended;
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
pub use pooler::{POOLED_REMEDY, is_pooled};
pub use precedence::GIVE_WAY_MAX;
pub use quarantine::{Aside, Quarantined};
pub use ranges::{LEASE, Progress, Range};
pub use rechecks::{Ask, Recheck};
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
pub use withheld::REMOVALS_MIN;

/// The settings that each session starts with. They win over those of the role and of the database, so that neither
/// changes what the catalog holds. Each exists in every supported release: a server refuses a session with one it does
/// not know. The driver adds its own: `TimeZone`, `DateStyle`, `client_encoding`.
///
/// A loop that waits for a lock without a limit would look stuck, so there is a limit.
const SESSION: [(&str, &str); 24] = [
    ("lock_timeout", LOCK_LIMIT),
    ("client_min_messages", "warning"),
    // All that is asked in a hurry has an index. Until a new bucket is analyzed, the planner would read and sort all of
    // its table for every 2,000 rows.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_indexscan", "on"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    // A plan for any bucket locks the partitions of all, with all of their indexes.
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_partition_pruning", "on"),
    ("search_path", "pg_catalog,pg_temp"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("standard_conforming_strings", "on"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("row_security", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_table_access_method", "heap"),
    ("exit_on_error", "off"),
];

/// How long a statement may wait for a lock that somebody else keeps. What gave up is tried again.
const LOCK_LIMIT: &str = "30s";

/// Connections that nobody used for so long are tried before they are used, as a restart of Postgres leaves dead ones
/// behind. Those in use all the time show that by themselves, and a batch is a round trip shorter.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long Postgres may take to answer when it is asked whether it is there.
const REACH_PATIENCE: Duration = Duration::from_secs(5);

/// How many connections those have at once who only look.
const READERS_MAX: u32 = 3;
/// How long they wait for one.
const READ_PATIENCE: Duration = Duration::from_secs(3);
/// How long a statement of theirs may take.
pub const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long it may wait for a lock. Who reads the state of everything waits no longer, either.
const READ_LOCK_LIMIT: &str = "1s";
/// How long a connection of theirs is kept without use.
const READ_IDLE: Duration = Duration::from_secs(60);

/// The catalog in Postgres. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Catalog {
    pool: PgPool,
    /// As many connections as runs may use at once: half of them, so that events find one.
    shares: Arc<Semaphore>,
    precedence: Arc<Precedence>,
    news: Arc<News>,
}

impl Catalog {
    /// A catalog behind `options`. Connects when first used, so it cannot fail here; each use
    /// waits up to `patience` for a connection.
    pub fn new(options: PgConnectOptions, connections_max: u32, patience: Duration) -> Self {
        let options = options.application_name(locks::OURS).options(SESSION);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(patience)
            .after_connect(|connection, _| Box::pin(set_where_needed(connection)))
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| Box::pin(test(connection, metadata.idle_for)))
            .connect_lazy_with(options);
        Self::on(pool)
    }

    /// A catalog behind `options` for those who only look, and whom nobody is to wait for: connections of its own and
    /// few, on which nothing can be written, and each statement ends after [`READ_LIMIT`].
    pub fn to_read(options: PgConnectOptions) -> Self {
        let limit = format!("{}ms", READ_LIMIT.as_millis());
        let options = options.application_name("stocktake page").options(SESSION).options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", limit.as_str()),
            ("lock_timeout", READ_LOCK_LIMIT),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_PATIENCE)
            .idle_timeout(READ_IDLE)
            .after_connect(|connection, _| Box::pin(set_where_needed(connection)))
            .connect_lazy_with(options);
        Self::on(pool)
    }

    /// A catalog on a pool that is there already.
    pub fn on(pool: PgPool) -> Self {
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        let shares = Arc::new(Semaphore::new((connections / 2).clamp(1, Semaphore::MAX_PERMITS)));
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
        let options = self.pool.connect_options();
        let (host, port, user) = (options.get_host(), options.get_port(), options.get_username());
        let place = || match (options.get_socket(), options.get_database()) {
            (Some(socket), database) => {
                format!("{} (database {:?})", socket.display(), database.unwrap_or(user))
            }
            (None, database) => format!("{host}:{port} (database {:?})", database.unwrap_or(user)),
        };
        let connection = tokio::time::timeout(REACH_PATIENCE, PgConnection::connect_with(&options)).await;
        // As the driver would tell it: who is slow may be waited for, like who is away.
        let late =
            |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {REACH_PATIENCE:?}"));
        connection
            .map_err(|elapsed| sqlx::Error::Io(late(elapsed)))
            .flatten()
            .with_context(|| format!("connect to Postgres at {} as {user:?}", place()))?
            .close()
            .await
            .context("close a connection to Postgres")
    }
}

/// Sets what cannot be among [`SESSION`]. Commits wait for the disk, because a message is deleted from its queue once it is
/// committed; values of `synchronous_commit` other than `off` stay. `transaction_timeout` is unknown before PostgreSQL 17. Only
/// a superuser may set `session_replication_role`, without which foreign keys would not delete what depends on a row.
async fn set_where_needed(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "select set_config(name, value, false)
         from (values ('synchronous_commit', 'on', 'off'), ('transaction_timeout', '0', null),
                      ('session_replication_role', 'origin', null)) as wanted (name, value, instead_of)
         where current_setting(name, true) = coalesce(instead_of, nullif(current_setting(name, true), value))",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Tries a connection that has been idle. One that does not answer is replaced by another.
async fn test(connection: &mut PgConnection, idle: Duration) -> Result<bool, sqlx::Error> {
    if idle >= TRUSTED {
        connection.ping().await?;
    }
    Ok(true)
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
}

impl Terms {
    const fn horizon(&self, watermark: Option<Window>, run_started: Option<Timestamp>) -> Horizon {
        Horizon { watermark, run_started, margin: self.margin, trust_sequencers: self.trust_sequencers }
    }
}
