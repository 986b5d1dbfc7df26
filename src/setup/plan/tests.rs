use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::bucket::rules::{Destination, Filter, Rule, SUBSCRIBED};
use crate::setup::estate::{Redrive, Takes};

const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake";
const DEAD: &str = "arn:aws:sqs:eu-central-1:123456789012:stocktake-dead";

fn target(prefix: &str) -> Target {
    Target {
        bucket: "genomics".to_owned(),
        prefix: prefix.to_owned(),
        bucket_arn: "arn:aws:s3:::genomics".to_owned(),
        account: "123456789012".to_owned(),
        queue: ("stocktake".to_owned(), QUEUE.to_owned()),
        dead: ("stocktake-dead".to_owned(), DEAD.to_owned()),
        kms_key: None,
    }
}

fn nothing() -> Found {
    Found {
        is_there: true,
        queue: None,
        tags: BTreeMap::new(),
        dead: None,
        dead_is_made: false,
        rules: Rules::default(),
        configuration: String::new(),
        is_delivered: false,
    }
}

fn look(arn: &str) -> QueueLook {
    QueueLook {
        arn: arn.to_owned(),
        policy: None,
        kms_key: None,
        retention: Duration::from_secs(345_600),
        visibility: Duration::from_secs(30),
        wait: Duration::ZERO,
        delay: Duration::ZERO,
        message_bytes_max: 1_024,
        redrive: None,
        waiting: 0,
        in_hand: 0,
        takes: Takes::All,
        is_fifo: false,
    }
}

/// A queue after these settings were put in force.
fn set(mut queue: QueueLook, settings: &BTreeMap<String, String>) -> QueueLook {
    for (name, value) in settings {
        let number = || value.parse().unwrap_or_default();
        match name.as_str() {
            "MessageRetentionPeriod" => queue.retention = Duration::from_secs(number()),
            "MaximumMessageSize" => queue.message_bytes_max = number(),
            "ReceiveMessageWaitTimeSeconds" => queue.wait = Duration::from_secs(number()),
            "Policy" => queue.policy = Some(value.clone()).filter(|policy| !policy.is_empty()),
            "RedrivePolicy" => {
                queue.redrive =
                    (!value.is_empty()).then(|| Redrive { to: DEAD.to_owned(), receives_max: 1_000 });
            }
            other => panic!("{other} is set, too"),
        }
    }
    queue
}

/// What is there when a plan was carried out.
fn done(plan: &Plan, mut found: Found) -> Found {
    for action in plan.steps.iter().filter_map(|step| step.action.clone()) {
        match action {
            Action::MakeQueue { name, settings } if name.ends_with("-dead") => {
                (found.dead, found.dead_is_made) = (Some(set(look(DEAD), &settings)), true);
            }
            Action::MakeQueue { settings, .. } => {
                found.queue = Some(set(look(QUEUE), &settings));
                found.tags.insert(MADE.to_owned(), "connect".to_owned());
            }
            Action::SetQueue { settings, tags, untag, .. } => {
                found.queue = found.queue.map(|queue| set(queue, &settings));
                found.tags.extend(tags);
                found.tags.retain(|tag, _| !untag.contains(tag));
            }
            Action::Tell { id, entry } => {
                assert!(entry.contains(&format!("<Id>{id}</Id>")));
                let events = entry.split("<Event>").skip(1).map(|rest| rest.split('<').next().unwrap());
                let prefix = entry.split("<Value>").nth(1).map(|rest| rest.split('<').next().unwrap());
                let filters =
                    prefix.map(|value| Filter { name: "prefix".to_owned(), value: value.to_owned() });
                found.rules.rules.push(Rule {
                    id,
                    destination: Destination::Queue(QUEUE.to_owned()),
                    events: events.map(str::to_owned).collect(),
                    filters: filters.into_iter().collect(),
                });
            }
            Action::Hush { id } => found.rules.rules.retain(|rule| rule.id != id),
            Action::DeleteQueue { name } if name.ends_with("-dead") => {
                (found.dead, found.dead_is_made) = (None, false)
            }
            Action::DeleteQueue { .. } => (found.queue, found.tags) = (None, BTreeMap::new()),
        }
    }
    found
}

/// The two are the same but for the writing of policies.
fn assert_same(one: &Found, other: &Found) {
    let policy = |found: &Found| {
        found.queue.as_ref().and_then(|queue| serde_json::from_str::<Value>(queue.policy.as_deref()?).ok())
    };
    assert_eq!(policy(one), policy(other));
    let bare = |found: &Found| found.queue.clone().map(|queue| QueueLook { policy: None, ..queue });
    assert_eq!((bare(one), &one.dead, &one.tags), (bare(other), &other.dead, &other.tags));
    assert_eq!(one.rules, other.rules);
}

#[test]
fn connecting_twice_changes_nothing_and_disconnecting_undoes_it() {
    let theirs = json!({ "Version": "2008-10-17", "Statement": {
        "Sid": "x", "Effect": "Allow", "Principal": { "AWS": "123456789012" }, "Action": "sqs:*", "Resource": QUEUE,
    } });
    let as_list = json!({ "Version": "2008-10-17", "Statement": [theirs["Statement"]] });
    let other = Rule {
        id: "theirs".to_owned(),
        destination: Destination::Function("arn:f".to_owned()),
        events: vec!["s3:ObjectCreated:*".to_owned()],
        filters: vec![Filter { name: "prefix".to_owned(), value: "b/".to_owned() }],
    };
    let shared = Found {
        queue: Some(QueueLook { policy: Some(as_list.to_string()), ..look(QUEUE) }),
        rules: Rules { rules: vec![other], event_bridge: true },
        ..nothing()
    };
    for before in [nothing(), Found { queue: Some(look(QUEUE)), ..nothing() }, shared] {
        let first = connect(&target("a/"), &before);
        assert!(first.refusals.is_empty() && !first.is_done(), "{first:#?}");
        let between = done(&first, before.clone());
        let second = connect(&target("a/"), &between);
        assert!(second.refusals.is_empty() && second.is_done(), "{second:#?}");
        let queue = between.queue.as_ref().unwrap();
        assert_eq!(queue.retention, Duration::from_secs(1_209_600));
        assert!(queue.message_bytes_max >= 65_536 && queue.wait == Duration::from_secs(20));

        let back = disconnect(&target("a/"), &between);
        assert_same(&done(&back, between), &before);
        let again = disconnect(&target("a/"), &before);
        assert!(again.is_done(), "nothing to undo");
        let first = again.steps[0].to_string();
        assert_eq!(first, "= notifications of bucket genomics below \"a/\": there is no rule of ours");
    }
}

#[test]
fn what_others_of_ours_need_stays() {
    let one = done(&connect(&target("a/"), &nothing()), nothing());
    let two = done(&connect(&target("b/"), &one), one.clone());
    assert_eq!(two.rules.rules.len(), 2);
    assert_same(&done(&disconnect(&target("b/"), &two), two.clone()), &one);

    let other =
        Target { bucket: "archive".to_owned(), bucket_arn: "arn:aws:s3:::archive".to_owned(), ..target("") };
    let elsewhere = Found { rules: Rules::default(), ..one.clone() };
    let both = done(&connect(&other, &elsewhere), elsewhere);
    let left = done(&disconnect(&other, &both), both);
    assert_same(&left, &Found { rules: Rules::default(), ..one });
}

#[test]
fn an_overlap_is_refused_and_the_ways_round_are_named() {
    let other = |destination, filters: &[(&str, &str)]| Rule {
        id: "theirs".to_owned(),
        destination,
        events: vec!["s3:ObjectCreated:Put".to_owned()],
        filters: filters
            .iter()
            .map(|(name, value)| Filter { name: (*name).to_owned(), value: (*value).to_owned() })
            .collect(),
    };
    for (rule, words) in [
        (
            other(Destination::Queue("arn:q".to_owned()), &[("suffix", ".bam")]),
            ["suffix \".bam\"", "queue arn:q", "SNS topic"],
        ),
        (
            other(Destination::Topic("arn:t".to_owned()), &[("prefix", "a/b")]),
            ["prefix \"a/b\"", "topic arn:t", "subscribe our queue"],
        ),
        (
            other(Destination::Queue(QUEUE.to_owned()), &[("suffix", ".x")]),
            ["suffix", "our queue", "take it away"],
        ),
    ] {
        let found = Found { rules: Rules { rules: vec![rule], event_bridge: false }, ..nothing() };
        let plan = connect(&target("a/"), &found);
        let [refusal] = plan.refusals.as_slice() else { panic!("{plan:?}") };
        for word in words
            .into_iter()
            .chain(["\"theirs\"", "EventBridge"].into_iter().take(usize::from(!words[1].contains("our")) + 1))
        {
            assert!(refusal.contains(word), "no {word:?} in {refusal}");
        }
    }
    let lifecycle = Rule {
        events: vec!["s3:LifecycleTransition".to_owned()],
        ..other(Destination::Topic("arn:t".to_owned()), &[])
    };
    let found = Found { rules: Rules { rules: vec![lifecycle], event_bridge: false }, ..nothing() };
    let plan = connect(&target("a/"), &found);
    assert!(
        plan.refusals.is_empty() && !plan.steps.iter().any(|step| step.to_string().contains("Transition")),
        "{plan:?}"
    );
}

#[test]
fn what_comes_already_is_left_alone() {
    let found = Found { is_delivered: true, ..nothing() };
    let steps = connect(&target("a/"), &found).steps;
    let last = steps.last().unwrap().to_string();
    assert_eq!(last, "= notifications of bucket genomics below \"a/\" stay as they are");
}

#[test]
fn what_is_missing_is_all_that_is_added() {
    let all = done(&connect(&target("a/"), &nothing()), nothing());
    let events = all.rules.rules[0].events.clone();
    assert_eq!(events, SUBSCRIBED);
    for missing in [&events[1..2], &events[3..], &events[1..]] {
        let mut some = all.clone();
        some.rules.rules[0].events.retain(|event| !missing.contains(event));
        let plan = connect(&target("a/"), &some);
        let both = done(&plan, some.clone());
        assert_eq!(both.rules.rules.len(), 2, "{plan:?}");
        assert_eq!(both.rules.rules[1].events, missing);
        assert!(connect(&target("a/"), &both).is_done());
        assert_same(&done(&disconnect(&target("a/"), &both), both), &nothing());
    }
}

#[test]
fn whoever_else_sends_to_a_queue_is_told() {
    let ours = done(&connect(&target("a/"), &nothing()), nothing());
    let guests = |found: &Found| {
        let steps = connect(&target("a/"), found).steps;
        let of_queue = steps.iter().find(|step| step.what == format!("queue {QUEUE}")).unwrap();
        of_queue.lines.iter().find(|line| line.contains("others come in here")).cloned()
    };
    assert_eq!(guests(&ours), None);
    let mut shared = ours.clone();
    let other = Filter { name: "prefix".to_owned(), value: "b/".to_owned() };
    shared.rules.rules.push(Rule {
        id: "theirs".to_owned(),
        filters: vec![other],
        ..ours.rules.rules[0].clone()
    });
    let queue = shared.queue.as_mut().unwrap();
    let mut policy: Value = serde_json::from_str(queue.policy.as_ref().unwrap()).unwrap();
    policy["Statement"].as_array_mut().unwrap().push(json!({
        "Sid": "alarms", "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
        "Resource": QUEUE,
    }));
    queue.policy = Some(policy.to_string());
    let told = guests(&shared).unwrap();
    for words in ["rule \"theirs\" (prefix \"b/\")", "lets sns.amazonaws.com send (statement \"alarms\")"] {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
    // What others use is not deleted, though it was made here.
    shared.rules.rules.pop();
    let back = disconnect(&target("a/"), &shared);
    let left = done(&back, shared).queue.unwrap().policy.unwrap();
    assert!(left.contains("alarms") && !left.contains("Stocktake"), "{left}");
    assert!(back.steps.iter().any(|step| step.to_string().contains("it is left to them")), "{back:?}");
}

#[test]
fn a_plan_is_shown_with_what_changes() {
    let found = Found { queue: Some(look(QUEUE)), dead: Some(look(DEAD)), ..nothing() };
    let plan: Vec<String> = connect(&target("a/"), &found).steps.iter().map(ToString::to_string).collect();
    assert_eq!(plan[0], format!("= dead-letter queue {DEAD} stays as it is"));
    for line in [
        "  ~ MessageRetentionPeriod: 345600 -> 1209600",
        "  ~ Policy: + statement \"Stocktakegenomics\"",
        "  ~ RedrivePolicy: none -> ",
    ] {
        assert!(plan[1].contains(line), "no {line:?} in {}", plan[1]);
    }
    assert!(
        plan[2].starts_with(
            "~ notifications of bucket genomics below \"a/\" will be changed\n  + rule \"stocktake-a\""
        ),
        "{}",
        plan[2]
    );
    let full = Found {
        queue: Some(QueueLook { waiting: 7, ..look(QUEUE) }),
        tags: BTreeMap::from([(MADE.to_owned(), "connect".to_owned())]),
        ..nothing()
    };
    let back = disconnect(&target("a/"), &full).steps;
    assert!(
        back.last().unwrap().to_string().ends_with("will be deleted\n  - 7 messages lost with it"),
        "{back:?}"
    );
}
