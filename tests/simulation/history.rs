//! A history: what happens to a bucket and to its events, and when the daemon looks at it.
//! Everything that could be chance is written down, so that a history is its own regression test.

use stocktake::bucket::Versioning;
use stocktake::model::Content;

use crate::world::{DAY, Key, Millis, Personality, RemovalStamp};

/// A midnight. Moments of histories are written as milliseconds from then.
pub(crate) const START: Millis = 20 * DAY;

/// One history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) versioning: Versioning,
    pub(crate) personality: Personality,
    pub(crate) pace: Pace,
    pub(crate) steps: Vec<Step>,
}

/// How quick the daemon is, and how wrong S3's clocks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From a doubt to the listing that settles it.
    pub(crate) recheck_after: Millis,
    /// From that listing to its result being written.
    pub(crate) recheck_takes: Millis,
    /// Every so many rechecks the daemon dies before it writes the result.
    pub(crate) recheck_dies: Option<usize>,
    /// The errors of the clocks that answer listings, in turn.
    pub(crate) clocks: Vec<Millis>,
}

/// Something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Millis,
    pub(crate) deed: Deed,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Put(Key, Bytes, Fate),
    Begin(u8, Key),
    Complete(u8, Bytes, Fate),
    Delete(Key, Fate),
    DeleteVersion(Key, usize, RemovalStamp, Fate),
    Expire(Key, usize, Fate),
    Bury(Key, Fate),
    Reap(Key),
    Replicate(Key, Bytes, Millis, Fate),
    Transition(Key, usize, &'static str, Fate),
    Switch,
    Run(Run),
}

/// What was written: one letter, which is its entity tag.
pub(crate) type Bytes = char;

/// Bytes written in one request.
pub(crate) fn in_one(bytes: Bytes) -> Content {
    Content { etag: Some(bytes.to_string()), size: Some(1) }
}

/// Bytes written in parts: their entity tag shows it.
pub(crate) fn in_parts(bytes: Bytes) -> Content {
    Content { etag: Some(format!("{bytes}-2")), size: Some(1) }
}

/// What becomes of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// The error of the clock that dates it.
    pub(crate) skew: Millis,
    /// How long after the write it arrives; more than once when it is doubled or redelivered,
    /// never when it is lost.
    pub(crate) arrives: Vec<Millis>,
}

impl Fate {
    pub(crate) fn is_lost(&self) -> bool {
        self.arrives.is_empty()
    }
}

/// A listing of the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// Versions on a page.
    pub(crate) page: usize,
    /// Whether the keys from `b` on are a range of their own, listed at the same time.
    pub(crate) is_split: bool,
    /// Between pages, in turn.
    pub(crate) pauses: Vec<Millis>,
    /// Whether the rows that pages are compared with were read before the first of them.
    pub(crate) is_read_ahead: bool,
    /// From a page to the look at the rows it is compared with.
    pub(crate) judged_after: Millis,
    /// From there to the repair.
    pub(crate) repaired_after: Millis,
    /// The page after which the daemon dies, and whether the run goes on from its last checkpoint
    /// or is given up.
    pub(crate) dies_after: Option<(usize, bool)>,
}

/// A step `millis` after [`START`].
pub(crate) fn at(millis: Millis, deed: Deed) -> Step {
    Step { at: START + millis, deed }
}

/// An event that never arrives.
pub(crate) fn lost() -> Fate {
    Fate::default()
}

/// An event that arrives so long after its write, as often as that.
pub(crate) fn heard<const TIMES: usize>(arrives: [Millis; TIMES]) -> Fate {
    skewed(0, arrives)
}

/// An event whose clock is wrong by `skew`.
pub(crate) fn skewed<const TIMES: usize>(skew: Millis, arrives: [Millis; TIMES]) -> Fate {
    Fate { skew, arrives: arrives.to_vec() }
}

/// A daemon that is quick, and clocks that are right.
pub(crate) fn calm() -> Pace {
    Pace { recheck_after: 3_000, recheck_takes: 100, recheck_dies: None, clocks: Vec::new() }
}

/// A run in one range with little between its steps.
pub(crate) fn whole() -> Run {
    Run {
        page: 3,
        is_split: false,
        pauses: vec![100],
        is_read_ahead: false,
        judged_after: 0,
        repaired_after: 0,
        dies_after: None,
    }
}

impl Deed {
    /// What becomes of its event, where it has one.
    pub(crate) fn fate(&self) -> Option<&Fate> {
        match self {
            Self::Put(_, _, fate)
            | Self::Complete(_, _, fate)
            | Self::Delete(_, fate)
            | Self::DeleteVersion(_, _, _, fate)
            | Self::Expire(_, _, fate)
            | Self::Bury(_, fate)
            | Self::Replicate(_, _, _, fate)
            | Self::Transition(_, _, _, fate) => Some(fate),
            Self::Begin(..) | Self::Reap(_) | Self::Switch | Self::Run(_) => None,
        }
    }

    pub(crate) fn fate_mut(&mut self) -> Option<&mut Fate> {
        match self {
            Self::Put(_, _, fate)
            | Self::Complete(_, _, fate)
            | Self::Delete(_, fate)
            | Self::DeleteVersion(_, _, _, fate)
            | Self::Expire(_, _, fate)
            | Self::Bury(_, fate)
            | Self::Replicate(_, _, _, fate)
            | Self::Transition(_, _, _, fate) => Some(fate),
            Self::Begin(..) | Self::Reap(_) | Self::Switch | Self::Run(_) => None,
        }
    }
}
