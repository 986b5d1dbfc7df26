//! Keys that are not UTF-8: in a document that does not encode them, and as the place where a page ends.
//!
//! A marker is text for the SDK, and its signature is made of text. So the next page begins after the last text
//! before such a key, and shows the key again. Where more of them stand in a row than a page holds, the next page
//! begins at the first text after them: nothing between is UTF-8.

use std::borrow::Cow;

use super::{Cursor, Keys, Page};
use crate::model::{VersionId, text_after, text_before};

/// Stands before the two digits of a byte that is not UTF-8, in a document that is made UTF-8. It is no character.
const ESCAPE: char = '\u{FDD0}';

/// The document with what is not UTF-8 escaped, and the mark of that.
pub(super) fn escape(document: &[u8]) -> String {
    let mut escaped = String::with_capacity(document.len());
    let digits = |bytes: &[u8], escaped: &mut String| {
        for byte in bytes {
            escaped.push(ESCAPE);
            escaped.push_str(&format!("{byte:02X}"));
        }
    };
    for chunk in document.utf8_chunks() {
        for (number, part) in chunk.valid().split(ESCAPE).enumerate() {
            if number > 0 {
                digits(ESCAPE.encode_utf8(&mut [0; 4]).as_bytes(), &mut escaped);
            }
            escaped.push_str(part);
        }
        digits(chunk.invalid(), &mut escaped);
    }
    escaped
}

/// The bytes of a text out of such a document.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let mut buffer = [0; 4];
    let mark = ESCAPE.encode_utf8(&mut buffer).as_bytes();
    let mut places = memchr::memmem::find_iter(text, mark).peekable();
    if places.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut begin) = (Vec::with_capacity(text.len()), 0);
    for place in places {
        let digits = text.get(place + mark.len()..place + mark.len() + 2);
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(byte) = byte {
            bytes.extend_from_slice(&text[begin..place]);
            bytes.push(byte);
            begin = place + mark.len() + 2;
        }
    }
    bytes.extend_from_slice(&text[begin..]);
    Cow::Owned(bytes)
}

/// The cursor after an entry of that key, which is the last on a page with these keys.
pub(super) fn cursor(key: Vec<u8>, version: Option<VersionId>, keys: &Keys) -> Cursor {
    let seen = match String::from_utf8(key) {
        Ok(key) => return Cursor { version, ..Cursor::after(key) },
        Err(error) => error.into_bytes(),
    };
    let before = text_before(&seen);
    let last = keys.last().filter(|last| *last.name >= *before && *last.name.as_bytes() < *seen);
    match last {
        Some(last) => Cursor {
            key: last.name.to_owned(),
            version: last.told().last().map(|told| VersionId::parse(Some(told.version))),
            seen,
            is_skip: false,
        },
        None => Cursor { seen, ..Cursor::after(before) },
    }
}

/// Where a listing of keys under `prefix` goes on that reached `next`, and began at `after`: no earlier than it began,
/// and past a row of keys in which it does not advance.
pub(super) fn go_on(next: Cursor, prefix: &str, after: &Cursor) -> Option<Cursor> {
    if !after.seen.is_empty() && next.reached() <= after.reached() {
        tracing::warn!(
            prefix,
            after = after.key,
            "more keys in a row are not UTF-8 than a page holds: the listing goes on after them"
        );
        let beyond = text_after(&after.seen).filter(|key| key.starts_with(prefix));
        return beyond.map(|key| Cursor { is_skip: true, ..Cursor::after(key) });
    }
    let is_earlier = !next.seen.is_empty() && next.key <= after.key && !after.is_skip;
    Some(if is_earlier {
        Cursor { key: after.key.clone(), version: after.version.clone(), ..next }
    } else {
        next
    })
}

/// The cursor after all keys that begin with `first`, of which this is the last page.
pub(super) fn after_all(first: &str, page: &Page) -> Cursor {
    let last = page.keys.last().map_or(first, |last| last.name);
    let raw = page.unrepresentable.last().filter(|raw| *raw.bytes > *last.as_bytes());
    raw.map_or_else(|| Cursor::after(last), |raw| cursor(raw.bytes.clone(), None, &page.keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        let documents: [&[u8]; 4] =
            [b"<Key>a</Key>", b"a\xFFb\xFE", "\u{FDD0}41\u{FDD0}".as_bytes(), b"\xED\xA0\xBD"];
        for document in documents {
            assert_eq!(*unescape(escape(document).as_bytes()), *document);
        }
        assert_eq!(*unescape("a\u{FDD0}".as_bytes()), *"a\u{FDD0}".as_bytes());
    }

    #[test]
    fn a_row_that_fills_pages_is_passed_over() {
        let at = |key: &str, seen: &[u8]| Cursor { seen: seen.to_vec(), ..Cursor::after(key) };
        let after = at("b\u{10FFFF}", b"b\xFF1");
        let skip = |key: &str| Some(Cursor { is_skip: true, ..Cursor::after(key) });
        assert_eq!(go_on(after.clone(), "", &after), skip("c"));
        assert_eq!(go_on(after.clone(), "b", &after), None, "nothing else begins with the prefix");
        let further = at("b\u{10FFFF}", b"b\xFF2");
        assert_eq!(go_on(further.clone(), "", &after), Some(further));
        let last = Cursor { version: Some(VersionId::null()), ..Cursor::after("b\u{10FFFF}x") };
        let expected = Cursor { seen: b"b\xFF2".to_vec(), ..last.clone() };
        assert_eq!(go_on(at("b\u{10FFFF}", b"b\xFF2"), "", &last), Some(expected));
    }
}
