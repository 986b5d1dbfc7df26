//! How histories and their traces read. A history reads as the code of its own regression test.

use std::fmt;

use crate::history::{Deed, Fate, History, Pace, Run, START, calm, whole};
use crate::world::{Event, Millis};

/// A history as code.
pub(crate) struct Code<'a>(pub(crate) &'a History);

impl fmt::Display for Code<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let History { versioning, personality, pace, steps } = self.0;
        writeln!(formatter, "holds({versioning:?}, {personality:?}, {}, [", pace_code(pace))?;
        for step in steps {
            writeln!(formatter, "    at({}, {}),", millis(step.at - START), deed_code(&step.deed))?;
        }
        write!(formatter, "]);")
    }
}

fn deed_code(deed: &Deed) -> String {
    let fate = deed.fate().map(fate_code).unwrap_or_default();
    match deed {
        Deed::Put(key, bytes, _) => format!("Put({key:?}, {bytes:?}, {fate})"),
        Deed::Begin(upload, key) => format!("Begin({upload}, {key:?})"),
        Deed::Complete(upload, bytes, _) => format!("Complete({upload}, {bytes:?}, {fate})"),
        Deed::Delete(key, _) => format!("Delete({key:?}, {fate})"),
        Deed::DeleteVersion(key, nth, stamp, _) => {
            format!("DeleteVersion({key:?}, {nth}, {stamp:?}, {fate})")
        }
        Deed::Expire(key, nth, _) => format!("Expire({key:?}, {nth}, {fate})"),
        Deed::Bury(key, _) => format!("Bury({key:?}, {fate})"),
        Deed::Reap(key) => format!("Reap({key:?})"),
        Deed::Replicate(key, bytes, age, _) => {
            format!("Replicate({key:?}, {bytes:?}, {}, {fate})", millis(*age))
        }
        Deed::Transition(key, nth, class, _) => format!("Transition({key:?}, {nth}, {class:?}, {fate})"),
        Deed::Switch => "Switch".to_owned(),
        Deed::Run(run) => format!("List({})", run_code(run)),
    }
}

fn fate_code(fate: &Fate) -> String {
    let arrives = list(&fate.arrives);
    match (fate.is_lost(), fate.skew) {
        (true, 0) => "lost()".to_owned(),
        (_, 0) => format!("heard({arrives})"),
        (_, skew) => format!("skewed({}, {arrives})", millis(skew)),
    }
}

fn run_code(run: &Run) -> String {
    let usual = whole();
    let Run { page, is_split, pauses, is_read_ahead, judged_after, repaired_after, dies_after } = run;
    let fields = [
        (*page != usual.page).then(|| format!("page: {page}")),
        (*is_split != usual.is_split).then(|| format!("is_split: {is_split}")),
        (*pauses != usual.pauses).then(|| format!("pauses: vec!{}", list(pauses))),
        (*is_read_ahead != usual.is_read_ahead).then(|| format!("is_read_ahead: {is_read_ahead}")),
        (*judged_after != usual.judged_after).then(|| format!("judged_after: {}", millis(*judged_after))),
        (*repaired_after != usual.repaired_after)
            .then(|| format!("repaired_after: {}", millis(*repaired_after))),
        (*dies_after != usual.dies_after).then(|| format!("dies_after: {dies_after:?}")),
    ];
    update("Run", fields.into_iter().flatten(), "whole()")
}

fn pace_code(pace: &Pace) -> String {
    let usual = calm();
    let Pace { recheck_after, recheck_takes, recheck_dies, clocks } = pace;
    let fields = [
        (*recheck_after != usual.recheck_after).then(|| format!("recheck_after: {}", millis(*recheck_after))),
        (*recheck_takes != usual.recheck_takes).then(|| format!("recheck_takes: {}", millis(*recheck_takes))),
        (*recheck_dies != usual.recheck_dies).then(|| format!("recheck_dies: {recheck_dies:?}")),
        (*clocks != usual.clocks).then(|| format!("clocks: vec!{}", list(clocks))),
    ];
    update("Pace", fields.into_iter().flatten(), "calm()")
}

/// A struct that differs from `usual` in `fields`.
fn update(name: &str, fields: impl Iterator<Item = String>, usual: &str) -> String {
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() {
        usual.to_owned()
    } else {
        format!("{name} {{ {}, ..{usual} }}", fields.join(", "))
    }
}

fn list(values: &[Millis]) -> String {
    format!("[{}]", values.iter().copied().map(millis).collect::<Vec<_>>().join(", "))
}

/// A number with its thousands set apart.
fn millis(value: Millis) -> String {
    let digits = value.unsigned_abs().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{}{}", if value < 0 { "-" } else { "" }, groups.join("_"))
}

impl fmt::Display for Deed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, bytes, _) => write!(formatter, "put {key} {bytes}"),
            Self::Begin(upload, key) => write!(formatter, "upload {upload} of {key} is started"),
            Self::Complete(upload, bytes, _) => write!(formatter, "upload {upload} {bytes} is completed"),
            Self::Delete(key, _) => write!(formatter, "delete {key}"),
            Self::DeleteVersion(key, nth, ..) => write!(formatter, "delete version {nth} of {key}"),
            Self::Expire(key, nth, _) => write!(formatter, "lifecycle removes version {nth} of {key}"),
            Self::Bury(key, _) => write!(formatter, "lifecycle hides {key} behind a marker"),
            Self::Reap(key) => write!(formatter, "lifecycle silently removes the lone marker of {key}"),
            Self::Replicate(key, bytes, age, _) => {
                write!(formatter, "replica {key} {bytes} of {} s ago", age / 1_000)
            }
            Self::Transition(key, nth, class, _) => write!(formatter, "version {nth} of {key} to {class}"),
            Self::Switch => write!(formatter, "versioning is switched"),
            Self::Run(run) => write!(formatter, "a run begins: {}", run_code(run)),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, " [{} {}", self.name, self.key)?;
        write!(formatter, " {}", self.version_id.as_deref().unwrap_or("-"))?;
        write!(formatter, " {}", self.sequencer.as_deref().unwrap_or("no sequencer"))?;
        if let Some(etag) = &self.etag {
            write!(formatter, " {etag}")?;
        }
        write!(formatter, " at {}]", (self.time - START) as f64 / 1_000.0)
    }
}
