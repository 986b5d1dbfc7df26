//! How much is in a queue, for metrics, and whether something is in its dead-letter queue.

use std::sync::Arc;
use std::time::Duration;

use super::Inlet;
use crate::health::Subject;
use crate::queue::Queue;
use crate::words::counted;
use crate::{metrics, pulse};

/// How often a queue is asked.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Shows how many messages are in the queue, until told to stop. The permission to ask is the only
/// one that can be done without: who lacks it lacks the metric.
pub(super) async fn watch<Q: Queue>(inlet: Arc<Inlet<Q>>) -> &'static str {
    let stop = &inlet.plant.ending.stop;
    let (mut is_told, mut is_dead_told) = (false, false);
    loop {
        pulse::beat();
        match stop.run_until_cancelled(inlet.queue.attributes()).await {
            None => break,
            Some(Ok(attributes)) => {
                let depth = attributes.waiting + attributes.in_hand + attributes.delayed;
                metrics::queue_depth(&inlet.name).set(depth as f64);
                metrics::queue_retention(&inlet.name).set(attributes.retention.as_secs_f64());
            }
            Some(Err(fault)) if !is_told => {
                is_told = true;
                tracing::info!(queue = %inlet.name, %fault, fault.remedy, "no metric stocktake_queue_depth");
            }
            Some(Err(_)) => {}
        }
        match stop.run_until_cancelled(inlet.queue.dead_letters()).await {
            None => break,
            Some(Ok(letters)) => {
                if let Some(letters) = letters {
                    metrics::dead_letters(&inlet.name).set(letters as f64);
                }
                tell(&inlet, letters.unwrap_or_default());
            }
            Some(Err(fault)) if !is_dead_told => {
                is_dead_told = true;
                tracing::info!(queue = %inlet.name, %fault, fault.remedy, "no metric stocktake_dead_letters");
            }
            Some(Err(_)) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_none() {
            break;
        }
    }
    "queue depth"
}

/// Tells that so many messages are in the dead-letter queue, which nobody else would before somebody looks.
fn tell<Q>(inlet: &Inlet<Q>, letters: u64) {
    let Inlet { plant, name, .. } = inlet;
    let subject = Subject::DeadLetters(name.to_string());
    if letters == 0 {
        plant.health.ok(subject);
        return;
    }
    let message = format!(
        "{} in its dead-letter queue: received more often than its redrive policy allows",
        counted(letters as usize, "message")
    );
    let remedy = "mend what kept them from being worked off, then move them back: aws sqs start-message-move-task; what is \
                  older than the last complete run may be purged";
    if plant.health.is_well(&subject) {
        tracing::warn!(remedy, "{subject}: {message}");
    }
    plant.health.problem(subject, message, remedy, (plant.clock)());
}
