//! Whom we wait for: a session that keeps locks and does not get on.

use std::time::Duration;

use sqlx::{AssertSqlSafe, FromRow};

use super::Catalog;

/// What sessions of ours call themselves, but for those who only look.
pub(super) const OURS: &str = "stocktake";

/// A session of Postgres that keeps locks which sessions of ours have waited for.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Blocker {
    /// Its process; 0 for a transaction that was prepared and then left alone.
    pub pid: i32,
    /// Whose it is, as far as we may know, and since when its transaction goes on.
    pub name: String,
}

impl Blocker {
    /// Who keeps them, in a sentence.
    pub fn says(&self) -> String {
        match self {
            Self { pid: 0, .. } => "a prepared transaction keeps locks that we wait for".to_owned(),
            Self { pid, name } => format!("process {pid} of Postgres ({name}) keeps locks that we wait for"),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self.pid {
            0 => "commit it or roll it back: pg_prepared_xacts has it; all else goes on by itself then"
                .to_owned(),
            pid => format!(
                "end its transaction, or `select pg_terminate_backend({pid})` as its user or a superuser; all else \
                 goes on by itself then"
            ),
        }
    }
}

/// A session, in words.
const NAME: &str = "concat_ws(', ', usename, nullif(application_name, ''), state,
    'since ' || to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"')) as name";

impl Catalog {
    /// The session that keeps a lock which one of ours has waited for for longer than `patience`, and waits for no lock itself.
    /// None where it is one of ours: those have deadlines, and Postgres ends those that were lost.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn blocker(&self, patience: Duration) -> Result<Option<Blocker>, sqlx::Error> {
        let query = format!(
            "with waiting as materialized (
                 select lock.pid from pg_locks as lock join pg_stat_activity as own on own.pid = lock.pid
                 where not lock.granted and lock.waitstart < clock_timestamp() - make_interval(secs => $1)
                     and own.datname = current_database() and own.application_name = $2
             ),
             blockers as materialized (select distinct unnest(pg_blocking_pids(pid)) as pid from waiting)
             select pid, {NAME} from blockers left join pg_stat_activity as other using (pid)
             where not exists (select from pg_locks as lock where not lock.granted and lock.pid = blockers.pid)
                 and application_name is distinct from $2
             order by xact_start, pid limit 1"
        );
        let query = sqlx::query_as(AssertSqlSafe(query)).bind(patience.as_secs_f64()).bind(OURS);
        query.fetch_optional(&self.pool).await
    }

    /// Who keeps a table of the catalog so that nobody can even read it, and has for the longest.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn closer(&self) -> Result<Option<Blocker>, sqlx::Error> {
        let query = format!(
            "select coalesce(pid, 0) as pid, {NAME}
             from pg_locks as lock join pg_class as locked on locked.oid = lock.relation
                 left join pg_stat_activity as other using (pid)
             where granted and mode = 'AccessExclusiveLock' and relnamespace = to_regnamespace('catalog')
                 and database = (select oid from pg_database where datname = current_database())
             order by xact_start, pid limit 1"
        );
        sqlx::query_as(AssertSqlSafe(query)).fetch_optional(&self.pool).await
    }
}
