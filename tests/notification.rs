//! Message bodies of every shape and family, each beside the line that `stocktake decode` prints
//! for it; and what must hold of any body at all.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like the test")]

use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Value, json};
use stocktake::notification::{Body, bodies, decode, print};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/notification");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_fixture_reads_as_expected() {
    let mut wrong = Vec::new();
    let fixtures = fixtures();
    assert!(fixtures.len() > 60, "{} fixtures", fixtures.len());
    for path in &fixtures {
        let text = fs::read_to_string(path).unwrap();
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        let lines: Vec<String> = bodies(&text).iter().map(|body| print::json(&decode(body))).collect();
        if lines != expected.lines().collect::<Vec<_>>() {
            wrong.push(format!("{}:\n{}", path.display(), lines.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fixture_prints_as_text() {
    for path in fixtures() {
        let printed = print::text(&decode(&fs::read_to_string(&path).unwrap()));
        assert!(printed.ends_with('\n') && !printed.contains('\0'), "{}: {printed}", path.display());
    }
}

/// Does everything that can be done with a body. The line must be JSON, whatever came in.
fn exercise(text: &str) {
    for body in bodies(text) {
        let body = decode(&body);
        let line = print::json(&body);
        assert!(!line.contains('\n'), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["kind"].is_string());
        print::text(&body);
        if let Body::Records(records) = body {
            for record in records.into_iter().flatten() {
                assert!(!record.key.is_empty());
                let _ = (record.claim(), record.storable());
            }
        }
    }
    // A queue delivers it uncut.
    decode(text);
}

/// What S3 leaves bare in the keys of its records.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

fn form(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string().replace("%20", "+")
}

fn direct(key: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "s3": {"bucket": {"name": "genomics"}, "object": {"key": key}},
    }]})
}

fn eventbridge(key: &str) -> Value {
    json!({
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-01-02T03:04:05Z",
        "detail": {"bucket": {"name": "genomics"}, "object": {"key": key}, "reason": "PutObject"},
    })
}

fn key_of(body: &Value) -> String {
    match decode(&body.to_string()) {
        Body::Records(records) => records[0].clone().unwrap().key,
        other => panic!("{other:?}"),
    }
}

/// Any text at all, control characters too.
fn texts(lengths: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), lengths).prop_map(|chars| chars.into_iter().collect())
}

/// JSON out of the words that mean something to the decoder, in places where they may or may not.
fn documents() -> impl Strategy<Value = Value> {
    let names = "Records s3 bucket object name key size versionId eTag sequencer eventName eventTime \
        eventVersion detail detail-type source time Message Type TopicArn Event Messages Body MessageId";
    let names = prop::sample::select(names.split_whitespace().collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts(0..8).prop_map(Value::from),
        prop::sample::select(vec![
            "ObjectCreated:Put",
            "s3:TestEvent",
            "Notification",
            "Object Deleted",
            "aws.s3",
            "null",
            "",
            "2026-01-02T03:04:05.678Z",
            "{\"Records\":[{\"s3\":{}}]}",
            "%00",
            "%FF",
            "3.0",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_body(text in texts(0..200)) {
        exercise(&text);
    }

    #[test]
    fn any_document_is_a_body(document in documents()) {
        exercise(&document.to_string());
    }

    #[test]
    fn any_damage_leaves_a_body(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<char>>()), 1..6),
    ) {
        let fixtures = fixtures();
        let text = fs::read_to_string(&fixtures[which.index(fixtures.len())]).unwrap();
        let mut damaged: Vec<char> = text.chars().collect();
        for (place, char) in cuts {
            if damaged.is_empty() {
                break;
            }
            let place = place.index(damaged.len());
            match char {
                Some(char) => damaged[place] = char,
                None => drop(damaged.remove(place)),
            }
        }
        exercise(&damaged.into_iter().collect::<String>());
    }

    #[test]
    fn any_key_survives_both_shapes(key in prop_oneof![texts(1..200), "[ -~]{1,40}"]) {
        prop_assert_eq!(&key_of(&direct(&form(&key))), &key);
        prop_assert_eq!(&key_of(&eventbridge(&key)), &key);
        let wrapped = json!({"Type": "Notification", "Message": direct(&form(&key)).to_string()});
        prop_assert_eq!(&key_of(&wrapped), &key);
    }
}
