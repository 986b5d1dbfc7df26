//! The words that operators read.

use super::super::Drift;
use super::*;

fn check(variant: &dyn std::fmt::Debug, word: &str) {
    let mut snake = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    assert_eq!(word, snake);
}

#[test]
fn a_word_is_the_name_of_what_it_stands_for() {
    for outcome in [Outcome::Applied, Outcome::Duplicate, Outcome::Stale, Outcome::Doubt] {
        check(&outcome, outcome.as_str());
    }
    for drift in [Drift::Missing, Drift::Stale, Drift::Ghost, Drift::Latest] {
        check(&drift, drift.as_str());
    }
    for doubt in [
        Doubt::ClockAgainstSequencer,
        Doubt::MultipartOverTombstone,
        Doubt::MultipartOvertaken,
        Doubt::SequencerTwice,
        Doubt::TooClose,
        Doubt::InsideWindow,
        Doubt::RunUnderWay,
        Doubt::LatestUndecided,
        Doubt::AttributesOfUnknown,
        Doubt::ListingOverlaps,
        Doubt::ListingTorn,
        Doubt::Inventory,
        Doubt::Asked,
    ] {
        check(&doubt, doubt.as_str());
        check(&doubt, &doubt.to_string());
    }
}

#[test]
fn moments_are_kept_in_microseconds() {
    for micros in [-1, 0, 1, 1_700_000_000_123_456] {
        assert_eq!(Timestamp::from_micros(micros).as_micros(), micros);
    }
}
