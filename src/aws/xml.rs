//! Pulls elements out of the XML that S3 answers with.
//!
//! Control characters pass, raw or as references, though XML 1.0 has no room for them: keys
//! may hold them, and not every store encodes keys when it is asked to. For the same reason line
//! ends are left as they are.

use std::borrow::Cow;

use aws_smithy_types::error::ErrorMetadata;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// About as long as a text with references in it will be: an entity tag, whose quotes are two.
const TEXT_BYTES: usize = 48;

/// An answer that cannot be read, or that contradicts itself. It says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// A place in a document, which only moves forwards.
pub(crate) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
}

impl<'a> Xml<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Malformed::new(format!("byte {} of the answer is not UTF-8", error.valid_up_to()))
        })?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader })
    }

    /// Enters the next element inside the one we are in, or leaves that: then there is none.
    pub(crate) fn child(&mut self) -> Result<Option<BytesStart<'a>>, Malformed> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some(start)),
                Event::End(_) => return Ok(None),
                _ => {}
            }
        }
    }

    /// The text of the element we are in, and leaves that.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let mut text = Cow::Borrowed("");
        loop {
            match self.event()? {
                // Borrowed where the text is in one piece, as it nearly always is.
                Event::Text(piece) => text += piece.into_inner(),
                Event::CData(piece) => text += piece.into_inner(),
                Event::GeneralRef(reference) => {
                    let text = text.to_mut();
                    text.reserve(TEXT_BYTES);
                    resolve(&reference, text)?;
                }
                Event::End(_) => return Ok(text),
                Event::Start(start) => self.skip(&start)?,
                _ => {}
            }
        }
    }

    /// Leaves the element just entered, whatever is in it.
    pub(crate) fn skip(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        let skipped = self.reader.read_to_end(start.name()).map(drop);
        skipped.map_err(|error| self.broken(&error))
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        match self.reader.read_event() {
            Ok(Event::Eof) => {
                let place = self.reader.buffer_position();
                Err(Malformed::new(format!("the answer ends early, at byte {place}")))
            }
            Ok(event) => Ok(event),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &quick_xml::Error) -> Malformed {
        Malformed::new(format!("the answer is broken at byte {}: {error}", self.reader.error_position()))
    }
}

fn resolve(reference: &BytesRef<'_>, text: &mut String) -> Result<(), Malformed> {
    let unknown = || Malformed::new(format!("the answer has a reference to nothing, &{};", &**reference));
    match reference.resolve_char_ref() {
        Ok(Some(character)) => text.push(character),
        Ok(None) => text.push_str(resolve_xml_entity(reference).ok_or_else(unknown)?),
        Err(_) => return Err(unknown()),
    }
    Ok(())
}

/// Code, message and `Region` of an S3 error
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>), if `body` is one.
pub(crate) fn error_answer(body: &[u8]) -> Option<ErrorMetadata> {
    let mut xml = Xml::new(body).ok()?;
    let root = xml.child().ok()??;
    if root.local_name().as_ref() != "Error" {
        return None;
    }
    let mut answer = ErrorMetadata::builder();
    while let Some(start) = xml.child().ok()? {
        answer = match start.local_name().as_ref() {
            "Code" => answer.code(xml.text().ok()?),
            "Message" => answer.message(xml.text().ok()?),
            "Region" => answer.custom("Region", xml.text().ok()?),
            _ => {
                xml.skip(&start).ok()?;
                answer
            }
        };
    }
    Some(answer.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &str) -> Result<String, String> {
        let mut xml = Xml::new(document.as_bytes()).unwrap();
        let read = |xml: &mut Xml<'_>| {
            xml.child()?;
            xml.text().map(Cow::into_owned)
        };
        read(&mut xml).map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn text_is_what_was_written() {
        for (document, expected) in [
            ("<a>b</a>", "b"),
            ("<a/>", ""),
            ("\u{feff}<?xml version=\"1.0\"?><!-- c --><a>b</a>", "b"),
            ("<a>b&amp;&#x1;&#13;&lt;c</a>", "b&\u{1}\r<c"),
            ("<a>b\u{1}\r\nc\0d</a>", "b\u{1}\r\nc\0d"),
            ("<a> b<!-- c --><![CDATA[&<]]>d </a>", " b&<d "),
            ("<a>b<c>d</c>e</a>", "be"),
        ] {
            assert_eq!(text(document).as_deref(), Ok(expected), "{document:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (document, expected) in [
            ("", "ends early, at byte 0"),
            ("Bad Gateway", "ends early, at byte 11"),
            ("<a>b", "ends early, at byte 4"),
            ("<a>b</c>", "broken at byte 4"),
            ("<a>&nbsp;</a>", "&nbsp;"),
            ("<a>&#0;</a>", "&#0;"),
            ("<a>b & c</a>", "broken at byte 5"),
        ] {
            let error = text(document).unwrap_err();
            assert!(error.contains(expected), "{document:?}: {error}");
        }
        assert_eq!(Xml::new(b"<a>\xff</a>").err().unwrap().to_string(), "byte 3 of the answer is not UTF-8");
    }

    #[test]
    fn errors_are_told_from_other_documents() {
        let error = error_answer(
            b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please &lt;</Message><X><Y/></X></Error>",
        )
        .unwrap();
        assert_eq!((error.code(), error.message()), (Some("SlowDown"), Some("Please <")));
        assert_eq!(error_answer(b"<ListVersionsResult/>"), None);
        assert_eq!(error_answer(b"<Error><Code>Slow"), None);
        assert_eq!(error_answer(b"<html>"), None);
    }
}
