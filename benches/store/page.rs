//! One page of `ListObjectVersions`
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

use super::synthetic::{Entry, Synthetic};

/// What S3 leaves as it is when it encodes keys.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');
const PAGE_MAX: usize = 1_000;
/// About what an entry takes, in bytes.
const ENTRY_BYTES: usize = 640;
const OWNER: &str = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Request {
    prefix: String,
    key_marker: String,
    version_id_marker: Option<String>,
    max_keys: usize,
    is_encoded: bool,
}

impl Request {
    /// Reads the query; the code of S3's error where it makes no sense.
    pub(crate) fn read(query: &[(String, String)]) -> Result<Self, &'static str> {
        let value = |name| query.iter().find(|(asked, _)| asked == name).map(|(_, value)| value.clone());
        let version_id_marker = value("version-id-marker").filter(|marker| !marker.is_empty());
        let key_marker = value("key-marker").unwrap_or_default();
        if version_id_marker.is_some() && key_marker.is_empty() {
            return Err("InvalidArgument");
        }
        let max_keys = value("max-keys").map_or(Ok(PAGE_MAX), |max_keys| max_keys.parse());
        Ok(Self {
            prefix: value("prefix").unwrap_or_default(),
            key_marker,
            version_id_marker,
            max_keys: max_keys.map_err(|_| "InvalidArgument")?.min(PAGE_MAX),
            is_encoded: value("encoding-type").is_some_and(|encoding| encoding == "url"),
        })
    }

    fn show(&self, key: &str) -> String {
        if self.is_encoded {
            utf8_percent_encode(key, ENCODED).to_string().replace(' ', "+")
        } else {
            quick_xml::escape::escape(key).into_owned()
        }
    }
}

/// A place in the listing: an age of a key, and when the version before it was written.
struct Position {
    number: usize,
    age: usize,
    before: Option<u64>,
}

impl Position {
    /// After the markers; both name the last entry of the page before.
    fn after(bucket: &Synthetic, request: &Request) -> Self {
        let is_key = |number| number < bucket.keys() && bucket.key(number) == request.key_marker;
        let begin = bucket.first_after(&request.key_marker, true);
        let mut position = Self { number: begin, age: 0, before: None };
        match &request.version_id_marker {
            Some(marker) if is_key(begin) => {
                while position.number == begin && position.next(bucket).version_id != *marker {}
            }
            // Without a version, or with one of a key that is not there: after the key.
            _ if is_key(begin) => position.number += 1,
            _ => {}
        }
        let first = bucket.first_after(&request.prefix, true);
        if position.number < first { Self { number: first, age: 0, before: None } } else { position }
    }

    /// The entry here; moves on to the next.
    fn next(&mut self, bucket: &Synthetic) -> Entry {
        let entry = bucket.entry(self.number, self.age, self.before);
        if self.age + 1 < bucket.versions(self.number) {
            (self.age, self.before) = (self.age + 1, Some(entry.modified));
        } else {
            *self = Self { number: self.number + 1, age: 0, before: None };
        }
        entry
    }
}

/// The document that answers a request.
pub(crate) fn write(bucket: &Synthetic, request: &Request) -> String {
    let mut position = Position::after(bucket, request);
    let mut entries = String::with_capacity(request.max_keys * ENTRY_BYTES);
    let (mut count, mut last) = (0, None);
    let mut key: Option<(usize, String)> = None;
    let is_truncated = loop {
        if position.number == bucket.keys() {
            break false;
        }
        if key.as_ref().is_none_or(|(number, _)| *number != position.number) {
            let name = bucket.key(position.number);
            if !name.starts_with(&request.prefix) {
                break false;
            }
            key = Some((position.number, request.show(&name)));
        }
        if count == request.max_keys {
            break true;
        }
        let shown = key.as_ref().map_or("", |(_, shown)| shown);
        let entry = position.next(bucket);
        write_entry(&mut entries, shown, &entry);
        last = Some((shown.to_owned(), entry.version_id));
        count += 1;
    };
    let mut document = String::with_capacity(entries.len() + 2 * ENTRY_BYTES);
    document.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    document
        .push_str("<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bench</Name>");
    element(&mut document, "Prefix", &request.show(&request.prefix));
    element(&mut document, "KeyMarker", &request.show(&request.key_marker));
    element(&mut document, "VersionIdMarker", request.version_id_marker.as_deref().unwrap_or_default());
    if let Some((key, version_id)) = last.filter(|_| is_truncated) {
        element(&mut document, "NextKeyMarker", &key);
        element(&mut document, "NextVersionIdMarker", &version_id);
    }
    element(&mut document, "MaxKeys", &request.max_keys.to_string());
    if request.is_encoded {
        element(&mut document, "EncodingType", "url");
    }
    element(&mut document, "IsTruncated", if is_truncated { "true" } else { "false" });
    document.push_str(&entries);
    document.push_str("</ListVersionsResult>");
    document
}

fn write_entry(document: &mut String, key: &str, entry: &Entry) {
    let tag = if entry.is_marker { "DeleteMarker" } else { "Version" };
    let Entry { version_id, is_latest, etag, size, storage_class, .. } = entry;
    let modified = date(entry.modified);
    let _ = write!(
        document,
        "<{tag}><Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>{is_latest}</IsLatest>\
         <LastModified>{modified}</LastModified>"
    );
    if !entry.is_marker {
        let _ = write!(
            document,
            "<ETag>&quot;{etag}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
             <ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size><StorageClass>{storage_class}</StorageClass>"
        );
    }
    let _ = write!(document, "<Owner><ID>{OWNER}</ID></Owner></{tag}>");
}

fn element(document: &mut String, tag: &str, text: &str) {
    let _ = write!(document, "<{tag}>{text}</{tag}>");
}

/// Whole seconds, with the milliseconds that S3 always shows as 0.
fn date(seconds: u64) -> String {
    let date =
        i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let date = date.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (date.hour(), date.minute(), date.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}
