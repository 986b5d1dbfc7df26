//! From what was seen to what it means: no call of AWS is in here, and no clock.

mod access;
mod bridge;
mod bucket;
mod database;
mod delivery;
mod key;
mod locks;
mod partitions;
mod queue;

pub(super) use access::{access, chained};
pub(super) use bucket::{allowed, bucket};
pub(super) use database::database;
pub(super) use delivery::{Hops, delivery, described, storage_classes, ways_round};
pub(super) use key::{Reader, key};
pub(super) use partitions::partitions;
#[cfg(test)]
pub(super) use queue::MESSAGE_BYTES;
pub(super) use queue::{dead_letters, policy, queue, sample};

use std::time::Duration;

use crate::bucket::details::Enrich;
use crate::words::lasting;

/// What the configuration wants of one part of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The bucket's name.
    pub name: String,
    /// What keys begin with; empty for all.
    pub prefix: String,
    /// The region it must be in, if the configuration says so.
    pub region: Option<String>,
    /// The URLs of the queues that its events may arrive in.
    pub queues: Vec<String>,
    /// The role that is taken on for the bucket.
    pub role: Option<String>,
    /// What is asked of each version that is created.
    pub enrich: Enrich,
}

/// A duration as people say it.
fn words(duration: Duration) -> String {
    lasting(Duration::from_secs(duration.as_secs()))
}
