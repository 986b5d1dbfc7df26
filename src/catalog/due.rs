//! Queues in the catalog of what is to be asked of S3, each entry due at some time: taken by one at a time.

use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{Catalog, Connection};

/// The statement that takes what is due from a table, and tells some columns of it. What is to be taken is found once, and
/// updated by its place: of `in (… limit …)` Postgres may make a loop that looks for as many again for each row of the
/// table, if it thinks that there are hardly any.
macro_rules! take_due {
    ($table:literal, $told:literal) => {
        concat!(
            "update catalog.",
            $table,
            " set due_at = $4, attempts = attempts + 1
             where ctid = any (array(
                 select ctid from catalog.",
            $table,
            "
                 where bucket = $1 and starts_with(key, $2) and due_at <= $3
                 order by due_at limit $5
                 for update skip locked))
             returning ",
            $told
        )
    };
}
pub(super) use take_due;

/// The latest that a clock which is right puts a key in doubt off, and a version that is to be looked at.
const RECHECK_LATEST: Duration = Duration::from_secs(20 * 60);
const LOOKUP_LATEST: Duration = Duration::from_secs(65 * 60);

impl Catalog {
    /// Makes due at once what was put off for longer than anything ever is: by a clock that was ahead then, or is
    /// behind now. How many entries that were.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn recall(&self, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
        let mut entries = 0;
        for (statement, latest) in [
            ("update catalog.rechecks set due_at = $1 where due_at > $2", RECHECK_LATEST),
            ("update catalog.lookups set due_at = $1 where due_at > $2", LOOKUP_LATEST),
        ] {
            let recalled = sqlx::query(statement).bind(now).bind(now + latest).execute(&self.pool).await?;
            entries += recalled.rows_affected();
        }
        Ok(entries)
    }

    /// Takes up to `limit` entries of a connection that are due, by a statement that [`take_due`] makes. They
    /// are not due again before `lease` is over, so that a daemon which dies does not take them with it.
    pub(super) async fn take_due<T>(
        &self,
        statement: &'static str,
        connection: &Connection,
        limit: usize,
        lease: Duration,
        now: OffsetDateTime,
    ) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        sqlx::query_as(statement)
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind(now)
            .bind(now + lease)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
    }
}
