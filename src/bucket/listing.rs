//! Reads the XML of a version listing
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>), keeping the
//! order that the SDK's own types lose: they put versions and markers on two lists, and dates
//! of whole seconds do not tell how to put them together again.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Cursor;
pub use crate::aws::xml::Malformed;
use crate::aws::xml::Xml;
use crate::model::{Content, Listed, State, Timestamp, VersionId};

/// What is in one page, without the time it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Keys (decoded) with their entries, in the order of the document.
    pub entries: Vec<(String, Listed)>,
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
    let mut xml = Xml::new(body)?;
    if let Some(root) = xml.child()?
        && root.local_name().as_ref() != "ListVersionsResult"
    {
        return Err(Malformed::new(format!(
            "the answer is a <{}>, not a list of versions",
            root.local_name().as_ref()
        )));
    }
    let mut draft = Draft::default();
    while let Some(start) = xml.child()? {
        match start.local_name().as_ref() {
            "Version" => draft.entries.push(entry(&mut xml, Tag::Version)?),
            "DeleteMarker" => draft.entries.push(entry(&mut xml, Tag::Marker)?),
            "EncodingType" => draft.is_encoded = xml.text()? == "url",
            "IsTruncated" => draft.is_truncated = Some(flag("IsTruncated", &xml.text()?)?),
            "NextKeyMarker" => draft.next_key = filled(xml.text()?),
            "NextVersionIdMarker" => draft.next_version = filled(xml.text()?),
            _ => xml.skip(&start)?,
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
        for (key, _) in &self.entries {
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
    entries: Vec<(Cow<'a, str>, Listed)>,
    is_encoded: bool,
    is_truncated: Option<bool>,
    next_key: Option<Cow<'a, str>>,
    next_version: Option<Cow<'a, str>>,
}

impl Draft<'_> {
    fn finish(self) -> Result<Listing, Malformed> {
        let decode = |key| if self.is_encoded { decode_form(key) } else { Ok(Cow::into_owned(key)) };
        let entries: Vec<_> = self
            .entries
            .into_iter()
            .map(|(key, listed)| Ok((decode(key)?, listed)))
            .collect::<Result<_, Malformed>>()?;
        let next_key = self.next_key.map(decode).transpose()?;
        let next_version = self.next_version.map(|version| VersionId::parse(Some(&version)));
        // Taking silence for the end would take what is not listed for gone.
        let next = match self.is_truncated.ok_or_else(|| lacks("the list", "IsTruncated"))? {
            true => Some(next(next_key, next_version, entries.last())?),
            false => None,
        };
        Ok(Listing { entries, next })
    }
}

/// Markers name the last entry of the page, so where they are missing that entry serves.
fn next(
    key: Option<String>,
    version: Option<VersionId>,
    last: Option<&(String, Listed)>,
) -> Result<Cursor, Malformed> {
    let last = last.map(|(key, listed)| Cursor { key: key.clone(), version: Some(listed.version.clone()) });
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
}

fn entry<'a>(xml: &mut Xml<'a>, tag: Tag) -> Result<(Cow<'a, str>, Listed), Malformed> {
    let (mut key, mut version, mut is_latest, mut last_modified) = (None, None, None, None);
    let (mut content, mut storage_class) = (Content::default(), None);
    while let Some(start) = xml.child()? {
        match start.local_name().as_ref() {
            "Key" => key = Some(xml.text()?),
            "VersionId" => version = Some(xml.text()?),
            "IsLatest" => is_latest = Some(flag("IsLatest", &xml.text()?)?),
            "LastModified" => last_modified = Some(date(&xml.text()?)?),
            "ETag" => content.etag = filled(xml.text()?.trim_matches('"').into()).map(Cow::into_owned),
            "Size" => content.size = Some(size(&xml.text()?)?),
            "StorageClass" => storage_class = filled(xml.text()?).map(Cow::into_owned),
            _ => xml.skip(&start)?,
        }
    }
    let key = key.ok_or_else(|| lacks("an entry", "Key"))?;
    let lacks = |what| lacks(&format!("the entry of {key:?}"), what);
    let listed = Listed {
        version: VersionId::parse(version.as_deref()),
        is_latest: is_latest.ok_or_else(|| lacks("IsLatest"))?,
        state: if tag == Tag::Marker { State::Marker } else { State::Object(content) },
        last_modified: last_modified.ok_or_else(|| lacks("LastModified"))?,
        storage_class,
    };
    Ok((key, listed))
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
    text.parse().map_err(|_| Malformed::new(format!("Size is {text:?}, which is no number of bytes")))
}

fn date(text: &str) -> Result<Timestamp, Malformed> {
    let date = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| Malformed::new(format!("LastModified is {text:?}, which is no date")))?;
    // The years of RFC 3339 all fit.
    let micros = i64::try_from(date.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    Ok(Timestamp::from_micros(micros))
}

/// Decodes a key as forms are: spaces came as `+`, or from other stores as `%20`.
fn decode_form(key: Cow<'_, str>) -> Result<String, Malformed> {
    if !key.contains(['+', '%']) {
        return Ok(key.into_owned());
    }
    let spaced = key.replace('+', " ");
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
    String::from_utf8(decoded).map_err(|error| {
        let key = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Malformed::new(format!("the key {key:?} is not UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2026-07-20T10:00:00.000Z";

    fn version(key: &str, id: &str) -> String {
        format!(
            "<Version><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>true</IsLatest>\
             <LastModified>{DATE}</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size>\
             <StorageClass>GLACIER_IR</StorageClass><Owner><ID>x</ID></Owner></Version>"
        )
    }

    fn marker(key: &str, id: &str) -> String {
        format!(
            "<DeleteMarker><Owner><Key>no</Key></Owner><Key>{key}</Key><VersionId>{id}</VersionId>\
             <IsLatest>false</IsLatest><LastModified>{DATE}</LastModified></DeleteMarker>"
        )
    }

    fn document(parts: &[&str]) -> String {
        let parts = parts.concat();
        format!(
            "<?xml version=\"1.0\"?>\n<ListVersionsResult xmlns=\"http://s3\">{parts}</ListVersionsResult>"
        )
    }

    fn last_page(parts: &[&str]) -> Result<Listing, String> {
        parse_str(&document(&[&parts.concat(), "<IsTruncated>false</IsTruncated>"]))
    }

    fn parse_str(document: &str) -> Result<Listing, String> {
        parse(document.as_bytes()).map_err(|malformed| malformed.to_string())
    }

    fn keys(listing: &Listing) -> Vec<&str> {
        listing.entries.iter().map(|(key, _)| key.as_str()).collect()
    }

    fn cursor(key: &str, version: Option<&str>) -> Cursor {
        Cursor { key: key.to_owned(), version: version.map(|version| VersionId::parse(Some(version))) }
    }

    #[test]
    fn versions_and_markers_keep_their_order() {
        let listing = last_page(&[&version("a", "3"), &marker("a", "2"), &version("a", "1")]).unwrap();
        let ids: Vec<_> = listing.entries.iter().map(|(_, entry)| entry.version.as_str()).collect();
        assert_eq!(ids, ["3", "2", "1"]);
        assert_eq!(listing.next, None);
        let [(_, object), (key, marker), _] = &listing.entries[..] else { panic!("{listing:?}") };
        let content = Content { etag: Some("e".to_owned()), size: Some(7) };
        let last_modified = Timestamp::from_micros(1_784_541_600_000_000);
        assert_eq!(
            *object,
            Listed {
                version: VersionId::parse(Some("3")),
                is_latest: true,
                state: State::Object(content),
                last_modified,
                storage_class: Some("GLACIER_IR".to_owned()),
            }
        );
        assert_eq!(key, "a");
        assert_eq!((&marker.state, marker.is_latest, &marker.storage_class), (&State::Marker, false, &None));
    }

    #[test]
    fn keys_are_decoded_only_where_the_document_says_so() {
        let encoding = "<EncodingType>url</EncodingType>";
        let entry = version("a+b%2B%20%C3%A9%01%zz", "1+%20");
        for (parts, key) in [
            ([encoding, &entry], "a b+ é\u{1}%zz"),
            ([&entry, encoding], "a b+ é\u{1}%zz"),
            ([&entry, ""], "a+b%2B%20%C3%A9%01%zz"),
            ([&entry, "<EncodingType/>"], "a+b%2B%20%C3%A9%01%zz"),
        ] {
            let listing = last_page(&parts).unwrap();
            assert_eq!(keys(&listing), [key]);
            assert_eq!(listing.entries[0].1.version.as_str(), "1+%20");
        }
    }

    #[test]
    fn control_characters_survive() {
        let entries = [version("a\u{1}\r\nb", "1"), version("a&#x1;&#13;&amp;b", "2")];
        let listing = last_page(&[&entries[0], &entries[1]]).unwrap();
        assert_eq!(keys(&listing), ["a\u{1}\r\nb", "a\u{1}\r&b"]);
    }

    #[test]
    fn every_null_is_null_and_what_is_missing_is_unknown() {
        let spare = format!("<IsLatest>true</IsLatest><LastModified>{DATE}</LastModified>");
        for id in ["", "<VersionId/>", "<VersionId></VersionId>", "<VersionId>null</VersionId>"] {
            let entry = format!("<Version><Key>a</Key>{id}{spare}<ETag/></Version>");
            let listing = last_page(&[&entry]).unwrap();
            let entry = &listing.entries[0].1;
            assert!(entry.version.is_null(), "{id}");
            assert_eq!(entry.state, State::Object(Content::default()));
        }
    }

    #[test]
    fn dates_may_have_fractions() {
        for (text, micros) in
            [("2026-07-20T10:00:00Z", 0), ("2026-07-20T10:00:00.123456789Z", 123_456), (DATE, 0)]
        {
            assert_eq!(date(text), Ok(Timestamp::from_micros(1_784_541_600_000_000 + micros)), "{text}");
        }
    }

    #[test]
    fn the_next_page_begins_at_the_markers_or_after_the_last_entry() {
        let truncated = "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>";
        let (key, id) =
            ("<NextKeyMarker>b+%3D</NextKeyMarker>", "<NextVersionIdMarker>%2</NextVersionIdMarker>");
        let entries = [version("a", "1"), marker("b+%3D", "2")].concat();
        for (parts, next) in [
            (vec![key, id], cursor("b =", Some("%2"))),
            (vec![&entries, key, id], cursor("b =", Some("%2"))),
            (vec![&entries, key], cursor("b =", Some("2"))),
            (vec![&entries, "<NextKeyMarker>c</NextKeyMarker>"], cursor("c", None)),
            (vec![&entries, "<NextKeyMarker/><NextVersionIdMarker/>"], cursor("b =", Some("2"))),
            (vec![&entries, id], cursor("b =", Some("2"))),
        ] {
            let listing = parse_str(&document(&[truncated, &parts.concat()])).unwrap();
            assert_eq!(listing.next, Some(next), "{parts:?}");
        }
        let unasked = last_page(&[&entries, key, id]).unwrap();
        assert_eq!(unasked.next, None);
    }

    #[test]
    fn hostile_documents_say_what_is_wrong() {
        let end = "<IsTruncated>false</IsTruncated>";
        let spare = format!("<IsLatest>true</IsLatest><LastModified>{DATE}</LastModified>");
        let entry = |inner: &str| document(&[end, "<Version>", inner, "</Version>"]);
        for (document, expected) in [
            (String::new(), "ends early"),
            ("503 Slow Down".to_owned(), "ends early"),
            ("<html><body>hello</body></html>".to_owned(), "<html>, not a list"),
            ("<ListBucketResult/>".to_owned(), "<ListBucketResult>, not a list"),
            (document(&[]), "the list has no IsTruncated"),
            (document(&["<IsTruncated>maybe</IsTruncated>"]), "\"maybe\""),
            (document(&["<IsTruncated>true</IsTruncated>"]), "nothing says from where"),
            (document(&[end, "<Version>"]), "broken"),
            (document(&[end, &version("a", "1")])[..300].to_owned(), "broken"),
            ("<ListVersionsResult><Version><Key>a".to_owned(), "ends early"),
            (entry(&spare), "an entry has no Key"),
            (entry("<Key>a</Key><IsLatest>true</IsLatest>"), "\"a\" has no LastModified"),
            (entry(&format!("<Key>a</Key><LastModified>{DATE}</LastModified>")), "\"a\" has no IsLatest"),
            (entry(&format!("<Key>a</Key>{spare}<Size>-</Size>")), "\"-\", which is no number"),
            (entry("<LastModified>today</LastModified>"), "\"today\", which is no date"),
            (
                document(&[end, "<EncodingType>url</EncodingType>", &version("a%FFb", "1")]),
                "the key \"a\u{fffd}b\" is not UTF-8",
            ),
        ] {
            let error = parse_str(&document).unwrap_err();
            assert!(error.contains(expected), "{document}: {error}");
        }
    }

    #[test]
    fn a_page_must_be_the_one_asked_for() {
        let page = |keys: &[&str], next: Option<Cursor>| {
            let entries: String = keys.iter().map(|key| version(key, "1")).collect();
            Listing { next, ..last_page(&[&entries]).unwrap() }
        };
        let (within, after_key) = (cursor("b", Some("5")), cursor("b", None));
        for (page, prefix, after, expected) in [
            (page(&["b", "c"], Some(cursor("c", Some("1")))), "", Some(&within), None),
            (page(&["b"], Some(cursor("b", Some("1")))), "", Some(&within), None),
            (page(&["ba", "bb"], None), "b", None, None),
            (page(&[], None), "b", Some(&within), None),
            (page(&["ba", "c"], None), "b", None, Some("\"c\" is listed, which does not begin with \"b\"")),
            (page(&["a"], None), "", Some(&within), Some("\"a\" is listed, which is before")),
            (page(&["b"], None), "", Some(&after_key), Some("\"b\" is listed, which is before")),
            (page(&["b"], Some(within.clone())), "", Some(&within), Some("does not advance")),
            (page(&[], Some(cursor("a", None))), "", Some(&within), Some("does not advance")),
            (page(&[], Some(cursor("b", Some("1")))), "", Some(&after_key), Some("does not advance")),
        ] {
            let error = page.check(prefix, after).err().map(|malformed| malformed.to_string());
            match expected {
                None => assert_eq!(error, None),
                Some(expected) => assert!(error.as_ref().unwrap().contains(expected), "{error:?}"),
            }
        }
    }
}
