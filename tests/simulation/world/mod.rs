//! A reference S3: one bucket, as the documentation and the field describe it, in the fewest words.
//!
//! The one rule that explains the rest: a version's place in its key's stack is its creation
//! *stamp*. A request is stamped when it arrives, a multipart upload when it is started, a
//! lifecycle marker at midnight, a replica when its original was written.

mod bucket;
mod event;
mod pages;
mod shelf;
#[cfg(test)]
mod tests;

pub(crate) use bucket::{Bucket, RemovalStamp};
pub(crate) use event::{Event, Personality};
pub(crate) use pages::{After, Page};
pub(crate) use shelf::Entry;

/// Milliseconds of virtual time.
pub(crate) type Millis = i64;

/// One second.
pub(crate) const SECOND: Millis = 1_000;
/// One day.
pub(crate) const DAY: Millis = 86_400 * SECOND;

/// The name of a key: `'a'`, `'b'` or `'c'`.
pub(crate) type Key = char;

/// When S3 holds a version to have been created, in microseconds; unique among requests.
pub(crate) type Stamp = i64;
