//! Takes messages from a queue, reads them, and hands each record to the worker of its key.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::aside::set_aside;
use super::message::{Message, Return};
use super::read::{Claimed, Reading, Unfit, read};
use super::room::{self, Room};
use super::{Inlet, Plant, Work};
use crate::fault::Fault;
use crate::health::Subject;
use crate::model::Timestamp;
use crate::queue::{Delivery, Queue};
use crate::{metrics, pulse};

/// How long a receive waits for messages. SQS allows 20 s, but a stop has to wait for its end, lest
/// the answer strand messages; and of half a million requests a month, which is what an idle queue
/// then costs, the first million is free.
const WAIT: Duration = Duration::from_secs(5);
/// How much later than asked for its end may come.
const WAIT_SLACK: Duration = Duration::from_secs(1);
/// The first pause after a receive that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Unfit records of one message that are set aside one by one, each with the whole body. Of more the message is set
/// aside once: a hundred thousand of them fit into one, and would be gigabytes.
const UNFIT_MAX: usize = 10;
/// One receiver of one queue.
pub(super) struct Receiver<Q> {
    pub(super) inlet: Arc<Inlet<Q>>,
    pub(super) workers: Vec<mpsc::Sender<Work>>,
    pub(super) returns: mpsc::UnboundedSender<Return>,
    pub(super) room: Room,
}

impl<Q: Queue> Receiver<Q> {
    /// Receives until told to stop. What was received is handed on.
    pub(super) async fn receive(self) -> &'static str {
        let Inlet { plant, name, turns, .. } = &*self.inlet;
        let subject = Subject::Queue(name.to_string());
        let stop = &plant.ending.stop;
        let mut pause = PAUSE_FIRST;
        while let Some(Some(turn)) = pulse::rest(stop.run_until_cancelled(turns.take())).await {
            // What is received now could not be committed, and would use up its deliveries.
            if !plant.health.is_well(&Subject::Database) {
                stop.run_until_cancelled(tokio::time::sleep(PAUSE_FIRST)).await;
                continue;
            }
            let room = stop.run_until_cancelled(self.room.reserve());
            let Some(reserve) = pulse::rest(room).await else { break };
            let asked_at = (plant.clock)();
            let Some(received) = self.wait(stop).await else { break };
            match received {
                Ok(deliveries) => {
                    plant.health.ok(subject.clone());
                    pause = PAUSE_FIRST;
                    self.note(&deliveries, asked_at);
                    let _turn = turns.learn(turn, deliveries.len());
                    pulse::rest(self.take(deliveries, reserve)).await;
                }
                Err(fault) => {
                    plant.backlog.note_silence(name);
                    plant.health.fault(subject.clone(), &fault, (plant.clock)());
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
        let mut answer = pin!(self.inlet.queue.receive(WAIT, self.inlet.visibility));
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
        let Inlet { plant, name, hand, .. } = &*self.inlet;
        let now = (plant.clock)();
        let age = |sent_at: OffsetDateTime| Duration::try_from(now - sent_at).unwrap_or_default();
        let oldest = deliveries.iter().filter_map(|delivery| delivery.sent_at).min();
        let age = oldest.map(|sent_at| age(sent_at.into())).unwrap_or_default();
        plant.backlog.note(name, age);
        metrics::queue_oldest_age(name).set(age.as_secs_f64());
        // What waits behind a message is hardly older.
        plant.activity.note_received(name, oldest.map_or(asked_at, OffsetDateTime::from));
        if deliveries.is_empty() && hand.is_empty() {
            plant.activity.note_empty(name, asked_at);
            plant.events_are_well();
        }
    }

    async fn take(&self, deliveries: Vec<Delivery>, mut reserve: Option<OwnedSemaphorePermit>) {
        let Inlet { plant, name, hand, visibility, .. } = &*self.inlet;
        // All of them are in hand before the first has to wait.
        let in_hand = |delivery: Delivery| {
            let Delivery { message_id, receipt, body, sent_at, receive_count } = delivery;
            let ticket = hand.take(receipt, *visibility);
            let queue = Arc::clone(name);
            (sent_at, Message::new(queue, message_id, receive_count, body, ticket, self.returns.clone()))
        };
        let messages: Vec<_> = deliveries.into_iter().map(in_hand).collect();
        self.room.learn(messages.iter().map(|(_, message)| room::bytes(&message.body, 1)).sum());
        for (sent_at, message) in messages {
            let Some(readings) = self.read(&message.body, sent_at).await else { continue };
            let records = readings.as_ref().map_or(1, Vec::len);
            let room = self.room.part(&mut reserve, room::bytes(&message.body, records)).await;
            let message = message.shared(records, room);
            match readings {
                Ok(readings) => self.hand_all_on(readings, &message).await,
                Err(reason) => set_aside(plant, &message, 0, &reason, "message", &[]).await,
            }
        }
    }

    /// Reads a message, as soon as it can be told what is nobody's business. None when told to stop before that: it
    /// is let go then, and comes again.
    async fn read(&self, body: &str, sent_at: Option<Timestamp>) -> Option<Result<Vec<Reading>, String>> {
        let Plant { known, ending, .. } = &self.inlet.plant;
        loop {
            let is_fresh = known.is_fresh();
            let readings = read(&known.all(), body, sent_at);
            let is_unknown = |reading: &Reading| matches!(reading, Reading::Unknown { .. });
            if is_fresh || !readings.as_ref().is_ok_and(|readings| readings.iter().any(is_unknown)) {
                return Some(readings);
            }
            ending.stop.run_until_cancelled(known.until_fresh()).await?;
        }
    }

    /// Hands on what a message has, and sets it aside as a whole if too much of it is unfit.
    async fn hand_all_on(&self, readings: Vec<Reading>, message: &Arc<Message>) {
        let unfit = readings.iter().filter(|reading| matches!(reading, Reading::Unfit(_))).count();
        let (mut first, mut keys) = (None, Vec::new());
        for (place, reading) in (1..).zip(readings) {
            match reading {
                Reading::Unfit(Unfit { reason, key }) if unfit > UNFIT_MAX => {
                    keys.extend(key);
                    match first {
                        None => first = Some((place, reason)),
                        Some(_) => message.done(),
                    }
                }
                reading => self.hand_on(reading, place, message).await,
            }
        }
        if let Some((place, reason)) = first {
            let reason =
                format!("{unfit} of its records are unfit, the first of them record {place}: {reason}");
            set_aside(&self.inlet.plant, message, 0, &reason, "message", &keys).await;
        }
    }

    /// Hands a record to the worker of its key. What is nobody's business is counted and done.
    async fn hand_on(&self, reading: Reading, place: i32, message: &Arc<Message>) {
        match reading {
            Reading::Claim(claimed) => {
                let worker = route(&claimed, self.workers.len());
                let work = Work { claimed, place, message: Arc::clone(message) };
                // A worker that is gone drops it, and its message comes again.
                drop(self.workers[worker].send(work).await);
            }
            Reading::Ignored { bucket, kind } => {
                metrics::events(&bucket, kind, "ignored").increment(1);
                message.done();
            }
            Reading::Unknown { kind } => {
                metrics::events(metrics::NO_BUCKET, kind, "ignored").increment(1);
                message.done();
            }
            Reading::Unfit(Unfit { reason, key }) => {
                let keys = key.as_slice();
                set_aside(&self.inlet.plant, message, place, &reason, "record", keys).await;
            }
        }
    }
}

/// The worker of a key: always the same one, so that workers of one process never meet on a key.
fn route(claimed: &Claimed, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (&claimed.connection.bucket, &claimed.key).hash(&mut hasher);
    usize::try_from(hasher.finish() % workers.max(1) as u64).unwrap_or_default()
}
