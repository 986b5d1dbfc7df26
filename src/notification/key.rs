//! Keys as S3's own records spell them.

use percent_encoding::percent_decode;

/// Decodes a key of S3's own records, which is form-encoded: `+` is a space, then percent escapes,
/// once (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
/// Keys in EventBridge events are not encoded, and decoding them would corrupt every `+` and `%`.
///
/// An escape that is none, as in `100%`, stays as it is: S3 sends no such thing, and a store that
/// does has not encoded the key. An error has the bytes that the escapes spell, where those are not UTF-8.
pub(crate) fn from_form(encoded: &str) -> Result<String, Vec<u8>> {
    let spaced: Vec<u8> = encoded.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).map_err(std::string::FromUtf8Error::into_bytes)
}

/// What S3 would have encoded of a key, and what no store that encodes keys leaves as it is: then the key
/// is not encoded. S3 leaves letters, digits and `-_.*/`; other encoders also leave `~!'()`.
pub(super) fn unencoded(key: &str) -> Option<char> {
    let mut rest = key.chars();
    while let Some(next) = rest.next() {
        let is_fine = match next {
            '%' => {
                let mut digits = rest.clone().take(2);
                let is_digit = |digit: Option<char>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
                is_digit(digits.next()) && is_digit(digits.next())
            }
            _ => next.is_ascii_alphanumeric() || "-_.*/+~!'()".contains(next),
        };
        if !is_fine {
            return Some(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoded: &str, key: &str) {
        assert_eq!(from_form(encoded).as_deref(), Ok(key));
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
        assert_eq!(from_form("%FF"), Err(vec![0xFF]));
        assert_eq!(from_form("%ED%A0%80"), Err(vec![0xED, 0xA0, 0x80]));
    }

    #[test]
    fn a_key_that_was_not_encoded_shows_it() {
        for key in ["a b+c%20.txt", "year=2026/a", "a&b", "100%", "%zz", "caf\u{E9}", "a\n", "a@b", "a:b"] {
            assert!(unencoded(key).is_some(), "{key}");
        }
        for key in ["a+b", "a%20b%2B.txt", "my+report+%281%29.csv", "a%2Fb", "a~b", "A-Z_.*", "it's(1)!"] {
            assert_eq!(unencoded(key), None, "{key}");
        }
    }
}
