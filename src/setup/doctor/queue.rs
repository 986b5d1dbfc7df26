//! The doctor's look at queues.

use super::{Depth, S3, Way, access, closes};
use crate::clock::Clock;
use crate::fault::Kind;
use crate::setup::checks::{self, Reader, Wish};
use crate::setup::estate::{Estate, Identity, Looked, QueueLook, Side};
use crate::setup::finding::{Finding, Subject};
use crate::setup::grant::Act;

/// With fewer receives than this before a message is a dead letter, none is spent on a look.
const RECEIVES_TO_SPARE: u64 = 10;

/// A queue of ours.
pub(super) struct Queue<'a> {
    pub(super) url: &'a str,
    pub(super) identity: Looked<Identity>,
    pub(super) look: Looked<QueueLook>,
}

/// Looks at all queues; at none of a host that did not answer for another.
pub(super) async fn queues<'a>(estate: &impl Estate, wish: &'a Wish) -> Vec<Queue<'a>> {
    let mut queues: Vec<Queue<'_>> = Vec::new();
    let host = |url: &str| url.split('/').nth(2).map(str::to_owned);
    for url in &wish.queues {
        let is_silent = |known: &&Queue<'_>| {
            host(known.url) == host(url)
                && known.look.as_ref().is_err_and(|fault| fault.kind == Kind::Unreachable)
        };
        if let Some(Err(fault)) = queues.iter().find(is_silent).map(|silent| &silent.look) {
            let look = Err(fault.again());
            queues.push(Queue { url, identity: Err(fault.again()), look });
            continue;
        }
        let (identity, look) = tokio::join!(estate.identity(Side::Queue(url)), estate.queue(url));
        queues.push(Queue { url, identity, look });
    }
    queues
}

/// Tells what can be said of a queue, and of what leads to it.
pub(super) async fn of_queue(
    estate: &impl Estate,
    queue: &Queue<'_>,
    way: &Way<'_>,
    depth: Depth,
    clock: Clock,
) -> Vec<Finding> {
    let Queue { url, identity, look } = queue;
    let subject = Subject(format!("queue {url}"));
    let mut findings = match (identity, &way.door.identity) {
        (Err(fault), Err(known)) if fault.kind == Kind::Credentials && fault.answer == known.answer => {
            return vec![subject.unlooked("without credentials nothing is answered, as of the bucket")];
        }
        (identity, _) => access(estate, &subject, Side::Queue(url), identity, None, clock).await,
    };
    match (identity, look) {
        (Err(fault), _) if fault.kind == Kind::Credentials => {
            findings.push(subject.unlooked("without credentials nothing is answered"));
            return findings;
        }
        (_, Err(fault)) if closes(fault) => {
            findings.push(subject.refused("queue", fault));
            findings.push(subject.unlooked("SQS would answer the same"));
            return findings;
        }
        _ => {}
    }
    let senders = look.as_ref().map(|look| senders(url, look, way)).unwrap_or_default();
    let is_told_by_s3 = senders.iter().any(|sender| sender.service == S3);
    let must_be_in = way.must_be_in.filter(|_| is_told_by_s3);
    findings.extend(checks::queue(&subject, look, must_be_in));
    let may_sample = match look {
        Ok(look) => look.redrive.as_ref().is_none_or(|redrive| redrive.receives_max >= RECEIVES_TO_SPARE),
        Err(_) => true,
    };
    if depth == Depth::Full {
        if may_sample {
            findings.extend(checks::sample(&subject, &estate.sample(url).await, clock()));
        } else {
            findings.push(subject.unknown(
                "receiving",
                "not tried: a look would use up one of the few receives that a message has",
                "raise maxReceiveCount in the queue's redrive policy",
            ));
        }
        findings.push(checks::allowed(&subject, "acknowledging", &estate.may_delete(url).await, "allowed"));
        findings.push(checks::allowed(&subject, "giving back", &estate.may_give_back(url).await, "allowed"));
    }
    let Ok(look) = look else { return findings };
    for OnBehalf { service, source, account } in &senders {
        let (service, account) = (*service, *account);
        let act = Act { service, action: "sqs:SendMessage", resource: &look.arn, source, account };
        findings.extend(checks::policy(&subject, look.policy.as_deref(), &act, service));
        if let Some(id) = &look.kms_key {
            let key = estate.key(Side::Queue(url), id).await;
            let reader = Reader { service, source, account };
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
struct OnBehalf<'a> {
    service: &'static str,
    source: String,
    account: Option<&'a str>,
}

/// Whoever is to send to a queue: those whom the bucket's configuration leads to it. If nobody is, S3
/// itself, as it would be connected.
fn senders<'a>(url: &str, look: &QueueLook, way: &Way<'a>) -> Vec<OnBehalf<'a>> {
    let Way { rules, hops, sender, .. } = way;
    let mut senders = Vec::new();
    for (arn, topic) in &hops.topics {
        let subscribers = topic.as_ref().map(|topic| topic.subscriptions.as_slice()).unwrap_or_default();
        if subscribers.iter().any(|subscription| subscription.endpoint == look.arn) {
            // The account of a topic is in its ARN; it is often ours.
            let account = sender.account.filter(|account| arn.contains(*account));
            senders.push(OnBehalf { service: "sns.amazonaws.com", source: arn.clone(), account });
        }
    }
    if let Some(Ok(rules)) = &hops.bridge {
        for rule in rules.iter().filter(|rule| rule.targets.iter().any(|target| target.arn == look.arn)) {
            let (service, source) = ("events.amazonaws.com", rule.arn.clone());
            senders.push(OnBehalf { service, source, account: sender.account });
        }
    }
    let told = rules.map(|rules| rules.rules.as_slice()).unwrap_or_default();
    if senders.is_empty() || told.iter().any(|rule| rule.destination.is_queue(url)) {
        senders.push(OnBehalf { service: S3, source: sender.source.to_owned(), account: sender.account });
    }
    senders
}
