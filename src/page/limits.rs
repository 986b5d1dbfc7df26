//! How much the page may ask of Postgres: so that nobody who looks slows down what is looked at.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// What is allowed, over all who look.
#[derive(Debug)]
pub(super) struct Limits {
    /// Any page.
    pub(super) all: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Twenty people with a few tabs each, refreshed every five seconds.
            all: Allowance::new(60.0, 20.0),
        }
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
    fn new(burst: f64, a_second: f64) -> Self {
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
    use std::time::Duration;

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
}
