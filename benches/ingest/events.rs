//! The events of a busy day, worked out of a seed whenever somebody asks: none are kept.
//!
//! Twenty events belong together: fourteen new keys, three overwrites (or new versions), a marker, a
//! removal, and a message that comes twice. Every other twenty are of a bucket that keeps versions.

use std::fmt::Write as _;

use stocktake::model::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A bucket that keeps versions, and one that does not.
pub(crate) const BUCKETS: [&str; 2] = ["bench-versioned", "bench-plain"];
/// Events that belong together.
const GROUP: u64 = 20;
/// How many groups earlier the keys were written that are written again, or removed.
const EARLIER: u64 = 80;
/// So many groups earlier, it was a moment ago: mostly in the same batch.
const JUST_NOW: u64 = 2;
/// Messages arrive in any order among so many.
const SHUFFLED: u64 = 32;

/// So many events, from one moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    pub(crate) seed: u64,
    /// A multiple of both [`GROUP`] and [`SHUFFLED`].
    pub(crate) count: u64,
    pub(crate) from: Timestamp,
    /// Microseconds from one to the next.
    pub(crate) apart: i64,
}

enum Fact {
    Put,
    Marker,
    Removed { of: u64 },
}

impl Events {
    /// `count` or a few more.
    pub(crate) fn new(seed: u64, count: u64, from: Timestamp, apart: i64) -> Self {
        Self { seed, count: count.next_multiple_of(GROUP * SHUFFLED / 4), from, apart }
    }

    /// The bucket that the message in that place is about.
    pub(crate) fn bucket(&self, place: u64) -> usize {
        usize::from(self.number(place) / GROUP % 2 == 1)
    }

    /// The body of the message in that place. Its request id is the place, see [`place_of`].
    pub(crate) fn body(&self, place: u64) -> String {
        let number = self.number(place);
        let (group, member) = (number / GROUP, number % GROUP);
        // What is told twice is the same event.
        let number = match member {
            19 if group >= JUST_NOW => (group - JUST_NOW) * GROUP + 5,
            _ => number,
        };
        let (key_of, fact) = what(number);
        self.write(place, number, key_of, &fact)
    }

    /// Which event is told of in that place: they are slightly out of order.
    fn number(&self, place: u64) -> u64 {
        let (block, within) = (place / SHUFFLED, place % SHUFFLED);
        block * SHUFFLED + (within * 13 + self.mix(block)) % SHUFFLED
    }

    fn write(&self, place: u64, number: u64, key_of: u64, fact: &Fact) -> String {
        let is_versioned = (number / GROUP).is_multiple_of(2);
        let bucket = BUCKETS[usize::from(!is_versioned)];
        let time = Timestamp::from_micros(
            self.from.as_micros() + self.apart * i64::try_from(number).unwrap_or_default(),
        );
        let text = OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default();
        // Seconds and a fraction, as those of S3 can be read.
        let sequencer = format!("00{:08X}{:08X}", time.as_micros() / 1_000_000, number);
        let key = self.key(key_of / GROUP, key_of % GROUP);
        let mut object = format!(r#""key":"{key}","sequencer":"{sequencer}""#);
        let (name, version) = match fact {
            Fact::Put => {
                let (etag, size) = (self.mix(number), self.mix(number) % 5_000_000_000);
                let _ = write!(object, r#","size":{size},"eTag":"{etag:016x}{:016x}""#, etag.rotate_left(9));
                ("ObjectCreated:Put", Some(number))
            }
            Fact::Marker if is_versioned => {
                object.push_str(r#","eTag":"d41d8cd98f00b204e9800998ecf8427e""#);
                ("ObjectRemoved:DeleteMarkerCreated", Some(number))
            }
            Fact::Marker => ("ObjectRemoved:Delete", None),
            Fact::Removed { of } => ("ObjectRemoved:Delete", Some(*of)),
        };
        if let Some(version) = version.filter(|_| is_versioned) {
            let _ = write!(object, r#","versionId":"{:016x}{:016x}""#, self.mix(version), version);
        }
        format!(
            r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","eventTime":"{text}","eventName":"{name}","userIdentity":{{"principalId":"AWS:AROAEXAMPLEROLE0001:sequencer-{}"}},"requestParameters":{{"sourceIPAddress":"203.0.113.{}"}},"responseElements":{{"x-amz-request-id":"{place:016X}","x-amz-id-2":"hostIdExample0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123"}},"s3":{{"s3SchemaVersion":"1.0","configurationId":"stocktake","bucket":{{"name":"{bucket}","ownerIdentity":{{"principalId":"A1EXAMPLEOWNER"}},"arn":"arn:aws:s3:::{bucket}"}},"object":{{{object}}}}}}}]}}"#,
            number % 7,
            number % 250,
        )
    }

    /// The key of a member of a group, as events write it.
    fn key(&self, group: u64, member: u64) -> String {
        format!("samples/{:03x}/run-{group:07}/lane%20{member:02}.fastq.gz", self.mix(group) & 0xFFF)
    }

    /// A key that no event is about, like those that they are about.
    pub(crate) fn another_key(&self, number: u64) -> String {
        let number = 2 * self.count + number;
        self.key(number / GROUP, number % GROUP)
    }

    fn mix(&self, number: u64) -> u64 {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(number)).u64(..)
    }
}

/// The event whose key an event is about, and what it says of it.
fn what(number: u64) -> (u64, Fact) {
    let (group, member) = (number / GROUP, number % GROUP);
    let of = |groups: u64, member: u64| (group - groups) * GROUP + member;
    match member {
        14 | 15 if group >= EARLIER => (of(EARLIER, member - 14), Fact::Put),
        16 if group >= JUST_NOW => (of(JUST_NOW, 2), Fact::Put),
        17 if group >= EARLIER => (of(EARLIER, 3), Fact::Marker),
        18 if group >= EARLIER => {
            let of = of(EARLIER, 4);
            (of, Fact::Removed { of })
        }
        _ => (number, Fact::Put),
    }
}

/// The place of a message, from the request id of its event.
pub(crate) fn place_of(request_id: &str) -> Option<u64> {
    u64::from_str_radix(request_id, 16).ok()
}
