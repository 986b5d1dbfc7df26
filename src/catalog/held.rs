//! Rows of `catalog.slots` in the order of keys, as a run goes through them.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

use super::rows::SlotRow;
use crate::model::{Listed, Stack, Timestamp, Told, is_as_listed};

/// A place among the rows of a bucket, which are in the order of keys and then version ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    key: String,
    version_id: String,
}

impl Place {
    /// Before all versions of a key.
    pub(super) fn before(key: &str) -> Self {
        Self { key: key.to_owned(), version_id: String::new() }
    }

    /// After all versions of a key: their ids are URL-ready text.
    pub(super) fn after(key: &str) -> Self {
        Self { key: key.to_owned(), version_id: "\u{10FFFF}".to_owned() }
    }

    /// After all keys: none has more than 1,024 bytes, and this is greater than any of so many.
    pub(super) fn end() -> Self {
        Self::before(&"\u{10FFFF}".repeat(257))
    }
}

/// Whole keys in byte order, with what is held of them.
#[derive(Debug)]
pub struct Held {
    /// The keys.
    pub keys: Vec<(String, HeldKey)>,
    /// Where to go on; none at the end.
    pub next: Option<Place>,
}

impl Held {
    /// The keys with their stacks.
    ///
    /// # Errors
    /// When a row is not what it should be.
    pub fn stacks(&self) -> Result<Vec<(String, Stack)>, sqlx::Error> {
        self.keys.iter().map(|(key, held)| Ok((key.clone(), held.stack()?))).collect()
    }
}

/// The rows of one key as Postgres sent them. Nearly always a look at them is enough.
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
        let (mut broken, mut rows) = (None, self.rows.iter());
        let told = std::iter::from_fn(|| {
            rows.find_map(|row| {
                told(row).unwrap_or_else(|error| {
                    broken = Some(error);
                    None
                })
            })
        });
        let is_as_listed = is_as_listed(told, listed);
        broken.map_or(Ok(is_as_listed), Err)
    }

    /// All of it.
    ///
    /// # Errors
    /// When a row is not what it should be.
    pub fn stack(&self) -> Result<Stack, sqlx::Error> {
        let mut stack = Stack::default();
        for row in &self.rows {
            SlotRow::from_row(row)?.put_on(&mut stack);
        }
        Ok(stack)
    }
}

/// Where a row has what, in the order of [`SCAN`]: to ask by name, and whether the type is the
/// right one, takes longer than all the rest.
const KEY: usize = 0;
const VERSION_ID: usize = 1;
const IS_PRESENT: usize = 2;
const IS_LATEST: usize = 3;
const IS_DELETE_MARKER: usize = 4;
const IS_EXACT: usize = 5;
const SIZE: usize = 6;
const ETAG: usize = 7;
const STORAGE_CLASS: usize = 8;
const LAST_MODIFIED: usize = 9;

const SCAN: &str =
    "select key, version_id, is_present, is_latest, is_delete_marker, is_exact, size, etag, storage_class,
            last_modified, sequencer, floor, event_time, observed_from, observed_to, attributes_at
     from catalog.slots
     where bucket = $1 and (key, version_id) > ($2, $3) and (key, version_id) < ($4, $5)
     order by key, version_id
     limit $6";

/// Postgres counts microseconds from the beginning of 2000, and so sends them.
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// What a row says, unless it is a tombstone.
fn told(row: &PgRow) -> Result<Option<Told<'_>>, sqlx::Error> {
    if !row.try_get_unchecked::<bool, _>(IS_PRESENT)? {
        return Ok(None);
    }
    let is_exact: bool = row.try_get_unchecked(IS_EXACT)?;
    let micros: Option<i64> = row.try_get_unchecked(LAST_MODIFIED)?;
    Ok(Some(Told {
        version: row.try_get_unchecked(VERSION_ID)?,
        is_latest: row.try_get_unchecked(IS_LATEST)?,
        is_marker: row.try_get_unchecked(IS_DELETE_MARKER)?,
        etag: row.try_get_unchecked(ETAG)?,
        size: row.try_get_unchecked(SIZE)?,
        last_modified: micros
            .filter(|_| is_exact)
            .map(|micros| Timestamp::from_micros(micros.saturating_add(MICROS_TO_2000))),
        storage_class: row.try_get_unchecked(STORAGE_CLASS)?,
    }))
}

/// Reads about `rows_max` rows after one place and before another, without locking them, and gives the
/// whole keys among them. A key with more versions than that is read on to its end.
pub(super) async fn scan(
    connection: &mut PgConnection,
    bucket: &str,
    after: &Place,
    before: &Place,
    rows_max: i64,
) -> Result<Held, sqlx::Error> {
    let mut place = after.clone();
    let mut keys: Vec<(String, HeldKey)> = Vec::new();
    loop {
        // Both bounds as one comparison each, which the index understands, whatever they are.
        let rows = sqlx::query(SCAN)
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
                Some((_, held)) => held.rows.push(row),
                None => keys.push((key.to_owned(), HeldKey { rows: vec![row] })),
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
