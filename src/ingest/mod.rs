//! From messages to rows: receive, decode, route, merge in batches, and acknowledge what was
//! committed.
//!
//! ```text
//! receivers ─► decode ─► route by hash of (bucket, key) ─► workers ─► one transaction a batch
//!     ▲                                                                        │
//!     └──────── returns: acknowledge, or make visible again ◄──────────────────┘
//! ```
//!
//! Everything between two steps is bounded, so that a slow database holds the receivers back.
//! When told to stop, the receivers stop first; what they hold then is committed and acknowledged
//! step by step, because each step ends when the one before it has. What cannot be committed before
//! time is up is given back.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Connection, Event, Origin};
use crate::clock::Clock;
use crate::health::Health;
use crate::model::Claim;
use crate::queue::Queue;

mod activity;
mod message;
mod receive;
mod returns;
mod work;

pub use activity::{Activity, Backlog};
use message::Message;
use receive::Receiver;

/// Records that may wait for a worker, times the records of a batch.
const WAITING_BATCHES: usize = 2;
/// Receipts that may wait to be acknowledged or released.
const RETURNS_MAX: usize = 1_000;

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Workers, each with a transaction of its own at a time.
    pub workers: usize,
    /// The most records in a batch.
    pub batch_records: usize,
    /// The most bytes of message bodies in hand at once, over all queues.
    pub bytes_in_hand: usize,
    /// How long a batch that Postgres cannot take is tried again before its messages are given
    /// back to the queue.
    pub patience: Duration,
}

/// A claim on its way to the worker of its key.
#[derive(Debug)]
struct Work {
    connection: Arc<Connection>,
    key: String,
    claim: Claim,
    origin: Origin,
    /// The kind of its event, for metrics.
    kind: &'static str,
    /// Which record of its message it is, from 1.
    place: i32,
    queue: Arc<str>,
    message: Arc<Message>,
}

impl Work {
    fn event(&self) -> Event<'_> {
        Event { key: &self.key, claim: &self.claim, origin: Some(&self.origin) }
    }
}

/// How the steps are told to end.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Receive no more; commit what is in hand.
    pub stop: CancellationToken,
    /// Commit no more: there is just time to give back what is in hand.
    pub give_back: CancellationToken,
}

/// What all steps share.
#[derive(Clone)]
pub struct Plant {
    /// The catalog in Postgres.
    pub catalog: Catalog,
    /// The configured connections.
    pub connections: Arc<[Arc<Connection>]>,
    /// What happened last.
    pub activity: Activity,
    /// How old the messages are that are being received.
    pub backlog: Backlog,
    /// Where trouble is told.
    pub health: Health,
    /// Our own clock.
    pub clock: Clock,
    /// How they are told to end.
    pub ending: Ending,
}

/// A queue to take messages from.
#[derive(Debug)]
pub struct Source<Q> {
    /// Its URL.
    pub name: String,
    /// The queue.
    pub queue: Arc<Q>,
    /// Receives that wait for messages at once.
    pub receivers: usize,
    /// How long messages stay invisible to others.
    pub visibility: Duration,
}

/// Starts the steps for `sources`. They end by themselves some
/// time after they are told to stop, once what they hold is committed or given back.
pub fn start<Q: Queue>(
    plant: &Plant,
    sources: Vec<Source<Q>>,
    settings: Settings,
    tasks: &mut JoinSet<&'static str>,
) {
    let mut workers = Vec::new();
    for _ in 0..settings.workers.max(1) {
        let (sender, receiver) = mpsc::channel(settings.batch_records * WAITING_BATCHES);
        workers.push(sender);
        tasks.spawn(work::work(plant.clone(), receiver, settings));
    }
    let bytes = Arc::new(Semaphore::new(settings.bytes_in_hand));
    for Source { name, queue, receivers, visibility } in sources {
        let (returns, returned) = mpsc::channel(RETURNS_MAX);
        let name: Arc<str> = name.into();
        let in_hand = Arc::new(AtomicUsize::new(0));
        plant.activity.expect(&name);
        tasks.spawn(returns::give_back(plant.clone(), Arc::clone(&queue), Arc::clone(&name), returned));
        for _ in 0..receivers.max(1) {
            let receiver = Receiver {
                plant: plant.clone(),
                name: Arc::clone(&name),
                queue: Arc::clone(&queue),
                visibility,
                workers: workers.clone(),
                returns: returns.clone(),
                bytes: Arc::clone(&bytes),
                bytes_max: settings.bytes_in_hand,
                in_hand: Arc::clone(&in_hand),
            };
            tasks.spawn(receiver.receive());
        }
    }
}
