//! What S3 tells of one version beyond listings and events.

use std::collections::BTreeMap;
use std::future::Future;

use serde::Serialize;

use crate::fault::Fault;
use crate::model::VersionId;

/// What is asked of each version that is created: `enrich` of a `[[bucket]]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enrich {
    /// The head of the object.
    pub head: bool,
    /// Its tags.
    pub tags: bool,
}

impl Enrich {
    /// Whether anything is asked.
    pub fn is_on(self) -> bool {
        self.head || self.tags
    }
}

/// The head of an object
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>). What it does not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Head {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// What the writer gave as `x-amz-meta-…`, without that prefix.
    pub metadata: BTreeMap<String, String>,
    /// The storage class; S3 leaves `STANDARD` out, and so it is written here.
    pub storage_class: String,
    /// Checksums of the content by algorithm (`crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`) in base 64,
    /// and as `type` whether they are of the whole (`FULL_OBJECT`) or of its parts' (`COMPOSITE`).
    pub checksums: BTreeMap<&'static str, String>,
    /// How it is encrypted: `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub encryption: Option<String>,
    /// The key of KMS.
    pub kms_key: Option<String>,
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub lock_mode: Option<String>,
    /// Until when, as RFC 3339.
    pub lock_until: Option<String>,
    /// Whether there is a legal hold.
    pub legal_hold: Option<bool>,
    /// How its replication is going.
    pub replication: Option<String>,
    /// How its restoring is going, as S3 words it.
    pub restore: Option<String>,
}

/// Where versions can be looked at. The one real implementation is [`super::s3::Bucket`].
pub trait Details: Send + Sync + 'static {
    /// Asks for the head of a version; none if it is gone, or is a delete marker.
    fn head(
        &self,
        key: &str,
        version: &VersionId,
    ) -> impl Future<Output = Result<Option<Head>, Fault>> + Send;

    /// Asks for the tags of a version; none if it is gone, or is a delete marker.
    fn tags(
        &self,
        key: &str,
        version: &VersionId,
    ) -> impl Future<Output = Result<Option<BTreeMap<String, String>>, Fault>> + Send;
}
