//! What it takes to connect a bucket.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Action, BEFORE, Found, OURS, Plan, Step, Target};
use crate::bucket::rules::{Destination, Filter, NEEDED, Rule, Rules};
use crate::setup::checks::{described, ways_round};
use crate::setup::estate::QueueLook;
use crate::setup::grant::{Act, Answer, answer};
use crate::setup::{notice, policy};

/// What is subscribed to: what the catalog needs, and what keeps storage classes up to date.
const EVENTS: [&str; 4] =
    ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*", "s3:LifecycleTransition"];
/// Those of them without which keys are missed.
const ESSENTIAL: usize = 3;

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
        return Step { action: None, what, lines: Vec::new() };
    }
    let settings = BTreeMap::from([("MessageRetentionPeriod".to_owned(), "1209600".to_owned())]);
    let lines = new_lines(&settings);
    Step { action: Some(Action::MakeQueue { name: name.clone(), settings }), what, lines }
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
        return Step { action: Some(Action::MakeQueue { name: name.clone(), settings }), what, lines };
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
    if changes.settings.is_empty() {
        return Step { action: None, what, lines: Vec::new() };
    }
    let Changes { settings, tags, lines } = changes;
    let action = Action::SetQueue { name: name.clone(), settings, tags, untag: Vec::new() };
    Step { action: Some(action), what, lines }
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
    let act = Act {
        service: "s3.amazonaws.com",
        action: "sqs:SendMessage",
        resource: &queue.arn,
        source: &target.bucket_arn,
        account: Some(&target.account),
    };
    queue.policy.as_deref().is_some_and(|policy| answer(policy, &act) == Ok(Answer::Allowed))
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
    let others = found.rules.rules.len() + usize::from(found.rules.event_bridge);
    let what = format!("notifications of bucket {} below {:?}", target.bucket, target.prefix);
    let queue = Destination::Queue(target.queue.1.clone());
    if found.is_delivered
        || found.rules.gaps(&NEEDED, &target.prefix, |rule| rule.destination == queue).is_empty()
    {
        return Ok(Step { action: None, what, lines: Vec::new() });
    }
    let rule = wanted(target, found);
    let refusals: Vec<String> = found
        .rules
        .rules
        .iter()
        .filter(|other| rule.overlaps(other))
        .map(|other| {
            let way = if other.destination == queue {
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
        format!("  = {others} entries of others stay as they are"),
    ];
    Ok(Step { action: Some(Action::Tell { id, entry }), what, lines })
}

/// The rule that is missing; none if there is none.
pub(in crate::setup) fn wanted_events(target: &Target, found: &Found) -> Option<Rule> {
    let is_missing = tell(target, found).is_ok_and(|step| step.action.is_some());
    is_missing.then(|| wanted(target, found))
}

/// The rule that we want. What only keeps storage classes up to date is not worth a quarrel.
fn wanted(target: &Target, found: &Found) -> Rule {
    let rule = |events: &[&str]| Rule {
        id: free_id(target, &found.rules),
        destination: Destination::Queue(target.queue.1.clone()),
        events: events.iter().map(|&event| event.to_owned()).collect(),
        filters: vec![Filter { name: "prefix".to_owned(), value: notice::encode(&target.prefix) }],
    };
    let all = rule(&EVENTS);
    let is_free = found.rules.rules.iter().all(|other| !all.overlaps(other));
    if is_free { all } else { rule(&EVENTS[..ESSENTIAL]) }
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
