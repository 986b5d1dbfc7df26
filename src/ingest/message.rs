//! A message in hand, until all of its records are done with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::queue::Delivery;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// It is deleted: all of it is committed or set aside.
    Acknowledge(String),
    /// It is made visible again: some of it is neither.
    Release(String),
}

/// A message whose records are with the workers. The last of them to be done with sends the
/// message back.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) receive_count: Option<u32>,
    pub(super) body: String,
    receipt: String,
    left: AtomicUsize,
    is_failed: AtomicBool,
    returns: mpsc::Sender<Return>,
    in_hand: Arc<AtomicUsize>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Message {
    /// A message with `records` records to be done with. It counts as in hand, and keeps its
    /// room, until then.
    pub(super) fn new(
        delivery: Delivery,
        records: usize,
        returns: mpsc::Sender<Return>,
        in_hand: Arc<AtomicUsize>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        in_hand.fetch_add(1, Ordering::AcqRel);
        Self {
            id: delivery.message_id,
            receive_count: delivery.receive_count,
            body: delivery.body,
            receipt: delivery.receipt,
            left: AtomicUsize::new(records),
            is_failed: AtomicBool::new(false),
            returns,
            in_hand,
            _room: room,
        }
    }

    /// One record is committed, set aside, or nobody's business.
    pub(super) async fn done(&self) {
        self.one_less().await;
    }

    /// One record could not be done: the whole message has to come again.
    pub(super) async fn failed(&self) {
        self.is_failed.store(true, Ordering::Relaxed);
        self.one_less().await;
    }

    async fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let receipt = self.receipt.clone();
        let is_failed = self.is_failed.load(Ordering::Relaxed);
        let back = if is_failed { Return::Release(receipt) } else { Return::Acknowledge(receipt) };
        // Nobody to take it back: the process is ending, and the message comes again by itself.
        drop(self.returns.send(back).await);
        self.in_hand.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(records: usize) -> (Message, mpsc::Receiver<Return>) {
        let (returns, returned) = mpsc::channel(1);
        let delivery = Delivery {
            message_id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: String::new(),
            sent_at: None,
            receive_count: None,
        };
        (Message::new(delivery, records, returns, Arc::default(), None), returned)
    }

    #[tokio::test]
    async fn it_is_acknowledged_when_all_records_are_done() {
        let (message, mut returned) = message(2);
        message.done().await;
        assert!(returned.try_recv().is_err(), "one record is left");
        message.done().await;
        assert_eq!(returned.try_recv(), Ok(Return::Acknowledge("r".to_owned())));
    }

    #[tokio::test]
    async fn one_failed_record_brings_the_message_back() {
        let (message, mut returned) = message(2);
        message.failed().await;
        message.done().await;
        assert_eq!(returned.try_recv(), Ok(Return::Release("r".to_owned())));
    }
}
