//! Daemons say that they are there: a write, so that a Postgres which only reads is not taken for well.

use std::time::Duration;

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;

use super::Catalog;
use super::session::Session;

/// One that is gone is forgotten after so long, in seconds.
const FORGOTTEN_AFTER: f64 = 86_400.0;

/// A daemon, as others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Chosen by chance when it starts.
    pub daemon_id: i64,
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
}

/// A daemon, as it last said that it is there; all times are on the clock of Postgres.
#[derive(Debug, Serialize, FromRow)]
pub struct DaemonStatus {
    /// The machine.
    pub host: String,
    /// The process on it.
    pub pid: i32,
    /// Which version of this program.
    pub version: String,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it last said that it is there.
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    /// When it ended as it was told to.
    #[serde(with = "time::serde::rfc3339::option")]
    pub stopped_at: Option<OffsetDateTime>,
    /// The age of the oldest message that it received last; none while no queue answers it.
    pub lag_seconds: Option<f64>,
    /// Whether it is at work, as far as can be told.
    pub is_running: bool,
}

impl DaemonStatus {
    /// The same as `lag_seconds`.
    pub fn lag(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.lag_seconds?).ok()
    }
}

impl Catalog {
    /// Says that a daemon is there, and how old the messages are that it receives, if it does. Forgets those that are long gone.
    ///
    /// # Errors
    /// When Postgres is away, refuses, or cannot write.
    pub async fn greet(&self, daemon: &Daemon, lag: Option<Duration>) -> Result<(), sqlx::Error> {
        let lag = lag.map(|lag| PgInterval {
            months: 0,
            days: 0,
            microseconds: i64::try_from(lag.as_micros()).unwrap_or(i64::MAX),
        });
        sqlx::query(
            "with forgotten as (
                 delete from catalog.heartbeats
                 where daemon_id <> $1 and seen_at < clock_timestamp() - make_interval(secs => $6)
             )
             insert into catalog.heartbeats (daemon_id, host, pid, version, lag) values ($1, $2, $3, $4, $5)
             on conflict (daemon_id) do update set seen_at = clock_timestamp(), lag = excluded.lag",
        )
        .bind(daemon.daemon_id)
        .bind(&daemon.host)
        .bind(i32::try_from(daemon.pid).unwrap_or_default())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(lag)
        .bind(FORGOTTEN_AFTER)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Whether a daemon is at work on the catalog.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn is_attended(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select exists (select from catalog.daemons where is_running)")
            .fetch_one(&self.pool)
            .await
    }

    /// Says that a daemon ends.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take_leave(&self, daemon: &Daemon) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.heartbeats set seen_at = clock_timestamp(), stopped_at = clock_timestamp()
             where daemon_id = $1",
        )
        .bind(daemon.daemon_id)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

/// The daemons that are at work or were not long ago, those first that said so last.
pub(super) async fn daemons(connection: &mut Session) -> Result<Vec<DaemonStatus>, sqlx::Error> {
    sqlx::query_as(
        "select host, pid, version, started_at, seen_at, stopped_at,
                extract(epoch from lag)::float8 as lag_seconds, is_running
         from catalog.daemons order by seen_at desc",
    )
    .fetch_all(connection)
    .await
}
