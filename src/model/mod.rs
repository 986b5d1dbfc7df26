//! What is decided, and nothing else: no clock, no I/O, no async, no SQL and no AWS types.
//!
//! Events are *claims*: late, doubled, out of order, perhaps the only one that ever arrives.
//! Listings are *observations*: true at some moment inside a [`Window`]. The versions of one key
//! are a [`Stack`] of [`Slot`]s; [`Stack::apply`] merges a claim into it and [`Stack::observe`] an
//! observation. What the two cannot decide is a [`Doubt`]: the key is listed again, alone.
//!
//! Every path (events, rechecks, repairs) goes through these two functions.

mod attributes;
mod change;
mod claim;
mod decide;
mod doubt;
mod evidence;
#[cfg(test)]
mod examples;
mod fingerprint;
mod join;
mod latest;
mod merge;
mod nominate;
mod observe;
mod partition;
mod prefix;
mod sample;
mod sequencer;
mod shown;
mod slot;
mod stack;
mod time;
mod unrepresentable;
mod version;

pub use change::{Change, Changed};
pub use claim::{Attributes, Claim, Fact};
pub use doubt::Doubt;
pub use fingerprint::Fingerprint;
pub use join::{Join, Pair, Step, Unsorted};
pub use merge::{Horizon, Outcome, Verdict};
pub use nominate::{Report, Scope};
pub use observe::{Drift, Glance, Listed, Observation};
pub use partition::{Span, middle, partition, shared};
pub use prefix::after_prefix;
pub use sample::{Sample, share};
pub use sequencer::Sequencer;
pub use shown::{Told, is_as_listed};
pub use slot::{Content, Slot, State};
pub use stack::{Stack, Write};
pub use time::{Timestamp, Window};
pub use unrepresentable::{RawKey, Reason as Unrepresentable, fits, representable, text_after, text_before};
pub use version::VersionId;
