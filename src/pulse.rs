//! Whether the loops turn: each has a pulse, and one without a beat for too long is stuck.
//!
//! A loop that ended ends the daemon, but one that waits for something that never comes looks well from
//! outside. So a loop [beats](beat) before each step that ends by itself, and says when it [rests](rest): when
//! it waits for work or for another loop, which has a pulse of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::CALL_TIMEOUT;

/// The longest a loop may be without a beat, unless its steps take longer: there may be some calls to AWS in
/// a step, each up to [`CALL_TIMEOUT`], and what is restarted too soon never gets done.
pub const PATIENCE: Duration = CALL_TIMEOUT.saturating_mul(4);

/// The pulses of this process. As with metrics, there is one place for all.
static PULSES: LazyLock<Pulses> = LazyLock::new(Pulses::default);

tokio::task_local! {
    /// That of the loop which this task is.
    static OWN: Pulse;
}

/// All pulses of this process.
pub fn of_process() -> Pulses {
    PULSES.clone()
}

/// Gives a loop a pulse for as long as it lasts.
pub async fn keep<T>(name: impl Into<String>, turns: impl Future<Output = T>) -> T {
    OWN.scope(PULSES.begin(name, PATIENCE), turns).await
}

/// The same for a loop whose steps may take longer.
pub async fn keep_slow<T>(name: impl Into<String>, patience: Duration, turns: impl Future<Output = T>) -> T {
    OWN.scope(PULSES.begin(name, patience), turns).await
}

/// This loop has got on by a step. Says nothing in a task that is none.
pub fn beat() {
    let _ = OWN.try_with(Pulse::beat);
}

/// Waits in this loop for something that may take any time.
pub async fn rest<T>(wait: impl Future<Output = T>) -> T {
    let _ = OWN.try_with(Pulse::rest);
    // Also when it is given up: else the loop would be at rest for ever.
    let _awake = Awake;
    wait.await
}

struct Awake;

impl Drop for Awake {
    fn drop(&mut self) {
        beat();
    }
}

/// The pulses of all loops there are.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Beats>>);

#[derive(Debug, Default)]
struct Beats {
    next: u64,
    loops: BTreeMap<u64, Beat>,
}

/// What is known of one loop.
#[derive(Clone, Debug)]
struct Beat {
    name: String,
    patience: Duration,
    /// None while it rests.
    last: Option<Instant>,
}

/// How a loop does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What it does, and to what.
    pub name: String,
    /// How long it is since its last beat; nothing while it rests.
    pub silent: Duration,
    /// Whether that is too long.
    pub is_stuck: bool,
}

impl Pulses {
    /// Gives a loop a pulse, which ends with it. It is stuck after so long without a beat.
    pub fn begin(&self, name: impl Into<String>, patience: Duration) -> Pulse {
        let mut beats = self.beats();
        let id = beats.next;
        beats.next += 1;
        beats.loops.insert(id, Beat { name: name.into(), patience, last: Some(Instant::now()) });
        drop(beats);
        Pulse { pulses: self.clone(), id }
    }

    /// How each loop does, in the order in which they began.
    pub fn all(&self) -> Vec<Sign> {
        let sign = |beat: &Beat| {
            let silent = beat.last.map(|last| last.elapsed()).unwrap_or_default();
            Sign { name: beat.name.clone(), silent, is_stuck: silent > beat.patience }
        };
        self.beats().loops.values().map(sign).collect()
    }

    /// Those that are stuck.
    pub fn stuck(&self) -> Vec<Sign> {
        self.all().into_iter().filter(|sign| sign.is_stuck).collect()
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pulse of one loop.
#[derive(Debug)]
pub struct Pulse {
    pulses: Pulses,
    id: u64,
}

impl Pulse {
    /// The loop has got on by a step.
    pub fn beat(&self) {
        self.set(Some(Instant::now()));
    }

    /// The loop waits for something that may take any time.
    pub fn rest(&self) {
        self.set(None);
    }

    fn set(&self, last: Option<Instant>) {
        if let Some(beat) = self.pulses.beats().loops.get_mut(&self.id) {
            beat.last = last;
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.pulses.beats().loops.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn names(signs: Vec<Sign>) -> Vec<(String, u64)> {
        signs.into_iter().map(|sign| (sign.name, sign.silent.as_secs())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_a_beat_is_stuck() {
        let pulses = Pulses::default();
        let (stuck, turning) = (pulses.begin("stuck", MINUTE), pulses.begin("turning", MINUTE));
        tokio::time::advance(MINUTE).await;
        assert_eq!(pulses.stuck(), []);
        turning.beat();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(names(pulses.stuck()), [("stuck".to_owned(), 61)]);
        assert_eq!(names(pulses.all())[1], ("turning".to_owned(), 1));
        stuck.beat();
        assert_eq!(pulses.stuck(), []);
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(pulses.stuck().len(), 2);
        drop(turning);
        assert_eq!(pulses.stuck().len(), 1, "what has ended is not stuck");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_work_is_not_stuck() {
        let idle = Pulses::default();
        let turns = async {
            let given_up = tokio::time::timeout(MINUTE, rest(std::future::pending::<()>())).await;
            assert!(given_up.is_err());
            assert!(OWN.with(|pulse| pulse.pulses.beats().loops[&pulse.id].last.is_some()), "awake again");
            rest(tokio::time::sleep(10 * MINUTE)).await;
            assert_eq!(names(idle.all()), [("idle".to_owned(), 0)]);
            rest(tokio::time::sleep(10 * MINUTE)).await;
            tokio::time::sleep(2 * MINUTE).await;
        };
        let loop_of_idle = OWN.scope(idle.begin("idle", MINUTE), turns);
        let watch = async {
            for _ in 0..21 {
                tokio::time::sleep(MINUTE).await;
                assert_eq!(idle.stuck(), []);
            }
            tokio::time::sleep(MINUTE + Duration::from_secs(1)).await;
            assert_eq!(names(idle.stuck()), [("idle".to_owned(), 61)], "since it went on");
        };
        tokio::join!(loop_of_idle, watch);
        assert_eq!(idle.all(), [], "it has ended");
        beat();
        rest(std::future::ready(())).await;
    }
}
