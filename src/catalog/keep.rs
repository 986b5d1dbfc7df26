//! Keeps the journal: makes its days in time, and drops the old ones. Prunes the ledger of runs.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::Catalog;
use super::session::{LONG_MAX, Session};

/// Days of the journal that are made ahead. Should nobody make more, changes are kept all the same,
/// in one place for all days.
const DAYS_AHEAD: i32 = 7;
/// Rows of a table of the ledger that are deleted in one statement.
const PRUNED_AT_ONCE: i64 = 5_000;

impl Catalog {
    /// Makes room in the journal for the days to come.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or somebody reads the journal for a long time.
    pub async fn add_journal_days(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        take_journal(&mut transaction).await?;
        sqlx::query("select catalog.add_journal_days($1)")
            .bind(DAYS_AHEAD)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Drops the days of the journal that ended more than `keep` ago, by the clock of Postgres: ours
    /// may be wrong, and what was dropped does not come back. How many.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or somebody reads the journal for a long time.
    pub async fn drop_journal_days(&self, keep: Duration) -> Result<i32, sqlx::Error> {
        let microseconds = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let mut transaction = self.pool.begin().await?;
        take_journal(&mut transaction).await?;
        let days = sqlx::query_scalar("select catalog.drop_journal_days($1)")
            .bind(PgInterval { months: 0, days: 0, microseconds })
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(days)
    }
}

/// Runs that ended so long ago and are of no use: a later one took their place, or nobody runs over just that
/// part of the bucket by itself.
macro_rules! old_runs {
    () => {
        "select run_id from catalog.reconciliations as old
         where finished_at < clock_timestamp() - make_interval(secs => $1)
           and (exists (select from catalog.reconciliations as later
                        where later.bucket = old.bucket and later.prefix = old.prefix
                          and later.source = old.source and later.run_id > old.run_id
                          and (later.status = 'complete' or later.withheld > 0))
                or not exists (select from catalog.connections
                               where connections.bucket = old.bucket and connections.prefix = old.prefix))"
    };
}

impl Catalog {
    /// Deletes runs that ended more than `keep` ago, with their drift, and what is in quarantine for so long, by
    /// the clock of Postgres and up to a limit. How many rows. Of each connection the
    /// last run stays that was complete or stopped by the guard, as its schedule goes by that, and what came after.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn prune_ledger(&self, keep: Duration) -> Result<u64, sqlx::Error> {
        let mut rows = 0;
        for statement in [
            concat!(
                "delete from catalog.drift where drift_id = any (array(
                     select drift_id from catalog.drift where run_id in (",
                old_runs!(),
                ") limit $2))"
            ),
            // A doubt that a run raised is settled in its name.
            concat!(
                "delete from catalog.reconciliations where run_id = any (array(",
                old_runs!(),
                "    and not exists (select from catalog.drift where drift.run_id = old.run_id)
                     and not exists (select from catalog.rechecks where rechecks.run_id = old.run_id)
                     limit $2))"
            ),
            // The oldest have the least numbers.
            "delete from catalog.quarantine where quarantine_id = any (array(
                 select quarantine_id from (
                     select quarantine_id, received_at from catalog.quarantine order by quarantine_id limit $2
                 ) as oldest
                 where received_at < clock_timestamp() - make_interval(secs => $1)))",
        ] {
            let query = sqlx::query(statement).bind(keep.as_secs_f64()).bind(PRUNED_AT_ONCE);
            rows += query.execute(self.pool.within(LONG_MAX)).await?.rows_affected();
        }
        Ok(rows)
    }
}

/// One daemon at a time. Dropping a day holds up all writers of the journal while it waits for who
/// reads it, so it does not wait long, and is tried again later.
async fn take_journal(transaction: &mut Session) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('catalog.journal', 0))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("set local lock_timeout = '200ms'").execute(transaction).await.map(drop)
}
