//! How a run under way stands, for those who watch it.

use sqlx::FromRow;

use super::{Catalog, Connection, Counts};
use crate::model::Span;

/// How far a run has come, over all processes at work on it, as of what they last saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What was listed.
    pub counts: Counts,
    /// Differences put right.
    pub drift: i64,
    /// Versions found gone that wait until all is listed: see the removal guard.
    pub withheld: i64,
    /// The ranges that the run is cut into; there will be more.
    pub ranges: i64,
    /// Those that are gone through.
    pub ranges_done: i64,
}

#[derive(FromRow)]
struct StandingRow {
    keys: i64,
    versions: i64,
    drift: i64,
    withheld: i64,
    ranges: i64,
    ranges_done: i64,
}

impl From<StandingRow> for Standing {
    fn from(row: StandingRow) -> Self {
        let StandingRow { keys, versions, drift, withheld, ranges, ranges_done } = row;
        Self { counts: Counts { keys, versions }, drift, withheld, ranges, ranges_done }
    }
}

impl Catalog {
    /// How the run below `prefix` stands. None if none is under way.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn standing(
        &self,
        connection: &Connection,
        prefix: &str,
    ) -> Result<Option<Standing>, sqlx::Error> {
        let row: Option<StandingRow> = sqlx::query_as(
            "select missing + stale + ghost + latest as drift, sums.*
             from catalog.reconciliations, lateral (
                 select coalesce(sum(ranges.keys_listed), 0)::bigint as keys,
                        coalesce(sum(ranges.versions_listed), 0)::bigint as versions,
                        coalesce(sum(ranges.withheld), 0)::bigint as withheld,
                        count(*) as ranges, count(*) filter (where is_done) as ranges_done
                 from catalog.ranges where ranges.run_id = reconciliations.run_id) as sums
             where bucket = $1 and prefix = $2 and status = 'running'",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Standing::from))
    }

    /// About how many versions a listing below `prefix` will show: as many as the catalog has. None as
    /// long as no run over the connection was complete, since then nobody can know.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn expected_versions(
        &self,
        connection: &Connection,
        prefix: &str,
    ) -> Result<Option<i64>, sqlx::Error> {
        if self.horizon(connection).await?.watermark.is_none() {
            return Ok(None);
        }
        let sample = self.sample_keys(connection, prefix).await?;
        Ok(Some(sample.rows(&Span::all()) as i64))
    }
}
