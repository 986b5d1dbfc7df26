//! What only the status page asks for. Each statement is bounded in rows, so that a bucket of any size can be shown.

mod folders;
mod history;
mod keys;
mod quarantine;
mod runs;
mod stats;

pub use folders::{Entry, Inside};
pub use history::Change;
pub use keys::{KeyDoubt, KeyDrift, KeyVersion};
pub use quarantine::QuarantinedMessage;
pub use runs::{RangeUnderWay, RunLine, RunUnderWay};
pub use stats::StatsLine;
