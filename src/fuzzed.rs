//! What strangers write goes through here, as fuzzers make it up: see `fuzz/`. The tests put through it again what
//! fuzzers found, below `tests/corpus`.

use serde_json::json;

use crate::bucket::listing;
use crate::notification::{self, Body};
use crate::{aws, inventory};

/// The most characters of a reason: it quotes a stranger, and goes into logs.
const REASON_MAX: usize = 301;
/// What more than enough envelopes around a message are called.
const TOO_MANY: &str = "envelopes around each other";

/// A message's body. Reading it ends, says no more than so much, and means the same inside an envelope.
pub fn message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for part in notification::bodies(&text) {
        notification::decode(&part);
    }
    let body = notification::decode(&text);
    notification::print::json(&body);
    match &body {
        Body::Undecodable(reason) => assert!(reason.chars().count() <= REASON_MAX, "{reason}"),
        Body::TestEvent => {}
        Body::Records(records) => {
            for record in records {
                match record {
                    Ok(record) => {
                        assert!(!record.key.is_empty() && !record.bucket.is_empty(), "{record:?}");
                        let _ = (record.claim(), record.storable());
                    }
                    Err(unreadable) => {
                        assert!(unreadable.as_str().chars().count() <= REASON_MAX, "{unreadable}")
                    }
                }
            }
        }
    }
    if !matches!(body, Body::Undecodable(_)) {
        let envelope = json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:::t", "Message": text });
        match notification::decode(&envelope.to_string()) {
            Body::Undecodable(reason) if reason.contains(TOO_MANY) => {}
            inside => assert_eq!(inside, body),
        }
    }
}

/// The answer to a request for a listing. What is read of it makes sense, and is in the document for others, too.
pub fn listing(bytes: &[u8]) {
    aws::xml::beside::must_agree(bytes);
    for listing in
        [listing::parse(bytes, "genomics"), listing::parse_objects(bytes, "genomics")].into_iter().flatten()
    {
        assert!(listing.keys.iter().all(|key| !key.is_empty()), "{listing:?}");
        // Should the next page be this one again, it is asked for once, and not for ever.
        assert!(listing.next.is_none() || listing.check("", listing.next.as_ref()).is_err(), "{listing:?}");
    }
}

/// An inventory report: the first byte says which part of one the rest is.
pub fn report(bytes: &[u8]) {
    inventory::fuzzed::report(bytes);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Puts everything through that is in a folder. How much that was.
    fn replay(folder: &str, put: fn(&[u8])) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.map(|file| put(&fs::read(file.unwrap().path()).unwrap())).count()
    }

    #[test]
    fn what_fuzzers_begin_with_and_what_they_found_goes_through() {
        for (folder, put) in [
            ("fixtures/notification", super::message as fn(&[u8])),
            ("corpus/message", super::message),
            ("corpus/listing", super::listing),
            ("corpus/report", super::report),
        ] {
            assert!(replay(folder, put) > 0, "{folder} is empty");
        }
    }
}
