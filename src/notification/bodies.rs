//! How the texts people have on disk are cut into bodies.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

/// The message bodies in `text`: what a queue's message held, as somebody saved or piped it.
///
/// - One JSON document is one body, however many lines it has.
/// - Several documents one after another (JSON lines, or what `jq` prints) are as many bodies.
/// - Otherwise, if any line is a document of its own, every line that is not blank is a body, so
///   that a broken line is reported beside its readable neighbours.
/// - Anything else is one body.
///
/// Where such a document is the answer of `aws sqs receive-message` (`Messages`), a message out of it
/// (`MessageId` and `Body`), or a JSON string, the bodies inside are taken out. Blank text has none.
pub fn bodies(text: &str) -> Vec<Cow<'_, str>> {
    let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
    let pieces = documents(text).or_else(|| lines(text)).unwrap_or_else(|| vec![text]);
    pieces.into_iter().flat_map(unpack).collect()
}

/// The JSON documents the text consists of; none where anything else is between them.
fn documents(text: &str) -> Option<Vec<&str>> {
    let mut stream = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(document) = stream.next() {
        document.ok()?;
        found.push(text[start..stream.byte_offset()].trim());
        start = stream.byte_offset();
    }
    Some(found)
}

/// The lines that are not blank; none where no line alone is a JSON object.
fn lines(text: &str) -> Option<Vec<&str>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_object = |line: &str| line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok();
    lines.iter().any(|line| is_object(line)).then_some(lines)
}

/// Takes the bodies out of what the AWS command line printed.
fn unpack(document: &str) -> Vec<Cow<'_, str>> {
    match serde_json::from_str(document) {
        Ok(Value::String(body)) => vec![body.into()],
        Ok(Value::Object(fields)) => match fields.get("Messages") {
            Some(Value::Array(messages)) => messages.iter().map(|message| packed(message).into()).collect(),
            _ if fields.contains_key("MessageId") && fields.contains_key("Body") => {
                vec![packed(&Value::Object(fields)).into()]
            }
            _ => vec![document.into()],
        },
        _ => vec![document.into()],
    }
}

/// The body of a message; a message without one stands for itself, to be reported.
fn packed(message: &Value) -> String {
    match message.get("Body") {
        Some(Value::String(body)) => body.clone(),
        _ => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(bodies(text), expected);
    }

    #[test]
    fn one_document_is_one_body() {
        check("\u{feff}{\n  \"Records\": []\n}\n", &["{\n  \"Records\": []\n}"]);
        check("garbage\nmore of it", &["garbage\nmore of it"]);
        check("{\n  \"Records\": [\n", &["{\n  \"Records\": ["]);
        check(" \n", &[]);
    }

    #[test]
    fn documents_and_lines_are_bodies_each() {
        check("{\"a\":1}\n\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]);
        check("{\n\"a\":1\n}\n{\n\"b\":2\n}", &["{\n\"a\":1\n}", "{\n\"b\":2\n}"]);
        check("{\"a\":1}\nbroken\n{\"b\":2}", &["{\"a\":1}", "broken", "{\"b\":2}"]);
    }

    #[test]
    fn what_the_command_line_prints_is_unpacked() {
        check(
            r#"{"Messages":[{"Body":"{\"a\":1}"},{"Body":"x"},{"MessageId":"m"}]}"#,
            &[r#"{"a":1}"#, "x", r#"{"MessageId":"m"}"#],
        );
        check(r#"{"MessageId":"m","Body":"{}"}"#, &["{}"]);
        check(r#""{\"a\":1}""#, &[r#"{"a":1}"#]);
    }
}
