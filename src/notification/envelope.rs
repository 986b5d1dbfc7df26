//! Which shape a body has. The field that tells is looked at first, then that one shape is read, so
//! that a reason speaks of the shape the sender meant.

use serde_json::{Map, Value};

use super::{Body, Context, eventbridge, quote, s3};

/// Envelopes around an event: S3 through SNS has one, EventBridge through SNS too. Nobody wraps more
/// often than a few times, and what does must not make us recurse for ever.
const MAX_ENVELOPES: usize = 4;
/// Top-level fields that a reason names.
const MAX_NAMED: usize = 8;

/// Reads a body.
pub(super) fn open(body: &str, context: Context<'_>) -> Body {
    open_inside(body, 0, context)
}

fn open_inside(body: &str, envelopes: usize, context: Context<'_>) -> Body {
    let text = body.trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
    if text.is_empty() {
        return Body::undecodable("empty");
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Body::undecodable(&format!("not JSON: {error}")),
    };
    let Value::Object(fields) = &value else {
        return Body::undecodable(&format!("{}, not a JSON object", noun(&value)));
    };
    if let Some(records) = fields.get("Records") {
        return match records {
            Value::Array(records) => {
                Body::Records(records.iter().map(|record| s3::record(record, context)).collect())
            }
            other => Body::undecodable(&format!("Records is {}, not a list", noun(other))),
        };
    }
    let told = |name| fields.get(name).and_then(Value::as_str);
    if told("Event") == Some("s3:TestEvent") {
        return Body::TestEvent;
    }
    if let Some(detail_type) = told("detail-type") {
        return eventbridge::open(&value, detail_type, context);
    }
    if let Some(message) = told("Message")
        && (told("Type") == Some("Notification") || fields.contains_key("TopicArn"))
    {
        return open_topic(told("Type"), message, envelopes, context);
    }
    // One record without its list, as functions that fan events out leave it.
    if fields.contains_key("s3") && fields.contains_key("eventName") {
        return Body::Records(vec![s3::record(&value, context)]);
    }
    Body::undecodable(&format!(
        "neither S3 records, an SNS envelope, an EventBridge event nor a test event: {}",
        names(fields)
    ))
}

/// What SNS puts around a message when raw delivery is off
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html>).
fn open_topic(kind: Option<&str>, message: &str, envelopes: usize, context: Context<'_>) -> Body {
    if kind == Some("SubscriptionConfirmation") || kind == Some("UnsubscribeConfirmation") {
        return Body::undecodable("SNS asks to confirm a subscription: open its SubscribeURL, or drop it");
    }
    if envelopes >= MAX_ENVELOPES {
        return Body::undecodable(&format!("more than {MAX_ENVELOPES} envelopes around each other"));
    }
    match open_inside(message, envelopes + 1, context) {
        // The innermost reason says it all.
        Body::Undecodable(reason) if envelopes == 0 => {
            Body::undecodable(&format!("in the message of an SNS envelope: {reason}"))
        }
        body => body,
    }
}

fn names(fields: &Map<String, Value>) -> String {
    if fields.is_empty() {
        return "it has no fields".to_owned();
    }
    let named: Vec<String> = fields.keys().take(MAX_NAMED).map(|name| quote(name)).collect();
    match fields.len() - named.len() {
        0 => format!("it has {}", named.join(", ")),
        more => format!("it has {} and {more} more", named.join(", ")),
    }
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MAX_ENVELOPES, Map};
    use crate::notification::{Body, decode as open};

    fn topic(message: &str) -> String {
        let arn = "arn:aws:sns:eu-central-1:123456789012:uploads";
        json!({"Type": "Notification", "TopicArn": arn, "Message": message}).to_string()
    }

    fn reason(body: &str) -> String {
        match open(body) {
            Body::Undecodable(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reason_says_what_is_there_instead() {
        assert_eq!(reason("\u{feff} \n"), "empty");
        assert!(reason("{\"Records\":[").starts_with("not JSON: EOF"));
        assert_eq!(reason("[]"), "a list, not a JSON object");
        assert_eq!(reason(r#"{"Records":5}"#), "Records is a number, not a list");
        assert_eq!(
            reason(r#"{"body":{},"id":1}"#),
            "neither S3 records, an SNS envelope, an EventBridge event nor a test event: it has \"body\", \"id\""
        );
        assert_eq!(
            reason(&topic("hello")),
            "in the message of an SNS envelope: not JSON: expected value at line 1 column 1"
        );
        assert_eq!(
            reason(
                r#"{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{}}"#
            ),
            "an EventBridge event \"EC2 Instance State-change Notification\" of \"aws.ec2\" without detail.bucket: not about an object"
        );
    }

    #[test]
    fn a_reason_has_bounds() {
        let fields: Map<String, Value> = (0..1_000).map(|n| (format!("{n}").repeat(500), json!(n))).collect();
        let reason = reason(&Value::Object(fields).to_string());
        assert!(reason.chars().count() <= 301, "{reason}");
    }

    #[test]
    fn whitespace_and_byte_order_marks_are_no_part_of_it() {
        assert_eq!(open("\u{feff}\r\n {\"Records\":[]} \n"), Body::Records(vec![]));
    }

    #[test]
    fn envelopes_open_inside_envelopes_but_not_for_ever() {
        let mut body = r#"{"Event":"s3:TestEvent"}"#.to_owned();
        for _ in 0..MAX_ENVELOPES {
            body = topic(&body);
            assert_eq!(open(&body), Body::TestEvent);
        }
        assert!(reason(&topic(&body)).contains("more than 4 envelopes"));
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{{\"Records\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(reason(&deep).starts_with("not JSON: recursion limit exceeded"));
    }
}
