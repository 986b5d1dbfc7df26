//! The requests a bucket answers, and the events it sends about them.

use std::collections::BTreeMap;

use stocktake::bucket::Versioning;
use stocktake::model::{Content, Listed, State, VersionId};

use super::event::{Event, Personality};
use super::shelf::{Entry, Shelf};
use super::{DAY, Key, Millis, Stamp};

/// What the event of a removal by version id carries; nobody has documented which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemovalStamp {
    /// The stamp of the request.
    Fresh,
    /// The stamp of the version removed.
    Victims,
}

/// A bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    versioning: Versioning,
    personality: Personality,
    pub(super) shelves: BTreeMap<Key, Shelf>,
    uploads: BTreeMap<u8, (Key, Stamp)>,
    last_stamp: Stamp,
    versions: u32,
    /// Every version there ever was, visible or not: what a catalog may hold at all.
    ever: Vec<(Key, VersionId, State)>,
}

impl Bucket {
    pub(crate) fn new(versioning: Versioning, personality: Personality) -> Self {
        Self {
            versioning,
            personality,
            shelves: BTreeMap::new(),
            uploads: BTreeMap::new(),
            last_stamp: 0,
            versions: 0,
            ever: Vec::new(),
        }
    }

    /// Turns versioning on or off; once on, it can only be suspended.
    pub(crate) fn switch(&mut self) {
        self.versioning = match self.versioning {
            Versioning::Unversioned | Versioning::Suspended => Versioning::Enabled,
            Versioning::Enabled => Versioning::Suspended,
        };
    }

    pub(crate) fn put(&mut self, key: Key, content: Content, now: Millis) -> Event {
        let stamp = self.stamp(now);
        self.write("ObjectCreated:Put", key, content, stamp, now)
    }

    /// Starts a multipart upload. Nothing is sent about that.
    pub(crate) fn begin(&mut self, upload: u8, key: Key, now: Millis) {
        let stamp = self.stamp(now);
        self.uploads.insert(upload, (key, stamp));
    }

    /// Completes a multipart upload, whose place is that of its start. The event is sent even
    /// where the object was overtaken and never becomes visible.
    pub(crate) fn complete(&mut self, upload: u8, content: Content, now: Millis) -> Option<Event> {
        let (key, stamp) = self.uploads.remove(&upload)?;
        Some(self.write("ObjectCreated:CompleteMultipartUpload", key, content, stamp, now))
    }

    /// A DELETE that names no version. Whether there is anything to delete does not matter.
    pub(crate) fn delete(&mut self, key: Key, now: Millis) -> Event {
        let stamp = self.stamp(now);
        if self.versioning == Versioning::Unversioned {
            self.shelf(key).remove(&VersionId::null(), stamp);
            return self.event("ObjectRemoved:Delete", key, &VersionId::null(), stamp, now);
        }
        self.mark("ObjectRemoved:DeleteMarkerCreated", key, stamp, now)
    }

    /// A DELETE of the nth version of a key, `null` among them.
    pub(crate) fn delete_version(
        &mut self,
        key: Key,
        nth: usize,
        carries: RemovalStamp,
        now: Millis,
    ) -> Option<Event> {
        let victim = self.nth(key, nth)?;
        let stamp = match carries {
            RemovalStamp::Fresh => self.stamp(now),
            RemovalStamp::Victims => victim.stamp,
        };
        self.shelf(key).remove(&victim.version, stamp);
        Some(self.event("ObjectRemoved:Delete", key, &victim.version, stamp, now))
    }

    /// Lifecycle removes the nth version: the current one of an unversioned bucket, a noncurrent
    /// one of any other. Its event carries the stamp of what it removes.
    pub(crate) fn expire(&mut self, key: Key, nth: usize, now: Millis) -> Option<Event> {
        let is_versioned = self.versioning != Versioning::Unversioned;
        let victim = self.nth(key, nth + usize::from(is_versioned))?;
        self.shelf(key).remove(&victim.version, victim.stamp);
        Some(self.event("LifecycleExpiration:Delete", key, &victim.version, victim.stamp, now))
    }

    /// Lifecycle hides a key behind a marker, which it stamps with the midnight before.
    /// It does so only where there is an object from before that midnight.
    pub(crate) fn bury(&mut self, key: Key, now: Millis) -> Option<Event> {
        let midnight = now.div_euclid(DAY) * DAY * 1_000;
        let is_null_fresh = self.shelf(key).null_since() > Some(midnight);
        let entries = self.shelf(key).entries();
        let is_due = entries.iter().any(|entry| entry.stamp < midnight && entry.state != State::Marker)
            && entries.iter().all(|entry| entry.stamp != midnight);
        let is_possible = match self.versioning {
            Versioning::Unversioned => false,
            Versioning::Enabled => true,
            Versioning::Suspended => !is_null_fresh,
        };
        (is_due && is_possible)
            .then(|| self.mark("LifecycleExpiration:DeleteMarkerCreated", key, midnight, now))
    }

    /// Lifecycle removes a marker that hides nothing any more, and says nothing. Whether it did.
    pub(crate) fn reap(&mut self, key: Key) -> bool {
        let shelf = self.shelf(key);
        let [marker] = shelf.entries() else { return false };
        let Entry { version, stamp, state, .. } = marker.clone();
        state == State::Marker && shelf.remove(&version, stamp).is_some()
    }

    /// Replication delivers a version with the id and the date it had where it comes from.
    pub(crate) fn replicate(
        &mut self,
        key: Key,
        content: Content,
        age: Millis,
        now: Millis,
    ) -> Option<Event> {
        if self.versioning != Versioning::Enabled {
            return None;
        }
        // Half a millisecond aside, where no request of this bucket is stamped.
        let stamp = self.stamp(now) - age * 1_000 + 500;
        Some(self.write("ObjectCreated:Put", key, content, stamp, now))
    }

    /// Lifecycle moves the nth version to another storage class.
    pub(crate) fn transition(&mut self, key: Key, nth: usize, class: &str, now: Millis) -> Option<Event> {
        let personality = self.personality;
        let entry = self.shelf(key).transition(nth, class)?;
        Some(Event::transition(key, entry, personality, now))
    }

    /// What a listing of one key shows at this moment.
    pub(crate) fn listed(&self, key: Key) -> Vec<Listed> {
        self.shelves.get(&key).map(|shelf| shelf.listed().collect()).unwrap_or_default()
    }

    /// The stamp of the last write or removal of a key's null version.
    pub(crate) fn null_since(&self, key: Key) -> Option<Stamp> {
        self.shelves.get(&key).and_then(Shelf::null_since)
    }

    /// How often there was such a version, if only for S3's events.
    pub(crate) fn times(&self, key: Key, version: &VersionId, state: &State) -> usize {
        self.ever.iter().filter(|(k, v, s)| *k == key && v == version && s == state).count()
    }

    fn write(&mut self, name: &'static str, key: Key, content: Content, stamp: Stamp, now: Millis) -> Event {
        let version = self.fresh_version();
        self.place(
            key,
            Entry {
                version: version.clone(),
                stamp,
                state: State::Object(content.clone()),
                storage_class: Some("STANDARD".to_owned()),
            },
        );
        self.event(name, key, &version, stamp, now).with_content(&content)
    }

    fn mark(&mut self, name: &'static str, key: Key, stamp: Stamp, now: Millis) -> Event {
        let version = self.fresh_version();
        self.place(key, Entry { version: version.clone(), stamp, state: State::Marker, storage_class: None });
        self.event(name, key, &version, stamp, now).with_empty_etag()
    }

    fn place(&mut self, key: Key, entry: Entry) {
        self.ever.push((key, entry.version.clone(), entry.state.clone()));
        self.shelf(key).place(entry);
    }

    fn event(&self, name: &'static str, key: Key, version: &VersionId, stamp: Stamp, now: Millis) -> Event {
        Event::new(name, key, version, self.personality, stamp, now)
    }

    /// Ids are in no order.
    fn fresh_version(&mut self) -> VersionId {
        if self.versioning != Versioning::Enabled {
            return VersionId::null();
        }
        self.versions += 1;
        let letter = char::from(b'a' + (self.versions * 11 % 26) as u8);
        VersionId::parse(Some(&format!("{letter}{}", self.versions)))
    }

    fn nth(&self, key: Key, nth: usize) -> Option<Entry> {
        self.shelves.get(&key)?.entries().get(nth).cloned()
    }

    fn shelf(&mut self, key: Key) -> &mut Shelf {
        self.shelves.entry(key).or_default()
    }

    fn stamp(&mut self, now: Millis) -> Stamp {
        self.last_stamp = (self.last_stamp + 1).max(now * 1_000);
        self.last_stamp
    }
}
