//! Keeps messages in hand hidden from others for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inlet;
use super::calls::Calls;
use super::hand::Due;
use crate::health::Subject;
use crate::queue::{BATCH_MAX, Queue, Refused};
use crate::{metrics, pulse};

/// Requests under way at once.
const CALLS_MAX: usize = 8;
/// How often it is looked at whose time is running out, as a part of that time. A message is due when a
/// quarter of it is gone, so it is asked for before half is, and then again and again until the end.
const LOOKS: u32 = 8;

/// Extends the visibility of whatever is in hand, for ever.
pub(super) async fn keep_hidden<Q: Queue>(inlet: &Arc<Inlet<Q>>) {
    let period = inlet.visibility / LOOKS;
    let mut calls = Calls::at_most(CALLS_MAX);
    loop {
        tokio::time::sleep(period).await;
        pulse::beat();
        for batch in inlet.hand.due(inlet.visibility).chunks(BATCH_MAX) {
            let tickets: Vec<u64> = batch.iter().map(|due| due.ticket).collect();
            // The least that one of them may still have is soon due again for the others.
            let Some(extent) = batch.iter().map(|Due { extent, .. }| *extent).min() else { continue };
            let inlet = Arc::clone(inlet);
            calls.start(async move { extend(&inlet, tickets, extent, period * 2).await }).await;
        }
        // Or it would be asked twice for the same.
        calls.finish().await;
    }
}

async fn extend<Q: Queue>(inlet: &Inlet<Q>, due: Vec<u64>, extent: Duration, patience: Duration) {
    // Some may be back meanwhile.
    let (tickets, receipts) = inlet.hand.receipts(&due);
    let asked = Instant::now();
    let answer = tokio::time::timeout(patience, inlet.queue.change_visibility(&receipts, extent)).await;
    let subject = Subject::Visibility(inlet.name.to_string());
    let refused = match answer {
        Ok(Ok(refused)) => refused,
        Ok(Err(fault)) => return inlet.plant.health.fault(subject, &fault, (inlet.plant.clock)()),
        Err(_) => return tracing::debug!(queue = %inlet.name, "no answer in time about visibility"),
    };
    inlet.plant.health.ok(subject);
    let (mut hidden, mut lost) = (Vec::new(), Vec::new());
    for (place, ticket) in tickets.into_iter().enumerate() {
        match refused.iter().find(|refused| refused.index == place) {
            None => hidden.push(ticket),
            Some(Refused { is_final: true, .. }) => lost.push(ticket),
            Some(_) => {}
        }
    }
    inlet.hand.hide(hidden, Some(asked + extent));
    if let Some(Refused { reason, .. }) = refused.iter().find(|refused| refused.is_final) {
        // They are still worked on, and acknowledged: too late, perhaps, which is no error.
        tracing::info!(queue = %inlet.name, messages = lost.len(), reason, "messages in hand come again");
        metrics::messages(&inlet.name, "lost").increment(lost.len() as u64);
        inlet.hand.hide(lost, None);
    }
}
