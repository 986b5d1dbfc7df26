//! Histories that once broke a promise. Each is what `soak` printed of a seed, and is named after
//! what it teaches.

use stocktake::bucket::Versioning::{self, Enabled, Suspended, Unversioned};

use crate::history::Deed::{
    Begin, Complete, Delete, DeleteVersion, Put, Replicate, Run as List, Switch, Transition,
};
use crate::history::{History, Pace, Run, Step, at, calm, heard, lost, skewed, whole};
use crate::soak::{check, report};
use crate::world::Personality::{self, Constant, Nothing, Stamps};
use crate::world::RemovalStamp::{Fresh, Victims};

#[track_caller]
fn holds<const STEPS: usize>(
    versioning: Versioning,
    personality: Personality,
    pace: Pace,
    steps: [Step; STEPS],
) {
    let history = History { versioning, personality, pace, steps: steps.to_vec() };
    if check(&history).is_err() {
        panic!("{}", report(&history));
    }
}

// A listing beside a multipart upload.

#[test]
fn an_upload_newer_than_a_listing_may_be_hidden_by_what_it_listed() {
    holds(
        Suspended,
        Stamps,
        calm(),
        [
            at(0, Begin(0, 'c')),
            at(2_000, Put('c', 'z', lost())),
            at(36_000, List(Run { judged_after: 20_000, repaired_after: 20_000, ..whole() })),
            at(64_000, Complete(0, 'x', heard([0]))),
        ],
    );
}

#[test]
fn an_upload_newer_than_a_listing_may_be_hidden_by_what_was_removed_before() {
    holds(
        Unversioned,
        Stamps,
        calm(),
        [
            at(0, Put('a', 'x', heard([0]))),
            at(100_000_000, Begin(0, 'a')),
            at(100_006_000, Delete('a', lost())),
            at(200_000_000, List(Run { repaired_after: 20_000, ..whole() })),
            at(200_006_000, Complete(0, 'z', heard([0]))),
        ],
    );
}

#[test]
fn a_removal_before_an_upload_is_late_and_has_no_sequencer() {
    holds(
        Unversioned,
        Constant,
        calm(),
        [
            at(0, Begin(0, 'c')),
            at(3_439_000, Delete('c', heard([1_389_225_000]))),
            at(4_948_000, Complete(0, 'y', heard([0]))),
        ],
    );
}

#[test]
fn an_upload_may_be_hidden_by_a_second_removal_that_nobody_told_of() {
    holds(
        Unversioned,
        Stamps,
        calm(),
        [
            at(0, Put('a', 'x', heard([0]))),
            at(1_000, Delete('a', heard([0]))),
            at(2_000, Begin(0, 'a')),
            at(4_000, Delete('a', lost())),
            at(5_000, List(whole())),
            at(30_000, Complete(0, 'z', heard([0]))),
        ],
    );
}

// A listing that is older than it seems.

#[test]
fn a_recheck_older_than_an_event_must_elect_again() {
    holds(
        Enabled,
        Constant,
        Pace { recheck_after: 10_000, recheck_takes: 20_000, ..calm() },
        [
            at(0, Put('a', 'z', heard([0]))),
            at(4_125, Put('a', 'x', heard([0]))),
            at(4_585, Replicate('a', 'x', 60_000, heard([0]))),
            at(31_629, DeleteVersion('a', 0, Fresh, heard([0]))),
        ],
    );
}

#[test]
fn a_recheck_is_older_than_the_null_version_although_the_bytes_are_the_same() {
    holds(
        Suspended,
        Stamps,
        Pace { recheck_after: 1_000, recheck_takes: 600_000, ..calm() },
        [
            at(0, Put('a', 'x', lost())),
            at(30_000, Switch),
            at(302_183_000, List(whole())),
            at(302_208_000, Put('a', 'x', heard([0]))),
            at(302_210_000, Switch),
            at(302_237_000, Put('a', 'x', heard([0]))),
        ],
    );
}

#[test]
fn a_recheck_is_written_after_the_run_relied_on_a_later_page() {
    holds(
        Unversioned,
        Constant,
        Pace { recheck_takes: 20_000, ..calm() },
        [
            at(17_005, Delete('a', heard([0]))),
            at(18_006, Put('a', 'y', heard([0]))),
            at(52_974, DeleteVersion('a', 0, Fresh, heard([44_000]))),
            at(60_101, List(Run { repaired_after: 20_000, ..whole() })),
        ],
    );
}

#[test]
fn a_recheck_is_written_long_after_a_run_that_knows_better() {
    holds(
        Enabled,
        Stamps,
        Pace { recheck_after: 1_000, recheck_takes: 600_000, ..calm() },
        [
            at(9_642, List(whole())),
            at(14_856, Put('a', 'y', heard([1_395]))),
            at(15_102, Put('a', 'x', lost())),
            at(18_855, DeleteVersion('a', 0, Victims, lost())),
            at(24_915, List(whole())),
        ],
    );
}

#[test]
fn a_doubt_outlives_the_recheck_that_could_not_settle_it() {
    holds(
        Enabled,
        Nothing,
        Pace { recheck_after: 10_000, recheck_takes: 600_000, ..calm() },
        [
            at(6_440, Delete('b', heard([0]))),
            at(7_419, Delete('b', heard([0]))),
            at(7_539, Put('b', 'x', heard([0]))),
            at(17_703, Put('b', 'x', heard([0]))),
            at(35_424, List(Run { pauses: vec![1_000, 100, 100], ..whole() })),
            at(36_387, DeleteVersion('b', 0, Fresh, heard([3_086_000]))),
        ],
    );
}

// Clocks that disagree.

#[test]
fn two_listings_are_dated_by_two_clocks() {
    let clocks = vec![-2_500, 0, 1_655];
    holds(
        Suspended,
        Stamps,
        Pace { recheck_after: 1_000, clocks, ..calm() },
        [
            at(
                28_287,
                List(Run { page: 1, is_split: true, judged_after: 1_000, repaired_after: 20_000, ..whole() }),
            ),
            at(28_287, Switch),
            at(28_661, Replicate('b', 'x', 1_000, heard([0]))),
            at(28_981, Delete('b', heard([54_000]))),
        ],
    );
}

#[test]
fn an_event_may_be_from_before_the_start_of_the_run() {
    holds(
        Unversioned,
        Stamps,
        Pace { clocks: vec![-2_500, 2_500, 2_500], ..calm() },
        [
            at(82_921, Put('c', 'x', heard([47_000]))),
            at(82_921, Delete('c', lost())),
            at(90_521, List(whole())),
        ],
    );
}

#[test]
fn an_event_about_as_old_as_the_watermark_is_not_the_last_word() {
    holds(
        Suspended,
        Stamps,
        calm(),
        [
            at(1_517, Put('a', 'x', heard([0]))),
            at(7_045, Delete('a', heard([19_000]))),
            at(7_045, Put('a', 'x', skewed(-2_249, [36_000]))),
            at(13_445, List(whole())),
        ],
    );
}

#[test]
fn a_put_taken_for_the_one_observed_keeps_its_time() {
    holds(
        Suspended,
        Constant,
        Pace { clocks: vec![2_500, 0], ..calm() },
        [
            at(23_708, List(Run { pauses: vec![1_000], judged_after: 20_000, ..whole() })),
            at(23_911, Put('a', 'x', heard([1_000]))),
            at(36_978, DeleteVersion('a', 0, Victims, heard([1_557_796_000]))),
            at(37_664, Put('a', 'x', skewed(-2_500, [0]))),
        ],
    );
}

// The same bytes again.

#[test]
fn a_raised_floor_counts_in_the_election() {
    holds(
        Unversioned,
        Stamps,
        calm(),
        [
            at(450_734, Put('a', 'y', heard([0]))),
            at(453_279, Begin(1, 'a')),
            at(457_271, Put('a', 'y', heard([2_621_000]))),
            at(459_397, Switch),
            at(495_376, List(whole())),
            at(234_427_424, Complete(1, 'x', heard([0]))),
        ],
    );
}

// Storage classes.

#[test]
fn a_recheck_does_not_undo_a_later_transition() {
    holds(
        Suspended,
        Constant,
        Pace { recheck_after: 10_000, recheck_takes: 20_000, ..calm() },
        [
            at(-12_000, Delete('b', lost())),
            at(-10_000, List(Run { is_read_ahead: true, ..whole() })),
            at(81_241_977, Begin(0, 'b')),
            at(81_246_940, Complete(0, 'z', heard([31_000]))),
            at(81_306_024, Transition('b', 0, "GLACIER", heard([0]))),
        ],
    );
}

#[test]
fn a_run_does_not_undo_what_a_recheck_told_of_a_class() {
    holds(
        Enabled,
        Stamps,
        Pace { recheck_after: 1_000, ..calm() },
        [
            at(13_442, Replicate('a', 'x', 1_000, heard([1_000]))),
            at(13_443, List(Run { repaired_after: 20_000, ..whole() })),
            at(14_348, Transition('a', 0, "STANDARD_IA", heard([0]))),
        ],
    );
}

#[test]
fn a_transition_of_what_was_there_before_is_late() {
    holds(
        Suspended,
        Constant,
        Pace { recheck_after: 10_000, ..calm() },
        [
            at(201_248, Put('a', 'x', heard([0]))),
            at(169_613_966, Transition('a', 0, "STANDARD_IA", heard([0]))),
            at(171_562_210, Begin(1, 'a')),
            at(171_573_100, Complete(1, 'x', heard([0]))),
        ],
    );
}

#[test]
fn transitions_of_a_null_version_arrive_in_any_order() {
    holds(
        Suspended,
        Stamps,
        calm(),
        [
            at(44_126, Put('a', 'z', heard([0]))),
            at(60_828, Put('a', 'y', heard([54_000]))),
            at(89_549, Transition('a', 0, "GLACIER", heard([58_000]))),
            at(94_678, Transition('a', 0, "STANDARD_IA", heard([0]))),
        ],
    );
}

#[test]
fn a_recheck_in_doubt_about_a_class_comes_to_an_end() {
    holds(
        Suspended,
        Stamps,
        calm(),
        [
            at(16_559, Delete('a', lost())),
            at(86_488_992, List(whole())),
            at(86_500_000, Switch),
            at(122_055_211, Put('a', 'y', heard([0]))),
            at(122_059_408, Delete('a', heard([0]))),
            at(122_059_758, Transition('a', 1, "GLACIER", heard([0]))),
        ],
    );
}
