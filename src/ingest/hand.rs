//! What is in hand of one queue: received, and not given back yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::queue::VISIBILITY_MAX;

/// SQS counts in whole seconds, and for less it need not be asked.
const EXTENT_MIN: Duration = Duration::from_secs(1);

/// The messages of one queue that are in hand, each under a ticket.
#[derive(Debug, Default)]
pub(super) struct Hand(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    leases: HashMap<u64, Lease>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Lease {
    receipt: String,
    received: Instant,
    /// Until then nobody else sees the message; none when that cannot be put off any more.
    hidden_until: Option<Instant>,
}

/// A message to be hidden for longer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) ticket: u64,
    /// For how long from now on: SQS gives nobody more than [`VISIBILITY_MAX`] in all.
    pub(super) extent: Duration,
}

impl Hand {
    /// Takes a message that was just received, and is hidden for `visibility`.
    pub(super) fn take(&self, receipt: String, visibility: Duration) -> u64 {
        let received = Instant::now();
        let mut held = self.held();
        held.last_ticket += 1;
        let ticket = held.last_ticket;
        let hidden_until = Some(received + visibility);
        held.leases.insert(ticket, Lease { receipt, received, hidden_until });
        ticket
    }

    /// What SQS knows these messages by, as far as they are still in hand.
    pub(super) fn receipts(&self, tickets: &[u64]) -> (Vec<u64>, Vec<String>) {
        let held = self.held();
        let receipt = |ticket| Some((ticket, held.leases.get(&ticket)?.receipt.clone()));
        tickets.iter().copied().filter_map(receipt).unzip()
    }

    /// Lets go of messages that were given back, or will come again by themselves.
    pub(super) fn put_down(&self, tickets: &[u64]) {
        let mut held = self.held();
        for ticket in tickets {
            held.leases.remove(ticket);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held().leases.is_empty()
    }

    /// The messages of which a quarter of `visibility` is gone, the most urgent first.
    pub(super) fn due(&self, visibility: Duration) -> Vec<Due> {
        let now = Instant::now();
        let mut held = self.held();
        let mut due = Vec::new();
        for (&ticket, lease) in &mut held.leases {
            let Some(until) = lease.hidden_until.filter(|until| *until <= now + visibility * 3 / 4) else {
                continue;
            };
            let extent = (lease.received + VISIBILITY_MAX).saturating_duration_since(now).min(visibility);
            if extent < EXTENT_MIN {
                lease.hidden_until = None;
            } else {
                due.push((until, Due { ticket, extent }));
            }
        }
        due.sort_unstable_by_key(|(until, due)| (*until, due.ticket));
        due.into_iter().map(|(_, due)| due).collect()
    }

    /// Notes until when messages are hidden now; none for those that SQS hides no longer for us.
    pub(super) fn hide(&self, tickets: impl IntoIterator<Item = u64>, until: Option<Instant>) {
        let mut held = self.held();
        for ticket in tickets {
            if let Some(lease) = held.leases.get_mut(&ticket) {
                lease.hidden_until = until;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn due(hand: &Hand) -> Vec<(u64, Duration)> {
        hand.due(MINUTE).into_iter().map(|due| (due.ticket, due.extent)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_due_when_a_quarter_of_its_time_is_gone() {
        let hand = Hand::default();
        let first = hand.take("r1".to_owned(), MINUTE);
        tokio::time::advance(Duration::from_secs(14)).await;
        let second = hand.take("r2".to_owned(), MINUTE);
        assert_eq!(due(&hand), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(due(&hand), [(first, MINUTE)]);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(due(&hand), [(first, MINUTE), (second, MINUTE)], "the most urgent first");
        hand.hide([first], Some(Instant::now() + MINUTE));
        assert_eq!(due(&hand), [(second, MINUTE)]);
        hand.hide([second], None);
        assert_eq!(due(&hand), [], "it was given up");
        assert_eq!(hand.receipts(&[second, first, 9]).1, ["r2", "r1"], "and is still in hand");
        hand.put_down(&[first, second]);
        assert!(hand.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_hidden_for_more_than_twelve_hours() {
        let hand = Hand::default();
        let ticket = hand.take("r".to_owned(), MINUTE);
        let near = VISIBILITY_MAX - Duration::from_secs(25);
        tokio::time::advance(near).await;
        assert_eq!(due(&hand), [(ticket, Duration::from_secs(25))]);
        tokio::time::advance(Duration::from_secs(25)).await;
        assert_eq!(due(&hand), []);
        hand.hide([ticket], None);
        assert_eq!(due(&hand), []);
    }
}
