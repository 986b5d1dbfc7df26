//! Carries a plan out, step by step, and looks whether it came about.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::{Instant, sleep};

use super::doctor::{Depth, examined};
use super::estate::{Builder, Notices, QueueLook, Side};
use super::finding::Verdict;
use super::plan::{Action, BEFORE, DEAD, Found, MADE, Plan, Target};
use super::{Arn, Wish, notice};
use crate::aws::partition;
use crate::bucket::rules::Rules;
use crate::chain::chain;
use crate::clock::Clock;
use crate::fault::{Fault, Kind};

/// How long S3 may find that it cannot send to a queue whose policy was just written: policies take up
/// to a minute
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
const VALID_PATIENCE: Duration = Duration::from_secs(90);
const VALID_EVERY: Duration = Duration::from_secs(5);
/// How often the whole is read, merged and written when somebody else writes it at the same time.
const RACES_MAX: usize = 3;

/// What is meant, as far as it is known before anybody is asked.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The part of the bucket, and the queues that may be told.
    pub wish: Wish,
    /// The URL of the queue, or its name.
    pub queue: String,
    /// The region of bucket and queue, if it is known.
    pub region: Option<String>,
    /// The account that owns the bucket, if it is told.
    pub account: Option<String>,
    /// The key that the queue is to be encrypted with.
    pub kms_key: Option<String>,
}

/// Whether a bucket that does not exist any more will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    Needed,
    /// It may be gone, and what told of it with it.
    PerhapsGone,
}

/// Looks at what is there.
///
/// # Errors
/// When what must be known cannot be.
pub async fn survey(
    estate: &impl Builder,
    meant: &Meant,
    presence: Presence,
    clock: Clock,
) -> anyhow::Result<(Target, Found)> {
    let Meant { wish, .. } = meant;
    let us = estate.identity(Side::Queue(&meant.queue)).await.map_err(told)?;
    let name = meant.queue.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let place = match estate.region().await {
        Err(fault) if fault.kind == Kind::Absent && presence == Presence::PerhapsGone => None,
        region => Some(place(estate, meant, region.map_err(told)?).await?),
    };
    let is_there = place.is_some();
    let Place { region, account, rules, configuration } = place.unwrap_or_else(|| Place {
        region: meant.region.clone().unwrap_or_default(),
        account: meant.account.clone().unwrap_or_else(|| us.account.clone()),
        rules: Rules::default(),
        configuration: String::new(),
    });
    let url = estate.queue_url(&name).await.map_err(told)?;
    let mut known = Found {
        is_there,
        queue: None,
        tags: BTreeMap::new(),
        dead: None,
        dead_is_made: false,
        rules,
        configuration,
        is_delivered: false,
    };
    let mut arn = Arn::new(&region, "sqs", &us.account, &name);
    if let Some(url) = &url {
        let queue = estate.queue(url).await.map_err(told)?;
        arn = queue.arn.parse().unwrap_or(arn);
        if is_there {
            fits(&queue, url, &arn, &region)?;
        }
        known.queue = Some(queue);
        known.tags = estate.tags(url).await.map_err(told)?;
    } else {
        let wanted = Arn::of_queue(&meant.queue, meant.region.as_deref());
        if let Some(wanted) = wanted.filter(|wanted| wanted.account != us.account) {
            bail!(
                "queue {wanted} is of another account than ours, {}: set role_arn of its [[queue]] section to a role of that \
                 account, or name another queue with --queue",
                us.account
            );
        }
    }
    let dead = format!("{name}{DEAD}");
    let dead_arn = Arn { resource: dead.clone(), ..arn.clone() }.to_string();
    if let Some(url) = estate.queue_url(&dead).await.map_err(told)? {
        known.dead = Some(estate.queue(&url).await.map_err(told)?);
        known.dead_is_made = estate.tags(&url).await.map_err(told)?.contains_key(MADE);
    }
    if let Some(url) = url.filter(|_| is_there) {
        let wish = Wish { queues: vec![url], ..wish.clone() };
        let findings = examined(estate, &wish, Depth::Cheap, clock).await;
        known.is_delivered =
            findings.iter().any(|finding| finding.check == "notifications" && finding.verdict == Verdict::Ok);
    }
    let target = Target {
        bucket: wish.name.clone(),
        prefix: wish.prefix.clone(),
        bucket_arn: format!("arn:{}:s3:::{}", partition(&arn.region), wish.name),
        account,
        queue: (name, arn.to_string()),
        dead: (dead, dead_arn),
        kms_key: meant.kms_key.clone(),
    };
    Ok((target, known))
}

/// Where a bucket is, and whom it tells.
struct Place {
    region: String,
    account: String,
    rules: Rules,
    configuration: String,
}

async fn place(estate: &impl Builder, meant: &Meant, region: String) -> anyhow::Result<Place> {
    let Meant { wish, .. } = meant;
    if let Some(wanted) = wish.region.as_ref().filter(|wanted| **wanted != region) {
        bail!(
            "bucket {:?} is in {region}, and it is wanted in {wanted}: correct region or project_region of its section, or \
             --region; or connect another bucket",
            wish.name
        );
    }
    Ok(Place {
        region,
        account: account(estate, meant).await?,
        rules: estate.rules().await.map_err(told)?,
        configuration: estate.configuration().await.map_err(told)?,
    })
}

/// Whether S3 can send to a queue that is there.
fn fits(queue: &QueueLook, url: &str, arn: &Arn, region: &str) -> anyhow::Result<()> {
    ensure!(
        arn.region == region,
        "queue {url} is in {}, and the bucket in {region}: S3 sends to queues in the bucket's own region only; name \
         another with --queue",
        arn.region
    );
    ensure!(
        !queue.is_fifo,
        "queue {url} is a FIFO queue, which S3 cannot send to: name another with --queue"
    );
    Ok(())
}

/// The account that owns the bucket: S3 is asked whether it is ours.
async fn account(estate: &impl Builder, meant: &Meant) -> anyhow::Result<String> {
    if let Some(account) = &meant.account {
        return Ok(account.clone());
    }
    let us = estate.identity(Side::Bucket).await.map_err(told)?;
    ensure!(
        estate.is_owned_by(&us.account).await.map_err(told)?,
        "bucket {:?} is of another account than ours, {}: name it with --account, for the queue's policy",
        meant.wish.name,
        us.account
    );
    Ok(us.account)
}

/// Does what a plan says, and tells of each step when it is done.
///
/// # Errors
/// With what could not be done; what was done before stays, and the next attempt goes on from there.
pub async fn carry_out(
    estate: &impl Builder,
    plan: &Plan,
    skip_validation: bool,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut how = How { skip_validation, patience: Duration::ZERO };
    for step in &plan.steps {
        let Some(action) = &step.action else { continue };
        act(estate, action, how).await.with_context(|| format!("change {}", step.what))?;
        tell(&step.what);
        if let Action::MakeQueue { settings, .. } | Action::SetQueue { settings, .. } = action
            && settings.contains_key("Policy")
        {
            how.patience = VALID_PATIENCE;
        }
    }
    Ok(())
}

/// How a notification configuration is written.
#[derive(Clone, Copy)]
struct How {
    /// Whether S3 need not try whether it can send.
    skip_validation: bool,
    /// How long it may find that it cannot.
    patience: Duration,
}

async fn act(estate: &impl Builder, action: &Action, how: How) -> anyhow::Result<()> {
    let url = async |name: &str| {
        let url = estate.queue_url(name).await.map_err(told)?;
        url.with_context(|| format!("queue {name:?} is gone: plan again"))
    };
    match action {
        Action::MakeQueue { name, settings } => {
            let tags = BTreeMap::from([(MADE.to_owned(), "connect".to_owned())]);
            estate.make_queue(name, settings, &tags).await.map_err(told)
        }
        Action::SetQueue { name, settings, tags, untag } => {
            let url = url(name).await?;
            // What it was is written down before it is changed, and an earlier note is kept.
            let known =
                if tags.is_empty() { BTreeMap::new() } else { estate.tags(&url).await.map_err(told)? };
            let new: BTreeMap<String, String> = tags
                .iter()
                .filter(|(tag, _)| {
                    tag.starts_with(BEFORE) && !known.contains_key(*tag) && !known.contains_key(MADE)
                })
                .map(|(tag, value)| (tag.clone(), value.clone()))
                .collect();
            if !new.is_empty() {
                estate.tag(&url, &new).await.map_err(told)?;
            }
            estate.set_queue(&url, settings).await.map_err(told)?;
            if !untag.is_empty() {
                estate.untag(&url, untag).await.map_err(told)?;
            }
            Ok(())
        }
        Action::DeleteQueue { name } => {
            let url = url(name).await?;
            estate.delete_queue(&url).await.map_err(told)
        }
        Action::Tell { id, entry } => {
            rewrite(
                estate,
                how,
                |text| notice::with(text, entry),
                |after| after.iter().any(|entry| entry.id == *id),
            )
            .await
        }
        Action::Hush { id } => {
            rewrite(
                estate,
                how,
                |text| notice::without(text, id),
                |after| after.iter().all(|entry| entry.id != *id),
            )
            .await
        }
    }
}

/// Reads the whole configuration, changes it, writes it, and reads it again: S3 has no way to write
/// part of it, nor to write only if nobody else did.
async fn rewrite(
    estate: &impl Notices,
    how: How,
    change: impl Fn(&str) -> Result<String, String>,
    is_done: impl Fn(&[notice::Entry<'_>]) -> bool,
) -> anyhow::Result<()> {
    for _ in 0..RACES_MAX {
        let before = estate.configuration().await.map_err(told)?;
        let wanted = change(&before).map_err(anyhow::Error::msg)?;
        write(estate, &wanted, how).await?;
        let after = estate.configuration().await.map_err(told)?;
        let [had, kept, has] =
            [&before, &wanted, &after].map(|text| notice::entries(text).map_err(anyhow::Error::msg));
        let (had, kept, has) = (had?, kept?, has?);
        let is_in = |entries: &[notice::Entry<'_>], one: &notice::Entry<'_>| {
            entries.iter().any(|entry| entry.kind == one.kind && entry.id == one.id)
        };
        let lost: Vec<&str> =
            had.iter().filter(|one| is_in(&kept, one) && !is_in(&has, one)).map(|one| one.text).collect();
        ensure!(
            lost.is_empty(),
            "somebody else wrote the configuration at the same time, and these entries are not in it any more; see whether \
             they took them away: {}",
            lost.join(" ")
        );
        if is_done(&has) {
            return Ok(());
        }
    }
    bail!("somebody else writes the configuration all the time, and ours is lost each time: find out who")
}

/// Writes the configuration. Until a new policy has got around, S3 says that it cannot send.
async fn write(estate: &impl Notices, text: &str, how: How) -> anyhow::Result<()> {
    let deadline = Instant::now() + how.patience;
    loop {
        let fault = match estate.configure(text, how.skip_validation).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let is_early =
            fault.kind == Kind::Other && fault.answer.contains("validate the following destination");
        if !is_early {
            return Err(told(fault));
        }
        if Instant::now() + VALID_EVERY > deadline {
            return Err(unsent(&fault, text));
        }
        sleep(VALID_EVERY).await;
    }
}

/// S3 could not send to some destination, of which it commonly says which and why. Else it is one of those
/// in the configuration.
fn unsent(fault: &Fault, text: &str) -> anyhow::Error {
    let entries = notice::entries(text).unwrap_or_default();
    let all: Vec<&str> = entries.iter().filter_map(notice::Entry::destination).collect();
    let among = if all.iter().any(|destination| fault.answer.contains(destination)) {
        String::new()
    } else {
        format!("; it is one of these: {}", all.join(" "))
    };
    anyhow::anyhow!("{}{among}; {}", chain(fault), fault.remedy)
}

/// A fault with what to do about it, in one sentence.
fn told(fault: Fault) -> anyhow::Error {
    anyhow::anyhow!("{}; {}", chain(&fault), fault.remedy)
}

#[cfg(test)]
mod tests;
