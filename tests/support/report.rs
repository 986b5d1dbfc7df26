//! Makes inventory reports as S3 writes them
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html>).

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use parquet::basic::Compression as PageCompression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Columns of a report of all versions, in CSV.
pub(crate) const ALL_VERSIONS: &str =
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass";
/// Columns of a report of current versions, in CSV.
pub(crate) const CURRENT: &str = "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass";

/// The columns of a report of all versions, in Parquet.
const PARQUET: &str = "message s3.inventory {
    required binary bucket (STRING);
    required binary key (STRING);
    optional binary version_id (STRING);
    optional boolean is_latest;
    optional boolean is_delete_marker;
    optional int64 size;
    optional int64 last_modified_date (TIMESTAMP(MILLIS,true));
    optional binary e_tag (STRING);
    optional binary storage_class (STRING);
    optional boolean is_multipart_uploaded;
}";

/// What stays in a key as it is, in CSV. A space becomes a plus.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b' ');

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// Empty for the null version.
    pub(crate) version: String,
    pub(crate) is_latest: bool,
    pub(crate) is_marker: bool,
    pub(crate) size: i64,
    /// RFC 3339, with milliseconds, and the same in milliseconds since the epoch.
    pub(crate) date: (String, i64),
    pub(crate) etag: String,
    pub(crate) class: String,
}

/// Rows in CSV, in gzip.
pub(crate) fn csv(rows: &[Row], schema: &str) -> Vec<u8> {
    gzip(rows.iter().map(|row| line(row, schema)).collect::<String>().as_bytes())
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

fn line(row: &Row, schema: &str) -> String {
    let unless_marker = |text: String| if row.is_marker { String::new() } else { text };
    let field = |column: &str| match column {
        "Bucket" => row.bucket.clone(),
        "Key" => utf8_percent_encode(&row.key, PLAIN).to_string().replace(' ', "+"),
        "VersionId" => row.version.clone(),
        "IsLatest" => row.is_latest.to_string(),
        "IsDeleteMarker" => row.is_marker.to_string(),
        "Size" => unless_marker(row.size.to_string()),
        "LastModifiedDate" => row.date.0.clone(),
        "ETag" => unless_marker(row.etag.clone()),
        "StorageClass" => unless_marker(row.class.clone()),
        other => panic!("{other} is no column of these reports"),
    };
    let fields: Vec<String> = schema.split(", ").map(|column| format!("\"{}\"", field(column))).collect();
    fields.join(",") + "\n"
}

/// What a column of texts holds of a row.
type Text = fn(&Row) -> Option<&str>;

/// Rows in Parquet, so many in a group.
pub(crate) fn parquet(rows: &[Row], group: usize) -> Vec<u8> {
    parquet_as(rows, group, WriterProperties::builder())
}

/// The same, written in that way.
pub(crate) fn parquet_as(rows: &[Row], group: usize, way: WriterPropertiesBuilder) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(PARQUET).unwrap());
    let properties = way.set_compression(PageCompression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(group) {
        let mut group = writer.next_row_group().unwrap();
        let texts: [(usize, Text); 5] = [
            (0, |row| Some(&row.bucket)),
            (1, |row| Some(&row.key)),
            (2, |row| Some(&row.version).filter(|version| !version.is_empty()).map(String::as_str)),
            (7, |row| Some(row.etag.as_str()).filter(|_| !row.is_marker)),
            (8, |row| Some(row.class.as_str()).filter(|_| !row.is_marker)),
        ];
        let mut index = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            if let Some((_, text)) = texts.iter().find(|(place, _)| *place == index) {
                let values: Vec<Option<&str>> = rows.iter().map(text).collect();
                let levels = levels(&values);
                let values: Vec<ByteArray> = values.into_iter().flatten().map(ByteArray::from).collect();
                let levels = (index > 1).then_some(&levels[..]);
                column.typed::<ByteArrayType>().write_batch(&values, levels, None).unwrap();
            } else if index == 5 || index == 6 {
                let value = |row: &Row| {
                    if index == 6 { Some(row.date.1) } else { Some(row.size).filter(|_| !row.is_marker) }
                };
                let values: Vec<Option<i64>> = rows.iter().map(value).collect();
                let levels = levels(&values);
                let values: Vec<i64> = values.into_iter().flatten().collect();
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
            } else {
                let flag = |row: &Row| if index == 3 { row.is_latest } else { index == 4 && row.is_marker };
                let values: Vec<bool> = rows.iter().map(flag).collect();
                let levels = vec![1; values.len()];
                column.typed::<BoolType>().write_batch(&values, Some(&levels), None).unwrap();
            }
            column.close().unwrap();
            index += 1;
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// Whether each value is there, as Parquet says it.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values.iter().map(|value| i16::from(value.is_some())).collect()
}

/// The objects of a report in `folder` (with its `/`), which S3 began at `began` milliseconds since the
/// epoch. The checksum comes last.
pub(crate) fn deliver(
    folder: &str,
    bucket: &str,
    began: i64,
    schema: Option<&str>,
    files: &[Vec<u8>],
) -> Vec<(String, Vec<u8>)> {
    let extension = if schema.is_some() { "csv.gz" } else { "parquet" };
    let data = folder.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    let named: Vec<(String, Vec<u8>)> = (files.iter().enumerate())
        .map(|(number, bytes)| (format!("{data}/data/{began}-{number}.{extension}"), bytes.clone()))
        .collect();
    let listed = named.iter().map(
        |(key, bytes)| serde_json::json!({ "key": key, "size": bytes.len(), "MD5checksum": md5(bytes) }),
    );
    let manifest = serde_json::json!({
        "sourceBucket": bucket,
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": began.to_string(),
        "fileFormat": if schema.is_some() { "CSV" } else { "Parquet" },
        "fileSchema": schema.unwrap_or(PARQUET),
        "files": listed.collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec_pretty(&manifest).unwrap();
    let checksum = md5(&manifest).into_bytes();
    let ends = [("manifest.json", manifest), ("manifest.checksum", checksum)];
    named.into_iter().chain(ends.map(|(name, bytes)| (format!("{folder}{name}"), bytes))).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
