//! A listing run: pages of one or two ranges, gathered key by key.

use std::collections::BTreeMap;

use stocktake::model::{Listed, Stack, Window};

use crate::history;
use crate::world::{After, Key, Millis, Page};

/// The keys there can be.
pub(crate) const KEYS: std::ops::RangeInclusive<Key> = 'a'..='c';

/// What a run found out about one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    pub(crate) key: Key,
    pub(crate) listed: Vec<Listed>,
    pub(crate) window: Window,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) plan: history::Run,
    /// When it began, in truth.
    pub(crate) began: Millis,
    /// From its registration to its last page, on S3's clock.
    pub(crate) window: Window,
    /// The last ticket of a doubt raised before it.
    pub(crate) ticket: u32,
    /// The rows as they were when it began.
    pub(crate) read_ahead: BTreeMap<Key, Stack>,
    pub(crate) ranges: Vec<Range>,
    /// What would remove versions waits until all is listed.
    pub(crate) withheld: Vec<Finding>,
    pub(crate) pages: usize,
    /// The life of the daemon in which it goes on.
    pub(crate) life: usize,
}

/// A stretch of keys that is listed page by page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) last: Key,
    /// The first key of which not all is written yet: where a new life goes on.
    pub(crate) checkpoint: Key,
    /// The first key of which not all is listed yet.
    next: Key,
    after: Option<After>,
    /// The entries so far of the key at the end of the last page.
    gathered: Option<Finding>,
    pub(crate) is_listed: bool,
}

impl Run {
    pub(crate) fn begin(
        plan: &history::Run,
        began: Millis,
        window: Window,
        ticket: u32,
        life: usize,
        read_ahead: BTreeMap<Key, Stack>,
    ) -> Self {
        let ranges = if plan.is_split { vec![('a', 'a'), ('b', 'c')] } else { vec![('a', 'c')] };
        let ranges = ranges.into_iter().map(|(from, last)| Range::new(from, last)).collect();
        Self {
            plan: plan.clone(),
            began,
            window,
            ticket,
            read_ahead,
            ranges,
            withheld: Vec::new(),
            pages: 0,
            life,
        }
    }

    pub(crate) fn pause(&self) -> Millis {
        self.plan.pauses.get(self.pages % self.plan.pauses.len().max(1)).copied().unwrap_or(0)
    }

    /// A new life goes on from the checkpoints.
    pub(crate) fn revive(&mut self, life: usize) {
        self.life = life;
        for range in &mut self.ranges {
            *range = Range::new(range.checkpoint, range.last);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ranges.iter().all(|range| range.checkpoint > range.last)
    }
}

impl Range {
    fn new(from: Key, last: Key) -> Self {
        Self { last, checkpoint: from, next: from, after: None, gathered: None, is_listed: from > last }
    }

    /// Where the next page begins.
    pub(crate) fn position(&self) -> (Option<&After>, Key) {
        (self.after.as_ref(), self.next)
    }

    /// Takes a page. What it proves of each key that it closes, and the key after those.
    pub(crate) fn take(&mut self, page: Page, window: Window) -> (Vec<Finding>, Key) {
        // Only this page proves that a key begun on the one before has no more versions.
        let gathered =
            self.gathered.take().map(|finding| Finding { window: finding.window.span(window), ..finding });
        let open = page.next.as_ref().map(|after| after.key);
        let end = open.unwrap_or_else(|| successor(self.last));
        let mut findings: Vec<Finding> = (self.next..=self.last)
            .filter(|key| *key <= end)
            .map(|key| match &gathered {
                Some(finding) if finding.key == key => finding.clone(),
                _ => Finding { key, listed: Vec::new(), window },
            })
            .collect();
        for (key, listed) in page.entries {
            if let Some(finding) = findings.iter_mut().find(|finding| finding.key == key) {
                finding.listed.push(listed);
            }
        }
        if open.is_some() {
            self.gathered = findings.pop();
        }
        self.is_listed = open.is_none();
        self.after = page.next;
        self.next = end;
        (findings, end)
    }
}

fn successor(key: Key) -> Key {
    char::from(key as u8 + 1)
}
