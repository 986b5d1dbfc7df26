//! The edge to the objects of a bucket: inventory reports are some.

use std::future::Future;

use crate::fault::Fault;

/// A bucket to read objects of. The one real implementation is [`super::s3::Bucket`]; tests script
/// faults.
pub trait Objects: Send + Sync + 'static {
    /// The folders right below `prefix`, which ends in `/`: each with the whole of its path, which
    /// ends in `/`, in byte order. Those before `after` may be left out.
    fn folders(&self, prefix: &str, after: &str) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// Up to `length` bytes of an object, from its byte `from` on, counted from 0. Fewer only where it
    /// ends.
    fn read(&self, key: &str, from: u64, length: u64) -> impl Future<Output = Result<Vec<u8>, Fault>> + Send;
}
