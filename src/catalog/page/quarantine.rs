//! What was set aside, with its reasons.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::catalog::Catalog;

/// A message in quarantine, or a record of one.
#[derive(Debug, FromRow)]
pub struct QuarantinedMessage {
    /// Its number.
    pub quarantine_id: i64,
    /// When it was set aside.
    pub received_at: OffsetDateTime,
    /// The queue's URL.
    pub queue: String,
    /// SQS's id of the message.
    pub message_id: String,
    /// Which record of it, from 1; 0 for the whole message.
    pub record: i32,
    /// How often it had been delivered.
    pub receive_count: Option<i32>,
    /// Why it could not be read.
    pub reason: String,
    /// When it was put through after all.
    pub replayed_at: Option<OffsetDateTime>,
    /// The body, or the beginning of it.
    pub body: String,
    /// How many characters the body has.
    pub length: i32,
}

impl Catalog {
    /// What is in quarantine with numbers below that, the latest first; of bodies so many characters.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn quarantine_before(
        &self,
        before: i64,
        body_max: i32,
        limit: i64,
    ) -> Result<Vec<QuarantinedMessage>, sqlx::Error> {
        sqlx::query_as(
            "select quarantine_id, received_at, queue, message_id, record, receive_count, reason, replayed_at,
                    left(body, $2) as body, length(body) as length
             from catalog.quarantine where quarantine_id < $1 order by quarantine_id desc limit $3",
        )
        .bind(before)
        .bind(body_max)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
    }
}
