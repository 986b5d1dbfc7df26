//! Observations against what is known of their key.

use super::super::Drift::{self, Ghost, Latest, Missing, Stale};
use super::Glance::{Recheck, Run};
use super::*;

/// Nothing to correct and nothing to ask.
fn agrees() -> Observation {
    Observation::default()
}

fn drifts(drift: Drift, version: &str) -> Observation {
    let gone = usize::from(drift == Ghost);
    Observation { drift: vec![(VersionId::parse(Some(version)), drift)], doubt: None, gone }
}

fn doubts(doubt: Doubt) -> Observation {
    Observation { drift: Vec::new(), doubt: Some(doubt), gone: 0 }
}

#[test]
fn a_listing_surely_later_puts_right() {
    let known = nothing().heard(put("x").of("v").at(0));
    assert_eq!(known.observe([], window(100, 103), Run), drifts(Ghost, "v"));
    assert_eq!(nothing().observe([entry("x")], window(100, 103), Run), drifts(Missing, "null"));
    let gone = nothing().heard(put("x").at(0)).heard(removed().at(20));
    assert_eq!(gone.observe([entry("x")], window(100, 103), Run), drifts(Missing, "null"));
    let null = nothing().heard(put("x").at(0));
    assert_eq!(null.observe([entry("y")], window(100, 103), Run), drifts(Stale, "null"));
    assert_eq!(null.observe([entry("x")], window(100, 103), Run), agrees());
    // What was not known is no difference.
    let bare = nothing().heard(claim(Fact::Put(Content::default())).of("v"));
    assert_eq!(bare.observe([entry("x").of("v")], window(100, 103), Run), agrees());
    let told = bare.observed([entry("x").of("v")], window(100, 103));
    assert_eq!(told.slot("v").state, State::Object(content("x")));
}

#[test]
fn a_listing_that_overlaps_an_event_is_a_doubt_where_they_differ() {
    let null = nothing().heard(put("x").at(100));
    // 5 s for the event's clock, so it happened from 95 to 105.
    assert_eq!(null.observe([], window(106, 109), Run), drifts(Ghost, "null"));
    assert_eq!(null.observe([], window(105, 109), Run), doubts(Doubt::ListingOverlaps));
    assert_eq!(null.observe([], window(90, 95), Run), doubts(Doubt::ListingOverlaps));
    assert_eq!(null.observe([], window(90, 94), Run), agrees());
    assert_eq!(null.observe([entry("y")], window(90, 94), Run), agrees());
    // A removal of a version is final: the listing was taken just before it.
    let gone = nothing().heard(put("x").of("v").at(0)).heard(removed().of("v").at(100));
    assert_eq!(gone.observe([entry("x").of("v")], window(99, 102), Run), agrees());
    let gone = nothing().heard(put("x").at(0)).heard(removed().at(100));
    assert_eq!(gone.observe([entry("x")], window(99, 102), Run), doubts(Doubt::ListingOverlaps));
    let there = nothing().heard(put("x").of("v").at(100));
    assert_eq!(there.observe([], window(99, 102), Run), doubts(Doubt::ListingOverlaps));
}

#[test]
fn what_only_a_listing_told_of_and_the_next_one_does_not_show_counts_as_gone() {
    let seen = nothing().observed([entry("y").of("w"), entry("x").of("v").noncurrent()], window(100, 103));
    fn counted<const N: usize>(known: &Known, listed: [Listed; N]) -> (bool, usize) {
        let found = known.observe(listed, window(104, 107), Run);
        (found.doubt.is_some(), found.gone)
    }
    assert_eq!(counted(&seen, []), (true, 2));
    assert_eq!(counted(&seen, [entry("y").of("w")]), (true, 1));
    assert_eq!(counted(&seen, [entry("y").of("w"), entry("x").of("v").noncurrent()]), (false, 0));
    // Of what is written just now a listing may well know nothing yet.
    let told = seen.clone().heard(put("z").of("u").at(104));
    assert_eq!(counted(&told, []), (true, 2));
    let old = nothing().heard(put("x").of("v").at(90)).observed([entry("x").of("v")], window(100, 103));
    assert_eq!(counted(&old, []), (false, 1));
}

#[test]
fn an_upload_newer_than_a_listing_may_have_been_overtaken_by_what_it_shows() {
    let upload = nothing().heard(uploaded("z").at(100));
    assert_eq!(upload.observe([entry("y")], window(50, 53), Run), doubts(Doubt::ListingOverlaps));
    assert_eq!(upload.observe([], window(50, 53), Run), doubts(Doubt::ListingOverlaps));
    // Other versions are never overtaken, and what was observed was not.
    let version = nothing().heard(uploaded("z").of("v").at(100));
    assert_eq!(version.observe([], window(50, 53), Run), agrees());
    let seen = nothing().observed([entry("z-2")], window(100, 103));
    assert_eq!(seen.observe([entry("y")], window(50, 53), Run), agrees());
    // An entity tag that is not known may be one of an upload.
    let bare = nothing().heard(claim(Fact::Put(Content::default())).at(100));
    assert_eq!(bare.observe([], window(50, 53), Run), doubts(Doubt::ListingOverlaps));
}

#[test]
fn the_date_tells_which_write_of_the_null_version_is_listed() {
    let known = nothing().heard(put("x").at(100));
    let later = |date| known.observe([entry("x").dated(date)], window(200, 203), Run);
    // S3's date is that of the beginning of the request: not after the event, but for the clocks.
    assert_eq!(later(0), agrees());
    assert_eq!(later(106), agrees());
    assert_eq!(later(107), drifts(Stale, "null"));
    let beside = |date| known.observe([entry("x").dated(date)], window(99, 102), Run);
    assert_eq!(beside(94), agrees());
    assert_eq!(beside(93), doubts(Doubt::ListingOverlaps));
    assert_eq!(beside(106), agrees());
    assert_eq!(beside(107), doubts(Doubt::ListingOverlaps));
    // S3's own date is the same in each listing.
    let exact = known.clone().observed([entry("x").dated(98)], window(200, 203));
    assert_eq!(exact.observe([entry("x").dated(98)], window(300, 303), Run), agrees());
    assert_eq!(exact.observe([entry("x").dated(99)], window(300, 303), Run), drifts(Stale, "null"));
}

#[test]
fn a_recheck_is_remembered_with_what_it_is_later_than() {
    let known = nothing().heard(put("x").at(0)).heard(put("y").of("v").at(100));
    let entries = || [entry("y").of("v"), entry("x").noncurrent()];
    let looked = known.clone().rechecked(entries(), window(102, 105));
    assert_eq!(looked.slot("null").observed, Some(window(102, 105)));
    assert_eq!(looked.slot("v").observed, Some(window(102, 105)), "it is there, and was no other before");
    let passed = known.observed(entries(), window(102, 105));
    assert_eq!(passed.slot("null").observed, None, "a run's watermark says the same for all keys");
    let close = nothing().heard(put("x").at(100)).rechecked([entry("x").dated(100)], window(102, 105));
    assert_eq!(close.slot("null").observed, None, "written again since, with the same bytes?");
}

#[test]
fn what_a_recheck_corrects_a_run_under_way_may_have_passed() {
    let known = nothing().heard(put("x").of("v").at(0)).run_since(50);
    let found = known.observe([], window(100, 103), Recheck);
    assert_eq!((found.drift.len(), found.doubt), (1, Some(Doubt::RunUnderWay)));
    assert_eq!(known.observe([], window(100, 103), Run), drifts(Ghost, "v"));
    assert_eq!(known.observe([entry("x").of("v")], window(100, 103), Recheck), agrees());
}

#[test]
fn s3_says_which_version_is_the_latest() {
    let known = nothing().heard(put("x").of("one").at(0)).heard(put("y").of("two").at(50));
    assert_eq!(known.latest(), Some("two"));
    let swapped = [entry("x").of("one"), entry("y").of("two").noncurrent()];
    assert_eq!(known.observe(swapped.clone(), window(100, 103), Run), drifts(Latest, "one"));
    assert_eq!(known.clone().observed(swapped.clone(), window(100, 103)).latest(), Some("one"));
    // Not of a version that is newer than the listing.
    let newer = known.clone().heard(put("z").of("three").at(200));
    assert_eq!(newer.clone().observed(swapped, window(100, 103)).latest(), Some("three"));
    // A key split over two pages may show none, or several.
    let none = [entry("x").of("one").noncurrent(), entry("y").of("two").noncurrent()];
    assert_eq!(known.observe(none, window(100, 103), Run).doubt, Some(Doubt::ListingTorn));
    let both = [entry("x").of("one"), entry("y").of("two")];
    assert_eq!(known.observe(both, window(100, 103), Run).doubt, Some(Doubt::ListingTorn));
}

#[test]
fn the_same_bytes_may_be_an_older_null_version() {
    let older = || [entry("y").of("v"), entry("x").dated(95).noncurrent()];
    let known = nothing().heard(put("y").of("v").stamped(5).at(0)).heard(put("x").stamped(9).at(100));
    assert_eq!(known.observe(older(), window(98, 101), Run), agrees());
    assert_eq!(known.clone().observed(older(), window(98, 101)).latest(), Some("null"));
    // Later than the event, it shows the version told of.
    assert_eq!(known.observe(older(), window(200, 203), Run), drifts(Latest, "v"));
}

#[test]
fn a_class_that_was_not_known_is_no_change() {
    let known = nothing().heard(put("x").of("v").at(0)).run_since(50);
    let looked = known.clone().rechecked([entry("x").of("v")], window(100, 103));
    assert_eq!(looked.slot("v").storage_class.as_deref(), Some("STANDARD"));
    let null = nothing().heard(put("x").at(100)).observed([entry("x").dated(100)], window(98, 101));
    assert_eq!(null.slot("null").storage_class.as_deref(), Some("STANDARD"));
    let glacier = || [entry("x").of("v").in_class("GLACIER")];
    // A class that changed is one: the run under way may have seen the other.
    assert_eq!(looked.observe(glacier(), window(200, 203), Recheck).doubt, Some(Doubt::RunUnderWay));
    assert_eq!(looked.observe(glacier(), window(100, 103), Recheck).doubt, Some(Doubt::ListingOverlaps));
    assert_eq!(looked.observe(glacier(), window(50, 53), Run), agrees());
    assert_eq!(
        looked.observed(glacier(), window(50, 53)).slot("v").storage_class.as_deref(),
        Some("STANDARD")
    );
}

#[test]
fn a_class_told_of_after_a_listing_is_not_the_listing_s() {
    let moved = |at| nothing().heard(put("x").at(0)).heard(moved(Some("GLACIER")).at(at));
    let class = |at| {
        let known = moved(at).observed([entry("y").in_class("STANDARD_IA")], window(100, 103));
        known.slot("null").storage_class.clone()
    };
    assert_eq!(class(94).as_deref(), Some("STANDARD_IA"));
    assert_eq!(class(95), None, "it may be that of this version, and the listing's of before");
}

#[test]
fn a_tombstone_is_of_no_use_once_two_margins_before_the_watermark() {
    let spent = |at, watermark: Window| {
        let known = nothing().heard(put("x").at(0)).heard(removed().at(at)).listed(watermark);
        known.slot("null").is_spent(&known.horizon)
    };
    assert!(spent(84, window(100, 103)));
    assert!(!spent(85, window(100, 103)));
    let present = nothing().heard(put("x").at(0)).listed(window(100, 103));
    assert!(!present.slot("null").is_spent(&present.horizon));
    assert!(!nothing().heard(removed()).slot("null").is_spent(&nothing().horizon));
}
