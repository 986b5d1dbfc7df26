//! Notices that nobody received from a queue for so long that messages expired in it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Inlet, Plant};
use crate::catalog::Connection;
use crate::fault::Kind;
use crate::pulse;
use crate::queue::Queue;

/// How often the catalog is told what was received.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How often the queue is asked how long it keeps messages.
const ASK_EVERY: Duration = Duration::from_secs(3600);
/// How long a queue keeps messages if nobody has set anything else
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>):
/// what is assumed where we may not ask.
const RETENTION_DEFAULT: Duration = Duration::from_secs(4 * 24 * 3600);

/// Tells the catalog what was received from a queue, until told to stop.
pub(super) async fn keep<Q: Queue>(inlet: Arc<Inlet<Q>>) -> &'static str {
    let Inlet { plant, name, queue, .. } = &*inlet;
    let (mut told, mut asked): (Option<OffsetDateTime>, Option<(Instant, Duration)>) = (None, None);
    let stop = plant.ending.stop.clone();
    while stop.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await.is_some() {
        pulse::beat();
        let Some(through) = plant.activity.received(name).filter(|through| told != Some(*through)) else {
            continue;
        };
        let retention = match asked {
            Some((at, retention)) if at.elapsed() < ASK_EVERY => retention,
            _ => match stop.run_until_cancelled(retention(&**queue, name)).await.flatten() {
                Some(retention) => asked.insert((Instant::now(), retention)).1,
                None => continue,
            },
        };
        if tell(plant, name, through, retention).await {
            told = Some(through);
        }
    }
    "queue attendance"
}

/// How long the queue keeps messages; none if it did not answer.
async fn retention<Q: Queue>(queue: &Q, name: &str) -> Option<Duration> {
    match queue.attributes().await {
        Ok(attributes) => Some(attributes.retention),
        Err(fault) if matches!(fault.kind, Kind::Denied | Kind::Unsupported) => {
            tracing::info!(queue = name, remedy = fault.remedy, "assume a retention of four days: {fault}");
            Some(RETENTION_DEFAULT)
        }
        Err(fault) => {
            tracing::debug!(queue = name, "{fault}");
            None
        }
    }
}

/// Whether it could be told.
async fn tell(plant: &Plant, name: &str, through: OffsetDateTime, retention: Duration) -> bool {
    let now = (plant.clock)();
    let connections: Vec<&Connection> = plant.connections.iter().map(|connection| &**connection).collect();
    match plant.catalog.note_received(name, through, now - retention, &connections, now).await {
        Ok(None) => true,
        Ok(Some(since)) => {
            tracing::warn!(
                queue = name,
                %since,
                "nothing was received for longer than the queue keeps messages: all buckets are listed"
            );
            true
        }
        Err(error) => {
            tracing::debug!(queue = name, %error, "note what was received");
            false
        }
    }
}
