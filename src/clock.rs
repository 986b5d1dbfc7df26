//! The one place that asks what time it is. Everything else is told.

use time::OffsetDateTime;

use crate::model::Timestamp;

/// Tells our own time; tests tell another.
pub type Clock = fn() -> OffsetDateTime;

/// Our own clock, for what we record about ourselves. Nothing is decided by comparing it with
/// S3's; a metric and the patience of a scheduled run may.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

impl From<OffsetDateTime> for Timestamp {
    fn from(date: OffsetDateTime) -> Self {
        Self::from_micros(i64::try_from(date.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
    }
}

/// Dates end where the calendar does: in the years -9999 and 9999.
impl From<Timestamp> for OffsetDateTime {
    fn from(moment: Timestamp) -> Self {
        let nanos = i128::from(moment.as_micros()) * 1_000;
        let end = if nanos < 0 { time::Date::MIN } else { time::Date::MAX };
        Self::from_unix_timestamp_nanos(nanos).unwrap_or(end.midnight().assume_utc())
    }
}
