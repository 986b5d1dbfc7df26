//! The sessions with Postgres: made, checked, lent out, and closed when they miss a deadline.
//!
//! The pool is deadpool's. The driver's own pool gives a slot back only after it has spoken with the server, which
//! takes for ever with a server that vanished without a word (<https://github.com/launchbadge/sqlx/issues/4349>).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{
    Manager, Metrics, Object, PoolError, RecycleError, RecycleResult, TimeoutType, Timeouts,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection};
use tokio::time::timeout;

use super::session::{Bounded, STATEMENT_MAX, Session, Transaction};
use super::settings::BEGIN;

/// How long a session that was idle may take to answer before it is taken for lost.
const PING_MAX: Duration = Duration::from_secs(3);
/// A session that was used within this time is trusted without a ping: a batch is a round trip shorter.
const TRUSTED: Duration = Duration::from_secs(1);
/// After this time a session is replaced, so that a new address, certificate or password gets used.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long the end of a session may take, when everything else is done.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// How long the attempt to connect to one server may take while others are left to try.
const CONNECT_NEXT_MAX: Duration = Duration::from_secs(3);
/// How often the server is asked whether it is still at work on a statement that takes long.
const IDLE_CHECK: Duration = Duration::from_secs(10);
/// How many times in a row it has to say that it is not: the answer may be on its way.
const IDLE_TIMES: u32 = 2;

/// Postgres, or what is between it and us, stopped answering.
#[derive(Debug, thiserror::Error)]
#[error("{}: no answer to {to} within {limit:.0?}", if self.is_of_session() { "the server stopped answering" } else { "the server does not answer" })]
pub(crate) struct NoAnswer {
    to: &'static str,
    limit: Duration,
}

/// The step that ends with a session.
const CONNECT: &str = "an attempt to connect";

impl NoAnswer {
    /// Whether there was a session already.
    pub(super) fn is_of_session(&self) -> bool {
        self.to != CONNECT
    }
}

/// The server that was reached takes no writes.
#[derive(Debug, thiserror::Error)]
#[error("the server is a standby, which takes no writes")]
pub(crate) struct Standby;

/// That no answer came within `limit`, as an error of the driver.
pub(super) fn no_answer(to: &'static str, limit: Duration) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, NoAnswer { to, limit }))
}

/// The servers a session may be with, and which of them will do.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Where they are, in the order in which they are tried.
    pub options: Vec<PgConnectOptions>,
    /// Whether a standby is passed over.
    pub must_write: bool,
}

impl From<PgConnectOptions> for Servers {
    fn from(options: PgConnectOptions) -> Self {
        Self { options: vec![options], must_write: true }
    }
}

impl Servers {
    /// The same servers, with sessions set up as `set` says.
    pub(super) fn each(self, set: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self { options: self.options.into_iter().map(set).collect(), ..self }
    }

    /// Where they are, without user and password.
    pub(super) fn places(&self) -> String {
        let places: Vec<String> = self.options.iter().map(place).collect();
        places.join(" or ")
    }

    /// Connects to the first server that will do; each may take up to `limit`. With the number of the session there.
    pub(super) async fn connect(&self, limit: Duration) -> Result<(PgConnection, i32), Error> {
        let mut failure = None;
        for (index, options) in self.options.iter().enumerate() {
            let is_last = index + 1 == self.options.len();
            let limit = if is_last { limit } else { limit.min(CONNECT_NEXT_MAX) };
            let connected = timeout(limit, Box::pin(self.connect_to(options))).await;
            match connected.unwrap_or_else(|_| Err(no_answer(CONNECT, limit))) {
                Ok(connected) => return Ok(connected),
                // An error that a server answers with tells more than that another one cannot be reached.
                Err(error) if failure.is_none() || error.as_database_error().is_some() => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or(Error::PoolClosed))
    }

    async fn connect_to(&self, options: &PgConnectOptions) -> Result<(PgConnection, i32), Error> {
        let mut connection = PgConnection::connect_with(options).await.map_err(not_reached)?;
        let (pid, is_standby, _): (i32, bool, i64) =
            sqlx::query_as(BEGIN).persistent(false).fetch_one(&mut connection).await?;
        if is_standby && self.must_write {
            return Err(Error::Io(io::Error::other(Standby)));
        }
        Ok((connection, pid))
    }

    /// Waits until the server is not at work any more on what the session of this number asked it for; the answer
    /// must have been lost then. While that cannot be found out, nothing is known to be lost.
    pub(super) async fn until_idle(&self, pid: i32) {
        let mut times = 0;
        while times < IDLE_TIMES {
            tokio::time::sleep(IDLE_CHECK).await;
            match timeout(IDLE_CHECK, Box::pin(self.is_at_work(pid))).await {
                Ok(Ok(false)) => times += 1,
                Ok(Ok(true)) => times = 0,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    async fn is_at_work(&self, pid: i32) -> Result<bool, Error> {
        let (mut connection, _) = self.connect(IDLE_CHECK).await?;
        let statement = "select exists (select from pg_stat_activity where pid = $1 and state in ('active', 'fastpath function call'))";
        let is_at_work =
            sqlx::query_scalar(statement).bind(pid).persistent(false).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(is_at_work)
    }
}

/// A connection that was taken and closed before it was a session has reached no Postgres: its cause stays, and its kind tells.
fn not_reached(error: Error) -> Error {
    match error {
        Error::Io(cause) => Error::Io(io::Error::new(io::ErrorKind::NotConnected, cause)),
        other => other,
    }
}

fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} (database {database:?})", socket.display()),
        None => format!("{}:{} (database {database:?})", options.get_host(), options.get_port()),
    }
}

/// How many sessions there may be, and how long one is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) sessions: usize,
    /// For a free slot, and for a session to be made in it: this long each.
    pub(super) wait: Duration,
    /// For the answer to a statement, where nothing else is said.
    pub(super) statement: Duration,
    /// A session that was not used for so long is closed.
    pub(super) idle: Duration,
}

/// Sessions with Postgres that are lent out one at a time. Clones share them. As an `Executor` it runs one
/// statement in a session of its own.
#[derive(Clone, Debug)]
pub(super) struct SessionPool {
    pool: deadpool::managed::Pool<Connector>,
    size: Size,
}

impl SessionPool {
    pub(super) fn new(servers: Servers, size: Size) -> Self {
        let servers = Arc::new(servers);
        let connector = Connector { servers, limit: size.wait, state: Arc::default() };
        let timeouts = Timeouts { wait: Some(size.wait), create: None, recycle: None };
        let pool = deadpool::managed::Pool::builder(connector)
            .max_size(size.sessions)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime is always built");
        Self { pool, size }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.pool.manager().servers
    }

    /// How many sessions there may be at once.
    pub(super) fn max_sessions(&self) -> usize {
        self.size.sessions
    }

    /// Lends a session, whose statements may take [`STATEMENT_MAX`] each.
    ///
    /// # Errors
    /// [`Error::PoolTimedOut`] when all were in use for the whole wait, and the server answered meanwhile.
    pub(super) async fn acquire(&self) -> Result<Session, Error> {
        let Connector { servers, state, .. } = self.pool.manager();
        let answers = state.answers.load(Ordering::Relaxed);
        let idle = self.size.idle;
        self.pool.retain(|_, metrics| metrics.last_used() < idle);
        match Box::pin(self.pool.get()).await {
            Ok(object) => {
                Ok(Session::new(object, Arc::clone(state), Arc::clone(servers), self.size.statement))
            }
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Closed) => Err(Error::PoolClosed),
            Err(PoolError::Timeout(TimeoutType::Wait))
                if answers == state.answers.load(Ordering::Relaxed) =>
            {
                Err(no_answer("any statement under way", self.size.wait))
            }
            Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// Begins a transaction in a session of its own.
    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        Transaction::begin(self.acquire().await?).await
    }

    /// The pool as an `Executor` for a statement that may take up to `limit`.
    pub(super) fn within(&self, limit: Duration) -> Bounded<'_> {
        Bounded::new(self, limit)
    }

    /// Closes all sessions; those in use are closed when they come back.
    pub(super) async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        let closing = idle.into_iter().map(|live| live.connection.close());
        // Postgres logs a session that ends without a word. Beyond that, nothing depends on this.
        let _ = timeout(CLOSE_MAX, futures_util::future::join_all(closing)).await;
    }
}

/// The state that the sessions of a pool share.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Sessions that were made in an earlier epoch are not lent out again. It ends when one of them turns out to be lost, or
    /// on the wrong server: what happened to one has mostly happened to all.
    epoch: AtomicU64,
    /// How many statements were answered.
    answers: AtomicU64,
}

impl State {
    pub(super) fn note_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the epoch that a lost session was made in.
    pub(super) fn end_epoch(&self, epoch: u64) {
        // Another session of that epoch may have ended it already.
        let _ = self.epoch.compare_exchange(epoch, epoch + 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Relaxed) != epoch
    }
}

/// A session in the pool.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: PgConnection,
    /// Its number on the server.
    pub(super) pid: i32,
    pub(super) epoch: u64,
}

pub(super) type Slot = Object<Connector>;

/// Makes sessions, and checks those that were idle.
#[derive(Debug)]
pub(super) struct Connector {
    servers: Arc<Servers>,
    limit: Duration,
    state: Arc<State>,
}

impl Manager for Connector {
    type Type = Live;
    type Error = Error;

    async fn create(&self) -> Result<Live, Error> {
        let epoch = self.state.epoch.load(Ordering::Relaxed);
        let (connection, pid) = Box::pin(self.servers.connect(self.limit)).await?;
        self.state.note_answer();
        Ok(Live { connection, pid, epoch })
    }

    /// Refuses a session that is not to be used again; deadpool then drops it, which closes its socket without a word.
    async fn recycle(&self, live: &mut Live, metrics: &Metrics) -> RecycleResult<Error> {
        if self.state.is_over(live.epoch) {
            return Err(RecycleError::message("made before a session was lost"));
        }
        if metrics.age() > AGE_MAX {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() < TRUSTED {
            return Ok(());
        }
        match timeout(PING_MAX, live.connection.ping()).await {
            Ok(Ok(())) => Ok(()),
            answer => {
                self.state.end_epoch(live.epoch);
                Err(RecycleError::Backend(answer.map_or_else(
                    |_| no_answer("a ping", PING_MAX),
                    |failed| failed.err().unwrap_or(Error::WorkerCrashed),
                )))
            }
        }
    }
}

const _: () = assert!(PING_MAX.as_secs() < STATEMENT_MAX.as_secs());
