//! The stamp that orders creates and deletes of one key.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A sequencer as S3 sent it, ordered as an unsigned hexadecimal integer of any length.
///
/// AWS asks to pad the shorter of two with zeros on the left before comparing, which is the same
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>;
/// editions before 2024 said on the right, which would put 16 digits after 18).
/// It behaves like the creation stamp of the version concerned and is *not* the order of events:
/// a lifecycle removal carries the stamp of what it removes, a multipart upload that of its start.
#[derive(Clone, Debug)]
pub struct Sequencer(String);

impl Sequencer {
    /// Reads a sequencer. Nothing but hexadecimal digits can be ordered, so anything else,
    /// the empty text too, counts as no sequencer at all.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| Self(text.to_owned()))
    }

    /// The digits as S3 sent them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for Sequencer {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.digits(), other.digits());
        let fold = |digits: &str| digits.bytes().map(|byte| byte.to_ascii_uppercase()).collect::<Vec<_>>();
        ours.len().cmp(&theirs.len()).then_with(|| fold(ours).cmp(&fold(theirs)))
    }
}

impl PartialOrd for Sequencer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sequencer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sequencer {}

impl Hash for Sequencer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digits().bytes().for_each(|byte| byte.to_ascii_uppercase().hash(state));
    }
}

impl fmt::Display for Sequencer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(smaller: &str, greater: &str) {
        let read = |text| Sequencer::parse(text).expect("hexadecimal digits");
        assert!(read(smaller) < read(greater), "{smaller} < {greater}");
        assert!(read(greater) > read(smaller), "{greater} > {smaller}");
    }

    #[test]
    fn lengths_and_cases_compare_as_integers() {
        check("00617F08299329D189", "617f08299329d18a");
        check("617f08299329d189", "00617F08299329D190");
        check("9", "10");
        check("0", "00001");
        assert_eq!(Sequencer::parse("00aB"), Sequencer::parse("Ab"));
    }

    #[test]
    fn it_is_kept_as_it_was_sent() {
        let sequencer = Sequencer::parse("00aB").expect("hexadecimal digits");
        assert_eq!((sequencer.as_str(), sequencer.to_string().as_str()), ("00aB", "00aB"));
    }

    #[test]
    fn what_is_not_hexadecimal_is_no_sequencer() {
        for text in ["", "-1", "0x12", "12 ", "g"] {
            assert_eq!(Sequencer::parse(text), None, "{text:?}");
        }
    }
}
