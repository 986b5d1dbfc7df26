//! The rules by example: what is known of a key, what arrives, and what is made of it.
//!
//! Moments are seconds on S3's clock, and the margin is five of them. Stamps are small numbers.

mod attributes;
mod changes;
mod claims;
mod inventory;
mod latest;
mod listings;
mod words;

use std::time::Duration;

use super::{
    Attributes, Claim, Content, Doubt, Fact, Glance, Horizon, Listed, Observation, Outcome, Sequencer, Slot,
    Stack, State, Timestamp, Verdict, VersionId, Window,
};

/// What is known of one key, and of its bucket.
#[derive(Clone, Debug)]
struct Known {
    stack: Stack,
    horizon: Horizon,
}

/// Nothing is known, and the bucket was never listed.
fn nothing() -> Known {
    let horizon = Horizon {
        watermark: None,
        run_started: None,
        margin: Duration::from_secs(5),
        trust_sequencers: true,
    };
    Known { stack: Stack::default(), horizon }
}

impl Known {
    fn heard(mut self, claim: Claim) -> Self {
        self.stack.apply(&claim, &self.horizon);
        self
    }

    fn observed<const N: usize>(mut self, listed: [Listed; N], window: Window) -> Self {
        self.stack.observe(&listed, window, Glance::Run, &self.horizon);
        self
    }

    fn rechecked<const N: usize>(mut self, listed: [Listed; N], window: Window) -> Self {
        self.stack.observe(&listed, window, Glance::Recheck, &self.horizon);
        self
    }

    /// The bucket was listed completely, and that changed nothing here.
    fn listed(mut self, window: Window) -> Self {
        self.horizon.watermark = Some(window);
        self
    }

    /// A listing of the bucket began, and goes on.
    fn run_since(mut self, start: i64) -> Self {
        self.horizon.run_started = Some(second(start));
        self
    }

    /// What becomes of a claim.
    #[track_caller]
    fn check(&self, claim: Claim, expected: impl Into<Verdict>) {
        let verdict = self.stack.clone().apply(&claim, &self.horizon);
        assert_eq!(verdict, expected.into(), "{claim:?} on {:?}", self.stack);
    }

    /// What an observation finds.
    fn observe<const N: usize>(&self, listed: [Listed; N], window: Window, glance: Glance) -> Observation {
        self.stack.clone().observe(&listed, window, glance, &self.horizon)
    }

    fn slot(&self, version: &str) -> &Slot {
        &self.stack.slots[&VersionId::parse(Some(version))]
    }

    fn latest(&self) -> Option<&str> {
        self.stack.latest().map(VersionId::as_str)
    }
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn window(from: i64, to: i64) -> Window {
    Window { from: second(from), to: second(to) }
}

fn content(etag: &str) -> Content {
    Content { etag: Some(etag.to_owned()), size: Some(1) }
}

/// A claim about the null version, at the beginning of time and without a sequencer.
fn claim(fact: Fact) -> Claim {
    Claim { version: VersionId::null(), fact, sequencer: None, time: second(0) }
}

fn put(etag: &str) -> Claim {
    claim(Fact::Put(content(etag)))
}

fn uploaded(etag: &str) -> Claim {
    claim(Fact::Multipart(content(&format!("{etag}-2"))))
}

fn removed() -> Claim {
    claim(Fact::Removed)
}

fn moved(class: Option<&str>) -> Claim {
    claim(Fact::Attributes(Attributes { storage_class: class.map(str::to_owned) }))
}

impl Claim {
    fn of(self, version: &str) -> Self {
        Self { version: VersionId::parse(Some(version)), ..self }
    }

    fn stamped(self, stamp: u8) -> Self {
        Self { sequencer: Sequencer::parse(&format!("{stamp:04X}")), ..self }
    }

    fn at(self, seconds: i64) -> Self {
        Self { time: second(seconds), ..self }
    }
}

/// An entry of a listing: the null version, and the latest.
fn entry(etag: &str) -> Listed {
    Listed {
        version: VersionId::null(),
        is_latest: true,
        state: State::Object(content(etag)),
        last_modified: second(0),
        storage_class: Some("STANDARD".to_owned()),
    }
}

impl Listed {
    fn of(self, version: &str) -> Self {
        Self { version: VersionId::parse(Some(version)), ..self }
    }

    fn dated(self, seconds: i64) -> Self {
        Self { last_modified: second(seconds), ..self }
    }

    fn noncurrent(self) -> Self {
        Self { is_latest: false, ..self }
    }

    fn in_class(self, class: &str) -> Self {
        Self { storage_class: Some(class.to_owned()), ..self }
    }
}

impl Doubt {
    /// The claim was applied, and the key is listed again nevertheless.
    fn beside_applied(self) -> Verdict {
        Verdict { outcome: Outcome::Applied, doubt: Some(self) }
    }
}
