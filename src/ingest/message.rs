//! A message in hand, until all of its records are done with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A message on its way back to its queue.
#[derive(Debug)]
pub(super) struct Return {
    /// What it is called in [`Hand`](super::hand::Hand).
    pub(super) ticket: u64,
    /// Whether it is deleted, because all of it is committed or set aside; else it is made visible again.
    pub(super) is_done: bool,
    /// Kept until it is back.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// A message whose records are with the workers. It goes back when the last of them lets go of it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) queue: Arc<str>,
    pub(super) id: String,
    pub(super) receive_count: Option<u32>,
    pub(super) body: String,
    ticket: u64,
    /// Records that are not done; until somebody has counted them, the message itself.
    left: AtomicUsize,
    room: Option<OwnedSemaphorePermit>,
    /// Not bounded, as what is in hand is.
    returns: mpsc::UnboundedSender<Return>,
}

impl Message {
    pub(super) fn new(
        queue: Arc<str>,
        id: String,
        receive_count: Option<u32>,
        body: String,
        ticket: u64,
        returns: mpsc::UnboundedSender<Return>,
    ) -> Self {
        Self { queue, id, receive_count, body, ticket, left: AtomicUsize::new(1), room: None, returns }
    }

    /// Lets so many records share it, and the room it takes.
    pub(super) fn shared(mut self, records: usize, room: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        (self.left, self.room) = (AtomicUsize::new(records), room);
        Arc::new(self)
    }

    /// One record is committed, set aside, or nobody's business.
    pub(super) fn done(&self) {
        self.left.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let is_done = *self.left.get_mut() == 0;
        let back = Return { ticket: self.ticket, is_done, _room: self.room.take() };
        // Nobody to take it back: the process is ending, and the message comes again by itself.
        drop(self.returns.send(back));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a message with two records is deleted when `done` of them are.
    #[track_caller]
    fn check(done: usize, is_deleted: bool) {
        let (returns, mut returned) = mpsc::unbounded_channel();
        let message =
            Message::new("q".into(), "m".to_owned(), None, String::new(), 7, returns).shared(2, None);
        let records = [Arc::clone(&message), message];
        for record in &records[..done] {
            record.done();
        }
        let [first, second] = records;
        drop(first);
        assert!(returned.try_recv().is_err(), "one record still has it");
        drop(second);
        let back = returned.try_recv().unwrap();
        assert_eq!((back.ticket, back.is_done), (7, is_deleted), "{done} of two");
    }

    #[test]
    fn it_is_deleted_when_all_records_are_done_and_else_comes_again() {
        check(2, true);
        check(1, false);
        check(0, false);
    }

    #[test]
    fn one_that_was_never_looked_at_comes_again() {
        let (returns, mut returned) = mpsc::unbounded_channel();
        drop(Message::new("q".into(), "m".to_owned(), None, String::new(), 7, returns));
        assert!(!returned.try_recv().unwrap().is_done);
    }
}
