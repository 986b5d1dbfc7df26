//! Reports of an inventory against what is known of a key.

use super::super::{Report, Scope};
use super::*;

/// S3 began to make it at second 100.
const ALL: Report = Report { began: Timestamp::from_micros(100_000_000), scope: Scope::AllVersions };
const CURRENT: Report = Report { scope: Scope::Current, ..ALL };

fn marker() -> Listed {
    Listed { state: State::Marker, storage_class: None, ..entry("") }
}

/// What a key is nominated for, or not, by a report.
#[track_caller]
fn check<const N: usize>(report: Report, known: &Known, reported: [Listed; N], expected: bool) {
    let nominates = report.nominates(&known.stack, &reported, &known.horizon);
    assert_eq!(nominates, expected, "{reported:?} beside {:?}", known.stack);
}

#[test]
fn a_report_that_agrees_nominates_nothing() {
    let known = nothing().heard(put("x").of("1").at(0)).heard(put("y").of("2").at(10));
    let both = [entry("x").of("1").noncurrent(), entry("y").of("2").dated(10)];
    check(ALL, &known, both, false);
    check(CURRENT, &known, [entry("y").dated(10)], false);
    // Class and exact date become known by the way, for which no key is listed.
    check(ALL, &nothing().heard(put("x").at(3)), [entry("x")], false);
    let gone = nothing().heard(put("x").of("1").at(0)).heard(removed().of("1").at(10));
    check(ALL, &gone, [], false);
    check(CURRENT, &gone, [], false);
}

#[test]
fn what_differs_since_long_before_a_report_is_nominated() {
    let known = nothing().heard(put("x").of("1").at(0));
    for report in [ALL, CURRENT] {
        check(report, &nothing(), [entry("x")], true);
        check(report, &known, [], true);
        check(report, &known, [entry("y").of("1")], true);
    }
    check(ALL, &known, [entry("x").of("1").noncurrent(), entry("y").of("2")], true);
    let two = known.heard(put("y").of("2").at(10));
    check(ALL, &two, [entry("x").of("1")], true);
    // The same versions, and another one is the latest.
    let other_latest = || [entry("x").of("1"), entry("y").of("2").dated(10).noncurrent()];
    check(ALL, &two, other_latest(), true);
    check(ALL, &two.listed(window(120, 123)), other_latest(), false);
}

#[test]
fn what_changed_since_a_report_began_is_not_nominated() {
    // 5 s for the clock of the event: what is known is from 94 at the latest, or may be from 100.
    for (time, expected) in [(94, true), (95, false), (1_000, false)] {
        for report in [ALL, CURRENT] {
            check(report, &nothing().heard(put("x").of("1").at(time)), [], expected);
            check(report, &nothing().heard(put("x").at(0)).heard(put("y").at(time)), [entry("x")], expected);
            let gone = nothing().heard(put("x").of("1").at(0)).heard(removed().of("1").at(time));
            check(report, &gone, [entry("x").of("1")], expected);
        }
    }
    for report in [ALL, CURRENT] {
        let seen = |at| nothing().rechecked([], window(at, at + 3)).heard(put("x").at(0));
        let rechecked = |at| seen(at).rechecked([entry("x")], window(at, at + 3));
        check(report, &rechecked(91), [entry("y")], true);
        check(report, &rechecked(92), [entry("y")], false);
        // A listing of the whole bucket knows better of every key, also of those that have no row.
        check(report, &nothing().listed(window(88, 94)), [entry("x")], true);
        check(report, &nothing().listed(window(88, 95)), [entry("x")], false);
    }
}

#[test]
fn what_a_report_has_from_after_it_began_is_not_nominated() {
    for (date, expected) in [(94, true), (95, false)] {
        for report in [ALL, CURRENT] {
            check(report, &nothing(), [entry("x").dated(date)], expected);
            check(report, &nothing().heard(put("x").at(0)), [entry("y").dated(date)], expected);
        }
    }
    // But what is gone for long is.
    let known = nothing().heard(put("x").of("1").at(0));
    check(ALL, &known, [entry("y").of("2").dated(200)], true);
}

#[test]
fn what_is_newer_shields_itself_alone() {
    let known = nothing().heard(put("x").of("1").at(0)).heard(put("y").of("2").at(200));
    check(ALL, &known, [entry("x").of("1")], false);
    check(ALL, &known, [], true);
    // In a report of current versions nobody can tell which of them is reported.
    check(CURRENT, &known, [], false);
    check(CURRENT, &known, [entry("x")], false);
}

#[test]
fn a_report_of_current_versions_is_silent_of_all_others() {
    let noncurrent = nothing().heard(put("x").of("1").at(0)).heard(put("y").of("2").at(10));
    check(CURRENT, &noncurrent, [entry("y").dated(10)], false);
    check(CURRENT, &noncurrent, [entry("x")], true);
    let hidden = nothing().heard(put("x").of("1").at(0)).heard(claim(Fact::Marker).of("2").at(10));
    check(CURRENT, &hidden, [], false);
    check(CURRENT, &hidden, [entry("x")], true);
    check(ALL, &hidden, [entry("x").of("1").noncurrent(), marker().of("2")], false);
    check(ALL, &hidden, [entry("x").of("1")], true);
}

#[test]
fn the_null_version_written_again_with_the_same_bytes_is_nominated_by_its_date() {
    let known = nothing().observed([entry("x")], window(10, 13));
    check(ALL, &known, [entry("x")], false);
    check(ALL, &known, [entry("x").dated(50)], true);
    check(CURRENT, &known, [entry("x").dated(50)], true);
}

#[test]
fn another_storage_class_is_nominated_unless_it_was_told_of_since() {
    let known = nothing().observed([entry("x").of("1")], window(10, 13));
    let reported = || entry("x").of("1").in_class("GLACIER");
    for report in [ALL, CURRENT] {
        check(report, &known, [reported()], true);
        check(report, &known.clone().heard(moved(Some("DEEP_ARCHIVE")).of("1").at(200)), [reported()], false);
    }
}
