//! All that is known of one key.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::catalog::Catalog;

/// A version of a key, there or gone, with the evidence for it.
#[derive(Debug, FromRow)]
pub struct KeyVersion {
    /// Its id; `null` for the null version.
    pub version_id: String,
    /// Whether it is there; else it is known to be gone.
    pub is_present: bool,
    /// Whether it is what a plain read gets.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// Bytes, as far as known.
    pub size: Option<i64>,
    /// The entity tag.
    pub etag: Option<String>,
    /// The storage class.
    pub storage_class: Option<String>,
    /// S3's date or, until it is told, the time of the event.
    pub last_modified: Option<OffsetDateTime>,
    /// Whether that is S3's own date.
    pub is_exact: bool,
    /// The stamp of the event that told of it.
    pub sequencer: Option<String>,
    /// The greatest stamp that it is known to be as new as.
    pub floor: Option<String>,
    /// The time of that event.
    pub event_time: Option<OffsetDateTime>,
    /// The moments between which a listing saw it, or that it is gone.
    pub observed_from: Option<OffsetDateTime>,
    /// The end of them.
    pub observed_to: Option<OffsetDateTime>,
    /// The time of the last event about its attributes.
    pub attributes_at: Option<OffsetDateTime>,
    /// When the row was made.
    pub first_seen_at: OffsetDateTime,
    /// When it was last written.
    pub changed_at: OffsetDateTime,
}

/// That a key is in doubt.
#[derive(Debug, FromRow)]
pub struct KeyDoubt {
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub asked_at: OffsetDateTime,
    /// When it is listed, or tried again.
    pub due_at: OffsetDateTime,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it could not be listed.
    pub last_error: Option<String>,
}

/// A difference that a run found.
#[derive(Debug, FromRow)]
pub struct KeyDrift {
    /// The run.
    pub run_id: i64,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// `missing`, `stale`, `ghost`, `latest` or `stats`.
    pub kind: String,
    /// When.
    pub found_at: OffsetDateTime,
    /// What the catalog said before and after.
    pub detail: String,
}

impl Catalog {
    /// The versions of a key, the latest first, then those that are there, then those that are gone, by age.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn versions_of(
        &self,
        bucket: &str,
        key: &str,
        limit: i64,
    ) -> Result<Vec<KeyVersion>, sqlx::Error> {
        sqlx::query_as(
            "select version_id, is_present, is_latest, is_delete_marker, size, etag, storage_class, last_modified,
                    is_exact, sequencer, floor, event_time, observed_from, observed_to, attributes_at, first_seen_at,
                    changed_at
             from catalog.slots where bucket = $1 and key = $2
             order by is_latest desc, is_present desc, coalesce(last_modified, event_time, observed_to) desc, version_id
             limit $3",
        )
        .bind(bucket)
        .bind(key)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// The doubt about a key, if there is one.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn doubt_about(&self, bucket: &str, key: &str) -> Result<Option<KeyDoubt>, sqlx::Error> {
        sqlx::query_as(
            "select key, reason, asked_at, due_at, attempts, last_error from catalog.rechecks
             where bucket = $1 and key = $2",
        )
        .bind(bucket)
        .bind(key)
        .fetch_optional(&self.pool)
        .await
    }

    /// Keys of a connection in doubt, in the order of keys.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn doubts_below(
        &self,
        bucket: &str,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<KeyDoubt>, sqlx::Error> {
        sqlx::query_as(
            "select key, reason, asked_at, due_at, attempts, last_error from catalog.rechecks
             where bucket = $1 and starts_with(key, $2) order by key limit $3",
        )
        .bind(bucket)
        .bind(prefix)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// What runs found wrong about a key, the latest first.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn differences_of_key(
        &self,
        bucket: &str,
        key: &str,
        limit: i64,
    ) -> Result<Vec<KeyDrift>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, key, version_id, kind, found_at, detail::text as detail from catalog.drift
             where bucket = $1 and key = $2 order by drift_id desc limit $3",
        )
        .bind(bucket)
        .bind(key)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }

    /// What a run found wrong, up to a limit.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn differences_of_run(&self, run_id: i64, limit: i64) -> Result<Vec<KeyDrift>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, key, version_id, kind, found_at, detail::text as detail from catalog.drift
             where run_id = $1 order by drift_id limit $2",
        )
        .bind(run_id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }
}
