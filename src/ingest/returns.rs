//! Gives messages back to their queue, in batches: acknowledged, or to come again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Plant;
use super::message::Return;
use crate::health::Subject;
use crate::metrics;
use crate::queue::{BATCH_MAX, Queue};

/// Gives messages back until nobody has any left. Takes what is waiting and never waits for more.
/// Nothing is tried again: a message that was not acknowledged comes again, and changes nothing.
pub(super) async fn give_back<Q: Queue>(
    plant: Plant,
    queue: Arc<Q>,
    name: Arc<str>,
    mut returned: mpsc::Receiver<Return>,
) -> &'static str {
    let subject = Subject::Returns(name.to_string());
    let mut returns = Vec::with_capacity(BATCH_MAX);
    while returned.recv_many(&mut returns, BATCH_MAX).await > 0 {
        let (mut acknowledge, mut release) = (Vec::new(), Vec::new());
        for back in returns.drain(..) {
            match back {
                Return::Acknowledge(receipt) => acknowledge.push(receipt),
                Return::Release(receipt) => release.push(receipt),
            }
        }
        let (acknowledged, released) =
            tokio::join!(queue.acknowledge(&acknowledge), queue.change_visibility(&release, Duration::ZERO));
        for (what, sent, outcome) in
            [("acknowledged", acknowledge.len(), acknowledged), ("released", release.len(), released)]
        {
            let refused = match outcome {
                Ok(refused) => {
                    if sent > 0 {
                        plant.health.ok(subject.clone());
                    }
                    for refused in &refused {
                        tracing::warn!(queue = %name, reason = refused.reason, "not {what}: a message comes again");
                    }
                    refused.len()
                }
                Err(fault) => {
                    plant.health.fault(subject.clone(), &fault, (plant.clock)());
                    sent
                }
            };
            metrics::messages(&name, what).increment((sent - refused) as u64);
            metrics::messages(&name, "refused").increment(refused as u64);
        }
    }
    "queue returns"
}
