//! What a daemon has to look after, told to the others.

use std::sync::Arc;

use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::ingest::{HEARD_FOR, Known};

/// What a daemon has to look after.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Its connections, and those of others.
    pub known: Known,
    /// The URLs of its queues.
    pub urls: Arc<[String]>,
}

impl Post {
    /// Tells other daemons which buckets we have, and hears which they have.
    pub(super) async fn attend(&self, catalog: &Catalog, clock: Clock) -> Result<(), sqlx::Error> {
        let asked = Instant::now();
        let attended = catalog.attend(self.known.own(), &self.urls, HEARD_FOR, clock()).await?;
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
}
