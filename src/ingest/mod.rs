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
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Connection};
use crate::clock::Clock;
use crate::health::{Health, Subject};
use crate::pulse;
use crate::queue::Queue;

mod activity;
mod aside;
mod attendance;
mod calls;
mod depth;
mod extend;
mod hand;
mod known;
mod message;
mod read;
mod receive;
mod replay;
mod returns;
mod room;
mod turns;
mod work;

pub use activity::{Activity, Backlog};
use hand::Hand;
pub use known::{HEARD_FOR, Known};
use message::Message;
use read::Claimed;
use receive::Receiver;
pub use replay::{Replayed, replay};
use room::Room;
use turns::Turns;

/// Records that may wait for a worker, times the records of a batch.
const WAITING_BATCHES: usize = 2;

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Workers, each with a transaction of its own at a time in a bucket.
    pub workers: usize,
    /// The most records in a batch.
    pub batch_records: usize,
    /// The most bytes of message bodies in hand at once, over all queues.
    pub bytes_in_hand: usize,
    /// How long a batch that Postgres refuses is tried again before its messages are given back to
    /// the queue.
    pub patience: Duration,
    /// The same while Postgres is away. Its messages are kept from others meanwhile, so none is delivered
    /// again and again until its queue has enough of it.
    pub outage: Duration,
}

/// A claim on its way to the worker of its key.
#[derive(Debug)]
struct Work {
    claimed: Claimed,
    /// Which record of its message it is, from 1.
    place: i32,
    message: Arc<Message>,
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
    /// The connections whose events are merged.
    pub known: Known,
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

impl Plant {
    /// No event waits for the catalog: whoever took them, they are in it.
    fn events_are_well(&self) {
        for Connection { bucket, prefix, .. } in self.known.all().iter().map(|connection| &**connection) {
            self.health.ok(Subject::Events { name: bucket.clone(), prefix: prefix.clone() });
        }
    }
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

/// What all steps of one queue share.
struct Inlet<Q> {
    plant: Plant,
    /// Its URL.
    name: Arc<str>,
    queue: Arc<Q>,
    /// How long messages stay invisible to others, unless that is extended.
    visibility: Duration,
    /// Receives at once, and as many acknowledgements.
    receivers: usize,
    turns: Turns,
    hand: Hand,
}

/// Starts the steps for `sources`. They end by themselves some time after they are told to stop, once
/// what they hold is committed or given back.
pub fn start<Q: Queue>(
    plant: &Plant,
    sources: Vec<Source<Q>>,
    settings: Settings,
    tasks: &mut JoinSet<&'static str>,
) {
    // A worker whom nobody can send anything ends, and with it the daemon.
    if sources.is_empty() {
        return;
    }
    let mut workers = Vec::new();
    for _ in 0..settings.workers.max(1) {
        let (sender, receiver) = mpsc::channel(settings.batch_records * WAITING_BATCHES);
        workers.push(sender);
        tasks.spawn(pulse::keep("ingest worker", work::work(plant.clone(), receiver, settings)));
    }
    let room = Room::new(settings.bytes_in_hand);
    for Source { name, queue, receivers, visibility } in sources {
        let receivers = receivers.max(1);
        let (turns, hand) = (Turns::up_to(receivers), Hand::default());
        let name: Arc<str> = name.into();
        let inlet = Arc::new(Inlet { plant: plant.clone(), name, queue, visibility, receivers, turns, hand });
        plant.activity.expect(&inlet.name);
        let (returns, returned) = mpsc::unbounded_channel();
        for _ in 0..receivers {
            let (inlet, workers) = (Arc::clone(&inlet), workers.clone());
            let name = format!("receiver of {}", inlet.name);
            let receiver = Receiver { inlet, workers, returns: returns.clone(), room: room.clone() };
            tasks.spawn(pulse::keep(name, receiver.receive()));
        }
        let of_queue = |what: &str| format!("{what} of {}", inlet.name);
        tasks.spawn(pulse::keep(of_queue("depth"), depth::watch(Arc::clone(&inlet))));
        tasks.spawn(pulse::keep(of_queue("attendance"), attendance::keep(Arc::clone(&inlet))));
        let (returns, visibility) = (of_queue("returns"), of_queue("visibility"));
        tasks.spawn(async move {
            tokio::select! {
                () = pulse::keep(returns, returns::give_back(&inlet, returned)) => "queue returns",
                () = pulse::keep(visibility, extend::keep_hidden(&inlet)) => "visibility",
            }
        });
    }
}
