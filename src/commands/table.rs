//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::words::printable;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_is_obeyed() {
        let rows = [["a".to_owned(), "\u{1b}[2J".to_owned()], ["bucket".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["name", "key"], rows), " name    key\n a       \\u{1b}[2J\n bucket  x");
    }
}
