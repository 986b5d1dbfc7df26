//! Numbers, moments and texts as people read them.

use std::fmt::Display;
use std::time::Duration;

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// So many of something: `1 key`, `2 keys`.
pub(crate) fn counted(count: impl Copy + Display + TryInto<u64>, thing: &str) -> String {
    if matches!(count.try_into(), Ok(1)) { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for those who only want an idea of them: `0 B`, `1,023 B`, `1.5 KiB`, `12 GiB`.
pub(crate) fn sized(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes.unsigned_abs() < 1_024 {
        return format!("{} B", grouped(bytes));
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1,024 is one of the next.
    while value.abs() >= 1_023.5 {
        let Some(next) = units.next() else { break };
        value /= 1_024.0;
        unit = Some(next);
    }
    let digits = usize::from(value.abs() < 9.95);
    format!("{value:.digits$} {}", unit.unwrap_or(&"B"))
}

/// A duration, which can be read back: `14 days`, `2h 46m`, `100ms`.
pub(crate) fn lasting(duration: Duration) -> String {
    let text = humantime::format_duration(duration).to_string();
    // Units that are words stand apart from their numbers.
    ["year", "month", "day"].iter().fold(text, |text, unit| text.replace(unit, &format!(" {unit}")))
}

/// A duration for those who only want an idea of it: `12s`, `3m`, `5h`, `9 days`.
pub(crate) fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// To the second, in UTC.
pub(crate) fn moment(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    // Every moment that Postgres can tell has these parts.
    moment.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// How long ago that was: `5m ago`, `never`. Clocks differ: what is still to come is just now.
pub(crate) fn ago(then: Option<OffsetDateTime>, as_of: OffsetDateTime) -> String {
    then.map_or("never".to_owned(), |then| {
        format!("{} ago", rough(Duration::try_from(as_of - then).unwrap_or_default()))
    })
}

/// Keys may hold anything, and a terminal obeys what it is shown.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Whether a character is not seen, or changes what is seen of others: controls, those that turn the direction of
/// writing, those without a width, and tags.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_in_a_text() {
        for (text, shown) in [
            ("a b", "a b"),
            ("a\n\u{202E}b", "a\\u{a}\\u{202e}b"),
            ("\u{200B}\u{E0041}\u{FEFF}", "\\u{200b}\\u{e0041}\\u{feff}"),
            ("é \u{5D0} 🧬", "é \u{5D0} 🧬"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn things_are_counted() {
        assert_eq!([0, 1, 2].map(|count: usize| counted(count, "key")), ["0 keys", "1 key", "2 keys"]);
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn bytes_have_a_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1,023 B"),
            (1_024, "1.0 KiB"),
            (10_188, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (i64::MAX, "8.0 EiB"),
            (-2_048, "-2.0 KiB"),
        ] {
            assert_eq!(sized(bytes), text);
        }
    }

    #[test]
    fn what_lasts_is_told_in_words_that_can_be_read_back() {
        for (seconds, text) in [(0, "0s"), (100, "1m 40s"), (14 * 86_400, "14 days"), (31_557_600, "1 year")]
        {
            let duration = Duration::from_secs(seconds);
            assert_eq!(lasting(duration), text);
            assert_eq!(humantime::parse_duration(text), Ok(duration));
        }
        assert_eq!(lasting(Duration::from_millis(100)), "100ms");
        for (seconds, text) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2 days")]
        {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }
}
