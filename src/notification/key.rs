//! Keys as S3's own records spell them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes a key of S3's own records, which is form-encoded: `+` is a space, then percent escapes,
/// once (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
/// Keys in EventBridge events are not encoded, and decoding them would corrupt every `+` and `%`.
///
/// An escape that is none, as in `100%`, stays as it is: S3 sends no such thing, and a store that
/// does has not encoded the key. None where the escapes do not spell UTF-8.
pub(crate) fn from_form(encoded: &str) -> Option<String> {
    let spaced =
        if encoded.contains('+') { Cow::Owned(encoded.replace('+', " ")) } else { Cow::Borrowed(encoded) };
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoded: &str, key: &str) {
        assert_eq!(from_form(encoded).as_deref(), Some(key));
    }

    #[test]
    fn plus_is_a_space_and_an_escaped_plus_a_plus() {
        check("my+report.csv", "my report.csv");
        check("1%2B1%3D2", "1+1=2");
        check("a%20b", "a b");
        check("logs/year%3D2026/caf%C3%A9+%F0%9F%A7%AC", "logs/year=2026/café 🧬");
    }

    #[test]
    fn it_is_decoded_once() {
        check("100%2525", "100%25");
        check("a%252Bb", "a%2Bb");
    }

    #[test]
    fn what_is_no_escape_stays() {
        check("100%", "100%");
        check("%zz%4", "%zz%4");
        check("plain/ключ", "plain/ключ");
    }

    #[test]
    fn any_character_can_be_in_a_key() {
        check("%00%0A%7F", "\0\n\u{7f}");
        assert_eq!(from_form("%FF"), None);
        assert_eq!(from_form("%ED%A0%80"), None);
    }
}
