//! A queue, and the one behind it.

use std::time::Duration;

use time::OffsetDateTime;

use super::bucket::essential;
use super::words;
use crate::fault::Kind;
use crate::notification::{Body, decode};
use crate::setup::Arn;
use crate::setup::estate::{Looked, QueueLook, Sample, Takes};
use crate::setup::finding::{Finding, Subject};
use crate::setup::grant::{Act, Answer, answer, too_open};
use crate::words::counted;

/// The longest a message can be kept: what an outage may last
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
pub(in crate::setup) const RETENTION_MAX: Duration = Duration::from_secs(14 * 86_400);
const RETENTION_SHORT: Duration = Duration::from_secs(86_400);
/// The largest message of S3's
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
pub(in crate::setup) const MESSAGE_BYTES: u64 = 64 * 1024;
/// As many messages may be in hands at once; beyond it, waiting receives bring nothing (same page as
/// the retention's).
const IN_HAND_MAX: u64 = 120_000;
const IN_HAND_WARNED: u64 = IN_HAND_MAX / 10 * 8;
const WAITING_WARNED: u64 = 100_000;
const AGE_WARNED: time::Duration = time::Duration::hours(1);
/// Each daemon that dies and each outage of Postgres costs a message a receive.
const RECEIVES_MIN: u64 = 10;

/// What a queue is set to, and what is in it. `must_be_in` is the region of the bucket, where S3 itself sends.
pub(in crate::setup) fn queue(
    subject: &Subject,
    look: &Looked<QueueLook>,
    must_be_in: Option<&str>,
) -> Vec<Finding> {
    let look = match look {
        Ok(look) => look,
        Err(fault) if fault.kind == Kind::Denied => return vec![subject.untold("queue", fault)],
        Err(fault) => return vec![subject.refused("queue", fault)],
    };
    let region = look.arn.parse::<Arn>().map(|arn| arn.region).unwrap_or_default();
    let mut findings = vec![if look.is_fifo {
        subject.failure(
            "queue",
            "it is a FIFO queue, which S3 cannot send to",
            "make a standard queue, and let the bucket tell that one",
        )
    } else {
        subject.ok("queue", format!("it exists, in {region}, a standard queue"))
    }];
    if let Some(bucket) = must_be_in.filter(|bucket| *bucket != region) {
        findings.push(subject.failure(
            "queue's region",
            format!("it is in {region}, and the bucket in {bucket}: S3 sends to queues in the bucket's own region only"),
            format!("make a queue in {bucket}, or bring events here by SNS or EventBridge"),
        ));
    }
    findings.push(retention(subject, look.retention));
    findings.push(if look.message_bytes_max < MESSAGE_BYTES {
        subject.failure(
            "maximum message size",
            format!(
                "{}, and a notification may have {MESSAGE_BYTES}: S3 loses those that do not fit",
                counted(look.message_bytes_max, "byte")
            ),
            format!("set MaximumMessageSize to at least {MESSAGE_BYTES}"),
        )
    } else {
        subject.ok("maximum message size", counted(look.message_bytes_max, "byte"))
    });
    findings.push(if look.visibility < Duration::from_secs(1) {
        subject.warning(
            "visibility timeout",
            "0s: whoever else receives sees messages that are in hand",
            "set VisibilityTimeout to 30 or more; the daemon asks for its own, see queue.visibility_timeout",
        )
    } else {
        subject.ok("visibility timeout", format!("{}; the daemon asks for its own", words(look.visibility)))
    });
    if !look.delay.is_zero() {
        findings.push(subject.warning(
            "delivery delay",
            format!("each message waits {} before it can be received", words(look.delay)),
            "set DelaySeconds to 0, unless the catalog is to be late",
        ));
    }
    findings.push(depth(subject, look));
    findings
}

fn retention(subject: &Subject, retention: Duration) -> Finding {
    const CHECK: &str = "retention";
    let found = format!("messages are kept for {}", words(retention));
    let remedy = "set MessageRetentionPeriod to 1209600 (14 days), the longest there is: events of a longer outage are lost";
    if retention >= RETENTION_MAX {
        subject.ok(CHECK, found)
    } else if retention < RETENTION_SHORT {
        subject.failure(CHECK, found, remedy)
    } else {
        subject.warning(CHECK, found, remedy)
    }
}

fn depth(subject: &Subject, look: &QueueLook) -> Finding {
    const CHECK: &str = "depth";
    let QueueLook { waiting, in_hand, .. } = look;
    let found = format!("{} waiting, and {in_hand} in somebody's hands", counted(*waiting, "message"));
    if *in_hand >= IN_HAND_MAX {
        let remedy = format!(
            "nothing more is received until some of the {IN_HAND_MAX} that may be in hands are deleted: see who receives \
             and does not delete"
        );
        subject.failure(CHECK, found, remedy)
    } else if *in_hand >= IN_HAND_WARNED {
        subject.warning(
            CHECK,
            found,
            format!("see who receives and does not delete: at {IN_HAND_MAX} nothing more is received"),
        )
    } else if *waiting >= WAITING_WARNED {
        subject.warning(CHECK, found, "see that a daemon runs and that Postgres keeps up")
    } else {
        subject.ok(CHECK, found)
    }
}

/// Whether the queue's policy lets `act` happen, and nobody else in.
pub(in crate::setup) fn policy(
    subject: &Subject,
    policy: Option<&str>,
    act: &Act<'_>,
    sender: &str,
) -> Vec<Finding> {
    const CHECK: &str = "queue policy";
    let remedy = "add the statement that `stocktake policy --bucket B --account ID --only queue` prints";
    let Some(policy) = policy else {
        let found = format!("it has none, so {sender} may not send to it");
        return vec![subject.failure(CHECK, found, remedy)];
    };
    let mut findings = vec![match answer(policy, act) {
        Err(error) => subject.unknown(CHECK, format!("it cannot be read: {error}"), remedy),
        Ok(Answer::Allowed) => subject.ok(CHECK, format!("it lets {sender} send")),
        Ok(Answer::NotAllowed) => {
            let of = act.account.map(|account| format!(" of account {account}")).unwrap_or_default();
            let found = format!("it does not let {sender} send on behalf of {}{of}", act.source);
            subject.failure(
                CHECK,
                found,
                format!("{remedy}; see Principal, aws:SourceArn and aws:SourceAccount of those there"),
            )
        }
        Ok(Answer::Forbidden(statement)) => {
            let found = format!("its {statement} forbids {sender} to send");
            subject.failure(
                CHECK,
                found,
                "change or remove that statement: what forbids outweighs what allows",
            )
        }
        Ok(Answer::Unsure(why)) => subject.unknown(
            CHECK,
            format!("whether it lets {sender} send cannot be said: {why}"),
            "compare that condition with the bucket",
        ),
    }];
    if let Ok(open) = too_open(policy, act.action)
        && !open.is_empty()
    {
        findings.push(subject.warning(
            "queue policy is tight",
            format!("its {} lets anybody send, or any bucket of anybody's", open.join(" and ")),
            "add aws:SourceArn and aws:SourceAccount conditions, as `stocktake policy --bucket B --account ID --only queue` prints them",
        ));
    }
    findings
}

/// The queue that messages go to that were received too often.
pub(in crate::setup) fn dead_letters(
    subject: &Subject,
    look: &QueueLook,
    dead_letters: Option<&Looked<QueueLook>>,
) -> Vec<Finding> {
    const CHECK: &str = "dead-letter queue";
    let Some(redrive) = &look.redrive else {
        return vec![subject.warning(
            CHECK,
            "none: what cannot be read is kept in catalog.quarantine, but a message that is never acknowledged comes again \
             until its retention ends, and then is gone",
            "make one, with a maxReceiveCount of 1000: `stocktake connect` plans it",
        )];
    };
    let mut findings = Vec::new();
    if redrive.receives_max < RECEIVES_MIN {
        findings.push(subject.warning(
            "redrive policy",
            format!("messages go to {} after {} receives", redrive.to, redrive.receives_max),
            "set maxReceiveCount to 1000, the most: outages and restarts cost a message a receive each",
        ));
    } else {
        findings.push(
            subject
                .ok("redrive policy", format!("after {} receives to {}", redrive.receives_max, redrive.to)),
        );
    }
    let dead_letters = match dead_letters {
        None => return findings,
        Some(Err(fault)) if fault.kind == Kind::Absent => {
            let found = format!("{} does not exist", redrive.to);
            findings.push(subject.failure(CHECK, found, "make it, or take the redrive policy away"));
            return findings;
        }
        Some(Err(fault)) => {
            findings.push(subject.untold(CHECK, fault));
            return findings;
        }
        Some(Ok(look)) => look,
    };
    findings.push(redrive_allowed(subject, &look.arn, &redrive.to, &dead_letters.takes));
    let back = dead_letters.redrive.as_ref().filter(|back| back.to == look.arn);
    if back.is_some() || redrive.to == look.arn {
        findings.push(subject.failure(
            "redrive policy",
            format!("dead letters of {} come back to it: what cannot be taken goes round until its retention ends", look.arn),
            format!("take the redrive policy of {} away, or let it lead to another queue", redrive.to),
        ));
    }
    let kept = words(dead_letters.retention);
    if dead_letters.retention < look.retention {
        findings.push(subject.warning(
            "dead-letter retention",
            format!("{kept}, less than the {} of the queue itself, and counted from when a message was first sent", words(look.retention)),
            "set its MessageRetentionPeriod to 1209600: messages that wait long would be gone as soon as they arrive there",
        ));
    } else {
        findings.push(
            subject
                .ok("dead-letter retention", format!("{kept}, counted from when a message was first sent")),
        );
    }
    if dead_letters.waiting + dead_letters.in_hand > 0 {
        let found =
            format!("{} in {}", counted(dead_letters.waiting + dead_letters.in_hand, "message"), redrive.to);
        findings.push(subject.warning(
            CHECK,
            found,
            "move them back (start-message-move-task), or run `stocktake reconcile`, and find out why they were not taken",
        ));
    } else {
        findings.push(subject.ok(CHECK, "empty"));
    }
    findings
}

/// Whether the dead-letter queue takes what comes from ours.
fn redrive_allowed(subject: &Subject, ours: &str, dead: &str, takes: &Takes) -> Finding {
    const CHECK: &str = "redrive allow policy";
    let takes = match takes {
        Takes::All => return subject.ok(CHECK, "the dead-letter queue takes messages of any queue"),
        Takes::Of(queues) if queues.iter().any(|queue| queue == ours) => {
            return subject.ok(CHECK, "the dead-letter queue takes messages of ours");
        }
        Takes::Of(queues) => format!("only those of {}", queues.join(" and ")),
        Takes::None => "none".to_owned(),
    };
    subject.failure(
        CHECK,
        format!(
            "{dead} takes {takes}: messages of ours that were received too often are not moved there, and come again \
             until their retention ends"
        ),
        format!("add {ours} to sourceQueueArns in the RedriveAllowPolicy of {dead}, or take that policy away"),
    )
}

/// A message that was received, if there was one.
pub(in crate::setup) fn sample(
    subject: &Subject,
    sample: &Looked<Option<Sample>>,
    now: OffsetDateTime,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match sample {
        Err(fault) => findings.push(essential(subject, "receiving", fault)),
        Ok(None) => findings.push(subject.ok("receiving", "allowed; no message was there to look at")),
        Ok(Some(sample)) => {
            findings.push(subject.ok("receiving", "allowed"));
            findings.push(match decode(&sample.body) {
                Body::Undecodable(reason) => subject.warning(
                    "messages",
                    format!("one that waits cannot be read: {reason}"),
                    "see docs/TROUBLESHOOTING.md, set aside in catalog.quarantine; who else sends to this queue?",
                ),
                Body::Records(_) | Body::TestEvent => subject.ok("messages", "one that waits can be read"),
            });
            if let Some(age) = sample.sent_at.map(|sent_at| now - sent_at) {
                let age_words = words(Duration::try_from(age).unwrap_or_default());
                findings.push(if age > AGE_WARNED {
                    subject.warning(
                        "age",
                        format!("one that waits was sent {age_words} ago"),
                        "see that a daemon runs and keeps up",
                    )
                } else {
                    subject.ok("age", format!("one that waits was sent {age_words} ago"))
                });
            }
        }
    }
    findings
}
