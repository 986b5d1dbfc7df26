//! What S3 tells about its writes: exactly the fields each kind of event has.

use stocktake::model::{Attributes, Claim, Content, Fact, Sequencer, Timestamp, VersionId};

use super::{Entry, Key, Millis, Stamp};

/// What a store puts in its events as the sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Personality {
    /// The stamp, as S3 does.
    Stamps,
    /// The same for everything, as one emulator does.
    Constant,
    /// Nothing, as another does.
    Nothing,
}

impl Personality {
    fn sequencer(self, stamp: Stamp) -> Option<String> {
        match self {
            // Both shapes that are seen in the field: 18 digits, and 16 lower-case ones.
            Self::Stamps if stamp % 2 == 0 => Some(format!("{stamp:018X}")),
            Self::Stamps => Some(format!("{stamp:x}")),
            Self::Constant => Some("0055AED6DCD90281E5".to_owned()),
            Self::Nothing => None,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) key: Key,
    pub(crate) version_id: Option<String>,
    pub(crate) sequencer: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<i64>,
    /// Of transitions only.
    pub(crate) storage_class: Option<String>,
    pub(crate) time: Millis,
}

impl Event {
    /// An event about a version. Events never name the null version.
    pub(super) fn new(
        name: &'static str,
        key: Key,
        version: &VersionId,
        personality: Personality,
        stamp: Stamp,
        time: Millis,
    ) -> Self {
        Self {
            name,
            key,
            version_id: (!version.is_null()).then(|| version.as_str().to_owned()),
            sequencer: personality.sequencer(stamp),
            etag: None,
            size: None,
            storage_class: None,
            time,
        }
    }

    pub(super) fn with_content(self, content: &Content) -> Self {
        Self { etag: content.etag.clone(), size: content.size, ..self }
    }

    /// Events about markers carry the entity tag of nothing.
    pub(super) fn with_empty_etag(self) -> Self {
        Self { etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()), ..self }
    }

    pub(super) fn transition(key: Key, entry: &Entry, personality: Personality, time: Millis) -> Self {
        let event = Self::new("LifecycleTransition", key, &entry.version, personality, 0, time);
        Self { sequencer: None, storage_class: entry.storage_class.clone(), ..event }
    }

    /// The claim it makes.
    pub(crate) fn claim(&self) -> Claim {
        let content = || Content { etag: self.etag.clone(), size: self.size };
        let fact = match self.name {
            "ObjectCreated:CompleteMultipartUpload" => Fact::Multipart(content()),
            "LifecycleTransition" => {
                Fact::Attributes(Attributes { storage_class: self.storage_class.clone() })
            }
            name if name.ends_with(":DeleteMarkerCreated") => Fact::Marker,
            name if name.starts_with("ObjectCreated:") => Fact::Put(content()),
            _ => Fact::Removed,
        };
        Claim {
            version: VersionId::parse(self.version_id.as_deref()),
            fact,
            sequencer: self.sequencer.as_deref().and_then(Sequencer::parse),
            time: Timestamp::from_micros(self.time * 1_000),
        }
    }
}
