//! What SQS tells of a queue.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName as Name};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Clients, call, told};
use crate::aws::Watch;
use crate::setup::estate::{Looked, QueueLook, Redrive, Sample, Takes};

/// A receipt that SQS never gave.
const NO_RECEIPT: &str = "stocktake-asks-whether-it-may";

pub(super) async fn look(clients: &Clients, url: &str) -> Looked<QueueLook> {
    let watch = Watch::default();
    let call = call(format!("ask what {url:?} is set to"), "sqs:GetQueueAttributes", url);
    let request = clients.sqs.get_queue_attributes().queue_url(url).attribute_names(Name::All);
    let output = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
    Ok(read(&output.attributes.unwrap_or_default()))
}

fn read(attributes: &HashMap<Name, String>) -> QueueLook {
    let text = |name| attributes.get(&name).filter(|text| !text.is_empty()).cloned();
    let number = |name, default| text(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let seconds = |name, default| Duration::from_secs(number(name, default));
    QueueLook {
        arn: text(Name::QueueArn).unwrap_or_default(),
        policy: text(Name::Policy),
        kms_key: text(Name::KmsMasterKeyId),
        // What is left out is what it is when nobody sets it.
        retention: seconds(Name::MessageRetentionPeriod, 345_600),
        visibility: seconds(Name::VisibilityTimeout, 30),
        wait: seconds(Name::ReceiveMessageWaitTimeSeconds, 0),
        delay: seconds(Name::DelaySeconds, 0),
        message_bytes_max: number(Name::MaximumMessageSize, 262_144),
        redrive: text(Name::RedrivePolicy).and_then(|policy| redrive(&policy)),
        takes: text(Name::RedriveAllowPolicy).map_or(Takes::All, |policy| takes(&policy)),
        waiting: number(Name::ApproximateNumberOfMessages, 0),
        in_hand: number(Name::ApproximateNumberOfMessagesNotVisible, 0),
        is_fifo: text(Name::FifoQueue).as_deref() == Some("true"),
    }
}

/// The number in it may be a text.
fn redrive(policy: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let receives = &policy["maxReceiveCount"];
    let receives_max = receives.as_u64().or_else(|| receives.as_str()?.parse().ok())?;
    Some(Redrive { to: policy["deadLetterTargetArn"].as_str()?.to_owned(), receives_max })
}

fn takes(policy: &str) -> Takes {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    match policy["redrivePermission"].as_str() {
        Some("denyAll") => Takes::None,
        Some("byQueue") => {
            let sources = policy["sourceQueueArns"].as_array().into_iter().flatten();
            Takes::Of(sources.filter_map(|arn| arn.as_str().map(str::to_owned)).collect())
        }
        _ => Takes::All,
    }
}

pub(super) async fn sample(clients: &Clients, url: &str) -> Looked<Option<Sample>> {
    Ok(peek(clients, url, 1).await?.into_iter().next())
}

/// Receives up to `most` messages and lets them be visible again at once.
pub(super) async fn peek(clients: &Clients, url: &str, most: i32) -> Looked<Vec<Sample>> {
    let watch = Watch::default();
    let call = call(format!("receive messages from {url:?}"), "sqs:ReceiveMessage", url);
    let request = clients
        .sqs
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(most)
        .visibility_timeout(0)
        .wait_time_seconds(1)
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
    let output = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch)?;
    let messages = output.messages.unwrap_or_default().into_iter();
    let samples = messages.map(|message| {
        let sent_at = (message.attributes.as_ref())
            .and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp))
            .and_then(|millis| millis.parse::<i128>().ok())
            .and_then(|millis| OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).ok());
        Sample { body: message.body.unwrap_or_default(), sent_at }
    });
    Ok(samples.collect())
}

/// A receipt that is none is refused as such by who would let us delete.
pub(super) async fn may_delete(clients: &Clients, url: &str) -> Looked<()> {
    let watch = Watch::default();
    let call = call(format!("delete messages from {url:?}"), "sqs:DeleteMessage", url);
    let request = clients.sqs.delete_message().queue_url(url).receipt_handle(NO_RECEIPT);
    unless_no_receipt(told(&call, request.customize().interceptor(watch.clone()).send().await, &watch))
}

/// Likewise by who would let us say for how long messages are kept from others.
pub(super) async fn may_give_back(clients: &Clients, url: &str) -> Looked<()> {
    let watch = Watch::default();
    let call = call(format!("give messages of {url:?} back"), "sqs:ChangeMessageVisibility", url);
    let request = clients.sqs.change_message_visibility().queue_url(url).receipt_handle(NO_RECEIPT);
    let request = request.visibility_timeout(0).customize().interceptor(watch.clone());
    unless_no_receipt(told(&call, request.send().await, &watch))
}

fn unless_no_receipt<T>(answer: Looked<T>) -> Looked<()> {
    match answer {
        Err(fault) if !fault.answer.contains("ReceiptHandle") => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::sqs::url_beside;

    #[test]
    fn what_is_left_out_is_what_nobody_set() {
        let look = read(&HashMap::new());
        assert_eq!(look.retention, Duration::from_secs(4 * 86_400));
        assert_eq!((look.message_bytes_max, look.redrive, look.is_fifo), (262_144, None, false));
        for count in ["3", "\"3\""] {
            let policy = format!("{{\"deadLetterTargetArn\":\"arn:d\",\"maxReceiveCount\":{count}}}");
            let look = read(&HashMap::from([(Name::RedrivePolicy, policy)]));
            assert_eq!(look.redrive, Some(Redrive { to: "arn:d".to_owned(), receives_max: 3 }));
        }
    }

    #[test]
    fn who_may_send_dead_letters_is_what_the_policy_says() {
        for (policy, expected) in [
            ("", Takes::All),
            (r#"{"redrivePermission":"allowAll"}"#, Takes::All),
            (r#"{"redrivePermission":"denyAll"}"#, Takes::None),
            (
                r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:a","arn:b"]}"#,
                Takes::Of(vec!["arn:a".to_owned(), "arn:b".to_owned()]),
            ),
        ] {
            let look = read(&HashMap::from([(Name::RedriveAllowPolicy, policy.to_owned())]));
            assert_eq!(look.takes, expected, "{policy}");
        }
    }

    #[test]
    fn a_neighbour_is_found_by_its_name() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake";
        let beside = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead";
        assert_eq!(url_beside(url, "arn:aws:sqs:eu-central-1:123456789012:dead"), beside);
    }
}
