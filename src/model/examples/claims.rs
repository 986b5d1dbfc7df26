//! Claims against what is known of their version.

use super::super::Outcome::{Applied, Duplicate, Stale};
use super::*;

// A claim from before the last complete listing.

#[test]
fn a_listing_accounts_for_what_was_before_it_also_for_versions_it_does_not_show() {
    let known = nothing().listed(window(100, 103));
    known.check(put("x").at(94), Stale);
    known.check(put("x").at(95), Doubt::RunUnderWay.beside_applied());
    known.check(removed().at(94), Applied);
}

#[test]
fn a_removal_of_a_version_is_final_whenever_it_is_learnt() {
    let known = nothing().heard(put("x").of("v").at(0)).listed(window(100, 103));
    known.check(removed().of("v").at(50), Applied);
    known.check(put("x").of("v").at(50), Duplicate);
    let gone = known.heard(removed().of("v").at(50));
    gone.check(removed().of("v").at(50), Duplicate);
    gone.check(put("x").of("v").at(200), Stale);
}

#[test]
fn a_version_takes_over_what_was_not_known_of_it() {
    let known = nothing().observed([entry("x").of("v")], window(100, 103)).listed(window(100, 103));
    known.check(put("x").of("v").at(50), Duplicate);
    let told = known.clone().heard(put("x").of("v").at(50).stamped(5));
    assert_eq!(told.slot("v").sequencer, put("x").stamped(5).sequencer);
    known.check(put("x").of("v").at(50).stamped(5), Applied);
    told.check(put("x").of("v").at(50).stamped(5), Duplicate);

    let unknown = |etag: Option<&str>, size| {
        claim(Fact::Put(Content { etag: etag.map(str::to_owned), size })).of("v").stamped(5)
    };
    let bare = nothing().heard(unknown(None, None));
    bare.check(unknown(Some("x"), None), Applied);
    bare.check(unknown(None, Some(1)), Applied);
    bare.check(unknown(Some("x"), Some(1)), Applied);
    bare.check(unknown(None, None), Duplicate);
    assert_eq!(bare.heard(unknown(Some("x"), Some(1))).slot("v").state, State::Object(content("x")));
}

#[test]
fn a_removal_newer_than_what_a_later_listing_saw_is_a_doubt() {
    // An upload that ended after a listing, and was overtaken before it.
    let known = nothing().listed(window(100, 103)).heard(uploaded("x").stamped(5).at(200));
    known.check(removed().stamped(7).at(50), Doubt::ClockAgainstSequencer);
    known.check(removed().stamped(5).at(50), Doubt::ClockAgainstSequencer);
    known.check(removed().stamped(4).at(50), Stale);
    known.check(removed().at(50), Stale);
    known.check(put("x").stamped(7).at(50), Stale);
    // A listing of this key alone has settled it; what has no stamp is no contradiction.
    let listed = known.clone().rechecked([entry("x-2").dated(0)], window(300, 303));
    listed.check(removed().stamped(7).at(50), Stale);
    let unstamped = nothing().listed(window(100, 103)).heard(uploaded("x").at(200));
    unstamped.check(removed().stamped(7).at(50), Stale);
    let tombstone = known.heard(removed().stamped(6).at(210));
    tombstone.check(removed().stamped(7).at(50), Stale);
}

#[test]
fn what_a_listing_accounts_for_is_a_floor() {
    let known = nothing().observed([entry("x")], window(100, 103)).listed(window(100, 103));
    let raised = known.heard(put("x").stamped(5).at(50));
    assert_eq!(raised.slot("null").floor, put("x").stamped(5).sequencer);
    assert_eq!(raised.slot("null").event_time, None);
    raised.check(put("y").stamped(4).at(200), Stale);
    raised.check(put("y").stamped(5).at(200), Stale);
    raised.check(put("y").stamped(6).at(200), Applied);
}

// The null version, where both claims have a stamp.

#[test]
fn the_greater_stamp_wins() {
    let known = nothing().heard(put("x").stamped(5).at(50));
    known.check(put("y").stamped(6).at(40), Applied);
    known.check(put("y").stamped(4).at(60), Stale);
    known.check(removed().stamped(6).at(40), Applied);
    known.check(removed().stamped(4).at(60), Stale);
}

#[test]
fn of_equal_stamps_a_removal_wins() {
    let known = nothing().heard(put("x").stamped(5).at(50));
    known.check(removed().stamped(5).at(50), Applied);
    known.check(put("x").stamped(5).at(50), Duplicate);
    known.check(put("y").stamped(5).at(50), Doubt::SequencerTwice);
    let tombstone = known.heard(removed().stamped(5).at(60));
    tombstone.check(removed().stamped(5).at(60), Duplicate);
    tombstone.check(put("x").stamped(5).at(50), Stale);
    tombstone.check(put("x").stamped(5).at(60), Stale);
    tombstone.check(put("x").stamped(5).at(61), Doubt::SequencerTwice);
}

// Uploads.

#[test]
fn an_upload_over_a_tombstone_may_be_born_invisible() {
    let removed_with =
        |stamp| nothing().heard(put("x").stamped(5).at(50)).heard(removed().stamped(stamp).at(60));
    removed_with(8).check(uploaded("z").stamped(9).at(90), Applied);
    removed_with(8).check(uploaded("z").stamped(7).at(90), Stale);
    removed_with(8).check(uploaded("z").at(90), Doubt::MultipartOverTombstone);
    // With its victim's stamp, a tombstone does not tell when it was made.
    removed_with(5).check(uploaded("z").stamped(7).at(90), Doubt::MultipartOverTombstone);
    // A listing shows the same after a second removal, of which no event may come.
    let listed = removed_with(8).listed(window(62, 65));
    listed.check(uploaded("z").stamped(9).at(90), Doubt::MultipartOverTombstone);
    let listed = removed_with(8).listed(window(51, 54));
    listed.check(uploaded("z").stamped(9).at(90), Applied);
}

#[test]
fn an_upload_is_ordered_by_stamps_alone() {
    let stamped = nothing().heard(put("x").stamped(5).at(50));
    stamped.check(uploaded("z").stamped(6).at(90), Applied);
    stamped.check(uploaded("z").at(90), Doubt::MultipartOvertaken);
    nothing().heard(put("x").at(50)).check(uploaded("z").at(90), Doubt::MultipartOvertaken);
}

// The null version, where a stamp is missing.

#[test]
fn without_stamps_the_later_wins_by_more_than_twice_the_margin() {
    let known = nothing().heard(put("x").at(50));
    known.check(put("y").at(61), Applied);
    known.check(put("y").at(60), Doubt::TooClose);
    known.check(put("y").at(40), Doubt::TooClose);
    known.check(put("y").at(39), Stale);
    known.check(put("x").at(50), Duplicate);
    known.check(put("x").at(51), Doubt::TooClose);
    known.check(put("y").at(50), Doubt::TooClose);
    known.check(put("y").stamped(6).at(61), Applied);
    // What is known may be an upload that began before the claim.
    nothing().heard(uploaded("z").at(50)).check(put("y").at(39), Doubt::MultipartOvertaken);
}

#[test]
fn stamps_that_are_not_trusted_are_none() {
    let mut known = nothing();
    known.horizon.trust_sequencers = false;
    let known = known.heard(put("x").stamped(5).at(50));
    assert_eq!(known.slot("null").sequencer, None);
    known.check(put("y").stamped(4).at(61), Applied);
    let trusted = nothing().heard(put("x").stamped(5).at(50));
    assert!(trusted.slot("null").sequencer.is_some());
}

// The null version, once it was observed.

#[test]
fn what_is_surely_later_than_an_observation_wins() {
    let known = nothing().observed([entry("x").dated(50)], window(100, 103));
    known.check(put("y").at(109), Applied);
    known.check(put("y").stamped(5).at(109), Applied);
    known.check(put("y").at(108), Doubt::InsideWindow);
    known.check(uploaded("z").at(109), Doubt::MultipartOvertaken);
}

#[test]
fn a_claim_of_what_was_observed_is_no_doubt() {
    let known = nothing().observed([entry("x").dated(102)], window(100, 103));
    known.check(put("x").at(104), Duplicate);
    known.check(put("x").at(108), Duplicate);
    let unsized_put = Fact::Put(Content { size: None, ..content("x") });
    known.check(claim(unsized_put).at(104), Duplicate);
    known.check(put("y").at(104), Doubt::InsideWindow);
    known.check(removed().at(104), Doubt::InsideWindow);
    // Written again since, with the same bytes?
    let old = nothing().observed([entry("x").dated(90)], window(100, 103));
    old.check(put("x").at(104), Doubt::InsideWindow);
    // An upload is dated by its beginning, so its date says nothing of its end.
    let upload = nothing().observed([entry("z-2").dated(0)], window(100, 103));
    upload.check(uploaded("z").at(104), Duplicate);
    // Beside other versions the order is open, too.
    let beside = nothing()
        .heard(put("w").of("v").stamped(1))
        .observed([entry("x").dated(102), entry("w").of("v").noncurrent()], window(100, 103));
    beside.check(put("x").at(104), Doubt::InsideWindow);
}

#[test]
fn a_removal_of_what_was_observed_to_be_gone_is_no_doubt() {
    let known = nothing().heard(put("x").at(0)).observed([], window(100, 103));
    known.check(removed().at(104), Duplicate);
    known.check(put("x").at(104), Doubt::InsideWindow);
    // It was gone then; and maybe again a moment later.
    let confirmed = known.heard(removed().at(107));
    assert_eq!(confirmed.slot("null").event_time, Some(second(107)));
    confirmed.check(put("x").at(117), Doubt::TooClose);
    confirmed.check(put("x").at(118), Applied);
}

#[test]
fn a_stamp_does_not_outdo_what_was_seen_after_it() {
    let known = nothing().heard(put("x").stamped(5).at(0)).rechecked([entry("x")], window(100, 103));
    known.check(put("y").stamped(7).at(109), Applied);
    // Before the recheck, and written over since?
    known.check(put("y").stamped(7).at(104), Doubt::InsideWindow);
    known.check(removed().stamped(5).at(104), Doubt::InsideWindow);
    known.check(put("y").stamped(4).at(104), Stale);
    known.check(put("y").stamped(5).at(104), Stale);
}

// A listing under way.

#[test]
fn a_listing_under_way_may_have_passed_the_key_already() {
    let known = nothing().run_since(100);
    known.check(put("x").at(108), Doubt::RunUnderWay.beside_applied());
    known.check(put("x").at(109), Applied);
    // What is gone for good is gone whatever the listing shows.
    known.clone().heard(put("x").of("v")).check(removed().of("v").at(108), Applied);
    known.clone().heard(put("x")).check(removed().at(108), Doubt::RunUnderWay.beside_applied());
    known.check(put("x").of("v").at(108), Doubt::RunUnderWay.beside_applied());
    // A complete listing judges what is surely from before it, and may have passed the rest.
    let listed = nothing().heard(put("x").of("v")).listed(window(100, 103));
    listed.check(removed().at(94), Applied);
    listed.check(removed().at(95), Doubt::RunUnderWay.beside_applied());
    listed.check(removed().at(108), Doubt::RunUnderWay.beside_applied());
    listed.check(removed().at(109), Applied);
}
