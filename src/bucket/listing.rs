//! Reads the XML of a version listing
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>), keeping the
//! order that the SDK's own types lose: they put versions and markers on two lists, and dates
//! of whole seconds do not tell how to put them together again.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Cursor, Keys, raw};
pub use crate::aws::xml::Malformed;
use crate::aws::xml::Xml;
use crate::model::{RawKey, Timestamp, Told, VersionId, fits, representable};

/// What is in one page, without the time it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Keys, each with its entries, in the order of the document.
    pub keys: Keys,
    /// Keys with entries that the catalog cannot hold, and that are not among `keys`.
    pub unrepresentable: Vec<RawKey>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
}

/// Reads a `ListVersionsResult` of a bucket. Keys are decoded if, and only if, the document says that they
/// are encoded: some stores ignore that they were asked to.
///
/// # Errors
///
/// When it is no such document, when an entry lacks what we decide by, or when more is to
/// come and nothing says from where.
pub fn parse(body: &[u8], bucket: &str) -> Result<Listing, Malformed> {
    read(body, "ListVersionsResult", "versions", bucket)
}

/// Reads the `ListBucketResult` of `ListObjectsV2`
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>), the list of a bucket that never
/// kept versions: each object is its key's null version, and the latest. The next page begins after the
/// last key, whatever token the store would like to be given back.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_objects(body: &[u8], bucket: &str) -> Result<Listing, Malformed> {
    let listing = read(body, "ListBucketResult", "objects", bucket)?;
    let next = listing.next.map(|next| Cursor { version: None, ..next });
    Ok(Listing { next, ..listing })
}

fn read(body: &[u8], root: &str, what: &str, bucket: &str) -> Result<Listing, Malformed> {
    // A store that does not encode keys writes their bytes as they are.
    let escaped = std::str::from_utf8(body).is_err().then(|| raw::escape(body));
    let document = escaped.as_ref().map_or(body, |escaped| escaped.as_bytes());
    let draft = Draft { bucket: bucket.len(), is_escaped: escaped.is_some(), ..Draft::default() };
    let draft = draft.read(document, root, what)?;
    if !draft.is_encoded_late {
        return draft.finish();
    }
    let again =
        Draft { bucket: bucket.len(), is_escaped: escaped.is_some(), is_encoded: true, ..Draft::default() };
    again.read(document, root, what)?.finish()
}

impl Listing {
    /// Checks that this can be the page of keys under `prefix` after `after`.
    ///
    /// # Errors
    ///
    /// When a key is outside of what was asked for, or when the next page would begin no later
    /// than this one did: asking for it would never end.
    pub fn check(&self, prefix: &str, after: Option<&Cursor>) -> Result<(), Malformed> {
        let raw = self.unrepresentable.iter().map(|key| key.bytes.as_slice());
        for key in self.keys.iter().map(|key| key.name.as_bytes()).chain(raw) {
            let named = || String::from_utf8_lossy(key);
            if !key.starts_with(prefix.as_bytes()) {
                return Err(Malformed::new(format!(
                    "{:?} is listed, which does not begin with {prefix:?}",
                    named()
                )));
            }
            if after.is_some_and(|after| !may_follow(key, after)) {
                return Err(Malformed::new(format!(
                    "{:?} is listed, which is before the page asked for",
                    named()
                )));
            }
        }
        match (&self.next, after) {
            (Some(next), Some(after)) if next == after || !advances(next, after) => Err(Malformed::new(
                format!("the next page does not advance: it begins at {:?} again", next.key),
            )),
            _ => Ok(()),
        }
    }
}

/// A key goes on after a version of it, but not after the key as a whole.
fn may_follow(key: &[u8], after: &Cursor) -> bool {
    if after.version.is_some() { *key >= *after.key.as_bytes() } else { *key > *after.key.as_bytes() }
}

fn advances(next: &Cursor, after: &Cursor) -> bool {
    if next.seen.is_empty() && after.seen.is_empty() {
        may_follow(next.key.as_bytes(), after)
    } else {
        next.reached() > after.reached()
    }
}

/// A key as it stands in a document, and the version of its last entry.
type LastKey<'a> = (Cow<'a, [u8]>, Option<Cow<'a, str>>);

/// What is read of a document whose end may tell how to decode its beginning.
#[derive(Default)]
struct Draft<'a> {
    keys: Keys,
    unrepresentable: Vec<RawKey>,
    /// How many bytes the name of the bucket has.
    bucket: usize,
    last: Option<LastKey<'a>>,
    /// Whether that is the last of `keys`.
    is_begun: bool,
    /// Whether bytes that are not UTF-8 are escaped in the document.
    is_escaped: bool,
    is_encoded: bool,
    /// The document tells that keys are encoded after some of them were read.
    is_encoded_late: bool,
    is_truncated: Option<bool>,
    next_key: Option<Cow<'a, [u8]>>,
    next_version: Option<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    fn read(mut self, document: &'a [u8], root: &str, what: &str) -> Result<Self, Malformed> {
        let mut xml = Xml::new(document)?;
        if let Some(found) = xml.child()?
            && found != root
        {
            return Err(Malformed::new(format!("the answer is a <{found}>, not a list of {what}")));
        }
        while let Some(name) = xml.child()? {
            match name {
                "Version" => self.entry(&mut xml, Tag::Version)?,
                "DeleteMarker" => self.entry(&mut xml, Tag::Marker)?,
                "Contents" => self.entry(&mut xml, Tag::Object)?,
                "EncodingType" if xml.text()? == "url" && !self.is_encoded => {
                    self.is_encoded = true;
                    self.is_encoded_late = self.last.is_some();
                }
                "EncodingType" => {}
                "IsTruncated" => self.is_truncated = Some(flag("IsTruncated", &xml.text()?)?),
                "NextKeyMarker" => self.next_key = Some(xml.bytes()?).filter(|key| !key.is_empty()),
                "NextVersionIdMarker" => self.next_version = filled(xml.text()?),
                _ => xml.skip()?,
            }
        }
        Ok(self)
    }

    /// Reads an entry.
    fn entry(&mut self, xml: &mut Xml<'a>, tag: Tag) -> Result<(), Malformed> {
        let (mut key, mut version, mut last_modified) = (None, None, None);
        let mut is_latest = (tag == Tag::Object).then_some(true);
        let (mut etag, mut size, mut storage_class) = (None, None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Key" => key = Some(xml.bytes()?),
                "VersionId" => version = filled(xml.text()?),
                "IsLatest" => is_latest = Some(flag("IsLatest", &xml.text()?)?),
                "LastModified" => last_modified = Some(date(&xml.text()?)?),
                "ETag" => etag = filled(xml.unquoted()?).filter(|etag| !etag.contains('\0')),
                "Size" => size = Some(self::size(&xml.text()?)?),
                "StorageClass" => storage_class = filled(xml.text()?).filter(|class| !class.contains('\0')),
                _ => xml.skip()?,
            }
        }
        let key = key.ok_or_else(|| lacks("an entry", "Key"))?;
        let lacks = |what| lacks(&format!("the entry of {:?}", String::from_utf8_lossy(&key)), what);
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
        self.is_begun &= self.last.as_ref().is_some_and(|(last, _)| *last == key);
        self.push(&key, told);
        self.last = Some((key, version));
        Ok(())
    }

    /// Puts an entry to its key, or notes that the catalog cannot hold it.
    fn push(&mut self, key: &[u8], told: Told<'_>) {
        let last = self.keys.last().filter(|_| self.is_begun);
        if let Some(last) = last
            && fits(self.bucket, last.name.len(), told.version.len())
            && !told.version.contains('\0')
        {
            self.keys.push(told);
            return;
        }
        let name = self.decode(key);
        match representable(self.bucket, &name, told.version) {
            Ok(name) => {
                if self.keys.last().is_none_or(|last| last.name != name) {
                    self.keys.begin(name);
                }
                self.is_begun = true;
                self.keys.push(told);
            }
            Err(reason) => {
                if self.unrepresentable.last().is_none_or(|last| *last.bytes != *name) {
                    let raw = RawKey { bytes: name.into_owned(), reason };
                    self.unrepresentable.push(raw);
                }
            }
        }
    }

    /// A key from what stands in the document.
    fn decode<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        let key = if self.is_escaped { raw::unescape(key) } else { Cow::Borrowed(key) };
        if !self.is_encoded || !key.iter().any(|byte| matches!(byte, b'+' | b'%')) {
            return key;
        }
        // As forms are: spaces came as `+`, or from other stores as `%20`.
        let spaced: Vec<u8> = key.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        Cow::Owned(percent_encoding::percent_decode(&spaced).collect())
    }

    fn finish(self) -> Result<Listing, Malformed> {
        let last = self.last.as_ref().map(|(key, version)| {
            (self.decode(key).into_owned(), Some(VersionId::parse(version.as_deref())))
        });
        let next_key = match (&self.next_key, &last) {
            // Ceph (16.2) encodes every key but this one, which may look as if it were encoded.
            (Some(next), Some((last, _))) if **next == **last => Some(last.clone()),
            (next, _) => next.as_ref().map(|next| self.decode(next).into_owned()),
        };
        let next_version = self.next_version.map(|version| VersionId::parse(Some(&version)));
        // Taking silence for the end would take what is not listed for gone.
        let next = match self.is_truncated.ok_or_else(|| lacks("the list", "IsTruncated"))? {
            true => {
                let (key, version) = next(next_key, next_version, last)?;
                Some(raw::cursor(key, version, &self.keys))
            }
            false => None,
        };
        Ok(Listing { keys: self.keys, unrepresentable: self.unrepresentable, next })
    }
}

/// A key, and one of its versions.
type Entry = (Vec<u8>, Option<VersionId>);

/// Markers name the last entry of the page, so where they are missing that entry serves.
fn next(key: Option<Vec<u8>>, version: Option<VersionId>, last: Option<Entry>) -> Result<Entry, Malformed> {
    match (key, version, last) {
        (Some(key), None, Some(last)) if key == last.0 => Ok(last),
        (Some(key), version, _) => Ok((key, version)),
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

#[cfg(test)]
mod tests;
