//! The merge rules against a reference S3, in hundreds of thousands of small hostile histories.
//!
//! `SEEDS` says how many (200,000 unless told), `SEED` the first of them. A history that fails is
//! made as small as it can be and printed, as a trace and as code for `regressions.rs`.

mod daemon;
mod dice;
mod exceptions;
mod exhaustive;
mod freshness;
mod frugal;
mod history;
mod journal;
mod laws;
mod ledger;
mod regressions;
mod run;
mod show;
mod shrink;
mod simulation;
mod soak;
mod world;

use std::env;

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn the_catalog_becomes_the_bucket_and_stays_it() {
    let (first, count) = (setting("SEED", 0), setting("SEEDS", 200_000));
    match soak::soak(first, count) {
        Ok(counts) => println!("{count} histories: {counts:?}"),
        Err(report) => panic!("{report}"),
    }
}
