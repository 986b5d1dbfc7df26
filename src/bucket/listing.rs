//! Reads the XML of a version listing
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>), keeping the
//! order that the SDK's own types lose: they put versions and markers on two lists, and dates
//! of whole seconds do not tell how to put them together again.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Cursor, Keys};
pub use crate::aws::xml::Malformed;
use crate::aws::xml::Xml;
use crate::model::{Timestamp, Told, VersionId};

/// What is in one page, without the time it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Keys, each with its entries, in the order of the document.
    pub keys: Keys,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
}

/// Reads a `ListVersionsResult`. Keys are decoded if, and only if, the document says that they
/// are encoded: some stores ignore that they were asked to.
///
/// # Errors
///
/// When it is no such document, when an entry lacks what we decide by, or when more is to
/// come and nothing says from where.
pub fn parse(body: &[u8]) -> Result<Listing, Malformed> {
    read(body, "ListVersionsResult", "versions")
}

/// Reads the `ListBucketResult` of `ListObjectsV2`
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>), the list of a bucket that never
/// kept versions: each object is its key's null version, and the latest. The next page begins after the
/// last key, whatever token the store would like to be given back.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_objects(body: &[u8]) -> Result<Listing, Malformed> {
    let listing = read(body, "ListBucketResult", "objects")?;
    let next = listing.next.map(|next| Cursor { version: None, ..next });
    Ok(Listing { next, ..listing })
}

fn read(body: &[u8], root: &str, what: &str) -> Result<Listing, Malformed> {
    let mut xml = Xml::new(body)?;
    if let Some(found) = xml.child()?
        && found != root
    {
        return Err(Malformed::new(format!("the answer is a <{found}>, not a list of {what}")));
    }
    let mut draft = Draft::default();
    while let Some(name) = xml.child()? {
        match name {
            "Version" => draft.entry(&mut xml, Tag::Version)?,
            "DeleteMarker" => draft.entry(&mut xml, Tag::Marker)?,
            "Contents" => draft.entry(&mut xml, Tag::Object)?,
            "EncodingType" => draft.encoded(xml.text()? == "url")?,
            "IsTruncated" => draft.is_truncated = Some(flag("IsTruncated", &xml.text()?)?),
            "NextKeyMarker" => draft.next_key = filled(xml.text()?),
            "NextVersionIdMarker" => draft.next_version = filled(xml.text()?),
            _ => xml.skip()?,
        }
    }
    draft.finish()
}

impl Listing {
    /// Checks that this can be the page of keys under `prefix` after `after`.
    ///
    /// # Errors
    ///
    /// When a key is outside of what was asked for, or when the next page would begin no later
    /// than this one did: asking for it would never end.
    pub fn check(&self, prefix: &str, after: Option<&Cursor>) -> Result<(), Malformed> {
        for key in self.keys.iter().map(|key| key.name) {
            if !key.starts_with(prefix) {
                return Err(Malformed::new(format!(
                    "{key:?} is listed, which does not begin with {prefix:?}"
                )));
            }
            if after.is_some_and(|after| !may_follow(key, after)) {
                return Err(Malformed::new(format!("{key:?} is listed, which is before the page asked for")));
            }
        }
        match (&self.next, after) {
            (Some(next), Some(after)) if next == after || !may_follow(&next.key, after) => Err(
                Malformed::new(format!("the next page does not advance: it begins at {:?} again", next.key)),
            ),
            _ => Ok(()),
        }
    }
}

/// A key goes on after a version of it, but not after the key as a whole.
fn may_follow(key: &str, after: &Cursor) -> bool {
    if after.version.is_some() { *key >= *after.key } else { *key > *after.key }
}

/// What is read of a document whose end may tell how to decode its beginning.
#[derive(Default)]
struct Draft<'a> {
    keys: Keys,
    /// The last of them, as it stands in the document.
    last: Option<Cow<'a, str>>,
    is_encoded: bool,
    is_truncated: Option<bool>,
    next_key: Option<Cow<'a, str>>,
    next_version: Option<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    /// How keys are written, which most stores tell before the first.
    fn encoded(&mut self, is_encoded: bool) -> Result<(), Malformed> {
        if is_encoded && !self.is_encoded {
            self.keys = std::mem::take(&mut self.keys).rename(|key| decode_form(key).map(Cow::into_owned))?;
        }
        self.is_encoded |= is_encoded;
        Ok(())
    }

    /// Reads an entry.
    fn entry(&mut self, xml: &mut Xml<'a>, tag: Tag) -> Result<(), Malformed> {
        let (mut key, mut version, mut last_modified) = (None, None, None);
        let mut is_latest = (tag == Tag::Object).then_some(true);
        let (mut etag, mut size, mut storage_class) = (None, None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Key" => key = Some(xml.text()?),
                "VersionId" => version = filled(xml.text()?),
                "IsLatest" => is_latest = Some(flag("IsLatest", &xml.text()?)?),
                "LastModified" => last_modified = Some(date(&xml.text()?)?),
                "ETag" => etag = filled(xml.unquoted()?),
                "Size" => size = Some(self::size(&xml.text()?)?),
                "StorageClass" => storage_class = filled(xml.text()?),
                _ => xml.skip()?,
            }
        }
        let key = key.ok_or_else(|| lacks("an entry", "Key"))?;
        let lacks = |what| lacks(&format!("the entry of {key:?}"), what);
        let is_marker = tag == Tag::Marker;
        let told = Told {
            version: version.as_deref().unwrap_or(VersionId::NULL),
            is_latest: is_latest.ok_or_else(|| lacks("IsLatest"))?,
            is_marker,
            etag: etag.as_deref().filter(|_| !is_marker),
            size: size.filter(|_| !is_marker),
            last_modified: last_modified.ok_or_else(|| lacks("LastModified"))?,
            storage_class: storage_class.as_deref(),
        };
        if self.last.as_ref() != Some(&key) {
            let name = if self.is_encoded { decode_form(&key)? } else { Cow::Borrowed(&*key) };
            if self.keys.last().is_none_or(|last| last.name != name) {
                self.keys.begin(&name);
            }
            self.last = Some(key);
        }
        self.keys.push(told);
        Ok(())
    }

    fn finish(self) -> Result<Listing, Malformed> {
        let Self { keys, .. } = self;
        let last = keys.last().map(|last| Cursor {
            key: last.name.to_owned(),
            version: last.told().last().map(|told| VersionId::parse(Some(told.version))),
        });
        let next_key = match (self.next_key, &last) {
            // Ceph (16.2) encodes every key but this one, which may look as if it were encoded.
            (Some(next), Some(last)) if next == *last.key => Some(next.into_owned()),
            (Some(next), _) if self.is_encoded => Some(decode_form(&next)?.into_owned()),
            (next, _) => next.map(Cow::into_owned),
        };
        let next_version = self.next_version.map(|version| VersionId::parse(Some(&version)));
        // Taking silence for the end would take what is not listed for gone.
        let next = match self.is_truncated.ok_or_else(|| lacks("the list", "IsTruncated"))? {
            true => Some(next(next_key, next_version, last)?),
            false => None,
        };
        Ok(Listing { keys, next })
    }
}

/// Markers name the last entry of the page, so where they are missing that entry serves.
fn next(key: Option<String>, version: Option<VersionId>, last: Option<Cursor>) -> Result<Cursor, Malformed> {
    match (key, version, last) {
        (Some(key), None, Some(last)) if key == last.key => Ok(last),
        (Some(key), version, _) => Ok(Cursor { key, version }),
        (None, _, Some(last)) => Ok(last),
        (None, _, None) => Err(Malformed::new("more pages are promised, and nothing says from where")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Version,
    Marker,
    /// In a list without versions.
    Object,
}

fn lacks(what: &str, element: &str) -> Malformed {
    Malformed::new(format!("{what} has no {element}"))
}

fn filled(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(text)
}

fn flag(element: &str, text: &str) -> Result<bool, Malformed> {
    text.parse().map_err(|_| Malformed::new(format!("{element} is {text:?}, neither true nor false")))
}

fn size(text: &str) -> Result<i64, Malformed> {
    let size = text.parse().ok().filter(|size| *size >= 0);
    size.ok_or_else(|| Malformed::new(format!("Size is {text:?}, which is no number of bytes")))
}

fn date(text: &str) -> Result<Timestamp, Malformed> {
    let date = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| Malformed::new(format!("LastModified is {text:?}, which is no date")))?;
    // The years of RFC 3339 all fit.
    Ok(Timestamp::from_micros(date.unix_timestamp() * 1_000_000 + i64::from(date.microsecond())))
}

/// Decodes a key as forms are: spaces came as `+`, or from other stores as `%20`.
fn decode_form(key: &str) -> Result<Cow<'_, str>, Malformed> {
    if !key.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Ok(Cow::Borrowed(key));
    }
    let spaced = key.replace('+', " ");
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
    String::from_utf8(decoded).map(Cow::Owned).map_err(|error| {
        let key = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Malformed::new(format!("the key {key:?} is not UTF-8"))
    })
}

#[cfg(test)]
mod tests;
