//! Looks at a bucket: where it is, whether it keeps versions, what it tells and whom.

use std::time::Duration;

use super::schedule::Keeper;
use super::trouble::Trouble;
use crate::bucket::region::admitted;
use crate::bucket::rules::{Destination, NEEDED, Reach, Rule, Rules};
use crate::bucket::{Bucket, Objects, Versioning};
use crate::catalog::{Look, Reason};
use crate::fault::{Fault, Kind};
use crate::health::Subject;

/// How long a changed notification configuration takes to be in effect, at most
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-enable-disable-notification-intro.html>).
/// What happens until then may be told to nobody, so a second run finds it.
const SETTLES_AFTER: Duration = Duration::from_secs(300);

impl<B: Bucket + Objects> Keeper<B> {
    /// Looks, notes what it sees, and asks for a run where that has changed.
    pub(super) async fn look(&self) -> Result<(), Trouble> {
        let bucket = &self.bucket;
        let region = admitted(&**bucket, &self.connection.bucket, self.schedule.region.as_deref()).await?;
        let (versioning, _) = bucket.versioning().await?;
        let notifications = match self.schedule.queues.is_empty() {
            true => None,
            false => self.listen(bucket.notifications().await),
        };
        self.note(region, versioning, notifications)
            .await
            .map_err(self.postgres("describe the connection"))?;
        Ok(())
    }

    async fn note(
        &self,
        region: String,
        versioning: Versioning,
        notifications: Option<(String, bool)>,
    ) -> Result<(), sqlx::Error> {
        let (now, is_heard) = ((self.clock)(), notifications.as_ref().is_some_and(|(_, is_heard)| *is_heard));
        let look = Look {
            region,
            versioning,
            notifications: notifications.map(|(text, _)| text),
            settles_at: is_heard.then(|| now + SETTLES_AFTER),
        };
        let (bucket, prefix) = (&self.connection.bucket, &self.connection.prefix);
        for reason in self.catalog.describe(&self.connection, &look, now).await? {
            match reason {
                Reason::Versioning => tracing::warn!(bucket, prefix, %versioning, "versioning has changed"),
                _ => tracing::warn!(
                    bucket,
                    prefix,
                    notifications = look.notifications,
                    "notifications have changed"
                ),
            }
        }
        Ok(())
    }

    /// What the bucket tells of our keys, and whether all that is needed of it can reach us; none if we may
    /// not know, which is no problem.
    fn listen(&self, answer: Result<Rules, Fault>) -> Option<(String, bool)> {
        let (bucket, prefix) = (&self.connection.bucket, &self.connection.prefix);
        let subject = Subject::Notifications { name: bucket.clone(), prefix: prefix.clone() };
        let rules = match answer {
            Ok(rules) => rules,
            Err(fault) => {
                tracing::debug!(
                    bucket,
                    prefix,
                    remedy = fault.remedy,
                    "cannot tell what is notified: {fault}"
                );
                if matches!(fault.kind, Kind::Absent | Kind::Denied | Kind::Unsupported) {
                    self.health.ok(subject);
                }
                return None;
            }
        };
        let missing = missing(&rules, prefix, &self.schedule.queues);
        match &missing {
            None => {
                if self.health.ok(subject) {
                    tracing::info!(bucket, prefix, "events of all kinds reach us again");
                }
            }
            Some((message, remedy)) => {
                if self.health.problem(subject, message, remedy, (self.clock)()) {
                    tracing::warn!(bucket, prefix, remedy, "{message}");
                }
            }
        }
        Some((rules.canonical(prefix), missing.is_none()))
    }
}

/// What is wrong with the rules, and the remedy, if not every needed event of every key below `prefix` may
/// reach one of the queues. Topics and `EventBridge` may lead there: from here one cannot tell.
fn missing(rules: &Rules, prefix: &str, queues: &[String]) -> Option<(String, String)> {
    if rules.event_bridge {
        return None;
    }
    let may_lead_to_us = |rule: &Rule| match &rule.destination {
        Destination::Topic(_) => true,
        destination => queues.iter().any(|url| destination.is_queue(url)),
    };
    let gaps = rules.gaps(&NEEDED, prefix, may_lead_to_us);
    let names = |is_meant: fn(&Reach<'_>) -> bool| {
        let names = gaps.iter().filter(|(_, reach)| is_meant(reach)).map(|(event, _)| *event);
        names.collect::<Vec<_>>().join(", ")
    };
    let (never, partly) =
        (names(|reach| *reach == Reach::Nothing), names(|reach| matches!(reach, Reach::Partly(_))));
    let message = match (never.is_empty(), partly.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("the bucket sends no queue of ours {never}"),
        (true, false) => format!("the bucket sends our queues of some keys only {partly}"),
        (false, false) => {
            format!("the bucket sends no queue of ours {never}, and of some keys only {partly}")
        }
    };
    let below = if prefix.is_empty() { String::new() } else { format!(" below {prefix:?}") };
    let remedy = format!(
        "have its notification configuration send s3:ObjectCreated:*, s3:ObjectRemoved:* and s3:LifecycleExpiration:* \
         of all keys{below} to {}; until then only listings find what it does not tell",
        queues.join(" or ")
    );
    Some((message, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::rules::Filter;

    const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake";

    fn rule(destination: Destination, events: &[&str], suffix: &str) -> Rules {
        let filters = vec![Filter { name: "suffix".to_owned(), value: suffix.to_owned() }];
        let events = events.iter().map(|&event| event.to_owned()).collect();
        Rules { rules: vec![Rule { id: String::new(), destination, events, filters }], event_bridge: false }
    }

    fn message(rules: &Rules) -> Option<String> {
        missing(rules, "a/", &["http://x/1/other".to_owned(), URL.to_owned()]).map(|(message, _)| message)
    }

    #[test]
    fn what_does_not_reach_us_is_named() {
        let queue = |name: &str| Destination::Queue(format!("arn:aws:sqs:eu-central-1:123456789012:{name}"));
        let most = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:Delete"];
        let rest = NEEDED[7];
        for (rules, expected) in [
            (rule(queue("stocktake"), &NEEDED, ""), None),
            (rule(Destination::Topic("t".to_owned()), &NEEDED, ""), None),
            (Rules { event_bridge: true, ..Rules::default() }, None),
            (Rules::default(), Some(format!("the bucket sends no queue of ours {}", NEEDED.join(", ")))),
            (rule(queue("foreign"), &NEEDED, ""), message(&Rules::default())),
            (rule(queue("stocktake"), &most, ""), Some(format!("the bucket sends no queue of ours {rest}"))),
            (
                rule(queue("stocktake"), &NEEDED, "x"),
                Some(format!("the bucket sends our queues of some keys only {}", NEEDED.join(", "))),
            ),
            (
                rule(queue("stocktake"), &NEEDED[..7], "x"),
                Some(format!(
                    "the bucket sends no queue of ours {rest}, and of some keys only {}",
                    NEEDED[..7].join(", ")
                )),
            ),
        ] {
            assert_eq!(message(&rules), expected, "{rules:?}");
        }
        let (_, remedy) = missing(&Rules::default(), "a/", &[URL.to_owned()]).unwrap();
        assert!(remedy.contains("below \"a/\"") && remedy.contains(URL), "{remedy}");
    }
}
