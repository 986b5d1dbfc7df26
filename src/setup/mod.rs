//! Setting up what lies between a bucket and the daemon: which policies it takes, whether all is
//! as it must be, and the way there.

mod arn;
pub mod documents;
pub mod policy;

pub use arn::{Arn, is_account, partition};
