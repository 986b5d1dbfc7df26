//! The one place that asks what time it is. Everything else is told.

use time::OffsetDateTime;

/// Our own clock, for what we record about ourselves. It is never compared with S3's.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
