//! `stocktake connect` and `stocktake disconnect`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::json;

use super::table::printable;
use super::{Usage, print};
use crate::aws::Access;
use crate::cli::{Connect, Disconnect, Exit, Format, Place};
use crate::clock::Clock;
use crate::config::{self, Bucket, Config};
use crate::setup::aws::Account;
use crate::setup::connect::{Meant, carry_out, survey};
use crate::setup::plan::{self, Action, Plan, Step, Target};
use crate::setup::{Wish, is_account, terraform};
use crate::telemetry;
use crate::wiring::{self, Clients};

/// A part of a bucket, the queue that is meant for it, and the way to ask about both.
struct Meeting {
    config: Config,
    bucket: Bucket,
    is_new: bool,
    meant: Meant,
    account: Account,
}

pub(super) async fn connect(
    file: Option<&Path>,
    options: &Connect,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let meeting = meet(file, &options.place).await?;
    let survey = survey(&meeting.account, &meeting.meant, clock).await;
    let (target, found) =
        survey.with_context(|| format!("look at bucket {:?} and its queue", meeting.bucket.name))?;
    if options.print.is_some() {
        print(&terraform(&target, &found))?;
        return Ok(Exit::Done);
    }
    let plan = plan::connect(&target, &found);
    print(&shown(&plan, format))?;
    if !plan.refusals.is_empty() {
        return Ok(Exit::Failed);
    }
    if options.apply {
        carry_out(&meeting.account, &plan, options.skip_validation, |what| tracing::info!("done: {what}"))
            .await?;
    }
    if format == Format::Text {
        print(&last_words(&meeting, &target, &plan, options.apply).await?)?;
    }
    Ok(Exit::Done)
}

pub(super) async fn disconnect(
    file: Option<&Path>,
    options: &Disconnect,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let meeting = meet(file, &options.place).await?;
    let survey = survey(&meeting.account, &meeting.meant, clock).await;
    let (target, found) =
        survey.with_context(|| format!("look at bucket {:?} and its queue", meeting.bucket.name))?;
    let plan = plan::disconnect(&target, &found);
    print(&shown(&plan, format))?;
    if options.apply {
        carry_out(&meeting.account, &plan, false, |what| tracing::info!("done: {what}")).await?;
    }
    let connection = wiring::connection(&meeting.config, &meeting.bucket);
    let mut words = Vec::new();
    if options.drop_rows && options.apply {
        let catalog = super::catalog(&meeting.config).await?;
        let forgotten = catalog.forget(&connection).await.context(
            "drop the rows; take the [[bucket]] section out and end the daemons first, as they are at work on them",
        )?;
        words.push(if forgotten { "the rows are dropped" } else { "there were no rows" });
    } else if options.drop_rows {
        words.push("the rows in the catalog will be dropped; what catalog.changes keeps of their past stays");
    } else {
        words.push("rows in the catalog stay; --drop-rows drops them");
    }
    words.push(if options.apply {
        "done; take the [[bucket]] section out of the configuration, or a daemon goes on listing it"
    } else {
        "nothing was changed; --apply does what is planned"
    });
    if format == Format::Text {
        print(&words.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// Reads the configuration, with a section more if the bucket has none yet: so all that is checked in a
/// file is checked here, too.
async fn meet(file: Option<&Path>, place: &Place) -> anyhow::Result<Meeting> {
    let env = config::environment();
    let mut config = config::load(file, env.clone())?;
    telemetry::start(&config.log)?;
    let is_meant = |bucket: &&Bucket| {
        bucket.name == place.bucket && place.prefix.as_ref().is_none_or(|prefix| bucket.prefix == *prefix)
    };
    let known: Vec<Bucket> = config.buckets.iter().filter(is_meant).cloned().collect();
    let is_new = known.is_empty();
    let bucket = match known.as_slice() {
        [] => {
            config = config::load(file, with_section(env, config.buckets.len(), place))?;
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
    if let Some(account) = place.account.as_ref().filter(|account| !is_account(account)) {
        return Err(
            Usage(format!("--account must be the twelve digits of an account, not {account:?}")).into()
        );
    }
    let (queue, access, kms_key) = queue(&config, &bucket, place)?;
    let account = Clients::default().account(&bucket, &access).await;
    let meant = Meant {
        wish: Wish { queues: Vec::new(), ..wiring::wish(&bucket, &[]) },
        queue,
        region: bucket.access.region.clone(),
        account: place.account.clone(),
        kms_key,
    };
    Ok(Meeting { config, bucket, is_new, meant, account })
}

fn with_section(mut env: HashMap<String, String>, index: usize, place: &Place) -> HashMap<String, String> {
    let mut set = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            env.insert(format!("STOCKTAKE_BUCKET__{index}__{key}"), value.clone());
        }
    };
    set("NAME", &Some(place.bucket.clone()));
    set("PREFIX", &place.prefix);
    set("PROJECT_REGION", &place.region);
    env
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

fn shown(plan: &Plan, format: Format) -> String {
    let steps = plan.steps.iter();
    match format {
        Format::Json => {
            let lines = steps.map(|step| {
                json!({ "what": step.what, "change": change(step), "lines": step.lines }).to_string()
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
async fn last_words(
    meeting: &Meeting,
    target: &Target,
    plan: &Plan,
    is_applied: bool,
) -> anyhow::Result<String> {
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
