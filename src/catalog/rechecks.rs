//! Keys in doubt: asked for, taken, and answered.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::FromRow;
use time::OffsetDateTime;

use super::due::take_due;
use super::session::Session;
use super::{Catalog, Connection};
use crate::model::Doubt;

/// A key that must be listed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The key.
    pub key: String,
    /// Why.
    pub reason: Doubt,
    /// The run that raised the doubt, to whose drift the answer belongs.
    pub run_id: Option<i64>,
}

/// A key in doubt that is ours to list until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Recheck {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Why it was asked for, as [`Doubt::as_str`] says it.
    pub reason: String,
    /// How often it was taken, this time included.
    pub attempts: i32,
    /// Changes with every new doubt about the key.
    pub ticket: i64,
    /// The run that raised the doubt, if one did.
    pub run_id: Option<i64>,
}

/// Queues keys; a key that is queued already stays where it is, with a new ticket.
pub(super) async fn ask(
    connection: &mut Session,
    bucket: &str,
    asks: Vec<Ask>,
    now: OffsetDateTime,
    delay: Duration,
) -> Result<(), sqlx::Error> {
    if asks.is_empty() {
        return Ok(());
    }
    // One row a key, in one order for everybody, or two batches could wait for each other.
    let by_key: BTreeMap<String, Ask> = asks.into_iter().map(|ask| (ask.key.clone(), ask)).collect();
    let (keys, asks): (Vec<String>, Vec<Ask>) = by_key.into_iter().unzip();
    let reasons: Vec<&str> = asks.iter().map(|ask| ask.reason.as_str()).collect();
    let run_ids: Vec<Option<i64>> = asks.iter().map(|ask| ask.run_id).collect();
    sqlx::query(
        "insert into catalog.rechecks (bucket, key, reason, asked_at, due_at, run_id)
         select $1, new.key, new.reason, $2, $3, new.run_id
         from unnest($4::text[], $5::text[], $6::int8[]) as new (key, reason, run_id)
         on conflict (bucket, key) do update
         set reason = excluded.reason, ticket = excluded.ticket,
             due_at = least(rechecks.due_at, excluded.due_at),
             run_id = coalesce(excluded.run_id, rechecks.run_id)",
    )
    .bind(bucket)
    .bind(now)
    .bind(now + delay)
    .bind(&keys)
    .bind(reasons)
    .bind(run_ids)
    .execute(connection)
    .await
    .map(drop)
}

/// Strikes a key off the queue, unless a new doubt about it came up since it was taken.
pub(super) async fn strike(connection: &mut Session, recheck: &Recheck) -> Result<(), sqlx::Error> {
    sqlx::query("delete from catalog.rechecks where bucket = $1 and key = $2 and ticket = $3")
        .bind(&recheck.bucket)
        .bind(&recheck.key)
        .bind(recheck.ticket)
        .execute(connection)
        .await
        .map(drop)
}

impl Catalog {
    /// Queues one key and takes it at once.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take_recheck_of(
        &self,
        connection: &Connection,
        key: &str,
        reason: Doubt,
        lease: Duration,
        now: OffsetDateTime,
    ) -> Result<Recheck, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let ask_it = Ask { key: key.to_owned(), reason, run_id: None };
        ask(&mut transaction, &connection.bucket, vec![ask_it], now, lease).await?;
        let recheck = sqlx::query_as(
            "update catalog.rechecks set due_at = $3, attempts = attempts + 1 where bucket = $1 and key = $2
             returning bucket, key, reason, attempts, ticket, run_id",
        )
        .bind(&connection.bucket)
        .bind(key)
        .bind(now + lease)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(recheck)
    }

    /// Takes up to `limit` keys of a connection that are due. They are not due again before
    /// `lease` is over, so that a daemon which dies does not take them with it.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take_rechecks(
        &self,
        connection: &Connection,
        limit: usize,
        lease: Duration,
        now: OffsetDateTime,
    ) -> Result<Vec<Recheck>, sqlx::Error> {
        let statement = take_due!("rechecks", "bucket, key, reason, attempts, ticket, run_id");
        self.take_due(statement, connection, limit, lease, now).await
    }

    /// Puts a key in doubt off, unless a new doubt about it came up, and notes why it could not be
    /// listed, if it could not.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn put_off_recheck(
        &self,
        recheck: &Recheck,
        error: &str,
        pause: Duration,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.rechecks set due_at = $4, last_error = $5 where bucket = $1 and key = $2 and ticket = $3",
        )
        .bind(&recheck.bucket)
        .bind(&recheck.key)
        .bind(recheck.ticket)
        .bind(now + pause)
        .bind(error)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// How many keys of a connection are in doubt, counting no further than one more than `limit`.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn count_rechecks(&self, connection: &Connection, limit: usize) -> Result<usize, sqlx::Error> {
        let count: i64 = sqlx::query_scalar(
            "select count(*) from (
                 select 1 from catalog.rechecks where bucket = $1 and starts_with(key, $2) limit $3
             ) as counted",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }
}
