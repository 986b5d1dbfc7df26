//! Which report to read: the newest that is complete and was not read yet.

use md5::{Digest, Md5};

use super::Source;
use super::manifest::Manifest;
use crate::bucket::Objects;
use crate::catalog::LastReport;
use crate::fault::{Fault, Kind};
use crate::model::Timestamp;
use crate::reconcile::Trouble;

/// The most folders that are looked into for a complete report: the newest.
const FOLDERS_MAX: usize = 10;
/// The longest manifest: of some fifty thousand files.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// More than the 32 digits it has.
const CHECKSUM_BYTES_MAX: u64 = 1 << 10;

/// A report to be read.
#[derive(Debug)]
pub(super) struct Found {
    /// The key of its manifest.
    pub(super) key: String,
    pub(super) manifest: Manifest,
}

/// Looks for the newest complete report of `bucket` that is later than `read`, the last one that was if it was in
/// the same folder, and that S3 began to make after `listed`, when the last complete listing began: of an older one
/// there is nothing to learn.
pub(super) async fn newest<B: Objects>(
    source: &Source<B>,
    bucket: &str,
    read: Option<&LastReport>,
    listed: Timestamp,
) -> Result<Found, Trouble> {
    let none = |why: String, is_any| Trouble::NoReport {
        bucket: bucket.to_owned(),
        place: source.url(&source.prefix),
        why,
        is_any,
    };
    let dated_in = |folder: &str| folder.strip_prefix(&source.prefix).is_some_and(is_dated);
    // Only dates of one folder tell which is later.
    let read = read.filter(|read| dated_in(folder_of(&read.report)));
    let after = read.map(|read| folder_of(&read.report).to_owned()).unwrap_or_default();
    let folders = source.bucket.folders(&source.prefix, &after).await?;
    let dated: Vec<&String> = folders.iter().filter(|folder| dated_in(folder) && **folder > after).collect();
    let mut newest = None;
    for folder in dated.iter().rev().take(FOLDERS_MAX) {
        let key = format!("{folder}manifest.json");
        let bytes = match whole(source, folder, &key).await? {
            Ok(bytes) => bytes,
            Err(why) => {
                newest.get_or_insert(why);
                continue;
            }
        };
        let manifest = Manifest::parse(&bytes, &source.url(&key), bucket)?;
        if manifest.report.began <= listed {
            return Err(none("the newest is from before the last listing".to_owned(), true));
        }
        return Ok(Found { key, manifest });
    }
    let is_any = read.is_some() || !dated.is_empty();
    let why = match (newest, read) {
        (Some(why), _) => why.to_owned(),
        (None, Some(read)) if read.status == "failed" => {
            format!("the newest, {}, was of no use", source.url(&read.report))
        }
        (None, Some(read)) => format!("the newest, {}, was read already", source.url(&read.report)),
        (None, None) => "there is none yet".to_owned(),
    };
    Err(none(why, is_any))
}

/// The manifest in a folder, or why it is of no use: S3 writes its checksum last.
async fn whole<B: Objects>(
    source: &Source<B>,
    folder: &str,
    key: &str,
) -> Result<Result<Vec<u8>, &'static str>, Fault> {
    let checksum = source.bucket.read(&format!("{folder}manifest.checksum"), 0, CHECKSUM_BYTES_MAX).await;
    let (Some(checksum), Some(manifest)) =
        (unless_absent(checksum)?, unless_absent(source.bucket.read(key, 0, MANIFEST_BYTES_MAX).await)?)
    else {
        return Ok(Err("the newest is not complete yet"));
    };
    let is_whole =
        String::from_utf8_lossy(&checksum).trim().eq_ignore_ascii_case(&hex(&Md5::digest(&manifest)));
    if !is_whole {
        let manifest = source.url(key);
        tracing::warn!(manifest, "passed over an inventory report whose manifest does not fit its checksum");
    }
    Ok(if is_whole { Ok(manifest) } else { Err("the newest has a manifest that does not fit its checksum") })
}

fn unless_absent(read: Result<Vec<u8>, Fault>) -> Result<Option<Vec<u8>>, Fault> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(fault) if fault.kind == Kind::Absent && !fault.answer.contains("NoSuchBucket") => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// In lower-case digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder_of(manifest: &str) -> &str {
    manifest.rsplit_once('/').map_or("", |(folder, _)| &manifest[..=folder.len()])
}

/// Whether a folder is that of a report, such as `2026-11-24T01-00Z/`; `data/` and `hive/` are beside them.
fn is_dated(name: &str) -> bool {
    let shape = "dddd-dd-ddTdd-ddZ/";
    name.len() == shape.len()
        && name
            .chars()
            .zip(shape.chars())
            .all(|(c, shape)| if shape == 'd' { c.is_ascii_digit() } else { c == shape })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_reports_are_told_by_their_names() {
        for (name, expected) in [
            ("2026-11-24T01-00Z/", true),
            ("2026-11-24T01-00Z", false),
            ("2026-11-24T01:00Z/", false),
            ("data/", false),
            ("hive/", false),
        ] {
            assert_eq!(is_dated(name), expected, "{name}");
        }
        assert_eq!(folder_of("p/2026-11-24T01-00Z/manifest.json"), "p/2026-11-24T01-00Z/");
    }
}
