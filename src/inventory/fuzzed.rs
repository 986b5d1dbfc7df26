//! Parts of a report that a fuzzer makes up.

use std::fs::File;
use std::io::{Seek, Write};

use super::manifest::Manifest;
use super::{csv, parquet};

/// What its files are said to be.
const MANIFEST: &str = r#"{"sourceBucket": "genomics", "creationTimestamp": "1793188800000", "fileFormat": "CSV", "files": [],
    "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"}"#;

/// A manifest after `m`, lines of CSV after `c`, the same in gzip after `g`, and a file of Parquet after `p`.
pub(crate) fn report(bytes: &[u8]) {
    let Some((part, bytes)) = bytes.split_first() else { return };
    let parse = |text: &[u8]| Manifest::parse(text, "manifest", "genomics");
    let manifest = parse(MANIFEST.as_bytes()).expect("a manifest");
    let mut rows = 0;
    let give = |_| {
        rows += 1;
        true
    };
    // What is wrong with it is told, and that is all that can happen.
    let _ = match part {
        b'm' => parse(bytes).map(drop),
        b'c' => csv::read_plain(bytes, "a.csv", &manifest, give),
        b'g' => csv::read(file(bytes), "a.csv.gz", &manifest, give),
        b'p' => parquet::read(file(bytes), "a.parquet", &manifest, give),
        _ => Ok(()),
    };
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("room for a file");
    file.write_all(bytes).expect("room for its bytes");
    file.rewind().expect("a file");
    file
}
