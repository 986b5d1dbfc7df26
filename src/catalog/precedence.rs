//! Lets batches of events go before what runs do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

/// How long a piece of a run's work lets batches go before it at most: about as long as a batch takes. So a
/// run gets on, however many batches there are, by fifty pieces a second of two thousand rows.
pub const GIVE_WAY_MAX: Duration = Duration::from_millis(20);

/// Who goes first to Postgres, in this process.
#[derive(Debug, Default)]
pub(super) struct Precedence {
    batches: AtomicUsize,
    none_left: Notify,
    /// Pieces of runs that wait for batches do it one after the other, so that they do not come all at once
    /// when they have waited enough.
    gate: Mutex<()>,
}

/// A batch under way, as long as it is.
pub(super) struct Batch<'a>(&'a Precedence);

impl Precedence {
    /// Counts a batch until it is dropped. Batches wait for nobody.
    pub(super) fn batch(&self) -> Batch<'_> {
        self.batches.fetch_add(1, Ordering::AcqRel);
        Batch(self)
    }

    /// Waits until no batch is under way, or long enough.
    pub(super) async fn give_way(&self) {
        let _gate = self.gate.lock().await;
        let none_left = async {
            loop {
                let changed = self.none_left.notified();
                if self.batches.load(Ordering::Acquire) == 0 {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(GIVE_WAY_MAX, none_left).await;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.0.batches.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_waits_for_batches_and_only_for_them() {
        let precedence = Arc::new(Precedence::default());
        let began = Instant::now();
        precedence.give_way().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody to give way to");

        let (one, two) = (precedence.batch(), precedence.batch());
        let waiting = tokio::spawn({
            let precedence = Arc::clone(&precedence);
            async move { precedence.give_way().await }
        });
        tokio::time::sleep(GIVE_WAY_MAX / 4).await;
        drop(one);
        tokio::time::sleep(GIVE_WAY_MAX / 4).await;
        assert!(!waiting.is_finished(), "one batch is still under way");
        drop(two);
        waiting.await.unwrap();
        assert_eq!(began.elapsed(), GIVE_WAY_MAX / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn runs_get_on_one_piece_at_a_time_however_many_batches_there_are() {
        let precedence = Arc::new(Precedence::default());
        let _batch = precedence.batch();
        let began = Instant::now();
        let mut pieces = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let precedence = Arc::clone(&precedence);
            pieces.spawn(async move {
                precedence.give_way().await;
                began.elapsed()
            });
        }
        let mut ended = pieces.join_all().await;
        ended.sort_unstable();
        assert_eq!(ended, [1, 2, 3, 4, 5].map(|turn| turn * GIVE_WAY_MAX));
    }
}
