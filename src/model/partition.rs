//! A key space in parts, so that many pages can be listed at once.

use std::cmp::Ordering;

use super::after_prefix;

/// The longest key S3 takes, in bytes; a bound that is longer lies between no two keys.
const KEY_BYTES_MAX: usize = 1_024;

/// Where the classes of characters end that keys are mostly made of: after the digits, the capitals,
/// the rest of ASCII, the alphabets, the first plane, and all. The middle between two characters is
/// looked for in the first of them with room, as it would else hardly ever have keys on both sides.
const CLASSES: [u32; 6] = [0x3A, 0x5B, 0x7F, 0x800, 0xFFFE, 0x11_0000];

/// Stands before the first digit: where a key ends, most that go on do so after it.
const BEFORE_DIGITS: u32 = 0x2F;

/// While the path that the last page stayed below is longer than this, nobody knows where it branches,
/// and halving its length finds out sooner than halving alphabets.
const PATH_MAX: usize = 2;

/// The keys after `after` up to and with `to`. Both are whole keys as far as listings are concerned,
/// so no key is ever cut. The empty key, which nothing has, comes before all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The last key before it.
    pub after: String,
    /// Its last key; none where it has no end but that of the prefix.
    pub to: Option<String>,
}

impl Span {
    /// All keys.
    pub const fn all() -> Self {
        Self { after: String::new(), to: None }
    }

    /// Whether a key is past its end.
    pub fn is_before(&self, key: &str) -> bool {
        self.to.as_deref().is_some_and(|to| key > to)
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &str) -> bool {
        key > self.after.as_str() && !self.is_before(key)
    }
}

/// All keys, in one span more than there are bounds. Bounds may come in any order, and twice.
pub fn partition(mut bounds: Vec<String>) -> Vec<Span> {
    bounds.sort_unstable();
    bounds.dedup();
    bounds.retain(|bound| !bound.is_empty());
    let mut after = String::new();
    let mut spans: Vec<Span> = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        spans.push(Span { after: std::mem::replace(&mut after, bound.clone()), to: Some(bound) });
    }
    spans.push(Span { after, to: None });
    spans
}

/// How many characters two keys have in common at their beginning.
pub fn shared(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// A bound in the middle of what is left after `place`, a key that was just listed: after it and
/// before `end`. `path` is how many characters the keys of its page have in common. None where
/// another cut would be finer than a page.
///
/// Nobody knows what keys there are, so a cut may turn out to have none above it. Such cuts are few:
/// each halves the path, or the alphabet of one character of it, that is still in question.
pub fn middle(place: &str, end: Option<&str>, path: usize) -> Option<String> {
    let branch = end.map_or(0, |end| shared(place, end));
    branching(place, end, branch, path)
        .or_else(|| between(place, end, branch, path))
        .filter(|bound| bound.len() <= KEY_BYTES_MAX)
}

/// Cuts where the path may branch off: after all keys that have one half of it more in common.
fn branching(place: &str, end: Option<&str>, branch: usize, path: usize) -> Option<String> {
    if path <= branch + PATH_MAX {
        return None;
    }
    (branch.midpoint(path)..=path)
        .filter_map(|length| after_prefix(&place.chars().take(length).collect::<String>()))
        .find(|bound| is_before_end(bound, end))
}

/// Cuts the alphabet of the first character that has room between `place` and `end`.
fn between(place: &str, end: Option<&str>, branch: usize, path: usize) -> Option<String> {
    let mut begin: String = place.chars().take(branch).collect();
    let mut rest = place.chars().skip(branch);
    let mut limit = end.and_then(|end| end.chars().nth(branch));
    for _ in branch..=path.max(branch) {
        let next = rest.next();
        if let Some(middle) = middle_character(next, limit) {
            begin.push(middle);
            return Some(begin).filter(|bound| is_before_end(bound, end));
        }
        begin.push(next?);
        // Deeper down everything is before the end already.
        limit = None;
    }
    None
}

/// A character after `from` (or after none at all) and before `to` (or any).
fn middle_character(from: Option<char>, to: Option<char>) -> Option<char> {
    let from = from.map_or(BEFORE_DIGITS, u32::from);
    let to = to.map_or(u32::MAX, u32::from);
    let top = CLASSES.into_iter().map(|top| top.min(to)).find(|top| *top > from + 1)?;
    let middle = from.midpoint(top).max(from + 1);
    // Surrogates are no characters.
    char::from_u32(middle).or_else(|| Some('\u{E000}').filter(|next| u32::from(*next) < top))
}

fn is_before_end(bound: &str, end: Option<&str>) -> bool {
    end.is_none_or(|end| bound.cmp(end) == Ordering::Less)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Keys over few characters, so that they share beginnings; ASCII and others, and both ends of
    /// each class.
    fn keys() -> impl Strategy<Value = String> {
        let character = prop::sample::select(vec![
            '\u{1}',
            ' ',
            '/',
            '0',
            '9',
            'A',
            'Z',
            'a',
            'b',
            '~',
            '\u{7F}',
            'é',
            '\u{7FF}',
            '鍵',
            '\u{D7FF}',
            '\u{E000}',
            '\u{FFFD}',
            '\u{10FFFF}',
        ]);
        vec(character, 1..8).prop_map(|characters| characters.into_iter().collect())
    }

    #[test]
    fn a_bound_is_the_last_key_of_its_part() {
        let spans = partition(["m", "", "c", "m"].map(str::to_owned).to_vec());
        let ends: Vec<(&str, Option<&str>)> =
            spans.iter().map(|span| (span.after.as_str(), span.to.as_deref())).collect();
        assert_eq!(ends, [("", Some("c")), ("c", Some("m")), ("m", None)]);
        assert!(spans[0].contains("c") && !spans[0].is_before("c"));
        assert!(!spans[1].contains("c") && spans[1].contains("c\u{1}"));
    }

    proptest! {
        #[test]
        fn each_key_is_in_one_part(bounds in vec(keys(), 0..9), key in keys()) {
            let spans = partition(bounds);
            prop_assert_eq!(spans.iter().filter(|span| span.contains(&key)).count(), 1);
        }

        #[test]
        fn the_middle_lies_between(place in keys(), end in prop::option::of(keys()), path in 0_usize..9) {
            if let Some(bound) = middle(&place, end.as_deref(), path) {
                prop_assert!(bound > place, "{bound:?} after {place:?}");
                prop_assert!(end.as_ref().is_none_or(|end| bound < *end), "{bound:?} before {end:?}");
            }
        }

        /// Where all keys share a path of any length, the cuts that find nothing above are few.
        #[test]
        fn cutting_ends_where_there_is_nothing_above(path in "[a-z0-9/é鍵]{0,200}", last in "[0-9a-f]{4}") {
            let place = format!("{path}{last}");
            let (mut end, mut cuts) = (None, 0);
            while let Some(bound) = middle(&place, end.as_deref(), path.chars().count()) {
                end = Some(bound);
                cuts += 1;
                prop_assert!(cuts < 60, "{end:?}");
            }
            prop_assert!(end.is_some(), "an open end can be cut");
        }
    }

    /// Keys of a bucket with pages of so many, listed by one who always gives away what is above
    /// the middle: how long the parts are, and how many of them are empty.
    fn parts(keys: &[String], page: usize) -> (Vec<usize>, usize) {
        let mut spans = vec![Span::all()];
        let (mut sizes, mut empty) = (Vec::new(), 0);
        while let Some(mut span) = spans.pop() {
            let begin = keys.partition_point(|key| *key <= span.after);
            let (mut place, mut listed) = (begin, 0);
            loop {
                let next = &keys[place..keys.len().min(place + page)];
                let within = next.iter().filter(|key| !span.is_before(key)).count();
                listed += within;
                place += page;
                if within < page || place >= keys.len() {
                    break;
                }
                let path = shared(&next[0], &next[page - 1]);
                if let Some(bound) = middle(&next[page - 1], span.to.as_deref(), path) {
                    spans.push(Span { after: bound.clone(), to: span.to.replace(bound) });
                }
            }
            if listed == 0 { empty += 1 } else { sizes.push(listed) }
        }
        assert_eq!(sizes.iter().sum::<usize>(), keys.len());
        (sizes, empty)
    }

    #[test]
    fn all_shapes_of_keys_are_parted() {
        let count = 20_000_u32;
        let hash = |number: u32| number.wrapping_mul(2_654_435_761);
        let deep = "a/very/long/path/that/all/keys/of/this/bucket/share/down/to/here/";
        let shapes: [(&str, Vec<String>); 5] = [
            ("hashes", (0..count).map(|number| format!("{:08x}", hash(number))).collect()),
            ("a sequence", (0..count).map(|number| format!("img-{number:08}.jpg")).collect()),
            ("below a path", (0..count).map(|number| format!("{deep}{:08x}", hash(number))).collect()),
            (
                "days",
                (0..count)
                    .map(|number| format!("logs/2026/{:02}/{:02}/{number}", number % 12, number % 28))
                    .collect(),
            ),
            (
                "not ASCII",
                (0..count)
                    .map(|number| format!("写真/{}/{number}", char::from_u32(0x4E00 + number % 999).unwrap()))
                    .collect(),
            ),
        ];
        for (shape, mut keys) in shapes {
            keys.sort_unstable();
            let (sizes, empty) = parts(&keys, 100);
            let largest = sizes.iter().max().unwrap();
            assert!(sizes.len() >= 16, "{shape}: {} parts", sizes.len());
            assert!(*largest <= keys.len() / 4, "{shape}: one part has {largest}");
            assert!(empty <= keys.len() / 100, "{shape}: {empty} requests for nothing");
        }
    }
}
