//! Claims about attributes, of which there is one: the storage class.

use super::super::Outcome::{Applied, Duplicate, Stale};
use super::*;

#[test]
fn a_storage_class_follows_events_in_their_order() {
    let known = nothing().heard(put("x").of("v").at(0));
    let moved_once = known.clone().heard(moved(Some("GLACIER")).of("v").at(50));
    assert_eq!(moved_once.slot("v").storage_class.as_deref(), Some("GLACIER"));
    known.check(moved(Some("GLACIER")).of("v").at(50), Applied);
    moved_once.check(moved(Some("GLACIER")).of("v").at(50), Duplicate);
    moved_once.check(moved(Some("STANDARD_IA")).of("v").at(61), Applied);
    moved_once.check(moved(Some("STANDARD_IA")).of("v").at(60), Doubt::TooClose);
    moved_once.check(moved(Some("STANDARD_IA")).of("v").at(39), Stale);
    // Many events tell no class, and nothing is new then.
    moved_once.check(moved(None).of("v").at(61), Duplicate);
    moved_once.check(moved(None).of("v").at(51), Duplicate);
}

#[test]
fn attributes_of_what_is_not_known_to_be_there_are_a_doubt() {
    nothing().check(moved(None).of("v").at(50), Doubt::AttributesOfUnknown);
    nothing().listed(window(100, 103)).check(moved(None).of("v").at(94), Stale);
    nothing().listed(window(100, 103)).check(moved(None).of("v").at(95), Doubt::AttributesOfUnknown);
    // A version that is gone for good has none; the null version may be there again.
    nothing().heard(removed().of("v").at(0)).check(moved(None).of("v").at(50), Stale);
    nothing().heard(removed().at(0)).check(moved(None).at(50), Doubt::AttributesOfUnknown);
    nothing()
        .heard(claim(Fact::Marker).of("v"))
        .check(moved(None).of("v").at(50), Doubt::AttributesOfUnknown);
}

#[test]
fn a_listing_under_way_may_have_seen_the_class_before() {
    let known = nothing().heard(put("x").of("v").at(0)).run_since(100);
    known.check(moved(Some("GLACIER")).of("v").at(108), Doubt::RunUnderWay.beside_applied());
    known.check(moved(Some("GLACIER")).of("v").at(109), Applied);
}
