//! Reading one section: typed values out, every mistake noted on the way.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::keys::{self, Preset};
use super::mistake::Mistake;
use super::source::PREFIX;
use crate::words::lasting;

/// The whole configuration as it was written, and what is wrong with it so far.
///
/// A mistake never ends the reading: a stand-in is returned, and the result thrown away at the end.
#[derive(Debug, Default)]
pub(super) struct Tree {
    values: HashMap<String, Value>,
    pub(super) mistakes: Vec<Mistake>,
}

/// One table of it: `[aws]`, or one of the `[[bucket]]`s.
#[derive(Debug)]
pub(super) struct Section<'a> {
    place: String,
    known: &'static keys::Section,
    values: HashMap<String, Value>,
    /// Whether it is there, and not only the gap before one that is.
    is_set: bool,
    mistakes: &'a mut Vec<Mistake>,
}

impl Tree {
    pub(super) fn new(mut values: HashMap<String, Value>, mut mistakes: Vec<Mistake>) -> Self {
        let mut unknown: Vec<_> =
            values.keys().filter(|name| keys::section(name).is_none()).cloned().collect();
        unknown.sort_unstable();
        for name in unknown {
            values.remove(&name);
            mistakes.push(Mistake::new(name, format!("unknown section; known: {}", keys::headers())));
        }
        Self { values, mistakes }
    }

    /// The section of that name, which may be absent altogether.
    pub(super) fn table(&mut self, known: &'static keys::Section) -> Section<'_> {
        let value = self.values.remove(known.name);
        Section::new(known.name.to_owned(), known, value.unwrap_or_else(empty), &mut self.mistakes)
    }

    /// All entries of a list, each read by `read`.
    pub(super) fn list<T>(
        &mut self,
        known: &'static keys::Section,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let entries = match self.values.remove(known.name).map(|value| value.kind) {
            None => Vec::new(),
            Some(ValueKind::Array(entries)) => entries,
            Some(_) => {
                let message = format!("must be a list of tables: open each entry with {}", known.header());
                self.mistakes.push(Mistake::new(known.name, message));
                Vec::new()
            }
        };
        let entries = entries.into_iter().enumerate();
        entries
            .map(|(index, value)| {
                let place = format!("{}[{index}]", known.name);
                read(&mut Section::new(place, known, value, &mut self.mistakes))
            })
            .collect()
    }
}

impl<'a> Section<'a> {
    fn new(
        place: String,
        known: &'static keys::Section,
        value: Value,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        let is_set = value.kind != ValueKind::Nil;
        let values = match value.kind {
            ValueKind::Table(values) => values,
            // The environment set a later entry, but not this one.
            ValueKind::Nil => {
                mistakes.push(Mistake::new(&place, "is not set: entries are numbered from 0 without gaps"));
                HashMap::new()
            }
            _ => {
                mistakes
                    .push(Mistake::new(&place, format!("must be a table: open it with {}", known.header())));
                HashMap::new()
            }
        };
        let mut unknown: Vec<_> = values.keys().filter(|name| known.key(name).is_none()).collect();
        unknown.sort_unstable();
        for name in unknown {
            let message = format!("unknown key; known here: {}", known.key_names());
            mistakes.push(Mistake::new(format!("{place}.{name}"), message));
        }
        Self { place, known, values, is_set, mistakes }
    }

    /// Notes a mistake at a key, naming the environment variable if that is where the value is from.
    pub(super) fn mistake(&mut self, key: &str, message: impl Display) {
        let variable =
            self.values.get(key).and_then(Value::origin).filter(|origin| origin.starts_with(PREFIX));
        let by = variable.map_or(String::new(), |variable| format!(" (set by {variable})"));
        self.mistakes.push(Mistake::new(format!("{}.{key}", self.place), format!("{message}{by}")));
    }

    /// Whether the file or the environment sets a key; an empty text sets none.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.values
            .get(key)
            .is_some_and(|value| !matches!(&value.kind, ValueKind::String(text) if text.is_empty()))
    }

    /// A text, or its default; nothing if there is neither.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.values.get(key).map(|value| &value.kind) {
            Some(ValueKind::String(text)) => Some(text.clone()),
            Some(_) => {
                self.mistake(key, "must be text, in quotes");
                None
            }
            None => self.default(key),
        }
    }

    /// A text where an empty one is the same as none, so that the environment can unset a key.
    pub(super) fn optional(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.is_empty() { self.default(key) } else { Some(text) }
    }

    /// A list of texts. The environment has one text, or a list as the file would write it.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let text = |value: &Value| match &value.kind {
            ValueKind::String(text) => Some(text.clone()),
            _ => None,
        };
        let texts = match self.values.get(key).map(|value| &value.kind) {
            None => Some(Vec::new()),
            Some(ValueKind::Array(values)) => values.iter().map(text).collect(),
            Some(ValueKind::String(list)) if list.starts_with('[') => serde_json::from_str(list).ok(),
            Some(ValueKind::String(one)) if one.is_empty() => Some(Vec::new()),
            Some(ValueKind::String(one)) => Some(vec![one.clone()]),
            Some(_) => None,
        };
        texts.unwrap_or_else(|| {
            self.mistake(key, "must be a list of texts, such as [\"**/*.tmp\"]");
            Vec::new()
        })
    }

    /// A whole number within a range.
    pub(super) fn number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.scalar(key) else { return *range.start() };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.mistake(
                    key,
                    format_args!("must be a whole number from {least} to {most}, not {text:?}"),
                );
                *least
            }
        }
    }

    /// A duration within a range.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let Some(text) = self.scalar(key) else { return *range.start() };
        let (least, most) = (lasting(*range.start()), lasting(*range.end()));
        match humantime::parse_duration(&text) {
            Ok(duration) if range.contains(&duration) => return duration,
            Ok(_) => self.mistake(key, format_args!("must be from {least} to {most}, not {text:?}")),
            Err(_) => self.mistake(
                key,
                format_args!(
                    "must be a duration from {least} to {most} such as \"90s\" or \"1h 30m\", not {text:?}"
                ),
            ),
        }
        *range.start()
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let Some(text) = self.scalar(key) else { return false };
        text.parse().unwrap_or_else(|_| {
            self.mistake(key, format_args!("must be true or false, not {text:?}"));
            false
        })
    }

    /// A value of any simple type, as text: the environment knows no other. An empty one is none.
    pub(super) fn scalar(&mut self, key: &str) -> Option<String> {
        match self.values.get(key).map(|value| &value.kind) {
            Some(ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil) => {
                self.mistake(key, "must be a single value");
                None
            }
            Some(kind) => match kind.to_string() {
                empty if empty.is_empty() => self.default(key),
                text => Some(text),
            },
            None => self.default(key),
        }
    }

    fn default(&mut self, key: &str) -> Option<String> {
        match self.known.key(key)?.default {
            Preset::Value(text) => Some(text.to_owned()),
            Preset::Unset => None,
            Preset::Required if !self.is_set => None,
            Preset::Required => {
                let entry = self.place.replace('[', "__").replace(']', "");
                let variable = format!("{PREFIX}{entry}__{key}").to_uppercase();
                self.mistake(key, format_args!("is required: set it in the file, or as {variable}"));
                None
            }
        }
    }
}

fn empty() -> Value {
    Value::new(None, ValueKind::Table(HashMap::new()))
}
