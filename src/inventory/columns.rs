//! What stands where in a row of a report, and what a row says.

use super::broken::Broken;
use crate::catalog::ReportedRow;
use crate::model::{Content, Listed, RawKey, State, Timestamp, VersionId, representable};

/// Which column of a row holds what, counted from 0. What else there may be does not concern us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) bucket: usize,
    pub(super) key: usize,
    /// Reports of all versions have these three, others none of them.
    pub(super) version_id: Option<usize>,
    pub(super) is_latest: Option<usize>,
    pub(super) is_delete_marker: Option<usize>,
    pub(super) last_modified: usize,
    /// What an operator may leave out is not compared.
    pub(super) size: Option<usize>,
    pub(super) etag: Option<usize>,
    pub(super) storage_class: Option<usize>,
    /// How many there are.
    pub(super) count: usize,
}

/// The fields of one row, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: Vec<u8>,
    pub(super) version_id: Option<&'a str>,
    pub(super) is_latest: Option<bool>,
    pub(super) is_delete_marker: Option<bool>,
    pub(super) last_modified: Timestamp,
    pub(super) size: Option<i64>,
    pub(super) etag: Option<&'a str>,
    pub(super) storage_class: Option<&'a str>,
}

impl Columns {
    /// Finds them by their names, as CSV (`IsLatest`) or Parquet (`is_latest`) spells them.
    pub(super) fn find<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        let names: Vec<String> = names.map(plain).collect();
        let find = |wanted: &str| names.iter().position(|name| *name == plain(wanted));
        let need = |wanted: &str| find(wanted).ok_or_else(|| format!("column {wanted} is missing"));
        let version_id = find("VersionId");
        let need_if_versions = |wanted: &str| version_id.map(|_| need(wanted)).transpose();
        Ok(Self {
            bucket: need("Bucket")?,
            key: need("Key")?,
            version_id,
            is_latest: need_if_versions("IsLatest")?,
            is_delete_marker: need_if_versions("IsDeleteMarker")?,
            last_modified: need("LastModifiedDate")?,
            size: find("Size"),
            etag: find("ETag"),
            storage_class: find("StorageClass"),
            count: names.len(),
        })
    }
}

impl Fields<'_> {
    /// The row, if it is of `bucket`, or its key if the catalog cannot hold that.
    pub(super) fn row(self, bucket: &str, place: &str) -> Result<Result<ReportedRow, RawKey>, Broken> {
        if self.bucket != bucket {
            let reason = format!("it is of bucket {:?}, and the report is of {bucket:?}", self.bucket);
            return Err(Broken::at(place, reason));
        }
        let own = |text: &str| (!text.is_empty()).then(|| text.trim_matches('"').to_owned());
        let state = if self.is_delete_marker == Some(true) {
            State::Marker
        } else {
            State::Object(Content { etag: self.etag.and_then(own), size: self.size })
        };
        let storage_class = self.storage_class.and_then(own).filter(|_| state != State::Marker);
        let listed = Listed {
            version: VersionId::parse(self.version_id),
            is_latest: self.is_latest.unwrap_or(true),
            state,
            last_modified: self.last_modified,
            storage_class,
        };
        Ok(match representable(bucket.len(), &self.key, listed.version.as_str()) {
            Ok(key) => Ok((key.to_owned(), listed)),
            Err(reason) => Err(RawKey { bytes: self.key, reason }),
        })
    }
}
