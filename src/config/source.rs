//! Where the configuration comes from: one file, and the environment on top of it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use ::config::{ConfigError, File, FileFormat, Source as _, Value};

use super::keys;
use super::mistake::{Errors, Mistake};

/// What every environment variable of ours begins with.
pub(super) const PREFIX: &str = "STOCKTAKE_";
/// The variable that names the file.
const FILE_VARIABLE: &str = "STOCKTAKE_CONFIG";
/// The file that is read when nothing names another, relative to the working directory.
const FILE_DEFAULT: &str = "config/default.toml";
/// Variables with our prefix that are not keys of the configuration.
const RESERVED: &[&str] = &[FILE_VARIABLE];
/// The most entries a list may get from the environment: an index is not a way to fill the memory.
const ENTRIES_MAX: usize = 1_000;

/// A file's text, and how to call the whole in an error.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: String,
    pub(super) origin: String,
    pub(super) text: String,
}

/// Finds the file and reads it. Without a file the environment may still say everything.
pub(super) fn read(file: Option<&Path>, env: &HashMap<String, String>) -> Result<Document, Errors> {
    let named = file.or_else(|| env.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(Path::new));
    let path = named.unwrap_or(Path::new(FILE_DEFAULT));
    match fs::read_to_string(path) {
        Ok(text) => {
            let file = path.display().to_string();
            Ok(Document { origin: format!("{file} and the environment"), file, text })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            let origin = format!(
                "the environment alone (no --config, no {FILE_VARIABLE}, and no file {FILE_DEFAULT} here)"
            );
            Ok(Document { file: FILE_DEFAULT.to_owned(), origin, text: String::new() })
        }
        Err(error) => {
            let by = if file.is_some() { "--config" } else { FILE_VARIABLE };
            let by = if named.is_some() { format!(" (named by {by})") } else { String::new() };
            let mistake = Mistake::new(path.display().to_string(), format!("cannot be read: {error}{by}"));
            Err(Errors { origin: path.display().to_string(), mistakes: vec![mistake] })
        }
    }
}

/// The file's values with the environment's laid over them.
pub(super) fn merge(
    document: &Document,
    env: &HashMap<String, String>,
    mistakes: &mut Vec<Mistake>,
) -> Result<HashMap<String, Value>, ConfigError> {
    let mut builder =
        ::config::Config::builder().add_source(File::from_str(&document.text, FileFormat::Toml));
    // Sorted, so that mistakes come in the same order every time.
    for (variable, value) in env.iter().collect::<BTreeMap<_, _>>() {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        if RESERVED.contains(&variable.as_str()) || is_service_link(name) {
            continue;
        }
        match path(name) {
            Ok(path) => {
                builder = builder.set_override(path, Value::new(Some(variable), value.as_str()))?;
            }
            Err(message) => mistakes.push(Mistake::new(variable, message)),
        }
    }
    builder.build()?.collect()
}

/// The words of an error from the file. The parser also quotes the line it stumbled over, which
/// may well be the one with the password.
pub(super) fn without_quote(error: &ConfigError) -> String {
    let text = error.to_string();
    let quoted = |line: &&str| {
        line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
    };
    let lines: Vec<_> = text.lines().filter(|line| !quoted(line)).map(str::trim).collect();
    lines.join(": ")
}

/// Where a variable's value goes: `BUCKET__0__NAME` is `bucket[0].name`.
fn path(name: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    let parts: Vec<_> = lower.split("__").collect();
    let Some(section) = keys::section(parts[0]) else { return Err(unknown(&lower)) };
    let (head, key) = match (section.list, parts.as_slice()) {
        (false, [head, key]) => ((*head).to_owned(), *key),
        (true, [head, index, key]) => match index.parse::<usize>() {
            Ok(index) if index < ENTRIES_MAX => (format!("{head}[{index}]"), *key),
            _ => {
                let upper = head.to_uppercase();
                return Err(format!(
                    "entries are numbered from 0 to {}: {PREFIX}{upper}__0__…",
                    ENTRIES_MAX - 1
                ));
            }
        },
        (list, [head, ..]) => {
            let upper = head.to_uppercase();
            let form = if list { "__0__KEY" } else { "__KEY" };
            return Err(format!("does not name a key: write {PREFIX}{upper}{form}"));
        }
        (_, []) => return Err(unknown(&lower)),
    };
    match section.key(key) {
        Some(_) => Ok(format!("{head}.{key}")),
        None => Err(format!("unknown key \"{key}\"; known in {}: {}", section.header(), section.key_names())),
    }
}

fn unknown(lower: &str) -> String {
    // The commonest slip is one underscore where two belong.
    for section in keys::SECTIONS.into_iter().filter(|section| !section.list) {
        let rest = lower.strip_prefix(section.name).and_then(|rest| rest.strip_prefix('_'));
        if let Some(key) = rest.and_then(|rest| section.key(rest)) {
            let name = format!("{}__{}", section.name, key.name).to_uppercase();
            return format!("unknown; with two underscores {PREFIX}{name} is a key");
        }
    }
    format!("unknown section; known: {}", keys::headers())
}

/// Kubernetes gives every container variables for every service beside it, and a service may well
/// be called `stocktake`: `STOCKTAKE_SERVICE_HOST`, `STOCKTAKE_PORT_9464_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    !name.contains("__")
        && ["SERVICE_HOST", "SERVICE_PORT", "PORT"].iter().any(|part| {
            name.strip_prefix(part)
                .or_else(|| name.split_once(&format!("_{part}")).map(|(_, rest)| rest))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
}
