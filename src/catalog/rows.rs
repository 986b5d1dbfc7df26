//! Rows of `catalog.slots`, read back as stacks.

use std::collections::BTreeMap;

use sqlx::FromRow;
use time::OffsetDateTime;

use super::blocking::with_versions;
use super::session::Session;
use crate::model::{Content, Sequencer, Slot, Stack, State, Timestamp, VersionId, Window};

/// The stacks of some keys of one bucket. A key without rows has none.
pub(super) type Stacks = BTreeMap<String, Stack>;

#[derive(FromRow)]
pub(super) struct SlotRow {
    pub(super) key: String,
    pub(super) version_id: String,
    is_present: bool,
    is_latest: bool,
    is_delete_marker: bool,
    is_exact: bool,
    size: Option<i64>,
    etag: Option<String>,
    storage_class: Option<String>,
    sequencer: Option<String>,
    floor: Option<String>,
    event_time: Option<OffsetDateTime>,
    observed_from: Option<OffsetDateTime>,
    observed_to: Option<OffsetDateTime>,
    last_modified: Option<OffsetDateTime>,
    attributes_at: Option<OffsetDateTime>,
}

impl SlotRow {
    pub(super) fn put_on(self, stack: &mut Stack) {
        let observed = self.observed_from.zip(self.observed_to);
        let slot = Slot {
            state: match (self.is_present, self.is_delete_marker) {
                (false, _) => State::Removed,
                (true, true) => State::Marker,
                (true, false) => State::Object(Content { etag: self.etag, size: self.size }),
            },
            sequencer: self.sequencer.as_deref().and_then(Sequencer::parse),
            floor: self.floor.as_deref().and_then(Sequencer::parse),
            event_time: self.event_time.map(Timestamp::from),
            observed: observed.map(|(from, to)| Window { from: from.into(), to: to.into() }),
            last_modified: self.last_modified.map(Timestamp::from),
            is_exact: self.is_exact,
            storage_class: self.storage_class,
            attributes_at: self.attributes_at.map(Timestamp::from),
        };
        stack.restore(VersionId::parse(Some(&self.version_id)), slot, self.is_latest);
    }
}

/// A moment as Postgres takes it.
pub(super) fn date(moment: Timestamp) -> OffsetDateTime {
    moment.into()
}

/// Locks what is held of `keys` until the transaction ends, and reads it.
///
/// Two statements, because the second has to see what somebody committed while the first waited:
/// a version that was not there when the first began is neither locked nor shown by it. The second
/// asks for the keys that the first found: most keys of a busy day are new. A key without rows cannot
/// be locked; two who insert its first version meet at a unique index.
///
/// Both look for one key after the other: where rows are spread over tables by their keys, `= any` would look for
/// each key in each of them, and a join may be read all of a table for that nobody has analyzed yet.
pub(super) async fn load(
    connection: &mut Session,
    bucket: &str,
    mut keys: Vec<&str>,
) -> Result<Stacks, sqlx::Error> {
    // Who locks in one order never waits in a circle.
    keys.sort_unstable();
    keys.dedup();
    let mut held: Vec<String> = sqlx::query_scalar(
        "select held.key
         from unnest($2::text[]) as wanted (key)
         cross join lateral (
             select slots.key from catalog.slots
             where slots.bucket = $1 and slots.key = wanted.key order by version_id for update
         ) as held",
    )
    .bind(bucket)
    .bind(keys)
    .fetch_all(&mut *connection)
    .await?;
    held.dedup();
    if held.is_empty() {
        return Ok(Stacks::new());
    }
    let rows: Vec<SlotRow> = sqlx::query_as(
        "select held.*
         from unnest($2::text[]) as wanted (key)
         cross join lateral (
             select key, version_id, is_present, is_latest, is_delete_marker, is_exact, size, etag, storage_class,
                    sequencer, floor, event_time, observed_from, observed_to, last_modified, attributes_at
             from catalog.slots
             where slots.bucket = $1 and slots.key = wanted.key
             offset 0
         ) as held",
    )
    .bind(bucket)
    .bind(held)
    .fetch_all(connection)
    .await?;
    Ok(with_versions(rows.len(), || {
        let mut stacks = Stacks::new();
        for row in rows {
            let stack = stacks.entry(row.key.clone()).or_default();
            row.put_on(stack);
        }
        stacks
    }))
}
