//! The objects of a bucket in memory: what reports are delivered to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use stocktake::bucket::Objects;
use stocktake::fault::{Fault, Kind};

use super::{Store, fault};

/// Objects by their keys, and how many more may be read until all is denied.
type State = (BTreeMap<String, Vec<u8>>, Option<usize>);

/// Where a report lies.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<State>);

impl Store {
    /// Puts objects, or, for an empty one, takes it away.
    pub(crate) fn deliver(&self, objects: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let mut shelf = self.shelf.state();
        for (key, bytes) in objects {
            if bytes.is_empty() {
                shelf.0.remove(&key)
            } else {
                shelf.0.insert(key, bytes)
            };
        }
    }

    /// So many more reads are answered; none, for all of them.
    pub(crate) fn answer_reads(&self, reads: Option<usize>) {
        self.shelf.state().1 = reads;
    }
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Objects for Store {
    async fn folders(&self, prefix: &str, after: &str) -> Result<Vec<String>, Fault> {
        let shelf = self.shelf.state();
        let below =
            shelf.0.keys().filter(|key| key.as_str() > after).filter_map(|key| key.strip_prefix(prefix));
        let mut folders: Vec<String> =
            below.filter_map(|rest| Some(format!("{prefix}{}/", rest.split_once('/')?.0))).collect();
        folders.dedup();
        Ok(folders)
    }

    async fn read(&self, key: &str, from: u64, length: u64) -> Result<Vec<u8>, Fault> {
        let mut shelf = self.shelf.state();
        match &mut shelf.1 {
            Some(0) => return Err(fault("AccessDenied")),
            Some(reads) => *reads -= 1,
            None => {}
        }
        let absent = || Fault { kind: Kind::Absent, ..fault("NoSuchKey") };
        let bytes = shelf.0.get(key).ok_or_else(absent)?;
        let from = bytes.len().min(usize::try_from(from).unwrap());
        let to = bytes.len().min(from + usize::try_from(length).unwrap());
        Ok(bytes[from..to].to_vec())
    }
}
