//! Looks at everything between a bucket and the daemon, and says how it stands. One thing that cannot
//! be looked at never hides another.

use super::Arn;
use super::checks::{self, Hops, Reader, Wish};
use super::estate::{BucketLook, Estate, Identity, Looked, Side, Topic};
use super::finding::{Finding, Subject};
use super::grant::{Act, Answer, answer};
use crate::aws::partition;
use crate::bucket::rules::{Destination, Rule, Rules};
use crate::clock::Clock;
use crate::fault::{Fault, Kind};
use queue::{Queue, of_queue, queues};

mod queue;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What may be asked again and again: nothing is received.
    Cheap,
    /// A message is received, too, and made visible again.
    Full,
}

/// Who sends where nothing lies between.
const S3: &str = "s3.amazonaws.com";

/// Checks one part of a bucket, and tells what was found of each thing as soon as it is known.
pub async fn examine(
    estate: &impl Estate,
    wish: &Wish,
    depth: Depth,
    clock: Clock,
    mut tell: impl FnMut(Vec<Finding>),
) {
    let subject = Subject(format!("bucket {}/{}", wish.name, wish.prefix));
    // Whoever does not answer is waited for once.
    let (identity, region, queues) =
        tokio::join!(estate.identity(Side::Bucket), estate.region(), queues(estate, wish));
    let door = Door { identity, region };
    let bucket = of_bucket(estate, &subject, wish, &door, clock, &mut tell).await;
    let hops = hops(estate, wish, bucket.as_ref(), &queues).await;
    if let Some(Seen { look, .. }) = &bucket {
        tell(checks::delivery(&subject, wish, &look.rules, &hops));
        tell(checks::storage_classes(&subject, wish, look, &hops).into_iter().collect());
    }

    let account = owner(wish, &door, bucket.as_ref(), &queues);
    let region = door.region.as_deref().unwrap_or_default();
    let source = format!("arn:{}:s3:::{}", partition(region), wish.name);
    let sender = Sender { source: &source, account: account.as_deref() };
    for (arn, topic) in &hops.topics {
        if let Ok(topic) = topic
            && topic.subscriptions.iter().any(|subscription| hops.queues.contains(&subscription.endpoint))
        {
            tell(of_topic(estate, arn, topic, &sender).await);
        }
    }
    let rules = bucket.as_ref().and_then(|seen| seen.look.rules.as_ref().ok());
    // A bucket that is elsewhere than it is wanted is told of already.
    let must_be_in = wish.region.as_deref().or(door.region.as_deref().ok()).filter(|_| bucket.is_some());
    for queue in &queues {
        let way = Way { door: &door, rules, hops: &hops, sender: &sender, must_be_in };
        tell(of_queue(estate, queue, &way, depth, clock).await);
    }
}

/// The account that owns the bucket. Where S3 does not say, it is likely that of the role in whose name it is asked,
/// or ours.
fn owner(wish: &Wish, door: &Door, bucket: Option<&Seen>, queues: &[Queue<'_>]) -> Option<String> {
    if let Some(Seen { is_ours: Some(Ok(false)), .. }) = bucket {
        return None;
    }
    let of_role = || Some(wish.role.as_ref()?.parse::<Arn>().ok()?.account);
    let known = |identity: &Looked<Identity>| Some(identity.as_ref().ok()?.account.clone());
    known(&door.identity).or_else(of_role).or_else(|| queues.iter().find_map(|queue| known(&queue.identity)))
}

/// The same, all at once.
pub async fn examined(estate: &impl Estate, wish: &Wish, depth: Depth, clock: Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    examine(estate, wish, depth, clock, |more| findings.extend(more)).await;
    findings
}

/// What must be known before anything else makes sense.
struct Door {
    identity: Looked<Identity>,
    region: Looked<String>,
}

/// A bucket that could be looked at.
struct Seen {
    look: BucketLook,
    is_ours: Option<Looked<bool>>,
}

/// Whether all else that is asked of the same thing would fail for the same reason.
fn closes(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        Kind::Absent
            | Kind::Credentials
            | Kind::Malformed
            | Kind::Throttled
            | Kind::Unreachable
            | Kind::WrongRegion
    )
}

/// Tells what can be said of the bucket alone; none if there is no use in asking more.
async fn of_bucket(
    estate: &impl Estate,
    subject: &Subject,
    wish: &Wish,
    door: &Door,
    clock: Clock,
    tell: &mut impl FnMut(Vec<Finding>),
) -> Option<Seen> {
    let mut findings =
        access(estate, subject, Side::Bucket, &door.identity, wish.role.as_deref(), clock).await;
    if let Err(fault) = &door.identity
        && fault.kind == Kind::Credentials
    {
        findings.push(subject.unlooked("without credentials nothing is answered"));
        tell(findings);
        return None;
    }
    if let Err(fault) = &door.region
        && closes(fault)
    {
        findings.push(subject.refused("bucket", fault));
        findings.push(subject.unlooked("S3 would answer the same"));
        tell(findings);
        return None;
    }
    let look = estate.bucket(&wish.prefix, wish.enrich).await;
    if let (Err(fault), Err(other)) = (&look.versions, &look.listing)
        && closes(fault)
        && fault.kind == other.kind
    {
        findings.push(subject.refused("bucket", fault));
        findings.push(subject.unlooked("S3 answers the same to other questions"));
        tell(findings);
        return None;
    }
    let is_ours = match &door.identity {
        Ok(identity) => Some(estate.is_owned_by(&identity.account).await),
        Err(_) => None,
    };
    let Door { identity, region } = door;
    findings.extend(checks::bucket(subject, wish, region, &look, identity, is_ours.as_ref(), clock()));
    tell(findings);
    Some(Seen { look, is_ours })
}

/// Who we are on one side, and whether we may be that for as long as it is wanted.
async fn access(
    estate: &impl Estate,
    subject: &Subject,
    side: Side<'_>,
    identity: &Looked<Identity>,
    role: Option<&str>,
    clock: Clock,
) -> Vec<Finding> {
    // Where we cannot be asked for, nothing was taken on.
    let taken_on = estate.taken_on(side).await.unwrap_or_default();
    let chained = taken_on.as_ref().and_then(|taken_on| checks::chained(subject, taken_on));
    match (chained, identity) {
        // It is why.
        (Some(finding), Err(_)) => vec![finding],
        (chained, _) => {
            [checks::access(subject, identity, role, clock())].into_iter().chain(chained).collect()
        }
    }
}

/// What is known of the way to a queue.
struct Way<'a> {
    door: &'a Door,
    rules: Option<&'a Rules>,
    hops: &'a Hops,
    sender: &'a Sender<'a>,
    /// The region where S3 itself sends to queues.
    must_be_in: Option<&'a str>,
}

/// On whose behalf S3 sends.
struct Sender<'a> {
    source: &'a str,
    account: Option<&'a str>,
}

/// Follows the bucket's rules as far as they lead.
async fn hops(estate: &impl Estate, wish: &Wish, bucket: Option<&Seen>, queues: &[Queue<'_>]) -> Hops {
    let mut hops = Hops::default();
    hops.queues.extend(queues.iter().filter_map(|queue| Some(queue.look.as_ref().ok()?.arn.clone())));
    let Some(Seen { look: BucketLook { rules: Ok(rules), .. }, .. }) = bucket else { return hops };
    let ours: Vec<&Rule> = rules.rules.iter().filter(|rule| rule.concerns(&wish.prefix)).collect();
    for rule in &ours {
        if let Destination::Topic(arn) = &rule.destination
            && !hops.topics.contains_key(arn)
        {
            hops.topics.insert(arn.clone(), estate.topic(arn).await);
        }
    }
    // Rules of EventBridge that hear nothing are worth a word where nobody else tells us.
    let leads_here = |rule: &&Rule| wish.queues.iter().any(|url| rule.destination.is_queue(url));
    if rules.event_bridge || (hops.topics.is_empty() && !ours.iter().any(leads_here)) {
        let mut bridge = Ok(Vec::new());
        for queue in &hops.queues {
            match (estate.bridge(queue).await, &mut bridge) {
                (Ok(more), Ok(rules)) => rules.extend(more),
                (Err(fault), _) => bridge = Err(fault),
                (Ok(_), Err(_)) => {}
            }
        }
        hops.bridge = Some(bridge);
    }
    hops
}

async fn of_topic(estate: &impl Estate, arn: &str, topic: &Topic, sender: &Sender<'_>) -> Vec<Finding> {
    const CHECK: &str = "topic policy";
    let subject = Subject(format!("topic {arn}"));
    let act = Act {
        service: S3,
        action: "sns:Publish",
        resource: arn,
        source: sender.source,
        account: sender.account,
    };
    let remedy = "let s3.amazonaws.com do sns:Publish for this bucket in the topic's policy";
    let said = topic.policy.as_deref().map_or(Ok(Answer::NotAllowed), |policy| answer(policy, &act));
    let mut findings = vec![match said {
        Ok(Answer::Allowed) => subject.ok(CHECK, "it lets S3 publish"),
        Ok(Answer::NotAllowed) => subject.failure(CHECK, "it does not let S3 publish", remedy),
        Ok(Answer::Forbidden(what)) => {
            subject.failure(CHECK, format!("its {what} forbids S3 to publish"), remedy)
        }
        Ok(Answer::Unsure(why)) => subject.unknown(CHECK, why, remedy),
        Err(error) => subject.unknown(CHECK, format!("it cannot be read: {error}"), remedy),
    }];
    if let Some(id) = &topic.kms_key {
        let key = estate.key(Side::Bucket, id).await;
        let reader = Reader { service: S3, source: sender.source, account: sender.account };
        findings.extend(checks::key(&subject, id, &key, &reader));
    }
    findings
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
