//! What it takes to connect a bucket.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Action, BEFORE, Found, OURS, Plan, Step, Target, notifications, others_stay};
use crate::bucket::rules::{Destination, Filter, NEEDED, Rule, Rules, SUBSCRIBED, TRANSITION, includes};
use crate::setup::checks::{described, ways_round};
use crate::setup::estate::QueueLook;
use crate::setup::grant::{Act, Answer, answer, others};
use crate::setup::{notice, policy};

/// What a queue must be set to at least, as SQS names it: the longest retention, S3's largest
/// message, and the longest wait.
const SETTINGS: [(&str, u64); 3] = [
    ("MessageRetentionPeriod", 1_209_600),
    ("MaximumMessageSize", 65_536),
    ("ReceiveMessageWaitTimeSeconds", 20),
];
/// What a new one may take, which costs nothing: an EventBridge event or an SNS envelope is larger.
const MESSAGE_BYTES_NEW: &str = "262144";

/// Plans to connect a bucket.
pub fn connect(target: &Target, found: &Found) -> Plan {
    let mut plan = Plan::default();
    let redrive = found.queue.as_ref().and_then(|queue| queue.redrive.as_ref());
    if redrive.is_none_or(|redrive| redrive.to == target.dead.1) {
        plan.steps.push(dead_letters(target, found));
    }
    plan.steps.push(queue(target, found));
    match tell(target, found) {
        Ok(step) => plan.steps.push(step),
        Err(refusals) => plan.refusals = refusals,
    }
    plan
}

fn dead_letters(target: &Target, found: &Found) -> Step {
    let (name, arn) = &target.dead;
    let what = format!("dead-letter queue {arn}");
    if found.dead.is_some() {
        return Step::kept(what);
    }
    let settings = BTreeMap::from([("MessageRetentionPeriod".to_owned(), "1209600".to_owned())]);
    let lines = new_lines(&settings);
    Step::of(Action::MakeQueue { name: name.clone(), settings }, what, lines)
}

fn queue(target: &Target, found: &Found) -> Step {
    let (name, arn) = &target.queue;
    let what = format!("queue {arn}");
    let redrive = json!({ "deadLetterTargetArn": target.dead.1, "maxReceiveCount": 1_000 }).to_string();
    let Some(queue) = &found.queue else {
        let mut settings: BTreeMap<String, String> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        settings.insert("MaximumMessageSize".to_owned(), MESSAGE_BYTES_NEW.to_owned());
        settings.insert("Policy".to_owned(), policy::Document::of(vec![statement(target)]).pretty());
        settings.insert("RedrivePolicy".to_owned(), redrive);
        if let Some(key) = &target.kms_key {
            settings.insert("KmsMasterKeyId".to_owned(), key.clone());
        }
        let lines = new_lines(&settings);
        return Step::of(Action::MakeQueue { name: name.clone(), settings }, what, lines);
    };
    let mut changes = Changes::default();
    let now = [queue.retention.as_secs(), queue.message_bytes_max, queue.wait.as_secs()];
    for ((setting, least), now) in SETTINGS.iter().zip(now) {
        if now < *least {
            changes.set(setting, &now.to_string(), &least.to_string());
        }
    }
    if queue.redrive.is_none() {
        changes.set("RedrivePolicy", "", &redrive);
    }
    if !lets_in(target, queue) {
        let policy = with_statement(queue.policy.as_deref(), target);
        changes.lines.push(format!("  ~ Policy: + statement {:?}", statement(target).sid));
        changes.lines.extend(indented(&statement(target).value()));
        changes.settings.insert("Policy".to_owned(), policy);
    }
    changes.lines.extend(guests(target, found, queue));
    let Changes { settings, tags, lines } = changes;
    if settings.is_empty() {
        return Step { lines, ..Step::kept(what) };
    }
    Step::of(Action::SetQueue { name: name.clone(), settings, tags, untag: Vec::new() }, what, lines)
}

/// What else comes into a queue that was there before: by rules of this bucket that are not ours, and from
/// whomever its policy lets in beside those that we connected.
fn guests(target: &Target, found: &Found, queue: &QueueLook) -> Vec<String> {
    let rules = found.rules.rules.iter().filter(|rule| leads_to(target, rule) && !rule.id.starts_with(OURS));
    let mut guests: Vec<String> =
        rules.map(|rule| format!("{} of the same bucket", described(rule))).collect();
    let others = queue.policy.as_deref().and_then(|policy| others(policy, &sending(target, queue)).ok());
    let others =
        others.into_iter().flatten().filter(|(statement, _)| !statement.starts_with("statement \"Stocktake"));
    guests.extend(others.map(|(statement, who)| format!("its policy lets {who} send ({statement})")));
    if guests.is_empty() {
        return Vec::new();
    }
    vec![
        format!("  ! others come in here, too: {}", guests.join("; ")),
        "    a daemon takes all that comes: events of what is not configured are lost to whoever waits for them, and what is no \
         event goes into quarantine"
            .to_owned(),
    ]
}

#[derive(Default)]
struct Changes {
    settings: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Changes {
    fn set(&mut self, name: &str, from: &str, to: &str) {
        self.settings.insert(name.to_owned(), to.to_owned());
        self.tags.insert(format!("{BEFORE}{name}"), from.to_owned());
        let from = if from.is_empty() { "none" } else { from };
        self.lines.push(format!("  ~ {name}: {from} -> {to}"));
    }
}

/// Whether S3 may send already, by our statement or somebody's.
fn lets_in(target: &Target, queue: &QueueLook) -> bool {
    let act = sending(target, queue);
    queue.policy.as_deref().is_some_and(|policy| answer(policy, &act) == Ok(Answer::Allowed))
}

fn sending<'a>(target: &'a Target, queue: &'a QueueLook) -> Act<'a> {
    Act {
        service: "s3.amazonaws.com",
        action: "sqs:SendMessage",
        resource: &queue.arn,
        source: &target.bucket_arn,
        account: Some(&target.account),
    }
}

pub(super) fn statement(target: &Target) -> policy::Statement {
    policy::send(&target.queue.1, &target.bucket_arn, &target.account)
}

/// A policy with our statement, in the place of an older one of that name.
fn with_statement(policy: Option<&str>, target: &Target) -> String {
    let ours = statement(target);
    let Some(mut policy) = policy.and_then(|policy| serde_json::from_str::<Value>(policy).ok()) else {
        return policy::Document::of(vec![ours]).pretty();
    };
    let mut statements = statements(&mut policy);
    statements.retain(|statement| statement["Sid"] != ours.sid);
    statements.push(ours.value());
    policy["Statement"] = Value::Array(statements);
    policy.to_string()
}

pub(super) fn statements(policy: &mut Value) -> Vec<Value> {
    match policy["Statement"].take() {
        Value::Array(statements) => statements,
        Value::Null => Vec::new(),
        statement => vec![statement],
    }
}

/// The rule that is missing, or why there can be none.
fn tell(target: &Target, found: &Found) -> Result<Step, Vec<String>> {
    let what = notifications(target);
    let Some(rule) = missing(target, found) else { return Ok(Step::kept(what)) };
    let refusals: Vec<String> = found
        .rules
        .rules
        .iter()
        .filter(|other| rule.overlaps(other))
        .map(|other| {
            let way = if leads_to(target, other) {
                "it leads to our queue and lets some events or keys through only: take it away, and connect again".to_owned()
            } else {
                ways_round(&other.destination)
            };
            format!("{} has events of keys below {:?}, and S3 refuses rules that overlap; {way}", described(other), target.prefix)
        })
        .collect();
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let id = rule.id;
    let events: Vec<&str> = rule.events.iter().map(String::as_str).collect();
    let entry = notice::entry(&id, &target.queue.1, &events, &target.prefix);
    let lines = vec![
        format!("  + rule {id:?} to {}", target.queue.1),
        format!("      {}", events.join(" ")),
        format!("      prefix {:?}", target.prefix),
        others_stay(&found.rules, 0),
    ];
    Ok(Step::of(Action::Tell { id, entry }, what, lines))
}

/// The rule that is missing; none if there is none, or can be none.
pub(in crate::setup) fn wanted_events(target: &Target, found: &Found) -> Option<Rule> {
    missing(target, found).filter(|rule| found.rules.rules.iter().all(|other| !rule.overlaps(other)))
}

fn leads_to(target: &Target, rule: &Rule) -> bool {
    matches!(&rule.destination, Destination::Queue(arn) if *arn == target.queue.1)
}

/// A rule for the kinds of events that do not all come yet. What only keeps storage classes up to date is not
/// worth a quarrel.
fn missing(target: &Target, found: &Found) -> Option<Rule> {
    let events = [&NEEDED[..], &[TRANSITION]].concat();
    let gaps = found.rules.gaps(&events, &target.prefix, |rule| leads_to(target, rule));
    let lacks = |kind: &&str| gaps.iter().any(|(event, _)| includes(kind, event));
    let is_needed = gaps.iter().any(|(event, _)| NEEDED.contains(event));
    if is_needed && found.is_delivered {
        return None;
    }
    let rule = |kinds: Vec<&str>| Rule {
        id: free_id(target, &found.rules),
        destination: Destination::Queue(target.queue.1.clone()),
        events: kinds.into_iter().map(str::to_owned).collect(),
        filters: vec![Filter { name: "prefix".to_owned(), value: notice::encode(&target.prefix) }],
    };
    let all = rule(SUBSCRIBED.into_iter().filter(lacks).collect());
    if found.rules.rules.iter().all(|other| !all.overlaps(other)) {
        return (!all.events.is_empty()).then_some(all);
    }
    is_needed.then(|| rule(SUBSCRIBED.into_iter().filter(lacks).filter(|kind| *kind != TRANSITION).collect()))
}

/// A name that nobody has.
fn free_id(target: &Target, rules: &Rules) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let prefix: String = target.prefix.trim_end_matches('/').chars().map(plain).take(200).collect();
    let name = if prefix.is_empty() { OURS.to_owned() } else { format!("{OURS}-{prefix}") };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| rules.rules.iter().all(|rule| rule.id != *name)).unwrap_or(name)
}

fn new_lines(settings: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in settings {
        match serde_json::from_str::<Value>(value) {
            Ok(document @ Value::Object(_)) if name == "Policy" => {
                lines.push(format!("  + {name}:"));
                lines.extend(indented(&document));
            }
            _ => lines.push(format!("  + {name}: {value}")),
        }
    }
    lines
}

fn indented(value: &Value) -> Vec<String> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.lines().map(|line| format!("      {line}")).collect()
}
