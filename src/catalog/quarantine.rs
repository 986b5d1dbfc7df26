//! Messages that could not be read, kept for a person.

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

impl Catalog {
    /// Keeps a message or record aside. Delivered again, it is the same row.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn quarantine(&self, item: &Quarantined<'_>, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into catalog.quarantine (received_at, queue, message_id, record, receive_count, body, reason)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (queue, message_id, record) do update
             set receive_count = excluded.receive_count, reason = excluded.reason",
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
}

/// Postgres texts hold no NUL; a body with one is kept with U+FFFD in its place.
fn storable(text: &str) -> String {
    let end = text.floor_char_boundary(BODY_MAX);
    text.get(..end).unwrap_or_default().replace('\0', "\u{FFFD}")
}
