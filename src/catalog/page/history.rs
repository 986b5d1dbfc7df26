//! Changes backwards, from the latest on.
//!
//! The journal has no index by key: it would make each event dearer for what is seldom asked. So the history of a key
//! is looked for in a stretch of the journal of so many lines, and the next stretch only when somebody asks for it.

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

/// How far back the journal was looked through.
#[derive(Debug, FromRow)]
pub struct Stretch {
    /// The place of its earliest line: what is before that was not looked at.
    pub cursor: String,
    /// When that line was written.
    pub recorded_at: OffsetDateTime,
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

    /// Where a stretch of so many lines of a bucket's journal begins that ends before a cursor; none if there are
    /// fewer lines.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the cursor is none.
    pub async fn stretch_before(
        &self,
        bucket: &str,
        before: Option<&str>,
        lines: i64,
    ) -> Result<Option<Stretch>, sqlx::Error> {
        sqlx::query_as(
            "select cursor, recorded_at from catalog.changes
             where bucket = $1 and ($2::text is null or (transaction_id, change_id)
                   < ((catalog.read_cursor($2)).transaction_id, (catalog.read_cursor($2)).change_id))
             order by transaction_id desc, change_id desc offset $3 limit 1",
        )
        .bind(bucket)
        .bind(before)
        .bind(lines - 1)
        .fetch_optional(&self.pool)
        .await
    }

    /// The changes of a key within a stretch of the journal, the latest first.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or a cursor is none.
    pub async fn changes_of_key(
        &self,
        bucket: &str,
        key: &str,
        before: Option<&str>,
        from: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Change>, sqlx::Error> {
        sqlx::query_as(
            "select cursor, key, version_id, change, cause, event_time, recorded_at, requester, source_ip, size, before_size
             from catalog.changes
             where bucket = $1 and key = $2
               and ($3::text is null or (transaction_id, change_id)
                    < ((catalog.read_cursor($3)).transaction_id, (catalog.read_cursor($3)).change_id))
               and ($4::text is null or (transaction_id, change_id)
                    >= ((catalog.read_cursor($4)).transaction_id, (catalog.read_cursor($4)).change_id))
             order by transaction_id desc, change_id desc limit $5",
        )
        .bind(bucket)
        .bind(key)
        .bind(before)
        .bind(from)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }
}
