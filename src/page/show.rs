//! Numbers, moments and texts: short, with the exact value where one points at them.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::words::{ago, grouped, is_hidden, moment, sized};

/// A count, as it is.
pub(super) fn count(number: i64) -> Markup {
    html! { data value=(number) { (grouped(number)) } }
}

/// Bytes in a unit that fits.
pub(super) fn bytes(number: i64) -> Markup {
    html! { data value=(number) title={ (grouped(number)) " bytes" } { (sized(number)) } }
}

/// How long ago a moment was.
pub(super) fn since(then: Option<OffsetDateTime>, as_of: OffsetDateTime) -> Markup {
    let Some(then) = then else { return html! { span.dim { "never" } } };
    html! { time datetime=(machine(then)) title=(moment(then)) { (ago(Some(then), as_of)) } }
}

/// A moment to the second.
pub(super) fn at(then: OffsetDateTime) -> Markup {
    html! { time datetime=(machine(then)) { (moment(then)) } }
}

/// A text of lines, as code.
pub(super) fn lines(text: &str) -> Markup {
    html! { code { bdi { (plain(text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'))) } } }
}

/// Any text of somebody else's: a key, a message. Apart from what is around it, whichever way it is written; what is
/// not seen of it is spelled out.
pub(super) fn text(text: &str) -> Markup {
    html! { bdi { (plain(text, is_hidden)) } }
}

/// The same, as code.
pub(super) fn code(text: &str) -> Markup {
    html! { code { bdi { (plain(text, is_hidden)) } } }
}

fn plain(text: &str, is_hidden: fn(char) -> bool) -> Markup {
    html! {
        @for run in text.split_inclusive(is_hidden) {
            @let hidden = run.chars().next_back().filter(|last| is_hidden(*last));
            (&run[..run.len() - hidden.map_or(0, char::len_utf8)])
            @if let Some(hidden) = hidden {
                span.hidden title={ "U+" (format!("{:04X}", u32::from(hidden))) } { (hidden.escape_unicode()) }
            }
        }
    }
}

/// Between two moments, as a duration; nothing where the second is before the first.
pub(super) fn between(from: OffsetDateTime, to: OffsetDateTime) -> Duration {
    Duration::try_from(to - from).unwrap_or_default()
}

fn machine(moment: OffsetDateTime) -> String {
    // Every moment that Postgres can tell in our time has four digits of a year.
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn markup_is_text_and_nothing_is_hidden() {
        assert_eq!(
            text("<script>alert('1')</script>").into_string(),
            "<bdi>&lt;script&gt;alert('1')&lt;/script&gt;</bdi>"
        );
        assert_eq!(
            text("a\u{202E}b\n").into_string(),
            "<bdi>a<span class=\"hidden\" title=\"U+202E\">\\u{202e}</span>b\
             <span class=\"hidden\" title=\"U+000A\">\\u{a}</span></bdi>"
        );
        assert_eq!(text("").into_string(), "<bdi></bdi>");
    }

    #[test]
    fn the_exact_value_is_at_hand() {
        assert_eq!(bytes(1_536).into_string(), "<data value=\"1536\" title=\"1,536 bytes\">1.5 KiB</data>");
        let noon = datetime!(2026-11-01 12:00 UTC);
        assert_eq!(
            since(Some(noon), noon + time::Duration::minutes(5)).into_string(),
            "<time datetime=\"2026-11-01T12:00:00Z\" title=\"2026-11-01 12:00:00Z\">5m ago</time>"
        );
    }
}
