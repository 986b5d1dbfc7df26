//! Our reader beside one that others keep.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::Xml;

/// Fails where both make sense of a document, and not the same.
pub(crate) fn must_agree(bytes: &[u8]) {
    // Declarations of types are no part of what S3 writes.
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains("<!D"));
    let both = text.and_then(|text| Some((pieces(text)?, events(text)?)));
    assert!(both.as_ref().is_none_or(|(ours, theirs)| ours == theirs), "{both:?}");
}

/// What a reader of events makes of a document: names and texts, and whether it makes sense.
pub(super) fn events(document: &str) -> Option<Vec<String>> {
    let (mut reader, mut read, mut depth) = (Reader::from_str(document), Vec::new(), 0);
    reader.config_mut().expand_empty_elements = true;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                read.push(start.local_name().as_ref().to_owned());
            }
            Event::End(_) => {
                depth -= 1;
                read.push("/".to_owned());
                if depth == 0 {
                    return Some(read);
                }
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The same by our own reader.
pub(super) fn pieces(document: &str) -> Option<Vec<String>> {
    let (mut xml, mut read) = (Xml::new(document.as_bytes()).ok()?, Vec::new());
    loop {
        read.push(xml.child().ok()?.map_or_else(|| "/".to_owned(), str::to_owned));
        if xml.open.is_empty() {
            return Some(read);
        }
    }
}
