//! How much is in a bucket.

use sqlx::FromRow;

use crate::catalog::Catalog;

/// A row of `catalog.bucket_stats`.
#[derive(Debug, FromRow)]
pub struct StatsLine {
    /// The storage class; none where it is not known, and for markers.
    pub storage_class: Option<String>,
    /// What a plain listing would show.
    pub objects: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Versions that are not the latest of their key.
    pub noncurrent_versions: i64,
    /// Their bytes.
    pub noncurrent_bytes: i64,
    /// Delete markers.
    pub delete_markers: i64,
}

impl Catalog {
    /// How much is in a bucket, by storage class.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn stats_of(&self, bucket: &str) -> Result<Vec<StatsLine>, sqlx::Error> {
        sqlx::query_as(
            "select storage_class, objects, bytes, noncurrent_versions, noncurrent_bytes, delete_markers
             from catalog.bucket_stats where bucket = $1 order by storage_class nulls last",
        )
        .bind(bucket)
        .fetch_all(&self.pool)
        .await
    }
}
