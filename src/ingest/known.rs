//! Whose events are merged: those of our own connections, and of those that other daemons at work on the catalog have.
//!
//! All of them may receive from one queue. While they are replaced one by one, some know buckets that others do not: an
//! event is nobody's business only if nobody is known to have its bucket, and what is known is not too old to say so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalog::Connection;

/// For how long what others said is good for leaving events out. So no run of a bucket begins sooner than this
/// after it was told, unless all are known to have heard of it.
pub const HEARD_FOR: Duration = Duration::from_secs(10);

/// The connections whose events are merged. Clones share what they hear.
#[derive(Clone, Debug)]
pub struct Known {
    own: Arc<[Arc<Connection>]>,
    heard: Arc<watch::Sender<Heard>>,
}

#[derive(Clone, Debug)]
struct Heard {
    /// Our own, and then those of others.
    all: Arc<[Arc<Connection>]>,
    /// When others were asked; none before the first time.
    at: Option<Instant>,
}

impl Known {
    /// Our own connections; of others nothing was heard yet.
    pub fn new(own: Arc<[Arc<Connection>]>) -> Self {
        let heard = Heard { all: Arc::clone(&own), at: None };
        Self { own, heard: Arc::new(watch::Sender::new(heard)) }
    }

    /// Our own connections.
    pub fn own(&self) -> &Arc<[Arc<Connection>]> {
        &self.own
    }

    /// Our own, and then those of others.
    pub fn all(&self) -> Arc<[Arc<Connection>]> {
        Arc::clone(&self.heard.borrow().all)
    }

    /// Notes which connections others have, asked at that time.
    pub fn hear(&self, others: Vec<Connection>, at: Instant) {
        let all = self.own.iter().cloned().chain(others.into_iter().map(Arc::new)).collect();
        self.heard.send_replace(Heard { all, at: Some(at) });
    }

    /// Whether what is nobody's business as far as we know may be left out.
    pub(super) fn is_fresh(&self) -> bool {
        self.heard.borrow().is_fresh()
    }

    /// Waits until it may.
    pub(super) async fn until_fresh(&self) {
        // We hold the sender.
        let _ = self.heard.subscribe().wait_for(Heard::is_fresh).await;
    }
}

impl Heard {
    fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < HEARD_FOR)
    }
}
