//! Records in S3's own shape
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).

use serde_json::Value;

use super::field::{at, complaint, etag, owned, required, schema, size, time, told, version};
use super::{Kind, Record, Unreadable, key, quote};

/// The greatest major version of the record's schema that is understood.
const MAJOR_VERSION: u32 = 2;

const KEY: &str = "s3.object.key";

/// Reads one member of `Records`.
pub(super) fn record(record: &Value) -> Result<Record, Unreadable> {
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
    let key = key::from_form(required(record, KEY)?)
        .ok_or_else(|| complaint(KEY, "not UTF-8 when its escapes are decoded"))?;
    Ok(Record {
        bucket: required(record, "s3.bucket.name")?.to_owned(),
        key,
        version: version(record, "s3.object.versionId")?,
        kind: Kind::of_event(event_name),
        sequencer: owned(record, "s3.object.sequencer"),
        etag: etag(record, "s3.object.eTag"),
        size: size(record, "s3.object.size")?,
        time: time(record, "eventTime")?,
        event_name: event_name.to_owned(),
        requester: owned(record, "userIdentity.principalId"),
        source_ip: owned(record, "requestParameters.sourceIPAddress"),
        request_id: owned(record, "responseElements.x-amz-request-id"),
        storage_class: owned(record, "lifecycleEventData.transitionEventData.destinationStorageClass"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(super::record(&record).unwrap_err().as_str(), reason);
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
}
