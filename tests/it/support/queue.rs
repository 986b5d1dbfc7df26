//! A queue in memory that does what its script says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use stocktake::fault::Fault;
use stocktake::queue::{Attributes, BATCH_MAX, Delivery, Queue, Refused};
use tokio::sync::Notify;
use tokio::time::Instant;

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
    waiting: VecDeque<Letter>,
    /// By receipt, with the end of their visibility.
    in_hand: BTreeMap<String, (Letter, Instant)>,
    /// Receipts of letters that came again: nothing more is done by them.
    stale: BTreeSet<String>,
    receive_faults: VecDeque<Fault>,
    acknowledges: VecDeque<Acknowledge>,
    /// How often each receipt was kept hidden for longer.
    extended: BTreeMap<String, u32>,
    is_final: bool,
    deliveries: u32,
}

struct Letter {
    id: String,
    body: String,
    received: u32,
}

impl State {
    /// What was not deleted in time waits again.
    fn expire(&mut self, now: Instant) {
        let overdue = self.in_hand.extract_if(.., |_, (_, until)| *until <= now);
        for (receipt, (letter, _)) in overdue {
            self.stale.insert(receipt);
            self.waiting.push_back(letter);
        }
    }
}

impl Line {
    pub(crate) fn send(&self, body: impl Into<String>) {
        let mut state = self.state();
        state.sent += 1;
        let id = format!("m{}", state.sent);
        state.waiting.push_back(Letter { id, body: body.into(), received: 0 });
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
        for (_, until) in state.in_hand.values_mut() {
            *until = Instant::now();
        }
        state.expire(Instant::now());
        self.changed.notify_waiters();
    }

    /// From now on no message is kept hidden for longer.
    pub(crate) fn refuse_extensions(&self) {
        self.state().is_final = true;
    }

    /// How often any message was delivered.
    pub(crate) fn deliveries(&self) -> u32 {
        self.state().deliveries
    }

    /// How often the message that was extended least was.
    pub(crate) fn extended(&self) -> u32 {
        let state = self.state();
        let times = |receipt| state.extended.get(receipt).copied().unwrap_or_default();
        state.in_hand.keys().map(times).min().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn give(&self, visibility: Duration) -> Vec<Delivery> {
        let mut state = self.state();
        state.expire(Instant::now());
        let count = state.waiting.len().min(BATCH_MAX);
        let given: Vec<_> = state.waiting.drain(..count).collect();
        let deliver = |letter: Letter| {
            let received = letter.received + 1;
            state.deliveries += 1;
            let (message_id, body) = (letter.id.clone(), letter.body.clone());
            let receipt = format!("{message_id} {received}");
            let until = Instant::now() + visibility;
            state.in_hand.insert(receipt.clone(), (Letter { received, ..letter }, until));
            Delivery { message_id, receipt, body, sent_at: None, receive_count: Some(received) }
        };
        given.into_iter().map(deliver).collect()
    }

    /// Takes letters out of hand. What came again is refused.
    fn put_down(&self, receipts: &[String], mut put: impl FnMut(&mut State, Letter)) -> Vec<Refused> {
        let mut state = self.state();
        state.expire(Instant::now());
        let mut refused = Vec::new();
        for (index, receipt) in receipts.iter().enumerate() {
            match state.in_hand.remove(receipt) {
                Some((letter, _)) => put(&mut state, letter),
                None => {
                    assert!(state.stale.contains(receipt), "{receipt} is not in hand");
                    refused.push(gone(index));
                }
            }
        }
        refused
    }
}

fn gone(index: usize) -> Refused {
    Refused { index, reason: "ReceiptHandleIsInvalid".to_owned(), is_final: true }
}

impl Queue for Line {
    async fn receive(&self, wait: Duration, visibility: Duration) -> Result<Vec<Delivery>, Fault> {
        let fault = self.state().receive_faults.pop_front();
        if let Some(fault) = fault {
            return Err(fault);
        }
        let changed = self.changed.notified();
        let given = self.give(visibility);
        if !given.is_empty() {
            return Ok(given);
        }
        let _ = tokio::time::timeout(wait, changed).await;
        Ok(self.give(visibility))
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<Vec<Refused>, Fault> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let end = self.state().acknowledges.pop_front();
        match end {
            None => Ok(self.put_down(receipts, |_, _| {})),
            Some(Acknowledge::Refuse(index)) => {
                let mut others = receipts.to_vec();
                others.remove(index);
                self.put_down(&others, |_, _| {});
                Ok(vec![Refused { index, reason: "InternalError".to_owned(), is_final: false }])
            }
            Some(Acknowledge::Fail) => Err(fault("ServiceUnavailable")),
            Some(Acknowledge::Lose) => {
                self.put_down(receipts, |_, _| {});
                Err(fault("no answer"))
            }
            Some(Acknowledge::Hang) => std::future::pending().await,
        }
    }

    async fn attributes(&self) -> Result<Attributes, Fault> {
        let (waiting, in_hand) = self.depth();
        Ok(Attributes {
            made_at: None,
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
        visibility: Duration,
    ) -> Result<Vec<Refused>, Fault> {
        if visibility.is_zero() {
            let refused = self.put_down(receipts, |state, letter| state.waiting.push_back(letter));
            self.changed.notify_waiters();
            return Ok(refused);
        }
        let mut state = self.state();
        state.expire(Instant::now());
        let until = Instant::now() + visibility;
        let is_refused = |state: &mut State, receipt: &String| match state.in_hand.get_mut(receipt) {
            Some((_, end)) if !state.is_final => {
                *end = until;
                *state.extended.entry(receipt.clone()).or_default() += 1;
                false
            }
            _ => true,
        };
        let refused = receipts.iter().enumerate().filter(|(_, receipt)| is_refused(&mut state, receipt));
        Ok(refused.map(|(index, _)| gone(index)).collect())
    }
}
