use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::beside::{events, pieces};
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
        ("<x:a y='>' z=\"'>\" >b</x:a >", "b"),
        ("<a><b/><b></b>c</a>", "c"),
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
        ("<a>&nbsp;</a>", "&nbsp;"),
        ("<a>&#0;</a>", "&#0;"),
        ("<a>b & c</a>", "broken at byte 5"),
        ("<a>b</c>", "broken at byte 4: </c> where <a> should end"),
        ("</a>", "broken at byte 0: </a> where nothing is open"),
        ("<>b</>", "broken at byte 0"),
        ("<a b='>'>c</b>", "broken at byte 10"),
        ("<a", "ends early, at byte 2"),
        ("<a b='", "ends early, at byte 6"),
        ("<a><!-- b", "ends early, at byte 9"),
        ("<a>&#x+1;</a>", "&#x+1;"),
        ("<a>&#xD800;</a>", "&#xD800;"),
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

proptest! {
    /// Whatever a document is made of, a reader that others keep finds the same elements in it.
    #[test]
    fn elements_are_those_that_another_reader_finds(
        pieces_of in vec(
            select(vec!["<a>", "</a>", "<b>", "</b>", "<b/>", "<x:b c=\"d>'\">", "</x:b>", "text", "&amp;", "\u{1}",
                "<!-- <a> -->", "<![CDATA[</a>]]>", "é", "</a >", "<b />", "<?pi <a> ?>", "<a", ">", "</"]),
            0..12,
        ),
    ) {
        let document = format!("<a>{}</a>", pieces_of.concat());
        prop_assert_eq!(pieces(&document), events(&document));
    }
}
