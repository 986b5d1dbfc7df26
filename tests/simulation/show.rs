//! How histories and their traces read.

use std::fmt;

use crate::history::Deed;
use crate::world::Event;

impl fmt::Display for Deed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, bytes, _) => write!(formatter, "put {key} {bytes}"),
            Self::Begin(upload, key) => write!(formatter, "upload {upload} of {key} is started"),
            Self::Complete(upload, bytes, _) => write!(formatter, "upload {upload} {bytes} is completed"),
            Self::Delete(key, _) => write!(formatter, "delete {key}"),
            Self::DeleteVersion(key, nth, ..) => write!(formatter, "delete version {nth} of {key}"),
            Self::Expire(key, nth, _) => write!(formatter, "lifecycle removes version {nth} of {key}"),
            Self::Bury(key, _) => write!(formatter, "lifecycle hides {key} behind a marker"),
            Self::Reap(key) => write!(formatter, "lifecycle silently removes the lone marker of {key}"),
            Self::Replicate(key, bytes, age, _) => {
                write!(formatter, "replica {key} {bytes} of {} s ago", age / 1_000)
            }
            Self::Transition(key, nth, class, _) => write!(formatter, "version {nth} of {key} to {class}"),
            Self::Switch => write!(formatter, "versioning is switched"),
            Self::Run(run) => write!(formatter, "a run begins: {run:?}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, " [{} {}", self.name, self.key)?;
        write!(formatter, " {}", self.version_id.as_deref().unwrap_or("-"))?;
        write!(formatter, " {}", self.sequencer.as_deref().unwrap_or("no sequencer"))?;
        if let Some(etag) = &self.etag {
            write!(formatter, " {etag}")?;
        }
        write!(formatter, " at {}]", self.time as f64 / 1_000.0)
    }
}
