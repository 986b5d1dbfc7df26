//! How many receivers of a queue are at work: as many as there is work for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::queue::BATCH_MAX;

/// Turns to receive. There is one to begin with, one more after each answer that was full, as there
/// may be more where that came from, and one less after each that was empty.
#[derive(Debug)]
pub(super) struct Turns {
    free: Semaphore,
    count: AtomicUsize,
    max: usize,
}

impl Turns {
    pub(super) fn up_to(max: usize) -> Self {
        Self { free: Semaphore::new(1), count: AtomicUsize::new(1), max }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.free.acquire().await.ok()
    }

    /// Makes one more turn, or ends this one for good, by how many messages it brought.
    pub(super) fn learn<'a>(
        &self,
        turn: SemaphorePermit<'a>,
        messages: usize,
    ) -> Option<SemaphorePermit<'a>> {
        let count = |change: fn(usize) -> usize| {
            let change = |count| Some(change(count)).filter(|count| (1..=self.max).contains(count));
            self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
        };
        if messages >= BATCH_MAX && count(|count| count + 1) {
            self.free.add_permits(1);
        }
        if messages == 0 && count(|count| count - 1) {
            turn.forget();
            return None;
        }
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_follow_the_backlog_and_one_always_stays() {
        let turns = Turns::up_to(3);
        for (messages, left) in [(0, 1), (10, 2), (9, 2), (10, 3), (10, 3), (0, 2), (1, 2), (0, 1), (0, 1)] {
            let turn = turns.take().await.unwrap();
            drop(turns.learn(turn, messages));
            assert_eq!(turns.free.available_permits(), left, "after {messages}");
        }
    }
}
