//! A stand-in for SQS in AWS's JSON protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>): up to ten
//! messages a receive, long polls, visibility, deletion in batches. And for an S3 whose buckets are
//! empty, as the daemon lists them before it begins. Messages are made when they are received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use stocktake::clock;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::events::Events;

/// As long as messages are out of sight unless somebody says otherwise.
const VISIBILITY: Duration = Duration::from_secs(30);
const RECEIVE_MAX: usize = 10;
const BODY_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    /// How long every answer takes at least.
    latency: Duration,
    state: Mutex<Messages>,
    changed: Notify,
}

struct Messages {
    events: Events,
    /// How many of them are there to be received.
    sent: u64,
    /// The first that was never received.
    next: u64,
    /// Received and not deleted, with when they are seen again.
    hidden: BTreeMap<u64, Instant>,
    /// The same by that moment.
    returning: BTreeSet<(Instant, u64)>,
    deleted: u64,
    last_deleted: Option<Instant>,
    /// When each was sent, if that is of interest.
    sent_at: Option<Vec<OffsetDateTime>>,
    /// How often something was received that had been received before.
    again: u64,
}

impl Queue {
    /// Serves a queue of those events, none of which is sent yet. The address.
    pub(crate) async fn serve(events: Events, latency: Duration) -> anyhow::Result<(Self, String)> {
        let state = Mutex::new(Messages::new(events));
        let queue = Self(Arc::new(Shared { latency, state, changed: Notify::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let router = Router::new().fallback(answer).with_state(queue.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((queue, address))
    }

    /// Forgets everything, and has other events to send.
    pub(crate) fn restart(&self, events: Events) {
        *self.state() = Messages::new(events);
    }

    /// Sends all that is left at once.
    pub(crate) fn send_all(&self) {
        let mut state = self.state();
        state.sent = state.events.count;
        self.0.changed.notify_waiters();
    }

    /// Sends all, so many a second, and notes when.
    pub(crate) async fn send_evenly(&self, per_second: u32) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        loop {
            ticks.tick().await;
            let mut state = self.state();
            if state.sent == state.events.count {
                return;
            }
            state.sent += 1;
            state.sent_at.get_or_insert_default().push(clock::now());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Waits until all that there is was deleted. When the last was, and how many came twice.
    pub(crate) async fn drained(&self, patience: Duration) -> anyhow::Result<(Instant, u64)> {
        let begin = Instant::now();
        loop {
            {
                let state = self.state();
                if let (true, Some(last)) = (state.deleted == state.events.count, state.last_deleted) {
                    return Ok((last, state.again));
                }
                anyhow::ensure!(
                    begin.elapsed() < patience,
                    "{} of {} messages are deleted after {patience:?}",
                    state.deleted,
                    state.events.count
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When each message was sent.
    pub(crate) fn sent_at(&self) -> Vec<OffsetDateTime> {
        self.state().sent_at.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, Messages> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self, asked: &Value) -> String {
        let wait = Duration::from_secs(asked["WaitTimeSeconds"].as_u64().unwrap_or_default());
        let most = asked["MaxNumberOfMessages"].as_u64().map_or(1, |most| most.clamp(1, 10) as usize);
        let visibility = asked["VisibilityTimeout"].as_u64().map_or(VISIBILITY, Duration::from_secs);
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.0.changed.notified();
            let (places, events) = {
                let mut state = self.state();
                (state.take(most.min(RECEIVE_MAX), visibility), state.events)
            };
            if !places.is_empty() {
                return messages(&events, &places);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return "{}".to_owned();
            }
        }
    }
}

impl Messages {
    fn new(events: Events) -> Self {
        Self {
            events,
            sent: 0,
            next: 0,
            hidden: BTreeMap::new(),
            returning: BTreeSet::new(),
            deleted: 0,
            last_deleted: None,
            sent_at: None,
            again: 0,
        }
    }

    fn take(&mut self, most: usize, visibility: Duration) -> Vec<u64> {
        let now = Instant::now();
        let mut places = Vec::new();
        while places.len() < most
            && let Some(&(until, place)) = self.returning.first()
            && until <= now
        {
            self.returning.pop_first();
            self.again += 1;
            places.push(place);
        }
        while places.len() < most && self.next < self.sent {
            places.push(self.next);
            self.next += 1;
        }
        for place in &places {
            self.hide(*place, now + visibility);
        }
        places
    }

    fn hide(&mut self, place: u64, until: Instant) {
        if let Some(before) = self.hidden.insert(place, until) {
            self.returning.remove(&(before, place));
        }
        self.returning.insert((until, place));
    }

    fn delete(&mut self, place: u64) {
        if let Some(until) = self.hidden.remove(&place) {
            self.returning.remove(&(until, place));
            self.deleted += 1;
            self.last_deleted = Some(Instant::now());
        }
    }
}

/// Written as it is sent, because it is most of what the stand-in has to do.
fn messages(events: &Events, places: &[u64]) -> String {
    let sent = clock::now().unix_timestamp_nanos() / 1_000_000;
    let message = |place: &u64| {
        let body = Value::from(events.body(*place));
        format!(
            r#"{{"MessageId":"00000000-0000-4000-8000-{place:012}","ReceiptHandle":"{place:0>160}","Body":{body},"Attributes":{{"ApproximateReceiveCount":"1","SentTimestamp":"{sent}"}}}}"#
        )
    };
    format!(r#"{{"Messages":[{}]}}"#, places.iter().map(message).collect::<Vec<_>>().join(","))
}

async fn answer(State(queue): State<Queue>, request: Request) -> Response {
    if request.method() != Method::POST {
        return empty_bucket(&request);
    }
    // A timer's shortest is a millisecond.
    if !queue.0.latency.is_zero() {
        tokio::time::sleep(queue.0.latency).await;
    }
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let call = target.and_then(|target| target.strip_prefix("AmazonSQS.")).unwrap_or_default().to_owned();
    let body: Bytes = to_bytes(request.into_body(), BODY_MAX).await.unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let entries = || asked["Entries"].as_array().into_iter().flatten();
    let place = |entry: &Value| entry["ReceiptHandle"].as_str().and_then(|text| text.parse().ok());
    let done = || {
        json!({ "Successful": entries().map(|entry| json!({ "Id": entry["Id"] })).collect::<Vec<_>>(), "Failed": [] }).to_string()
    };
    let answered = match call.as_str() {
        "ReceiveMessage" => queue.receive(&asked).await,
        "DeleteMessageBatch" => {
            entries().filter_map(place).for_each(|place| queue.state().delete(place));
            done()
        }
        "ChangeMessageVisibilityBatch" => {
            for entry in entries() {
                let seconds = Duration::from_secs(entry["VisibilityTimeout"].as_u64().unwrap_or_default());
                if let Some(place) = place(entry) {
                    queue.state().hide(place, Instant::now() + seconds);
                }
            }
            done()
        }
        "GetQueueAttributes" => {
            let state = queue.state();
            json!({ "Attributes": {
                "ApproximateNumberOfMessages": (state.sent - state.next).to_string(),
                "ApproximateNumberOfMessagesNotVisible": state.hidden.len().to_string(),
                "ApproximateNumberOfMessagesDelayed": "0",
                "VisibilityTimeout": VISIBILITY.as_secs().to_string(),
                "MessageRetentionPeriod": "1209600",
                "QueueArn": "arn:aws:sqs:eu-central-1:000000000000:bench",
            }})
            .to_string()
        }
        _ => return (StatusCode::NOT_IMPLEMENTED, call).into_response(),
    };
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answered).into_response()
}

/// What S3 says of a bucket without objects. The server adds the `Date`.
fn empty_bucket(request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asks_for = |name: &str| query.split('&').any(|asked| asked.split('=').next() == Some(name));
    let xml = if asks_for("versions") {
        "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"
    } else if asks_for("versioning") {
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    } else if asks_for("notification") {
        "<NotificationConfiguration></NotificationConfiguration>"
    } else {
        ""
    };
    let headers =
        [(header::CONTENT_TYPE.as_str(), "application/xml"), ("x-amz-bucket-region", "eu-central-1")];
    (headers, xml).into_response()
}
