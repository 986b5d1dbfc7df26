//! Prefixes as ranges of keys in byte order.

/// The first key after all that begin with `prefix`; none when there is no such key, as for the
/// empty prefix.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Byte order of UTF-8 is the order of code points. Surrogates are none, and neither is
        // what would follow the greatest.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, expected: Option<&str>) {
        let end = after_prefix(prefix);
        assert_eq!(end.as_deref(), expected, "{prefix:?}");
        if let Some(end) = end {
            assert!(format!("{prefix}{}{}", char::MAX, char::MAX) < end, "{prefix:?} < {end:?}");
        }
    }

    #[test]
    fn a_prefix_ends_before_the_next_key_without_it() {
        check("projects/alpha/", Some("projects/alpha0"));
        check("", None);
        check("ü", Some("ý"));
        check("a\u{7F}", Some("a\u{80}"));
        check("a\u{D7FF}", Some("a\u{E000}"));
        check("a\u{10FFFF}", Some("b"));
        check("\u{10FFFF}", None);
    }
}
