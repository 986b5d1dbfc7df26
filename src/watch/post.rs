//! What a daemon has to look after, told to the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::{Catalog, Daemon};
use crate::clock::Clock;
use crate::ingest::{HEARD_FOR, Known};

/// How often it is looked whether others have heard.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a daemon has to look after.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Which one it is.
    pub daemon: Daemon,
    /// Its connections, and those of others.
    pub known: Known,
    /// The URLs of its queues.
    pub urls: Arc<[String]>,
}

impl Post {
    /// Tells other daemons that we are there, how old the messages are that we receive, if we do, and which buckets we
    /// have; and hears which they have.
    pub(super) async fn attend(
        &self,
        catalog: &Catalog,
        lag: Option<Duration>,
        clock: Clock,
    ) -> Result<(), sqlx::Error> {
        catalog.greet(&self.daemon, lag).await?;
        let asked = Instant::now();
        let attended =
            catalog.attend(self.daemon.daemon_id, self.known.own(), &self.urls, HEARD_FOR, clock()).await?;
        for (bucket, prefix) in attended.unattended {
            tracing::warn!(
                bucket,
                prefix,
                "no daemon had it for over an hour, while one received from its queue: it is listed"
            );
        }
        self.known.hear(attended.others, asked);
        Ok(())
    }

    /// Waits until all daemons at work know of our buckets. For how long they go without asking is the limit: by then they
    /// leave out nothing of ours.
    pub(super) async fn be_known(&self, catalog: &Catalog) -> Result<(), sqlx::Error> {
        let said = Instant::now();
        let mut is_told = false;
        while catalog.is_news(self.daemon.daemon_id, self.known.own(), HEARD_FOR).await?
            && said.elapsed() < HEARD_FOR
        {
            if !is_told {
                tracing::info!(
                    "wait until the other daemons know of our buckets, too: {HEARD_FOR:?} at most"
                );
            }
            is_told = true;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
