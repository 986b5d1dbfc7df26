//! Records in S3's own shape
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).

use serde_json::Value;

use super::field::{at, complaint, etag, owned, required, schema, size, time, told, version};
use super::{Context, Kind, Record, Unreadable, key, quote};
use crate::model::{RawKey, Unrepresentable};

/// The greatest major version of the record's schema that is understood.
const MAJOR_VERSION: u32 = 2;

const KEY: &str = "s3.object.key";
/// What to do about keys that are not encoded.
const REMEDY: &str = "set keys = \"raw\" for this bucket if all its records come so, or keep the key encoded";

/// Reads one member of `Records`.
pub(super) fn record(record: &Value, context: Context<'_>) -> Result<Record, Unreadable> {
    // Who sent it does not matter (`aws:s3`, `minio:s3`, `ceph:s3`), as long as it is about S3:
    // records of queues and topics come in a `Records` of their own.
    if at(record, "s3").is_none() {
        let source = told(record, "eventSource").or_else(|| told(record, "EventSource"));
        return Err(match source {
            Some(source) => complaint("s3", &format!("missing from a record of {}", quote(source))),
            None => complaint("s3", "missing"),
        });
    }
    schema(record, "eventVersion", MAJOR_VERSION)?;
    let event_name = required(record, "eventName")?;
    let kind = Kind::of_event(event_name);
    let text = required(record, KEY)?;
    let bucket = required(record, "s3.bucket.name")?;
    let key = if (context.is_raw)(bucket, text) { text.to_owned() } else { decoded(text, bucket, kind)? };
    Ok(Record {
        bucket: bucket.to_owned(),
        key,
        version: version(record, "s3.object.versionId")?,
        kind,
        sequencer: owned(record, "s3.object.sequencer"),
        etag: etag(record, "s3.object.eTag"),
        size: size(record, "s3.object.size")?,
        time: time(record, "eventTime", context.sent_at)?,
        event_name: event_name.to_owned(),
        requester: owned(record, "userIdentity.principalId"),
        source_ip: owned(record, "requestParameters.sourceIPAddress"),
        request_id: owned(record, "responseElements.x-amz-request-id"),
        storage_class: owned(record, "lifecycleEventData.transitionEventData.destinationStorageClass"),
    })
}

/// The key that S3 wrote so.
fn decoded(text: &str, bucket: &str, kind: Kind) -> Result<String, Unreadable> {
    // Decoding what was never encoded makes another key of it.
    if let Some(character) = key::unencoded(text) {
        return Err(complaint(
            KEY,
            &format!(
                "{} is not encoded: S3 writes no {character:?} there. Something on the way rewrote the record; {REMEDY}",
                quote(text)
            ),
        ));
    }
    key::from_form(text).map_err(|bytes| {
        let complaint = complaint(KEY, "not UTF-8 when its escapes are decoded");
        match kind {
            Kind::Removed => complaint,
            _ => complaint.of_key(bucket, RawKey { bytes, reason: Unrepresentable::NotUtf8 }),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KEY, REMEDY, Value};
    use crate::model::Timestamp;
    use crate::notification::{Context, Kind, Record, Unreadable};

    fn record(value: &Value) -> Result<Record, Unreadable> {
        super::record(value, Context { sent_at: None, is_raw: &|_, _| false })
    }

    fn put() -> Value {
        json!({
            "eventName": "ObjectCreated:Put",
            "eventTime": "2026-01-02T03:04:05.678Z",
            "s3": {"bucket": {"name": "genomics"}, "object": {"key": "a+b"}},
        })
    }

    #[track_caller]
    fn check(pointer: &str, value: Value, reason: &str) {
        let mut record = put();
        *record.pointer_mut(pointer).unwrap() = value;
        assert_eq!(self::record(&record).unwrap_err().as_str(), reason);
    }

    #[test]
    fn a_record_needs_no_more_than_name_time_bucket_and_key() {
        let record = record(&put()).unwrap();
        assert_eq!((record.kind, record.key.as_str()), (Kind::Put, "a b"));
        assert!(record.version.is_null());
        assert_eq!((record.sequencer, record.etag, record.size), (None, None, None));
    }

    #[test]
    fn a_reason_names_the_field() {
        check("/s3", json!(null), "s3: missing");
        check("/s3/bucket", json!({}), "s3.bucket.name: missing");
        check("/s3/object/key", json!(""), "s3.object.key: empty");
        check("/s3/object/key", json!(7), "s3.object.key: not a text");
        check("/s3/object/key", json!("%FF"), "s3.object.key: not UTF-8 when its escapes are decoded");
        check("/eventName", json!(null), "eventName: missing");
        check("/eventTime", json!("soon"), "eventTime: \"soon\" is not a time of RFC 3339");
        check("/s3/object", json!({"key": "a", "size": -1}), "s3.object.size: not a number of bytes");
    }

    #[test]
    fn records_of_other_services_say_whose_they_are() {
        let reason = record(&json!({"eventSource": "aws:sqs", "body": "{}"})).unwrap_err();
        assert_eq!(reason.as_str(), "s3: missing from a record of \"aws:sqs\"");
        assert_eq!(record(&json!(5)).unwrap_err().as_str(), "s3: missing");
    }

    #[test]
    fn a_key_that_is_not_encoded_is_raw_only_where_that_is_known() {
        let mut value = put();
        value["s3"]["object"]["key"] = json!("a b+c%20.txt");
        let reason = record(&value).unwrap_err();
        assert!(reason.as_str().starts_with(KEY) && reason.as_str().ends_with(REMEDY), "{reason}");
        let is_raw = |bucket: &str, key: &str| (bucket, key) == ("genomics", "a b+c%20.txt");
        let read = super::record(&value, Context { sent_at: None, is_raw: &is_raw }).unwrap();
        assert_eq!(read.key, "a b+c%20.txt");
    }

    #[test]
    fn without_a_time_it_is_of_when_it_was_sent_at_the_latest() {
        let mut value = put();
        value["eventTime"] = json!(null);
        assert_eq!(record(&value).unwrap_err().as_str(), "eventTime: missing");
        let sent_at = Timestamp::from_micros(7);
        let context = Context { sent_at: Some(sent_at), is_raw: &|_, _| false };
        assert_eq!(super::record(&value, context).unwrap().time, sent_at);
        value["eventTime"] = json!("soon");
        assert!(super::record(&value, context).is_err(), "a wrong time is none");
    }

    #[test]
    fn a_key_that_is_no_text_is_told() {
        let mut value = put();
        value["s3"]["object"]["key"] = json!("a%FF");
        let unreadable = record(&value).unwrap_err();
        assert_eq!(
            unreadable.key().map(|(bucket, key)| (bucket, key.bytes.as_slice())),
            Some(("genomics", &b"a\xFF"[..]))
        );
        value["eventName"] = json!("ObjectRemoved:Delete");
        assert_eq!(record(&value).unwrap_err().key(), None);
    }
}
