//! Moments and windows on S3's clock. Our own clock is never compared with S3's.

use std::cmp::Ordering;
use std::time::Duration;

/// S3 tells the time in whole seconds: in the dates of versions and in those of its answers.
pub(super) const RESOLUTION: Duration = Duration::from_secs(1);

/// A moment in microseconds since 1970-01-01T00:00:00Z: the resolution Postgres keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after (before, when negative) the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment `by` later; the end of time where that cannot be said.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// The moment `by` earlier; the beginning of time where that cannot be said.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// How far two moments are apart, whichever is first.
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// An interval of S3's clock, both ends included, in which something is known to have been true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The earliest moment it can have been.
    pub from: Timestamp,
    /// The latest moment it can have been.
    pub to: Timestamp,
}

impl Window {
    /// Before all others: of what was never known.
    pub(super) const NEVER: Self = Self { from: Timestamp(i64::MIN), to: Timestamp(i64::MIN) };

    /// The window an event at `time` happened in, when S3's clocks disagree by up to `margin`.
    pub fn around(time: Timestamp, margin: Duration) -> Self {
        Self { from: time, to: time }.widened(margin)
    }

    /// What this window may be on another of S3's clocks.
    #[must_use]
    pub fn widened(self, margin: Duration) -> Self {
        Self { from: self.from.minus(margin), to: self.to.plus(margin) }
    }

    /// Which of two windows is the earlier; none where they overlap and nobody can tell.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        if self.is_before(other) {
            Some(Ordering::Less)
        } else {
            other.is_before(self).then_some(Ordering::Greater)
        }
    }

    /// Whether all of this window is earlier than all of `other`.
    pub fn is_before(self, other: Self) -> bool {
        self.to < other.from
    }

    /// The window that begins and ends no earlier than either: what is known of a fact seen twice.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.max(other.to) }
    }

    /// The smallest window that holds both: of entries that came on several pages.
    #[must_use]
    pub fn span(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }
}
