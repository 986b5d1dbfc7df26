//! How much is in a bucket: by how much each transaction changes it, and whether the sum is right.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::rows::Stacks;
use super::session::{LONG_MAX, Session};
use super::{Catalog, Connection, Run};
use crate::model::{Stack, State};

/// From so many rows on, changes are summed up: reading fewer takes no time.
const FOLD_MIN: i64 = 1_000;

/// A row of `catalog.stats`, but for the bucket and the storage class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    objects: i64,
    bytes: i64,
    noncurrent_versions: i64,
    noncurrent_bytes: i64,
    delete_markers: i64,
}

impl Amounts {
    /// Adds what a stack weighs, so many times, to the amounts of its storage classes.
    fn add<'a>(classes: &mut BTreeMap<&'a str, Self>, stack: &'a Stack, times: i64) {
        for (version, slot) in stack.slots() {
            let content = match &slot.state {
                State::Removed => continue,
                State::Marker => None,
                State::Object(content) => Some(content),
            };
            let amounts = classes.entry(slot.storage_class.as_deref().unwrap_or_default()).or_default();
            let Some(content) = content else {
                amounts.delete_markers += times;
                continue;
            };
            let (count, bytes) = if stack.latest() == Some(version) {
                (&mut amounts.objects, &mut amounts.bytes)
            } else {
                (&mut amounts.noncurrent_versions, &mut amounts.noncurrent_bytes)
            };
            *count += times;
            // A sum beyond what a bigint holds is as wrong as sizes are that add up to it; a run counts anew.
            *bytes = bytes.saturating_add(times.saturating_mul(content.size.unwrap_or_default()));
        }
    }
}

/// Notes by how much `after` is more than `before`, in the transaction that writes it.
pub(super) async fn note(
    connection: &mut Session,
    bucket: &str,
    before: &Stacks,
    after: &Stacks,
) -> Result<(), sqlx::Error> {
    let mut classes = BTreeMap::new();
    for (key, stack) in after {
        let held = before.get(key);
        if held != Some(stack) {
            Amounts::add(&mut classes, stack, 1);
            if let Some(held) = held {
                Amounts::add(&mut classes, held, -1);
            }
        }
    }
    classes.retain(|_, amounts| *amounts != Amounts::default());
    if classes.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Amounts) -> i64| classes.values().map(of).collect::<Vec<i64>>();
    sqlx::query(
        "insert into catalog.stats
             (bucket, storage_class, objects, bytes, noncurrent_versions, noncurrent_bytes, delete_markers)
         select $1, new.* from unnest($2::text[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[]) as new",
    )
    .bind(bucket)
    .bind(classes.keys().copied().collect::<Vec<&str>>())
    .bind(column(|amounts| amounts.objects))
    .bind(column(|amounts| amounts.bytes))
    .bind(column(|amounts| amounts.noncurrent_versions))
    .bind(column(|amounts| amounts.noncurrent_bytes))
    .bind(column(|amounts| amounts.delete_markers))
    .execute(connection)
    .await
    .map(drop)
}

impl Catalog {
    /// Counts a bucket at the end of a run, and puts right what its sum is wrong by: drift of the kind
    /// `stats`, one for each storage class. How much of it there was. Nobody waits for this; where another
    /// daemon is at it, it finds nothing.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn verify_stats(
        &self,
        connection: &Connection,
        run: &Run,
        now: OffsetDateTime,
    ) -> Result<u64, sqlx::Error> {
        let _share = self.share().await;
        let mut transaction = self.pool.begin().await?;
        transaction.set_limit(LONG_MAX);
        let is_alone: bool =
            sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended('stats ' || $1, 0))")
                .bind(&connection.bucket)
                .fetch_one(&mut *transaction)
                .await?;
        if !is_alone {
            return Ok(0);
        }
        // Nearly always nothing is, and who only reads may do so with two processes.
        let is_wrong: bool = sqlx::query_scalar("select exists (select from catalog.wrong_stats($1))")
            .bind(&connection.bucket)
            .fetch_one(&mut *transaction)
            .await?;
        if !is_wrong {
            return Ok(0);
        }
        let wrong = sqlx::query(
            "insert into catalog.drift (run_id, bucket, found_at, key, version_id, kind, detail)
             select $1, $2, $3, '', '', 'stats',
                    jsonb_build_object('storage_class', storage_class, 'before', before, 'after', after)
             from catalog.repair_stats($2)",
        )
        .bind(run.run_id)
        .bind(&connection.bucket)
        .bind(now)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(wrong)
    }

    /// Of how many storage classes the sum of a bucket is wrong. Counts the bucket, and puts nothing right.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn wrong_sums(&self, bucket: &str) -> Result<i64, sqlx::Error> {
        let _share = self.share().await;
        sqlx::query_scalar("select count(*) from catalog.wrong_stats($1)")
            .bind(bucket)
            .fetch_one(self.pool.within(LONG_MAX))
            .await
    }

    /// How much drift of the kind `stats` a run found.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn wrong_sums_of_run(&self, connection: &Connection, run: &Run) -> Result<i64, sqlx::Error> {
        // By the index of keys, as a run can have much drift of other kinds.
        sqlx::query_scalar(
            "select count(*) from catalog.drift where bucket = $1 and key = '' and run_id = $2 and kind = 'stats'",
        )
        .bind(&connection.bucket)
        .bind(run.run_id)
        .fetch_one(&self.pool)
        .await
    }

    /// Sums up by how much transactions changed buckets, once there is much of it.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn fold_stats(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "select catalog.fold_stats() where $1 <= (select count(*) from (select from catalog.stats limit $1) as waiting)",
        )
        .bind(FOLD_MIN)
        .execute(self.pool.within(LONG_MAX))
        .await
        .map(drop)
    }
}
