//! The ways from a bucket to our queues, and what gets lost on them.

use std::collections::{BTreeMap, BTreeSet};

use super::Wish;
use super::bridge::{self, bridge};
use super::bucket::meet;
use crate::bucket::rules::{Destination, NEEDED, Reach, Rule, Rules, TRANSITION};
use crate::fault::Kind;
use crate::setup::estate::{BridgeRule, BucketLook, Lifecycle, Looked, MOVES, Topic};
use crate::setup::finding::{Finding, Subject};

/// What lies between: topics by ARN, and rules of EventBridge.
#[derive(Debug, Default)]
pub(in crate::setup) struct Hops {
    /// Topics that the bucket tells.
    pub(in crate::setup) topics: BTreeMap<String, Looked<Topic>>,
    /// Rules of EventBridge that lead to our queues, where they matter.
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
    let bridged = bridge(subject, wish, rules.event_bridge, hops, &mut findings, &mut doubts);
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
    let comes_twice =
        |event: &&str| bridged.brings(event) && gaps.iter().all(|(missing, _)| missing != event);
    if NEEDED.iter().any(comes_twice) {
        findings.push(subject.warning(
            "one way only",
            "events come both by EventBridge and by rules of the bucket, so each comes twice",
            "take one way away; the catalog is right all the same",
        ));
    }
    let by_rules = gaps.len() < NEEDED.len();
    let gaps: Vec<_> = gaps.into_iter().filter(|(event, _)| !bridged.brings(event)).collect();
    if gaps.is_empty() {
        let way = match (by_rules, bridged.brings_any()) {
            (true, false) => "by rules of the bucket",
            (false, _) => "by EventBridge",
            (true, true) => "by rules of the bucket and EventBridge",
        };
        findings.push(subject.ok(CHECK, format!("all that is needed comes {way}")));
        return findings;
    }
    for (events, lost) in told_together(&gaps) {
        let (mut found, mut remedy) = gap(&events, lost, rules, wish, &is_ours);
        if let (Reach::Nothing, Some((why, what))) = (lost, &bridged.hint) {
            found = format!("{found}; {why}");
            remedy = format!("{what}; or else {remedy}");
        }
        // What could not be looked at may lead to us all the same.
        findings.push(if doubts.is_empty() {
            subject.failure(CHECK, found, remedy)
        } else {
            subject.unknown(CHECK, format!("{found}; but {}", doubts.join("; ")), remedy)
        });
    }
    findings
}

/// Whether we hear of objects that lifecycle rules move to another storage class.
pub(in crate::setup) fn storage_classes(
    subject: &Subject,
    wish: &Wish,
    look: &BucketLook,
    hops: &Hops,
) -> Option<Finding> {
    const CHECK: &str = "storage classes";
    let rules = look.rules.as_ref().ok().filter(|_| !wish.queues.is_empty())?;
    let bridge = hops.bridge.as_ref().and_then(|bridge| bridge.as_ref().ok()).into_iter().flatten();
    let is_bridged = rules.event_bridge && bridge.into_iter().any(bridge::brings_transitions);
    if is_bridged
        || matches!(
            rules.reach(TRANSITION, &wish.prefix, |rule| leads_to_us(rule, wish, hops)),
            Reach::Whole(_)
        )
    {
        return Some(subject.ok(CHECK, format!("{TRANSITION} comes")));
    }
    let moves = |rule: &&Lifecycle| meet(&rule.prefix, &wish.prefix) && rule.does.contains(&MOVES);
    // What may not be looked at is told of where lifecycle rules are.
    let Some(moving) = look.lifecycle.as_ref().ok()?.iter().find(moves) else {
        let found = format!("{TRANSITION} does not come, and no lifecycle rule moves objects");
        return Some(subject.ok(CHECK, found));
    };
    let other = rules.rules.iter().find(|rule| rule.concerns(&wish.prefix) && rule.tells(TRANSITION));
    Some(subject.warning(
        CHECK,
        format!(
            "lifecycle rule {:?} {MOVES}, and {TRANSITION} does not come: storage_class is what it was at the last listing",
            moving.id
        ),
        match other {
            Some(other) => format!("{} has it: {}", described(other), ways_round(&other.destination)),
            None => format!("`stocktake connect --bucket {}` plans the rule that is missing", wish.name),
        },
    ))
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
        Err(fault) if fault.kind == Kind::Absent => {
            let found = format!("{arn} does not exist, and what the bucket tells it is lost");
            return vec![subject.failure(
                CHECK,
                found,
                "make it again with its subscriptions, or take the rule away",
            )];
        }
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
