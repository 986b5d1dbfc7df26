//! Changes backwards, from the latest on.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::catalog::Catalog;

/// A line of the journal.
#[derive(Debug, FromRow)]
pub struct Change {
    /// Its place in the journal.
    pub cursor: String,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// `created`, `marker_created`, `removed` or `attributes`.
    pub change: String,
    /// `event`, `reconcile`, `recheck` or `inventory`.
    pub cause: String,
    /// When it happened, if an event told of it.
    pub event_time: Option<OffsetDateTime>,
    /// When it was written down.
    pub recorded_at: OffsetDateTime,
    /// Who did it.
    pub requester: Option<String>,
    /// From where.
    pub source_ip: Option<String>,
    /// Bytes after it.
    pub size: Option<i64>,
    /// Bytes before it.
    pub before_size: Option<i64>,
}

impl Catalog {
    /// The last changes of a bucket before a cursor, the latest first.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the cursor is none.
    pub async fn changes_before(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Change>, sqlx::Error> {
        sqlx::query_as(
            "select cursor, key, version_id, change, cause, event_time, recorded_at, requester, source_ip, size, before_size
             from catalog.changes
             where bucket = $1 and ($2::text is null or (transaction_id, change_id)
                   < ((catalog.read_cursor($2)).transaction_id, (catalog.read_cursor($2)).change_id))
             order by transaction_id desc, change_id desc limit $3",
        )
        .bind(bucket)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// The last changes of a key before a cursor, the latest first.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the cursor is none.
    pub async fn changes_of_key(
        &self,
        bucket: &str,
        key: &str,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Change>, sqlx::Error> {
        // All of the key's first, by the index of keys: asked for in one, Postgres may go backwards through all of
        // the bucket's, which are in order, until it has met enough of this key.
        sqlx::query_as(
            "with of_key as materialized (select * from catalog.changes where bucket = $1 and key = $2)
             select cursor, key, version_id, change, cause, event_time, recorded_at, requester, source_ip, size, before_size
             from of_key
             where $3::text is null or (transaction_id, change_id)
                   < ((catalog.read_cursor($3)).transaction_id, (catalog.read_cursor($3)).change_id)
             order by transaction_id desc, change_id desc limit $4",
        )
        .bind(bucket)
        .bind(key)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }
}
