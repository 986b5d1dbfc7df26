//! One moment of a small world: the bucket, its events on their way, and the daemon.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stocktake::bucket::Versioning;
use stocktake::model::{Content, Listed, VersionId, Window};

use crate::daemon::Daemon;
use crate::exceptions::Exceptions;
use crate::history::START;
use crate::run::{Finding, Run};
use crate::simulation::MARGIN;
use crate::world::{Bucket, Event, Key, Millis, Personality, SECOND};

/// The only key.
pub(super) const KEY: Key = 'a';

/// One moment. Moments that are equal have the same future.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    pub(super) now: Millis,
    pub(super) bucket: Arc<Bucket>,
    /// How many writes were made.
    pub(super) writes: usize,
    pub(super) last_write: Millis,
    /// When something last happened other than a recheck.
    pub(super) stirred: Millis,
    pub(super) has_upload: bool,
    /// Each event, and how often it arrived.
    pub(super) events: Vec<(Arc<Event>, usize)>,
    pub(super) daemon: Daemon,
    pub(super) listing: Listing,
    /// A recheck that has listed and not yet written.
    pub(super) look: Option<Look>,
    pub(super) hasty_looks: usize,
    pub(super) deaths: usize,
    /// The versions that the catalog knows to be removed.
    pub(super) gone: BTreeSet<VersionId>,
    pub(super) exceptions: Exceptions,
}

/// How far the one run is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Listing {
    Ahead,
    UnderWay { run: Box<Run>, in_hand: Option<Page> },
    Complete { began: Millis },
    GivenUp,
}

/// A page that was compared with the rows and is not yet written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) differing: Vec<Finding>,
    pub(super) end: Key,
}

/// What a recheck saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) ticket: u32,
    pub(super) listed: Vec<Listed>,
    pub(super) window: Window,
}

impl Moment {
    /// An empty bucket; a suspended one has a version from before, of which the catalog knows.
    pub(super) fn first(versioning: Versioning, personality: Personality) -> Self {
        let margin = Duration::from_millis(MARGIN as u64);
        let mut daemon = Daemon::new(personality != Personality::Constant, margin);
        let is_suspended = versioning == Versioning::Suspended;
        let before = if is_suspended { Versioning::Enabled } else { versioning };
        let mut bucket = Bucket::new(before, personality);
        if is_suspended {
            daemon.ingest(KEY, &bucket.put(KEY, content("old"), START - 60 * SECOND).claim());
            bucket.switch();
        }
        Self {
            now: START,
            bucket: Arc::new(bucket),
            writes: 0,
            last_write: START,
            stirred: START,
            has_upload: false,
            events: Vec::new(),
            daemon,
            listing: Listing::Ahead,
            look: None,
            hasty_looks: 0,
            deaths: 0,
            gone: BTreeSet::new(),
            exceptions: Exceptions::default(),
        }
    }

    /// The window of an answer given now. The clock is right, and tells whole seconds.
    pub(super) fn window(&self) -> Window {
        let date = self.now.div_euclid(SECOND) * SECOND;
        let date = stocktake::model::Timestamp::from_micros(date * 1_000);
        Window::around(date, Duration::from_secs(1))
    }

    /// Numbers the doubts anew, in their order: how many there were before has no future.
    pub(super) fn forget_old_tickets(&mut self) {
        let run = match &mut self.listing {
            Listing::UnderWay { run, .. } => Some(&mut run.ticket),
            _ => None,
        };
        let look = self.look.as_mut().map(|look| &mut look.ticket);
        self.daemon.renumber(run.into_iter().chain(look).collect());
    }
}

/// Bytes with this entity tag.
pub(super) fn content(etag: &str) -> Content {
    Content { etag: Some(etag.to_owned()), size: Some(1) }
}
