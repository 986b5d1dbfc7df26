//! Set-ups that are broken in one way, and whether that is what is said.

use serde_json::json;

use super::world::{ALL, DEAD, KEY, NOW, QUEUE, World, lets};
use super::*;
use crate::bucket::Versioning;
use crate::fault::Kind;
use crate::setup::estate::{Lifecycle, Redrive, Sample, TakenOn, Takes};
use crate::setup::finding::Verdict::{self, Failure, Unknown, Warning};

mod delivery;

async fn found(change: impl FnOnce(&mut World)) -> Vec<Finding> {
    let mut world = World::well();
    change(&mut world);
    let findings = examined(&world, &world.wish, Depth::Full, || NOW).await;
    for finding in &findings {
        let is_silent = finding.remedy.is_empty();
        assert_eq!(is_silent, finding.verdict == Verdict::Ok, "a remedy where one is needed: {finding:?}");
    }
    findings
}

/// Sees that what a change breaks, and nothing else, is found, with all of these words.
async fn broken(verdict: Verdict, check: &str, words: &[&str], change: impl FnOnce(&mut World)) {
    let findings = found(change).await;
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
    let findings = found(|_| ()).await;
    let ill: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(ill.is_empty(), "{ill:#?}");
    assert!(findings.len() > 20, "{}", findings.len());
}

#[tokio::test]
async fn one_missing_permission_hides_nothing_else() {
    let all = found(|_| ()).await;
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
        ("sqs:ChangeMessageVisibility", "giving back", Failure),
    ] {
        let findings = found(|world| _ = world.refused.insert(permission, Kind::Denied)).await;
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
        // The queue is where the bucket is meant to be.
        world.region = "eu-west-1".to_owned();
    })
    .await;
    broken(Failure, "queue's region", &["eu-west-1", "make a queue in eu-central-1"], |world| {
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
    broken(Failure, "details", &["allow s3:GetObjectVersion"], |world| {
        world.wish.enrich.head = true;
        world.refused.insert("s3:GetObjectVersion", Kind::Denied);
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
    for (is_replica, words) in [(true, "looked at is a replica"), (false, "no setting of this bucket tells")]
    {
        let findings = found(|world| {
            world.wish.enrich.head = true;
            world.is_replica = is_replica;
        })
        .await;
        let replication = findings.iter().find(|finding| finding.check == "replication").unwrap();
        assert!(replication.verdict == Verdict::Ok && replication.found.contains(words), "{replication:?}");
    }
    let findings =
        found(|world| (world.owner, world.requester_pays) = ("210987654321".to_owned(), true)).await;
    let of = |check| findings.iter().find(|finding| finding.check == check).unwrap();
    assert_eq!((of("owner").verdict, of("requester pays").verdict), (Warning, Failure));
    let findings = found(|world| {
        world.versions.state = Versioning::Suspended;
        world.versions.mfa_delete = true;
        world.object_lock = true;
    })
    .await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "worth a word, and not wrong");
}

#[tokio::test]
async fn a_prefix_that_only_looks_right_is_told_of() {
    let keys = async |neighbours: &[&str]| {
        let neighbours = neighbours.iter().map(|name| (*name).to_owned()).collect();
        let findings = found(|world| world.neighbours = Some(neighbours)).await;
        findings.into_iter().find(|finding| finding.check == "keys").unwrap()
    };
    assert_eq!(keys(&[]).await.verdict, Verdict::Ok, "a bucket may be new");
    let finding = keys(&["A/", "cafe\u{301}/"]).await;
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.found.contains("\"A/\", \"cafe\\u{301}/\""), "{finding:?}");
    assert!(found(|_| ()).await.iter().all(|finding| finding.check != "keys"));
}

#[tokio::test]
async fn what_everything_else_would_meet_is_told_once() {
    for (permission, kind, subject, check) in [
        ("sts:GetCallerIdentity", Kind::Credentials, "bucket genomics/a/", "credentials"),
        ("s3:GetBucketLocation", Kind::Absent, "bucket genomics/a/", "bucket"),
        ("s3:GetBucketLocation", Kind::Unreachable, "bucket genomics/a/", "bucket"),
        ("sqs:GetQueueAttributes", Kind::Absent, "queue https", "queue"),
        ("sqs:GetQueueAttributes", Kind::Unreachable, "queue https", "queue"),
    ] {
        let findings = found(|world| _ = world.refused.insert(permission, kind)).await;
        let ill: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
        let failures: Vec<_> = ill.iter().filter(|finding| finding.verdict == Failure).collect();
        let [failure] = failures.as_slice() else { panic!("{permission} {kind:?}: {ill:#?}") };
        assert!(failure.check == check && failure.subject.starts_with(subject), "{failure:?}");
        let rest = ill.iter().filter(|finding| finding.verdict == Unknown);
        assert!(rest.into_iter().all(|finding| finding.check == "everything else"), "{ill:#?}");
        let is_about_both = findings.iter().any(|finding| finding.subject.starts_with("bucket"))
            && findings.iter().any(|finding| finding.subject.starts_with("queue"));
        assert!(is_about_both, "{findings:#?}");
    }
    // Who lists neither objects nor versions, and is told the same both times, is told it once.
    let findings = found(|world| {
        world.refused.insert("s3:GetBucketVersioning", Kind::WrongRegion);
        world.refused.insert("s3:ListBucketVersions", Kind::WrongRegion);
    })
    .await;
    let failures = findings.iter().filter(|finding| finding.verdict == Failure);
    assert_eq!(failures.map(|failure| failure.check).collect::<Vec<_>>(), ["bucket"]);
}

#[tokio::test]
async fn credentials_are_looked_at_closely() {
    let of = async |change: &dyn Fn(&mut World)| {
        let findings = found(change).await;
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

    let chained = |by: &'static str| {
        move |world: &mut World| {
            let lasts = std::time::Duration::from_secs(12 * 3_600);
            world.taken_on = Some(TakenOn { role: "arn:role".to_owned(), by: by.to_owned(), lasts });
        }
    };
    broken(Failure, "role chaining", &["for 12h", session, "session_duration to \"1h\""], chained(session))
        .await;
    assert!(
        self::found(chained("arn:aws:iam::123456789012:user/daemon"))
            .await
            .iter()
            .all(|one| one.verdict == Verdict::Ok)
    );
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
    broken(Warning, "retention", &["4 days", "1209600"], |world| {
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
    broken(Warning, "dead-letter retention", &["4 days"], |world| {
        world.dead.as_mut().unwrap().retention = std::time::Duration::from_secs(4 * 86_400);
    })
    .await;
    broken(Warning, "dead-letter queue", &["3 messages", DEAD], |world| {
        world.dead.as_mut().unwrap().waiting = 3
    })
    .await;
    broken(Failure, "dead-letter queue", &["does not exist"], |world| world.dead = None).await;
    let back = found(|world| {
        world.dead.as_mut().unwrap().redrive = Some(Redrive { to: QUEUE.to_owned(), receives_max: 1_000 });
    })
    .await;
    let round = back.iter().find(|finding| finding.found.contains("come back to it")).unwrap();
    assert_eq!((round.verdict, round.check), (Failure, "redrive policy"));
    for (takes, words) in [(Takes::None, "takes none"), (Takes::Of(vec![DEAD.to_owned()]), "only those of")] {
        broken(Failure, "redrive allow policy", &[words, QUEUE], |world| {
            world.dead.as_mut().unwrap().takes = takes;
        })
        .await;
    }
    let of_ours = |world: &mut World| world.dead.as_mut().unwrap().takes = Takes::Of(vec![QUEUE.to_owned()]);
    assert!(found(of_ours).await.iter().all(|finding| finding.verdict == Verdict::Ok));
    broken(Warning, "dead-letter queue", &["none:", "stocktake connect"], |world| world.queue.redrive = None)
        .await;
    broken(Warning, "messages", &["not JSON"], |world| {
        world.sample = Some(Sample { body: "hello".to_owned(), sent_at: None });
    })
    .await;
    broken(Warning, "age", &["2h"], |world| {
        let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-01T00:00:00Z","Bucket":"genomics"}"#;
        world.sample = Some(Sample { body: body.to_owned(), sent_at: Some(NOW - time::Duration::hours(2)) });
    })
    .await;
    let findings = found(|world| world.queue.redrive.as_mut().unwrap().receives_max = 3).await;
    let of = |check| findings.iter().find(|finding| finding.check == check).unwrap().verdict;
    assert_eq!((of("redrive policy"), of("receiving")), (Warning, Unknown), "and no receive was spent");
}

#[tokio::test]
async fn a_key_that_keeps_s3_out_is_named() {
    let keyed = |world: &mut World| world.queue.kms_key = Some(KEY.to_owned());
    assert!(found(keyed).await.iter().all(|finding| finding.verdict == Verdict::Ok));
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
