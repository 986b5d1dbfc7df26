//! Ways from a bucket to the queue on which events get lost.

use serde_json::json;

use super::*;
use crate::bucket::rules::{Rules, TRANSITION};
use crate::setup::doctor::world::{TOPIC, rule};
use crate::setup::estate::{BridgeRule, MOVES, Subscription, Target};

#[tokio::test]
async fn events_that_get_lost_in_the_bucket_are_named() {
    let queue = || Destination::Queue(QUEUE.to_owned());
    let other = || Destination::Queue("arn:aws:sqs:eu-central-1:123456789012:other".to_owned());
    broken(
        Failure,
        "notifications",
        &["told to none", "LifecycleExpiration:Delete", "stocktake connect"],
        |world| {
            world.rules.rules = vec![rule(&ALL[..2], &[], queue())];
        },
    )
    .await;
    broken(Failure, "notifications", &["suffix \".bam\"", "suffix filter away"], |world| {
        world.rules.rules = vec![rule(&ALL, &[("Suffix", ".bam")], queue())];
    })
    .await;
    broken(Failure, "notifications", &["only some are told", "\"a/x\"", "\"a/y\""], |world| {
        world.rules.rules =
            vec![rule(&ALL, &[("prefix", "a/x")], queue()), rule(&ALL, &[("prefix", "a/y")], queue())];
    })
    .await;
    broken(
        Failure,
        "notifications",
        &["told to others", "\"theirs\"", "other", "SNS topic", "EventBridge"],
        |world| {
            world.rules.rules = vec![rule(&ALL, &[], other())];
        },
    )
    .await;
    broken(
        Failure,
        "notifications",
        &["ObjectRemoved:Delete", "told to others", "\"theirs\" (prefix \"a/b/\")"],
        |world| {
            world.rules.rules =
                vec![rule(&[ALL[0], ALL[2]], &[], queue()), rule(&[ALL[1]], &[("prefix", "a/b/")], other())];
        },
    )
    .await;
    broken(Failure, "notifications", &["told to none"], |world| world.rules.rules.clear()).await;
}

#[tokio::test]
async fn objects_that_move_to_another_storage_class_are_heard_of() {
    let moving = |world: &mut World| {
        let does = vec![MOVES];
        world.lifecycle = vec![Lifecycle { id: "cold".to_owned(), prefix: String::new(), does }];
    };
    let said = |findings: &[Finding]| {
        let finding = findings.iter().find(|finding| finding.check == "storage classes").unwrap();
        (finding.verdict, format!("{}; {}", finding.found, finding.remedy))
    };
    let (verdict, words) = said(&found(moving).await);
    assert!(
        verdict == Warning && words.contains("\"cold\"") && words.contains("stocktake connect"),
        "{words}"
    );
    let (verdict, words) = said(&found(|_| ()).await);
    assert!(verdict == Verdict::Ok && words.contains("does not come"), "{words}");
    let (verdict, words) = said(
        &found(|world| {
            moving(world);
            world.rules.rules[0].events.push(TRANSITION.to_owned());
        })
        .await,
    );
    assert!(verdict == Verdict::Ok && words.contains("comes"), "{words}");
    let (verdict, words) = said(
        &found(|world| {
            moving(world);
            let function = Destination::Function("arn:f".to_owned());
            world.rules.rules.push(rule(&[TRANSITION], &[], function));
        })
        .await,
    );
    assert!(verdict == Warning && words.contains("function arn:f has it: two rules may not"), "{words}");
}

#[tokio::test]
async fn hops_are_followed_to_the_queue() {
    let by_topic = |world: &mut World| {
        world.rules.rules = vec![rule(&ALL, &[], Destination::Topic(TOPIC.to_owned()))];
        world.queue.policy = Some(lets("sns.amazonaws.com", &json!("sqs:SendMessage"), QUEUE, TOPIC));
        let subscription = Subscription {
            protocol: "sqs".to_owned(),
            endpoint: QUEUE.to_owned(),
            is_confirmed: true,
            filter: None,
        };
        let policy = Some(lets("s3.amazonaws.com", &json!("sns:Publish"), TOPIC, "arn:aws:s3:::genomics"));
        world
            .topics
            .insert(TOPIC.to_owned(), Topic { policy, kms_key: None, subscriptions: vec![subscription] });
    };
    let findings = found(by_topic).await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
    broken(Failure, "topic policy", &["S3 publish"], |world| {
        by_topic(world);
        world.topics.get_mut(TOPIC).unwrap().policy = None;
    })
    .await;
    broken(Failure, "queue policy", &["sns.amazonaws.com", TOPIC], |world| {
        let policy = world.queue.policy.clone();
        by_topic(world);
        world.queue.policy = policy;
    })
    .await;
    let findings = found(|world| {
        by_topic(world);
        world.topics.get_mut(TOPIC).unwrap().subscriptions[0].filter = Some("{\"x\":[1]}".to_owned());
    })
    .await;
    assert!(findings.iter().any(|finding| finding.check == "topic" && finding.verdict == Failure));
    let findings = found(|world| {
        by_topic(world);
        world.refused.insert("sns:GetTopicAttributes", Kind::Absent);
    })
    .await;
    let finding = findings.iter().find(|finding| finding.check == "topic").unwrap();
    assert!(finding.verdict == Failure && finding.found.contains("does not exist"), "{finding:?}");
    let findings = found(|world| {
        by_topic(world);
        world.refused.insert("sns:GetTopicAttributes", Kind::Denied);
    })
    .await;
    let finding = findings.iter().find(|finding| finding.check == "notifications").unwrap();
    assert_eq!(finding.verdict, Unknown, "it may well lead to us: {finding:?}");
}

#[tokio::test]
async fn event_bridge_is_followed_too() {
    let bridge = |pattern: serde_json::Value| {
        move |world: &mut World| {
            world.rules = Rules { rules: Vec::new(), event_bridge: true };
            let rule = "arn:aws:events:eu-central-1:123456789012:rule/r";
            world.queue.policy = Some(lets("events.amazonaws.com", &json!("sqs:SendMessage"), QUEUE, rule));
            world.bridge = vec![BridgeRule {
                arn: rule.to_owned(),
                name: "r".to_owned(),
                pattern: pattern.to_string(),
                is_enabled: true,
                targets: vec![Target { arn: QUEUE.to_owned(), is_transformed: false }],
            }];
        }
    };
    for pattern in [
        json!({ "source": ["aws.s3"] }),
        json!({ "source": ["aws.s3"], "detail-type": ["Object Created", "Object Deleted"], "detail": { "bucket": { "name": ["genomics"] } } }),
        json!({ "source": ["aws.s3"], "detail": { "object": { "key": [{ "prefix": "a/" }] } } }),
    ] {
        let findings = found(bridge(pattern.clone())).await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{pattern}: {findings:#?}");
    }
    for (pattern, words) in [
        (
            json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] }),
            ["ObjectRemoved:Delete", "rule \"r\" lets no \"Object Deleted\" through"],
        ),
        (
            json!({ "source": ["aws.s3"], "detail": { "bucket": { "name": ["other"] } } }),
            ["ObjectCreated:Put", "no rule of its default bus brings them"],
        ),
        (
            json!({ "source": ["aws.s3"], "detail": { "object": { "key": [{ "prefix": "a/b" }] } } }),
            ["ObjectCreated:Put", "only keys that are like [{\"prefix\":\"a/b\"}]"],
        ),
    ] {
        let words = [words[0], words[1], "told to none"];
        broken(Failure, "notifications", &words, bridge(pattern)).await;
    }
    broken(
        Failure,
        "notifications",
        &["the bucket does not tell EventBridge", "turn EventBridge on"],
        |world| {
            bridge(json!({ "source": ["aws.s3"] }))(world);
            world.rules.event_bridge = false;
        },
    )
    .await;
    // Two rules do together what neither does alone.
    let findings = found(|world| {
        bridge(json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] }))(world);
        let deleted = json!({ "source": ["aws.s3"], "detail-type": ["Object Deleted"] }).to_string();
        world.bridge.push(BridgeRule { pattern: deleted, ..world.bridge[0].clone() });
    })
    .await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
    let open = bridge(json!({ "source": ["aws.s3"] }));
    for (change, words) in [
        ((|rule| rule.is_enabled = false) as fn(&mut BridgeRule), "disabled"),
        (|rule| rule.targets[0].is_transformed = true, "changes events"),
    ] {
        let findings = found(|world| {
            open(world);
            change(&mut world.bridge[0]);
        })
        .await;
        let is_named = |finding: &&Finding| finding.check == "EventBridge" && finding.found.contains(words);
        assert_eq!(findings.iter().find(is_named).map(|finding| finding.verdict), Some(Failure), "{words}");
    }
}
