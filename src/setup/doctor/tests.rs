//! Set-ups that are broken in one way, and whether that is what is said.

use serde_json::json;

use super::world::{ALL, DEAD, KEY, NOW, QUEUE, TOPIC, World, lets, rule};
use super::*;
use crate::bucket::Versioning;
use crate::bucket::rules::Rules;
use crate::fault::Kind;
use crate::setup::estate::{BridgeRule, Lifecycle, Sample, Subscription, Target};
use crate::setup::finding::Verdict::{self, Failure, Unknown, Warning};

async fn examined(change: impl FnOnce(&mut World)) -> Vec<Finding> {
    let mut world = World::well();
    change(&mut world);
    let findings = examine(&world, &world.wish, Depth::Full, || NOW).await;
    for finding in &findings {
        let is_silent = finding.remedy.is_empty();
        assert_eq!(is_silent, finding.verdict == Verdict::Ok, "a remedy where one is needed: {finding:?}");
    }
    findings
}

/// Sees that what a change breaks, and nothing else, is found, with all of these words.
async fn broken(verdict: Verdict, check: &str, words: &[&str], change: impl FnOnce(&mut World)) {
    let findings = examined(change).await;
    let ill: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    let [finding] = ill.as_slice() else { panic!("not one thing is wrong for {check:?}: {ill:#?}") };
    assert_eq!((finding.verdict, finding.check), (verdict, check), "{finding:?}");
    let text = format!("{}; {}", finding.found, finding.remedy);
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[tokio::test]
async fn nothing_is_wrong_with_what_is_as_it_must_be() {
    let findings = examined(|_| ()).await;
    let ill: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(ill.is_empty(), "{ill:#?}");
    assert!(findings.len() > 20, "{}", findings.len());
}

#[tokio::test]
async fn one_missing_permission_hides_nothing_else() {
    let all = examined(|_| ()).await;
    for (permission, check, verdict) in [
        ("sts:GetCallerIdentity", "credentials", Unknown),
        ("s3:GetBucketLocation", "bucket", Unknown),
        ("s3:GetBucketVersioning", "versioning", Failure),
        ("s3:ListBucketVersions", "listing", Failure),
        ("s3:ListBucketVersions of one key", "listing of one key", Failure),
        ("s3:GetBucketNotification", "notifications", Unknown),
        ("s3:GetEncryptionConfiguration", "encryption", Unknown),
        ("s3:GetLifecycleConfiguration", "lifecycle rules", Unknown),
        ("s3:GetReplicationConfiguration", "replication", Unknown),
        ("s3:GetBucketObjectLockConfiguration", "object lock", Unknown),
        ("s3:GetBucketRequestPayment", "requester pays", Unknown),
        ("sqs:GetQueueAttributes", "queue", Unknown),
        ("sqs:ReceiveMessage", "receiving", Failure),
        ("sqs:DeleteMessage", "acknowledging", Failure),
    ] {
        let findings = examined(|world| _ = world.refused.insert(permission, Kind::Denied)).await;
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        assert_eq!(finding.verdict, verdict, "{permission}");
        assert!(finding.remedy.contains(permission), "{finding:?}");
        // What rests upon what was refused cannot be told; of all else something is said.
        let lost = all.iter().filter(|known| findings.iter().all(|finding| finding.check != known.check));
        let lost: Vec<_> = lost.map(|known| known.check).collect();
        assert!(
            lost.len() <= 9 && (permission.starts_with("sqs:Get") || lost.len() <= 1),
            "{permission}: {lost:?}"
        );
    }
}

#[tokio::test]
async fn a_bucket_that_is_wrong_is_named() {
    broken(Failure, "bucket", &["eu-west-1", "eu-central-1"], |world| {
        world.region = "eu-west-1".to_owned();
        world.queue.arn = QUEUE.replace("eu-central-1", "eu-west-1");
        world.queue.policy = Some(world.queue.policy.as_ref().unwrap().replace("eu-central-1", "eu-west-1"));
    })
    .await;
    broken(Failure, "clock", &["1200 seconds behind", "set this machine's clock"], |world| {
        world.versions.at = NOW + time::Duration::minutes(20);
    })
    .await;
    broken(Warning, "clock", &["60 seconds ahead"], |world| {
        world.versions.at = NOW - time::Duration::minutes(1)
    })
    .await;
    broken(Failure, "bucket", &["AccessDenied"], |world| {
        world.refused.insert("s3:GetBucketLocation", Kind::Absent);
    })
    .await;
    broken(
        Warning,
        "lifecycle rules",
        &["\"old\" below \"a/b/\" expires objects", "LifecycleExpiration"],
        |world| {
            let rule = |id: &str, prefix: &str| Lifecycle {
                id: id.to_owned(),
                prefix: prefix.to_owned(),
                does: vec!["expires objects"],
            };
            world.lifecycle = vec![rule("old", "a/b/"), rule("elsewhere", "c/")];
        },
    )
    .await;
    let findings =
        examined(|world| (world.owner, world.requester_pays) = ("210987654321".to_owned(), true)).await;
    let of = |check| findings.iter().find(|finding| finding.check == check).unwrap();
    assert_eq!((of("owner").verdict, of("requester pays").verdict), (Warning, Failure));
    let findings = examined(|world| {
        world.versions.state = Versioning::Suspended;
        world.versions.mfa_delete = true;
        world.object_lock = true;
    })
    .await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "worth a word, and not wrong");
}

#[tokio::test]
async fn credentials_are_looked_at_closely() {
    let of = async |change: &dyn Fn(&mut World)| {
        let findings = examined(change).await;
        let finding = findings.into_iter().find(|finding| finding.check == "credentials").unwrap();
        (finding.verdict, finding.found)
    };
    let session = "arn:aws:sts::123456789012:assumed-role/reader/stocktake";
    for (role, arn, seconds, verdict, words) in [
        (None, "arn:aws:iam::123456789012:user/daemon", None, Verdict::Ok, "as long as the keys are valid"),
        (None, session, Some(3_600), Verdict::Ok, "for 1h more"),
        (None, session, Some(30), Warning, "for 30s more"),
        (
            Some("arn:aws:iam::123456789012:role/path/reader"),
            session,
            Some(3_600),
            Verdict::Ok,
            "for 1h more",
        ),
        (Some("arn:aws:iam::123456789012:role/other"), session, Some(3_600), Warning, "and not in"),
    ] {
        let (found, text) = of(&|world| {
            world.identity.arn = arn.to_owned();
            world.identity.expires = seconds.map(|seconds| NOW + time::Duration::seconds(seconds));
            world.wish.role = role.map(str::to_owned);
        })
        .await;
        assert!(found == verdict && text.contains(words), "{role:?} {arn}: {found} {text}");
    }
    let (found, _) = of(&|world| _ = world.refused.insert("sts:GetCallerIdentity", Kind::Credentials)).await;
    assert_eq!(found, Failure, "none can be had");
}

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
    let findings = examined(by_topic).await;
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
    let findings = examined(|world| {
        by_topic(world);
        world.topics.get_mut(TOPIC).unwrap().subscriptions[0].filter = Some("{\"x\":[1]}".to_owned());
    })
    .await;
    assert!(findings.iter().any(|finding| finding.check == "topic" && finding.verdict == Failure));
    let findings = examined(|world| {
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
        let findings = examined(bridge(pattern.clone())).await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{pattern}: {findings:#?}");
    }
    for pattern in [
        json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] }),
        json!({ "source": ["aws.s3"], "detail": { "bucket": { "name": ["other"] } } }),
    ] {
        broken(Failure, "notifications", &["told to none"], bridge(pattern)).await;
    }
    let open = bridge(json!({ "source": ["aws.s3"] }));
    for (change, words) in [
        ((|rule| rule.is_enabled = false) as fn(&mut BridgeRule), "disabled"),
        (|rule| rule.targets[0].is_transformed = true, "changes events"),
    ] {
        let findings = examined(|world| {
            open(world);
            change(&mut world.bridge[0]);
        })
        .await;
        let is_named = |finding: &&Finding| finding.check == "EventBridge" && finding.found.contains(words);
        assert_eq!(findings.iter().find(is_named).map(|finding| finding.verdict), Some(Failure), "{words}");
    }
}

#[tokio::test]
async fn a_queue_that_is_wrong_is_named() {
    broken(Failure, "queue", &["FIFO"], |world| world.queue.is_fifo = true).await;
    broken(Failure, "maximum message size", &["1024", "65536"], |world| {
        world.queue.message_bytes_max = 1_024
    })
    .await;
    broken(Failure, "queue policy", &["none"], |world| world.queue.policy = None).await;
    broken(Failure, "queue policy", &["on behalf of arn:aws:s3:::genomics"], |world| {
        world.queue.policy =
            Some(lets("s3.amazonaws.com", &json!("sqs:SendMessage"), QUEUE, "arn:aws:s3:::other"));
    })
    .await;
    broken(Warning, "queue policy is tight", &["anybody"], |world| {
        world.queue.policy = Some(lets("s3.amazonaws.com", &json!("sqs:SendMessage"), QUEUE, "*"));
    })
    .await;
    broken(Warning, "retention", &["4days", "1209600"], |world| {
        world.queue.retention = std::time::Duration::from_secs(4 * 86_400);
    })
    .await;
    broken(Failure, "retention", &["1h"], |world| {
        world.queue.retention = std::time::Duration::from_secs(3_600)
    })
    .await;
    broken(Warning, "delivery delay", &["1m"], |world| {
        world.queue.delay = std::time::Duration::from_secs(60)
    })
    .await;
    broken(Warning, "depth", &["100000"], |world| world.queue.in_hand = 100_000).await;
    broken(Failure, "depth", &["120000"], |world| world.queue.in_hand = 120_000).await;
    broken(Warning, "dead-letter retention", &["4days"], |world| {
        world.dead.as_mut().unwrap().retention = std::time::Duration::from_secs(4 * 86_400);
    })
    .await;
    broken(Warning, "dead-letter queue", &["3 messages", DEAD], |world| {
        world.dead.as_mut().unwrap().waiting = 3
    })
    .await;
    broken(Failure, "dead-letter queue", &["does not exist"], |world| world.dead = None).await;
    broken(Warning, "messages", &["not JSON"], |world| {
        world.sample = Some(Sample { body: "hello".to_owned(), sent_at: None });
    })
    .await;
    broken(Warning, "age", &["2h"], |world| {
        let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-01T00:00:00Z","Bucket":"genomics"}"#;
        world.sample = Some(Sample { body: body.to_owned(), sent_at: Some(NOW - time::Duration::hours(2)) });
    })
    .await;
    let findings = examined(|world| world.queue.redrive.as_mut().unwrap().receives_max = 3).await;
    let of = |check| findings.iter().find(|finding| finding.check == check).unwrap().verdict;
    assert_eq!((of("redrive policy"), of("receiving")), (Warning, Unknown), "and no receive was spent");
}

#[tokio::test]
async fn a_key_that_keeps_s3_out_is_named() {
    let keyed = |world: &mut World| world.queue.kms_key = Some(KEY.to_owned());
    assert!(examined(keyed).await.iter().all(|finding| finding.verdict == Verdict::Ok));
    broken(Failure, "encryption key", &["AWS's own"], |world| {
        world.queue.kms_key = Some("alias/aws/sqs".to_owned())
    })
    .await;
    broken(Failure, "encryption key", &["disabled"], |world| {
        keyed(world);
        world.key_is_enabled = false;
    })
    .await;
    broken(
        Failure,
        "encryption key",
        &["kms:GenerateDataKey", "stocktake policy --bucket B --account ID --only key"],
        |world| {
            keyed(world);
            world.key_policy = lets("s3.amazonaws.com", &json!("kms:Decrypt"), "*", "*");
        },
    )
    .await;
    for permission in ["kms:DescribeKey", "kms:GetKeyPolicy"] {
        broken(Unknown, "encryption key", &[permission], |world| {
            keyed(world);
            world.refused.insert(permission, Kind::Denied);
        })
        .await;
    }
}
