//! The keys of a page. Nearly all are compared with what is held, found the same and forgotten, so they are kept in
//! four pieces of memory, however many there are.

use std::fmt;
use std::ops::Range;

use crate::model::{Listed, Timestamp, Told};

/// Keys (decoded), each with its entries, in the order in which they were put in.
#[derive(Clone, Default)]
pub struct Keys {
    /// The keys, one after the other, without anything between them.
    names: String,
    /// Where each of them ends in `names`, and in `entries`.
    ends: Vec<(usize, usize)>,
    /// What entries have of text.
    texts: String,
    entries: Vec<Entry>,
}

/// What an entry has of its own. A text that it lacks has no place.
#[derive(Clone)]
struct Entry {
    version: Range<usize>,
    etag: Option<Range<usize>>,
    storage_class: Option<Range<usize>>,
    size: Option<i64>,
    last_modified: Timestamp,
    is_latest: bool,
    is_marker: bool,
}

/// One of the keys.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// The key itself.
    pub name: &'a str,
    texts: &'a str,
    entries: &'a [Entry],
}

impl Keys {
    /// A key alone.
    pub fn of(key: Key<'_>) -> Self {
        let mut keys = Self::default();
        keys.begin(key.name);
        key.told().for_each(|told| keys.push(told));
        keys
    }

    /// Puts in a key, of which there is no entry yet.
    pub fn begin(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push((self.names.len(), self.entries.len()));
    }

    /// Puts in an entry of the last key; none has one before the first.
    pub fn push(&mut self, told: Told<'_>) {
        let Some((_, end)) = self.ends.last_mut() else { return };
        let mut put = |text: &str| {
            let begin = self.texts.len();
            self.texts.push_str(text);
            begin..self.texts.len()
        };
        self.entries.push(Entry {
            version: put(told.version),
            etag: told.etag.map(&mut put),
            storage_class: told.storage_class.map(&mut put),
            size: told.size,
            last_modified: told.last_modified,
            is_latest: told.is_latest,
            is_marker: told.is_marker,
        });
        *end = self.entries.len();
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key at a place, counted from 0.
    pub fn get(&self, place: usize) -> Option<Key<'_>> {
        let &(name_end, end) = self.ends.get(place)?;
        let (name, begin) = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => (0, 0),
        };
        Some(Key {
            name: &self.names[name..name_end],
            texts: &self.texts,
            entries: &self.entries[begin..end],
        })
    }

    /// The first key.
    pub fn first(&self) -> Option<Key<'_>> {
        self.get(0)
    }

    /// The last key.
    pub fn last(&self) -> Option<Key<'_>> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All keys, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Key<'_>> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// All entries, with their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Told<'_>)> {
        self.iter().flat_map(|key| key.told().map(move |told| (key.name, told)))
    }

    /// Keeps so many of the keys, the first.
    pub fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        let (name_end, end) = self.ends.last().copied().unwrap_or_default();
        self.names.truncate(name_end);
        self.entries.truncate(end);
    }
}

impl<'a> Key<'a> {
    /// How many entries there are.
    pub fn len(self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.entries.is_empty()
    }

    /// What each entry tells, in the order of the listing.
    pub fn told(self) -> impl ExactSizeIterator<Item = Told<'a>> {
        let text = move |place: &Range<usize>| &self.texts[place.clone()];
        self.entries.iter().map(move |entry| Told {
            version: text(&entry.version),
            is_latest: entry.is_latest,
            is_marker: entry.is_marker,
            etag: entry.etag.as_ref().map(text),
            size: entry.size,
            last_modified: entry.last_modified,
            storage_class: entry.storage_class.as_ref().map(text),
        })
    }

    /// The entries, each on its own.
    pub fn listed(self) -> Vec<Listed> {
        self.told().map(|told| told.listed()).collect()
    }
}

/// What stands together of one key is put together.
impl<'a> FromIterator<(&'a str, Told<'a>)> for Keys {
    fn from_iter<I: IntoIterator<Item = (&'a str, Told<'a>)>>(entries: I) -> Self {
        let mut keys = Self::default();
        for (name, told) in entries {
            if keys.last().is_none_or(|last| last.name != name) {
                keys.begin(name);
            }
            keys.push(told);
        }
        keys
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter().map(|key| (key.name, key.listed()))).finish()
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let alike = |(one, other): (Key<'_>, Key<'_>)| one.name == other.name && one.told().eq(other.told());
        self.len() == other.len() && self.iter().zip(other.iter()).all(alike)
    }
}

impl Eq for Keys {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, State, VersionId};

    fn listed(version: &str, etag: Option<&str>, storage_class: Option<&str>) -> Listed {
        Listed {
            version: VersionId::parse(Some(version)),
            is_latest: true,
            state: State::Object(Content { etag: etag.map(str::to_owned), size: Some(7) }),
            last_modified: Timestamp::from_micros(5),
            storage_class: storage_class.map(str::to_owned),
        }
    }

    fn three() -> (Vec<(&'static str, Vec<Listed>)>, Keys) {
        let marker = Listed { state: State::Marker, ..listed("m", None, None) };
        let keys = vec![
            ("a", vec![listed("1", Some("e"), None), marker]),
            ("é", vec![listed("2", None, Some("GLACIER"))]),
            ("z", vec![listed("3", Some("e"), Some("STANDARD"))]),
        ];
        let entries = keys.iter().flat_map(|(key, entries)| entries.iter().map(|entry| (*key, entry.told())));
        let put_in = entries.collect();
        (keys, put_in)
    }

    fn taken_out(keys: &Keys) -> Vec<(&str, Vec<Listed>)> {
        keys.iter().map(|key| (key.name, key.listed())).collect()
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let (expected, mut keys) = three();
        assert_eq!(taken_out(&keys), expected);
        assert_eq!((keys.len(), keys.last().map(|key| key.name)), (3, Some("z")));
        keys.truncate(2);
        assert_eq!(taken_out(&keys), expected[..2]);
        assert_eq!(taken_out(&Keys::of(keys.first().unwrap())), expected[..1]);
        keys.begin("nothing");
        assert!(keys.last().is_some_and(|last| last.is_empty() && last.name == "nothing"));
    }
}
