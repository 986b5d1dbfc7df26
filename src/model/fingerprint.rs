//! One number for all versions of many keys, which Postgres works out where its rows are, so that they
//! need not be sent.

use super::Told;

/// How many versions there are, and the exclusive or of a hash of each: of its key and of all that a listing could
/// tell of it. Two sets of versions that differ have the same one time in 2⁶⁴. Nobody can arrange for that, as long as
/// the seed is drawn when the two are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// What the hashes of keys begin with.
    pub seed: i64,
    /// How many versions.
    pub versions: i64,
    /// The exclusive or of their hashes; 0 of none.
    pub sum: i64,
}

impl Fingerprint {
    /// What is told of some keys, each with its versions in any order. None where a key has not one latest version, as
    /// while its entries stand on two pages that were true at different times: then it takes a closer look.
    pub fn of<'a, V>(seed: i64, keys: impl IntoIterator<Item = (&'a str, V)>) -> Option<Self>
    where
        V: IntoIterator<Item = Told<'a>>,
    {
        let mut all = Self { seed, versions: 0, sum: 0 };
        for (key, versions) in keys {
            let (begin, mut latest) = (all.versions, 0);
            let key = hash(key, seed);
            for told in versions {
                all.versions += 1;
                all.sum ^= of_version(key, &told);
                latest += i64::from(told.is_latest);
            }
            if latest != i64::from(begin < all.versions) {
                return None;
            }
        }
        Some(all)
    }
}

/// As `catalog::fingerprint` says it in SQL.
fn of_version(key: i64, told: &Told<'_>) -> i64 {
    let size = if told.is_marker { OF_MARKER } else { told.size.unwrap_or(OF_UNKNOWN) };
    let id = hash(told.version, key ^ i64::from(told.is_latest));
    let etag = hash(told.etag.unwrap_or_default(), id ^ size);
    hash(told.storage_class.unwrap_or_default(), etag ^ told.last_modified.as_micros())
}

/// What stands for the size of a marker, and for one that is unknown.
const OF_MARKER: i64 = -2;
const OF_UNKNOWN: i64 = -1;

/// `hashtextextended` of Postgres: lookup3 by Bob Jenkins (<https://burtleburtle.net/bob/c/lookup3.c>), with 64 bits
/// of seed, and of result.
fn hash(text: &str, seed: i64) -> i64 {
    let bytes = text.as_bytes();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let begin = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let mut state = [begin; 3];
    if seed != 0 {
        state[0] = begin.wrapping_add((seed >> 32) as u32);
        state[1] = begin.wrapping_add(seed as u32);
        mix(&mut state);
    }
    let mut pieces = bytes.chunks_exact(12);
    for piece in &mut pieces {
        add(&mut state, piece);
        mix(&mut state);
    }
    let rest = pieces.remainder();
    let mut last = [0; 12];
    // The lowest byte of the third word is the length's.
    match rest.split_at_checked(8) {
        None => last[..rest.len()].copy_from_slice(rest),
        Some((words, rest)) => {
            last[..8].copy_from_slice(words);
            last[9..9 + rest.len()].copy_from_slice(rest);
        }
    }
    add(&mut state, &last);
    let [_, high, low] = finish(state);
    (i64::from(high) << 32) | i64::from(low)
}

fn add(state: &mut [u32; 3], piece: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(piece.chunks_exact(4)) {
        *word = word.wrapping_add(bytes.try_into().map_or(0, u32::from_le_bytes));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    *a = a.wrapping_sub(*c) ^ c.rotate_left(4);
    *c = c.wrapping_add(*b);
    *b = b.wrapping_sub(*a) ^ a.rotate_left(6);
    *a = a.wrapping_add(*c);
    *c = c.wrapping_sub(*b) ^ b.rotate_left(8);
    *b = b.wrapping_add(*a);
    *a = a.wrapping_sub(*c) ^ c.rotate_left(16);
    *c = c.wrapping_add(*b);
    *b = b.wrapping_sub(*a) ^ a.rotate_left(19);
    *a = a.wrapping_add(*c);
    *c = c.wrapping_sub(*b) ^ b.rotate_left(4);
    *b = b.wrapping_add(*a);
}

fn finish([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// As Postgres has it.
    #[test]
    fn the_hash_is_that_of_postgres() {
        for (text, seed, expected) in [
            ("", 0, -6_939_563_903_564_495_251),
            ("a", 0, 3_591_986_179_850_072_241),
            ("a", 1, 3_325_245_193_489_759_299),
            ("abcdefgh", -1, 3_589_487_173_844_465_705),
            ("abcdefghijk", i64::MAX, 2_145_874_302_060_842_752),
            ("abcdefghijkl", -42, -6_944_088_598_585_531_995),
            ("写真/é.txt", 1_234_567_890_123, 5_683_063_859_667_123_582),
        ] {
            assert_eq!(hash(text, seed), expected, "{text:?}");
        }
    }

    const TOLD: Told<'_> = Told {
        version: "v1",
        is_latest: true,
        is_marker: false,
        etag: Some("e1"),
        size: Some(7),
        last_modified: Timestamp::from_micros(5_000_000),
        storage_class: None,
    };

    fn of(keys: &[(&str, &[Told<'static>])]) -> Option<(i64, i64)> {
        let keys = keys.iter().map(|(key, versions)| (*key, versions.iter().copied()));
        Fingerprint::of(42, keys).map(|all| (all.versions, all.sum))
    }

    #[test]
    fn order_does_not_count_and_all_else_does() {
        let second = Told { version: "v2", is_latest: false, ..TOLD };
        let both = of(&[("a", &[TOLD, second])]);
        assert_eq!(both, of(&[("a", &[second, TOLD])]));
        let (older, newer) = (Told { is_latest: false, ..TOLD }, Told { is_latest: true, ..second });
        let others = [
            of(&[("b", &[TOLD, second])]),
            of(&[("a", &[TOLD]), ("b", &[Told { is_latest: true, ..second }])]),
            of(&[("a", &[older, newer])]),
            of(&[("a", &[TOLD, Told { is_marker: true, ..second }])]),
            of(&[("a", &[TOLD, Told { size: None, ..second }])]),
            of(&[("a", &[TOLD, Told { size: Some(8), ..second }])]),
            of(&[("a", &[TOLD, Told { etag: None, ..second }])]),
            of(&[("a", &[TOLD, Told { storage_class: Some("GLACIER"), ..second }])]),
            of(&[("a", &[TOLD, Told { last_modified: Timestamp::from_micros(0), ..second }])]),
            of(&[("a", &[TOLD, second, second])]),
            of(&[("a", &[TOLD, second, second, second])]),
            of(&[("a", &[TOLD])]),
        ];
        for (place, other) in others.iter().enumerate() {
            assert!(other.is_some() && *other != both, "{place}");
        }
    }

    #[test]
    fn what_is_torn_has_none() {
        assert_eq!(of(&[]), Some((0, 0)));
        assert_eq!(of(&[("a", &[]), ("b", &[TOLD])]), of(&[("b", &[TOLD])]));
        let older = Told { version: "v2", is_latest: false, ..TOLD };
        for versions in [&[older][..], &[TOLD, Told { is_latest: true, ..older }]] {
            assert_eq!(of(&[("a", versions)]), None);
        }
    }
}
