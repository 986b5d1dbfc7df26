//! The rows of an inventory report beside those of the catalog. A report is in no order, and may be
//! larger than memory: Postgres sorts it, in a temporary table that goes with its connection.

use std::fmt::Write as _;

use sqlx::FromRow;
use tokio::sync::SemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::held::{Held, Place, stacks};
use super::session::{LONG_MAX, STATEMENT_MAX, Session};
use super::{Catalog, Connection};
use crate::model::{Content, Listed, Stack, State, Timestamp, VersionId, after_prefix};

/// Rows of either side read at a time.
const ROWS_MAX: i64 = 2_000;

/// A row of a report, and the key it is of.
pub type ReportedRow = (String, Listed);

/// A report on its way into Postgres and back in order. Nobody else sees it, and it is gone when
/// this is dropped, or the process is.
pub struct Reported<'a> {
    session: Session,
    _share: Option<SemaphorePermit<'a>>,
}

#[derive(FromRow)]
struct Row {
    key: String,
    version_id: String,
    is_latest: bool,
    is_delete_marker: bool,
    size: Option<i64>,
    etag: Option<String>,
    /// In microseconds since the epoch.
    modified: i64,
    storage_class: Option<String>,
}

impl Catalog {
    /// Makes room for a report.
    ///
    /// # Errors
    /// When Postgres is away or refuses, as it does whom it does not let make temporary tables.
    pub async fn reported(&self) -> Result<Reported<'_>, sqlx::Error> {
        let share = self.share().await;
        let mut session = self.pool.acquire().await?;
        sqlx::query(
            "create temporary table reported (
                 modified bigint not null, size bigint, is_latest boolean not null, is_delete_marker boolean not null,
                 key text collate \"C\" not null, version_id text collate \"C\" not null, etag text, storage_class text)",
        )
        .execute(&mut session)
        .await?;
        Ok(Reported { session, _share: share })
    }
}

impl Reported<'_> {
    /// Takes rows in until no more come. How many there were.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn take(&mut self, mut batches: Receiver<Vec<ReportedRow>>) -> Result<u64, sqlx::Error> {
        let statement =
            "copy pg_temp.reported (key, version_id, is_latest, is_delete_marker, size, etag, modified, storage_class)
             from stdin";
        self.session.copy_in(statement, &mut batches, |batch| lines(batch).into_bytes()).await
    }

    /// Puts what was taken in in order, to be read by [`Self::next_reported`].
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn sort(&mut self) -> Result<(), sqlx::Error> {
        // "With hold": without it a transaction would stay open for as long as the reading takes, and
        // keep Postgres from clearing up after all others.
        let statements = [
            "declare in_order no scroll cursor with hold for
             select key, version_id, is_latest, is_delete_marker, size, etag, modified, storage_class
             from pg_temp.reported order by key, version_id",
            "drop table pg_temp.reported",
        ];
        self.session.set_limit(LONG_MAX);
        for statement in statements {
            sqlx::query(statement).execute(&mut self.session).await?;
        }
        self.session.set_limit(STATEMENT_MAX);
        Ok(())
    }

    /// The next rows in the order of their keys; none at the end. A key may go on with those after.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn next_reported(&mut self) -> Result<Vec<ReportedRow>, sqlx::Error> {
        let rows: Vec<Row> =
            sqlx::query_as("fetch forward 2000 from in_order").fetch_all(&mut self.session).await?;
        Ok(rows.into_iter().map(Row::reported).collect())
    }

    /// The catalog's next whole keys below `prefix`, from after `after` (from the beginning without).
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn next_held(
        &mut self,
        connection: &Connection,
        prefix: &str,
        after: Option<&Place>,
    ) -> Result<Held<Stack>, sqlx::Error> {
        let first = Place::before(prefix);
        let end = after_prefix(prefix).map_or_else(Place::end, |before| Place::before(&before));
        stacks(&mut self.session, &connection.bucket, after.unwrap_or(&first), &end, ROWS_MAX).await
    }
}

impl Drop for Reported<'_> {
    /// Its table and its cursor are to go, and the session with them.
    fn drop(&mut self) {
        drop(self.session.close());
    }
}

impl Row {
    fn reported(self) -> ReportedRow {
        let state = if self.is_delete_marker {
            State::Marker
        } else {
            State::Object(Content { etag: self.etag, size: self.size })
        };
        let listed = Listed {
            version: VersionId::parse(Some(&self.version_id)),
            is_latest: self.is_latest,
            state,
            last_modified: Timestamp::from_micros(self.modified),
            storage_class: self.storage_class,
        };
        (self.key, listed)
    }
}

fn lines(batch: &Vec<ReportedRow>) -> String {
    let mut lines = String::new();
    for (key, listed) in batch {
        write_line(&mut lines, key, listed);
    }
    lines
}

/// One line of `copy`'s text format
/// (<https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>).
fn write_line(lines: &mut String, key: &str, listed: &Listed) {
    let (is_marker, etag, size) = match &listed.state {
        State::Object(content) => (false, content.etag.as_deref(), content.size),
        State::Marker | State::Removed => (true, None, None),
    };
    write_text(lines, Some(key));
    lines.push('\t');
    write_text(lines, Some(listed.version.as_str()));
    let (latest, marker) = (flag(listed.is_latest), flag(is_marker));
    let size = size.map_or("\\N".to_owned(), |size| size.to_string());
    // Writing to a text does not fail.
    let _ = write!(lines, "\t{latest}\t{marker}\t{size}\t");
    write_text(lines, etag);
    let _ = write!(lines, "\t{}\t", listed.last_modified.as_micros());
    write_text(lines, listed.storage_class.as_deref());
    lines.push('\n');
}

const fn flag(flag: bool) -> char {
    if flag { 't' } else { 'f' }
}

fn write_text(lines: &mut String, text: Option<&str>) {
    let Some(text) = text else { return lines.push_str("\\N") };
    for character in text.chars() {
        match character {
            '\\' => lines.push_str("\\\\"),
            '\t' => lines.push_str("\\t"),
            '\n' => lines.push_str("\\n"),
            '\r' => lines.push_str("\\r"),
            other => lines.push(other),
        }
    }
}
