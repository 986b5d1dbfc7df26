//! What the last hours and months were like: events by the minute, and how much there is by the hour.

use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;

use super::session::LONG_MAX;
use super::{Catalog, Connection};

/// How long minutes are kept, in days.
const MINUTES_KEPT_DAYS: i32 = 2;
/// How long hours are kept, in days.
const HOURS_KEPT_DAYS: i32 = 90;

/// Events of one connection that were committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub events: u64,
    /// The longest that one took, from when it happened to its commit; none without events.
    pub lag: Option<Duration>,
}

impl Traffic {
    /// Adds others of the same connection.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.lag = self.lag.max(other.lag);
    }
}

/// A piece of the recent past of one connection.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Stretch {
    /// Which one, from 0 for the earliest.
    pub place: i32,
    /// Events a minute.
    pub events: f64,
    /// The longest that one took, in seconds.
    pub lag_seconds: Option<f64>,
}

/// How much was in a bucket, of one storage class.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Amount {
    /// When the hour began.
    pub hour: OffsetDateTime,
    /// Its name; none where it is not known.
    pub storage_class: Option<String>,
    /// Bytes of all versions.
    pub bytes: i64,
}

impl Catalog {
    /// Adds what was committed to the minute that it is, and has the hour say how much there is. Forgets what is old.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_history(&self, traffic: &[(&Connection, Traffic)]) -> Result<(), sqlx::Error> {
        let interval = |lag: Duration| PgInterval {
            months: 0,
            days: 0,
            microseconds: i64::try_from(lag.as_micros()).unwrap_or(i64::MAX),
        };
        let mut transaction = self.pool.begin().await?;
        transaction.set_limit(LONG_MAX);
        // In one order, or two daemons could wait for each other. Who was disconnected meanwhile has no minutes.
        sqlx::query(
            "insert into catalog.minutes (minute, events, lag, bucket, prefix)
             select date_trunc('minute', statement_timestamp()), new.events, new.lag, bucket, prefix
             from unnest($1::text[], $2::text[], $3::int8[], $4::interval[]) as new (bucket, prefix, events, lag)
             join catalog.connections using (bucket, prefix)
             order by bucket, prefix
             on conflict (bucket, prefix, minute) do update
             set events = minutes.events + excluded.events, lag = greatest(minutes.lag, excluded.lag)",
        )
        .bind(traffic.iter().map(|(connection, _)| &*connection.bucket).collect::<Vec<_>>())
        .bind(traffic.iter().map(|(connection, _)| &*connection.prefix).collect::<Vec<_>>())
        .bind(traffic.iter().map(|(_, traffic)| traffic.events as i64).collect::<Vec<_>>())
        .bind(traffic.iter().map(|(_, traffic)| traffic.lag.map(interval)).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "with now as (
                 select date_trunc('hour', statement_timestamp()) as hour, bucket_stats.* from catalog.bucket_stats
             ),
             -- What a bucket has no more of.
             gone as (
                 delete from catalog.hours
                 where hour = date_trunc('hour', statement_timestamp()) and bucket in (select bucket from catalog.connections)
                   and not exists (select from now where now.bucket = hours.bucket
                                   and coalesce(now.storage_class, '') = hours.storage_class)
             )
             insert into catalog.hours
             select hour, objects, bytes, noncurrent_versions, noncurrent_bytes, delete_markers, bucket,
                    coalesce(storage_class, '')
             from now order by bucket, storage_class
             on conflict (bucket, hour, storage_class) do update
             set objects = excluded.objects, bytes = excluded.bytes, noncurrent_versions = excluded.noncurrent_versions,
                 noncurrent_bytes = excluded.noncurrent_bytes, delete_markers = excluded.delete_markers",
        )
        .execute(&mut *transaction)
        .await?;
        for statement in [
            "delete from catalog.minutes where minute < statement_timestamp() - make_interval(days => $1)
             and (bucket, prefix) in (select bucket, prefix from catalog.connections)",
            "delete from catalog.hours where hour < statement_timestamp() - make_interval(days => $2)
             and $1 is not null and bucket in (select bucket from catalog.connections)",
        ] {
            sqlx::query(statement)
                .bind(MINUTES_KEPT_DAYS)
                .bind(HOURS_KEPT_DAYS)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Events and lag of all connections over the last `hours`, in so many stretches each, by bucket and prefix.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn recent_traffic(
        &self,
        hours: i32,
        stretches: i32,
    ) -> Result<Vec<(String, String, Stretch)>, sqlx::Error> {
        #[derive(FromRow)]
        struct Row {
            bucket: String,
            prefix: String,
            #[sqlx(flatten)]
            stretch: Stretch,
        }
        let rows: Vec<Row> = sqlx::query_as(
            "with span as (
                 select statement_timestamp() - make_interval(hours => $1) as start,
                        make_interval(hours => $1) / $2 as step
             )
             select bucket, prefix, least(floor(extract(epoch from minute - start) / extract(epoch from step)), $2 - 1)::int
                        as place,
                    avg(events)::float8 as events, max(extract(epoch from lag))::float8 as lag_seconds
             from span, catalog.connections join catalog.minutes using (bucket, prefix)
             where minute >= start
             group by bucket, prefix, place",
        )
        .bind(hours)
        .bind(stretches)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.bucket, row.prefix, row.stretch)).collect())
    }

    /// How much was in a bucket by storage class, over all that is kept, at `points` moments at most.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn growth(&self, bucket: &str, points: i32) -> Result<Vec<Amount>, sqlx::Error> {
        sqlx::query_as(
            "with moments as (
                 select hour, ntile($2) over (order by hour) as tile from catalog.hours where bucket = $1 group by hour
             )
             select hour, nullif(storage_class, '') as storage_class, bytes + noncurrent_bytes as bytes
             from catalog.hours
             where bucket = $1 and hour in (select max(hour) from moments group by tile)
             order by hour, storage_class",
        )
        .bind(bucket)
        .bind(points)
        .fetch_all(&self.pool)
        .await
    }
}
