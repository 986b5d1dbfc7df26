//! How much the page may ask of Postgres: so that nobody who looks slows down what is looked at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long one page that reads much waits for another.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is allowed, over all who look.
#[derive(Debug)]
pub(super) struct Limits {
    /// Any page.
    pub(super) all: Allowance,
    dear: Allowance,
    one: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Twenty people with a few tabs each, refreshed every five seconds.
            all: Allowance::new(60.0, 20.0),
            dear: Allowance::new(20.0, 1.0),
            one: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Limits {
    /// Allows one page that reads much, for as long as what is returned is kept, once no other is under way: the other
    /// connections are for pages that are cheap. None where there were too many, or the wait is too long.
    pub(super) async fn dear(&self) -> Option<OwnedSemaphorePermit> {
        if !self.dear.take() {
            return None;
        }
        tokio::time::timeout(PATIENCE, Arc::clone(&self.one).acquire_owned()).await.ok()?.ok()
    }
}

/// So many at once, and so many a second.
#[derive(Debug)]
pub(super) struct Allowance {
    burst: f64,
    a_second: f64,
    left: Mutex<Option<(f64, Instant)>>,
}

impl Allowance {
    pub(super) fn new(burst: f64, a_second: f64) -> Self {
        Self { burst, a_second, left: Mutex::default() }
    }

    /// Whether there is one left, which is taken.
    pub(super) fn take(&self) -> bool {
        let now = Instant::now();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let had = left.map_or(self.burst, |(had, since)| {
            (had + self.a_second * (now - since).as_secs_f64()).min(self.burst)
        });
        let is_allowed = had >= 1.0;
        *left = Some((if is_allowed { had - 1.0 } else { had }, now));
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_used_up_comes_back_with_time() {
        let allowance = Allowance::new(3.0, 0.5);
        assert_eq!([0; 5].map(|_| allowance.take()), [true, true, true, false, false]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!allowance.take(), "half of one");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([0; 2].map(|_| allowance.take()), [true, false]);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!([0; 4].map(|_| allowance.take()), [true, true, true, false], "no more than at first");
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_that_read_much_there_is_one_at_a_time() {
        let limits = Limits::default();
        let first = limits.dear().await;
        assert!(first.is_some() && limits.dear().await.is_none(), "given up after some time");
        let (second, ()) = tokio::join!(limits.dear(), async { drop(first) });
        assert!(second.is_some());
    }
}
