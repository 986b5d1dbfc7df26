//! The merge rules against a reference S3, in hundreds of thousands of small hostile histories.

mod daemon;
mod dice;
mod history;
mod ledger;
mod run;
mod show;
mod simulation;
mod soak;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use soak::{Counts, check, report};

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn the_catalog_becomes_the_bucket() {
    let first = setting("SEED", 0);
    let last = first + setting("SEEDS", 200_000);
    let next = AtomicU64::new(first);
    let total = Mutex::new(Counts::default());
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut counts = Counts::default();
                while let seed @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && seed < last
                    && failed.lock().unwrap().is_none()
                {
                    let history = dice::throw(seed);
                    match check(&history) {
                        Ok(more) => counts.add(more),
                        Err(_) => *failed.lock().unwrap() = Some(seed),
                    }
                }
                total.lock().unwrap().add(counts);
            });
        }
    });
    if let Some(seed) = failed.into_inner().unwrap() {
        panic!("{}", report(seed, &dice::throw(seed)));
    }
    println!("{} histories: {:?}", last - first, total.into_inner().unwrap());
}
