//! What the journal says of claims and of listings.

use super::super::Change;
use super::super::Change::{Attributes, Created, MarkerCreated, Removed};
use super::*;

impl Known {
    /// What a claim changes.
    #[track_caller]
    fn tells(&self, claim: Claim, expected: Option<Change>) {
        let after = self.clone().heard(claim);
        assert_eq!(after.changes_since(self), Vec::from_iter(expected), "on {:?}", self.stack);
    }

    fn changes_since(&self, before: &Self) -> Vec<Change> {
        self.stack.changes_since(Some(&before.stack)).map(|changed| changed.change).collect()
    }
}

#[test]
fn what_claims_write_is_told() {
    nothing().tells(put("x"), Some(Created));
    nothing().tells(claim(Fact::Marker).of("v"), Some(MarkerCreated));
    nothing().tells(removed().of("v"), Some(Removed));
    let known = nothing().heard(put("x").of("v").at(0));
    known.tells(put("x").of("v").at(0), None);
    known.tells(put("x").of("v").at(0).stamped(1), None);
    known.tells(removed().of("v").at(1), Some(Removed));
    known.tells(put("y").of("w").at(1).stamped(2), Some(Created));
}

#[test]
fn each_write_of_the_null_version_is_told() {
    let known = nothing().heard(put("x").at(0).stamped(1));
    known.tells(put("y").at(0).stamped(2), Some(Created));
    known.tells(put("x").at(0).stamped(2), Some(Created));
    known.tells(put("x").at(0).stamped(1), None);
    known.tells(claim(Fact::Marker).at(0).stamped(2), Some(MarkerCreated));
    let gone = known.heard(removed().at(9).stamped(3));
    gone.tells(removed().at(20).stamped(4), None);
    gone.tells(put("x").at(20).stamped(4), Some(Created));
    let without = nothing().heard(put("x").at(0));
    without.tells(put("x").at(11), Some(Created));
    without.tells(put("x").at(0), None);
    let marked = nothing().heard(claim(Fact::Marker).at(0).stamped(1));
    marked.tells(claim(Fact::Marker).at(1).stamped(2), Some(MarkerCreated));
}

#[test]
fn what_a_listing_corrects_is_told_and_what_it_fills_in_is_not() {
    let seen = |known: &Known, entry: Listed| {
        let after = known.clone().observed([entry], window(100, 103));
        after.changes_since(known)
    };
    assert_eq!(seen(&nothing(), entry("x")), [Created]);
    let known = nothing().heard(put("x").at(50).stamped(1));
    assert_eq!(seen(&known, entry("x").dated(50)), [], "the date and the class are filled in");
    assert_eq!(seen(&known, entry("x").dated(90)), [Created], "the same bytes, written again");
    assert_eq!(seen(&known, entry("y").dated(90)), [Created]);
    assert_eq!(known.clone().observed([], window(100, 103)).changes_since(&known), [Removed]);
    let listed = nothing().observed([entry("x").dated(0)], window(1, 4));
    assert_eq!(seen(&listed, entry("x").dated(0)), []);
    assert_eq!(seen(&listed, entry("x").dated(1)), [Created]);
    assert_eq!(seen(&listed, entry("x").dated(0).in_class("GLACIER")), [Attributes]);
    let rechecked = known.clone().rechecked([entry("x").dated(50)], window(100, 103));
    assert_eq!(rechecked.changes_since(&known), []);
    rechecked.tells(put("x").at(101), None);
    rechecked.tells(put("x").at(120).stamped(3), Some(Created));
}

#[test]
fn a_class_that_an_event_tells_of_changed_even_if_none_was_known() {
    let known = nothing().heard(put("x").of("v").at(0));
    known.tells(moved(Some("GLACIER")).of("v").at(50), Some(Attributes));
    known.tells(moved(None).of("v").at(50), None);
    let moved_once = known.heard(moved(Some("GLACIER")).of("v").at(50));
    moved_once.tells(moved(Some("GLACIER")).of("v").at(70), None);
}
