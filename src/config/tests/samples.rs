//! The files in `config/` are documentation: they must load, and tell the truth.

use std::fs;
use std::path::PathBuf;

use ::config::{File, FileFormat, Source as _, ValueKind};

use super::*;
use keys::{Preset, SECTIONS};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The default file with every setting that is commented out put in force.
fn unfolded() -> String {
    let text = fs::read_to_string(folder().join("default.toml")).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_sample_loads() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            load(Some(&path), HashMap::new()).unwrap();
            count += 1;
        }
    }
    assert!(count >= 2);
    load(None, HashMap::new()).expect("the working directory of a test is the package's");
}

#[test]
fn the_default_file_shows_every_key_with_its_default() {
    let text = unfolded();
    let values = File::from_str(&text, FileFormat::Toml).collect().unwrap();
    for section in SECTIONS {
        let table = match &values[section.name].kind {
            ValueKind::Array(entries) => entries[0].clone().into_table().unwrap(),
            _ => values[section.name].clone().into_table().unwrap(),
        };
        for key in section.keys {
            let place = format!("{}.{}", section.name, key.name);
            let shown = table.get(key.name).unwrap_or_else(|| panic!("{place} is not shown")).to_string();
            // A list comes out quoted as a whole.
            let shown = shown.trim_matches('"');
            match key.default {
                Preset::Value(value) => assert_eq!(shown, value, "{place}"),
                Preset::Unset => assert_eq!(shown, "", "{place}"),
                Preset::Required => assert_ne!(shown, "", "{place}"),
            }
        }
    }
    let config = parsed(&text, &[]).unwrap();
    assert_eq!((config.queues.len(), config.buckets.len()), (1, 1));
}

#[test]
fn what_is_shown_is_what_is_in_force() {
    let required = "[database]\nurl = 'postgres://stocktake@localhost/stocktake'\n[[queue]]\n\
                    url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake'\n[[bucket]]\nname = 'genomics'";
    assert_eq!(parsed(&unfolded(), &[]), parsed(required, &[]));
}
