//! What may stand before Postgres: a pooler that gives us no session of our own.

use anyhow::Context;
use sqlx::{Connection as _, Row};

use super::{Catalog, REACH_PATIENCE};

/// How a pooler says that it does not pass on what our sessions are to be set to.
const POOLER_SAYS: &str = "unsupported startup parameter";

/// What to do about a pooler that does not suit.
pub const POOLED_REMEDY: &str = "connect to Postgres itself, past the pooler: database.url; we pool our connections, and what is prepared, set and \
     locked in a session has to stay there (PgBouncer: pool_mode = session of a release that passes options on)";

/// A connection is no session.
#[derive(Debug, thiserror::Error)]
#[error(
    "one connection was in two sessions of Postgres: a pooler gives them out for a transaction at a time"
)]
struct Pooled;

/// Whether Postgres was not reached as it must be for a pooler that does not suit.
pub fn is_pooled(error: &anyhow::Error) -> bool {
    let is_told = |cause: &sqlx::Error| {
        cause.as_database_error().is_some_and(|error| error.message().contains(POOLER_SAYS))
    };
    error.is::<Pooled>() || error.chain().filter_map(|cause| cause.downcast_ref()).any(is_told)
}

impl Catalog {
    /// Connects as [`Catalog::reach`] does, and sees that what connects is a session.
    ///
    /// # Errors
    /// As there, and when a pooler lends sessions.
    pub async fn reach_session(&self) -> anyhow::Result<()> {
        self.reach().await?;
        let is_session = tokio::time::timeout(REACH_PATIENCE, self.has_session()).await;
        let is_session = is_session.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut));
        anyhow::ensure!(is_session.context("ask Postgres which session is ours")?, Pooled);
        Ok(())
    }

    /// Whether a connection is one session for as long as it lasts. A pooler that lends sessions has to lend it
    /// another one while somebody else is in a transaction in the first. Nothing is prepared, for that takes a session.
    async fn has_session(&self) -> Result<bool, sqlx::Error> {
        const WHO: &str = "select pg_backend_pid()";
        let servers = self.pool.servers();
        let (mut ours, _) = servers.connect(REACH_PATIENCE).await?;
        let (mut another, _) = servers.connect(REACH_PATIENCE).await?;
        let before: i32 = sqlx::raw_sql(WHO).fetch_one(&mut ours).await?.try_get(0)?;
        sqlx::raw_sql("begin").execute(&mut another).await?;
        let after: i32 = sqlx::raw_sql(WHO).fetch_one(&mut ours).await?.try_get(0)?;
        sqlx::raw_sql("rollback").execute(&mut another).await?;
        another.close().await?;
        ours.close().await?;
        Ok(before == after)
    }
}
