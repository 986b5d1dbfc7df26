//! Histories by chance: small alphabets, few steps, hostile timing.

use fastrand::Rng;
use stocktake::bucket::Versioning;

use crate::history::{Deed, Fate, History, Pace, Run, START, Step};
use crate::simulation::MARGIN;
use crate::world::{DAY, Key, Millis, Personality, RemovalStamp, SECOND};

/// The history of a seed.
pub(crate) fn throw(seed: u64) -> History {
    let mut dice = Dice { rng: Rng::with_seed(seed), keys: 1, loses: 0.0, now: START };
    dice.history()
}

/// The history of a seed, of which no event is lost and which no run looks at.
pub(crate) fn without_runs(seed: u64) -> History {
    let mut history = throw(seed);
    history.steps.retain(|step| !matches!(step.deed, Deed::Run(_) | Deed::Reap(_)));
    for fate in history.steps.iter_mut().filter_map(|step| step.deed.fate_mut()) {
        if fate.is_lost() {
            fate.arrives.push(SECOND);
        }
    }
    history
}

struct Dice {
    rng: Rng,
    keys: u8,
    /// The share of events that is lost at this point of the history.
    loses: f64,
    now: Millis,
}

impl Dice {
    fn history(&mut self) -> History {
        let versioning = self.one(&[Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended]);
        let personality = self.one(&[
            Personality::Stamps,
            Personality::Stamps,
            Personality::Stamps,
            Personality::Constant,
            Personality::Nothing,
        ]);
        self.keys = self.one(&[1, 1, 1, 2, 3]);
        // Most histories are of a long-lived bucket near a midnight, as lifecycle rules are.
        self.now += self.one(&[-20 * SECOND, 5 * SECOND, DAY / 2]);
        let mut steps = Vec::new();
        if self.rng.bool() {
            // Losses, and a run that finds them.
            self.loses = self.one(&[0.1, 0.5, 1.0]);
            self.scene(&mut steps);
            self.now += self.one(&[1, SECOND, 12 * SECOND, DAY]);
            self.loses = 0.0;
            let run = Run { dies_after: None, ..self.run() };
            self.step(&mut steps, Deed::Run(run));
        }
        if steps.is_empty() || self.rng.bool() {
            self.scene(&mut steps);
        }
        History { versioning, personality, pace: self.pace(), steps }
    }

    fn scene(&mut self, steps: &mut Vec<Step>) {
        let length = self.rng.usize(1..9);
        for _ in 0..length {
            let deed = self.deed();
            self.step(steps, deed);
        }
    }

    fn step(&mut self, steps: &mut Vec<Step>, deed: Deed) {
        self.now += self.gap();
        steps.push(Step { at: self.now, deed });
    }

    fn deed(&mut self) -> Deed {
        let key = self.key();
        match self.rng.u8(0..40) {
            0..10 => Deed::Put(key, self.bytes(), self.fate()),
            10..14 => Deed::Begin(self.rng.u8(0..2), key),
            14..19 => Deed::Complete(self.rng.u8(0..2), self.bytes(), self.fate()),
            19..24 => Deed::Delete(key, self.fate()),
            24..28 => {
                let stamp = self.one(&[RemovalStamp::Fresh, RemovalStamp::Victims]);
                Deed::DeleteVersion(key, self.rng.usize(0..3), stamp, self.fate())
            }
            28..30 => Deed::Expire(key, self.rng.usize(0..2), self.fate()),
            30 => Deed::Bury(key, self.fate()),
            31 => Deed::Replicate(key, self.bytes(), self.one(&[SECOND, 60 * SECOND, DAY]), self.fate()),
            32 => Deed::Transition(
                key,
                self.rng.usize(0..2),
                self.one(&["GLACIER", "STANDARD_IA"]),
                self.fate(),
            ),
            33..35 => Deed::Switch,
            35 if self.loses > 0.0 => Deed::Reap(key),
            _ => Deed::Run(self.run()),
        }
    }

    fn run(&mut self) -> Run {
        let pauses = [SECOND / 10, SECOND / 10, SECOND, 10 * SECOND, 60 * SECOND];
        Run {
            page: self.rng.usize(1..4),
            is_split: self.rng.bool(),
            pauses: (0..3).map(|_| self.one(&pauses)).collect(),
            is_read_ahead: self.rng.bool(),
            judged_after: self.one(&[0, SECOND, 20 * SECOND]),
            repaired_after: self.one(&[0, SECOND, 20 * SECOND]),
            dies_after: (self.rng.u8(0..4) == 0).then(|| (self.rng.usize(1..3), self.rng.bool())),
        }
    }

    fn pace(&mut self) -> Pace {
        Pace {
            recheck_after: self.one(&[SECOND, 3 * SECOND, 10 * SECOND]),
            recheck_takes: self.one(&[SECOND / 10, SECOND, 20 * SECOND, 600 * SECOND]),
            recheck_dies: self.one(&[None, None, Some(2), Some(3)]),
            clocks: (0..self.rng.usize(0..4)).map(|_| self.error()).collect(),
        }
    }

    fn fate(&mut self) -> Fate {
        let times = if self.rng.f64() < self.loses { 0 } else { self.one(&[1, 1, 1, 1, 2, 3]) };
        Fate { skew: self.error(), arrives: (0..times).map(|_| self.delay()).collect() }
    }

    /// The error of a clock: any two may differ by the margin.
    fn error(&mut self) -> Millis {
        let half = MARGIN / 2;
        match self.rng.u8(0..4) {
            0 | 1 => 0,
            2 => self.one(&[-half, half]),
            _ => self.rng.i64(-half..=half),
        }
    }

    fn gap(&mut self) -> Millis {
        match self.rng.u8(0..12) {
            0 => 0,
            1..4 => self.rng.i64(1..SECOND),
            4..7 => self.rng.i64(1..6 * SECOND),
            7..10 => self.rng.i64(1..40 * SECOND),
            10 => self.rng.i64(1..3_600 * SECOND),
            _ => self.rng.i64(1..3 * DAY),
        }
    }

    fn delay(&mut self) -> Millis {
        match self.rng.u8(0..10) {
            0..4 => self.rng.i64(1..2 * SECOND),
            4..7 => self.rng.i64(1..60 * SECOND),
            7 | 8 => self.rng.i64(1..3_600 * SECOND),
            _ => self.rng.i64(1..20 * DAY),
        }
    }

    fn key(&mut self) -> Key {
        char::from(b'a' + self.rng.u8(0..self.keys))
    }

    fn bytes(&mut self) -> char {
        self.one(&['x', 'x', 'y', 'z'])
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(0..choices.len())]
    }
}
