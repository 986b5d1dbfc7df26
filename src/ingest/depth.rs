//! How much is in a queue, for metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Inlet;
use crate::metrics;
use crate::queue::Queue;

/// How often a queue is asked.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Shows how many messages are in the queue, until told to stop. The permission to ask is the only
/// one that can be done without: who lacks it lacks the metric.
pub(super) async fn watch<Q: Queue>(inlet: Arc<Inlet<Q>>) -> &'static str {
    let stop = &inlet.plant.ending.stop;
    let mut is_told = false;
    loop {
        match stop.run_until_cancelled(inlet.queue.attributes()).await {
            None => break,
            Some(Ok(attributes)) => {
                let depth = attributes.waiting + attributes.in_hand + attributes.delayed;
                metrics::queue_depth(&inlet.name).set(depth as f64);
            }
            Some(Err(fault)) if !is_told => {
                is_told = true;
                tracing::info!(queue = %inlet.name, %fault, fault.remedy, "no metric stocktake_queue_depth");
            }
            Some(Err(_)) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_none() {
            break;
        }
    }
    "queue depth"
}
