//! How fast a bucket is listed at most.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A ceiling on requests per second, shared by all who list one bucket in this process. Each waits for
/// the next free moment, so that many at once are spread and none overtakes.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn of(requests_per_second: u32) -> Self {
        Self { interval: Duration::from_secs(1) / requests_per_second.max(1), next: Mutex::default() }
    }

    /// Waits for a turn. One that is waited for no longer is lost.
    pub(super) async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.interval);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_at_once_keep_below_the_ceiling_together() {
        let pace = Arc::new(Pace::of(100));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let pace = Arc::clone(&pace);
            tasks.spawn(async move {
                for _ in 0..50 {
                    pace.turn().await;
                }
            });
        }
        tasks.join_all().await;
        // Four hundred turns, the first at once.
        assert_eq!(began.elapsed().as_millis() / 10, 399);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_not_saved_up() {
        let pace = Pace::of(10);
        pace.turn().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let began = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis() / 100, 2);
    }
}
