//! A queue in SQS.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};

use super::{Attributes, BATCH_MAX, Delivery, Refused, VISIBILITY_MAX, WAIT_MAX};
use crate::aws::xml::Malformed;
use crate::aws::{Call, Watch};
use crate::fault::Fault;
use crate::model::Timestamp;

/// A queue, asked through the SDK, which signs and tries again.
#[derive(Clone)]
pub struct Queue {
    url: String,
    client: Client,
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Queue {
    /// The queue with this URL, asked with `client`.
    pub fn new(url: impl Into<String>, client: Client) -> Self {
        Self { url: url.into(), client }
    }

    fn call(&self, verb: &str, permission: &'static str) -> Call {
        call(&self.url, verb, permission)
    }
}

impl super::Queue for Queue {
    async fn receive(&self, wait: Duration, visibility: Duration) -> Result<Vec<Delivery>, Fault> {
        let call = self.call("receive messages from", "sqs:ReceiveMessage");
        let watch = Watch::default();
        let output = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH_MAX as i32)
            .wait_time_seconds(wait.min(WAIT_MAX).as_secs() as i32)
            .visibility_timeout(seconds(visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .customize()
            .interceptor(watch.clone())
            .send()
            .await
            .map_err(|error| call.fault(error, &watch))?;
        let messages = output.messages.unwrap_or_default();
        let deliveries = messages.into_iter().map(delivery).collect::<Result<_, _>>();
        deliveries.map_err(|malformed| call.malformed(&malformed))
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<Vec<Refused>, Fault> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call("delete messages from", "sqs:DeleteMessage");
        let watch = Watch::default();
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(receipt).build().expect("id and receipt handle are set")
        });
        let entries = Some(entries.collect());
        let request = self.client.delete_message_batch().queue_url(&self.url).set_entries(entries);
        let output = request.customize().interceptor(watch.clone()).send().await;
        let output = output.map_err(|error| call.fault(error, &watch))?;
        refused(output.failed()).map_err(|malformed| call.malformed(&malformed))
    }

    async fn change_visibility(
        &self,
        receipts: &[String],
        visibility: Duration,
    ) -> Result<Vec<Refused>, Fault> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call("change the visibility of messages in", "sqs:ChangeMessageVisibility");
        let watch = Watch::default();
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(receipt).visibility_timeout(seconds(visibility));
            entry.build().expect("id and receipt handle are set")
        });
        let entries = Some(entries.collect());
        let request = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(entries);
        let output = request.customize().interceptor(watch.clone()).send().await;
        let output = output.map_err(|error| call.fault(error, &watch))?;
        refused(output.failed()).map_err(|malformed| call.malformed(&malformed))
    }

    async fn attributes(&self) -> Result<Attributes, Fault> {
        let [retention, visibility_timeout, waiting, in_hand, delayed, made] = ATTRIBUTES;
        let told = ask(&self.client, &self.url, &ATTRIBUTES).await?;
        Ok(Attributes {
            // Stores that are like SQS may leave it out.
            made_at: told.number(&made).ok().and_then(seconds_since_1970),
            retention: Duration::from_secs(told.number(&retention)?),
            visibility_timeout: Duration::from_secs(told.number(&visibility_timeout)?),
            waiting: told.number(&waiting)?,
            in_hand: told.number(&in_hand)?,
            delayed: told.number(&delayed)?,
        })
    }

    async fn dead_letters(&self) -> Result<Option<u64>, Fault> {
        let told = ask(&self.client, &self.url, &[QueueAttributeName::RedrivePolicy]).await?;
        let policy = told.attributes.get(&QueueAttributeName::RedrivePolicy);
        let policy = policy.and_then(|policy| serde_json::from_str::<serde_json::Value>(policy).ok());
        let Some(arn) = policy.as_ref().and_then(|policy| policy["deadLetterTargetArn"].as_str()) else {
            return Ok(None);
        };
        let waiting = QueueAttributeName::ApproximateNumberOfMessages;
        let told = ask(&self.client, &url_beside(&self.url, arn), std::slice::from_ref(&waiting)).await?;
        told.number(&waiting).map(Some)
    }
}

/// The URL of a queue in the account and region of another: what a dead-letter queue must be in.
pub(crate) fn url_beside(url: &str, arn: &str) -> String {
    let mut of_arn = arn.rsplit(':');
    let name = of_arn.next().unwrap_or_default();
    match url.trim_end_matches('/').rsplit_once('/') {
        Some((account, _)) => format!("{account}/{name}"),
        None => name.to_owned(),
    }
}

/// What a queue was asked, and what it told.
struct Told {
    call: Call,
    attributes: HashMap<QueueAttributeName, String>,
}

impl Told {
    fn number(&self, name: &QueueAttributeName) -> Result<u64, Fault> {
        let number = self.attributes.get(name).and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.call.malformed(&Malformed::new(format!("it has no number as {name}"))))
    }
}

async fn ask(client: &Client, url: &str, names: &[QueueAttributeName]) -> Result<Told, Fault> {
    let call = call(url, "ask for the attributes of", "sqs:GetQueueAttributes");
    let watch = Watch::default();
    let request = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let output = request.customize().interceptor(watch.clone()).send().await;
    let attributes = output.map_err(|error| call.fault(error, &watch))?.attributes.unwrap_or_default();
    Ok(Told { call, attributes })
}

fn call(url: &str, verb: &str, permission: &'static str) -> Call {
    Call { action: format!("{verb} {url:?}"), permission, resource: url.to_owned() }
}

const ATTRIBUTES: [QueueAttributeName; 6] = [
    QueueAttributeName::MessageRetentionPeriod,
    QueueAttributeName::VisibilityTimeout,
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    QueueAttributeName::CreatedTimestamp,
];

fn seconds_since_1970(seconds: u64) -> Option<Timestamp> {
    Some(Timestamp::from_micros(i64::try_from(seconds).ok()?.checked_mul(1_000_000)?))
}

/// Whole seconds, which is what SQS takes: never less than was asked for.
fn seconds(visibility: Duration) -> i32 {
    let seconds = visibility.min(VISIBILITY_MAX).as_secs_f64().ceil();
    seconds as i32
}

fn delivery(message: Message) -> Result<Delivery, Malformed> {
    let lacks = |what| Malformed::new(format!("a message has no {what}"));
    let attribute = |name| message.attributes.as_ref()?.get(&name);
    // Milliseconds since the epoch.
    let sent_at = attribute(MessageSystemAttributeName::SentTimestamp)
        .and_then(|millis| millis.parse::<i64>().ok()?.checked_mul(1_000))
        .map(Timestamp::from_micros);
    let receive_count =
        attribute(MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.parse().ok());
    Ok(Delivery {
        sent_at,
        receive_count,
        message_id: message.message_id.ok_or_else(|| lacks("id"))?,
        receipt: message.receipt_handle.ok_or_else(|| lacks("receipt handle"))?,
        body: message.body.ok_or_else(|| lacks("body"))?,
    })
}

/// Our ids of the entries are their places.
fn refused(failed: &[BatchResultErrorEntry]) -> Result<Vec<Refused>, Malformed> {
    let refused = failed.iter().map(|entry| {
        let index = entry.id().parse().map_err(|_| {
            Malformed::new(format!("an entry called {:?} was refused, which was not sent", entry.id()))
        })?;
        let reason = match entry.message() {
            Some(message) => format!("{}: {message}", entry.code()),
            None => entry.code().to_owned(),
        };
        Ok(Refused { index, reason, is_final: entry.sender_fault() })
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::aws::scripted::{Server, answer, answer_with};
    use crate::fault::Kind;
    use crate::queue::Queue as _;

    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/events";

    async fn serve(answers: impl IntoIterator<Item = String>) -> (Server, Queue) {
        let server = Server::start(answers).await;
        let client = crate::aws::sqs(&server.config().await);
        (server, Queue::new(URL, client))
    }

    fn sent(server: &Server) -> Value {
        serde_json::from_str(&server.asked()[0].body).unwrap()
    }

    fn receipts() -> [String; 2] {
        ["r0".to_owned(), "r1".to_owned()]
    }

    #[tokio::test]
    async fn messages_come_with_their_history() {
        let body = json!({"Messages": [
            {"MessageId": "m0", "ReceiptHandle": "r0", "Body": "{}",
             "Attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1784541600123"}},
            {"MessageId": "m1", "ReceiptHandle": "r1", "Body": ""},
        ]});
        let (server, queue) = serve([answer(200, &body.to_string())]).await;
        let deliveries =
            queue.receive(Duration::from_secs(3600), Duration::from_millis(30_500)).await.unwrap();
        let sent_at = Some(Timestamp::from_micros(1_784_541_600_123_000));
        let delivery = |message_id: &str, receipt: &str, body: &str| Delivery {
            message_id: message_id.to_owned(),
            receipt: receipt.to_owned(),
            body: body.to_owned(),
            sent_at: None,
            receive_count: None,
        };
        let first = Delivery { sent_at, receive_count: Some(3), ..delivery("m0", "r0", "{}") };
        assert_eq!(deliveries, [first, delivery("m1", "r1", "")]);
        let asked = sent(&server);
        assert_eq!(asked["QueueUrl"], URL);
        assert_eq!((&asked["MaxNumberOfMessages"], &asked["WaitTimeSeconds"]), (&json!(10), &json!(20)));
        assert_eq!(asked["VisibilityTimeout"], 31);
        let attributes = json!(["ApproximateReceiveCount", "SentTimestamp"]);
        assert_eq!(asked["MessageSystemAttributeNames"], attributes);
    }

    #[tokio::test]
    async fn an_empty_queue_is_no_fault() {
        let (_server, queue) = serve([answer(200, "{}")]).await;
        assert_eq!(queue.receive(Duration::ZERO, Duration::ZERO).await.unwrap(), []);
    }

    #[tokio::test]
    async fn every_refused_entry_is_reported() {
        let body = json!({"Successful": [{"Id": "0"}], "Failed": [
            {"Id": "1", "Code": "ReceiptHandleIsInvalid", "Message": "gone", "SenderFault": true},
        ]});
        let reason = "ReceiptHandleIsInvalid: gone".to_owned();
        let refused = [Refused { index: 1, reason, is_final: true }];

        let (server, queue) = serve([answer(200, &body.to_string())]).await;
        assert_eq!(queue.acknowledge(&receipts()).await.unwrap(), refused);
        let entries = json!([{"Id": "0", "ReceiptHandle": "r0"}, {"Id": "1", "ReceiptHandle": "r1"}]);
        assert_eq!(sent(&server)["Entries"], entries);

        let (server, queue) = serve([answer(200, &body.to_string())]).await;
        assert_eq!(queue.change_visibility(&receipts(), Duration::ZERO).await.unwrap(), refused);
        let second = json!({"Id": "1", "ReceiptHandle": "r1", "VisibilityTimeout": 0});
        assert_eq!(sent(&server)["Entries"][1], second);
    }

    #[tokio::test]
    async fn attributes_are_numbers() {
        let told = |waiting: &str| {
            let told = json!({"Attributes": {
                "MessageRetentionPeriod": "1209600", "VisibilityTimeout": "30", "ApproximateNumberOfMessages": waiting,
                "ApproximateNumberOfMessagesNotVisible": "7", "ApproximateNumberOfMessagesDelayed": "0",
                "CreatedTimestamp": "1764400000",
            }});
            answer(200, &told.to_string())
        };
        let (_server, queue) = serve([told("12"), told("many")]).await;
        let attributes = Attributes {
            made_at: Some(Timestamp::from_micros(1_764_400_000_000_000)),
            retention: Duration::from_secs(1_209_600),
            visibility_timeout: Duration::from_secs(30),
            waiting: 12,
            in_hand: 7,
            delayed: 0,
        };
        assert_eq!(queue.attributes().await.unwrap(), attributes);
        let fault = queue.attributes().await.unwrap_err();
        assert_eq!(fault.kind, Kind::Malformed);
        assert!(fault.answer.contains("ApproximateNumberOfMessages"), "{fault}");
    }

    #[tokio::test]
    async fn dead_letters_are_in_the_queue_that_the_redrive_policy_names() {
        let policy =
            json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 10});
        let redrive = json!({"Attributes": {"RedrivePolicy": policy.to_string()}});
        let waiting = json!({"Attributes": {"ApproximateNumberOfMessages": "3"}});
        let answers = [redrive, waiting, json!({})].map(|told| answer(200, &told.to_string()));
        let (server, queue) = serve(answers).await;
        assert_eq!(queue.dead_letters().await.unwrap(), Some(3));
        let asked: Value = serde_json::from_str(&server.asked()[1].body).unwrap();
        assert_eq!(asked["QueueUrl"], "https://sqs.eu-west-1.amazonaws.com/123456789012/dead");
        assert_eq!(queue.dead_letters().await.unwrap(), None, "it has no such queue");
    }

    #[tokio::test]
    async fn nothing_to_say_is_not_said() {
        let (server, queue) = serve([]).await;
        assert_eq!(queue.acknowledge(&[]).await.unwrap(), []);
        assert_eq!(queue.change_visibility(&[], Duration::ZERO).await.unwrap(), []);
        assert!(server.asked().is_empty());
    }

    #[tokio::test]
    async fn faults_say_what_to_do() {
        let error = |code: &str| json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "so"});
        let absent = error("QueueDoesNotExist").to_string();
        let query = "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n";
        for (answer, kind, remedy) in [
            (
                answer(400, &error("AccessDeniedException").to_string()),
                Kind::Denied,
                "sqs:ReceiveMessage on https://",
            ),
            (answer(400, &error("KmsAccessDenied").to_string()), Kind::Denied, "kms:Decrypt"),
            (answer_with(400, query, &absent), Kind::Absent, "exists"),
            (answer(400, &absent), Kind::Absent, "exists"),
            (answer(403, &error("InvalidClientTokenId").to_string()), Kind::Credentials, "credentials"),
        ] {
            let (_server, queue) = serve([answer]).await;
            let fault = queue.receive(Duration::ZERO, Duration::ZERO).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.remedy.contains(remedy), "{}", fault.remedy);
            assert!(fault.to_string().starts_with(&format!("receive messages from {URL:?}: ")), "{fault}");
            assert!(fault.answer.ends_with(": so"), "{fault}");
        }
    }
}
