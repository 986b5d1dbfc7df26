//! Events in EventBridge's shape
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>).

use serde_json::Value;

use super::field::{at, etag, owned, required, schema, size, time, told, version};
use super::{Body, Context, Kind, Record, Unreadable, quote};

/// The greatest major version of the detail's schema that is understood.
const MAJOR_VERSION: u32 = 1;

/// Reads an event whose detail type is `detail_type`.
pub(super) fn open(event: &Value, detail_type: &str, context: Context<'_>) -> Body {
    // The bucket tells, not the source: `aws.s3` also sends what CloudTrail saw and what batch jobs do,
    // and a replay may go by another name.
    if at(event, "detail.bucket").is_none() {
        let source = told(event, "source").unwrap_or_default();
        return Body::undecodable(&format!(
            "an EventBridge event {} of {} without detail.bucket: not about an object",
            quote(detail_type),
            quote(source),
        ));
    }
    Body::Records(vec![record(event, detail_type, context)])
}

fn record(event: &Value, detail_type: &str, context: Context<'_>) -> Result<Record, Unreadable> {
    schema(event, "detail.event-version", MAJOR_VERSION)?;
    let reason = told(event, "detail.reason");
    let deletion = told(event, "detail.deletion-type");
    let named: Vec<&str> = [Some(detail_type), reason, deletion].into_iter().flatten().collect();
    Ok(Record {
        bucket: required(event, "detail.bucket.name")?.to_owned(),
        // Here the key stands as it is.
        key: required(event, "detail.object.key")?.to_owned(),
        version: version(event, "detail.object.version-id")?,
        kind: Kind::of_detail(detail_type, reason, deletion),
        sequencer: owned(event, "detail.object.sequencer"),
        etag: etag(event, "detail.object.etag").or_else(|| etag(event, "detail.object.eTag")),
        size: size(event, "detail.object.size")?,
        time: time(event, "time", context.sent_at)?,
        event_name: named.join(": "),
        requester: owned(event, "detail.requester"),
        source_ip: owned(event, "detail.source-ip-address"),
        request_id: owned(event, "detail.request-id"),
        storage_class: owned(event, "detail.destination-storage-class"),
    })
}
