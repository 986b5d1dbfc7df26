//! Fingerprints of rows, which Postgres works out so that it need not send them.

use super::held::bounds;
use super::{Catalog, Connection, Place};
use crate::model::{Fingerprint, Span};

/// What `model::fingerprint` says of a version, where each hash is the seed of the next. A row whose date is not S3's
/// own has none, so that the sum is another than that of any listing. One more than are listed is enough to know that
/// there are others.
const FINGERPRINT: &str = "select count(*), coalesce(bit_xor(
        hashtextextended(coalesce(storage_class, ''),
            (date_part('epoch', case when is_exact then last_modified end) * 1e6)::bigint
            # hashtextextended(coalesce(etag, ''), case when is_delete_marker then -2 else coalesce(size, -1) end
            # hashtextextended(version_id, case when is_latest then 1 else 0 end
            # hashtextextended(key, $7))))), 0)
     from (select key, version_id, is_latest, is_delete_marker, size, etag, storage_class, is_exact, last_modified
           from catalog.slots
           where bucket = $1 and (key, version_id) > ($2, $3) and (key, version_id) < ($4, $5) and is_present
           limit $6) as held";

impl Catalog {
    /// Whether what is there of keys below `prefix` and in `span`, from after `after` (from the beginning
    /// without), has this fingerprint.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn has(
        &self,
        connection: &Connection,
        prefix: &str,
        span: &Span,
        after: Option<&Place>,
        listed: &Fingerprint,
    ) -> Result<bool, sqlx::Error> {
        let (first, end) = bounds(prefix, span);
        let after = after.unwrap_or(&first);
        let _share = self.share().await;
        let held: (i64, i64) = sqlx::query_as(FINGERPRINT)
            .bind(&connection.bucket)
            .bind(&after.key)
            .bind(&after.version_id)
            .bind(&end.key)
            .bind(&end.version_id)
            .bind(listed.versions + 1)
            .bind(listed.seed)
            .fetch_one(&self.pool)
            .await?;
        Ok(held == (listed.versions, listed.sum))
    }
}
