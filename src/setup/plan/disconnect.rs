//! What it takes to undo that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::connect::{statement, statements};
use super::{Action, BEFORE, Found, MADE, OURS, Plan, Step, Target, notifications, others_stay};
use crate::bucket::rules::{Destination, Rule};
use crate::setup::checks::described;
use crate::setup::estate::QueueLook;
use crate::words::counted;

/// Plans to undo what [`super::connect()`] did, and nothing else.
pub fn disconnect(target: &Target, found: &Found) -> Plan {
    let mut plan = Plan::default();
    let queue = Destination::Queue(target.queue.1.clone());
    let is_ours = |rule: &&Rule| {
        rule.destination == queue && rule.id.starts_with(OURS) && rule.prefix() == target.prefix.as_str()
    };
    let ours = found.rules.rules.iter().filter(is_ours).count();
    let mut left =
        found.rules.rules.iter().filter(|rule| rule.destination == queue && !is_ours(rule)).count();
    let what = notifications(target);
    for rule in found.rules.rules.iter().filter(is_ours) {
        let lines = vec![format!("  - {}", described(rule)), others_stay(&found.rules, ours)];
        plan.steps.push(Step::of(Action::Hush { id: rule.id.clone() }, what.clone(), lines));
    }
    if ours == 0 {
        let why = if found.is_there {
            "there is no rule of ours"
        } else {
            "the bucket does not exist any more, so there is nothing to take away"
        };
        plan.steps.push(Step::absent(what, why));
    }
    if found.is_delivered && ours == 0 {
        left += 1;
    }
    match &found.queue {
        Some(look) if left == 0 => plan.steps.extend(leave(target, found, look)),
        Some(_) => {}
        None => plan.steps.push(Step::absent(format!("queue {}", target.queue.1), "there is none")),
    }
    plan
}

/// The queue, of which this bucket does not need anything any more.
fn leave(target: &Target, found: &Found, look: &QueueLook) -> Vec<Step> {
    let (name, arn) = &target.queue;
    let what = format!("queue {arn}");
    let mut policy: Value =
        look.policy.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(json!({}));
    let mut statements = statements(&mut policy);
    let before = statements.len();
    let ours = statement(target).sid;
    statements.retain(|statement| statement["Sid"] != ours);
    let is_changed = statements.len() < before;
    let is_needed = statements
        .iter()
        .any(|statement| statement["Sid"].as_str().is_some_and(|sid| sid.starts_with("Stocktake")));
    if found.tags.contains_key(MADE) && statements.is_empty() {
        let mut steps = vec![delete(name, what, look)];
        if let Some(dead) = found.dead.as_ref().filter(|_| found.dead_is_made) {
            steps.push(delete(&target.dead.0, format!("dead-letter queue {}", target.dead.1), dead));
        }
        return steps;
    }
    let (mut settings, mut lines, mut untag) = (BTreeMap::new(), Vec::new(), Vec::new());
    if found.tags.contains_key(MADE) && !is_needed {
        lines.push("  ! its policy lets others send, so it is left to them".to_owned());
    }
    if is_changed {
        let text = if statements.is_empty() {
            String::new()
        } else {
            policy["Statement"] = Value::Array(statements);
            policy.to_string()
        };
        settings.insert("Policy".to_owned(), text);
        lines.push(format!("  ~ Policy: - statement {ours:?}"));
    }
    if !is_needed {
        for (tag, value) in &found.tags {
            if let Some(setting) = tag.strip_prefix(BEFORE) {
                settings.insert(setting.to_owned(), value.clone());
                untag.push(tag.clone());
                lines.push(format!(
                    "  ~ {setting}: back to {}",
                    if value.is_empty() { "none" } else { value }
                ));
            }
        }
    }
    if settings.is_empty() {
        return vec![Step { lines, ..Step::kept(what) }];
    }
    let had_redrive = settings.contains_key("RedrivePolicy");
    let action = Action::SetQueue { name: name.clone(), settings, tags: BTreeMap::new(), untag };
    let mut steps = vec![Step::of(action, what, lines)];
    if let Some(dead) = found.dead.as_ref().filter(|_| had_redrive && found.dead_is_made) {
        steps.push(delete(&target.dead.0, format!("dead-letter queue {}", target.dead.1), dead));
    }
    steps
}

fn delete(name: &str, what: String, look: &QueueLook) -> Step {
    let count = look.waiting + look.in_hand;
    let lines =
        if count == 0 { Vec::new() } else { vec![format!("  - {} lost with it", counted(count, "message"))] };
    Step::of(Action::DeleteQueue { name: name.to_owned() }, what, lines)
}
