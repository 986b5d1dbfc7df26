//! Calls to a queue under way at once, no more than so many.

use tokio::task::{JoinError, JoinSet};

/// Calls under way.
pub(super) struct Calls {
    under_way: JoinSet<()>,
    max: usize,
}

impl Calls {
    pub(super) fn at_most(max: usize) -> Self {
        Self { under_way: JoinSet::new(), max: max.max(1) }
    }

    /// Starts a call, as soon as there is room for it.
    pub(super) async fn start(&mut self, call: impl Future<Output = ()> + Send + 'static) {
        while let Some(ended) = self.under_way.try_join_next() {
            expect_well(ended);
        }
        if self.under_way.len() >= self.max
            && let Some(ended) = self.under_way.join_next().await
        {
            expect_well(ended);
        }
        self.under_way.spawn(call);
    }

    /// Waits for the end of all.
    pub(super) async fn finish(&mut self) {
        while let Some(ended) = self.under_way.join_next().await {
            expect_well(ended);
        }
    }
}

/// A panic goes on, and so ends the daemon.
fn expect_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}
