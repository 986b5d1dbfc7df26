//! The manifest of a report: what it is of, and which files it is in
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html>).

use serde::Deserialize;

use super::broken::Broken;
use super::columns::Columns;
use crate::model::{Report, Scope, Timestamp};

/// How the rows of a report are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// CSV without a head, in gzip.
    Csv,
    /// Parquet.
    Parquet,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) report: Report,
    pub(super) format: Format,
    /// The bucket whose inventory it is.
    pub(super) bucket: String,
    /// Where each row says what.
    pub(super) columns: Columns,
    pub(super) files: Vec<File>,
}

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct File {
    pub(super) key: String,
    /// Bytes.
    pub(super) size: u64,
    /// In hexadecimal digits.
    #[serde(rename = "MD5checksum")]
    pub(super) md5: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    source_bucket: String,
    /// Milliseconds since the epoch.
    creation_timestamp: String,
    file_format: String,
    file_schema: String,
    files: Vec<File>,
}

impl Manifest {
    /// Reads a manifest that is at `place` and must be of `bucket`.
    pub(super) fn parse(bytes: &[u8], place: &str, bucket: &str) -> Result<Self, Broken> {
        let broken = |reason: String| Broken::at(place, reason);
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| broken(format!("it is no manifest: {error}")))?;
        if written.source_bucket != bucket {
            let reason = format!("it is of bucket {:?}, and not of {bucket:?}", written.source_bucket);
            return Err(Broken::unfit(place, reason));
        }
        let micros =
            written.creation_timestamp.parse::<i64>().ok().and_then(|millis| millis.checked_mul(1_000));
        let began = micros.ok_or_else(|| {
            broken(format!("creationTimestamp {:?} is no moment in milliseconds", written.creation_timestamp))
        })?;
        let format = match written.file_format.to_ascii_uppercase().as_str() {
            "CSV" => Format::Csv,
            "PARQUET" => Format::Parquet,
            other => {
                return Err(Broken::unfit(
                    place,
                    format!("it is in {other}, and only CSV and Parquet are read"),
                ));
            }
        };
        let columns = match format {
            Format::Csv => Columns::find(written.file_schema.split(',').map(str::trim)),
            // What it says of Parquet is for people; each file says it for programs.
            Format::Parquet => Columns::find(parquet_names(&written.file_schema)),
        }
        .map_err(|reason| {
            Broken::unfit(place, format!("{reason}: fileSchema is {:?}", written.file_schema))
        })?;
        let scope = if columns.version_id.is_some() { Scope::AllVersions } else { Scope::Current };
        let report = Report { began: Timestamp::from_micros(began), scope };
        Ok(Self { report, format, bucket: written.source_bucket, columns, files: written.files })
    }
}

/// The names in `message s3.inventory { required binary bucket (UTF8); optional int64 size; …}`.
fn parquet_names(schema: &str) -> impl Iterator<Item = &str> {
    let inner = schema.split_once('{').map_or("", |(_, inner)| inner);
    inner.split(';').filter_map(|field| field.split_whitespace().nth(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(change: impl Fn(&mut serde_json::Value)) -> Result<Manifest, Broken> {
        let mut manifest = serde_json::json!({
            "sourceBucket": "genomics",
            "destinationBucket": "arn:aws:s3:::reports",
            "version": "2016-11-30",
            "creationTimestamp": "1793188800000",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass",
            "files": [{ "key": "p/data/a.csv.gz", "size": 12, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc" }],
        });
        change(&mut manifest);
        Manifest::parse(manifest.to_string().as_bytes(), "s3://reports/p/manifest.json", "genomics")
    }

    #[test]
    fn a_manifest_says_what_the_report_is_of() {
        let manifest = parse(|_| ()).unwrap();
        assert_eq!(manifest.report.began.as_micros(), 1_793_188_800_000_000);
        assert_eq!((manifest.report.scope, manifest.format), (Scope::AllVersions, Format::Csv));
        assert_eq!((manifest.columns.key, manifest.columns.etag), (1, Some(7)));
        assert_eq!((manifest.files[0].size, manifest.files[0].key.as_str()), (12, "p/data/a.csv.gz"));
        let current =
            parse(|manifest| manifest["fileSchema"] = "Bucket, Key, LastModifiedDate".into()).unwrap();
        assert_eq!(current.report.scope, Scope::Current);
    }

    #[test]
    fn a_schema_of_parquet_is_read_too() {
        let manifest = parse(|manifest| {
            manifest["fileFormat"] = "Parquet".into();
            manifest["fileSchema"] = "message s3.inventory {\n required binary bucket (UTF8);\n required binary key (UTF8);\n \
                 optional binary version_id (UTF8);\n optional boolean is_latest;\n optional boolean is_delete_marker;\n \
                 optional int64 last_modified_date (TIMESTAMP(MILLIS,true));\n optional binary e_tag (UTF8);\n}".into();
        });
        let manifest = manifest.unwrap();
        assert_eq!((manifest.report.scope, manifest.format), (Scope::AllVersions, Format::Parquet));
        assert_eq!((manifest.columns.last_modified, manifest.columns.etag), (5, Some(6)));
    }

    #[test]
    fn what_cannot_serve_is_refused_by_name() {
        let check = |field: &str, value: &str, reason: &str, remedy: &str| {
            let broken = parse(|manifest| manifest[field] = value.into()).unwrap_err();
            assert!(broken.reason.contains(reason), "{broken}");
            assert!(broken.to_string().contains("s3://reports/p/manifest.json"), "{broken}");
            assert!(broken.remedy.contains(remedy), "{}", broken.remedy);
        };
        check("fileFormat", "ORC", "in ORC, and only CSV and Parquet", "inventory configuration");
        check(
            "sourceBucket",
            "other",
            "of bucket \"other\", and not of \"genomics\"",
            "inventory configuration",
        );
        check("fileSchema", "Bucket, Key, Size", "LastModifiedDate is missing", "last modified date");
        check(
            "fileSchema",
            "Bucket, Key, VersionId, LastModifiedDate",
            "IsLatest is missing",
            "inventory configuration",
        );
        check("creationTimestamp", "yesterday", "no moment", "next report");
        let broken = Manifest::parse(b"{", "x", "genomics").unwrap_err();
        assert!(broken.reason.contains("no manifest"), "{broken}");
    }
}
