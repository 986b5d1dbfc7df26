//! Pulls elements out of the XML that S3 answers with.
//!
//! Half of the time that a page takes was spent here, so this reads by itself what is asked for and
//! nothing else: elements and their text. A reader that makes an event of everything takes nearly twice as
//! long (docs/PERFORMANCE.md); a test holds this one to what such a reader finds.
//!
//! Control characters pass, raw or as references, though XML 1.0 has no room for them: keys
//! may hold them, and not every store encodes keys when it is asked to. For the same reason line
//! ends are left as they are.

use std::borrow::Cow;

use aws_smithy_types::error::ErrorMetadata;
use memchr::{memchr, memmem};
use quick_xml::escape::resolve_xml_entity;

/// An answer that cannot be read, or that contradicts itself. It says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// A quotation mark, by reference.
const QUOTE: &str = "&quot;";

/// A place in a document, which only moves forwards.
pub(crate) struct Xml<'a> {
    document: &'a str,
    /// The byte that the next piece begins at.
    place: usize,
    /// The names of the elements we are in, the root's first.
    open: Vec<&'a str>,
    /// Whether the last of them ended in the tag that began it, as `<a/>` does.
    is_empty: bool,
}

/// What stands between two brackets, or is in them.
enum Piece<'a> {
    /// The name of an element that begins, without its prefix.
    Start(&'a str),
    End,
    /// Text, in which references are not resolved yet.
    Text(&'a str),
    /// Text that is meant as it stands.
    Verbatim(&'a str),
    /// A comment, a declaration or an instruction.
    Aside,
}

impl<'a> Xml<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, Malformed> {
        let document = std::str::from_utf8(body).map_err(|error| {
            Malformed::new(format!("byte {} of the answer is not UTF-8", error.valid_up_to()))
        })?;
        Ok(Self { document, place: 0, open: Vec::new(), is_empty: false })
    }

    /// Enters the next element inside the one we are in, and gives its name without a prefix; or leaves
    /// the one we are in: then there is none.
    pub(crate) fn child(&mut self) -> Result<Option<&'a str>, Malformed> {
        loop {
            match self.piece()? {
                Piece::Start(name) => return Ok(Some(name)),
                Piece::End => return Ok(None),
                Piece::Text(_) | Piece::Verbatim(_) | Piece::Aside => {}
            }
        }
    }

    /// The text of the element we are in, and leaves that.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let place = self.place;
        match self.plain() {
            Some(text) => resolved(text, place),
            None => self.pieces(character).and_then(|bytes| into_text(bytes, place)).map(Cow::Owned),
        }
    }

    /// The same as bytes: of characters that no text has, a reference may tell NUL and halves of surrogate pairs,
    /// as stores write them that take keys for bytes.
    pub(crate) fn bytes(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let place = self.place;
        if let Some(text) = self.plain() {
            return match memchr(b'&', text.as_bytes()) {
                None => Ok(Cow::Borrowed(text.as_bytes())),
                Some(_) => {
                    let mut bytes = Vec::new();
                    resolve(text, place, &mut bytes, odd_character)?;
                    Ok(Cow::Owned(bytes))
                }
            };
        }
        self.pieces(odd_character).map(Cow::Owned)
    }

    /// The same without the quotes around it.
    pub(crate) fn unquoted(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let place = self.place;
        let text = match self.plain() {
            Some(text) => {
                // Nearly always they come as references, and there are no others.
                let inner = text.strip_prefix(QUOTE).and_then(|text| text.strip_suffix(QUOTE));
                inner.map_or_else(|| resolved(text, place), |inner| resolved(inner, place + QUOTE.len()))?
            }
            None => Cow::Owned(self.pieces(character).and_then(|bytes| into_text(bytes, place))?),
        };
        Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('"')),
            Cow::Owned(text) => Cow::Owned(text.trim_matches('"').to_owned()),
        })
    }

    /// The text of an element with more in it than text.
    fn pieces(&mut self, character: Character) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        loop {
            let place = self.place;
            match self.piece()? {
                Piece::Text(piece) => resolve(piece, place, &mut text, character)?,
                Piece::Verbatim(piece) => text.extend_from_slice(piece.as_bytes()),
                Piece::End => return Ok(text),
                Piece::Start(_) => self.skip()?,
                Piece::Aside => {}
            }
        }
    }

    /// Leaves the element we are in, whatever is in it.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let outer = self.open.len().saturating_sub(1);
        while self.open.len() > outer {
            if self.plain().is_none() {
                self.piece()?;
            }
        }
        Ok(())
    }

    /// Leaves the element we are in, and gives its text as it stands, if there is nothing but text in it. So it is with
    /// nearly all of them, and then one look for a bracket is enough.
    fn plain(&mut self) -> Option<&'a str> {
        let name = self.open.last().filter(|_| !self.is_empty)?;
        let rest = &self.document[self.place..];
        let length = memchr(b'<', rest.as_bytes())?;
        let tag = rest.as_bytes()[length..].strip_prefix(b"</")?.strip_prefix(name.as_bytes())?;
        if tag.first() != Some(&b'>') {
            return None;
        }
        self.place += length + name.len() + "</>".len();
        self.open.pop();
        Some(&rest[..length])
    }

    fn piece(&mut self) -> Result<Piece<'a>, Malformed> {
        if std::mem::take(&mut self.is_empty) {
            self.open.pop();
            return Ok(Piece::End);
        }
        let rest = &self.document[self.place..];
        if !rest.starts_with('<') {
            let length = memchr(b'<', rest.as_bytes()).ok_or_else(|| self.ends_early())?;
            return Ok(Piece::Text(self.take(length)));
        }
        match rest.as_bytes().get(1) {
            Some(b'/') => self.end(rest),
            Some(b'?') => self.bracketed(rest, "<?", "?>").map(|_| Piece::Aside),
            Some(b'!') if rest.starts_with("<!--") => {
                self.bracketed(rest, "<!--", "-->").map(|_| Piece::Aside)
            }
            Some(b'!') if rest.starts_with("<![CDATA[") => {
                self.bracketed(rest, "<![CDATA[", "]]>").map(Piece::Verbatim)
            }
            Some(b'!') => self.bracketed(rest, "<!", ">").map(|_| Piece::Aside),
            _ => self.start(rest),
        }
    }

    fn start(&mut self, rest: &'a str) -> Result<Piece<'a>, Malformed> {
        // Tags are short: a plain look through them is quicker than one of many bytes at a time.
        let (length, name, local, is_empty) = match rest.bytes().position(ends_plain_name) {
            // In most tags, a name without a prefix is all there is.
            Some(length) if rest.as_bytes()[length] == b'>' => {
                (length, &rest[1..length], &rest[1..length], false)
            }
            _ => {
                let length = end_of_tag(rest.as_bytes()).ok_or_else(|| self.ends_early())?;
                let is_empty = rest.as_bytes()[length - 1] == b'/';
                let tag = &rest[1..length - usize::from(is_empty)];
                let name = tag.bytes().position(is_space).map_or(tag, |end| &tag[..end]);
                (length, name, name.split_once(':').map_or(name, |(_, local)| local), is_empty)
            }
        };
        if name.is_empty() {
            return Err(self.broken("an element without a name"));
        }
        self.place += length + 1;
        self.open.push(name);
        self.is_empty = is_empty;
        Ok(Piece::Start(local))
    }

    fn end(&mut self, rest: &'a str) -> Result<Piece<'a>, Malformed> {
        let length = rest.bytes().position(|byte| byte == b'>').ok_or_else(|| self.ends_early())?;
        let name = rest[2..length].trim_end_matches([' ', '\t', '\r', '\n']);
        match self.open.last() {
            Some(open) if *open == name => {}
            Some(open) => return Err(self.broken(&format!("</{name}> where <{open}> should end"))),
            None => return Err(self.broken(&format!("</{name}> where nothing is open"))),
        }
        self.take(length + 1);
        self.open.pop();
        Ok(Piece::End)
    }

    /// What stands between two marks, the first of which is here.
    fn bracketed(&mut self, rest: &'a str, from: &str, to: &str) -> Result<&'a str, Malformed> {
        let inner = &rest[from.len()..];
        let length = memmem::find(inner.as_bytes(), to.as_bytes()).ok_or_else(|| self.ends_early())?;
        self.take(from.len() + length + to.len());
        Ok(&inner[..length])
    }

    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.document[self.place..self.place + length];
        self.place += length;
        taken
    }

    fn ends_early(&self) -> Malformed {
        Malformed::new(format!("the answer ends early, at byte {}", self.document.len()))
    }

    fn broken(&self, what: &str) -> Malformed {
        broken(self.place, what)
    }
}

/// Whether a byte ends a name in a tag, or its prefix. Asked of each byte of each tag, hence a table.
fn ends_plain_name(byte: u8) -> bool {
    const ENDS: [bool; 256] = {
        let mut ends = [false; 256];
        let mut marks: &[u8] = b">/\"': \t\r\n";
        while let [mark, rest @ ..] = marks {
            ends[*mark as usize] = true;
            marks = rest;
        }
        ends
    };
    ENDS[usize::from(byte)]
}

/// Whether a byte is what XML has for space. Rust counts a form feed, too, which would be part of a name.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// How long a tag is up to its `>`, which may also stand in the quotes of an attribute.
fn end_of_tag(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    tag.iter().position(|&byte| match quote {
        Some(open) => {
            quote = Some(open).filter(|_| byte != open);
            false
        }
        None => {
            quote = Some(byte).filter(|byte| matches!(byte, b'"' | b'\''));
            byte == b'>'
        }
    })
}

fn broken(place: usize, what: &str) -> Malformed {
    Malformed::new(format!("the answer is broken at byte {place}: {what}"))
}

/// A piece of text, which begins at `place`, with what its references mean.
fn resolved(piece: &str, place: usize) -> Result<Cow<'_, str>, Malformed> {
    if memchr(b'&', piece.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(piece));
    }
    let mut text = Vec::new();
    resolve(piece, place, &mut text, character)?;
    into_text(text, place).map(Cow::Owned)
}

/// A text that was put together from texts and characters.
fn into_text(bytes: Vec<u8>, place: usize) -> Result<String, Malformed> {
    String::from_utf8(bytes).map_err(|_| broken(place, "text that is not UTF-8"))
}

/// Puts the character that a reference tells by its number on a text; whether it is one that may be there.
type Character = fn(&str, &mut Vec<u8>) -> bool;

/// Puts a piece of text, which begins at `place`, on `text`, with what its references mean.
fn resolve(piece: &str, place: usize, text: &mut Vec<u8>, character: Character) -> Result<(), Malformed> {
    text.reserve(piece.len());
    let mut rest = piece;
    while let Some(begin) = memchr(b'&', rest.as_bytes()) {
        let (before, from) = rest.split_at(begin);
        text.extend_from_slice(before.as_bytes());
        let Some(end) = memchr(b';', from.as_bytes()) else {
            return Err(broken(place + piece.len() - from.len(), "a reference without an end"));
        };
        let name = &from[1..end];
        if !character(name, text) {
            let entity = resolve_xml_entity(name)
                .ok_or_else(|| Malformed::new(format!("the answer has a reference to nothing, &{name};")))?;
            text.extend_from_slice(entity.as_bytes());
        }
        rest = &from[end + 1..];
    }
    text.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// The number that a reference to a character tells.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |digits| (digits, 16));
    u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}

/// Any character but NUL.
fn character(name: &str, text: &mut Vec<u8>) -> bool {
    let character = number(name).and_then(char::from_u32).filter(|character| *character != '\0');
    if let Some(character) = character {
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    character.is_some()
}

/// Also NUL and halves of surrogate pairs, in the three bytes that UTF-8 would have for such a number.
fn odd_character(name: &str, text: &mut Vec<u8>) -> bool {
    match number(name) {
        Some(0) => text.push(0),
        Some(half @ 0xD800..=0xDFFF) => {
            let six = |shift: u32| 0x80 | (half >> shift & 0x3F) as u8;
            text.extend([0xE0 | (half >> 12) as u8, six(6), six(0)]);
        }
        _ => return character(name, text),
    }
    true
}

/// Code, message and `Region` of an S3 error
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>), if `body` is one.
pub(crate) fn error_answer(body: &[u8]) -> Option<ErrorMetadata> {
    let mut xml = Xml::new(body).ok()?;
    let root = xml.child().ok()??;
    if root != "Error" {
        return None;
    }
    let mut answer = ErrorMetadata::builder();
    while let Some(name) = xml.child().ok()? {
        answer = match name {
            "Code" => answer.code(xml.text().ok()?),
            "Message" => answer.message(xml.text().ok()?),
            "Region" => answer.custom("Region", xml.text().ok()?),
            _ => {
                xml.skip().ok()?;
                answer
            }
        };
    }
    Some(answer.build())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod beside;
#[cfg(test)]
mod tests;
