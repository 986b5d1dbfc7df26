//! Looks at everything between a bucket and the daemon, and says how it stands. One thing that cannot
//! be looked at never hides another.

use std::collections::BTreeMap;

use super::checks::{self, Hops, Reader, Wish};
use super::estate::{BucketLook, Estate, Identity, Looked, QueueLook, Side, Topic};
use super::finding::{Finding, Subject};
use super::grant::{Act, Answer, answer};
use super::partition;
use crate::bucket::rules::Destination;
use crate::clock::Clock;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What may be asked again and again: nothing is received.
    Cheap,
    /// A message is received, too, and made visible again.
    Full,
}

/// With fewer receives than this before a message is a dead letter, none is spent on a look.
const RECEIVES_TO_SPARE: u64 = 10;

/// Checks one part of a bucket.
pub async fn examine(estate: &impl Estate, wish: &Wish, depth: Depth, clock: Clock) -> Vec<Finding> {
    let subject = Subject(format!("bucket {}/{}", wish.name, wish.prefix));
    let identity = estate.identity(Side::Bucket).await;
    let look = estate.bucket(&wish.prefix).await;
    let is_ours = match &identity {
        Ok(identity) => Some(estate.is_owned_by(&identity.account).await),
        Err(_) => None,
    };
    let mut findings = vec![checks::access(&subject, &identity, wish.role.as_deref(), clock())];
    findings.extend(checks::bucket(&subject, wish, &look, &identity, is_ours.as_ref(), clock()));

    let mut queues = Vec::new();
    for url in &wish.queues {
        queues.push((url.as_str(), estate.queue(url).await));
    }
    let hops = hops(estate, &look, &queues).await;
    findings.extend(checks::delivery(&subject, wish, &look.rules, &hops));

    let account = match (&identity, &is_ours) {
        (Ok(Identity { account, .. }), Some(Ok(true))) => Some(account.as_str()),
        _ => None,
    };
    let source = format!("arn:{}:s3:::{}", partition(look.region.as_deref().unwrap_or_default()), wish.name);
    let sender = Sender { source: &source, account };
    for (arn, topic) in &hops.topics {
        if let Ok(topic) = topic {
            findings.extend(of_topic(estate, arn, topic, &sender).await);
        }
    }
    for (url, queue) in &queues {
        findings.extend(of_queue(estate, url, queue, &look, &hops, &sender, depth, clock).await);
    }
    findings
}

/// On whose behalf S3 sends.
struct Sender<'a> {
    source: &'a str,
    account: Option<&'a str>,
}

/// Follows the bucket's rules as far as they lead.
async fn hops(estate: &impl Estate, look: &BucketLook, queues: &[(&str, Looked<QueueLook>)]) -> Hops {
    let mut hops = Hops::default();
    hops.queues.extend(queues.iter().filter_map(|(_, queue)| Some(queue.as_ref().ok()?.arn.clone())));
    let Ok(rules) = &look.rules else { return hops };
    let topics: Vec<&String> = (rules.rules.iter())
        .filter_map(|rule| match &rule.destination {
            Destination::Topic(arn) => Some(arn),
            _ => None,
        })
        .collect();
    let mut looked: BTreeMap<String, Looked<Topic>> = BTreeMap::new();
    for arn in topics {
        if !looked.contains_key(arn) {
            looked.insert(arn.clone(), estate.topic(arn).await);
        }
    }
    hops.topics = looked;
    if rules.event_bridge {
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
        service: "s3.amazonaws.com",
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
        let reader = Reader { service: "s3.amazonaws.com", source: sender.source, account: sender.account };
        findings.extend(checks::key(&subject, id, &key, &reader));
    }
    findings
}

#[expect(clippy::too_many_arguments, reason = "what was seen of each thing on the way, once")]
async fn of_queue(
    estate: &impl Estate,
    url: &str,
    queue: &Looked<QueueLook>,
    bucket: &BucketLook,
    hops: &Hops,
    sender: &Sender<'_>,
    depth: Depth,
    clock: Clock,
) -> Vec<Finding> {
    let subject = Subject(format!("queue {url}"));
    let identity = estate.identity(Side::Queue).await;
    let mut findings = vec![checks::access(&subject, &identity, None, clock())];
    findings.extend(checks::queue(&subject, queue, bucket.region.as_deref().ok()));
    let may_sample = match queue {
        Ok(look) => look.redrive.as_ref().is_none_or(|redrive| redrive.receives_max >= RECEIVES_TO_SPARE),
        Err(_) => true,
    };
    if depth == Depth::Full && may_sample {
        let (sample, may_delete) = (estate.sample(url).await, estate.may_delete(url).await);
        findings.extend(checks::sample(&subject, &sample, &may_delete, clock()));
    } else if depth == Depth::Full {
        findings.push(subject.unknown(
            "receiving",
            "not tried: a look would use up one of the few receives that a message has",
            "raise maxReceiveCount in the queue's redrive policy",
        ));
    }
    let Ok(look) = queue else { return findings };
    for way in ways(url, look, bucket, hops, sender) {
        let act = Act {
            service: way.service,
            action: "sqs:SendMessage",
            resource: &look.arn,
            source: &way.source,
            account: way.account,
        };
        findings.extend(checks::policy(&subject, look.policy.as_deref(), &act, way.service));
        if let Some(id) = &look.kms_key {
            let key = estate.key(Side::Queue, id).await;
            let reader = Reader { service: way.service, source: &way.source, account: way.account };
            findings.extend(checks::key(&subject, id, &key, &reader));
        }
    }
    let dead_letters = match &look.redrive {
        Some(redrive) => Some(estate.queue_beside(url, &redrive.to).await),
        None => None,
    };
    findings.extend(checks::dead_letters(&subject, look, dead_letters.as_ref()));
    findings
}

/// Who sends to a queue, and on whose behalf.
struct Way<'a> {
    service: &'static str,
    source: String,
    account: Option<&'a str>,
}

/// Whoever is to send to a queue: those whom the bucket's configuration leads to it. If nobody is, S3
/// itself, as it would be connected.
fn ways<'a>(
    url: &str,
    look: &QueueLook,
    bucket: &BucketLook,
    hops: &Hops,
    sender: &Sender<'a>,
) -> Vec<Way<'a>> {
    let mut ways = Vec::new();
    for (arn, topic) in &hops.topics {
        let subscribers = topic.as_ref().map(|topic| topic.subscriptions.as_slice()).unwrap_or_default();
        if subscribers.iter().any(|subscription| subscription.endpoint == look.arn) {
            ways.push(Way {
                service: "sns.amazonaws.com",
                source: arn.clone(),
                account: account_of(arn, sender),
            });
        }
    }
    if let Some(Ok(rules)) = &hops.bridge {
        for rule in rules.iter().filter(|rule| rule.targets.iter().any(|target| target.arn == look.arn)) {
            ways.push(Way {
                service: "events.amazonaws.com",
                source: rule.arn.clone(),
                account: sender.account,
            });
        }
    }
    let told = bucket.rules.as_ref().map(|rules| rules.rules.as_slice()).unwrap_or_default();
    if ways.is_empty() || told.iter().any(|rule| rule.destination.is_queue(url)) {
        ways.push(Way {
            service: "s3.amazonaws.com",
            source: sender.source.to_owned(),
            account: sender.account,
        });
    }
    ways
}

/// The account of a topic is in its ARN; it is often ours.
fn account_of<'a>(arn: &str, sender: &Sender<'a>) -> Option<&'a str> {
    sender.account.filter(|account| arn.contains(*account))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
