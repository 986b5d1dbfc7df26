//! What cannot be beaten, and what is common: the same rows, written by statements alone.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use stocktake::notification::{Kind, Record};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::events::{BUCKETS, Events};
use crate::fold::{BATCH, Batch, Fold, Line, Row, date, is_marker, record, shown};

/// How new rows get into their table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// `insert … select from unnest`, into the partitioned tables.
    Unnest,
    /// `copy` in text, into the partitions themselves.
    Copy,
}

/// The statements that write, for each bucket.
struct Statements {
    insert: String,
    lines: String,
}

/// Writes the final rows of each batch, in a transaction each, over one connection: how long that takes
/// in all. What is needed for it is made before.
pub(crate) async fn write_all(pool: &PgPool, events: &Events, way: Way) -> anyhow::Result<Duration> {
    let mut statements = Vec::new();
    let mut connection = pool.acquire().await?;
    for bucket in BUCKETS {
        statements.push(Statements::new(&mut connection, bucket, way).await?);
    }
    let (mut fold, mut took) = (Fold::default(), Duration::ZERO);
    for from in (0..events.count).step_by(usize::try_from(BATCH)?) {
        for batch in fold.next(events, from)? {
            took += write(&mut connection, &batch, &statements[batch.bucket], way).await?;
        }
    }
    Ok(took)
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch,
    statements: &Statements,
    way: Way,
) -> anyhow::Result<Duration> {
    let bucket = BUCKETS[batch.bucket];
    let now = stocktake::clock::now();
    let (demoted, promoted) = (Columns::of(&batch.demoted), Columns::of(&batch.promoted));
    let inserted = Columns::of(&batch.inserted);
    let lines = Lines::of(&batch.lines);
    let texts = (copied(&batch.inserted, bucket, now), copied_lines(&batch.lines, bucket));
    let begin = Instant::now();
    let mut transaction = connection.begin().await?;
    demoted.send(UPDATE.to_owned(), &mut transaction, bucket, now).await?;
    promoted.send(UPDATE.to_owned(), &mut transaction, bucket, now).await?;
    match way {
        Way::Unnest => {
            inserted.send(statements.insert.clone(), &mut transaction, bucket, now).await?;
            lines.send(statements.lines.clone(), &mut transaction, bucket).await?;
        }
        Way::Copy => {
            for (statement, text) in [(&statements.insert, &texts.0), (&statements.lines, &texts.1)] {
                if text.is_empty() {
                    continue;
                }
                let mut copy = transaction.copy_in_raw(statement).await?;
                copy.send(text.as_bytes()).await?;
                copy.finish().await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(begin.elapsed())
}

impl Statements {
    async fn new(connection: &mut PgConnection, bucket: &str, way: Way) -> anyhow::Result<Self> {
        if let Way::Unnest = way {
            return Ok(Self { insert: INSERT.to_owned(), lines: LINES.to_owned() });
        }
        let slots: String = sqlx::query_scalar(
            "select inhrelid::regclass::text from pg_inherits join pg_class on pg_class.oid = inhrelid
             where inhparent = 'catalog.slots'::regclass
               and pg_get_expr(relpartbound, inhrelid) = format('FOR VALUES IN (%L)', $1)",
        )
        .bind(bucket)
        .fetch_one(&mut *connection)
        .await?;
        let journal: String =
            sqlx::query_scalar("select 'catalog.journal_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')")
                .fetch_one(&mut *connection)
                .await?;
        Ok(Self {
            insert: format!("copy {slots} ({SLOT_COLUMNS}) from stdin"),
            lines: format!("copy {journal} ({LINE_COLUMNS}) from stdin"),
        })
    }
}

const SLOT_COLUMNS: &str = "bucket, first_seen_at, changed_at, key, version_id, is_present, is_latest,
    is_delete_marker, is_exact, size, etag, sequencer, floor, event_time, last_modified";
const LINE_COLUMNS: &str =
    "bucket, cause, key, version_id, change, event_time, requester, source_ip, request_id,
    size, etag, last_modified, before_size, before_etag, before_last_modified, before_is_delete_marker";
const UPDATE: &str = "
    update catalog.slots
    set changed_at = $2, is_present = new.is_present, is_latest = new.is_latest,
        is_delete_marker = new.is_delete_marker, size = new.size, etag = new.etag, sequencer = new.sequencer,
        floor = new.floor, event_time = new.event_time, last_modified = new.last_modified
    from unnest($3::text[], $4::text[], $5::bool[], $6::bool[], $7::bool[], $8::int8[], $9::text[], $10::text[],
                $11::text[], $12::timestamptz[], $13::timestamptz[])
         as new (key, version_id, is_present, is_latest, is_delete_marker, size, etag, sequencer, floor,
                 event_time, last_modified)
    where slots.bucket = $1 and slots.key = new.key and slots.version_id = new.version_id";
const INSERT: &str = "
    insert into catalog.slots
        (bucket, first_seen_at, changed_at, is_exact, key, version_id, is_present, is_latest, is_delete_marker,
         size, etag, sequencer, floor, event_time, last_modified)
    select $1, $2, $2, false, new.*
    from unnest($3::text[], $4::text[], $5::bool[], $6::bool[], $7::bool[], $8::int8[], $9::text[], $10::text[],
                $11::text[], $12::timestamptz[], $13::timestamptz[]) as new";
const LINES: &str = "
    insert into catalog.journal
        (bucket, cause, key, version_id, change, event_time, requester, source_ip, request_id, size, etag,
         last_modified, before_size, before_etag, before_last_modified, before_is_delete_marker)
    select $1, 'event', new.*
    from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
                $9::int8[], $10::text[], $11::timestamptz[], $12::int8[], $13::text[], $14::timestamptz[],
                $15::bool[]) as new";

#[derive(Default)]
struct Columns<'a> {
    identity: (Vec<&'a str>, Vec<&'a str>),
    flags: (Vec<bool>, Vec<bool>, Vec<bool>),
    content: (Vec<Option<i64>>, Vec<Option<&'a str>>),
    stamps: (Vec<Option<&'a str>>, Vec<Option<&'a str>>),
    times: (Vec<Option<OffsetDateTime>>, Vec<Option<OffsetDateTime>>),
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut columns = Self::default();
        for Row { key, version, slot, is_latest } in rows {
            let (etag, size) = shown(slot);
            columns.identity.0.push(key);
            columns.identity.1.push(version.as_str());
            columns.flags.0.push(slot.is_present());
            columns.flags.1.push(*is_latest);
            columns.flags.2.push(is_marker(slot));
            columns.content.0.push(size);
            columns.content.1.push(etag);
            columns.stamps.0.push(slot.sequencer.as_ref().map(|sequencer| sequencer.as_str()));
            columns.stamps.1.push(slot.floor.as_ref().map(|floor| floor.as_str()));
            columns.times.0.push(date(slot.event_time));
            columns.times.1.push(date(slot.last_modified));
        }
        columns
    }

    async fn send(
        self,
        statement: String,
        connection: &mut PgConnection,
        bucket: &str,
        now: OffsetDateTime,
    ) -> anyhow::Result<()> {
        if self.identity.0.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(AssertSqlSafe(statement)).bind(bucket).bind(now);
        let query = query.bind(self.identity.0).bind(self.identity.1).bind(self.flags.0).bind(self.flags.1);
        let query = query.bind(self.flags.2).bind(self.content.0).bind(self.content.1).bind(self.stamps.0);
        query.bind(self.stamps.1).bind(self.times.0).bind(self.times.1).execute(connection).await?;
        Ok(())
    }
}

/// A column of texts that may be missing.
type Texts<'a> = Vec<Option<&'a str>>;
/// Size, etag and date.
type Shown<'a> = (Vec<Option<i64>>, Texts<'a>, Vec<Option<OffsetDateTime>>);

#[derive(Default)]
struct Lines<'a> {
    identity: (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>),
    time: Vec<OffsetDateTime>,
    who: (Texts<'a>, Texts<'a>, Texts<'a>),
    after: Shown<'a>,
    before: Shown<'a>,
    was_marker: Vec<Option<bool>>,
}

impl<'a> Lines<'a> {
    fn of(lines: &'a [Line]) -> Self {
        let mut columns = Self::default();
        for Line { record, change, before, after } in lines {
            let was = before.as_ref().map(shown).unwrap_or_default();
            columns.identity.0.push(&record.key);
            columns.identity.1.push(record.version.as_str());
            columns.identity.2.push(change.as_str());
            columns.time.push(record.time.into());
            columns.who.0.push(record.requester.as_deref());
            columns.who.1.push(record.source_ip.as_deref());
            columns.who.2.push(record.request_id.as_deref());
            columns.after.0.push(shown(after).1);
            columns.after.1.push(shown(after).0);
            columns.after.2.push(date(after.last_modified));
            columns.before.0.push(was.1);
            columns.before.1.push(was.0);
            columns.before.2.push(before.as_ref().and_then(|slot| date(slot.last_modified)));
            columns.was_marker.push(before.as_ref().map(is_marker));
        }
        columns
    }

    async fn send(
        self,
        statement: String,
        connection: &mut PgConnection,
        bucket: &str,
    ) -> anyhow::Result<()> {
        if self.time.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(AssertSqlSafe(statement)).bind(bucket);
        let query = query.bind(self.identity.0).bind(self.identity.1).bind(self.identity.2).bind(self.time);
        let query = query.bind(self.who.0).bind(self.who.1).bind(self.who.2);
        let query = query.bind(self.after.0).bind(self.after.1).bind(self.after.2);
        let query = query.bind(self.before.0).bind(self.before.1).bind(self.before.2);
        query.bind(self.was_marker).execute(connection).await?;
        Ok(())
    }
}

/// Rows as `copy` takes them. No text of theirs needs an escape.
fn copied(rows: &[Row], bucket: &str, now: OffsetDateTime) -> String {
    let mut text = String::new();
    for Row { key, version, slot, is_latest } in rows {
        let (etag, size) = shown(slot);
        let (is_present, is_marker) = (slot.is_present(), is_marker(slot));
        let _ = write!(
            text,
            "{bucket}\t{now}\t{now}\t{key}\t{version}\t{is_present}\t{is_latest}\t{is_marker}\tf"
        );
        put(&mut text, size);
        put(&mut text, etag);
        put(&mut text, slot.sequencer.as_ref());
        put(&mut text, slot.floor.as_ref());
        put(&mut text, date(slot.event_time));
        put(&mut text, date(slot.last_modified));
        text.push('\n');
    }
    text
}

fn copied_lines(lines: &[Line], bucket: &str) -> String {
    let mut text = String::new();
    for Line { record, change, before, after } in lines {
        let was = before.as_ref().map(shown).unwrap_or_default();
        let _ = write!(text, "{bucket}\tevent\t{}\t{}\t{}", record.key, record.version, change.as_str());
        put(&mut text, date(Some(record.time)));
        put(&mut text, record.requester.as_ref());
        put(&mut text, record.source_ip.as_ref());
        put(&mut text, record.request_id.as_ref());
        put(&mut text, shown(after).1);
        put(&mut text, shown(after).0);
        put(&mut text, date(after.last_modified));
        put(&mut text, was.1);
        put(&mut text, was.0);
        put(&mut text, before.as_ref().and_then(|slot| date(slot.last_modified)));
        put(&mut text, before.as_ref().map(is_marker));
        text.push('\n');
    }
    text
}

fn put(text: &mut String, value: Option<impl std::fmt::Display>) {
    let _ = match value {
        Some(value) => write!(text, "\t{value}"),
        None => write!(text, "\t\\N"),
    };
}

/// The common way: one upsert and one commit for each event, over so many connections. Events a second.
pub(crate) async fn one_by_one(
    pool: &PgPool,
    events: &Events,
    count: u64,
    connections: u64,
) -> anyhow::Result<f64> {
    sqlx::raw_sql(
        "drop table if exists one_by_one;
         create table one_by_one (
             bucket text collate \"C\", key text collate \"C\", version_id text collate \"C\", size bigint, etag text,
             sequencer text, event_time timestamptz, is_removed boolean, primary key (bucket, key, version_id))",
    )
    .execute(pool)
    .await?;
    let mut shares = Vec::new();
    for share in 0..connections {
        let places = (0..count).filter(|place| place % connections == share);
        shares.push(places.map(|place| record(events, place)).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let barrier = Arc::new(tokio::sync::Barrier::new(shares.len() + 1));
    let mut writers = JoinSet::new();
    for records in shares {
        let (pool, barrier) = (pool.clone(), Arc::clone(&barrier));
        writers.spawn(async move {
            let mut connection = pool.acquire().await?;
            connection.ping().await?;
            barrier.wait().await;
            for record in &records {
                upsert(&mut connection, record).await?;
            }
            anyhow::Ok(())
        });
    }
    barrier.wait().await;
    let begin = Instant::now();
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

async fn upsert(connection: &mut PgConnection, record: &Record) -> anyhow::Result<()> {
    sqlx::query(
        "insert into one_by_one values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (bucket, key, version_id) do update
         set size = excluded.size, etag = excluded.etag, sequencer = excluded.sequencer,
             event_time = excluded.event_time, is_removed = excluded.is_removed
         where one_by_one.sequencer <= excluded.sequencer",
    )
    .bind(&record.bucket)
    .bind(&record.key)
    .bind(record.version.as_str())
    .bind(record.size)
    .bind(&record.etag)
    .bind(&record.sequencer)
    .bind(OffsetDateTime::from(record.time))
    .bind(record.kind == Kind::Removed)
    .execute(connection)
    .await?;
    Ok(())
}

/// How long one row with its line takes to be committed, by one statement, again and again. The keys are as far apart as those of events:
/// after a checkpoint, the first row on a page of an index has Postgres write down all of the page.
pub(crate) async fn bare_commits(
    pool: &PgPool,
    events: &Events,
    count: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = pool.acquire().await?;
    let mut took = Vec::new();
    for number in 0..count {
        let begin = Instant::now();
        sqlx::query(
            "with slot as (
                 insert into catalog.slots (bucket, key, version_id, first_seen_at, changed_at, is_present, is_latest,
                                            is_delete_marker, is_exact, size, etag, sequencer, event_time, last_modified)
                 values ($1, $2, 'null', $3, $3, true, true, false, false, 7, 'd41d8cd98f00b204e9800998ecf8427e',
                         '00695735A500000007', $3, $3))
             insert into catalog.journal (bucket, key, version_id, change, cause, event_time, size, etag)
             values ($1, $2, 'null', 'created', 'event', $3, 7, 'd41d8cd98f00b204e9800998ecf8427e')",
        )
        .bind(BUCKETS[1])
        .bind(events.another_key(number))
        .bind(stocktake::clock::now())
        .execute(&mut *connection)
        .await?;
        took.push(begin.elapsed());
    }
    Ok(took)
}
