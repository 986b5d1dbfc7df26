//! A round trip: a change below the prefix, and the event that tells of it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Wish;
use super::estate::{Looked, Prober, Sample};
use super::finding::{Finding, Subject};
use crate::notification::{Body, decode};

/// How long a changed notification configuration may take to work
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-enable-disable-notification-intro.html>),
/// and so how long an event is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The pause between two looks at queues and catalog.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What our own object is called, below the prefix.
const NAME: &str = ".stocktake-probe-";

/// Who makes the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody else, now: any event of a key below the prefix will do.
    Theirs,
    /// We do, and take it away again.
    Ours,
}

/// Waits for an event of a change below the prefix, in the queues and, as a daemon may be quicker than we are,
/// in the catalog: `has_come` says whether it is there, of this key or of any.
pub async fn probe(
    estate: &impl Prober,
    wish: &Wish,
    change: Change,
    mut has_come: impl AsyncFnMut(Option<&str>) -> bool,
) -> Vec<Finding> {
    const CHECK: &str = "round trip";
    let subject = Subject(format!("bucket {}/{}", wish.name, wish.prefix));
    let key = format!("{}{NAME}{:08x}", wish.prefix, fastrand::u32(..));
    let own = (change == Change::Ours).then_some(key.as_str());
    let mut known = BTreeSet::new();
    if change == Change::Theirs {
        // What waits already is not what is waited for.
        for url in &wish.queues {
            let waiting = estate.peek(url).await.unwrap_or_default();
            known.extend(waiting.into_iter().map(|sample| sample.body));
        }
    }
    let began = Instant::now();
    let mut findings = Vec::new();
    let version = match own {
        Some(key) => match estate.write(key).await {
            Ok(version) => version,
            Err(fault) => return vec![subject.untold(CHECK, &fault)],
        },
        None => None,
    };
    let came = loop {
        let mut is_here = has_come(own).await;
        for url in &wish.queues {
            let looked: Looked<Vec<Sample>> = estate.peek(url).await;
            let samples = looked.unwrap_or_default();
            is_here |=
                samples.iter().any(|sample| !known.contains(&sample.body) && tells(&sample.body, wish, own));
        }
        if is_here || began.elapsed() > PATIENCE {
            break is_here;
        }
        sleep(LOOK_EVERY).await;
    };
    let took = began.elapsed();
    if let Some(key) = own
        && let Err(fault) = estate.remove(key, version.as_deref()).await
    {
        let found = format!("the object {key:?} was written and could not be removed: {fault}");
        findings.push(subject.warning("clean-up", found, &fault.remedy));
    }
    findings.push(if came {
        subject.ok(
            CHECK,
            format!(
                "an event of {} came after {:.1} s",
                own.unwrap_or("a key below the prefix"),
                took.as_secs_f64()
            ),
        )
    } else {
        subject.failure(
            CHECK,
            format!(
                "no event of {} came within {} minutes",
                own.unwrap_or("a key below the prefix"),
                PATIENCE.as_secs() / 60
            ),
            "see the other checks; if all are well, ask whether an organisation's policy forbids S3 to send",
        )
    });
    findings
}

/// Whether a message tells of a key below the prefix, or of this one.
fn tells(body: &str, wish: &Wish, own: Option<&str>) -> bool {
    let Body::Records(records) = decode(body) else { return false };
    records.into_iter().flatten().any(|record| {
        record.bucket == wish.name
            && match own {
                Some(key) => record.key == key,
                None => record.key.starts_with(&wish.prefix),
            }
    })
}
