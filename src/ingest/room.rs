//! Room for messages in hand: what bounds the daemon's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a record takes beside the body it came in, in bytes: about the size of its claim.
const RECORD_BYTES: usize = 512;

/// Room for messages in hand, one permit for each byte, shared by all queues.
#[derive(Clone, Debug)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    /// What an answer will take: as much as the last did, or a bit less than was thought before that.
    expected: Arc<AtomicUsize>,
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes = Arc::new(Semaphore::new(bytes_max));
        Self { bytes, bytes_max, expected: Arc::default() }
    }

    async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.min(self.bytes_max)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Arc::clone(&self.bytes).acquire_many_owned(permits).await.ok()
    }

    /// Waits until there is room for an answer, before it is asked for.
    pub(super) async fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        self.acquire(self.expected.load(Ordering::Relaxed)).await
    }

    /// Learns what an answer took.
    pub(super) fn learn(&self, bytes: usize) {
        let expected = self.expected.load(Ordering::Relaxed);
        self.expected.store(bytes.max(expected - expected / 8), Ordering::Relaxed);
    }

    /// Room for one message, out of what is reserved as long as that lasts.
    pub(super) async fn part(
        &self,
        reserve: &mut Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> Option<OwnedSemaphorePermit> {
        if let Some(part) = reserve.as_mut().and_then(|reserve| reserve.split(bytes)) {
            return Some(part);
        }
        // Who waits holds nothing, or all might wait for each other.
        *reserve = None;
        self.acquire(bytes).await
    }
}

/// What a message takes with so many records, in bytes.
pub(super) fn bytes(body: &str, records: usize) -> usize {
    body.len() + records * RECORD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_asked_for_when_there_is_room_for_one_like_the_last() {
        let room = Room::new(100);
        let free = || room.bytes.available_permits();
        let mut reserve = room.reserve().await;
        assert_eq!(free(), 100, "nothing is known yet");
        room.learn(64);
        reserve = room.reserve().await.or(reserve);
        assert_eq!(free(), 36);
        let first = room.part(&mut reserve, 40).await;
        assert_eq!(free(), 36, "out of what was reserved");
        let second = room.part(&mut reserve, 60).await;
        assert_eq!((free(), reserve.is_none()), (0, true), "and else of the rest, giving up the reserve");
        drop((first, second));
        room.learn(0);
        let _reserve = room.reserve().await;
        assert_eq!(free(), 100 - 56);
    }

    #[tokio::test]
    async fn a_message_larger_than_all_room_takes_all_of_it() {
        let room = Room::new(100);
        let part = room.part(&mut None, 1_000).await;
        assert_eq!((room.bytes.available_permits(), part.is_some()), (0, true));
    }
}
