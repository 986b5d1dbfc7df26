//! Who we are.

use std::time::Duration;

use time::OffsetDateTime;

use super::words;
use crate::fault::Kind;
use crate::setup::estate::{Identity, Looked, TakenOn};
use crate::setup::finding::{Finding, Subject};

/// Credentials that end this soon are renewed now, or are not renewed at all.
const SOON: Duration = Duration::from_secs(60);

/// Whether a role is taken on by who is in one already, for longer than that is let: nothing else is found out
/// before the first session is asked for.
pub(in crate::setup) fn chained(subject: &Subject, taken_on: &TakenOn) -> Option<Finding> {
    let TakenOn { role, by, lasts } = taken_on;
    by.contains(":assumed-role/").then(|| {
        subject.failure(
            "role chaining",
            format!(
                "{role} is to be taken on for {}, by {by}, which is a session in a role already: then AWS lets it last 1h \
                 at most, and refuses to begin a longer one",
                words(*lasts)
            ),
            "set session_duration to \"1h\": sessions are renewed by themselves; or let a user take the role on",
        )
    })
}

/// Whether credentials can be had, who they make us, and when they end.
pub(in crate::setup) fn access(
    subject: &Subject,
    identity: &Looked<Identity>,
    role: Option<&str>,
    now: OffsetDateTime,
) -> Finding {
    const CHECK: &str = "credentials";
    let identity = match identity {
        Ok(identity) => identity,
        // Whoever cannot ask STS may still be somebody.
        Err(fault) if matches!(fault.kind, Kind::Denied | Kind::Unsupported | Kind::Unreachable) => {
            return subject.untold(CHECK, fault);
        }
        Err(fault) => return subject.refused(CHECK, fault),
    };
    let Identity { arn, account, expires } = identity;
    let name = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let is_role = |role: &str| arn.contains(":assumed-role/") && arn.contains(&format!("/{}/", name(role)));
    if let Some(role) = role
        && !is_role(role)
        && arn.starts_with("arn:")
        && arn.contains(":assumed-role/")
    {
        let found = format!("we are {arn}, and not in {role}");
        return subject.warning(CHECK, found, "see which role_arn is meant, and who takes it on");
    }
    let Some(left) = expires.map(|expires| expires - now) else {
        return subject
            .ok(CHECK, format!("we are {arn}, in account {account}, for as long as the keys are valid"));
    };
    let left = Duration::try_from(left).unwrap_or_default();
    if left < SOON {
        let found = format!("we are {arn}, for {} more", words(left));
        return subject.warning(
            CHECK,
            found,
            "renew the session that the credentials belong to; a role_arn, a profile or an instance is renewed by itself",
        );
    }
    subject.ok(CHECK, format!("we are {arn}, in account {account}, for {} more", words(left)))
}
