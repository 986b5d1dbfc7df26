//! From the names of events to what they are about.
//!
//! Families and members of S3 itself:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>,
//! of EventBridge: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>.
//! S3 may send a name nobody has heard of at any time, so an unknown name is [`Kind::Other`] and
//! never an error.

use std::fmt;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An object was written in one request.
    Put,
    /// A multipart upload was completed.
    Multipart,
    /// A delete marker was written.
    Marker,
    /// A version, object or marker alike, was removed for good.
    Removed,
    /// Tags were put or deleted.
    Tags,
    /// The access control list was changed.
    Acl,
    /// A restore from an archive was asked for, came, or ran out.
    Restore,
    /// A lifecycle rule moved it to another storage class.
    Transition,
    /// It moved to an archive tier inside Intelligent-Tiering; its storage class stays.
    Tiering,
    /// How the replication of a source object is going.
    Replication,
    /// An annotation was put or removed.
    Annotation,
    /// Its retention was changed.
    Retention,
    /// The bytes of a reduced-redundancy object are lost.
    Lost,
    /// A name that says nothing we understand.
    Other,
}

impl Kind {
    /// The word for it in output and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Multipart => "multipart",
            Self::Marker => "marker",
            Self::Removed => "removed",
            Self::Tags => "tags",
            Self::Acl => "acl",
            Self::Restore => "restore",
            Self::Transition => "transition",
            Self::Tiering => "tiering",
            Self::Replication => "replication",
            Self::Annotation => "annotation",
            Self::Retention => "retention",
            Self::Lost => "lost",
            Self::Other => "other",
        }
    }

    /// From the event name of a record. Messages leave the `s3:` of subscriptions out; MinIO does not.
    pub(super) fn of_event(name: &str) -> Self {
        let name = match name.split_at_checked(3) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("s3:") => rest,
            _ => name,
        };
        match name.split_once(':').unwrap_or((name, "")) {
            ("ObjectCreated", "CompleteMultipartUpload") => Self::Multipart,
            // MinIO files changes of metadata under creation.
            ("ObjectCreated", "PutTagging" | "DeleteTagging") => Self::Tags,
            ("ObjectCreated", "PutRetention" | "PutLegalHold") => Self::Retention,
            // `Put`, `Post`, `Copy`, and any member still to come: the family alone says that the
            // version is there with this content. If that was known, the claim changes nothing; were
            // it passed over, the object would be missing until the next listing.
            ("ObjectCreated", _) => Self::Put,
            ("ObjectRemoved" | "LifecycleExpiration", "Delete") => Self::Removed,
            ("ObjectRemoved" | "LifecycleExpiration", "DeleteMarkerCreated") => Self::Marker,
            ("ObjectTagging", _) => Self::Tags,
            ("ObjectAcl", _) => Self::Acl,
            ("ObjectRestore", _) => Self::Restore,
            ("ObjectAnnotation", _) => Self::Annotation,
            ("ObjectRetention", _) => Self::Retention,
            ("LifecycleTransition", _) => Self::Transition,
            ("IntelligentTiering", _) => Self::Tiering,
            ("ReducedRedundancyLostObject", _) => Self::Lost,
            (family, member) => Self::of_other_store(family, member),
        }
    }

    /// Names that only stores which imitate S3 send: `internal/event/name.go` of MinIO and
    /// <https://docs.ceph.com/en/latest/radosgw/s3-notification-compatibility/> of Ceph.
    fn of_other_store(family: &str, member: &str) -> Self {
        match (family, member) {
            // MinIO, when a key goes with all its versions. One claim can only remove the version it
            // names; the others wait for a listing.
            ("ObjectRemoved", "DeleteAllVersions") | ("LifecycleDelMarkerExpiration", "Delete") => {
                Self::Removed
            }
            ("ObjectTransition", "Complete") => Self::Transition,
            // Ceph's lifecycle. `Expiration:Current` is not here: in a versioned bucket it describes
            // the version that was *covered*, and a removal of that could never be taken back. Newer
            // releases send S3's own name as well.
            (
                "ObjectLifecycle",
                "Expiration:Noncurrent" | "Expiration:NonCurrent" | "Expiration:DeleteMarker",
            ) => Self::Removed,
            ("ObjectLifecycle", "Transition:Current" | "Transition:Noncurrent" | "Transition:NonCurrent") => {
                Self::Transition
            }
            // What Ceph's replication did on the receiving side.
            ("ObjectSynced" | "Replication", "Create") => Self::Put,
            ("ObjectSynced" | "Replication", "Delete") => Self::Removed,
            ("ObjectSynced" | "Replication", "DeletionMarkerCreated") => Self::Marker,
            ("Replication", _) => Self::Replication,
            _ => Self::Other,
        }
    }

    /// From an EventBridge detail type with its reason and type of deletion.
    pub(super) fn of_detail(detail_type: &str, reason: Option<&str>, deletion: Option<&str>) -> Self {
        match detail_type {
            "Object Created" if reason == Some("CompleteMultipartUpload") => Self::Multipart,
            "Object Created" => Self::Put,
            "Object Deleted" => match deletion {
                Some("Permanently Deleted") => Self::Removed,
                Some("Delete Marker Created") => Self::Marker,
                // S3 always says which. Guessing could remove what is only covered.
                _ => Self::Other,
            },
            "Object Tags Added" | "Object Tags Deleted" => Self::Tags,
            "Object ACL Updated" => Self::Acl,
            "Object Restore Initiated" | "Object Restore Completed" | "Object Restore Expired" => {
                Self::Restore
            }
            "Object Storage Class Changed" => Self::Transition,
            "Object Access Tier Changed" => Self::Tiering,
            "Object Annotation Created" | "Object Annotation Removed" => Self::Annotation,
            "Object Retention Updated" => Self::Retention,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, kind: Kind) {
        assert_eq!(Kind::of_event(name), kind, "{name}");
    }

    #[test]
    fn every_name_of_s3_is_known() {
        check("ObjectCreated:Put", Kind::Put);
        check("ObjectCreated:Post", Kind::Put);
        check("ObjectCreated:Copy", Kind::Put);
        check("ObjectCreated:CompleteMultipartUpload", Kind::Multipart);
        check("ObjectRemoved:Delete", Kind::Removed);
        check("ObjectRemoved:DeleteMarkerCreated", Kind::Marker);
        check("LifecycleExpiration:Delete", Kind::Removed);
        check("LifecycleExpiration:DeleteMarkerCreated", Kind::Marker);
        check("LifecycleTransition", Kind::Transition);
        check("IntelligentTiering", Kind::Tiering);
        check("ObjectRestore:Post", Kind::Restore);
        check("ObjectRestore:Completed", Kind::Restore);
        check("ObjectRestore:Delete", Kind::Restore);
        check("ReducedRedundancyLostObject", Kind::Lost);
        check("Replication:OperationFailedReplication", Kind::Replication);
        check("Replication:OperationMissedThreshold", Kind::Replication);
        check("Replication:OperationReplicatedAfterThreshold", Kind::Replication);
        check("Replication:OperationNotTracked", Kind::Replication);
        check("ObjectTagging:Put", Kind::Tags);
        check("ObjectTagging:Delete", Kind::Tags);
        check("ObjectAcl:Put", Kind::Acl);
        check("ObjectAnnotation:Put", Kind::Annotation);
        check("ObjectAnnotation:Delete", Kind::Annotation);
        check("ObjectRetention:Put", Kind::Retention);
    }

    #[test]
    fn the_prefix_of_subscriptions_is_optional() {
        check("s3:ObjectCreated:Copy", Kind::Put);
        check("S3:ObjectRemoved:Delete", Kind::Removed);
        check("s3:LifecycleTransition", Kind::Transition);
    }

    #[test]
    fn other_stores_have_names_of_their_own() {
        check("s3:ObjectCreated:PutTagging", Kind::Tags);
        check("s3:ObjectCreated:PutLegalHold", Kind::Retention);
        check("s3:ObjectRemoved:DeleteAllVersions", Kind::Removed);
        check("s3:LifecycleDelMarkerExpiration:Delete", Kind::Removed);
        check("s3:Replication:OperationCompletedReplication", Kind::Replication);
        check("s3:ObjectTransition:Complete", Kind::Transition);
        check("ObjectLifecycle:Expiration:Noncurrent", Kind::Removed);
        check("ObjectLifecycle:Transition:Current", Kind::Transition);
        check("ObjectSynced:Create", Kind::Put);
        check("Replication:DeletionMarkerCreated", Kind::Marker);
    }

    #[test]
    fn a_new_way_to_create_still_creates_and_other_news_claim_nothing() {
        check("ObjectCreated:Teleport", Kind::Put);
        for name in [
            "ObjectRemoved:NoOP",
            "ObjectRemoved:Vanished",
            "ObjectLifecycle:Expiration:Current",
            "ObjectLifecycle:Expiration:AbortMPU",
            "ObjectTransition:Failed",
            "s3:ObjectAccessed:Get",
            "s3:",
            "é:",
        ] {
            check(name, Kind::Other);
        }
    }
}
