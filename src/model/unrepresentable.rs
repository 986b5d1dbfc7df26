//! Keys that the catalog cannot hold, because a text or an index entry of Postgres cannot.

use std::fmt;

use super::after_prefix;

/// Bytes of bucket name, key and version id together. An entry of a b-tree holds 2,704 bytes
/// (<https://www.postgresql.org/docs/current/btree.html>): 8 are its header, and each of three texts has a
/// length of 4 bytes and up to 3 of padding. S3 itself needs at most 63, 1,024 and 1,024.
const IDENTITY_MAX: usize = 2_704 - 8 - 3 * (4 + 3);

/// Scalar values that come before the surrogates, and how many surrogates there are.
const BEFORE_SURROGATES: u32 = 0xD800;
const SURROGATES: u32 = 0x800;

/// Why the catalog cannot hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// It contains U+0000, which no text in Postgres can hold.
    Nul,
    /// With its bucket and a version id it is longer than an index entry.
    TooLong,
}

impl Reason {
    /// The word in `catalog.unrepresentable.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::Nul => "nul",
            Self::TooLong => "too_long",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => formatter.write_str("the key is not UTF-8"),
            Self::Nul => formatter.write_str("the key contains U+0000, which Postgres cannot store"),
            Self::TooLong => {
                write!(formatter, "bucket, key and version id have more than {IDENTITY_MAX} bytes")
            }
        }
    }
}

/// A key that the catalog cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawKey {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Why the catalog cannot hold it.
    pub reason: Reason,
}

/// The key as text, if the catalog can hold it with this version in a bucket whose name has so many bytes.
///
/// # Errors
/// Why the catalog cannot hold it.
pub fn representable<'a>(bucket: usize, key: &'a [u8], version: &str) -> Result<&'a str, Reason> {
    let text = std::str::from_utf8(key).map_err(|_| Reason::NotUtf8)?;
    if memchr::memchr(0, key).is_some() || version.contains('\0') {
        return Err(Reason::Nul);
    }
    if !fits(bucket, key.len(), version.len()) {
        return Err(Reason::TooLong);
    }
    Ok(text)
}

/// Whether an index entry holds names of so many bytes.
pub const fn fits(bucket: usize, key: usize, version: usize) -> bool {
    bucket + key + version <= IDENTITY_MAX
}

/// A text right before bytes that are not UTF-8: all texts between the two begin with it. Listing after it
/// shows those bytes again, and what follows them.
pub fn text_before(bytes: &[u8]) -> String {
    let (valid, rest) = split(bytes);
    // What is not UTF-8 begins with 0x80 at least, and so there is always one.
    let last = scalar(first_after(rest).saturating_sub(1)).unwrap_or_default();
    format!("{valid}{last}")
}

/// The first text after bytes that are not UTF-8; none if there is none. Nothing between the two is UTF-8.
pub fn text_after(bytes: &[u8]) -> Option<String> {
    let (valid, rest) = split(bytes);
    match scalar(first_after(rest)) {
        Some(next) => Some(format!("{valid}{next}")),
        None => after_prefix(valid),
    }
}

/// The longest beginning that is UTF-8, and the rest.
fn split(bytes: &[u8]) -> (&str, &[u8]) {
    let mut chunks = bytes.utf8_chunks();
    let valid = chunks.next().map_or("", |chunk| chunk.valid());
    (valid, &bytes[valid.len()..])
}

/// The number of the first scalar value whose UTF-8 comes after `rest`, which does not begin with any.
fn first_after(rest: &[u8]) -> u32 {
    let (mut low, mut high) = (0, u32::from(char::MAX) + 1 - SURROGATES);
    while low < high {
        let middle = low.midpoint(high);
        let mut buffer = [0; 4];
        let is_after = scalar(middle).is_some_and(|middle| middle.encode_utf8(&mut buffer).as_bytes() > rest);
        (low, high) = if is_after { (low, middle) } else { (middle + 1, high) };
    }
    low
}

/// The scalar value of that number, in the order of code points, which is that of UTF-8.
fn scalar(number: u32) -> Option<char> {
    char::from_u32(if number < BEFORE_SURROGATES { number } else { number + SURROGATES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_up_to_what_an_index_entry_holds() {
        let key = vec![b'k'; IDENTITY_MAX];
        let check = |key: &[u8], version: &str, reason: Option<Reason>| {
            assert_eq!(representable(63, key, version).err(), reason, "{} {version:?}", key.len());
        };
        check(&key[67..], "null", None);
        check(&key[66..], "null", Some(Reason::TooLong));
        check("日本\u{FFFF}\u{1}\n".as_bytes(), "null", None);
        check(b"a\0b", "null", Some(Reason::Nul));
        check(b"a", "1\0", Some(Reason::Nul));
        check(b"b\xFF\xFEc", "null", Some(Reason::NotUtf8));
        check(b"\xED\xA0\xBD\xED\xB8\x80", "null", Some(Reason::NotUtf8));
    }

    #[track_caller]
    fn check_beside(bytes: &[u8], before: &str, after: Option<&str>) {
        assert_eq!((text_before(bytes).as_str(), text_after(bytes).as_deref()), (before, after), "{bytes:?}");
        assert!(before.as_bytes() < bytes && after.is_none_or(|after| after.as_bytes() > bytes));
    }

    #[test]
    fn texts_stand_right_beside_what_is_none() {
        check_beside(b"b\xFF\xFEc", "b\u{10FFFF}", Some("c"));
        check_beside(b"b\x80", "b\u{7F}", Some("b\u{80}"));
        check_beside(b"b\xC0\x80", "b\u{7F}", Some("b\u{80}"));
        check_beside(b"b\xC3(", "b\u{BF}", Some("b\u{C0}"));
        check_beside(b"b\xE9", "b\u{8FFF}", Some("b\u{9000}"));
        check_beside(b"b\xED\xA0\xBD", "b\u{D7FF}", Some("b\u{E000}"));
        check_beside(b"b\xF4\x90", "b\u{10FFFF}", Some("c"));
        check_beside(b"\xFF", "\u{10FFFF}", None);
        check_beside(
            "é\u{10FFFF}".as_bytes().iter().copied().chain([0xFF]).collect::<Vec<_>>().as_slice(),
            "é\u{10FFFF}\u{10FFFF}",
            Some("ê"),
        );
    }
}
