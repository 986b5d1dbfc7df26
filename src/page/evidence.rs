//! Why the catalog says what it says of a version, in sentences.

use maud::{Markup, html};
use time::OffsetDateTime;

use super::show;
use crate::catalog::KeyVersion;

/// Sentences that together are all the evidence for a version.
pub(super) fn of(version: &KeyVersion) -> Vec<Markup> {
    let mut sentences = Vec::new();
    let what = match version {
        KeyVersion { is_present: false, .. } => "that it was removed",
        KeyVersion { is_delete_marker: true, .. } => "of the delete marker",
        _ => "of it",
    };
    if let Some(time) = version.event_time {
        let stamp = version.sequencer.as_deref();
        sentences.push(html! {
            "An event told " (what) ": it happened at " (show::at(time))
            @if let Some(stamp) = stamp { ", stamped " (show::code(stamp)) } @else { ", without a sequencer" } "."
        });
    }
    if let Some((from, to)) = version.observed_from.zip(version.observed_to) {
        sentences.push(html! {
            @if version.is_present { "A listing showed it" } @else { "A listing showed that it is gone" }
            " between " (show::at(from)) " and " (show::at(to)) "."
        });
    }
    if version.event_time.is_none() && version.observed_from.is_none() {
        sentences.push(html! { "A complete listing showed it." });
    }
    if let Some(floor) = &version.floor {
        sentences.push(html! { "It is at least as new as the stamp " (show::code(floor)) ", whose event it has outlived." });
    }
    if let Some(time) = version.attributes_at {
        sentences.push(html! { "The last event about its attributes is of " (show::at(time)) "." });
    }
    if version.is_present && !version.is_exact {
        sentences
            .push(html! { "Its date is that of the event, until a listing or a recheck tells S3's own." });
    }
    if version.is_present && !version.is_delete_marker && version.size.is_none() {
        sentences.push(html! { "No event and no listing has told its size yet." });
    }
    sentences
}

/// When the row was made and last written.
pub(super) fn written(version: &KeyVersion, as_of: OffsetDateTime) -> Markup {
    html! {
        "First heard of " (show::since(Some(version.first_seen_at), as_of)) ", last written "
        (show::since(Some(version.changed_at), as_of)) "."
    }
}

/// Why a key is in doubt, in words.
pub(super) fn doubt(reason: &str) -> &str {
    match reason {
        "inside_window" => "an event from inside the window in which the key was last seen",
        "run_under_way" => "a late event, while a listing is under way that may have passed the key",
        "listing_overlaps" => "a listing and an event differ, and neither is surely the later",
        "listing_torn" => "a key split over two pages showed no latest version, or several",
        "latest_undecided" => "which version is the latest cannot be told",
        "multipart_overtaken" | "multipart_over_tombstone" => {
            "an upload that ended after something else was written or removed"
        }
        "sequencer_twice" => "two contents with one sequencer, or a put with that of its own removal",
        "clock_against_sequencer" => {
            "a removal is older than a listing by its time, and newer by its sequencer"
        }
        "too_close" => "events without sequencers, too close in time to be ordered",
        "attributes_of_unknown" => "an event about attributes of a version nobody has heard of",
        "inventory" => "an inventory report has something else of the key",
        "asked" => "an operator asked",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn version() -> KeyVersion {
        let noon = datetime!(2026-11-01 12:00 UTC);
        KeyVersion {
            version_id: "v1".to_owned(),
            is_present: true,
            is_latest: true,
            is_delete_marker: false,
            size: Some(1),
            etag: None,
            storage_class: None,
            last_modified: Some(noon),
            is_exact: true,
            sequencer: None,
            floor: None,
            event_time: None,
            observed_from: None,
            observed_to: None,
            attributes_at: None,
            first_seen_at: noon,
            changed_at: noon,
        }
    }

    fn told(version: &KeyVersion) -> Vec<String> {
        let sentences = of(version).into_iter().map(|sentence| sentence.into_string());
        sentences.map(|text| text.replace(" datetime=\"2026-11-01T12:00:00Z\"", "")).collect()
    }

    #[test]
    fn every_piece_of_evidence_is_a_sentence() {
        let noon = Some(datetime!(2026-11-01 12:00 UTC));
        let at = "<time>2026-11-01 12:00:00Z</time>";
        assert_eq!(told(&version()), ["A complete listing showed it."]);
        let event = KeyVersion {
            event_time: noon,
            sequencer: Some("0A".to_owned()),
            is_exact: false,
            size: None,
            ..version()
        };
        assert_eq!(
            told(&event),
            [
                &*format!("An event told of it: it happened at {at}, stamped <code><bdi>0A</bdi></code>."),
                "Its date is that of the event, until a listing or a recheck tells S3's own.",
                "No event and no listing has told its size yet.",
            ]
        );
        let gone = KeyVersion { is_present: false, observed_from: noon, observed_to: noon, ..version() };
        assert_eq!(told(&gone), [format!("A listing showed that it is gone between {at} and {at}.")]);
        let marker =
            KeyVersion { is_delete_marker: true, event_time: noon, attributes_at: noon, ..version() };
        assert_eq!(
            told(&marker),
            [
                format!("An event told of the delete marker: it happened at {at}, without a sequencer."),
                format!("The last event about its attributes is of {at}."),
            ]
        );
    }
}
