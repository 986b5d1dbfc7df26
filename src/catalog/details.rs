//! Versions to be looked at, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::FromRow;
use time::OffsetDateTime;

use super::due::take_due;
use super::rows::Stacks;
use super::session::Session;
use super::{Catalog, Connection};
use crate::bucket::details::Head;
use crate::model::{Change, Changed, State, VersionId};

/// A version that is ours to look at until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Lookup {
    /// The key.
    pub key: String,
    /// The version, as text.
    pub version_id: String,
    /// How often it was taken, this time included.
    pub attempts: i32,
    /// Changes with every new reason to look.
    pub ticket: i64,
}

/// What was seen of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The version.
    pub lookup: Lookup,
    /// Whether it is there.
    pub is_there: bool,
    /// Its head, if that was asked for.
    pub head: Option<Head>,
    /// Its tags, if those were asked for.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Versions by key and id, in one order for everybody.
pub(super) type Versions<'a> = BTreeSet<(&'a str, &'a VersionId)>;

/// Queues what was created between `before` and `after` to be looked at, and `again` what was asked for
/// besides; forgets what was known of versions that are gone or written over. `is_quiet` is for what was there
/// before the bucket was connected: it is not looked at.
pub(super) async fn follow<'a>(
    transaction: &mut Session,
    connection: &Connection,
    before: &'a Stacks,
    after: &'a Stacks,
    mut again: Versions<'a>,
    is_quiet: bool,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if !connection.terms.is_enriched {
        return Ok(());
    }
    let mut changed = Versions::new();
    for (key, stack) in after {
        for Changed { version, change, .. } in stack.changes_since(before.get(key)) {
            if change != Change::Attributes {
                changed.insert((key, version));
            }
            if !is_quiet && matches!(change, Change::Created | Change::Attributes) {
                again.insert((key, version));
            }
        }
    }
    again.retain(|(key, version)| {
        let slot = after.get(*key).and_then(|stack| stack.slot(version));
        slot.is_some_and(|slot| matches!(slot.state, State::Object(_)))
    });
    let (keys, ids) = arrays(&changed);
    for statement in [
        "delete from catalog.lookups using unnest($2::text[], $3::text[]) as gone (key, version_id)
         where lookups.bucket = $1 and lookups.key = gone.key and lookups.version_id = gone.version_id",
        "delete from catalog.details using unnest($2::text[], $3::text[]) as gone (key, version_id)
         where details.bucket = $1 and details.key = gone.key and details.version_id = gone.version_id",
    ] {
        let query = sqlx::query(statement).bind(&connection.bucket).bind(&keys).bind(&ids);
        query.execute(&mut *transaction).await?;
    }
    let (keys, ids) = arrays(&again);
    sqlx::query(
        "insert into catalog.lookups (bucket, key, version_id, due_at)
         select $1, new.key, new.version_id, $4 from unnest($2::text[], $3::text[]) as new (key, version_id)
         on conflict (bucket, key, version_id) do update
         set ticket = excluded.ticket, due_at = excluded.due_at, attempts = 0",
    )
    .bind(&connection.bucket)
    .bind(keys)
    .bind(ids)
    .bind(now)
    .execute(transaction)
    .await
    .map(drop)
}

fn arrays<'a>(versions: &Versions<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    versions.iter().map(|(key, version)| (*key, version.as_str())).unzip()
}

impl Catalog {
    /// Takes up to `limit` versions of a connection that are due. They are not due again before `lease`
    /// is over, so that a daemon which dies does not take them with it.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take_lookups(
        &self,
        connection: &Connection,
        limit: usize,
        lease: Duration,
        now: OffsetDateTime,
    ) -> Result<Vec<Lookup>, sqlx::Error> {
        let statement = take_due!("lookups", "key, version_id, attempts, ticket");
        self.take_due(statement, connection, limit, lease, now).await
    }

    /// Writes down what was seen of versions, unless they have changed since they were taken, and
    /// strikes them off.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_seen(
        &self,
        connection: &Connection,
        seen: &[Seen],
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let column =
            |text: fn(&Seen) -> Option<String>| -> Vec<Option<String>> { seen.iter().map(text).collect() };
        sqlx::query(
            "with seen as (
                 select * from unnest($2::text[], $3::text[], $4::int8[], $5::bool[], $6::text[], $7::text[])
                     as seen (key, version_id, ticket, is_there, head, tags)
             ), struck as (
                 delete from catalog.lookups using seen
                 where lookups.bucket = $1 and lookups.key = seen.key and lookups.version_id = seen.version_id
                   and lookups.ticket = seen.ticket
                 returning lookups.ticket
             )
             insert into catalog.details (bucket, key, version_id, looked_up_at, head, tags)
             select $1, key, version_id, $8, head::jsonb, tags::jsonb
             from seen join struck using (ticket) where is_there
             on conflict (bucket, key, version_id) do update
             set looked_up_at = excluded.looked_up_at, head = excluded.head, tags = excluded.tags",
        )
        .bind(&connection.bucket)
        .bind(seen.iter().map(|seen| seen.lookup.key.as_str()).collect::<Vec<_>>())
        .bind(seen.iter().map(|seen| seen.lookup.version_id.as_str()).collect::<Vec<_>>())
        .bind(seen.iter().map(|seen| seen.lookup.ticket).collect::<Vec<_>>())
        .bind(seen.iter().map(|seen| seen.is_there).collect::<Vec<_>>())
        .bind(column(|seen| json(seen.head.as_ref()?)))
        .bind(column(|seen| json(seen.tags.as_ref()?)))
        .bind(now)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Puts a version off that could not be looked at, and notes why.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn put_off_lookup(
        &self,
        connection: &Connection,
        lookup: &Lookup,
        error: &str,
        pause: Duration,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update catalog.lookups set due_at = $5, last_error = $6
             where bucket = $1 and key = $2 and version_id = $3 and ticket = $4",
        )
        .bind(&connection.bucket)
        .bind(&lookup.key)
        .bind(&lookup.version_id)
        .bind(lookup.ticket)
        .bind(now + pause)
        .bind(error)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

/// As Postgres takes it: its texts hold no NUL, not even an escaped one.
fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string(value).ok().map(|text| text.replace("\\u0000", "\\ufffd"))
}
