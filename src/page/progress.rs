//! Runs under way: how far each of their ranges is, and how long it may take.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;

use super::show;
use crate::catalog::{RangeUnderWay, RunUnderWay};
use crate::words::{counted, grouped, printable, rough};

/// How wide the ranges are drawn, all together.
const WIDTH: f64 = 720.0;
/// Bytes of a key that say how far it is from the beginning of a range to its end.
const DIGITS: usize = 6;

/// A run with a bar for all of it and one for each range.
pub(super) fn under_way(run: &RunUnderWay, ranges: &[RangeUnderWay], as_of: OffsetDateTime) -> Markup {
    let expected = run.versions_before.filter(|before| *before > 0);
    let done = run.ranges_done as f64 / run.ranges.max(1) as f64;
    html! {
        p.run {
            "Run " (run.run_id) ", " (why(run.reason.as_deref())) ", since " (show::since(Some(run.started_at), as_of)) ": "
            (show::count(run.versions)) " "
            @match expected {
                Some(expected) => { "of about " (show::count(expected)) " versions" }
                None => { "versions; how many there are is not known before the first listing is complete" }
            }
            @if let Some(left) = left(run, as_of) { ", about " (rough(left)) " left" }
            ", drift " (show::count(run.drift)) ", " (run.ranges_done) " of " (counted(run.ranges as usize, "range")) " done"
            @if run.ranges_taken == 0 { ", " strong { "nobody is at work on it now" } }
            "."
        }
        @match expected {
            Some(expected) => progress max=(expected) value=(run.versions.min(expected)) aria-label="Versions listed" {},
            None => progress max="1" value=(format!("{done:.3}")) aria-label="Ranges done" {},
        }
        @if !ranges.is_empty() { (strip(ranges)) }
    }
}

/// All ranges side by side in the order of keys, each filled as far as it is gone through.
fn strip(ranges: &[RangeUnderWay]) -> Markup {
    let step = WIDTH / ranges.len() as f64;
    let gap = (step / 6.0).min(2.0);
    let taken = ranges.iter().filter(|range| range.is_taken).count();
    let done = ranges.iter().filter(|range| range.is_done).count();
    let label = format!(
        "Ranges in the order of keys: {done} done, {taken} being listed, {} waiting",
        ranges.len() - done - taken
    );
    html! {
        svg.strip viewBox={ "0 0 " (WIDTH) " 14" } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (place, range) in ranges.iter().enumerate() {
                @let x = format!("{:.1}", place as f64 * step);
                @let how = if range.is_done { "done" } else if range.is_taken { "being listed" } else { "waiting" };
                g {
                    title { "after \"" (printable(&range.range_after)) "\", " (how) ": " (grouped(range.keys_listed)) " keys listed" }
                    rect.ground x=(x) y="0" width=(format!("{:.1}", step - gap)) height="14" {}
                    rect.(if range.is_done { "done" } else { "part" }) x=(x) y="0"
                        width=(format!("{:.1}", (step - gap) * gone(range))) height="14" {}
                }
            }
        }
        p.dim { (label) "." }
    }
}

/// Why a run began, in words.
pub(super) fn why(reason: Option<&str>) -> &str {
    match reason {
        Some("new") => "as the bucket is new",
        Some("schedule") => "as it was time",
        Some("away") => "as events may have expired while nobody received them",
        Some("versioning") => "as versioning was changed",
        Some("notifications") => "as notifications were changed",
        Some("doubts") => "as many keys were in doubt",
        Some("operator") => "as an operator asked",
        Some(other) => other,
        None => "for a reason that was not noted",
    }
}

/// How long it will take if it goes on as fast, and there are as many as last time.
fn left(run: &RunUnderWay, as_of: OffsetDateTime) -> Option<Duration> {
    let left = run.versions_before?.checked_sub(run.versions).filter(|left| *left > 0)?;
    let took = show::between(run.started_at, as_of).as_secs_f64();
    let seconds = left as f64 * took / run.versions as f64;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| run.versions > 0)
}

/// The part of a range that is gone through, as far as keys tell by how they are spelled.
fn gone(range: &RangeUnderWay) -> f64 {
    if range.is_done {
        return 1.0;
    }
    let (from, at) = (range.range_after.as_bytes(), range.position.as_bytes());
    let Some(to) = range.range_to.as_deref().map(str::as_bytes) else {
        return part(from, at, None);
    };
    part(from, at, Some(to))
}

fn part(from: &[u8], at: &[u8], to: Option<&[u8]>) -> f64 {
    let common = to.map_or(0, |to| from.iter().zip(to).take_while(|(one, other)| one == other).count());
    let digits = |key: &[u8], end: f64| {
        let digit = |place: usize| key.get(common + place).map_or(end, |byte| ordinary(*byte));
        (0..DIGITS).rev().fold(0.0, |value, place| (value + digit(place)) / 96.0)
    };
    let (from, at, to) = (digits(from, 0.0), digits(at, 0.0), to.map_or(1.0, |to| digits(to, 0.0)));
    if to > from { ((at - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 }
}

/// Most keys are of the 95 characters that can be typed: bytes as digits of that many.
fn ordinary(byte: u8) -> f64 {
    f64::from(byte.clamp(0x20, 0x7F) - 0x20)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_range_is_as_far_as_its_position_is_between_its_ends() {
        for (from, at, to, expected) in [
            ("runs/a", "runs/a", Some("runs/k"), 0.0),
            ("runs/a", "runs/f", Some("runs/k"), 0.5),
            ("runs/a", "runs/k", Some("runs/k"), 1.0),
            ("runs/a", "runs/f", Some("runs/a"), 0.0),
            ("", "P", None, 0.5),
            ("", "", None, 0.0),
            ("é", "z", None, 0.0),
        ] {
            let is = part(from.as_bytes(), at.as_bytes(), to.map(str::as_bytes));
            assert!((is - expected).abs() < 0.02, "{from} {at} {to:?}: {is}");
        }
    }

    #[test]
    fn what_is_left_is_told_where_it_can_be_known() {
        let noon = datetime!(2026-11-01 12:00 UTC);
        let run = |versions, versions_before| RunUnderWay {
            run_id: 1,
            bucket: "b".to_owned(),
            prefix: String::new(),
            started_at: noon,
            reason: None,
            keys: 0,
            versions,
            drift: 0,
            versions_before,
            ranges: 1,
            ranges_done: 0,
            ranges_taken: 1,
        };
        let later = noon + time::Duration::seconds(10);
        assert_eq!(left(&run(100, Some(400)), later), Some(Duration::from_secs(30)));
        for unknown in [run(100, None), run(0, Some(400)), run(400, Some(400)), run(500, Some(400))] {
            assert_eq!(left(&unknown, later), None, "{unknown:?}");
        }
    }
}
