//! Which policies one bucket takes, and what each is attached to.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use serde::Serialize;

use super::policy::{self, Document, Statement, Use};
use super::{Arn, is_account};
use crate::aws::partition;
use crate::config::{Bucket, Config};

/// A policy, and where it belongs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attached {
    /// Of what kind it is.
    pub kind: Kind,
    /// What it is attached to: an ARN, or words for it.
    pub of: String,
    /// The policy.
    pub policy: Document,
}

/// What a policy is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Permissions of a role, or of whoever the daemon is without one.
    Permissions,
    /// Who may take on a role.
    Trust,
    /// The bucket's own policy.
    Bucket,
    /// A queue's own policy.
    Queue,
    /// Statements to be added to a key's own policy.
    Key,
}

/// What the configuration does not tell.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Who the daemon is before it takes on any role.
    pub principal: Option<String>,
    /// The account that owns the bucket.
    pub account: Option<String>,
}

/// What the daemon is called that has no role.
const NO_ROLE: &str = "the daemon's own user or role";

/// All policies that the sections of `bucket` take, or those of one kind.
///
/// # Errors
/// When an account or a principal is not known that these policies name.
pub fn documents(
    config: &Config,
    bucket: &[&Bucket],
    told: &Told,
    only: Option<Kind>,
) -> Result<Vec<Attached>, String> {
    let Some(first) = bucket.first() else { return Ok(Vec::new()) };
    let queues: Vec<(Arn, &crate::config::Queue)> =
        (config.queues.iter()).filter_map(|queue| Some((sent_to(queue, first).ok()?, queue))).collect();
    let region = first.access.region.clone().or_else(|| Some(queues.first()?.0.region.clone()));
    let partition = partition(region.as_deref().unwrap_or_default());
    let bucket_arn = format!("arn:{partition}:s3:::{}", first.name);

    let mut permissions: BTreeMap<Option<&str>, Vec<Statement>> = BTreeMap::new();
    let mut trusts: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let reports = || bucket.iter().filter_map(|part| part.inventory.as_ref());
    let accesses =
        bucket.iter().map(|part| &part.access).chain(queues.iter().map(|(_, queue)| &queue.access));
    let accesses = accesses.chain(reports().map(|reports| &reports.access));
    for access in accesses {
        if let Some(role) = &access.role_arn {
            trusts.insert(role, access.external_id.as_deref());
        }
    }
    let mut parts: BTreeMap<Option<&str>, Vec<&Bucket>> = BTreeMap::new();
    for part in bucket {
        parts.entry(part.access.role_arn.as_deref()).or_default().push(part);
    }
    for (role, parts) in &parts {
        let used = Use {
            bucket: first.name.clone(),
            prefixes: parts.iter().map(|part| part.prefix.clone()).collect(),
            partition: partition.to_owned(),
            region: region.clone(),
            kms_key: parts.iter().find_map(|part| part.kms_key.clone()),
            doctor: config.doctor.every.is_some(),
            heads: parts.iter().any(|part| part.enrich.head),
            tags: parts.iter().any(|part| part.enrich.tags),
        };
        permissions.entry(*role).or_default().extend(policy::bucket(&used));
    }
    let mut folders = BTreeSet::new();
    for reports in reports() {
        let arn = format!("arn:{partition}:s3:::{}", reports.bucket);
        if folders.insert((arn.clone(), &reports.prefix)) {
            let own = permissions.entry(reports.access.role_arn.as_deref()).or_default();
            let statements = policy::reports(&arn, &reports.prefix).into_iter();
            own.extend(statements.map(|statement| statement.numbered(folders.len() - 1)));
        }
    }
    for (index, (arn, queue)) in queues.iter().enumerate() {
        let statements = policy::queue(&arn.to_string(), queue.kms_key.as_deref());
        let own = permissions.entry(queue.access.role_arn.as_deref()).or_default();
        own.extend(statements.into_iter().map(|statement| statement.numbered(index)));
    }
    if let Some((arn, _)) = queues.first().filter(|_| config.doctor.every.is_some()) {
        let of_bucket = first.access.role_arn.as_deref();
        let of_queues: BTreeSet<_> =
            queues.iter().map(|(_, queue)| queue.access.role_arn.as_deref()).collect();
        permissions.entry(of_bucket).or_default().extend(policy::hops(arn));
        for role in of_queues.iter().copied().chain([of_bucket]).collect::<BTreeSet<_>>() {
            permissions.entry(role).or_default().push(policy::keys(arn));
        }
        for role in of_queues {
            permissions.entry(role).or_default().push(policy::dead_letters(arn));
        }
    }
    for (index, role) in trusts.keys().enumerate() {
        permissions.entry(None).or_default().push(policy::take_on(role).numbered(index));
    }

    let is_wanted = |kind| only.is_none_or(|only| only == kind);
    let has_key = queues.iter().any(|(_, queue)| queue.kms_key.is_some());
    // Whoever is in no role may be of another account than the bucket.
    let may_be_foreign = parts.contains_key(&None);
    let names_account = (is_wanted(Kind::Queue) && !queues.is_empty())
        || (is_wanted(Kind::Key) && has_key)
        || (is_wanted(Kind::Bucket) && may_be_foreign);
    let names_principal = (is_wanted(Kind::Trust) && !trusts.is_empty())
        || (is_wanted(Kind::Key) && has_key)
        || (is_wanted(Kind::Bucket) && may_be_foreign);
    let account = known(account(first, &queues, told), names_account || told.account.is_some());
    let principal = known(principal(&queues, told), names_principal || told.principal.is_some());
    let (account, principal) = match (account, principal) {
        (Ok(account), Ok(principal)) => (account, principal),
        (account, principal) => {
            let missing = [account.err(), principal.err()].into_iter().flatten();
            return Err(missing.collect::<Vec<_>>().join("; "));
        }
    };

    let mut all = Vec::new();
    let mut add = |kind, of: &str, statements| {
        all.push(Attached { kind, of: of.to_owned(), policy: Document::of(statements) });
    };
    for (role, statements) in &permissions {
        add(Kind::Permissions, role.unwrap_or(NO_ROLE), statements.clone());
    }
    for (role, external_id) in &trusts {
        add(Kind::Trust, role, vec![policy::trust(&principal, *external_id)]);
    }
    let is_foreign = account_of(&principal) != Some(account.as_str());
    if let Some(statements) = permissions.get(&None).filter(|_| is_foreign && parts.contains_key(&None)) {
        let own = statements.iter().filter(|statement| statement.is_on(&bucket_arn)).cloned();
        add(Kind::Bucket, &bucket_arn, policy::let_in(&principal, own.collect()));
    }
    for (arn, queue) in &queues {
        let arn = arn.to_string();
        let reader = queue.access.role_arn.as_deref().unwrap_or(&principal);
        add(Kind::Queue, &arn, vec![policy::send(&arn, &bucket_arn, &account)]);
        if let Some(key) = &queue.kms_key {
            add(Kind::Key, key, vec![policy::encrypt(&bucket_arn, &account), policy::decrypt(reader)]);
        }
    }
    all.retain(|attached: &Attached| is_wanted(attached.kind));
    Ok(all)
}

/// The ARN of a queue that S3 may send to, or why nothing can be allowed there.
fn sent_to(queue: &crate::config::Queue, bucket: &Bucket) -> Result<Arn, String> {
    let url = &queue.url;
    let Some(arn) = Arn::of_queue(url, queue.access.region.as_deref()) else {
        return Err(format!(
            "queue {url} is left out: its URL does not name an account and a region, as those of AWS do; name the region in \
             its section if the account is there"
        ));
    };
    match &bucket.access.region {
        Some(region) if arn.region != *region => Err(format!(
            "queue {url} is left out: it is in {}, and bucket {:?} in {region}, from where S3 does not send there",
            arn.region, bucket.name
        )),
        _ => Ok(arn),
    }
}

/// What is not among the policies of `bucket` although it is configured, or asked for, and why.
pub fn left_out(config: &Config, bucket: &[&Bucket], made: &[Attached], only: Option<Kind>) -> Vec<String> {
    let Some(first) = bucket.first() else { return Vec::new() };
    let concerns_queues = matches!(only, None | Some(Kind::Permissions | Kind::Queue | Kind::Key));
    let queues = config.queues.iter().filter(|_| concerns_queues);
    let mut left: Vec<String> = queues.filter_map(|queue| sent_to(queue, first).err()).collect();
    let why = match only.filter(|_| made.is_empty()) {
        None | Some(Kind::Permissions) => None,
        Some(Kind::Trust) => Some("no role is taken on: no section has role_arn"),
        Some(Kind::Bucket) => Some(
            "whoever asks for the bucket is of the account that owns it, so its own policy need not let anybody in",
        ),
        Some(Kind::Queue) => left.is_empty().then_some("no queue is configured: add a [[queue]]"),
        Some(Kind::Key) => Some(
            "no [[queue]] section has kms_key, and what S3 and SQS encrypt with keys of their own takes no policy",
        ),
    };
    left.extend(why.map(|why| format!("there is nothing to print: {why}")));
    left
}

/// What is known; what nobody asks for need not be.
fn known(found: Result<String, String>, is_asked: bool) -> Result<String, String> {
    if is_asked { found } else { Ok(found.unwrap_or_default()) }
}

/// The account that owns the bucket: where its role is, else where the queue is.
fn account(bucket: &Bucket, queues: &[(Arn, &crate::config::Queue)], told: &Told) -> Result<String, String> {
    let of_role = bucket.access.role_arn.as_deref().and_then(account_of).map(str::to_owned);
    let of_queue = queues.first().map(|(arn, _)| arn.account.clone());
    match told.account.clone().or(of_role).or(of_queue) {
        Some(account) if is_account(&account) => Ok(account),
        Some(account) => Err(format!("--account must be the twelve digits of an account, not {account:?}")),
        None => {
            Err(format!("the account that owns {:?} is not known: add --account 123456789012", bucket.name))
        }
    }
}

/// Whoever takes on the roles; anybody whom the queue's account lets do so, unless it is told.
fn principal(queues: &[(Arn, &crate::config::Queue)], told: &Told) -> Result<String, String> {
    if let Some(principal) = &told.principal {
        return match account_of(principal) {
            Some(_) => Ok(principal.clone()),
            None => Err(format!(
                "--principal must be the ARN of a user or role such as \"arn:aws:iam::123456789012:role/stocktake\", \
                 not {principal:?}"
            )),
        };
    }
    let of_queue = queues.first().map(|(arn, _)| format!("arn:{}:iam::{}:root", arn.partition, arn.account));
    of_queue.ok_or_else(|| {
        "who the daemon is, is not known: add --principal with the ARN of its user or role".to_owned()
    })
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

#[cfg(test)]
#[path = "documents/tests.rs"]
mod tests;
