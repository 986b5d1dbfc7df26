//! What `stocktake decode` prints for a body.

use std::fmt::Write;

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Body, Record, Unreadable};
use crate::model::{Fact, Sequencer, Timestamp};

/// The body as one line of JSON, for programs:
///
/// - `{"kind":"records","records":[…]}`, each record with `bucket`, `key`, `version_id`, `kind`,
///   `sequencer`, `etag`, `size` and `event_time`, and null for what the event does not say;
///   a record that cannot be read is `{"undecodable":…}` in its place;
/// - `{"kind":"test_event"}`;
/// - `{"kind":"undecodable","reason":…}`.
pub fn json(body: &Body) -> String {
    match body {
        Body::Records(records) => {
            let records: Vec<String> = records.iter().map(json_record).collect();
            format!(r#"{{"kind":"records","records":[{}]}}"#, records.join(","))
        }
        Body::TestEvent => object(&[("kind", "test_event".into())]),
        Body::Undecodable(reason) => {
            object(&[("kind", "undecodable".into()), ("reason", reason.as_str().into())])
        }
    }
}

fn json_record(record: &Result<Record, Unreadable>) -> String {
    match record {
        Ok(record) => object(&[
            ("bucket", record.bucket.as_str().into()),
            ("key", record.key.as_str().into()),
            ("version_id", record.version.as_str().into()),
            ("kind", record.kind.as_str().into()),
            ("sequencer", record.sequencer.as_deref().into()),
            ("etag", record.etag.as_deref().into()),
            ("size", record.size.into()),
            ("event_time", rfc3339(record.time).into()),
        ]),
        Err(unreadable) => object(&[("undecodable", unreadable.as_str().into())]),
    }
}

/// A JSON object whose fields keep their order.
fn object(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// UTC with milliseconds, as S3 writes it, or with microseconds where a store told them; none for a
/// moment no calendar reaches.
fn rfc3339(moment: Timestamp) -> Option<String> {
    let millis = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let micros = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let format = if moment.as_micros() % 1_000 == 0 { millis } else { micros };
    let nanos = i128::from(moment.as_micros()) * 1_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?.format(format).ok()
}

/// The body for people: what each event says, and what it makes the catalog believe.
pub fn text(body: &Body) -> String {
    match body {
        Body::Records(records) if records.is_empty() => "no records\n".to_owned(),
        Body::Records(records) => records.iter().map(text_record).collect(),
        Body::TestEvent => "test event: nothing to do\n".to_owned(),
        Body::Undecodable(reason) => format!("undecodable: {}\n", escape(reason)),
    }
}

fn text_record(record: &Result<Record, Unreadable>) -> String {
    let record = match record {
        Ok(record) => record,
        Err(unreadable) => return format!("unreadable: {}\n", escape(unreadable.as_str())),
    };
    let mut text = format!("{} ({})\n", escape(&record.event_name), record.kind);
    let mut line = |label: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {label:<14} {}", escape(value));
        }
    };
    line("bucket", Some(&record.bucket));
    line("key", Some(&record.key));
    line("version", Some(record.version.as_str()));
    line("time", rfc3339(record.time).as_deref());
    let sequencer = record.sequencer.as_deref().map(|told| match Sequencer::parse(told) {
        Some(_) => told.to_owned(),
        None => format!("{told} (not hexadecimal: it orders nothing)"),
    });
    line("sequencer", sequencer.as_deref());
    line("etag", record.etag.as_deref());
    line("size", record.size.map(|size| size.to_string()).as_deref());
    line("storage class", record.storage_class.as_deref());
    line("requester", record.requester.as_deref());
    line("source address", record.source_ip.as_deref());
    line("request id", record.request_id.as_deref());
    line("claim", Some(claim(record)));
    line("quarantine", record.storable().err().map(|reason| reason.to_string()).as_deref());
    text
}

fn claim(record: &Record) -> &'static str {
    match record.claim().map(|claim| claim.fact) {
        Some(Fact::Put(_)) => "this version is an object",
        Some(Fact::Multipart(_)) => "this version is an object, as old as its upload's start",
        Some(Fact::Marker) => "this version is a delete marker",
        Some(Fact::Removed) => "this version is gone for good",
        Some(Fact::Attributes(_)) => "this version is as it was, but for attributes",
        None => "none: counted and acknowledged",
    }
}

/// Escapes what would move the cursor, hide itself or reorder what stands around it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            char if char.is_control() => escaped.extend(char.escape_default()),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                escaped.extend(char.escape_unicode());
            }
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::decode;

    #[test]
    fn text_is_aligned_and_harmless() {
        let body = r#"{"Records":[{"eventName":"ObjectRemoved:DeleteMarkerCreated","eventTime":"2026-01-02T03:04:05Z",
            "s3":{"bucket":{"name":"genomics"},"object":{"key":"a%0A%1B%5B2J%E2%80%AE","versionId":"v1","sequencer":"0A"}}},5]}"#;
        assert_eq!(
            text(&decode(body)),
            "ObjectRemoved:DeleteMarkerCreated (marker)\n  \
               bucket         genomics\n  \
               key            a\\n\\u{1b}[2J\\u{202e}\n  \
               version        v1\n  \
               time           2026-01-02T03:04:05.000Z\n  \
               sequencer      0A\n  \
               claim          this version is a delete marker\n\
             unreadable: s3: missing\n"
        );
    }

    #[test]
    fn times_keep_what_was_told_of_them() {
        assert_eq!(rfc3339(Timestamp::from_micros(-1_000)).as_deref(), Some("1969-12-31T23:59:59.999Z"));
        assert_eq!(rfc3339(Timestamp::from_micros(-1)).as_deref(), Some("1969-12-31T23:59:59.999999Z"));
        assert_eq!(rfc3339(Timestamp::from_micros(i64::MAX)), None);
    }
}
