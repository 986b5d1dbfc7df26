//! Which buckets daemons have, so that none of several at one queue drops the events of a bucket that only another has.
//!
//! Each says from time to time which it has. For [`ATTENDED_FOR`] from then on all others merge its events like their
//! own. When a daemon says so after longer than that, and somebody received from one of its queues meanwhile, its events
//! may be gone: a run is asked for. So is one when other keys are to stay out than before, once all agree which.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Catalog, Connection, Reason};

/// For how long events of a bucket are merged by daemons that do not have it, from when another said that it has it.
const ATTENDED_FOR: Duration = Duration::from_secs(3_600);
/// How often that is written down.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// A bucket of which nobody said so for this long has no daemon now.
pub(super) const ATTENDED_NOW: Duration = Duration::from_secs(2 * 60);
/// Daemons of which no two differ for so long in what is to stay out agree: each that is at work says it sooner.
const AGREED_AFTER: Duration = Duration::from_secs(30);

/// What came of saying which connections a daemon has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attended {
    /// Those that others said they have, and it did not.
    pub others: Vec<Connection>,
    /// Those, by bucket and prefix, that nobody had for long while somebody received from their queues: a run of each was asked for.
    pub unattended: Vec<(String, String)>,
}

impl Catalog {
    /// Says that a daemon, which has greeted, has these connections, and receives from the queues `urls`. Others know by
    /// `heard_within` after; before that no run starts that is asked for here.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or another daemon's connection makes no sense here.
    pub async fn attend(
        &self,
        daemon_id: i64,
        connections: &[Arc<Connection>],
        urls: &[String],
        heard_within: Duration,
        now: OffsetDateTime,
    ) -> Result<Attended, sqlx::Error> {
        let unattended = sqlx::query_as(
            "with own as (
                 select said ->> 'bucket' as bucket, said ->> 'prefix' as prefix, said
                 from jsonb_array_elements($1::text::jsonb) as said
             ), before as materialized (
                 select bucket, prefix, attended_at, said,
                        coalesce(attended_at < clock_timestamp() - make_interval(secs => $3), true) as is_new,
                        said -> 'ignore' <> connection -> 'ignore' as is_other
                 from catalog.activity join own using (bucket, prefix)
                 where attended_at is null or attended_at < clock_timestamp() - make_interval(secs => $2)
                    or said -> 'ignore' <> connection -> 'ignore'
                 order by bucket, prefix
                 for update of activity
             ), told as (
                 update catalog.activity
                 set attended_at = clock_timestamp(), connection = said,
                     attended_since = case when is_new then clock_timestamp() else attended_since end
                 from before where (activity.bucket, activity.prefix) = (before.bucket, before.prefix)
             ), later as (
                 delete from catalog.due_runs using before
                 where (due_runs.bucket, due_runs.prefix, reason) = (before.bucket, before.prefix, $7) and is_other
             ), listed as (
                 select before.*, connected_at from before join catalog.connections using (bucket, prefix)
                 where watermark_from is not null or run_started is not null
             ), agreed as (
                 insert into catalog.due_runs (bucket, prefix, reason, due_at)
                 select bucket, prefix, $7, $8 from listed where is_other
             )
             insert into catalog.due_runs (bucket, prefix, reason, due_at)
             select bucket, prefix, $5, $6 from listed
             where is_new and exists (
                 select from catalog.queues
                 where url = any($4)
                   and noted_at > coalesce(attended_at + make_interval(secs => $3), connected_at))
             returning bucket, prefix",
        )
        .bind(json(connections)?)
        .bind(SAID_EVERY.as_secs_f64())
        .bind(ATTENDED_FOR.as_secs_f64())
        .bind(urls)
        .bind(Reason::Away.as_str())
        .bind(now + heard_within)
        .bind(Reason::Ignore.as_str())
        .bind(now + AGREED_AFTER)
        .fetch_all(&self.pool)
        .await?;
        let said: Vec<String> = sqlx::query_scalar(
            "with heard as (
                 update catalog.heartbeats set heard_at = statement_timestamp() where daemon_id = $2
             )
             select connection::text from catalog.activity
             where attended_at > clock_timestamp() - make_interval(secs => $1)",
        )
        .bind(ATTENDED_FOR.as_secs_f64())
        .bind(daemon_id)
        .fetch_all(&self.pool)
        .await?;
        Ok(Attended { others: others(connections, &said)?, unattended })
    }

    /// Whether another daemon is at work that has not heard of some of these connections since this one said that it has
    /// them, because nobody has said so for longer than `heard_within`.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn is_news(
        &self,
        daemon_id: i64,
        connections: &[Arc<Connection>],
        heard_within: Duration,
    ) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select exists (
                 select from catalog.daemons join catalog.heartbeats as other using (daemon_id),
                             catalog.heartbeats as own
                 where own.daemon_id = $3 and other.daemon_id <> $3 and is_running
                   and coalesce(other.heard_at < own.heard_at, true)
             ) and exists (
                 select from catalog.activity join jsonb_array_elements($1::text::jsonb) as said
                   on bucket = said ->> 'bucket' and prefix = said ->> 'prefix'
                 where attended_since > clock_timestamp() - make_interval(secs => $2)
             )",
        )
        .bind(json(connections)?)
        .bind(heard_within.as_secs_f64())
        .bind(daemon_id)
        .fetch_one(&self.pool)
        .await
    }
}

fn json(connections: &[Arc<Connection>]) -> Result<String, sqlx::Error> {
    serde_json::to_string(connections).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Those of what was `said` that are not ours.
fn others(own: &[Arc<Connection>], said: &[String]) -> Result<Vec<Connection>, sqlx::Error> {
    let ours: HashSet<_> = own.iter().map(|own| (own.bucket.as_str(), own.prefix.as_str())).collect();
    let mut others = Vec::new();
    for connection in said {
        let other: Connection =
            serde_json::from_str(connection).map_err(|error| sqlx::Error::Decode(error.into()))?;
        if !ours.contains(&(other.bucket.as_str(), other.prefix.as_str())) {
            others.push(other);
        }
    }
    Ok(others)
}
