//! Configured buckets, and what happened in them last.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use time::OffsetDateTime;

use super::rows::date;
use super::session::Session;
use super::{Catalog, Terms};
use crate::health::Subject;
use crate::ignore::Ignore;
use crate::model::{Horizon, Timestamp, Window};

/// One bucket, or what is below a prefix of it, that is kept in the catalog.
///
/// Daemons tell each other of theirs as JSON: a field that is added has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that begin with this; the empty prefix is the whole bucket.
    pub prefix: String,
    /// Keys of these that stay out.
    pub ignore: Ignore,
    /// How many tables the rows of the bucket are spread over when it is connected: a power of two.
    pub partitions: u32,
    /// How its claims and observations are merged.
    pub terms: Terms,
}

impl Connection {
    /// What it is called where its health is told.
    pub fn subject(&self) -> Subject {
        Subject::Bucket { name: self.bucket.clone(), prefix: self.prefix.clone() }
    }
}

#[derive(FromRow)]
struct HorizonRow {
    watermark_from: Option<OffsetDateTime>,
    watermark_to: Option<OffsetDateTime>,
    run_started: Option<OffsetDateTime>,
}

impl HorizonRow {
    fn horizon(self, terms: Terms) -> Horizon {
        let watermark = self.watermark_from.zip(self.watermark_to);
        terms.horizon(
            watermark.map(|(from, to)| Window { from: from.into(), to: to.into() }),
            self.run_started.map(Timestamp::from),
        )
    }
}

/// How firmly a transaction holds the row of its connection.
pub(super) enum Hold {
    /// With other batches, but not with the start or the end of a run.
    Shared,
    /// Alone: waits for the batches in flight, and later ones wait for it.
    Alone,
}

/// Takes the connection's row until the transaction ends, and reads what is known of the bucket.
pub(super) async fn hold(
    transaction: &mut Session,
    connection: &Connection,
    hold: Hold,
) -> Result<Horizon, sqlx::Error> {
    let statement = match hold {
        Hold::Shared => {
            "select watermark_from, watermark_to, run_started from catalog.connections
             where bucket = $1 and prefix = $2 for share"
        }
        Hold::Alone => {
            "select watermark_from, watermark_to, run_started from catalog.connections
             where bucket = $1 and prefix = $2 for update"
        }
    };
    let row: HorizonRow = sqlx::query_as(statement)
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_one(transaction)
        .await?;
    Ok(row.horizon(connection.terms))
}

impl Catalog {
    /// Makes room for a bucket: its row and its partitions. Does nothing where they are.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn connect(&self, connection: &Connection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        // Replicas that start together would both make the partition.
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(&connection.bucket)
            .execute(&mut *transaction)
            .await?;
        let is_new = sqlx::query(
            "insert into catalog.connections (bucket, prefix, connected_at) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(now)
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        if is_new {
            sqlx::query("insert into catalog.activity (bucket, prefix) values ($1, $2)")
                .bind(&connection.bucket)
                .bind(&connection.prefix)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "select catalog.add_partition($1, $2)
                 where (select count(*) from catalog.connections where bucket = $1) = 1",
            )
            .bind(&connection.bucket)
            .bind(connection.partitions.cast_signed())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// How many tables the rows of a bucket are spread over; none where it is not connected.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the schema is not there.
    pub async fn partitions(&self, bucket: &str) -> Result<Option<u32>, sqlx::Error> {
        let leaves: i64 = sqlx::query_scalar(
            "select count(*) filter (where isleaf) from pg_partition_tree(catalog.partition_of($1))",
        )
        .bind(bucket)
        .fetch_one(&self.pool)
        .await?;
        Ok(u32::try_from(leaves).ok().filter(|leaves| *leaves > 0))
    }

    /// Whether there is room for a bucket.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the schema is not there.
    pub async fn is_connected(&self, connection: &Connection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select exists (select from catalog.connections where bucket = $1 and prefix = $2)",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_one(&self.pool)
        .await
    }

    /// The prefixes of the parts of a bucket that were ever connected and not forgotten.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn connected_prefixes(&self, bucket: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select prefix from catalog.connections where bucket = $1 order by prefix")
            .bind(bucket)
            .fetch_all(&self.pool)
            .await
    }

    /// Notes the time of the latest event and when the queues were last seen empty. Never moves
    /// back, so several daemons may tell what each of them knows.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_activity(
        &self,
        connection: &Connection,
        last_event: Option<Timestamp>,
        caught_up: Option<OffsetDateTime>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.activity
             set last_event_at = greatest(last_event_at, $3), caught_up_at = greatest(caught_up_at, $4)
             where bucket = $1 and prefix = $2",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(last_event.map(date))
        .bind(caught_up)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
