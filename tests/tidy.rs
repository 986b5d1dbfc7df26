//! Structure that no compiler checks: what the pure core may use, how long files get, what must be
//! documented.

use std::fs;
use std::path::{Path, PathBuf};

use stocktake::metrics::{Kind, Metric};

/// Lines of a file, tests included. What is longer has more than one subject.
const LINES_MAX: usize = 400;

/// Where `src/model` may take things from. Neither is there a clock in it, nor I/O.
const MODEL_MAY_USE: [&str; 8] = [
    "std::borrow",
    "std::cmp",
    "std::collections",
    "std::error",
    "std::fmt",
    "std::hash",
    "std::time::Duration",
    "super",
];

/// What would be I/O, a clock or a driver wherever it stood.
const MODEL_MUST_NOT_SAY: [&str; 12] = [
    "async ",
    ".await",
    "tokio",
    "sqlx",
    "aws_",
    "crate::",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "Instant",
    "SystemTime",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.clone(), fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    assert!(!files.is_empty(), "no Rust files in {folder}: was it moved?");
    files
}

/// The part of a file that is compiled without tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// What breaks the layering in the text of a file of the model.
fn leaks(text: &str) -> Vec<String> {
    let mut leaks = Vec::new();
    for line in production(text).lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let used = line.strip_prefix("use ").or_else(|| line.strip_prefix("pub use "));
        let is_foreign = used.is_some_and(|used| {
            let is_own = line.starts_with("pub use ") && !used.contains("std::");
            !is_own && !MODEL_MAY_USE.iter().any(|allowed| used.starts_with(allowed))
        });
        if is_foreign || MODEL_MUST_NOT_SAY.iter().any(|word| line.contains(word)) {
            leaks.push(line.to_owned());
        }
    }
    leaks
}

#[test]
fn the_model_is_pure() {
    for (path, text) in rust_files("src/model") {
        assert_eq!(leaks(&text), Vec::<String>::new(), "in {}", path.display());
    }
}

#[test]
fn a_leak_into_the_model_is_seen() {
    for leak in
        ["use tokio::time;", "use crate::clock;", "let now = SystemTime::now();", "pub async fn f() {}"]
    {
        assert_eq!(leaks(leak), [leak]);
    }
    assert!(leaks("use std::fmt;\nuse super::Slot;\npub use slot::Slot;").is_empty());
}

#[test]
fn files_have_one_subject() {
    for folder in ["benches", "src", "tests"] {
        for (path, text) in rust_files(folder) {
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", path.display());
        }
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let page = fs::read_to_string(root().join("docs/METRICS.md")).unwrap();
    for Metric { name, kind, labels, .. } in stocktake::metrics::ALL {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        let gap = if labels.is_empty() { "" } else { " " };
        let row = format!("| `{name}` | {kind} | {labels}{gap}| ");
        assert!(page.contains(&row), "docs/METRICS.md has no row {row}");
    }
    for name in page.split('`').filter(|word| word.starts_with("stocktake_") && !word.contains(['{', ' '])) {
        assert!(
            stocktake::metrics::ALL.iter().any(|metric| metric.name == name),
            "there is no metric {name}"
        );
    }
}

#[test]
fn every_error_that_is_told_apart_is_explained() {
    let page = fs::read_to_string(root().join("docs/TROUBLESHOOTING.md")).unwrap();
    let (_, answers) = page.split_once("## Answers of AWS").expect("a chapter of answers");
    let answers = answers.split("\n## ").next().unwrap_or_default();
    let rows: Vec<&str> = answers.lines().filter(|line| line.starts_with("| `")).collect();
    for (kind, codes) in stocktake::aws::CODES {
        let row = |code: &str| rows.iter().position(|row| row.contains(&format!("`{code}`")));
        for code in *codes {
            assert!(
                row(code).is_some(),
                "docs/TROUBLESHOOTING.md does not explain {code}, which is {kind:?}"
            );
        }
    }
}

#[test]
fn every_test_that_the_semantics_call_upon_exists() {
    let page = fs::read_to_string(root().join("SEMANTICS.md")).unwrap();
    let code: String = ["src", "tests"].into_iter().flat_map(rust_files).map(|(_, text)| text).collect();
    let shown = page.split("Shown by").skip(1).map(|rest| rest.split("\n\n").next().unwrap_or_default());
    let names: Vec<&str> = shown.flat_map(|names| names.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 20, "SEMANTICS.md names {} tests only: {names:?}", names.len());
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "SEMANTICS.md calls upon {name}, which is no test");
    }
}

/// Of each that a statement holds, what `in (…)` has in its brackets.
fn in_brackets(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(" in (").map(|(place, found)| {
        let inside = &text[place + found.len()..];
        let mut depth = 1;
        let end = inside.find(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            depth == 0
        });
        &inside[..end.unwrap_or(inside.len())]
    })
}

/// Postgres may ask such a query again for each row, as docs/PERFORMANCE.md tells.
#[test]
fn what_is_limited_is_asked_for_once() {
    let has_limit = |text: &str| in_brackets(text).any(|inside| inside.contains("limit $"));
    for (path, text) in rust_files("src/catalog") {
        assert!(!has_limit(&text), "{}: write `= any (array(select … limit …))`", path.display());
    }
    assert!(has_limit(
        "delete from x where y in (select y from x where (z) limit $1 for update) returning y"
    ));
    assert!(!has_limit("delete from x where y in (select y from x) and z = any (array(select z limit $1))"));
}
