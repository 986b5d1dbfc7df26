//! Forgetting a connection: its rows, their details, its runs and its doubts.

use sqlx::Error;

use super::session::LONG_MAX;
use super::{Catalog, Connection};
use crate::chain::chain;

/// What is said of a bucket whose row is gone although it is being worked on.
pub const FORGOTTEN: &str =
    "was disconnected: the catalog has forgotten it (`stocktake disconnect --drop-rows`)";
/// What to do about that.
pub const FORGOTTEN_REMEDY: &str = "take its [[bucket]] section out of the configuration, and start the daemon again; if the \
                                    bucket is to stay, leave it in: the daemon connects it anew when it starts";

/// Whether an error means that the row of a connection is gone, or that of its run: whatever else is asked for by
/// name may be absent, and is asked for so.
pub fn is_forgotten(error: &Error) -> bool {
    matches!(error, Error::RowNotFound)
}

/// What an error of Postgres says of what was being done, in the words for operators.
pub fn said(error: &Error) -> String {
    if is_forgotten(error) { format!("the bucket {FORGOTTEN}") } else { chain(error) }
}

impl Catalog {
    /// Forgets a connection; the journal of what happened in it stays. Whether there was one. While something
    /// is at work on the bucket, this waits for it, for up to ten seconds.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the rows are in use for longer.
    pub async fn forget(&self, connection: &Connection) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        transaction.set_limit(LONG_MAX);
        sqlx::query("set local lock_timeout = '10s'").execute(&mut *transaction).await?;
        // As connecting does: it may be about to make the partition.
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(&connection.bucket)
            .execute(&mut *transaction)
            .await?;
        let forgotten = sqlx::query("delete from catalog.connections where bucket = $1 and prefix = $2")
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        for statement in [
            "delete from catalog.reconciliations where bucket = $1 and starts_with(prefix, $2)",
            "delete from catalog.rechecks where bucket = $1 and starts_with(key, $2)",
            // In the order in which what was seen is written down.
            "delete from catalog.lookups where bucket = $1 and starts_with(key, $2)",
            "delete from catalog.details where bucket = $1 and starts_with(key, $2)",
            // A part of a bucket shares its partition with the others.
            "delete from catalog.slots where bucket = $1 and starts_with(key, $2)
                 and exists (select from catalog.connections where connections.bucket = $1)",
            "select catalog.drop_partition($1)
             where $2 is not null and not exists (select from catalog.connections where connections.bucket = $1)",
            "select catalog.repair_stats($1) where $2 is not null",
            "delete from catalog.hours where bucket = $1 and $2 is not null
                 and not exists (select from catalog.connections where connections.bucket = $1)",
        ] {
            sqlx::query(statement)
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(forgotten == 1)
    }
}
