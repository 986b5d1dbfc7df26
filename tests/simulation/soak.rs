//! Plays one history to its end, or very many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::dice;
use crate::history::History;
use crate::show::Code;
use crate::shrink::shrink;
use crate::simulation::Simulation;

/// How much was played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) claims: usize,
    pub(crate) doubts: usize,
    /// Histories at whose end the catalog had to be the bucket.
    pub(crate) promised: usize,
}

/// Plays a history and checks all that must hold.
///
/// # Errors
/// What was broken, in words.
pub(crate) fn check(history: &History) -> Result<Counts, String> {
    run(&mut Simulation::new(history, false))
}

fn run(simulation: &mut Simulation<'_>) -> Result<Counts, String> {
    simulation.play()?;
    let is_promised = simulation.ledger.is_promised();
    let counts = Counts {
        claims: simulation.ledger.claims,
        doubts: simulation.ledger.doubts.values().sum(),
        promised: usize::from(is_promised),
    };
    if is_promised {
        simulation.compare()?;
        simulation.replay().map_err(|problem| format!("when events are repeated, {problem}"))?;
        simulation.deliver_lost().map_err(|problem| format!("when lost events arrive, {problem}"))?;
        simulation.compare().map_err(|problem| format!("after all events, {problem}"))?;
    }
    Ok(counts)
}

/// What to print about a history that fails: what happens in the least that fails like it, and
/// the code of a test of that.
pub(crate) fn report(history: &History) -> String {
    let least = shrink(history, |history| check(history).is_err());
    let mut simulation = Simulation::new(&least, true);
    let problem = run(&mut simulation).err().unwrap_or_default();
    let trace = simulation.ledger.trace.unwrap_or_default().join("\n");
    format!("{problem}\n{trace}\n{}", Code(&least))
}

/// Plays the histories of `count` seeds from `first` on, on all processors.
///
/// # Errors
/// The least of the seeds that failed, and its report.
pub(crate) fn soak(first: u64, count: u64) -> Result<Counts, String> {
    let next = AtomicU64::new(first);
    let total = Mutex::new(Counts::default());
    let failed = Mutex::new(None::<u64>);
    let play = || {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failed.lock().expect("no thread panicked").is_some() {
                break;
            }
            match check(&dice::throw(seed)) {
                Ok(more) => counts.add(more),
                Err(_) => {
                    let mut failed = failed.lock().expect("no thread panicked");
                    *failed = Some(failed.map_or(seed, |other| other.min(seed)));
                }
            }
        }
        total.lock().expect("no thread panicked").add(counts);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play);
        }
    });
    match failed.into_inner().expect("no thread panicked") {
        Some(seed) => Err(format!("seed {seed}: {}", report(&dice::throw(seed)))),
        None => Ok(total.into_inner().expect("no thread panicked")),
    }
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.claims += more.claims;
        self.doubts += more.doubts;
        self.promised += more.promised;
    }
}
