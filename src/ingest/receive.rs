//! Takes messages from a queue, reads them, and hands each record to the worker of its key.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::{Message, Return};
use super::{Ending, Plant, Work};
use crate::catalog::{Connection, Origin, Quarantined};
use crate::fault::Fault;
use crate::health::Subject;
use crate::metrics;
use crate::model::Timestamp;
use crate::notification::{self, Body, Record};
use crate::queue::{Delivery, Queue};

/// How long a receive waits for messages. SQS allows 20 s, and a stop has to wait for its end.
const WAIT: Duration = Duration::from_secs(5);
/// How much later than asked for its end may come.
const WAIT_SLACK: Duration = Duration::from_secs(1);
/// The first pause after a receive or a write that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How much later than its message was sent an event may claim to be: more than the clocks of stores
/// and queues ever disagree.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One receiver of one queue.
pub(super) struct Receiver<Q> {
    pub(super) plant: Plant,
    pub(super) name: Arc<str>,
    pub(super) queue: Arc<Q>,
    pub(super) visibility: Duration,
    pub(super) workers: Vec<mpsc::Sender<Work>>,
    pub(super) returns: mpsc::Sender<Return>,
    /// One permit for each byte of message bodies that may be in hand.
    pub(super) bytes: Arc<Semaphore>,
    pub(super) bytes_max: usize,
    /// Messages of this queue that are in hand.
    pub(super) in_hand: Arc<AtomicUsize>,
}

impl<Q: Queue> Receiver<Q> {
    /// Receives until told to stop. What was received is handed on.
    pub(super) async fn receive(self) -> &'static str {
        let subject = Subject::Queue(self.name.to_string());
        let mut pause = PAUSE_FIRST;
        let stop = self.plant.ending.stop.clone();
        while !stop.is_cancelled() {
            // What is received now could not be committed, and would use up its deliveries.
            if !self.plant.health.is_well(&Subject::Database) {
                stop.run_until_cancelled(tokio::time::sleep(PAUSE_FIRST)).await;
                continue;
            }
            let asked_at = (self.plant.clock)();
            let Some(received) = self.wait(&stop).await else { break };
            match received {
                Ok(deliveries) => {
                    self.plant.health.ok(subject.clone());
                    pause = PAUSE_FIRST;
                    self.note(&deliveries, asked_at);
                    for delivery in deliveries {
                        self.take(delivery).await;
                    }
                }
                Err(fault) => {
                    self.plant.health.fault(subject.clone(), &fault, (self.plant.clock)());
                    stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        "queue receiver"
    }

    /// Waits for messages. Told to stop, it still waits for the answer: the queue does not know, or
    /// not at once, that nobody listens any more, and what it then gives would be in nobody's hands
    /// and out of everybody's sight until its visibility ends.
    async fn wait(&self, stop: &CancellationToken) -> Option<Result<Vec<Delivery>, Fault>> {
        let asked = Instant::now();
        let mut answer = pin!(self.queue.receive(WAIT, self.visibility));
        match stop.run_until_cancelled(answer.as_mut()).await {
            Some(received) => Some(received),
            None => {
                tokio::time::timeout((WAIT + WAIT_SLACK).saturating_sub(asked.elapsed()), answer).await.ok()
            }
        }
    }

    /// Notes how old the messages are or, where there were none and none are in hand, that the
    /// queue was empty.
    fn note(&self, deliveries: &[Delivery], asked_at: OffsetDateTime) {
        let now = (self.plant.clock)();
        let age = |sent_at: OffsetDateTime| Duration::try_from(now - sent_at).unwrap_or_default();
        let oldest = deliveries.iter().filter_map(|delivery| delivery.sent_at).min();
        self.plant.backlog.note(&self.name, oldest.map(|sent_at| age(sent_at.into())).unwrap_or_default());
        if deliveries.is_empty() && self.in_hand.load(Ordering::Acquire) == 0 {
            self.plant.activity.note_empty(&self.name, asked_at);
        }
    }

    async fn take(&self, delivery: Delivery) {
        let permits = u32::try_from(delivery.body.len().min(self.bytes_max)).unwrap_or(u32::MAX);
        // Closed never: the semaphore lives as long as its receivers.
        let room = Arc::clone(&self.bytes).acquire_many_owned(permits).await.ok();
        let body = notification::decode(&delivery.body);
        let records = match &body {
            Body::Records(records) => records.len().max(1),
            Body::TestEvent | Body::Undecodable(_) => 1,
        };
        let sent_at = delivery.sent_at;
        let message =
            Arc::new(Message::new(delivery, records, self.returns.clone(), Arc::clone(&self.in_hand), room));
        match body {
            Body::Records(records) if records.is_empty() => message.done().await,
            Body::Records(records) => {
                for (place, record) in (1..).zip(records) {
                    match record {
                        Ok(record) => self.hand_on(credible(record, sent_at), place, &message).await,
                        Err(unreadable) => self.set_aside(&message, place, unreadable.as_str()).await,
                    }
                }
            }
            Body::TestEvent => {
                metrics::events(metrics::NO_BUCKET, "test_event", "ignored").increment(1);
                message.done().await;
            }
            Body::Undecodable(reason) => self.set_aside(&message, 0, &reason).await,
        }
    }

    /// Hands a record to the worker of its key. What is nobody's business is counted and done.
    async fn hand_on(&self, record: Record, place: i32, message: &Arc<Message>) {
        if let Err(unstorable) = record.storable() {
            return self.set_aside(message, place, &unstorable.to_string()).await;
        }
        let Some(connection) = connection_of(&self.plant.connections, &record.bucket, &record.key) else {
            metrics::events(metrics::NO_BUCKET, record.kind.as_str(), "ignored").increment(1);
            return message.done().await;
        };
        let claim = if connection.ignore.has(&record.key) { None } else { record.claim() };
        let Some(claim) = claim else {
            metrics::events(&connection.bucket, record.kind.as_str(), "ignored").increment(1);
            return message.done().await;
        };
        let worker = route(&record.bucket, &record.key, self.workers.len());
        let work = Work {
            connection: Arc::clone(connection),
            kind: record.kind.as_str(),
            key: record.key,
            claim,
            origin: Origin {
                requester: record.requester,
                source_ip: record.source_ip,
                request_id: record.request_id,
            },
            place,
            queue: Arc::clone(&self.name),
            message: Arc::clone(message),
        };
        if self.workers[worker].send(work).await.is_err() {
            message.failed().await;
        }
    }

    /// Puts a message, or one record of it, into quarantine. While Postgres is away it waits.
    async fn set_aside(&self, message: &Message, record: i32, reason: &str) {
        let Ending { stop, give_back } = &self.plant.ending;
        let item = Quarantined {
            queue: &self.name,
            message_id: &message.id,
            record,
            receive_count: message.receive_count,
            body: &message.body,
            reason,
        };
        tracing::warn!(queue = %self.name, message_id = message.id, record, reason, "set aside in catalog.quarantine");
        let mut pause = PAUSE_FIRST;
        loop {
            let keep = self.plant.catalog.quarantine(&item, (self.plant.clock)());
            match give_back.run_until_cancelled(keep).await {
                None => return message.failed().await,
                Some(Ok(())) => break,
                Some(Err(error)) => tracing::warn!(queue = %self.name, %error, "quarantine a message"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return message.failed().await;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        metrics::quarantined(if record == 0 { "message" } else { "record" }).increment(1);
        message.done().await;
    }
}

/// The record with a time that it can have. Nothing happens after it was told of; and no listing
/// removes what claims to be newer than it, so that a time far ahead would stay until it comes.
fn credible(record: Record, sent_at: Option<Timestamp>) -> Record {
    match sent_at {
        Some(sent_at) if record.time > sent_at.plus(AHEAD_MAX) => Record { time: sent_at, ..record },
        _ => record,
    }
}

/// The connection a key belongs to. Prefixes of one bucket do not overlap, so there is at most one.
fn connection_of<'a>(
    connections: &'a [Arc<Connection>],
    bucket: &str,
    key: &str,
) -> Option<&'a Arc<Connection>> {
    connections.iter().find(|connection| connection.bucket == bucket && key.starts_with(&connection.prefix))
}

/// The worker of a key: always the same one, so that workers of one process never meet on a key.
fn route(bucket: &str, key: &str, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (bucket, key).hash(&mut hasher);
    usize::try_from(hasher.finish() % workers.max(1) as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_is_much_later_than_its_message() {
        let body = r#"{"Records":[{"eventName":"ObjectCreated:Put","eventTime":"9999-12-31T23:59:59Z",
            "s3":{"bucket":{"name":"genomics"},"object":{"key":"a"}}}]}"#;
        let Body::Records(records) = notification::decode(body) else { panic!("no records") };
        let Some(Ok(record)) = records.into_iter().next() else { panic!("no record") };
        let second = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let day = 24 * 60 * 60;
        let time = |claimed, sent_at: Option<i64>| {
            credible(Record { time: second(claimed), ..record.clone() }, sent_at.map(second)).time
        };
        assert_eq!(credible(record.clone(), Some(second(day))).time, second(day));
        assert_eq!(time(3 * day, Some(day)), second(day));
        assert_eq!(time(2 * day, Some(day)), second(2 * day), "clocks may disagree");
        assert_eq!(time(0, Some(day)), second(0), "and messages may be late");
        assert_eq!(time(9 * day, None), second(9 * day));
    }
}
