//! Rows of a report in Parquet. A page of each column is in memory at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, Length, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};

use super::broken::Broken;
use super::columns::{Columns, Fields};
use super::guarded::Guarded;
use super::manifest::Manifest;
use crate::catalog::ReportedRow;
use crate::model::{RawKey, Timestamp};

/// The most rows that a byte may stand for: of each, a key or a version is another one. Without a limit a file of a
/// kilobyte could claim thousands of millions that are all the same.
const ROWS_A_BYTE: u64 = 16;

/// Reads all rows of a file, one after the other, and gives each to `give`, until that does not want more.
///
/// The library panics at some files that are broken. That must not end a daemon, which would read the same file when it
/// starts again.
pub(super) fn read(
    file: File,
    place: &str,
    manifest: &Manifest,
    give: impl FnMut(Result<ReportedRow, RawKey>) -> bool,
) -> Result<(), Broken> {
    // What is half done is thrown away.
    let read = AssertUnwindSafe(|| read_rows(file, place, manifest, give));
    catch_unwind(read).unwrap_or_else(|_| Err(Broken::at(place, "it is no file of Parquet that can be read")))
}

fn read_rows(
    file: File,
    place: &str,
    manifest: &Manifest,
    mut give: impl FnMut(Result<ReportedRow, RawKey>) -> bool,
) -> Result<(), Broken> {
    let broken = |error: ParquetError| Broken::at(place, error);
    let file = Guarded::new(file).map_err(|reason| Broken::at(place, reason))?;
    let rows_max = file.len().saturating_mul(ROWS_A_BYTE);
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let (projection, columns) = projection(&schema).map_err(|reason| Broken::unfit(place, reason))?;
    if columns.version_id.is_some() != manifest.columns.version_id.is_some() {
        return Err(Broken::at(place, "it is of other versions than its manifest says"));
    }
    let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection)).map_err(broken)?;
    for (number, row) in (1..).zip(rows) {
        if number > rows_max {
            return Err(Broken::at(place, "it claims more rows than there can be in so few bytes"));
        }
        let row = row
            .map_err(broken)
            .and_then(|row| {
                let row = Cells::new(&row);
                let fields = row.fields(&columns).map_err(|reason| Broken::at(place, reason))?;
                fields.row(&manifest.bucket, place)
            })
            .map_err(|broken| broken.in_line("row", number))?;
        if !give(row) {
            break;
        }
    }
    Ok(())
}

/// The columns that concern us, and where each stands among them: others are not even read.
fn projection(schema: &Type) -> Result<(Type, Columns), String> {
    let all = schema.get_fields();
    let columns = Columns::find(all.iter().map(|field| field.name()))?;
    let optional = [
        columns.version_id,
        columns.is_latest,
        columns.is_delete_marker,
        columns.size,
        columns.etag,
        columns.storage_class,
    ];
    let mut wanted = vec![columns.bucket, columns.key, columns.last_modified];
    wanted.extend(optional.into_iter().flatten());
    wanted.sort_unstable();
    let fields: Vec<TypePtr> = wanted.into_iter().map(|index| Arc::clone(&all[index])).collect();
    let columns = Columns::find(fields.iter().map(|field| field.name()))?;
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build();
    Ok((projection.map_err(|error| error.to_string())?, columns))
}

/// The fields of one row by their places.
struct Cells<'a>(Vec<(&'a String, &'a Field)>);

impl<'a> Cells<'a> {
    fn new(row: &'a Row) -> Self {
        Self(row.get_column_iter().collect())
    }

    fn fields(&self, columns: &Columns) -> Result<Fields<'a>, String> {
        let need = |column, value: Option<_>| value.ok_or_else(|| format!("{} is null", self.name(column)));
        let date = match self.0[columns.last_modified].1 {
            Field::TimestampMillis(millis) => millis.checked_mul(1_000),
            Field::TimestampMicros(micros) => Some(*micros),
            _ => None,
        };
        let date = date.ok_or_else(|| format!("{} is no moment", self.name(columns.last_modified)))?;
        Ok(Fields {
            bucket: need(columns.bucket, self.text(Some(columns.bucket))?)?,
            key: self.key(columns.key)?,
            version_id: self.text(columns.version_id)?,
            is_latest: self.flag(columns.is_latest)?,
            is_delete_marker: self.flag(columns.is_delete_marker)?,
            last_modified: Timestamp::from_micros(date),
            size: self.number(columns.size)?,
            etag: self.text(columns.etag)?,
            storage_class: self.text(columns.storage_class)?,
        })
    }

    /// A key, which is bytes where it is no text.
    fn key(&self, column: usize) -> Result<Vec<u8>, String> {
        match self.0[column].1 {
            Field::Bytes(bytes) => Ok(bytes.data().to_vec()),
            _ => match self.text(Some(column))? {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(format!("{} is null", self.name(column))),
            },
        }
    }

    fn name(&self, column: usize) -> &str {
        self.0[column].0
    }

    fn text(&self, column: Option<usize>) -> Result<Option<&'a str>, String> {
        let Some(column) = column else { return Ok(None) };
        match self.0[column].1 {
            Field::Null => Ok(None),
            Field::Str(text) => Ok(Some(text)),
            // What was written without saying that it is text.
            Field::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes.data());
                text.map(Some).map_err(|_| format!("{} is not UTF-8", self.name(column)))
            }
            _ => Err(format!("{} is no text", self.name(column))),
        }
    }

    fn flag(&self, column: Option<usize>) -> Result<Option<bool>, String> {
        let Some(column) = column else { return Ok(None) };
        match self.0[column].1 {
            Field::Null => Ok(None),
            Field::Bool(flag) => Ok(Some(*flag)),
            _ => Err(format!("{} is neither true nor false", self.name(column))),
        }
    }

    fn number(&self, column: Option<usize>) -> Result<Option<i64>, String> {
        let Some(column) = column else { return Ok(None) };
        match self.0[column].1 {
            Field::Null => Ok(None),
            Field::Long(number) => Ok(Some(*number)),
            Field::ULong(number) => {
                i64::try_from(*number).map(Some).map_err(|_| format!("{} is too large", self.name(column)))
            }
            Field::Int(number) => Ok(Some((*number).into())),
            _ => Err(format!("{} is no number", self.name(column))),
        }
    }
}
