//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A table with a line under its head and no other lines, so that it can be cut and pasted.
pub(super) fn table<R, C>(head: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Keys may hold anything, and a terminal obeys what it is shown.
pub(super) fn printable(text: &str) -> String {
    let is_hidden =
        |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// To the second, in UTC.
pub(super) fn moment(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    // Every moment that Postgres can tell has these parts.
    moment.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_is_obeyed() {
        let rows = [["a".to_owned(), "\u{1b}[2J".to_owned()], ["bucket".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["name", "key"], rows), " name    key\n a       \\u{1b}[2J\n bucket  x");
    }
}
