//! A queue in memory that does what its script says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use stocktake::fault::Fault;
use stocktake::queue::{Attributes, BATCH_MAX, Delivery, Queue, Refused};
use tokio::sync::Notify;

use super::fault;

/// How an acknowledgement ends.
#[derive(Clone, Debug)]
pub(crate) enum Acknowledge {
    /// The entry in this place is refused; the others are deleted.
    Refuse(usize),
    /// The call fails, and nothing was deleted.
    Fail,
    /// Everything was deleted, and the answer got lost.
    Lose,
    /// No answer, and nothing was deleted: as when the process ends just then.
    Hang,
}

/// Messages that wait, and those in somebody's hands.
#[derive(Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    sent: u32,
    /// Message ids with their bodies and how often they were received.
    waiting: VecDeque<(String, String, u32)>,
    /// The same by receipt.
    in_hand: BTreeMap<String, (String, String, u32)>,
    receive_faults: VecDeque<Fault>,
    acknowledges: VecDeque<Acknowledge>,
}

impl Line {
    pub(crate) fn send(&self, body: impl Into<String>) {
        let mut state = self.state();
        state.sent += 1;
        let id = format!("m{}", state.sent);
        state.waiting.push_back((id, body.into(), 0));
        self.changed.notify_waiters();
    }

    /// The next receives fail, one after the other.
    pub(crate) fn fail_receives(&self, answers: &[&str]) {
        self.state().receive_faults.extend(answers.iter().map(|answer| fault(answer)));
    }

    /// The next acknowledgements end like this; those after them well.
    pub(crate) fn script(&self, acknowledges: &[Acknowledge]) {
        self.state().acknowledges.extend(acknowledges.iter().cloned());
    }

    /// Whether all of the script was played.
    pub(crate) fn is_played(&self) -> bool {
        let state = self.state();
        state.receive_faults.is_empty() && state.acknowledges.is_empty()
    }

    /// How many wait, and how many are in hand.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.state();
        (state.waiting.len(), state.in_hand.len())
    }

    /// The visibility of everything in hand ends: it is there again.
    pub(crate) fn expire(&self) {
        let mut state = self.state();
        let back = std::mem::take(&mut state.in_hand);
        state.waiting.extend(back.into_values());
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn give(&self) -> Vec<Delivery> {
        let mut state = self.state();
        let count = state.waiting.len().min(BATCH_MAX);
        let given: Vec<_> = state.waiting.drain(..count).collect();
        let deliver = |(message_id, body, received): (String, String, u32)| {
            let receipt = format!("{message_id} {received}");
            state.in_hand.insert(receipt.clone(), (message_id.clone(), body.clone(), received + 1));
            Delivery { message_id, receipt, body, sent_at: None, receive_count: Some(received + 1) }
        };
        given.into_iter().map(deliver).collect()
    }

    fn delete(&self, receipts: &[String]) {
        let mut state = self.state();
        for receipt in receipts {
            assert!(state.in_hand.remove(receipt).is_some(), "{receipt} is not in hand");
        }
    }
}

impl Queue for Line {
    async fn receive(&self, wait: Duration, _visibility: Duration) -> Result<Vec<Delivery>, Fault> {
        let fault = self.state().receive_faults.pop_front();
        if let Some(fault) = fault {
            return Err(fault);
        }
        let changed = self.changed.notified();
        let given = self.give();
        if !given.is_empty() {
            return Ok(given);
        }
        let _ = tokio::time::timeout(wait, changed).await;
        Ok(self.give())
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<Vec<Refused>, Fault> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let end = self.state().acknowledges.pop_front();
        match end {
            None => self.delete(receipts),
            Some(Acknowledge::Refuse(index)) => {
                let mut others = receipts.to_vec();
                others.remove(index);
                self.delete(&others);
                return Ok(vec![Refused { index, reason: "InternalError".to_owned(), is_final: false }]);
            }
            Some(Acknowledge::Fail) => return Err(fault("ServiceUnavailable")),
            Some(Acknowledge::Lose) => {
                self.delete(receipts);
                return Err(fault("no answer"));
            }
            Some(Acknowledge::Hang) => std::future::pending().await,
        }
        Ok(Vec::new())
    }

    async fn attributes(&self) -> Result<Attributes, Fault> {
        let (waiting, in_hand) = self.depth();
        Ok(Attributes {
            retention: Duration::from_secs(4 * 24 * 3_600),
            visibility_timeout: Duration::from_secs(30),
            waiting: waiting as u64,
            in_hand: in_hand as u64,
            delayed: 0,
        })
    }

    async fn change_visibility(
        &self,
        receipts: &[String],
        _visibility: Duration,
    ) -> Result<Vec<Refused>, Fault> {
        let mut state = self.state();
        for receipt in receipts {
            let back = state.in_hand.remove(receipt).unwrap_or_else(|| panic!("{receipt} is not in hand"));
            state.waiting.push_back(back);
        }
        self.changed.notify_waiters();
        Ok(Vec::new())
    }
}
