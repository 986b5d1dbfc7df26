//! Keeps the journal: makes its days in time, and drops the old ones.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::Catalog;

/// Days of the journal that are made ahead. Should nobody make more, changes are kept all the same,
/// in one place for all days.
const DAYS_AHEAD: i32 = 7;

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

/// One daemon at a time. Dropping a day holds up all writers of the journal while it waits for who
/// reads it, so it does not wait long, and is tried again later.
async fn take_journal(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('catalog.journal', 0))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("set local lock_timeout = '200ms'").execute(transaction).await.map(drop)
}
