//! The doctor's rounds: while serving, what is cheap is looked at from time to time.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::aws::Account;
use super::doctor::{Depth, examined};
use super::{Finding, Verdict, Wish};
use crate::clock::Clock;
use crate::health::{Health, Subject};
use crate::{metrics, pulse};

/// Who looks at one part of a bucket, and how often.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) account: Account,
    pub(crate) wish: Wish,
    pub(crate) every: Duration,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
}

impl Rounds {
    /// Looks at once and then every so often, until told to stop.
    pub(crate) async fn keep_looking(self, shutdown: CancellationToken) {
        let mut failed = BTreeSet::new();
        loop {
            pulse::beat();
            let look = Box::pin(examined(&self.account, &self.wish, Depth::Cheap, self.clock));
            let Some(findings) = shutdown.run_until_cancelled(look).await else { return };
            failed = self.tell(&findings, &failed);
            let pause = shutdown.run_until_cancelled(tokio::time::sleep(self.every));
            if pulse::rest(pause).await.is_none() {
                return;
            }
        }
    }

    /// Tells what is broken, in the doctor's words, where all problems are told; and that what was broken
    /// is so no more.
    fn tell(&self, findings: &[Finding], before: &BTreeSet<&'static str>) -> BTreeSet<&'static str> {
        let Wish { name, prefix, .. } = &self.wish;
        let subject = Subject::SetUp { name: name.clone(), prefix: prefix.clone() };
        let failures: Vec<&Finding> =
            findings.iter().filter(|finding| finding.verdict == Verdict::Failure).collect();
        let checks: BTreeSet<&'static str> = failures.iter().map(|finding| finding.check).collect();
        for check in before.union(&checks) {
            metrics::setup_failures(name, check).set(if checks.contains(check) { 1.0 } else { 0.0 });
        }
        if failures.is_empty() {
            if self.health.ok(subject) {
                tracing::info!(bucket = name, "set-up is as it must be again");
            }
            return checks;
        }
        let (message, remedy) = sentence(&failures);
        let is_news = self.health.problem(subject.clone(), &message, &remedy, (self.clock)());
        if is_news {
            tracing::warn!(remedy, "{subject}: {message}");
        }
        checks
    }
}

/// What is broken, in one line, and what to do.
fn sentence(failures: &[&Finding]) -> (String, String) {
    let told = |finding: &&Finding| format!("{}: {}", finding.check, finding.found);
    let (mut messages, mut remedies): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for finding in failures {
        messages.push(told(finding));
        if !remedies.contains(&finding.remedy.as_str()) {
            remedies.push(&finding.remedy);
        }
    }
    (messages.join("; "), remedies.join("; "))
}
