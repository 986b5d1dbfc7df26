//! Sets aside what cannot be read, or what Postgres never takes.

use std::sync::Arc;
use std::time::Duration;

use super::message::Message;
use super::{Ending, Plant};
use crate::catalog::{Connection, Quarantined, is_forgotten};
use crate::chain::chain;
use crate::metrics;
use crate::model::RawKey;

/// The first pause before Postgres is asked again; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Puts a message, or one record of it, into quarantine, and is done with it; `kind` is which of
/// the two, for metrics. Records `keys` that the catalog cannot hold. While Postgres is away it waits, unless told to stop: then the message comes again.
pub(super) async fn set_aside(
    plant: &Plant,
    message: &Message,
    record: i32,
    reason: &str,
    kind: &'static str,
    keys: &[(Arc<Connection>, RawKey)],
) {
    let Message { queue, id, receive_count, body, .. } = message;
    let receive_count = *receive_count;
    let item = Quarantined { queue, message_id: id, record, receive_count, body, reason };
    tracing::warn!(%queue, message_id = id, record, reason, "set aside in catalog.quarantine");
    let Ending { stop, give_back } = &plant.ending;
    let mut pause = PAUSE_FIRST;
    loop {
        let kept = async {
            for (connection, key) in keys {
                let noted = plant.catalog.note_unrepresentable(
                    connection,
                    None,
                    std::slice::from_ref(key),
                    (plant.clock)(),
                );
                noted.await.or_else(|error| if is_forgotten(&error) { Ok(()) } else { Err(error) })?;
            }
            plant.catalog.quarantine(&item, (plant.clock)()).await
        };
        match give_back.run_until_cancelled(kept).await {
            None => return,
            Some(Ok(())) => break,
            Some(Err(error)) => tracing::warn!(%queue, error = chain(&error), "quarantine a message"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    metrics::quarantined(kind).increment(1);
    message.done();
}
