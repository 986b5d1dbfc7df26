//! Whom we wait for: a session that keeps locks and does not get on.

use std::time::Duration;

use sqlx::FromRow;

use super::Catalog;

/// A session of Postgres that keeps locks which sessions of ours have waited for.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Blocker {
    /// Its process; 0 for a transaction that was prepared and then left alone.
    pub pid: i32,
    /// Whose it is, as far as we may know, and since when its transaction goes on.
    pub name: String,
}

impl Catalog {
    /// Who keeps a lock that one of our sessions has waited for for longer than that, and waits for nobody itself. None
    /// where it is one of ours that gets on.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn blocker(&self, patience: Duration) -> Result<Option<Blocker>, sqlx::Error> {
        sqlx::query_as(
            "with waiting as materialized (
                 select lock.pid from pg_locks as lock join pg_stat_activity as own on own.pid = lock.pid
                 where not lock.granted and lock.waitstart < clock_timestamp() - make_interval(secs => $1)
                     and own.datname = current_database() and own.application_name = current_setting('application_name')
             ),
             blockers as materialized (select distinct unnest(pg_blocking_pids(pid)) as pid from waiting)
             select pid, concat_ws(', ', usename, nullif(application_name, ''), state,
                        'since ' || to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"')) as name
             from blockers left join pg_stat_activity as other using (pid)
             where not exists (select from pg_locks as lock where not lock.granted and lock.pid = blockers.pid)
                 and (application_name = current_setting('application_name') and state = 'active') is not true
             order by xact_start, pid limit 1",
        )
        .bind(patience.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
    }
}
