//! Rows of a report in CSV, in gzip.

use std::fs::File;
use std::io::{self, BufReader, Read};

use csv::{ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::broken::Broken;
use super::columns::{Columns, Fields};
use super::manifest::Manifest;
use crate::catalog::ReportedRow;
use crate::model::{RawKey, Timestamp};
use crate::notification;

/// Bytes of a line at most. A key has 1,024, each of them three where it is encoded; all else is short. What is longer S3
/// has not written, and it would be in memory as a whole: out of gzip, a gigabyte comes of a megabyte.
const LINE_MAX: u64 = 64 * 1024;

/// Reads all rows of a file, one after the other, and gives each to `give`, until that does not want more.
pub(super) fn read(
    file: File,
    place: &str,
    manifest: &Manifest,
    give: impl FnMut(Result<ReportedRow, RawKey>) -> bool,
) -> Result<(), Broken> {
    read_plain(MultiGzDecoder::new(BufReader::new(file)), place, manifest, give)
}

/// The same of lines that are not in gzip.
pub(super) fn read_plain(
    text: impl Read,
    place: &str,
    manifest: &Manifest,
    mut give: impl FnMut(Result<ReportedRow, RawKey>) -> bool,
) -> Result<(), Broken> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Bounded {
        text,
        read: 0,
        limit: 0,
    });
    let mut record = StringRecord::new();
    loop {
        let line = reader.position().line();
        let begin = reader.position().byte();
        reader.get_mut().limit = begin + LINE_MAX;
        let read = reader.read_record(&mut record);
        if !read.map_err(|error| Broken::at(place, error).in_line("line", line))? {
            return Ok(());
        }
        let row = fields(&record, &manifest.columns)
            .map_err(|reason| Broken::at(place, reason))
            .and_then(|fields| fields.row(&manifest.bucket, place))
            .map_err(|broken| broken.in_line("line", line))?;
        if !give(row) {
            return Ok(());
        }
    }
}

/// A text that ends in an error when more of it is wanted than the limit allows.
struct Bounded<R> {
    text: R,
    read: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read >= self.limit {
            let reason = format!("it has more than {LINE_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let count = self.text.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

fn fields<'a>(record: &'a StringRecord, columns: &Columns) -> Result<Fields<'a>, String> {
    if record.len() != columns.count {
        return Err(format!("it has {} fields, and the schema {}", record.len(), columns.count));
    }
    let at = |column: usize| record.get(column).unwrap_or_default();
    let set = |column: Option<usize>| column.map(at).filter(|text| !text.is_empty());
    let (key, date) = (at(columns.key), at(columns.last_modified));
    Ok(Fields {
        bucket: at(columns.bucket),
        key: notification::from_form(key).map_or_else(|bytes| bytes, String::into_bytes),
        version_id: set(columns.version_id),
        is_latest: set(columns.is_latest).map(flag).transpose()?,
        is_delete_marker: set(columns.is_delete_marker).map(flag).transpose()?,
        last_modified: OffsetDateTime::parse(date, &Rfc3339)
            .map(Timestamp::from)
            .map_err(|_| format!("{date:?} is no date such as 2026-11-24T08:00:00.000Z"))?,
        size: set(columns.size)
            .map(|size| size.parse().map_err(|_| format!("{size:?} is no size in bytes")))
            .transpose()?,
        etag: set(columns.etag),
        storage_class: set(columns.storage_class),
    })
}

fn flag(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| format!("{text:?} is neither true nor false"))
}
