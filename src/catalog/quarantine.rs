//! Messages that could not be read, kept for a person, and for another try.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::Catalog;

/// The longest body kept whole, in bytes: what S3 sends is up to 64 KB.
const BODY_MAX: usize = 1 << 20;

/// A message, or one record of it, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined<'a> {
    /// The queue's URL.
    pub queue: &'a str,
    /// SQS's id of the message.
    pub message_id: &'a str,
    /// Which record of it, from 1; 0 for the whole message.
    pub record: i32,
    /// How often it had been delivered.
    pub receive_count: Option<u32>,
    /// The body of the message.
    pub body: &'a str,
    /// Why it could not be read.
    pub reason: &'a str,
}

/// A message, or one record of it, that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Aside {
    /// Its number in `catalog.quarantine`.
    pub quarantine_id: i64,
    /// The queue's URL.
    pub queue: String,
    /// SQS's id of the message.
    pub message_id: String,
    /// Which record of it, from 1; 0 for the whole message.
    pub record: i32,
    /// The body of the message.
    pub body: String,
    /// When it was set aside.
    pub received_at: OffsetDateTime,
    /// When it was put through after all.
    pub replayed_at: Option<OffsetDateTime>,
}

impl Catalog {
    /// Keeps a message or record aside. Delivered again, it is the same row, and was not put through.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn quarantine(&self, item: &Quarantined<'_>, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into catalog.quarantine (received_at, queue, message_id, record, receive_count, body, reason)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (queue, message_id, record) do update
             set receive_count = excluded.receive_count, reason = excluded.reason, replayed_at = null",
        )
        .bind(now)
        .bind(item.queue)
        .bind(item.message_id)
        .bind(item.record)
        .bind(item.receive_count.and_then(|count| i32::try_from(count).ok()))
        .bind(storable(item.body))
        .bind(storable(item.reason))
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// What is in quarantine under this number.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn quarantined(&self, id: i64) -> Result<Option<Aside>, sqlx::Error> {
        sqlx::query_as(
            "select quarantine_id, queue, message_id, record, body, received_at, replayed_at
             from catalog.quarantine where quarantine_id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
    }

    /// What follows that number in quarantine, and was not put through yet.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn next_quarantined(&self, after: i64) -> Result<Option<Aside>, sqlx::Error> {
        sqlx::query_as(
            "select quarantine_id, queue, message_id, record, body, received_at, replayed_at
             from catalog.quarantine where quarantine_id > $1 and replayed_at is null
             order by quarantine_id limit 1",
        )
        .bind(after)
        .fetch_optional(&self.pool)
        .await
    }

    /// Notes that what is in quarantine was put through, or why it still cannot be.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_replay(
        &self,
        id: i64,
        reason: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.quarantine
             set reason = coalesce($2, reason), replayed_at = case when $2 is null then $3 end
             where quarantine_id = $1",
        )
        .bind(id)
        .bind(reason.map(storable))
        .bind(now)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

/// Postgres texts hold no NUL; a body with one is kept with U+FFFD in its place.
fn storable(text: &str) -> String {
    let end = text.floor_char_boundary(BODY_MAX);
    text.get(..end).unwrap_or_default().replace('\0', "\u{FFFD}")
}
