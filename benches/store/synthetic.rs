//! What is in the bucket: keys, and the versions of each, out of a seed.

use std::fmt::Write as _;

use fastrand::Rng;

/// How many versions a huge key has, among how many keys there is one, and which of them it is.
pub(crate) const HUGE: usize = 5_000;
const KEYS_A_HUGE_ONE: usize = 100_000;
pub(crate) const HUGE_ONE: usize = 777;
/// Seconds since 1970: before this everything was written, 2026-01-01.
const WRITTEN_BEFORE: u64 = 1_767_225_600;
/// The longest time between two versions of a key.
const SECONDS_BETWEEN_MAX: u64 = 3 * 86_400;
/// Bytes that version ids and entity tags are made of; their order has no meaning.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// Places in the bucket in byte order, with how many percent of the keys are there.
const PLACES: [(Place, usize); 5] =
    [(Place::Odd, 2), (Place::Hashes, 28), (Place::Samples, 40), (Place::Days, 26), (Place::Photographs, 4)];

#[derive(Clone, Copy)]
enum Place {
    /// Control characters and what encodings treat in their own ways.
    Odd,
    /// Names like random numbers, without folders.
    Hashes,
    /// One path that all of them share for a long way.
    Samples,
    /// Folders of days and hours.
    Days,
    /// Not ASCII.
    Photographs,
}

/// A bucket of so many versions and markers.
#[derive(Clone, Debug)]
pub(crate) struct Synthetic {
    seed: u64,
    keys: usize,
    /// The last key may be cut short, so that the number comes out.
    last_versions: usize,
}

/// One version or marker.
pub(crate) struct Entry {
    pub(crate) version_id: String,
    pub(crate) is_latest: bool,
    pub(crate) is_marker: bool,
    /// Seconds since 1970.
    pub(crate) modified: u64,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) storage_class: &'static str,
}

impl Synthetic {
    /// The bucket of `seed` with so many versions and markers. Counts through its keys once.
    pub(crate) fn new(seed: u64, versions: usize) -> Self {
        let mut bucket = Self { seed, keys: 0, last_versions: usize::MAX };
        let mut left = versions;
        while left > 0 {
            let versions = bucket.draw_versions(bucket.keys);
            bucket.keys += 1;
            bucket.last_versions = versions.min(left);
            left -= bucket.last_versions;
        }
        bucket
    }

    /// How many keys it has.
    pub(crate) const fn keys(&self) -> usize {
        self.keys
    }

    /// How many versions and markers the key of this number has.
    pub(crate) fn versions(&self, number: usize) -> usize {
        if number + 1 == self.keys { self.last_versions } else { self.draw_versions(number) }
    }

    /// Most keys have one, some have been written for years, and a few have several pages of them.
    fn draw_versions(&self, number: usize) -> usize {
        if number % KEYS_A_HUGE_ONE == HUGE_ONE {
            return HUGE;
        }
        let mut dice = self.dice(number, usize::MAX);
        match dice.u32(..1_000) {
            0 => dice.usize(40..200),
            1..50 => dice.usize(6..40),
            50..350 => dice.usize(2..6),
            _ => 1,
        }
    }

    /// The key of this number; they are in byte order.
    pub(crate) fn key(&self, number: usize) -> String {
        let (mut before, mut percents) = (0, 0);
        for (place, percent) in PLACES {
            percents += percent;
            let end = self.keys * percents / 100;
            if number < end {
                return self.key_in(place, number, number - before, end - before);
            }
            before = end;
        }
        unreachable!("the percentages add up to 100")
    }

    /// The key that is at `index` of `count` in its place.
    fn key_in(&self, place: Place, number: usize, index: usize, count: usize) -> String {
        let mut dice = self.dice(number, 0);
        match place {
            Place::Odd => {
                let odd = dice.choice(["%zz", " a+b", "=&?#", "<&>\"'", "\u{1}\u{7f}", "..//", "\r\n"]);
                format!("\t50%/a b+c=/{index:09}{}", odd.unwrap_or_default())
            }
            Place::Hashes => {
                let step = u64::MAX / count as u64;
                format!("cas/{:016x}{:016x}", step * index as u64 + dice.u64(..step), dice.u64(..))
            }
            Place::Samples => format!(
                "genomics/projects/alpha/cohorts/2026-autumn/sequencing/illumina-novaseq-x/aligned/GRCh38/\
                 sample-{:07}/{}",
                index / 4,
                ["coverage.bed.gz", "reads.cram", "reads.cram.crai", "variants.vcf.gz"][index % 4]
            ),
            Place::Days => {
                let hour = index * 8_760 / count;
                let (day, hour) = (hour / 24, hour % 24);
                format!(
                    "logs/year=2025/month={:02}/day={:02}/hour={hour:02}/part-{index:09}.json.gz",
                    day / 31 + 1,
                    day % 31 + 1,
                )
            }
            Place::Photographs => {
                let step = (0x9FFF - 0x4E00) as f64 / count as f64;
                let folder = char::from_u32(0x4E00 + (index as f64 * step) as u32).unwrap_or('写');
                format!("写真/{folder}/é-{index:09}.jpg")
            }
        }
    }

    /// The number of the first key that is greater than `key`, or not less than it.
    pub(crate) fn first_after(&self, key: &str, is_included: bool) -> usize {
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = low.midpoint(high);
            let is_before = if is_included { *self.key(middle) < *key } else { *self.key(middle) <= *key };
            if is_before { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// A version of a key, by its age: 0 is the latest. `modified` is when the next younger one was written.
    pub(crate) fn entry(&self, number: usize, age: usize, before: Option<u64>) -> Entry {
        let mut dice = self.dice(number, age);
        let is_latest = age == 0;
        // Written before the bucket had versions.
        let is_null = !is_latest && age + 1 == self.versions(number) && dice.u8(..4) == 0;
        let magnitude = dice.u32(1..38);
        let before = before.unwrap_or(WRITTEN_BEFORE - dice.u64(..365 * 86_400));
        Entry {
            version_id: if is_null { "null".to_owned() } else { text(&mut dice, 32) },
            is_latest,
            is_marker: !is_null && dice.u8(..10) == 0,
            modified: before - dice.u64(..SECONDS_BETWEEN_MAX),
            etag: hex(&mut dice),
            size: dice.u64(..1 << magnitude),
            storage_class: if dice.u8(..8) == 0 { "GLACIER_IR" } else { "STANDARD" },
        }
    }

    fn dice(&self, number: usize, age: usize) -> Rng {
        let salt = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (age as u64).rotate_left(40);
        Rng::with_seed(self.seed ^ salt)
    }
}

fn text(dice: &mut Rng, length: usize) -> String {
    (0..length).map(|_| char::from(ALPHABET[dice.usize(..ALPHABET.len())])).collect()
}

fn hex(dice: &mut Rng) -> String {
    let mut hex = String::with_capacity(32);
    let _ = write!(hex, "{:032x}", dice.u128(..));
    hex
}
