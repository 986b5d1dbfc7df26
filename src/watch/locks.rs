//! Watches for locks that others keep from us.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Trouble, trouble};
use crate::clock::Clock;
use crate::health::{Health, Subject};
use crate::pulse;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a lock of somebody else's may be waited for before that is a problem.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sees whether somebody else keeps us waiting, until told to stop. It takes no table of the catalog, and `catalog` has
/// connections of its own, for it is to tell when all others wait.
pub(crate) async fn locks(catalog: Catalog, health: Health, clock: Clock, shutdown: CancellationToken) {
    loop {
        pulse::beat();
        match shutdown.run_until_cancelled(catalog.blocker(PATIENCE)).await {
            None => return,
            Some(Ok(None)) => {
                if health.ok(Subject::Locks) {
                    tracing::info!("nobody keeps locks from us any more");
                }
            }
            Some(Ok(Some(blocker))) => {
                let (message, remedy) = (blocker.says(), blocker.remedy());
                if health.is_well(&Subject::Locks) {
                    tracing::warn!(remedy, "{}: {message}", Subject::Locks);
                }
                health.problem(Subject::Locks, message, remedy, clock());
            }
            Some(Err(error)) => tracing::debug!(%error, "see who keeps locks"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Whether it is not Postgres that is away, but somebody who keeps a lock: what waits for it takes the connections, and
/// the time, of others, too.
pub(crate) fn waits_for_lock(error: &sqlx::Error, health: &Health) -> bool {
    let is_late = match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
        _ => false,
    };
    trouble(error) == Trouble::Locked || is_late && !health.is_well(&Subject::Locks)
}
