//! Setting up what lies between a bucket and the daemon: which policies it takes, whether all is
//! as it must be, and the way there.

mod arn;
pub(crate) mod aws;
mod checks;
pub mod connect;
pub mod doctor;
pub mod documents;
pub mod estate;
mod finding;
mod grant;
mod notice;
pub mod plan;
pub mod policy;
pub mod probe;
pub(crate) mod rounds;
mod terraform;

pub use arn::{Arn, is_account};
pub use checks::Wish;
pub use finding::{Finding, Verdict};
pub use terraform::terraform;

use time::OffsetDateTime;

use crate::catalog::{Server, Uninspected};

/// Checks Postgres, of which `server` is what it told, or why it did not.
pub fn examine_database(
    server: &Result<Server, Uninspected>,
    connections: u32,
    now: OffsetDateTime,
) -> Vec<Finding> {
    checks::database(server, connections, now)
}

/// Checks how many tables the rows of a bucket are spread over, which are to be `wanted`.
pub fn examine_partitions(bucket: &str, wanted: u32, found: u32) -> Finding {
    checks::partitions(bucket, wanted, found)
}
