//! A session with Postgres, on loan. Whatever is done in it has a deadline: a session that misses one, or turns out to be
//! with the wrong server, is closed without a word to the server, and its slot is free at once.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Describe, Either, Error, Execute, Executor, PgConnection, SqlStr};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};

use super::pool::{Live, Servers, SessionPool, Slot, State, no_answer};

/// How long a statement may take. More than it may wait for a lock, or a table that is kept locked would pass for a
/// server that is away.
pub(super) const STATEMENT_MAX: Duration = Duration::from_secs(25);
/// How long a statement may take that reads or removes as much as there is. Whether the server is still at work on it is
/// asked meanwhile, so a lost session is noticed sooner.
pub(super) const LONG_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// How long the beginning or the end of a transaction may take.
const COMMIT_MAX: Duration = STATEMENT_MAX;
/// How long a transaction that was given up may take to be rolled back, before its session is closed instead.
const ROLLBACK_MAX: Duration = Duration::from_secs(3);

type Step = Either<PgQueryResult, PgRow>;

/// A session with Postgres, until it is dropped.
pub(super) struct Session {
    /// None once it was closed.
    slot: Option<Slot>,
    state: Arc<State>,
    servers: Arc<Servers>,
    limit: Duration,
    /// Whether a statement is under way. One that was abandoned leaves the session in a state that nobody knows.
    is_busy: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("is_open", &self.slot.is_some()).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(slot: Slot, state: Arc<State>, servers: Arc<Servers>, limit: Duration) -> Self {
        Self { slot: Some(slot), state, servers, limit, is_busy: false }
    }

    /// Gives later statements another limit than [`STATEMENT_MAX`].
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The connection, for one thing that the server has to answer. Until [`Self::settle`] is told of the answer, the session
    /// counts as one that nobody can use any more.
    pub(super) fn start(&mut self) -> Result<(&mut PgConnection, Wait), Error> {
        let servers = Arc::clone(&self.servers);
        let Some(live) = self.slot.as_deref_mut() else {
            return Err(Error::WorkerCrashed);
        };
        self.is_busy = true;
        let wait = Wait { servers, pid: live.pid, limit: self.limit };
        Ok((&mut live.connection, wait))
    }

    /// Copies what comes out of `batches`, until no more comes, by a `copy … from stdin`. Each piece has the deadline of a
    /// statement. How many rows there were.
    pub(super) async fn copy_in<T: Send>(
        &mut self,
        statement: &'static str,
        batches: &mut Receiver<T>,
        encode: fn(&T) -> Vec<u8>,
    ) -> Result<u64, Error> {
        let (connection, wait) = self.start()?;
        let copied = wait.copy_in(connection, statement, batches, encode).await;
        self.settle(copied)
    }

    /// Takes note of an answer, or that there was none.
    pub(super) fn settle<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        match &answer {
            Err(error) if is_lost(error) => self.lose(),
            _ => {
                self.is_busy = false;
                self.state.note_answer();
            }
        }
        answer
    }

    /// Closes the session, and has all that were made before replaced.
    fn lose(&mut self) {
        if let Some(live) = self.close() {
            self.state.end_epoch(live.epoch);
        }
    }

    /// Takes the session out of the pool, whose slot is free from then on. Dropping it closes the socket.
    pub(super) fn close(&mut self) -> Option<Live> {
        self.slot.take().map(Slot::take)
    }

    async fn fetch<'q, E: Execute<'q, Postgres> + 'q>(&mut self, query: E) -> Result<Vec<Step>, Error> {
        let (connection, wait) = self.start()?;
        let answer = wait.answer("a statement", connection.fetch_many(query).try_collect()).await;
        self.settle(answer)
    }

    async fn fetch_first<'q, E: Execute<'q, Postgres> + 'q>(
        &mut self,
        query: E,
    ) -> Result<Option<PgRow>, Error> {
        let (connection, wait) = self.start()?;
        let answer = wait.answer("a statement", connection.fetch_optional(query)).await;
        self.settle(answer)
    }

    async fn run(&mut self, statement: &'static str, limit: Duration) -> Result<(), Error> {
        let (connection, wait) = self.start()?;
        let wait = Wait { limit, ..wait };
        let answer = wait.answer(statement, connection.execute(statement)).await;
        self.settle(answer).map(drop)
    }
}

/// How long an answer is waited for.
pub(super) struct Wait {
    servers: Arc<Servers>,
    pid: i32,
    limit: Duration,
}

impl Wait {
    pub(super) async fn answer<T>(
        &self,
        to: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (asked, is_long) = (Instant::now(), self.limit > STATEMENT_MAX);
        let answer = tokio::select! {
            answer = timeout(self.limit, answer) => answer.ok(),
            () = self.servers.until_idle(self.pid), if is_long => None,
        };
        answer.unwrap_or_else(|| Err(no_answer(to, asked.elapsed())))
    }

    async fn copy_in<T>(
        &self,
        connection: &mut PgConnection,
        statement: &'static str,
        batches: &mut Receiver<T>,
        encode: fn(&T) -> Vec<u8>,
    ) -> Result<u64, Error> {
        let mut copy = self.answer("a copy", connection.copy_in_raw(statement)).await?;
        while let Some(batch) = batches.recv().await {
            self.answer("a piece of a copy", copy.send(encode(&batch))).await?;
        }
        self.answer("the end of a copy", copy.finish()).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let is_over = self.slot.as_ref().is_some_and(|live| self.state.is_over(live.epoch));
        if self.is_busy || is_over {
            drop(self.close());
        }
    }
}

/// Whether an error means that the session is of no use any more: it broke, the server is going down, or it is
/// one that takes no writes.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>: read_only_sql_transaction, idle in a
        // transaction for too long, and shutdowns.
        Error::Database(error) => error.code().is_some_and(|code| {
            matches!(&*code, "25006" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05")
                || code.starts_with("08")
        }),
        _ => false,
    }
}

/// A transaction in a session of its own. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub(super) struct Transaction {
    /// None once it ended.
    session: Option<Session>,
}

impl Transaction {
    pub(super) async fn begin(mut session: Session) -> Result<Self, Error> {
        session.run("begin", COMMIT_MAX).await?;
        Ok(Self { session: Some(session) })
    }

    /// Commits. When the answer is lost, it may have been committed all the same.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        match self.session.take() {
            Some(mut session) => session.run("commit", COMMIT_MAX).await,
            None => Err(Error::WorkerCrashed),
        }
    }

    /// Undoes all of it.
    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        match self.session.take() {
            Some(mut session) => session.run("rollback", ROLLBACK_MAX).await,
            None => Err(Error::WorkerCrashed),
        }
    }
}

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("it has a session until it ends, which takes it")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("it has a session until it ends, which takes it")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if session.is_busy || session.slot.is_none() {
            return;
        }
        // Its locks are to be free now, not when somebody uses the session next.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { session.run("rollback", ROLLBACK_MAX).await })),
            Err(_) => drop(session.close()),
        }
    }
}

/// A pool as an `Executor` of one statement, with a limit of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounded<'a> {
    pool: &'a SessionPool,
    limit: Option<Duration>,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(pool: &'a SessionPool, limit: Duration) -> Self {
        Self { pool, limit: Some(limit) }
    }

    async fn acquire(self) -> Result<Session, Error> {
        let mut session = self.pool.acquire().await?;
        if let Some(limit) = self.limit {
            session.set_limit(limit);
        }
        Ok(session)
    }
}

/// Collects what a statement answers before any of it is handed on, so that one deadline covers all of it.
fn streamed<'e>(
    answer: impl Future<Output = Result<Vec<Step>, Error>> + Send + 'e,
) -> BoxStream<'e, Result<Step, Error>> {
    stream::once(answer).map_ok(|steps| stream::iter(steps.into_iter().map(Ok))).try_flatten().boxed()
}

impl<'c> Executor<'c> for &'c mut Session {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        streamed(self.fetch(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        Box::pin(self.fetch_first(query))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (connection, wait) = self.start()?;
            let answer = wait.answer("a statement", connection.prepare_with(sql, parameters)).await;
            self.settle(answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (connection, wait) = self.start()?;
            let answer = wait.answer("a statement", connection.describe(sql)).await;
            self.settle(answer)
        })
    }
}

impl<'c> Executor<'c> for Bounded<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        streamed(async move { self.acquire().await?.fetch(query).await })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        Box::pin(async move { self.acquire().await?.fetch_first(query).await })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}

impl<'c> Executor<'c> for &'c SessionPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        Bounded { pool: self, limit: None }.fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        Bounded { pool: self, limit: None }.fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Bounded { pool: self, limit: None }.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Bounded { pool: self, limit: None }.describe(sql)
    }
}
