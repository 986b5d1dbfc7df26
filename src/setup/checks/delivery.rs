//! The ways from a bucket to our queues, and what gets lost on them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Wish;
use crate::bucket::rules::{Destination, NEEDED, Reach, Rule, Rules};
use crate::setup::estate::{BridgeRule, Looked, Topic};
use crate::setup::finding::{Finding, Subject};

/// What lies between: topics by ARN, and rules of EventBridge.
#[derive(Debug, Default)]
pub(in crate::setup) struct Hops {
    /// Topics that the bucket tells.
    pub(in crate::setup) topics: BTreeMap<String, Looked<Topic>>,
    /// Rules of EventBridge, if the bucket tells it.
    pub(in crate::setup) bridge: Option<Looked<Vec<BridgeRule>>>,
    /// The ARNs of our queues.
    pub(in crate::setup) queues: BTreeSet<String>,
}

/// Whether every event that is needed gets from the bucket to us.
pub(in crate::setup) fn delivery(
    subject: &Subject,
    wish: &Wish,
    rules: &Looked<Rules>,
    hops: &Hops,
) -> Vec<Finding> {
    const CHECK: &str = "notifications";
    let rules = match rules {
        Ok(rules) => rules,
        Err(fault) => return vec![subject.untold(CHECK, fault)],
    };
    let mut findings = Vec::new();
    let mut doubts = Vec::new();
    for (arn, topic) in &hops.topics {
        findings.extend(topic_findings(subject, arn, topic, hops, &mut doubts));
    }
    let bridge = bridge(subject, wish, hops, &mut findings, &mut doubts);
    let is_ours = |rule: &Rule| leads_to_us(rule, wish, hops);
    let gaps = rules.gaps(&NEEDED, &wish.prefix, is_ours);
    if wish.queues.is_empty() {
        findings.push(subject.warning(
            CHECK,
            "no queue is configured, so changes are only found by listing",
            "add a [[queue]]",
        ));
        return findings;
    }
    let direct = gaps.len() < NEEDED.len();
    if bridge && direct {
        findings.push(subject.warning(
            "one way only",
            "events come both by EventBridge and by rules of the bucket, so each comes twice",
            "take one way away; the catalog is right all the same",
        ));
    }
    if bridge || gaps.is_empty() {
        let way = if bridge { "by EventBridge" } else { "by rules of the bucket" };
        findings.push(subject.ok(CHECK, format!("all that is needed comes {way}")));
        return findings;
    }
    for (events, lost) in told_together(&gaps) {
        let (found, remedy) = gap(&events, lost, rules, wish, &is_ours);
        // What could not be looked at may lead to us all the same.
        findings.push(if doubts.is_empty() {
            subject.failure(CHECK, found, remedy)
        } else {
            subject.unknown(CHECK, format!("{found}; but {}", doubts.join("; ")), remedy)
        });
    }
    findings
}

/// Gaps of the same kind, told in one.
fn told_together<'a>(gaps: &'a [(&'a str, Reach<'a>)]) -> Vec<(Vec<&'a str>, &'a Reach<'a>)> {
    let mut together: Vec<(Vec<&str>, &Reach<'_>)> = Vec::new();
    for (event, reach) in gaps {
        match together.iter_mut().find(|(_, known)| *known == reach) {
            Some((events, _)) => events.push(event),
            None => together.push((vec![event], reach)),
        }
    }
    together
}

fn gap(
    events: &[&str],
    reach: &Reach<'_>,
    rules: &Rules,
    wish: &Wish,
    is_ours: &impl Fn(&Rule) -> bool,
) -> (String, String) {
    let events = events.join(", ");
    let below =
        if wish.prefix.is_empty() { "any key".to_owned() } else { format!("keys below {:?}", wish.prefix) };
    if let Reach::Partly(partly) = reach {
        let filters: Vec<String> = partly.iter().map(|rule| described(rule)).collect();
        return (
            format!("{events}: of {below} only some are told, by {}", filters.join(" and ")),
            "take the suffix filter away, and let the prefix be ours or shorter: keys between are only found by runs"
                .to_owned(),
        );
    }
    let takes = |rule: &&Rule| {
        !is_ours(rule)
            && rule.concerns(&wish.prefix)
            && NEEDED.iter().any(|event| events.contains(event) && rule.tells(event))
    };
    match rules.rules.iter().find(takes) {
        None => (
            format!("{events}: told to none of our queues, of {below}"),
            format!("`stocktake connect --bucket {}` plans the rule that is missing", wish.name),
        ),
        Some(rule) => (
            format!("{events}: told to others, of {below}, by {}", described(rule)),
            ways_round(&rule.destination),
        ),
    }
}

/// What can be done where somebody else's rule has what we need.
pub(in crate::setup) fn ways_round(destination: &Destination) -> String {
    match destination {
        Destination::Topic(arn) => format!(
            "subscribe our queue to {arn}, with a queue policy that lets sns.amazonaws.com send; or turn on EventBridge \
             for the bucket, with a rule that leads to our queue"
        ),
        other => format!(
            "two rules may not overlap: let the bucket tell an SNS topic, to which {} and our queue subscribe; or turn on \
             EventBridge for the bucket, with a rule that leads to our queue; or connect another prefix",
            other.arn()
        ),
    }
}

/// A rule, by name, filters and destination.
pub(in crate::setup) fn described(rule: &Rule) -> String {
    let (prefix, suffix) = (rule.prefix(), rule.suffix());
    let filter = match (prefix.is_empty(), suffix.is_empty()) {
        (true, true) => "no filter".to_owned(),
        (false, true) => format!("prefix {prefix:?}"),
        (true, false) => format!("suffix {suffix:?}"),
        (false, false) => format!("prefix {prefix:?} and suffix {suffix:?}"),
    };
    format!("rule {:?} ({filter}) to {}", rule.id, rule.destination)
}

fn leads_to_us(rule: &Rule, wish: &Wish, hops: &Hops) -> bool {
    match &rule.destination {
        queue @ Destination::Queue(_) => wish.queues.iter().any(|url| queue.is_queue(url)),
        Destination::Topic(arn) => hops.topics.get(arn).is_some_and(|topic| {
            let Ok(topic) = topic else { return false };
            topic.subscriptions.iter().any(|subscription| {
                subscription.protocol == "sqs"
                    && subscription.is_confirmed
                    && subscription.filter.is_none()
                    && hops.queues.contains(&subscription.endpoint)
            })
        }),
        Destination::Function(_) => false,
    }
}

fn topic_findings(
    subject: &Subject,
    arn: &str,
    topic: &Looked<Topic>,
    hops: &Hops,
    doubts: &mut Vec<String>,
) -> Vec<Finding> {
    const CHECK: &str = "topic";
    let topic = match topic {
        Ok(topic) => topic,
        Err(fault) => {
            doubts.push(format!("{arn} could not be looked at"));
            return vec![subject.untold(CHECK, fault)];
        }
    };
    let ours = topic.subscriptions.iter().filter(|subscription| hops.queues.contains(&subscription.endpoint));
    let findings = ours.map(|subscription| {
        if !subscription.is_confirmed {
            let found = format!("the subscription of {} to {arn} is not confirmed", subscription.endpoint);
            return subject.failure(
                CHECK,
                found,
                "open the SubscribeURL of the message that SNS sent to the queue",
            );
        }
        match &subscription.filter {
            None => subject.ok(CHECK, format!("{arn} leads to {}", subscription.endpoint)),
            Some(filter) => subject.failure(
                CHECK,
                format!("{} hears of some messages of {arn} only: {filter}", subscription.endpoint),
                "take the filter policy of the subscription away",
            ),
        }
    });
    findings.collect()
}

/// Whether EventBridge brings all there is.
fn bridge(
    subject: &Subject,
    wish: &Wish,
    hops: &Hops,
    findings: &mut Vec<Finding>,
    doubts: &mut Vec<String>,
) -> bool {
    const CHECK: &str = "EventBridge";
    let rules = match &hops.bridge {
        None => return false,
        Some(Err(fault)) => {
            doubts.push("EventBridge could not be looked at".to_owned());
            findings.push(subject.untold(CHECK, fault));
            return false;
        }
        Some(Ok(rules)) => rules,
    };
    let mut brings = false;
    for rule in rules {
        let Some(target) = rule.targets.iter().find(|target| hops.queues.contains(&target.arn)) else {
            continue;
        };
        let name = &rule.name;
        findings.push(match pattern(&rule.pattern, wish) {
            Ok(false) => continue,
            _ if !rule.is_enabled => subject.failure(
                CHECK,
                format!("rule {name:?} leads to {} and is disabled", target.arn),
                "enable it",
            ),
            _ if target.is_transformed => subject.failure(
                CHECK,
                format!("rule {name:?} changes events on the way to {}", target.arn),
                "let it deliver the whole event: take the input transformer or path away",
            ),
            Ok(true) => {
                brings = true;
                subject.ok(CHECK, format!("rule {name:?} leads to {}", target.arn))
            }
            Err(why) => {
                doubts.push(format!("EventBridge's rule {name:?} may bring them"));
                subject.unknown(
                    CHECK,
                    format!("whether rule {name:?} lets all of our events through cannot be said: {why}"),
                    "see its event pattern",
                )
            }
        });
    }
    brings
}

/// Whether an event pattern lets creations and deletions of all keys of ours through
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>).
fn pattern(pattern: &str, wish: &Wish) -> Result<bool, String> {
    let pattern: Value =
        serde_json::from_str(pattern).map_err(|error| format!("its pattern is not JSON: {error}"))?;
    let has = |list: &Value, wanted: &str| match list {
        Value::Null => Some(true),
        Value::Array(values) if values.iter().any(|value| value == wanted) => Some(true),
        Value::Array(values) if values.iter().all(Value::is_string) => Some(false),
        _ => None,
    };
    for (place, list, wanted) in [
        ("source", &pattern["source"], "aws.s3"),
        ("detail-type", &pattern["detail-type"], "Object Created"),
        ("detail-type", &pattern["detail-type"], "Object Deleted"),
        ("detail.bucket.name", &pattern["detail"]["bucket"]["name"], wish.name.as_str()),
    ] {
        match has(list, wanted) {
            Some(true) => {}
            Some(false) => return Ok(false),
            None => return Err(format!("{place} is {list}")),
        }
    }
    let key = &pattern["detail"]["object"]["key"];
    let starts =
        |value: &Value| value["prefix"].as_str().is_some_and(|prefix| wish.prefix.starts_with(prefix));
    let known = ["source", "detail-type", "detail", "account", "region", "resources"];
    let unknown = pattern.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    let others = pattern["detail"]
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| *name != "bucket" && *name != "object");
    match (key, unknown.or(others)) {
        (_, Some((name, value))) => Err(format!("{name} is {value}")),
        (Value::Null, None) => Ok(true),
        (Value::Array(values), None) if values.iter().any(starts) => Ok(true),
        (key, None) => Err(format!("detail.object.key is {key}")),
    }
}
