//! Rows of reports as S3 writes them, and as it does not.

use std::io::{Seek, Write};

use super::*;
use crate::model::{Content, State, Timestamp, VersionId};

#[path = "../../tests/support/report.rs"]
pub(super) mod report;

use report::Row;

const FOLDER: &str = "p/genomics/daily/2026-11-24T01-00Z/";

pub(super) fn row(key: &str, version: &str) -> Row {
    Row {
        bucket: "genomics".to_owned(),
        key: key.to_owned(),
        version: version.to_owned(),
        is_latest: true,
        is_marker: false,
        size: 7,
        date: ("2026-11-23T10:00:00.000Z".to_owned(), 1_795_428_000_000),
        etag: "e1".to_owned(),
        class: "STANDARD".to_owned(),
    }
}

/// A file with these bytes.
pub(super) fn spooled(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn manifest(bytes: &[u8], schema: Option<&str>) -> Manifest {
    let objects = report::deliver(FOLDER, "genomics", 1, schema, &[bytes.to_vec()]);
    Manifest::parse(&objects[1].1, "manifest", "genomics").unwrap()
}

/// What is read of one file, and what was wrong with it.
pub(super) fn read_all(bytes: &[u8], schema: Option<&str>) -> (Vec<ReportedRow>, Result<(), Broken>) {
    let (manifest, file) = (manifest(bytes, schema), spooled(bytes));
    let mut rows = Vec::new();
    let give = |row: Result<ReportedRow, RawKey>| {
        rows.extend(row);
        true
    };
    let read = match manifest.format {
        Format::Csv => csv::read(file, "a.csv.gz", &manifest, give),
        Format::Parquet => parquet::read(file, "a.parquet", &manifest, give),
    };
    (rows, read)
}

/// The same from both formats.
#[track_caller]
fn check(rows: &[Row], expected: &[ReportedRow]) {
    let from_csv = read_all(&report::csv(rows, report::ALL_VERSIONS), Some(report::ALL_VERSIONS));
    assert_eq!(from_csv, (expected.to_vec(), Ok(())), "CSV");
    assert_eq!(read_all(&report::parquet(rows, 2), None), (expected.to_vec(), Ok(())), "Parquet");
}

fn reported(key: &str, version: &str) -> ReportedRow {
    let listed = Listed {
        version: VersionId::parse(Some(version)),
        is_latest: true,
        state: State::Object(Content { etag: Some("e1".to_owned()), size: Some(7) }),
        last_modified: Timestamp::from_micros(1_795_428_000_000_000),
        storage_class: Some("STANDARD".to_owned()),
    };
    (key.to_owned(), listed)
}

#[test]
fn rows_are_the_same_in_both_formats() {
    let noncurrent = Row { is_latest: false, ..row("a", "v1") };
    let marker = Row { is_marker: true, ..row("a", "v2") };
    let mut expected = [reported("a", "v1"), reported("a", "v2"), reported("b", "null")];
    expected[0].1.is_latest = false;
    (expected[1].1.state, expected[1].1.storage_class) = (State::Marker, None);
    check(&[noncurrent, marker, row("b", "")], &expected);
}

#[test]
fn keys_are_encoded_in_csv_alone() {
    let keys = ["a b+c", "100%25", "tab\tquote\"comma,", "line\nend", "caf\u{e9}/\u{1f9ec}", "\u{1}"];
    let rows: Vec<Row> = keys.iter().map(|key| row(key, "v")).collect();
    let expected: Vec<ReportedRow> = keys.iter().map(|key| reported(key, "v")).collect();
    check(&rows, &expected);
}

#[test]
fn a_report_of_current_versions_tells_no_ids() {
    let bytes = report::csv(&[row("a", "v1")], report::CURRENT);
    assert_eq!(read_all(&bytes, Some(report::CURRENT)), (vec![reported("a", "null")], Ok(())));
}

#[test]
fn what_is_no_row_is_named_by_its_line() {
    let csv = |lines: &str| report::gzip(lines.as_bytes());
    let good = "\"genomics\",\"a\",\"v\",\"true\",\"false\",\"7\",\"2026-11-23T10:00:00.000Z\",\"e1\",\"STANDARD\"\n";
    for (bad, reason) in [
        (good.replace("genomics", "other"), "of bucket \"other\""),
        (good.replace(",\"e1\"", ""), "8 fields"),
        (good.replace("\"7\"", "\"seven\""), "\"seven\" is no size"),
        (good.replace("2026-11-23T10", "yesterday"), "is no date"),
        (good.replace("true", "perhaps"), "\"perhaps\" is neither true nor false"),
    ] {
        let (rows, read) = read_all(&csv(&format!("{good}{good}{bad}")), Some(report::ALL_VERSIONS));
        let broken = read.unwrap_err();
        assert_eq!((rows.len(), broken.place.as_str()), (2, "a.csv.gz, line 3"), "{broken}");
        assert!(broken.to_string().contains(reason), "{broken}");
    }
    let rows = [row("a", "v"), row("b", "v"), Row { bucket: "other".to_owned(), ..row("c", "v") }];
    let broken = read_all(&report::parquet(&rows, 2), None).1.unwrap_err();
    assert_eq!(broken.place, "a.parquet, row 3");
}

#[test]
fn a_line_without_end_is_not_waited_for() {
    let endless = format!("\"{}", "a".repeat(50 << 20));
    let broken = read_all(&report::gzip(endless.as_bytes()), Some(report::ALL_VERSIONS)).1.unwrap_err();
    assert_eq!(
        (broken.place.as_str(), broken.reason.as_str()),
        ("a.csv.gz, line 1", "it has more than 65536 bytes")
    );
    // Lines that are not have as many as there are.
    let rows: Vec<Row> =
        (0..3_000).map(|number| row(&format!("{}{number}", "k".repeat(1_000)), "v")).collect();
    assert_eq!(
        read_all(&report::csv(&rows, report::ALL_VERSIONS), Some(report::ALL_VERSIONS)).0.len(),
        3_000
    );
}

#[test]
fn keys_that_the_catalog_cannot_hold_are_told_apart() {
    let nul = Row { key: "b\0".to_owned(), ..row("b", "v") };
    let rows = [row("a", "v"), nul, row(&"k".repeat(2_700), "v"), row("c", "v")];
    let bytes = report::csv(&rows, report::ALL_VERSIONS);
    let (sender, mut receiver) = mpsc::channel(4);
    let manifest = manifest(&bytes, Some(report::ALL_VERSIONS));
    let found = read(spooled(&bytes), "a.csv.gz", &manifest, |_| true, &Ignore::default(), &sender).unwrap();
    let reasons: Vec<_> = found.iter().map(|key| key.reason.as_str()).collect();
    assert_eq!(reasons, ["nul", "too_long"]);
    let keys: Vec<_> = receiver.try_recv().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "c"]);
}

#[test]
fn nothing_is_read_for_nobody() {
    let rows: Vec<Row> = (0..100).map(|number| row(&format!("{number}"), "v")).collect();
    let bytes = report::csv(&rows, report::ALL_VERSIONS);
    let manifest = manifest(&bytes, Some(report::ALL_VERSIONS));
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let looked_at = AtomicI64::new(0);
    let is_below = |_: &[u8]| looked_at.fetch_add(1, Ordering::Relaxed) < 0;
    read(spooled(&bytes), "a.csv.gz", &manifest, is_below, &Ignore::default(), &sender).unwrap();
    assert_eq!(looked_at.into_inner(), 1, "none is ours, and nobody waits for more");
}

#[test]
fn what_is_cut_off_is_broken() {
    let rows: Vec<Row> = (0..1_000).map(|number| row(&format!("{number}"), "v")).collect();
    let bytes = report::csv(&rows, report::ALL_VERSIONS);
    let (_, read) = read_all(&bytes[..bytes.len() / 2], Some(report::ALL_VERSIONS));
    assert!(read.unwrap_err().place.starts_with("a.csv.gz, line "));
    let bytes = report::parquet(&rows, 100);
    for end in [bytes.len() / 2, 4, 0] {
        assert_eq!(read_all(&bytes[..end], None).1.unwrap_err().place, "a.parquet", "{end}");
    }
    assert_eq!(read_all(&bytes, None).0.len(), 1_000);
}

#[test]
fn a_file_of_another_schema_is_refused() {
    let of_two = "message m { required binary bucket (STRING); required binary key (STRING); }";
    let schema = Arc::new(::parquet::schema::parser::parse_message_type(of_two).unwrap());
    let writer =
        ::parquet::file::writer::SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let broken = read_all(&writer.into_inner().unwrap(), None).1.unwrap_err();
    assert_eq!(broken.reason, "column LastModifiedDate is missing");
}
