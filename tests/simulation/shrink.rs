//! Makes a history that fails smaller, as long as it fails.

use crate::history::{Deed, Fate, History, Run, calm, whole};

/// A history of which `fails` holds, as it does of `history`, with as little in it as can be.
pub(crate) fn shrink(history: &History, fails: impl Fn(&History) -> bool) -> History {
    let mut least = history.clone();
    while let Some(smaller) = smaller(&least).into_iter().find(|smaller| fails(smaller)) {
        least = smaller;
    }
    least
}

/// The histories that are a little simpler.
fn smaller(history: &History) -> Vec<History> {
    let mut candidates = Vec::new();
    for place in 0..history.steps.len() {
        let mut candidate = history.clone();
        candidate.steps.remove(place);
        candidates.push(candidate);
    }
    let mut push = |change: &dyn Fn(&mut History)| {
        let mut candidate = history.clone();
        change(&mut candidate);
        if candidate != *history {
            candidates.push(candidate);
        }
    };
    push(&|history| history.pace.clocks.clear());
    push(&|history| history.pace.recheck_dies = None);
    push(&|history| history.pace.recheck_after = calm().recheck_after);
    push(&|history| history.pace.recheck_takes = calm().recheck_takes);
    for place in 0..history.steps.len() {
        for simplify in SIMPLER_FATES {
            push(&|history| {
                if let Some(fate) = history.steps[place].deed.fate_mut() {
                    simplify(fate);
                }
            });
        }
        for simplify in SIMPLER_RUNS {
            push(&|history| {
                if let Deed::Run(run) = &mut history.steps[place].deed {
                    simplify(run);
                }
            });
        }
        push(&|history| {
            let step = &mut history.steps[place];
            step.at = step.at / 1_000 * 1_000;
        });
    }
    candidates
}

const SIMPLER_FATES: [fn(&mut Fate); 5] = [
    |fate| fate.skew = 0,
    // Down to one arrival: an event that is lost is not simpler.
    |fate| fate.arrives.truncate(1),
    |fate| fate.arrives = fate.arrives.split_off(fate.arrives.len().saturating_sub(1)),
    |fate| fate.arrives.iter_mut().for_each(|delay| *delay = 0),
    |fate| fate.arrives.iter_mut().for_each(|delay| *delay = *delay / 1_000 * 1_000),
];

const SIMPLER_RUNS: [fn(&mut Run); 7] = [
    |run| *run = whole(),
    |run| run.dies_after = None,
    |run| run.is_read_ahead = false,
    |run| run.judged_after = 0,
    |run| run.repaired_after = 0,
    |run| run.is_split = false,
    |run| run.pauses = whole().pauses,
];
