//! Gives messages back to their queue, in batches: acknowledged, or to come again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Inlet;
use super::calls::Calls;
use super::message::Return;
use crate::fault::Fault;
use crate::health::Subject;
use crate::queue::{BATCH_MAX, Queue, Refused};
use crate::{metrics, pulse};

/// How long a message waits for others to go back with: nobody waits for it, and calls are charged.
const LINGER: Duration = Duration::from_millis(100);

/// Gives messages back until nobody has any left. Nothing is tried again beyond what the SDK does: a
/// message that was not acknowledged comes again, and changes nothing.
pub(super) async fn give_back<Q: Queue>(
    inlet: &Arc<Inlet<Q>>,
    mut returned: mpsc::UnboundedReceiver<Return>,
) {
    let mut calls = Calls::at_most(inlet.receivers);
    while let Some(batch) = pulse::rest(next_batch(&mut returned)).await {
        let inlet = Arc::clone(inlet);
        calls.start(async move { give_back_batch(&inlet, batch).await }).await;
    }
    calls.finish().await;
}

async fn next_batch(returned: &mut mpsc::UnboundedReceiver<Return>) -> Option<Vec<Return>> {
    let mut batch = vec![returned.recv().await?];
    let linger = tokio::time::sleep(LINGER);
    tokio::pin!(linger);
    while batch.len() < BATCH_MAX {
        tokio::select! {
            back = returned.recv() => match back {
                Some(back) => batch.push(back),
                None => break,
            },
            () = &mut linger => break,
        }
    }
    Some(batch)
}

async fn give_back_batch<Q: Queue>(inlet: &Inlet<Q>, batch: Vec<Return>) {
    let tickets = |is_done| -> Vec<u64> {
        batch.iter().filter(|back| back.is_done == is_done).map(|back| back.ticket).collect()
    };
    let (acknowledge, release) = (tickets(true), tickets(false));
    let ((_, to_delete), (_, to_show)) = (inlet.hand.receipts(&acknowledge), inlet.hand.receipts(&release));
    let (acknowledged, released) = tokio::join!(
        inlet.queue.acknowledge(&to_delete),
        inlet.queue.change_visibility(&to_show, Duration::ZERO)
    );
    inlet.hand.put_down(&acknowledge);
    inlet.hand.put_down(&release);
    let url = || inlet.name.to_string();
    tell(inlet, Subject::Returns(url()), "acknowledged", to_delete.len(), acknowledged);
    tell(inlet, Subject::Visibility(url()), "released", to_show.len(), released);
}

/// Counts what became of `sent` messages.
fn tell<Q>(
    inlet: &Inlet<Q>,
    subject: Subject,
    outcome: &'static str,
    sent: usize,
    answer: Result<Vec<Refused>, Fault>,
) {
    if sent == 0 {
        return;
    }
    let refused = match answer {
        Ok(refused) => {
            inlet.plant.health.ok(subject);
            // An acknowledgement that is late is one of these, and does no harm.
            if let Some(Refused { reason, .. }) = refused.first() {
                tracing::info!(queue = %inlet.name, refused = refused.len(), reason, "messages not {outcome} come again");
            }
            refused.len()
        }
        Err(fault) => {
            inlet.plant.health.fault(subject, &fault, (inlet.plant.clock)());
            sent
        }
    };
    metrics::messages(&inlet.name, outcome).increment((sent - refused) as u64);
    metrics::messages(&inlet.name, "refused").increment(refused as u64);
}
