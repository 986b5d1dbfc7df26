//! Numbers as people write them.

use std::fmt::Display;
use std::time::Duration;

/// So many of something: `1 key`, `2 keys`.
pub(crate) fn counted(count: impl Display + PartialEq<usize>, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
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

#[cfg(test)]
mod tests {
    use super::*;

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
