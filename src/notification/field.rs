//! Reading the fields that both shapes of events have, each by its path.
//!
//! What identifies a version (bucket, key, version id) or counts (size, time) must be right where it
//! stands; what only describes is dropped where it is not.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Unreadable, quote};
use crate::model::{Timestamp, VersionId};

/// The longest text that only describes, in bytes: no entity tag, account or address has as many, and a page of
/// hundreds of them must stay one that can be shown.
const DESCRIBES_MAX: usize = 1_024;
/// The most bytes an object can have, a pebibyte: twenty times what S3 takes.
const SIZE_MAX: i64 = 1 << 50;

/// The value at a dotted path; JSON null counts as absent.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// The text at `path`; none where there is none, or it is no text, or empty.
pub(super) fn told<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path)?.as_str().filter(|text| !text.is_empty())
}

/// [`told`], to keep; none where it is too long.
pub(super) fn owned(value: &Value, path: &str) -> Option<String> {
    described(value, path).map(str::to_owned)
}

fn described<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    told(value, path).filter(|text| text.len() <= DESCRIBES_MAX)
}

/// The text that must stand at `path`.
pub(super) fn required<'a>(value: &'a Value, path: &str) -> Result<&'a str, Unreadable> {
    match at(value, path) {
        None => Err(complaint(path, "missing")),
        Some(Value::String(text)) if text.is_empty() => Err(complaint(path, "empty")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(complaint(path, "not a text")),
    }
}

/// The version id, in any spelling of the null version.
pub(super) fn version(value: &Value, path: &str) -> Result<VersionId, Unreadable> {
    match at(value, path) {
        None => Ok(VersionId::null()),
        Some(Value::String(text)) => Ok(VersionId::parse(Some(text))),
        Some(_) => Err(complaint(path, "not a text")),
    }
}

/// A number of bytes, where there is one; some stores put numbers in quotes.
pub(super) fn size(value: &Value, path: &str) -> Result<Option<i64>, Unreadable> {
    let bytes = match at(value, path) {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_i64(),
    };
    match bytes {
        Some(0..=SIZE_MAX) => Ok(bytes),
        _ => Err(complaint(path, "not a number of bytes")),
    }
}

/// A moment in RFC 3339 with any number of decimals. What is finer than Postgres keeps is cut off. Where there is
/// none, it is `latest`, if that is known.
pub(super) fn time(value: &Value, path: &str, latest: Option<Timestamp>) -> Result<Timestamp, Unreadable> {
    if let (None, Some(latest)) = (at(value, path), latest) {
        return Ok(latest);
    }
    let text = required(value, path)?;
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| complaint(path, &format!("{} is not a time of RFC 3339", quote(text))))?;
    let micros = moment.unix_timestamp_nanos().div_euclid(1_000);
    let micros = i64::try_from(micros).map_err(|_| complaint(path, "out of range"))?;
    Ok(Timestamp::from_micros(micros))
}

/// The entity tag without the quotes that listings put around it.
pub(super) fn etag(value: &Value, path: &str) -> Option<String> {
    described(value, path)
        .map(|etag| etag.trim_matches('"'))
        .filter(|etag| !etag.is_empty())
        .map(str::to_owned)
}

/// Refuses a schema whose major version is above `known`: its fields may mean something else. Minor
/// versions only add
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
pub(super) fn schema(value: &Value, path: &str, known: u32) -> Result<(), Unreadable> {
    let Some(version) = told(value, path) else { return Ok(()) };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major > known => {
            Err(complaint(path, &format!("{}, and versions up to {known} are understood", quote(version))))
        }
        _ => Ok(()),
    }
}

/// What is wrong with the field at `path`.
pub(super) fn complaint(path: &str, what: &str) -> Unreadable {
    Unreadable::new(&format!("{path}: {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_time(text: &str, micros: Option<i64>) {
        let read = time(&json!({"t": text}), "t", None).ok().map(Timestamp::as_micros);
        assert_eq!(read, micros, "{text}");
    }

    #[test]
    fn times_have_any_number_of_decimals_and_any_offset() {
        check_time("1970-01-01T00:00:01Z", Some(1_000_000));
        check_time("1970-01-01T00:00:01.5Z", Some(1_500_000));
        check_time("1970-01-01T00:00:01.000Z", Some(1_000_000));
        check_time("1970-01-01T00:00:01.123456Z", Some(1_123_456));
        check_time("1970-01-01T00:00:01.123456789Z", Some(1_123_456));
        check_time("1970-01-01T02:00:01+02:00", Some(1_000_000));
        check_time("1969-12-31T23:59:59.9999999Z", Some(-1));
        check_time("yesterday", None);
        check_time("1970-01-01T00:00:01", None);
        check_time("", None);
    }

    #[track_caller]
    fn check_size(value: Value, expected: Result<Option<i64>, &str>) {
        let read = size(&json!({"n": value}), "n");
        assert_eq!(read, expected.map_err(|what| complaint("n", what)), "{value}");
    }

    #[test]
    fn sizes_are_whole_and_never_negative() {
        check_size(json!(null), Ok(None));
        check_size(json!(""), Ok(None));
        check_size(json!(0), Ok(Some(0)));
        check_size(json!("5497558138880"), Ok(Some(5_497_558_138_880)));
        check_size(json!(SIZE_MAX), Ok(Some(SIZE_MAX)));
        for wrong in [
            json!(-1),
            json!("-1"),
            json!(1.5),
            json!(SIZE_MAX + 1),
            json!(u64::MAX),
            json!(1e300),
            json!([]),
            json!("x"),
        ] {
            check_size(wrong, Err("not a number of bytes"));
        }
    }

    #[test]
    fn every_spelling_of_the_null_version_is_read() {
        for spelling in [json!({}), json!({"v": null}), json!({"v": ""}), json!({"v": "null"})] {
            assert!(version(&spelling, "v").unwrap().is_null(), "{spelling}");
        }
        assert!(version(&json!({"v": 7}), "v").is_err());
    }

    #[test]
    fn entity_tags_lose_their_quotes() {
        assert_eq!(etag(&json!({"e": "\"abc-2\""}), "e").as_deref(), Some("abc-2"));
        assert_eq!(etag(&json!({"e": "\"\""}), "e"), None);
        assert_eq!(etag(&json!({"e": 5}), "e"), None);
    }

    #[test]
    fn what_only_describes_is_dropped_where_it_is_too_long() {
        let of = |length: usize| json!({"e": "x".repeat(length)});
        assert_eq!(owned(&of(DESCRIBES_MAX), "e").map(|text| text.len()), Some(DESCRIBES_MAX));
        assert_eq!(owned(&of(DESCRIBES_MAX + 1), "e"), None);
        assert_eq!(etag(&of(DESCRIBES_MAX + 1), "e"), None);
    }

    #[test]
    fn only_a_greater_major_version_is_refused() {
        for accepted in [json!({}), json!({"v": "2.99"}), json!({"v": "1.0"}), json!({"v": "new"})] {
            assert_eq!(schema(&accepted, "v", 2), Ok(()), "{accepted}");
        }
        let reason = schema(&json!({"v": "3.0"}), "v", 2).unwrap_err();
        assert_eq!(reason.as_str(), "v: \"3.0\", and versions up to 2 are understood");
    }
}
