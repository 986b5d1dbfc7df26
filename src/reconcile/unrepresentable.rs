//! Reports keys of a connection that the catalog cannot hold.

use super::schedule::Keeper;
use crate::bucket::{Bucket, Objects};
use crate::catalog::{Connection, UNREPRESENTABLE_MAX, UnrepresentableKeys};
use crate::health::Subject;
use crate::metrics;
use crate::words::grouped;

/// Bytes of a key that a message shows.
const KEY_SHOWN_MAX: usize = 60;
/// What to do about keys that the catalog cannot hold.
const UNREPRESENTABLE_REMEDY: &str = "catalog.unrepresentable has them: copy each object to a key of UTF-8 without U+0000 that is shorter, and \
                                      delete the old one; the next listing clears this";

impl<B: Bucket + Objects> Keeper<B> {
    /// Reports keys that the catalog cannot hold.
    pub(super) async fn tell_unrepresentable(&self) {
        let Connection { bucket, prefix, .. } = &*self.connection;
        let subject = Subject::Unrepresentable { name: bucket.clone(), prefix: prefix.clone() };
        // The watch of the database tells why it does not answer.
        let Ok(keys) = self.catalog.unrepresentable(&self.connection).await else { return };
        metrics::unrepresentable_keys(bucket, prefix).set(keys.as_ref().map_or(0, |keys| keys.count) as f64);
        match keys {
            None => drop(self.health.ok(subject)),
            Some(keys) => {
                let message = unrepresentable(&keys);
                if self.health.problem(subject, &message, UNREPRESENTABLE_REMEDY, (self.clock)()) {
                    tracing::warn!(bucket, prefix, remedy = UNREPRESENTABLE_REMEDY, "{message}");
                }
            }
        }
    }
}

/// What is wrong where the catalog cannot hold keys.
fn unrepresentable(keys: &UnrepresentableKeys) -> String {
    let UnrepresentableKeys { count, first, reason } = keys;
    let more = if *count >= UNREPRESENTABLE_MAX { " or more" } else { "" };
    let shown = first[..first.len().min(KEY_SHOWN_MAX)].escape_ascii();
    let rest = if first.len() > KEY_SHOWN_MAX { "…" } else { "" };
    let keys = if *count == 1 { "1 key".to_owned() } else { format!("{}{more} keys", grouped(*count)) };
    format!("the catalog cannot hold {keys} of the bucket, in byte order first \"{shown}{rest}\" ({reason})")
}
