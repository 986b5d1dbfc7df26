//! Writes back what merging changed in stacks.

use time::OffsetDateTime;

use super::rows::{Stacks, date};
use super::session::Session;
use super::stats::note;
use crate::model::{Content, Stack, State, Timestamp, Write};

/// Rows that one statement writes. A key may have a million versions, and a statement is one message.
pub(super) const ROWS_MAX: usize = 5_000;

/// Rows as arrays, one for each column: a statement for any number of rows.
#[derive(Default)]
struct Columns<'a> {
    key: Vec<&'a str>,
    version_id: Vec<&'a str>,
    is_present: Vec<bool>,
    is_latest: Vec<bool>,
    is_delete_marker: Vec<bool>,
    is_exact: Vec<bool>,
    size: Vec<Option<i64>>,
    etag: Vec<Option<&'a str>>,
    storage_class: Vec<Option<&'a str>>,
    sequencer: Vec<Option<&'a str>>,
    floor: Vec<Option<&'a str>>,
    event_time: Vec<Option<OffsetDateTime>>,
    observed_from: Vec<Option<OffsetDateTime>>,
    observed_to: Vec<Option<OffsetDateTime>>,
    last_modified: Vec<Option<OffsetDateTime>>,
    attributes_at: Vec<Option<OffsetDateTime>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, key: &'a str, write: &Write<'a>) {
        let slot = write.slot;
        let content = match &slot.state {
            State::Object(content) => content,
            State::Marker | State::Removed => const { &Content { etag: None, size: None } },
        };
        let optional = |moment: Option<Timestamp>| moment.map(date);
        self.key.push(key);
        self.version_id.push(write.version.as_str());
        self.is_present.push(slot.is_present());
        self.is_latest.push(write.is_latest);
        self.is_delete_marker.push(slot.state == State::Marker);
        self.is_exact.push(slot.is_exact);
        self.size.push(content.size);
        self.etag.push(content.etag.as_deref());
        self.storage_class.push(slot.storage_class.as_deref());
        self.sequencer.push(slot.sequencer.as_ref().map(|sequencer| sequencer.as_str()));
        self.floor.push(slot.floor.as_ref().map(|floor| floor.as_str()));
        self.event_time.push(optional(slot.event_time));
        self.observed_from.push(optional(slot.observed.map(|window| window.from)));
        self.observed_to.push(optional(slot.observed.map(|window| window.to)));
        self.last_modified.push(optional(slot.last_modified));
        self.attributes_at.push(optional(slot.attributes_at));
    }

    async fn send(
        self,
        statement: &'static str,
        connection: &mut Session,
        bucket: &str,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(statement)
            .bind(bucket)
            .bind(now)
            .bind(self.key)
            .bind(self.version_id)
            .bind(self.is_present)
            .bind(self.is_latest)
            .bind(self.is_delete_marker)
            .bind(self.is_exact)
            .bind(self.size)
            .bind(self.etag)
            .bind(self.storage_class)
            .bind(self.sequencer)
            .bind(self.floor)
            .bind(self.event_time)
            .bind(self.observed_from)
            .bind(self.observed_to)
            .bind(self.last_modified)
            .bind(self.attributes_at)
            .execute(connection)
            .await
            .map(drop)
    }
}

/// Writes the rows in which `after` differs from `before`, and by how much that changes what is in the bucket. What was loaded is updated; what was
/// absent is plainly inserted, so that somebody else's insert since then is a unique violation and
/// the transaction is tried again with fresh rows. How many rows were written.
pub(super) async fn write(
    connection: &mut Session,
    bucket: &str,
    before: &Stacks,
    after: &Stacks,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let nothing = Stack::default();
    let (mut demoted, mut promoted, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
    for (key, stack) in after {
        for write in stack.writes_since(before.get(key).unwrap_or(&nothing)) {
            let rows = match (write.is_new, write.is_latest) {
                (true, _) => &mut inserted,
                (false, true) => &mut promoted,
                (false, false) => &mut demoted,
            };
            rows.push((key.as_str(), write));
        }
    }
    // In this order, because a key has at most one latest version at every moment.
    for (rows, statement) in [(&demoted, UPDATE), (&promoted, UPDATE), (&inserted, INSERT)] {
        for rows in rows.chunks(ROWS_MAX) {
            let mut columns = Columns::default();
            rows.iter().for_each(|(key, write)| columns.push(key, write));
            columns.send(statement, connection, bucket, now).await?;
        }
    }
    note(connection, bucket, before, after).await?;
    Ok(demoted.len() + promoted.len() + inserted.len())
}

const UPDATE: &str = "
update catalog.slots
set changed_at = $2, is_present = new.is_present, is_latest = new.is_latest,
    is_delete_marker = new.is_delete_marker, is_exact = new.is_exact, size = new.size, etag = new.etag,
    storage_class = new.storage_class, sequencer = new.sequencer, floor = new.floor,
    event_time = new.event_time, observed_from = new.observed_from, observed_to = new.observed_to,
    last_modified = new.last_modified, attributes_at = new.attributes_at
from unnest($3::text[], $4::text[], $5::bool[], $6::bool[], $7::bool[], $8::bool[], $9::int8[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
            $17::timestamptz[], $18::timestamptz[])
     as new (key, version_id, is_present, is_latest, is_delete_marker, is_exact, size, etag, storage_class,
             sequencer, floor, event_time, observed_from, observed_to, last_modified, attributes_at)
where slots.bucket = $1 and slots.key = new.key and slots.version_id = new.version_id";

const INSERT: &str = "
insert into catalog.slots
    (bucket, first_seen_at, changed_at, key, version_id, is_present, is_latest, is_delete_marker, is_exact, size,
     etag, storage_class, sequencer, floor, event_time, observed_from, observed_to, last_modified, attributes_at)
select $1, $2, $2, new.*
from unnest($3::text[], $4::text[], $5::bool[], $6::bool[], $7::bool[], $8::bool[], $9::int8[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
            $17::timestamptz[], $18::timestamptz[])
     as new";
