//! One event about one version of one key, whatever shape it came in.

use std::error::Error;
use std::fmt;

use super::Kind;
use crate::model::{
    Attributes, Claim, Content, Fact, RawKey, Sequencer, Timestamp, VersionId, representable,
};

/// One event, as it was told. What the event does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The bucket.
    pub bucket: String,
    /// The real key, decoded where the shape encodes it. Never empty.
    pub key: String,
    /// The version it is about.
    pub version: VersionId,
    /// What it is about.
    pub kind: Kind,
    /// The creation stamp of the version, as it was told: it may be none that can be ordered.
    pub sequencer: Option<String>,
    /// The entity tag without quotes; that of a delete marker is the digest of nothing.
    pub etag: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
    /// When S3 finished the request.
    pub time: Timestamp,
    /// The event's own name; of EventBridge the detail type, reason and kind of deletion.
    pub event_name: String,
    /// Who asked for it.
    pub requester: Option<String>,
    /// Where they asked from.
    pub source_ip: Option<String>,
    /// The id of the request, which S3's access logs repeat.
    pub request_id: Option<String>,
    /// The storage class the version has been moved to.
    pub storage_class: Option<String>,
}

/// A record that says something Postgres cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstorable(String);

impl Record {
    /// What the event claims of its version; none where its name says nothing we understand.
    ///
    /// A claim holds no more than the event can vouch for: the entity tag of a marker is that of no
    /// object, and what emulators add to removals describes bytes that are gone.
    pub fn claim(&self) -> Option<Claim> {
        let fact = match self.kind {
            Kind::Put => Fact::Put(self.content()),
            Kind::Multipart => Fact::Multipart(self.content()),
            Kind::Marker => Fact::Marker,
            Kind::Removed => Fact::Removed,
            // Replication events are about the source object, which stays as it was. A lost object
            // stays listed, though reading it fails: what is present is what S3 lists.
            Kind::Tags
            | Kind::Acl
            | Kind::Restore
            | Kind::Transition
            | Kind::Tiering
            | Kind::Replication
            | Kind::Annotation
            | Kind::Retention
            | Kind::Lost => Fact::Attributes(Attributes { storage_class: self.storage_class.clone() }),
            Kind::Other => return None,
        };
        Some(Claim {
            version: self.version.clone(),
            fact,
            sequencer: self.sequencer.as_deref().and_then(Sequencer::parse),
            time: self.time,
        })
    }

    /// Whether the catalog can hold it. What it cannot hold must not reach a transaction, where it
    /// would take its neighbours down with it.
    pub fn storable(&self) -> Result<(), Unstorable> {
        if let Some(key) = self.unrepresentable() {
            return Err(Unstorable(key.reason.to_string()));
        }
        let texts = [
            ("bucket", Some(self.bucket.as_str())),
            ("event name", Some(self.event_name.as_str())),
            ("entity tag", self.etag.as_deref()),
            ("requester", self.requester.as_deref()),
            ("source address", self.source_ip.as_deref()),
            ("request id", self.request_id.as_deref()),
            ("storage class", self.storage_class.as_deref()),
        ];
        // The one character Postgres has no place for in text.
        if let Some((name, _)) = texts.iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
            return Err(Unstorable(format!("the {name} contains U+0000, which Postgres cannot store")));
        }
        Ok(())
    }

    /// Its key, if the catalog cannot hold that.
    pub fn unrepresentable(&self) -> Option<RawKey> {
        let bytes = self.key.as_bytes();
        let reason = representable(self.bucket.len(), bytes, self.version.as_str()).err()?;
        Some(RawKey { bytes: bytes.to_vec(), reason })
    }

    fn content(&self) -> Content {
        Content { etag: self.etag.clone(), size: self.size }
    }
}

impl fmt::Display for Unstorable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Unstorable {}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind) -> Record {
        Record {
            bucket: "genomics".to_owned(),
            key: "a".to_owned(),
            version: VersionId::null(),
            kind,
            sequencer: Some("0A".to_owned()),
            etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
            size: Some(0),
            time: Timestamp::from_micros(1),
            event_name: "ObjectRemoved:DeleteMarkerCreated".to_owned(),
            requester: None,
            source_ip: None,
            request_id: None,
            storage_class: Some("GLACIER".to_owned()),
        }
    }

    #[track_caller]
    fn check(kind: Kind, fact: Option<Fact>) {
        assert_eq!(record(kind).claim().map(|claim| claim.fact), fact, "{kind}");
    }

    #[test]
    fn only_objects_have_content() {
        let content = Content { etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()), size: Some(0) };
        check(Kind::Put, Some(Fact::Put(content.clone())));
        check(Kind::Multipart, Some(Fact::Multipart(content)));
        check(Kind::Marker, Some(Fact::Marker));
        check(Kind::Removed, Some(Fact::Removed));
    }

    #[test]
    fn a_transition_tells_the_class_and_an_unknown_name_nothing() {
        let told = Attributes { storage_class: Some("GLACIER".to_owned()) };
        check(Kind::Transition, Some(Fact::Attributes(told)));
        check(Kind::Other, None);
    }

    #[test]
    fn a_sequencer_that_has_no_order_is_told_but_not_claimed() {
        let sequencer = |told: &str| {
            let record = Record { sequencer: Some(told.to_owned()), ..record(Kind::Put) };
            record.claim().and_then(|claim| claim.sequencer)
        };
        assert_eq!(sequencer("0A"), Sequencer::parse("0A"));
        assert_eq!(sequencer("Happy Sequencer"), None);
    }

    #[test]
    fn what_postgres_cannot_hold_is_not_storable() {
        let fine = record(Kind::Put);
        assert_eq!(fine.storable(), Ok(()));
        assert_eq!(Record { key: "k".repeat(2_500), ..fine.clone() }.storable(), Ok(()));

        let nul = Record { key: "a\0b".to_owned(), ..fine.clone() };
        assert!(nul.storable().unwrap_err().to_string().contains("U+0000"));
        let nul = Record { requester: Some("\0".to_owned()), ..fine.clone() };
        assert!(nul.storable().unwrap_err().to_string().contains("requester"));
        let long = Record { key: "k".repeat(2_700), ..fine };
        assert!(long.storable().unwrap_err().to_string().contains("more than 2675 bytes"));
    }
}
