//! The removal guard: what a run would remove waits until all of it was listed, and until there is
//! not too much of it.

use serde_json::{Value, json};
use sqlx::FromRow;
use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::journal::Cause;
use super::rechecks::ask;
use super::repair::{Removals, observe};
use super::retry::retry;
use super::rows::date;
use super::runs::{Ending, end};
use super::session::Session;
use super::{Catalog, Connection, Repaired, Run, Sighting};
use crate::model::{Content, Listed, State, Timestamp, VersionId, Window, after_prefix};

/// So many removals a run may always make: small buckets are emptied now and then.
pub const REMOVALS_MIN: i64 = 1_000;
/// Keys whose removals are applied in one transaction.
const BATCH: i64 = 500;

#[derive(FromRow)]
struct WithheldRow {
    key: String,
    window_from: OffsetDateTime,
    window_to: OffsetDateTime,
    listed: Value,
}

/// Puts observations aside that would remove present versions. How many of those there are.
pub(super) async fn withhold(
    transaction: &mut Session,
    run_id: i64,
    withheld: &[(&Sighting, usize)],
) -> Result<i64, sqlx::Error> {
    let sightings = || withheld.iter().map(|(sighting, _)| *sighting);
    sqlx::query(
        "insert into catalog.withheld (run_id, key, window_from, window_to, listed)
         select $1, new.key, new.window_from, new.window_to, new.listed::jsonb
         from unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[])
              as new (key, window_from, window_to, listed)",
    )
    .bind(run_id)
    .bind(sightings().map(|sighting| sighting.key.as_str()).collect::<Vec<_>>())
    .bind(sightings().map(|sighting| date(sighting.window.from)).collect::<Vec<_>>())
    .bind(sightings().map(|sighting| date(sighting.window.to)).collect::<Vec<_>>())
    .bind(sightings().map(|sighting| as_json(&sighting.listed)).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    let removals: usize = withheld.iter().map(|(_, removals)| removals).sum();
    Ok(i64::try_from(removals).unwrap_or(i64::MAX))
}

impl Catalog {
    /// Lets a run remove whatever it finds gone.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn allow_removals(&self, run: &Run) -> Result<(), sqlx::Error> {
        sqlx::query("update catalog.reconciliations set allow_removals = true where run_id = $1")
            .bind(run.run_id)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// Judges whether a run would remove more than `percent` of what the catalog has of it, and more
    /// than [`REMOVALS_MIN`]. Then it is stopped, and what was withheld goes; else, with `is_listed`,
    /// which says that all of its ranges are done, it may be applied from now on.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn judge_removals(
        &self,
        connection: &Connection,
        run: &Run,
        percent: u8,
        is_listed: bool,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let excess = self.excess(connection, run, percent, is_listed).await?;
        if excess.is_none() && !is_listed {
            return Ok(());
        }
        retry("judge removals", || async {
            let mut transaction = self.pool.begin().await?;
            // Alone, so that one process judges: the others find what it found.
            hold(&mut transaction, connection, Hold::Alone).await?;
            let free: Option<bool> = sqlx::query_scalar(
                "select is_cleared or allow_removals from catalog.reconciliations
                 where run_id = $1 and status = 'running'",
            )
            .bind(run.run_id)
            .fetch_optional(&mut *transaction)
            .await?;
            match (&excess, free) {
                (_, None) => {}
                (Some((removals, why)), Some(false)) => {
                    sqlx::query("update catalog.reconciliations set withheld = $2 where run_id = $1")
                        .bind(run.run_id)
                        .bind(removals)
                        .execute(&mut *transaction)
                        .await?;
                    end(&mut transaction, &connection.bucket, run, Ending::Stopped, why, None, now).await?;
                }
                (None, _) | (_, Some(true)) if is_listed => {
                    sqlx::query("update catalog.reconciliations set is_cleared = true where run_id = $1")
                        .bind(run.run_id)
                        .execute(&mut *transaction)
                        .await?;
                }
                (None, _) | (_, Some(true)) => {}
            }
            transaction.commit().await
        })
        .await
    }

    /// How many versions too many a run would remove, and which, in words. Until all is listed there may
    /// be more.
    async fn excess(
        &self,
        connection: &Connection,
        run: &Run,
        percent: u8,
        is_listed: bool,
    ) -> Result<Option<(i64, String)>, sqlx::Error> {
        let removals: i64 = sqlx::query_scalar(
            "select coalesce(sum(withheld), 0)::bigint from catalog.ranges where run_id = $1",
        )
        .bind(run.run_id)
        .fetch_one(&self.pool)
        .await?;
        let Some(rows) = self.too_many(connection, &run.prefix, removals, percent).await? else {
            return Ok(None);
        };
        let (first, last): (Option<String>, Option<String>) =
            sqlx::query_as("select min(key), max(key) from catalog.withheld where run_id = $1")
                .bind(run.run_id)
                .fetch_one(&self.pool)
                .await?;
        let at_least = if is_listed { "" } else { "at least " };
        let why = format!(
            "{at_least}{removals} of the {rows} versions in the catalog are not in the listing, the first of key {:?}, the \
             last of key {:?}; that is more than the {percent} % of reconcile.max_removals, so nothing was removed",
            first.unwrap_or_default(),
            last.unwrap_or_default(),
        );
        Ok(Some((removals, why)))
    }

    /// Whether so many removals below `prefix` are too many for the guard; if so, of how many present versions.
    /// Rows are counted only once that matters, and no further than it does.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn too_many(
        &self,
        connection: &Connection,
        prefix: &str,
        removals: i64,
        percent: u8,
    ) -> Result<Option<i64>, sqlx::Error> {
        if removals <= REMOVALS_MIN {
            return Ok(None);
        }
        // With so many rows it would be few enough.
        let percent_of = |percent: i64| (removals.saturating_mul(100).saturating_add(percent - 1)) / percent;
        let enough = if percent == 0 { i64::MAX } else { percent_of(i64::from(percent)) };
        let rows: i64 = sqlx::query_scalar(
            "select count(*) from (
                 select 1 from catalog.slots
                 where bucket = $1 and key >= $2 and ($3::text is null or key < $3) and is_present
                 limit $4) as counted",
        )
        .bind(&connection.bucket)
        .bind(prefix)
        .bind(after_prefix(prefix))
        .bind(enough)
        .fetch_one(&self.pool)
        .await?;
        Ok((rows < enough).then_some(rows))
    }

    /// Applies some of the removals of a run that may be applied, or that somebody changed since. None
    /// when there are no more that nobody else is applying.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn apply_withheld(
        &self,
        connection: &Connection,
        run: &Run,
        now: OffsetDateTime,
    ) -> Result<Option<Repaired>, sqlx::Error> {
        let _share = self.share().await;
        retry("apply removals", || async {
            let mut transaction = self.pool.begin().await?;
            // With this nobody can end the run before we commit.
            let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
            let rows: Vec<WithheldRow> = sqlx::query_as(
                // By their place: by their key Postgres might look for each among all of the run, if it thinks that
                // there are none.
                "delete from catalog.withheld
                 where ctid = any (array(
                     select ctid from catalog.withheld
                     where run_id = (select run_id from catalog.reconciliations
                                     where run_id = $1 and is_cleared and status = 'running')
                     order by key limit $2
                     for update skip locked))
                 returning key, window_from, window_to, listed",
            )
            .bind(run.run_id)
            .bind(BATCH)
            .fetch_all(&mut *transaction)
            .await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let sightings: Vec<Sighting> = rows.into_iter().map(Sighting::from).collect();
            let (run_id, cause) = (Some(run.run_id), Cause::Reconcile);
            let seen = observe(
                &mut transaction,
                connection,
                &horizon,
                run_id,
                &sightings,
                cause,
                Removals::Apply,
                now,
            );
            let seen = seen.await?;
            ask(&mut transaction, &connection.bucket, seen.asks, now, connection.terms.recheck_delay).await?;
            transaction.commit().await?;
            self.news.note(&connection.bucket, seen.changes);
            Ok(Some(seen.repaired))
        })
        .await
    }
}

impl From<WithheldRow> for Sighting {
    fn from(row: WithheldRow) -> Self {
        let window = Window { from: row.window_from.into(), to: row.window_to.into() };
        let listed = row.listed.as_array().into_iter().flatten().map(from_json).collect();
        Self { key: row.key, listed, window }
    }
}

fn as_json(listed: &[Listed]) -> String {
    let entries = listed.iter().map(|entry| {
        let content = match &entry.state {
            State::Object(content) => json!({ "etag": content.etag, "size": content.size }),
            State::Marker | State::Removed => Value::Null,
        };
        json!({
            "version_id": entry.version.as_str(),
            "is_latest": entry.is_latest,
            "last_modified": entry.last_modified.as_micros(),
            "storage_class": entry.storage_class,
            "object": content,
        })
    });
    Value::Array(entries.collect()).to_string()
}

fn from_json(entry: &Value) -> Listed {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let object = &entry["object"];
    Listed {
        version: VersionId::parse(entry["version_id"].as_str()),
        is_latest: entry["is_latest"].as_bool().unwrap_or_default(),
        state: match object {
            Value::Null => State::Marker,
            object => State::Object(Content { etag: text(&object["etag"]), size: object["size"].as_i64() }),
        },
        last_modified: Timestamp::from_micros(entry["last_modified"].as_i64().unwrap_or_default()),
        storage_class: text(&entry["storage_class"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_listed_comes_back_as_it_was() {
        let object =
            |etag: Option<&str>, size| State::Object(Content { etag: etag.map(str::to_owned), size });
        let entry = |state, storage_class: Option<&str>, is_latest| Listed {
            version: VersionId::parse(Some("v\"1")),
            is_latest,
            state,
            last_modified: Timestamp::from_micros(1_784_541_600_123_456),
            storage_class: storage_class.map(str::to_owned),
        };
        let listed = vec![
            entry(object(Some("e\\1"), Some(7)), Some("GLACIER"), true),
            entry(object(None, None), None, false),
            entry(State::Marker, None, false),
        ];
        let back: Value = serde_json::from_str(&as_json(&listed)).unwrap();
        assert_eq!(back.as_array().unwrap().iter().map(from_json).collect::<Vec<_>>(), listed);
    }
}
