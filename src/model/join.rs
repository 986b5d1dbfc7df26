//! A listing beside the catalog's rows: both in byte order, so a merge join in constant memory.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// One key of either side, or of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<L, R> {
    /// The key.
    pub key: String,
    /// What the listing shows of it.
    pub listed: Option<L>,
    /// What the catalog holds of it.
    pub held: Option<R>,
}

/// What a [`Join`] can do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<L, R> {
    /// The next key in byte order.
    Pair(Pair<L, R>),
    /// More of the listing must come first.
    NeedListed,
    /// More of the rows must come first.
    NeedHeld,
    /// Both sides are at their end.
    Done,
}

/// A merge join of two sides that arrive in pieces. Keys ascend in byte order on both; whole keys
/// only, so a key whose versions stand on several pages is put in when the last of them is there.
#[derive(Debug)]
pub struct Join<L, R> {
    listed: Side<L>,
    held: Side<R>,
}

#[derive(Debug)]
struct Side<T> {
    waiting: VecDeque<(String, T)>,
    /// The key that was taken last, or that all keys come after. Known only while none is waiting.
    last: Option<String>,
    is_ended: bool,
}

/// A side that is not in byte order, of which nothing may be concluded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key:?} comes after {after:?}: not in byte order, so absence proves nothing")]
pub struct Unsorted {
    /// The key that came too late.
    pub key: String,
    /// The key before it.
    pub after: String,
}

impl<T> Side<T> {
    const fn new() -> Self {
        Self { waiting: VecDeque::new(), last: None, is_ended: false }
    }

    fn push(&mut self, key: String, item: T) -> Result<(), Unsorted> {
        let last = self.waiting.back().map(|(last, _)| last).or(self.last.as_ref());
        if let Some(after) = last.filter(|last| **last >= key) {
            return Err(Unsorted { after: after.clone(), key });
        }
        self.waiting.push_back((key, item));
        Ok(())
    }

    fn pop(&mut self) -> Option<(String, T)> {
        let taken = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.last = Some(taken.0.clone());
        }
        Some(taken)
    }

    fn cut(&mut self, to: &str) {
        let within = self.waiting.partition_point(|(key, _)| key.as_str() <= to);
        self.is_ended |= within < self.waiting.len();
        self.waiting.truncate(within);
    }
}

impl<L, R> Default for Join<L, R> {
    fn default() -> Self {
        Self { listed: Side::new(), held: Side::new() }
    }
}

impl<L, R> Join<L, R> {
    /// A join of keys after `after`.
    pub fn after(after: &str) -> Self {
        let mut join = Self::default();
        for last in [&mut join.listed.last, &mut join.held.last] {
            *last = (!after.is_empty()).then(|| after.to_owned());
        }
        join
    }

    /// Forgets what waits beyond `to`: somebody else's keys from now on.
    pub fn cut(&mut self, to: &str) {
        self.listed.cut(to);
        self.held.cut(to);
    }

    /// The next key of the listing.
    ///
    /// # Errors
    /// When the key is not after the one before it.
    pub fn push_listed(&mut self, key: String, item: L) -> Result<(), Unsorted> {
        self.listed.push(key, item)
    }

    /// The next key of the rows.
    ///
    /// # Errors
    /// When the key is not after the one before it.
    pub fn push_held(&mut self, key: String, item: R) -> Result<(), Unsorted> {
        self.held.push(key, item)
    }

    /// Nothing more is listed.
    pub fn end_listed(&mut self) {
        self.listed.is_ended = true;
    }

    /// No more rows are held.
    pub fn end_held(&mut self) {
        self.held.is_ended = true;
    }

    /// Whether rows are left that were not taken, as far as is known.
    pub fn may_hold_more(&self) -> bool {
        !(self.held.is_ended && self.held.waiting.is_empty())
    }

    /// Forgets the rows that wait, which will be pushed again or are known to be as listed. Whether there are any.
    pub fn forget_held(&mut self) -> bool {
        let has_some = !self.held.waiting.is_empty();
        self.held.waiting.clear();
        self.held.is_ended &= !has_some;
        has_some
    }

    /// The next key of the listing, where it is there already.
    pub fn next_listed(&self) -> Option<&L> {
        self.listed.waiting.front().map(|(_, listed)| listed)
    }

    /// Takes the next step. Each key comes out once.
    pub fn step(&mut self) -> Step<L, R> {
        let order = match (self.listed.waiting.front(), self.held.waiting.front()) {
            (None, _) if !self.listed.is_ended => return Step::NeedListed,
            (_, None) if !self.held.is_ended => return Step::NeedHeld,
            (None, None) => return Step::Done,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((listed, _)), Some((held, _))) => listed.cmp(held),
        };
        let listed = order.is_le().then(|| self.listed.pop()).flatten();
        let held = order.is_ge().then(|| self.held.pop()).flatten();
        match (listed, held) {
            (Some((key, listed)), held) => {
                Step::Pair(Pair { key, listed: Some(listed), held: held.map(|(_, held)| held) })
            }
            (None, Some((key, held))) => Step::Pair(Pair { key, listed: None, held: Some(held) }),
            (None, None) => Step::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_key_of_the_listing_is_told_before_it_is_taken() {
        let mut join: Join<u8, u8> = Join::default();
        assert_eq!(join.next_listed(), None);
        join.push_listed("a".to_owned(), 1).expect("the first");
        assert_eq!(join.next_listed(), Some(&1));
    }

    #[test]
    fn a_side_is_asked_for_more_until_it_has_ended() {
        let mut join: Join<u8, u8> = Join::default();
        let pair = |key: &str, listed, held| Step::Pair(Pair { key: key.to_owned(), listed, held });
        assert_eq!(join.step(), Step::NeedListed);
        join.push_listed("a".to_owned(), 1).expect("the first");
        assert_eq!(join.step(), Step::NeedHeld);
        join.push_held("b".to_owned(), 2).expect("the first");
        assert_eq!(join.step(), pair("a", Some(1), None));
        assert_eq!(join.step(), Step::NeedListed);
        join.end_listed();
        assert_eq!(join.step(), pair("b", None, Some(2)));
        assert_eq!(join.step(), Step::NeedHeld);
        join.end_held();
        assert_eq!(join.step(), Step::Done);
    }

    #[test]
    fn rows_that_were_forgotten_are_asked_for_again() {
        let mut join: Join<u8, u8> = Join::default();
        assert!(join.may_hold_more() && !join.forget_held());
        for (key, row) in [("b", 1), ("c", 2)] {
            join.push_held(key.to_owned(), row).expect("in order");
        }
        join.end_held();
        assert!(join.may_hold_more() && join.forget_held());
        join.push_listed("b".to_owned(), 3).expect("the first");
        assert_eq!(join.step(), Step::NeedHeld);
        join.end_held();
        assert!(!join.may_hold_more() && !join.forget_held() && !join.may_hold_more());
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let mut join: Join<u8, u8> = Join::default();
        join.push_held("b".to_owned(), 1).expect("the first");
        for key in ["a", "b"] {
            let refused = Unsorted { key: key.to_owned(), after: "b".to_owned() };
            assert_eq!(join.push_held(key.to_owned(), 2), Err(refused));
        }
    }
}
