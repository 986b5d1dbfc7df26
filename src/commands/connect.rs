//! `stocktake connect`, and what it shares with `stocktake disconnect`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::json;

use super::{Usage, print};
use crate::aws::Access;
use crate::bucket::rules::Destination;
use crate::cli::{Connect, Exit, Format, Place};
use crate::clock::Clock;
use crate::config::{self, Bucket, Config};
use crate::setup::aws::Account;
use crate::setup::connect::{Meant, Presence, carry_out, survey};
use crate::setup::plan::{self, Action, DEAD, Found, Plan, Step, Target};
use crate::setup::{Wish, is_account, terraform};
use crate::telemetry;
use crate::wiring::{self, Clients};
use crate::words::printable;

/// A part of a bucket, the queue that is meant for it, and the way to ask about both.
pub(super) struct Meeting {
    pub(super) config: Config,
    pub(super) bucket: Bucket,
    /// Whether no section is about it.
    pub(super) is_new: bool,
    meant: Meant,
    account: Account,
}

pub(super) async fn connect(
    file: Option<&Path>,
    options: &Connect,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let planned = planned(file, &options.place, Presence::Needed, plan::connect, clock).await?;
    if options.print.is_some() {
        print(&terraform(&planned.target, &planned.found))?;
        return Ok(Exit::Done);
    }
    tell_part(&options.place, &planned.meeting, format)?;
    print(&shown(&planned.plan, format))?;
    if !planned.plan.refusals.is_empty() {
        print_to_people(format, "nothing was changed")?;
        return Ok(Exit::Failed);
    }
    if options.resolve.apply {
        planned.carry_out(options.resolve.skip_validation).await?;
    }
    if format == Format::Text {
        print(&last_words(&planned, options.resolve.apply).await?)?;
    }
    Ok(Exit::Done)
}

/// Says which part of a bucket is meant, where the configuration decided.
pub(super) fn tell_part(place: &Place, meeting: &Meeting, format: Format) -> anyhow::Result<()> {
    let Bucket { name, prefix, .. } = &meeting.bucket;
    if place.prefix.is_some() || prefix.is_empty() {
        return Ok(());
    }
    let words =
        format!("of bucket {name:?} the part below {prefix:?} is meant, as its [[bucket]] section says");
    print_to_people(format, &words)
}

/// A plan, and what it was made from.
pub(super) struct Planned {
    pub(super) meeting: Meeting,
    target: Target,
    pub(super) found: Found,
    pub(super) plan: Plan,
}

impl Planned {
    /// The URL of the queue that is configured and will be deleted, if so.
    pub(super) fn queue_to_go(&self) -> Option<&str> {
        let goes = |step: &Step| matches!(&step.action, Some(Action::DeleteQueue { name }) if *name == self.target.queue.0);
        let queue = Destination::Queue(self.target.queue.1.clone());
        let mut urls = self.meeting.config.queues.iter().map(|queue| queue.url.as_str());
        self.plan.steps.iter().any(goes).then(|| urls.find(|url| queue.is_queue(url))).flatten()
    }

    pub(super) async fn carry_out(&self, skip_validation: bool) -> anyhow::Result<()> {
        let tell = |what: &str| tracing::info!("done: {what}");
        carry_out(&self.meeting.account, &self.plan, skip_validation, tell).await
    }
}

/// Looks at what is there, and plans.
pub(super) async fn planned(
    file: Option<&Path>,
    place: &Place,
    presence: Presence,
    plan: impl FnOnce(&Target, &Found) -> Plan,
    clock: Clock,
) -> anyhow::Result<Planned> {
    let meeting = meet(file, place).await?;
    let survey = survey(&meeting.account, &meeting.meant, presence, clock).await;
    let (target, found) =
        survey.with_context(|| format!("look at bucket {:?} and its queue", meeting.bucket.name))?;
    let plan = plan(&target, &found);
    Ok(Planned { meeting, target, found, plan })
}

pub(super) fn print_to_people(format: Format, words: &str) -> anyhow::Result<()> {
    if format == Format::Text { print(words) } else { Ok(()) }
}

/// Reads the configuration, with a section more if the bucket has none yet: so all that is checked in a
/// file is checked here, too.
async fn meet(file: Option<&Path>, place: &Place) -> anyhow::Result<Meeting> {
    let env = config::environment();
    let mut config = config::load(file, env.clone())?;
    telemetry::start(&config.log, &config.trace)?;
    let is_meant = |bucket: &&Bucket| {
        bucket.name == place.bucket && place.prefix.as_ref().is_none_or(|prefix| bucket.prefix == *prefix)
    };
    let known: Vec<Bucket> = config.buckets.iter().filter(is_meant).cloned().collect();
    let is_new = known.is_empty();
    let bucket = match known.as_slice() {
        [] => {
            let index = config.buckets.len();
            config = config::load(file, with_section(env, index, place))
                .map_err(|errors| of_flags(errors, index))?;
            config.buckets.last().cloned().context("add the bucket to the configuration")?
        }
        [bucket] => bucket.clone(),
        several => {
            let prefixes: Vec<&str> = several.iter().map(|bucket| bucket.prefix.as_str()).collect();
            let message = format!(
                "several parts of {:?} are configured: choose one with --prefix: {prefixes:?}",
                place.bucket
            );
            return Err(Usage(message).into());
        }
    };
    if let Some(wanted) = place.region.as_ref().filter(|_| !is_new) {
        let region = bucket.access.region.as_deref().unwrap_or("no region");
        if config::region_of_project(wanted).as_deref() != Some(region) {
            let message = format!(
                "--region {wanted:?}: the section of {:?} says {region} already: leave --region out, or change the section",
                bucket.name
            );
            return Err(Usage(message).into());
        }
    }
    if let Some(account) = place.account.as_ref().filter(|account| !is_account(account)) {
        return Err(
            Usage(format!("--account must be the twelve digits of an account, not {account:?}")).into()
        );
    }
    let (queue, access, kms_key) = queue(&config, &bucket, place)?;
    let account = Clients::default().account(&bucket, &[(&queue, &access)]).await;
    let meant = Meant {
        wish: Wish { queues: Vec::new(), ..wiring::wish(&bucket, &[]) },
        queue,
        region: bucket.access.region.clone(),
        account: place.account.clone(),
        kms_key,
    };
    Ok(Meeting { config, bucket, is_new, meant, account })
}

/// The options that stand in for keys of a section.
const FLAGS: [(&str, &str); 3] =
    [("name", "--bucket"), ("prefix", "--prefix"), ("project_region", "--region")];

fn with_section(mut env: HashMap<String, String>, index: usize, place: &Place) -> HashMap<String, String> {
    let values = [Some(&place.bucket), place.prefix.as_ref(), place.region.as_ref()];
    for ((key, _), value) in FLAGS.iter().zip(values) {
        if let Some(value) = value {
            env.insert(variable(index, key), value.clone());
        }
    }
    env
}

fn variable(index: usize, key: &str) -> String {
    format!("STOCKTAKE_BUCKET__{index}__{}", key.to_ascii_uppercase())
}

/// What is wrong with options is said of them, and not of the variables that they became.
fn of_flags(errors: config::Errors, index: usize) -> anyhow::Error {
    let mut lines = Vec::new();
    for config::Mistake { place, message } in errors.mistakes() {
        let of = |(key, _): &&(&str, &str)| {
            *place == format!("bucket[{index}].{key}") || *place == variable(index, key)
        };
        let Some((key, flag)) = FLAGS.iter().find(of) else { return errors.into() };
        let by = format!(" (set by {})", variable(index, key));
        lines.push(format!("{flag}: {}", message.strip_suffix(&by).unwrap_or(message)));
    }
    Usage(lines.join("; ")).into()
}

/// The queue that is meant, how it is reached, and its key.
fn queue(
    config: &Config,
    bucket: &Bucket,
    place: &Place,
) -> anyhow::Result<(String, Access, Option<String>)> {
    let near = wiring::queues_of(config, bucket);
    let is_named = |queue: &&&config::Queue| {
        place
            .queue
            .as_ref()
            .is_none_or(|named| queue.url == *named || queue.url.ends_with(&format!("/{named}")))
    };
    let known: Vec<&&config::Queue> = near.iter().filter(is_named).collect();
    match (known.as_slice(), &place.queue) {
        ([queue], _) => Ok((queue.url.clone(), queue.access.clone(), queue.kms_key.clone())),
        ([], named) => {
            if let Some(wrong) = named.as_deref().and_then(unfit) {
                return Err(Usage(format!("--queue: {wrong}")).into());
            }
            let access = Access { region: bucket.access.region.clone(), ..config.aws.clone() };
            Ok((named.clone().unwrap_or_else(|| "stocktake".to_owned()), access, None))
        }
        (several, _) => {
            let urls: Vec<&str> = several.iter().map(|queue| queue.url.as_str()).collect();
            Err(Usage(format!("several queues are configured: choose one with --queue: {}", urls.join(" ")))
                .into())
        }
    }
}

/// What is wrong with the name of a queue to be made, as SQS sees it
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>). A URL is of
/// a queue that is there.
fn unfit(name: &str) -> Option<String> {
    /// What SQS allows, less what the name of the queue for dead letters has more.
    const NAME_MAX: usize = 80 - DEAD.len();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.trim_end_matches('/').ends_with(".fifo") {
        return Some(format!("{name:?} is a FIFO queue, which S3 cannot notify: leave .fifo out"));
    }
    let is_fit = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_allowed);
    (!is_fit && !name.contains("://")).then(|| {
        format!("{name:?} is no name of a queue: that has up to {NAME_MAX} letters, digits, - and _")
    })
}

pub(super) fn shown(plan: &Plan, format: Format) -> String {
    let steps = plan.steps.iter();
    match format {
        Format::Json => {
            let lines = steps.map(|step| {
                let why = step.absent.map(str::to_owned);
                let lines: Vec<String> = why.into_iter().chain(step.lines.iter().cloned()).collect();
                json!({ "what": step.what, "change": change(step), "lines": lines }).to_string()
            });
            let refusals = plan.refusals.iter().map(|refusal| json!({ "refused": refusal }).to_string());
            lines.chain(refusals).collect::<Vec<_>>().join("\n")
        }
        Format::Text => {
            let refusals = plan.refusals.iter().map(|refusal| format!("refused: {refusal}"));
            let lines = steps.map(ToString::to_string).chain(refusals);
            // What others wrote is shown as it is, but for what a terminal would obey.
            lines
                .flat_map(|text| text.lines().map(printable).collect::<Vec<_>>())
                .collect::<Vec<_>>()
                .join("\n")
        }
    }
}

fn change(step: &Step) -> &'static str {
    match &step.action {
        None => "none",
        Some(Action::MakeQueue { .. }) => "make",
        Some(Action::SetQueue { .. } | Action::Tell { .. } | Action::Hush { .. }) => "change",
        Some(Action::DeleteQueue { .. }) => "delete",
    }
}

/// What was done or would be, and the sections that a daemon needs.
async fn last_words(planned: &Planned, is_applied: bool) -> anyhow::Result<String> {
    let Planned { meeting, target, plan, .. } = planned;
    use crate::setup::estate::Builder;
    let mut words = vec![match (plan.is_done(), is_applied) {
        (true, _) => "everything is as it must be: nothing is to be done".to_owned(),
        (false, false) => return Ok("nothing was changed; --apply does what is planned".to_owned()),
        (false, true) => {
            "done; it takes S3 about five minutes to begin. Then `stocktake doctor` looks at all of it"
                .to_owned()
        }
    }];
    if let Some(key) = &target.kms_key {
        words.push(format!("the policy of key {key} is not touched: see `stocktake policy --bucket B --account ID --only key`"));
    }
    let url = meeting.account.queue_url(&target.queue.0).await;
    let url = url.map_err(|fault| anyhow::anyhow!("{fault}; {}", fault.remedy))?;
    let url = url.with_context(|| format!("find queue {:?} that was just made", target.queue.0))?;
    ensure!(!url.is_empty(), "the queue has no URL");
    let mut sections = Vec::new();
    if !meeting.config.queues.iter().any(|queue| queue.url == url) {
        sections.push(format!("[[queue]]\nurl = {url:?}"));
    }
    if meeting.is_new {
        let Bucket { name, prefix, .. } = &meeting.bucket;
        let region = target.queue.1.split(':').nth(3).unwrap_or_default();
        sections.push(format!("[[bucket]]\nname = {name:?}\nprefix = {prefix:?}\nregion = {region:?}"));
    }
    if !sections.is_empty() {
        words.push("add to the configuration:".to_owned());
        words.push(String::new());
        words.push(sections.join("\n\n"));
    }
    Ok(words.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_cannot_be_made_is_not_planned() {
        let longest = "q".repeat(75);
        for fit in ["stocktake", "a-b_C9", &longest, "https://sqs.eu-central-1.amazonaws.com/123456789012/q"]
        {
            assert_eq!(unfit(fit), None, "{fit}");
        }
        let long = "q".repeat(76);
        for (name, expected) in [
            ("", "is no name of a queue"),
            ("bad name!", "up to 75 letters, digits, - and _"),
            ("größe", "is no name of a queue"),
            (&long, "is no name of a queue"),
            ("events.fifo", "which S3 cannot notify"),
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/q.fifo", "which S3 cannot notify"),
        ] {
            let wrong = unfit(name).unwrap_or_default();
            assert!(wrong.contains(expected), "{name}: {wrong}");
        }
    }
}
