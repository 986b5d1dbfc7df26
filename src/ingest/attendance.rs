//! Notices that messages are gone which nobody received: nobody did for so long that they expired, or the queue was
//! deleted, and another was made under its name.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Inlet, Plant};
use crate::catalog::Connection;
use crate::fault::Kind;
use crate::health::Subject;
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
    let subject = Subject::Queue(name.to_string());
    let (mut told, mut asked): (Option<OffsetDateTime>, Option<(Instant, Kept)>) = (None, None);
    let stop = plant.ending.stop.clone();
    while stop.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await.is_some() {
        pulse::beat();
        // It may be another one when it answers again.
        if !plant.health.is_well(&subject) {
            asked = None;
        }
        let Some(through) = plant.activity.received(name).filter(|through| told != Some(*through)) else {
            continue;
        };
        let kept = match asked {
            Some((at, kept)) if at.elapsed() < ASK_EVERY => kept,
            _ => match stop.run_until_cancelled(kept(&**queue, name)).await.flatten() {
                Some(kept) => asked.insert((Instant::now(), kept)).1,
                None => continue,
            },
        };
        if tell(plant, name, through, kept).await {
            told = Some(through);
        }
    }
    "queue attendance"
}

/// What a queue keeps.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// For how long.
    retention: Duration,
    /// And since when, if that is known.
    made_at: Option<OffsetDateTime>,
}

impl Kept {
    /// What was sent before that, and not received by then, is gone.
    fn since(self, now: OffsetDateTime) -> OffsetDateTime {
        let expired = now - self.retention;
        self.made_at.map_or(expired, |made_at| expired.max(made_at))
    }
}

/// What the queue keeps; none if it did not answer.
async fn kept<Q: Queue>(queue: &Q, name: &str) -> Option<Kept> {
    match queue.attributes().await {
        Ok(attributes) => {
            let made_at = attributes.made_at.map(OffsetDateTime::from);
            Some(Kept { retention: attributes.retention, made_at })
        }
        Err(fault) if matches!(fault.kind, Kind::Denied | Kind::Unsupported) => {
            tracing::info!(queue = name, remedy = fault.remedy, "assume a retention of four days: {fault}");
            Some(Kept { retention: RETENTION_DEFAULT, made_at: None })
        }
        Err(fault) => {
            tracing::debug!(queue = name, "{fault}");
            None
        }
    }
}

/// Whether it could be told.
async fn tell(plant: &Plant, name: &str, through: OffsetDateTime, kept: Kept) -> bool {
    let now = (plant.clock)();
    let connections: Vec<&Connection> = plant.known.own().iter().map(|connection| &**connection).collect();
    match plant.catalog.note_received(name, through, kept.since(now), &connections, now).await {
        Ok(None) => true,
        Ok(Some(since)) => {
            tracing::warn!(
                queue = name,
                %since,
                "nothing was received for longer than the queue keeps messages, or it is another one of the same name: \
                 all buckets are listed"
            );
            true
        }
        Err(error) => {
            tracing::debug!(queue = name, %error, "note what was received");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[track_caller]
    fn check(days_kept: u32, made_days_ago: Option<u32>, expected_days_ago: u32) {
        let now = OffsetDateTime::UNIX_EPOCH + 1_000 * DAY;
        let kept = Kept { retention: days_kept * DAY, made_at: made_days_ago.map(|days| now - days * DAY) };
        assert_eq!(kept.since(now), now - expected_days_ago * DAY, "{kept:?}");
    }

    #[test]
    fn a_queue_keeps_what_its_retention_says_and_nothing_from_before_it_was_made() {
        // Three days are not too long for a queue that keeps messages for four; nor are they for one that did not tell its age.
        check(4, Some(100), 4);
        check(4, None, 4);
        check(14, Some(100), 14);
        check(4, Some(1), 1);
        check(4, Some(0), 0);
    }
}
