//! Rows of `catalog.slots` in the order of keys, as a run goes through them.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::rows::SlotRow;
use super::session::Session;
use crate::model::{Listed, Span, Stack, Timestamp, Told, after_prefix, is_as_listed};

/// A place among the rows of a bucket, which are in the order of keys and then version ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) key: String,
    pub(super) version_id: String,
}

impl Place {
    /// Before all versions of a key.
    pub(super) fn before(key: &str) -> Self {
        Self { key: key.to_owned(), version_id: String::new() }
    }

    /// After all versions of a key: their ids are URL-ready text.
    pub fn after(key: &str) -> Self {
        Self { key: key.to_owned(), version_id: "\u{10FFFF}".to_owned() }
    }

    /// After all keys: none has more than 1,024 bytes, and this is greater than any of so many.
    pub(super) fn end() -> Self {
        Self::before(&"\u{10FFFF}".repeat(257))
    }
}

/// The places that keys below `prefix` and in `span` are between.
pub(super) fn bounds(prefix: &str, span: &Span) -> (Place, Place) {
    let first = if span.after.as_str() < prefix { Place::before(prefix) } else { Place::after(&span.after) };
    let end = after_prefix(prefix).map_or_else(Place::end, |before| Place::before(&before));
    let end = match &span.to {
        Some(to) => end.min(Place::after(to)),
        None => end,
    };
    (first, end)
}

/// Whole keys in byte order, with what is held of them.
#[derive(Debug)]
pub struct Held<T> {
    /// The keys.
    pub keys: Vec<(String, T)>,
    /// Where to go on; none at the end.
    pub next: Option<Place>,
}

/// The versions of one key that are there, as Postgres sent them: a look at them is enough to tell
/// whether a listing shows the same.
#[derive(Debug, Default)]
pub struct HeldKey {
    rows: Vec<PgRow>,
}

impl HeldKey {
    /// Whether a listing shows the same, so that observing it would change nothing.
    ///
    /// # Errors
    /// When a row is not what it should be.
    pub fn is_as_listed(&self, listed: &[Listed]) -> Result<bool, sqlx::Error> {
        let mut broken = None;
        let told = self.rows.iter().map_while(|row| told(row).map_err(|error| broken = Some(error)).ok());
        let is_as_listed = is_as_listed(told, listed);
        broken.map_or(Ok(is_as_listed), Err)
    }
}

/// Where a row of [`SCAN`] has what: to ask by name, and whether the type is the right one, takes longer
/// than all the rest.
const KEY: usize = 0;
const VERSION_ID: usize = 1;
const IS_LATEST: usize = 2;
const IS_DELETE_MARKER: usize = 3;
const SIZE: usize = 4;
const ETAG: usize = 5;
const STORAGE_CLASS: usize = 6;
const LAST_MODIFIED: usize = 7;

/// What a listing could tell otherwise, and no more: each column costs Postgres and us a few hundredths of what
/// a version costs. Both bounds are one comparison each, which the index understands, whatever they are.
const SCAN: &str = "select key, version_id, is_latest, is_delete_marker, size, etag, storage_class,
            case when is_exact then last_modified end
     from catalog.slots
     where bucket = $1 and (key, version_id) > ($2, $3) and (key, version_id) < ($4, $5) and is_present
     order by key, version_id
     limit $6";

/// All that is known.
const STACKS: &str =
    "select key, version_id, is_present, is_latest, is_delete_marker, is_exact, size, etag, storage_class,
            last_modified, sequencer, floor, event_time, observed_from, observed_to, attributes_at
     from catalog.slots
     where bucket = $1 and (key, version_id) > ($2, $3) and (key, version_id) < ($4, $5)
     order by key, version_id
     limit $6";

/// Postgres counts microseconds from the beginning of 2000, and so sends them.
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// None of a row whose date is that of an event.
fn told(row: &PgRow) -> Result<Option<Told<'_>>, sqlx::Error> {
    let Some(micros) = row.try_get_unchecked::<Option<i64>, _>(LAST_MODIFIED)? else { return Ok(None) };
    Ok(Some(Told {
        version: row.try_get_unchecked(VERSION_ID)?,
        is_latest: row.try_get_unchecked(IS_LATEST)?,
        is_marker: row.try_get_unchecked(IS_DELETE_MARKER)?,
        etag: row.try_get_unchecked(ETAG)?,
        size: row.try_get_unchecked(SIZE)?,
        last_modified: Timestamp::from_micros(micros.saturating_add(MICROS_TO_2000)),
        storage_class: row.try_get_unchecked(STORAGE_CLASS)?,
    }))
}

/// Reads about `rows_max` versions that are there after one place and before another, without locking them, and
/// gives the whole keys among them. A key with more versions than that is read on to its end.
pub(super) async fn scan(
    connection: &mut Session,
    bucket: &str,
    after: &Place,
    before: &Place,
    rows_max: i64,
) -> Result<Held<HeldKey>, sqlx::Error> {
    let Held { keys, next } = read(connection, SCAN, bucket, after, before, rows_max).await?;
    let keys = keys.into_iter().map(|(key, rows)| (key, HeldKey { rows })).collect();
    Ok(Held { keys, next })
}

/// The same with tombstones, and all that is known of each version.
pub(super) async fn stacks(
    connection: &mut Session,
    bucket: &str,
    after: &Place,
    before: &Place,
    rows_max: i64,
) -> Result<Held<Stack>, sqlx::Error> {
    let Held { keys, next } = read(connection, STACKS, bucket, after, before, rows_max).await?;
    let stack = |(key, rows): (String, Vec<PgRow>)| {
        let mut stack = Stack::default();
        for row in &rows {
            SlotRow::from_row(row)?.put_on(&mut stack);
        }
        Ok((key, stack))
    };
    Ok(Held { keys: keys.into_iter().map(stack).collect::<Result<_, sqlx::Error>>()?, next })
}

async fn read(
    connection: &mut Session,
    select: &'static str,
    bucket: &str,
    after: &Place,
    before: &Place,
    rows_max: i64,
) -> Result<Held<Vec<PgRow>>, sqlx::Error> {
    let mut place = after.clone();
    let mut keys: Vec<(String, Vec<PgRow>)> = Vec::new();
    loop {
        let rows = sqlx::query(select)
            .bind(bucket)
            .bind(&place.key)
            .bind(&place.version_id)
            .bind(&before.key)
            .bind(&before.version_id)
            .bind(rows_max)
            .fetch_all(&mut *connection)
            .await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < rows_max);
        if let Some(last) = rows.last() {
            let (key, version_id) = (last.try_get_unchecked(KEY)?, last.try_get_unchecked(VERSION_ID)?);
            place = Place { key, version_id };
        }
        for row in rows {
            let key: &str = row.try_get_unchecked(KEY)?;
            match keys.last_mut().filter(|(last, _)| last == key) {
                Some((_, held)) => held.push(row),
                None => keys.push((key.to_owned(), vec![row])),
            }
        }
        if is_last {
            return Ok(Held { keys, next: None });
        }
        // The last key may go on beyond the limit. It is read again, unless it is all there is.
        if keys.len() > 1 {
            keys.pop();
            let next = keys.last().map(|(key, _)| Place::after(key));
            return Ok(Held { keys, next });
        }
    }
}
