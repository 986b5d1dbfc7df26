//! Work that keeps a processor busy, away from what waits for the network.

use tokio::runtime::{Handle, RuntimeFlavor};

/// From this many versions on, merging them takes milliseconds.
const VERSIONS_MIN: usize = 2_000;

/// Does work on so many versions. Where they are many, the other tasks of this thread go on in another one meanwhile: events of
/// other keys, probes, and the stop.
pub(crate) fn with_versions<T>(versions: usize, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread, as tests have, has no other to go on in.
    let may_block =
        || Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if versions >= VERSIONS_MIN && may_block() { tokio::task::block_in_place(work) } else { work() }
}
