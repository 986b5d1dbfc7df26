//! Where a run is cut into parts, as far as rows tell.

use super::held::bounds;
use super::session::LONG_MAX;
use super::{Catalog, Connection};
use crate::model::{Sample, Span, after_prefix};

/// Blocks of the table that a sample of keys is read from.
const SAMPLE_BLOCKS: f64 = 1_000.0;
/// How many rows make a page, if they are as listed: a few less than S3 lists at once, as a page ends with the last
/// version of a key and shows one of the next.
const PAGE_ROWS: i64 = 950;
/// How many pages are counted at most.
pub const PAGES_COUNTED: i64 = 4;

impl Catalog {
    /// Some of the keys that the catalog has below `prefix`, from blocks of the table chosen by
    /// chance. What it costs hardly grows with the table.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn sample_keys(&self, connection: &Connection, prefix: &str) -> Result<Sample, sqlx::Error> {
        let blocks: Option<f64> = sqlx::query_scalar(
            "select sum(pg_relation_size(relid))::float8 / current_setting('block_size')::float8
             from pg_partition_tree(catalog.partition_of($1))",
        )
        .bind(&connection.bucket)
        .fetch_one(&self.pool)
        .await?;
        let Some(blocks) = blocks else { return Ok(Sample::default()) };
        let percent = (100.0 * SAMPLE_BLOCKS / blocks).min(100.0);
        let keys: Vec<String> = sqlx::query_scalar(
            "select key from catalog.slots tablesample system ($4)
             where bucket = $1 and key >= $2 and ($3::text is null or key < $3)",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(after_prefix(prefix))
        .bind(percent as f32)
        .fetch_all(self.pool.within(LONG_MAX))
        .await?;
        let rows = keys.len() as f64 * 100.0 / percent;
        Ok(Sample::of(keys, rows))
    }

    /// The keys that pages end with, were what is listed below `prefix` and in `span` what is held: the first
    /// [`PAGES_COUNTED`], without that of the last page.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn page_ends(
        &self,
        connection: &Connection,
        prefix: &str,
        span: &Span,
    ) -> Result<Vec<String>, sqlx::Error> {
        let (first, end) = bounds(prefix, span);
        let _share = self.share().await;
        sqlx::query_scalar(
            "select key
             from (select key, row_number() over (order by key, version_id) as number
                   from catalog.slots
                   where bucket = $1 and (key, version_id) > ($2, $3) and (key, version_id) < ($4, $5) and is_present
                   order by key, version_id
                   limit $6 * $7) as next
             where number % $6 = 0 and ($8::text is null or key < $8)
             group by key
             order by key",
        )
        .bind(&connection.bucket)
        .bind(&first.key)
        .bind(&first.version_id)
        .bind(&end.key)
        .bind(&end.version_id)
        .bind(PAGE_ROWS)
        .bind(PAGES_COUNTED)
        .bind(&span.to)
        .fetch_all(&self.pool)
        .await
    }
}
