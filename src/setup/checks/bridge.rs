//! EventBridge between a bucket and our queues.

use serde_json::Value;

use super::Wish;
use super::delivery::Hops;
use crate::setup::estate::{BridgeRule, Target};
use crate::setup::finding::{Finding, Subject};

/// What EventBridge brings of all keys of ours.
#[derive(Debug, Default)]
pub(super) struct Bridged {
    created: bool,
    deleted: bool,
    /// Why not all of it, and what to do about that.
    pub(super) hint: Option<(String, String)>,
}

impl Bridged {
    /// Whether an event comes that rules of buckets call so
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>).
    pub(super) fn brings(&self, event: &str) -> bool {
        if event.starts_with("s3:ObjectCreated:") { self.created } else { self.deleted }
    }

    pub(super) fn brings_any(&self) -> bool {
        self.created || self.deleted
    }
}

/// Follows the rules of EventBridge. `is_told` is whether the bucket tells it anything.
pub(super) fn bridge(
    subject: &Subject,
    wish: &Wish,
    is_told: bool,
    hops: &Hops,
    findings: &mut Vec<Finding>,
    doubts: &mut Vec<String>,
) -> Bridged {
    const CHECK: &str = "EventBridge";
    let mut bridged = Bridged::default();
    let rules = match &hops.bridge {
        None => return bridged,
        Some(Err(fault)) => {
            if is_told {
                doubts.push("EventBridge could not be looked at".to_owned());
                findings.push(subject.untold(CHECK, fault));
            }
            return bridged;
        }
        Some(Ok(rules)) => rules,
    };
    let to_us =
        |rule: &'_ BridgeRule| rule.targets.iter().find(|target| hops.queues.contains(&target.arn)).cloned();
    for (rule, target) in rules.iter().filter_map(|rule| Some((rule, to_us(rule)?))) {
        let name = &rule.name;
        let through = pattern(&rule.pattern, wish);
        if matches!(through, Ok(Through::Nothing)) {
            continue;
        }
        if !is_told {
            bridged.hint = Some((
                format!(
                    "EventBridge's rule {name:?} leads to {}, but the bucket does not tell EventBridge",
                    target.arn
                ),
                "turn EventBridge on in the bucket's notification configuration".to_owned(),
            ));
            continue;
        }
        if let Some((found, remedy)) = broken(rule, &target) {
            findings.push(subject.failure(CHECK, found, remedy));
            continue;
        }
        match through {
            Ok(Through::Nothing) => {}
            Ok(Through::All { created, deleted }) => {
                bridged.created |= created;
                bridged.deleted |= deleted;
                findings.push(subject.ok(CHECK, format!("rule {name:?} leads to {}", target.arn)));
                let missing = if deleted { "Object Created" } else { "Object Deleted" };
                if !(created && deleted) {
                    bridged.hint = Some((
                        format!("EventBridge's rule {name:?} lets no {missing:?} through"),
                        format!("add {missing:?} to the detail-type of its pattern"),
                    ));
                }
            }
            Ok(Through::SomeKeys(which)) => {
                bridged.hint = Some((
                    format!("EventBridge's rule {name:?} lets through only keys that are like {which}"),
                    "let its pattern have detail.object.key with our prefix, or without it".to_owned(),
                ));
            }
            Err(why) => {
                doubts.push(format!("EventBridge's rule {name:?} may bring them"));
                findings.push(subject.unknown(
                    CHECK,
                    format!("whether rule {name:?} lets all of our events through cannot be said: {why}"),
                    "see its event pattern",
                ));
            }
        }
    }
    if is_told && bridged.hint.is_none() {
        bridged.hint = Some((
            "EventBridge is told of everything, and no rule of its default bus brings them to a queue of ours".to_owned(),
            "make a rule there that leads to our queue".to_owned(),
        ));
    }
    bridged
}

/// Whether a rule lets through that an object was moved to another storage class.
pub(super) fn brings_transitions(rule: &BridgeRule) -> bool {
    const KIND: &str = "Object Storage Class Changed";
    let pattern: Value = serde_json::from_str(&rule.pattern).unwrap_or_default();
    let kinds = &pattern["detail-type"];
    rule.is_enabled
        && (kinds.is_null() || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == KIND)))
}

/// What keeps a rule from delivering anything that can be read.
fn broken(rule: &BridgeRule, target: &Target) -> Option<(String, &'static str)> {
    let name = &rule.name;
    if !rule.is_enabled {
        return Some((format!("rule {name:?} leads to {} and is disabled", target.arn), "enable it"));
    }
    target.is_transformed.then(|| {
        (
            format!("rule {name:?} changes events on the way to {}", target.arn),
            "let it deliver the whole event: take the input transformer or path away",
        )
    })
}

/// What a pattern lets through of our events.
enum Through {
    /// Of all keys of ours.
    All { created: bool, deleted: bool },
    /// Of some keys only, in the pattern's words.
    SomeKeys(String),
    /// It is about something else.
    Nothing,
}

/// What an event pattern lets through
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>).
///
/// # Errors
/// With what in it is not understood here.
fn pattern(pattern: &str, wish: &Wish) -> Result<Through, String> {
    let pattern: Value =
        serde_json::from_str(pattern).map_err(|error| format!("its pattern is not JSON: {error}"))?;
    let has = |place: &str, list: &Value, wanted: &str| match list {
        Value::Null => Ok(true),
        Value::Array(values) if values.iter().any(|value| value == wanted) => Ok(true),
        Value::Array(values) if values.iter().all(Value::is_string) => Ok(false),
        _ => Err(format!("{place} is {list}")),
    };
    let detail = &pattern["detail"];
    if !has("source", &pattern["source"], "aws.s3")?
        || !has("detail.bucket.name", &detail["bucket"]["name"], &wish.name)?
    {
        return Ok(Through::Nothing);
    }
    let [created, deleted] =
        ["Object Created", "Object Deleted"].map(|kind| has("detail-type", &pattern["detail-type"], kind));
    let (created, deleted) = (created?, deleted?);
    if !created && !deleted {
        return Ok(Through::Nothing);
    }
    let known = ["source", "detail-type", "detail", "account", "region", "resources"];
    let fields = |value: &'_ Value| value.as_object().cloned().unwrap_or_default();
    let unknown = fields(&pattern).into_iter().find(|(name, _)| !known.contains(&name.as_str()));
    let unknown = unknown
        .or_else(|| fields(detail).into_iter().find(|(name, _)| *name != "bucket" && *name != "object"));
    if let Some((name, value)) = unknown {
        return Err(format!("{name} is {value}"));
    }
    let key = &detail["object"]["key"];
    let Value::Array(filters) = key else {
        return if key.is_null() {
            Ok(Through::All { created, deleted })
        } else {
            Err(format!("detail.object.key is {key}"))
        };
    };
    let prefix = |filter: &'_ Value| filter["prefix"].as_str().map(str::to_owned);
    if filters.iter().filter_map(prefix).any(|prefix| wish.prefix.starts_with(&prefix)) {
        return Ok(Through::All { created, deleted });
    }
    if filters.iter().filter_map(prefix).all(|prefix| !prefix.starts_with(&wish.prefix))
        && filters.iter().all(|filter| prefix(filter).is_some())
    {
        return Ok(Through::Nothing);
    }
    let is_part =
        |filter: &Value| prefix(filter).is_some() || filter["suffix"].is_string() || filter.is_string();
    if filters.iter().all(is_part) {
        Ok(Through::SomeKeys(key.to_string()))
    } else {
        Err(format!("detail.object.key is {key}"))
    }
}
