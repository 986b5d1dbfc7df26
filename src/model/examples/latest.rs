//! Which version is the latest.

use super::super::Outcome::Applied;
use super::*;

#[test]
fn the_greater_stamp_is_the_later_version() {
    let known = nothing().heard(put("x").of("one").stamped(5).at(0));
    known.check(put("y").of("two").stamped(6).at(0), Applied);
    assert_eq!(known.clone().heard(put("y").of("two").stamped(6).at(0)).latest(), Some("two"));
    known.check(put("y").of("two").stamped(4).at(0), Applied);
    assert_eq!(known.clone().heard(put("y").of("two").stamped(4).at(0)).latest(), Some("one"));
    known.check(put("y").of("two").stamped(5).at(0), Doubt::LatestUndecided.beside_applied());
}

#[test]
fn without_stamps_the_later_date_is_shown_and_the_key_listed() {
    let known = nothing().heard(put("x").of("one").at(100));
    for (at, latest) in [(150, "two"), (50, "one")] {
        known.check(put("y").of("two").at(at), Doubt::LatestUndecided.beside_applied());
        assert_eq!(known.clone().heard(put("y").of("two").at(at)).latest(), Some(latest));
    }
}

#[test]
fn dates_of_listings_decide_when_clocks_cannot_have_mixed_them_up() {
    let listed = |one, two| {
        let entries = [
            entry("z").of("last").dated(900),
            entry("x").of("one").dated(one).noncurrent(),
            entry("y").of("two").dated(two).noncurrent(),
        ];
        nothing().observed(entries, window(1_000, 1_003)).listed(window(1_000, 1_003))
    };
    let gone = removed().of("last").at(1_020);
    for (one, two, latest) in [(100, 111, "two"), (111, 100, "one")] {
        listed(one, two).check(gone.clone(), Applied);
        assert_eq!(listed(one, two).heard(gone.clone()).latest(), Some(latest));
    }
    listed(100, 110).check(gone.clone(), Doubt::LatestUndecided.beside_applied());
    // Where only one of the two was listed, dates are of two kinds.
    let half = nothing()
        .heard(put("x").of("one").at(100))
        .observed([entry("y").of("two").dated(200)], window(50, 53));
    assert_eq!((half.latest(), half.slot("two").is_exact), (Some("two"), true));
    let third = half.heard(put("z").of("three").stamped(9).at(300));
    third.check(removed().of("three").at(310), Doubt::LatestUndecided.beside_applied());
}

#[test]
fn what_is_older_than_the_latest_goes_without_an_election() {
    let known = nothing().heard(put("x").of("one").at(0)).heard(put("y").of("two").at(0));
    assert_eq!(known.latest(), Some("one"));
    known.check(removed().of("two").at(50), Applied);
    known.check(removed().of("one").at(50), Applied);
    assert_eq!(known.heard(removed().of("one").at(50)).latest(), Some("two"));
}

#[test]
fn the_null_version_stays_the_latest_when_it_is_written_again() {
    let known = nothing().heard(put("x").of("one").at(0)).heard(put("y").at(100));
    assert_eq!(known.latest(), Some("null"));
    known.check(put("z").at(150), Applied);
    assert_eq!(known.heard(put("z").at(150)).latest(), Some("null"));
}

#[test]
fn a_floor_counts_and_a_stamp_below_it_is_not_the_version_s_own() {
    // Of the null version something newer was heard: it may have been written again since.
    let raised = |stamp| {
        let known = nothing().heard(put("x").stamped(5).at(0)).rechecked([entry("x")], window(100, 103));
        known.listed(window(100, 103)).heard(put("x").stamped(stamp).at(50))
    };
    raised(7).check(put("y").of("v").stamped(6).at(200), Applied);
    assert_eq!(raised(7).heard(put("y").of("v").stamped(6).at(200)).latest(), Some("null"));
    raised(7).check(put("y").of("v").stamped(8).at(200), Doubt::LatestUndecided.beside_applied());
    raised(4).check(put("y").of("v").stamped(8).at(200), Applied);
    assert_eq!(raised(4).slot("null").floor, None);
    assert_eq!(raised(5).slot("null").floor, None);
}
