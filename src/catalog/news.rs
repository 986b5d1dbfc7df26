//! Tells those who wait for changes that there are some.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Catalog;
use crate::pulse;

/// The channel on which they are told, by the bucket's name.
const CHANNEL: &str = "catalog_changes";
/// How often they are told of a bucket, at most.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What nobody was told of yet.
#[derive(Debug, Default)]
pub(super) struct News {
    untold: Mutex<Untold>,
    came: Notify,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Untold {
    /// Buckets of which changes are committed.
    noted: BTreeSet<String>,
    /// Buckets whose changes `catalog.changes_since` shows once all transactions before this one
    /// are over.
    waiting: BTreeMap<String, i64>,
}

impl News {
    /// Notes that so many changes of a bucket are committed.
    pub(super) fn note(&self, bucket: &str, changes: usize) {
        if changes == 0 {
            return;
        }
        self.untold().noted.insert(bucket.to_owned());
        self.came.notify_one();
    }

    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Untold {
    /// Takes the buckets that are to be told of, where `oldest` is the oldest transaction under way
    /// and `next` the one that begins next. A bucket that waits is told of before its newer changes
    /// begin to wait, or it would wait for ever under load.
    fn take_shown(&mut self, oldest: i64, next: i64) -> Vec<String> {
        let shown: Vec<String> =
            self.waiting.extract_if(.., |_, until| *until <= oldest).map(|(bucket, _)| bucket).collect();
        for bucket in std::mem::take(&mut self.noted) {
            match self.waiting.entry(bucket) {
                Entry::Occupied(waiting) => drop(self.noted.insert(waiting.key().clone())),
                Entry::Vacant(free) => {
                    free.insert(next);
                }
            }
        }
        shown
    }

    fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.waiting.is_empty()
    }
}

impl Catalog {
    /// Tells who listens on the channel `catalog_changes` of each bucket that changed, until told to
    /// stop. Never in the transaction of the change: from a notifying transaction's commit until it
    /// is on disk, it holds a lock that all of a server share, and workers would queue for it.
    pub async fn keep_telling_changes(self, shutdown: CancellationToken) {
        while pulse::rest(shutdown.run_until_cancelled(self.news.came.notified())).await.is_some() {
            if let Err(error) = self.tell_changes().await {
                tracing::debug!(%error, "tell of changes");
            }
            if !self.news.untold().is_empty() {
                self.news.came.notify_one();
            }
            shutdown.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await;
        }
    }

    /// Tells of the buckets whose changes `catalog.changes_since` shows by now; the others stay.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn tell_changes(&self) -> Result<(), sqlx::Error> {
        if self.news.untold().is_empty() {
            return Ok(());
        }
        let statement =
            "select pg_snapshot_xmin(snapshot)::text::bigint, pg_snapshot_xmax(snapshot)::text::bigint
                         from pg_current_snapshot() as snapshot";
        let (oldest, next) = sqlx::query_as(statement).fetch_one(&self.pool).await?;
        let shown = self.news.untold().take_shown(oldest, next);
        if shown.is_empty() {
            return Ok(());
        }
        let told = sqlx::query("select pg_notify($1, bucket) from unnest($2::text[]) as bucket")
            .bind(CHANNEL)
            .bind(&shown)
            .execute(&self.pool)
            .await;
        if told.is_err() {
            self.news.untold().noted.extend(shown);
        }
        told.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(buckets: &[&str]) -> Untold {
        Untold { noted: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(), ..Untold::default() }
    }

    #[test]
    fn a_bucket_is_told_of_when_its_changes_are_shown() {
        let mut untold = noted(&["a"]);
        assert!(untold.take_shown(7, 9).is_empty());
        assert!(untold.take_shown(8, 9).is_empty(), "8 is older than the change, and under way");
        assert_eq!(untold.take_shown(9, 9), ["a"]);
        assert!(untold.is_empty());
    }

    #[test]
    fn a_bucket_that_changes_all_the_time_is_told_of_all_the_same() {
        let mut untold = noted(&["a"]);
        assert!(untold.take_shown(7, 9).is_empty());
        untold.noted.insert("a".to_owned());
        assert!(untold.take_shown(8, 10).is_empty());
        assert_eq!(untold.take_shown(9, 11), ["a"]);
        assert_eq!(untold, Untold { waiting: BTreeMap::from([("a".to_owned(), 11)]), ..Untold::default() });
    }
}
