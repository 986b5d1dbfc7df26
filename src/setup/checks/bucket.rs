//! The bucket itself.

use super::Wish;
use crate::bucket::Versioning;
use crate::fault::{Fault, Kind};
use crate::setup::estate::{BucketLook, Identity, Lifecycle, Looked, Replication, Versions};
use crate::setup::finding::{Finding, Subject};
use crate::words::counted;

/// How far our clock may be from S3's: requests signed further off are refused
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, `RequestTimeTooSkewed`).
const SKEW_MAX: time::Duration = time::Duration::minutes(15);
const SKEW_WARNED: time::Duration = time::Duration::seconds(30);

/// Everything that can be said of the bucket alone.
pub(in crate::setup) fn bucket(
    subject: &Subject,
    wish: &Wish,
    bucket_region: &Looked<String>,
    look: &BucketLook,
    identity: &Looked<Identity>,
    is_ours: Option<&Looked<bool>>,
    now: time::OffsetDateTime,
) -> Vec<Finding> {
    let mut findings = vec![region(subject, wish, bucket_region)];
    findings.push(owner(subject, identity, is_ours));
    findings.extend(versions(subject, wish, &look.versions, now));
    findings.push(allowed(subject, "listing", &look.listing, "versions below the prefix can be listed"));
    findings.push(allowed(subject, "listing of one key", &look.one_key, "single keys can be listed"));
    findings.extend(look.neighbours.as_ref().map(|neighbours| nothing(subject, wish, neighbours)));
    if let Some(details) = &look.details {
        findings.push(allowed(subject, "details", details, "a version was looked at as new ones will be"));
    }
    let is_replica = look.details.as_ref().is_some_and(|details| *details.as_ref().unwrap_or(&false));
    findings.push(encryption(subject, &look.kms_key));
    findings.push(lifecycle(subject, wish, &look.lifecycle));
    findings.push(replication(subject, wish, &look.replication, is_replica));
    findings.push(match &look.object_lock {
        Ok(false) => subject.ok("object lock", "versions are not locked"),
        Ok(true) => subject.ok(
            "object lock",
            "versions may be locked: their deletion is then refused and no event is sent, so nothing is missed",
        ),
        Err(fault) => subject.untold("object lock", fault),
    });
    findings.push(requester_pays(subject, &look.requester_pays, is_ours));
    findings
}

/// Nothing is listed below the prefix.
fn nothing(subject: &Subject, wish: &Wish, neighbours: &Looked<Vec<String>>) -> Finding {
    const CHECK: &str = "keys";
    if wish.prefix.is_empty() {
        return subject.ok(CHECK, "the bucket has no keys");
    }
    let found = format!("no keys begin with {:?}", wish.prefix);
    match neighbours {
        Ok(neighbours) if neighbours.is_empty() => subject.ok(CHECK, found),
        Ok(neighbours) => {
            // Escapes show what differs where it looks the same.
            let named: Vec<String> =
                neighbours.iter().map(|name| format!("\"{}\"", name.escape_default())).collect();
            subject.warning(
                CHECK,
                format!("{found} (\"{}\"), but some begin with {}", wish.prefix.escape_default(), named.join(", ")),
                "if these are meant, correct prefix: S3 compares keys byte by byte, so Unicode normalization, case and each \
                 slash count",
            )
        }
        Err(_) => {
            subject.ok(CHECK, format!("{found}; whether some begin with a similar prefix could not be asked"))
        }
    }
}

fn region(subject: &Subject, wish: &Wish, region: &Looked<String>) -> Finding {
    const CHECK: &str = "bucket";
    match (region, &wish.region) {
        (Ok(region), Some(wanted)) if region != wanted => subject.failure(
            CHECK,
            format!("it is in {region}, and the configuration wants it in {wanted}"),
            "correct region or project_region, or connect a bucket that is there",
        ),
        (Ok(region), _) => subject.ok(CHECK, format!("it exists, in {region}, a general purpose bucket")),
        (Err(fault), _) if matches!(fault.kind, Kind::Denied | Kind::Unsupported) => {
            subject.untold(CHECK, fault)
        }
        (Err(fault), _) => subject.refused(CHECK, fault),
    }
}

fn owner(subject: &Subject, identity: &Looked<Identity>, is_ours: Option<&Looked<bool>>) -> Finding {
    const CHECK: &str = "owner";
    let account = identity.as_ref().map(|identity| identity.account.as_str()).unwrap_or("?");
    match is_ours {
        None => subject.unknown(
            CHECK,
            "who we are is not known, so neither is whether the bucket is ours",
            "allow sts:GetCallerIdentity; see the check of the credentials",
        ),
        Some(Ok(true)) => subject.ok(CHECK, format!("account {account}, which is ours, owns it")),
        Some(Ok(false)) => subject.warning(
            CHECK,
            format!("another account than ours, {account}, owns it, or we may not see that it is ours"),
            "if another owns it, its bucket policy must let us in or a role_arn of theirs be taken on, and the queue's \
             policy must name that account as aws:SourceAccount",
        ),
        Some(Err(fault)) => subject.untold(CHECK, fault),
    }
}

fn versions(
    subject: &Subject,
    wish: &Wish,
    versions: &Looked<Versions>,
    now: time::OffsetDateTime,
) -> Vec<Finding> {
    const CHECK: &str = "versioning";
    let versions = match versions {
        Ok(versions) => versions,
        // Every run begins with this question.
        Err(fault) => return vec![essential(subject, CHECK, fault)],
    };
    let mut findings = vec![match versions.state {
        Versioning::Unversioned => subject.ok(CHECK, "it never kept versions"),
        Versioning::Enabled => subject.ok(CHECK, "it keeps versions"),
        Versioning::Suspended => {
            subject.ok(CHECK, "it once kept versions: writes now replace the null version, without an event for what they replace")
        }
    }];
    if versions.mfa_delete {
        findings.push(subject.ok(
            "mfa delete",
            "deleting versions takes another factor, and lifecycle rules cannot run: fewer events, none missed",
        ));
    }
    let skew = now - versions.at;
    let words = format!(
        "our clock is {} {} S3's",
        counted(skew.whole_seconds().unsigned_abs(), "second"),
        if skew.is_negative() { "behind" } else { "ahead of" }
    );
    let name = &wish.name;
    findings.push(if skew.abs() >= SKEW_MAX {
        subject.failure("clock", words, format!("set this machine's clock: S3 refuses what is signed so far off, for {name:?} and all others"))
    } else if skew.abs() >= SKEW_WARNED {
        subject.warning("clock", words, "let this machine's clock be set by NTP: requests signed 15 minutes off are refused, and event lag is measured wrong")
    } else {
        subject.ok("clock", words)
    });
    findings
}

/// What the daemon does itself.
pub(in crate::setup) fn allowed(
    subject: &Subject,
    check: &'static str,
    look: &Looked<impl Sized>,
    words: &str,
) -> Finding {
    match look {
        Ok(_) => subject.ok(check, words),
        Err(fault) => essential(subject, check, fault),
    }
}

/// Without this nothing can be kept true, unless it passes.
pub(super) fn essential(subject: &Subject, check: &'static str, fault: &Fault) -> Finding {
    match fault.kind {
        Kind::Throttled | Kind::Unreachable => subject.untold(check, fault),
        _ => subject.refused(check, fault),
    }
}

fn encryption(subject: &Subject, key: &Looked<Option<String>>) -> Finding {
    const CHECK: &str = "encryption";
    match key {
        Ok(None) => subject.ok(CHECK, "objects are encrypted with S3's own key"),
        Ok(Some(key)) => subject.ok(
            CHECK,
            format!("objects are encrypted with {key}: events and listings need no key, only heads of objects do (kms:Decrypt)"),
        ),
        Err(fault) => subject.untold(CHECK, fault),
    }
}

fn lifecycle(subject: &Subject, wish: &Wish, rules: &Looked<Vec<Lifecycle>>) -> Finding {
    const CHECK: &str = "lifecycle rules";
    let rules = match rules {
        Ok(rules) => rules,
        Err(fault) => return subject.untold(CHECK, fault),
    };
    let ours = rules.iter().filter(|rule| meet(&rule.prefix, &wish.prefix) && !rule.does.is_empty());
    let ours: Vec<String> = ours
        .map(|rule| {
            let below =
                if rule.prefix.is_empty() { String::new() } else { format!(" below {:?}", rule.prefix) };
            format!("{:?}{below} {}", rule.id, rule.does.join(" and "))
        })
        .collect();
    if ours.is_empty() {
        return subject.ok(CHECK, "none that concerns our keys");
    }
    subject.warning(
        CHECK,
        ours.join("; "),
        "expect many events at once, about once a day: s3:LifecycleExpiration:* must be subscribed, and the queue keep \
         them. That expired delete markers are cleaned up may be told by no event, and is found by runs only",
    )
}

/// What is copied from here, and what can be seen of copies that arrive: S3 tells the first of a bucket, and the
/// second of single versions only
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-status.html>).
fn replication(
    subject: &Subject,
    wish: &Wish,
    rules: &Looked<Vec<Replication>>,
    is_replica: bool,
) -> Finding {
    const CHECK: &str = "replication";
    const REPLICAS: &str = "keep their dates and version ids, may arrive out of order, and are not removed by what removes \
                            versions at their source";
    let rules = match rules {
        Ok(rules) => rules,
        Err(fault) => return subject.untold(CHECK, fault),
    };
    let ours: Vec<String> = rules
        .iter()
        .filter(|rule| meet(&rule.prefix, &wish.prefix))
        .map(|rule| format!("{:?} copies to {}", rule.id, rule.to))
        .collect();
    let source = if ours.is_empty() {
        "it is not replicated from here".to_owned()
    } else {
        format!("{}: replicas there {REPLICAS}", ours.join("; "))
    };
    let here = if is_replica {
        format!("a version that was looked at is a replica: those {REPLICAS}")
    } else {
        "whether replicas arrive here no setting of this bucket tells: see `aws s3api get-bucket-replication` of the buckets \
         that may be their source; with enrich = [\"head\"], catalog.object_details says REPLICA of each"
            .to_owned()
    };
    subject.ok(CHECK, format!("{source}; {here}"))
}

fn requester_pays(subject: &Subject, pays: &Looked<bool>, is_ours: Option<&Looked<bool>>) -> Finding {
    const CHECK: &str = "requester pays";
    match (pays, is_ours) {
        (Ok(false), _) => subject.ok(CHECK, "its owner pays for requests"),
        (Ok(true), Some(Ok(true))) => subject.ok(CHECK, "whoever asks pays, and we are the owner"),
        (Ok(true), _) => subject.failure(
            CHECK,
            "whoever asks pays, and S3 refuses requests of other accounts that do not agree to that",
            "take on a role of the account that owns the bucket, or turn requester pays off",
        ),
        (Err(fault), _) => subject.untold(CHECK, fault),
    }
}

pub(super) fn meet(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
