//! What happened last: told to the catalog from time to time, apart from the batches.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::Known;
use crate::catalog::{Catalog, Connection, Traffic};
use crate::model::Timestamp;
use crate::pulse;

/// How often the catalog is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often it is told how many events there were: some times a minute, so that every minute has its share.
const COUNT_EVERY: Duration = Duration::from_secs(20);

/// How old the messages are that are being received, by queue, and whether it answered when it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<Mutex<Ages>>);

/// By queue: the age, and whether the queue answered since.
type Ages = HashMap<Arc<str>, (Duration, bool)>;

impl Backlog {
    /// The age of the oldest message of the last answer, over all queues.
    pub fn age(&self) -> Duration {
        self.ages().values().map(|(age, _)| *age).max().unwrap_or_default()
    }

    /// The same over those queues only that answered when they were last asked; none if none did.
    pub fn heard(&self) -> Option<Duration> {
        self.ages().values().filter_map(|(age, is_heard)| is_heard.then_some(*age)).max()
    }

    pub(super) fn note(&self, queue: &Arc<str>, age: Duration) {
        self.ages().insert(Arc::clone(queue), (age, true));
    }

    /// Notes that a queue did not answer. What waited in it may still do so.
    pub(super) fn note_silence(&self, queue: &Arc<str>) {
        if let Some((_, is_heard)) = self.ages().get_mut(queue) {
            *is_heard = false;
        }
    }

    fn ages(&self) -> MutexGuard<'_, Ages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest event of each connection, and when each queue was last seen empty.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// By bucket and prefix.
    last_event: HashMap<(String, String), Timestamp>,
    empty: HashMap<Arc<str>, Option<OffsetDateTime>>,
    received: HashMap<Arc<str>, OffsetDateTime>,
    told: HashMap<(String, String), (Option<Timestamp>, Option<OffsetDateTime>)>,
    /// What the catalog was not told of yet, by bucket and prefix.
    traffic: HashMap<(String, String), Traffic>,
}

impl Activity {
    /// Counts `queue` among those that must be empty for anything to be caught up.
    pub(super) fn expect(&self, queue: &Arc<str>) {
        self.seen().empty.entry(Arc::clone(queue)).or_default();
    }

    /// Notes that events of a connection up to `time` are committed.
    pub(super) fn note_events(&self, connection: &Connection, time: Timestamp, traffic: Traffic) {
        let mut seen = self.seen();
        let name = (connection.bucket.clone(), connection.prefix.clone());
        seen.traffic.entry(name.clone()).or_default().add(traffic);
        let last = seen.last_event.entry(name).or_insert(time);
        *last = time.max(*last);
    }

    /// Notes that a queue had nothing waiting, and nothing of it is in hand.
    pub(super) fn note_empty(&self, queue: &Arc<str>, now: OffsetDateTime) {
        self.seen().empty.insert(Arc::clone(queue), Some(now));
    }

    /// Notes that what was sent to a queue before `through` was received.
    pub(super) fn note_received(&self, queue: &Arc<str>, through: OffsetDateTime) {
        let mut seen = self.seen();
        let last = seen.received.entry(Arc::clone(queue)).or_insert(through);
        *last = through.max(*last);
    }

    /// What was sent to a queue before this was received; none before the first answer.
    pub(super) fn received(&self, queue: &str) -> Option<OffsetDateTime> {
        self.seen().received.get(queue).copied()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the catalog what is new, until told to stop.
    pub async fn keep_telling(self, catalog: Catalog, known: Known, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await.is_some() {
            pulse::beat();
            self.tell(&catalog, &known).await;
        }
    }

    /// Tells the catalog how many events there were, until told to stop.
    pub async fn keep_counting(self, catalog: Catalog, known: Known, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_some() {
            pulse::beat();
            self.tell_traffic(&catalog, &known.all()).await;
        }
    }

    /// Tells the catalog how many events there were since it was last told. What it does not take is told with the next.
    pub async fn tell_traffic(&self, catalog: &Catalog, connections: &[Arc<Connection>]) {
        let mut counted = mem::take(&mut self.seen().traffic);
        let traffic = connections.iter().map(|connection| {
            let name = (connection.bucket.clone(), connection.prefix.clone());
            (&**connection, counted.get(&name).copied().unwrap_or_default())
        });
        let noted = catalog.note_history(&traffic.collect::<Vec<_>>()).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "note the history");
            let mut seen = self.seen();
            counted.drain().for_each(|(name, traffic)| seen.traffic.entry(name).or_default().add(traffic));
        }
    }

    /// Tells the catalog what is new.
    pub async fn tell(&self, catalog: &Catalog, known: &Known) {
        for connection in &*known.all() {
            pulse::beat();
            // What others have may come by queues that are none of ours.
            let is_ours = known.own().contains(connection);
            self.tell_one(catalog, connection, is_ours).await;
        }
    }

    async fn tell_one(&self, catalog: &Catalog, connection: &Connection, is_ours: bool) {
        let name = (connection.bucket.clone(), connection.prefix.clone());
        let news = {
            let seen = self.seen();
            // A queue that was never seen empty leaves everything behind.
            let caught_up = seen.empty.values().copied().min().flatten().filter(|_| is_ours);
            let news = (seen.last_event.get(&name).copied(), caught_up);
            if seen.told.get(&name) == Some(&news) || news == (None, None) {
                return;
            }
            news
        };
        match catalog.note_activity(connection, news.0, news.1).await {
            Ok(()) => drop(self.seen().told.insert(name, news)),
            Err(error) => tracing::debug!(%error, "note activity"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_queue_that_is_gone_the_age_is_remembered_and_not_told() {
        let backlog = Backlog::default();
        assert_eq!((backlog.heard(), backlog.age()), (None, Duration::ZERO));
        let (first, second): (Arc<str>, Arc<str>) = ("first".into(), "second".into());
        backlog.note(&first, Duration::from_secs(7));
        backlog.note(&second, Duration::from_secs(3));
        assert_eq!(backlog.heard(), Some(Duration::from_secs(7)));
        backlog.note_silence(&first);
        assert_eq!((backlog.heard(), backlog.age()), (Some(Duration::from_secs(3)), Duration::from_secs(7)));
        backlog.note_silence(&second);
        assert_eq!(backlog.heard(), None);
        backlog.note(&first, Duration::ZERO);
        assert_eq!((backlog.heard(), backlog.age()), (Some(Duration::ZERO), Duration::from_secs(3)));
    }
}
