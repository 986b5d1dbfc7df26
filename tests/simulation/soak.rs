//! Plays many histories, shrinks one that fails.

use crate::history::History;
use crate::ledger::held;
use crate::simulation::Simulation;

/// Plays a history and checks all that must hold.
///
/// # Errors
/// What was broken, in words.
pub(crate) fn check(history: &History) -> Result<Counts, String> {
    play(history, false).0
}

/// How much was played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) claims: usize,
    pub(crate) doubts: usize,
    pub(crate) promised: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Self) {
        self.claims += more.claims;
        self.doubts += more.doubts;
        self.promised += more.promised;
    }
}

fn play(history: &History, is_traced: bool) -> (Result<Counts, String>, Vec<String>) {
    let mut simulation = Simulation::new(history, is_traced);
    let result = run(&mut simulation);
    (result, simulation.ledger.trace.unwrap_or_default())
}

fn run(simulation: &mut Simulation<'_>) -> Result<Counts, String> {
    simulation.play()?;
    let is_promised = simulation.ledger.is_promised();
    let counts = Counts {
        claims: simulation.ledger.claims,
        doubts: simulation.ledger.doubts,
        promised: usize::from(is_promised),
    };
    if !is_promised {
        return Ok(counts);
    }
    simulation.ledger.compare(&simulation.daemon, &simulation.bucket)?;
    Ok(counts)
}

/// A history that fails as `history` does, with as little in it as can be.
pub(crate) fn shrink(history: &History) -> History {
    let mut least = history.clone();
    while let Some(smaller) = smaller(&least).into_iter().find(|smaller| check(smaller).is_err()) {
        least = smaller;
    }
    least
}

fn smaller(history: &History) -> Vec<History> {
    let mut candidates = Vec::new();
    let mut push = |change: &dyn Fn(&mut History)| {
        let mut candidate = history.clone();
        change(&mut candidate);
        if candidate != *history {
            candidates.push(candidate);
        }
    };
    for place in 0..history.steps.len() {
        push(&|history| {
            history.steps.remove(place);
        });
    }
    for place in 0..history.steps.len() {
        let Some(fate) = history.steps[place].deed.fate() else { continue };
        for arrival in 0..fate.arrives.len() {
            if fate.arrives.len() > 1 {
                push(&|history| {
                    if let Some(fate) = history.steps[place].deed.fate_mut() {
                        fate.arrives.remove(arrival);
                    }
                });
            }
            let delay = fate.arrives[arrival];
            for rounder in [1, delay / 1_000 * 1_000] {
                push(&|history| {
                    if let Some(fate) = history.steps[place].deed.fate_mut() {
                        if rounder < delay {
                            fate.arrives[arrival] = rounder;
                        }
                    }
                });
            }
        }
        push(&|history| {
            if let Some(fate) = history.steps[place].deed.fate_mut() {
                fate.skew = 0;
            }
        });
    }
    push(&|history| history.pace.clocks.clear());
    push(&|history| history.pace.recheck_dies = None);
    push(&|history| history.pace.recheck_takes = history.pace.recheck_takes.min(100));
    for place in 0..history.steps.len() {
        push(&|history| {
            if let crate::history::Deed::Run(run) = &mut history.steps[place].deed {
                run.dies_after = None;
            }
        });
        push(&|history| {
            if let crate::history::Deed::Run(run) = &mut history.steps[place].deed {
                run.judged_after = 0;
            }
        });
        push(&|history| {
            if let crate::history::Deed::Run(run) = &mut history.steps[place].deed {
                run.repaired_after = 0;
            }
        });
        push(&|history| {
            if let crate::history::Deed::Run(run) = &mut history.steps[place].deed {
                run.is_split = false;
                run.page = 3;
            }
        });
        push(&|history| {
            if let crate::history::Deed::Run(run) = &mut history.steps[place].deed {
                run.pauses = vec![100];
            }
        });
    }
    candidates
}

/// What to print about a history that failed.
pub(crate) fn report(seed: u64, history: &History) -> String {
    let least = shrink(history);
    let (result, trace) = play(&least, true);
    let problem = result.err().unwrap_or_default();
    let _ = held;
    format!("seed {seed}: {problem}\n{}\n{least:?}", trace.join("\n"))
}
