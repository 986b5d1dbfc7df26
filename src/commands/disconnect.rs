//! `stocktake disconnect`: the exact reverse of `connect`, and of the rows if that is wanted.

use std::path::Path;

use anyhow::{Context, bail};

use super::connect::{Meeting, Planned, planned, print_to_people, shown, tell_part};
use super::print;
use crate::catalog::Catalog;
use crate::cli::{Disconnect, Exit, Format};
use crate::clock::Clock;
use crate::setup::connect::Presence;
use crate::setup::plan;
use crate::wiring;

/// What is said where neither the configuration nor the command line has the queue: rules that lead to another stay.
const UNNAMED: &str = "no [[queue]] section says which queue the bucket tells: what `connect` made without one is looked for; \
                       if it was another, name it with --queue, or disconnect before the section is taken out";

pub(super) async fn disconnect(
    file: Option<&Path>,
    options: &Disconnect,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let planned = planned(file, &options.place, Presence::PerhapsGone, plan::disconnect, clock).await?;
    let Planned { meeting, found, plan, .. } = &planned;
    let is_apply = options.resolve.apply;
    // What nothing is to be done about is perhaps not what was meant.
    let is_strange = meeting.is_new && plan.is_done();
    let must_know = options.drop_rows || is_strange;
    let catalog = known(meeting).await;
    let catalog = if must_know { Some(catalog?) } else { catalog.ok() };
    let is_unknown = is_strange && matches!(catalog, Some(None));
    if is_unknown {
        refuse_another_part(meeting).await?;
    }
    if is_unknown && !found.is_there {
        bail!("{}, nor does S3 have such a bucket: see its name{}", unknown(meeting), configured(meeting));
    }
    tell_part(&options.place, meeting, format)?;
    if options.place.queue.is_none() && meeting.config.queues.is_empty() {
        print_to_people(format, UNNAMED)?;
    }
    print(&shown(plan, format))?;
    let queue = planned.queue_to_go();
    if let Some(Some(catalog)) = &catalog {
        warn_of_others(catalog, options.drop_rows, queue).await;
    }
    if is_apply {
        planned.carry_out(options.resolve.skip_validation).await?;
    }
    let rows = match (options.drop_rows, &catalog) {
        (_, Some(None)) => Rows::Absent,
        (_, None) => Rows::Unseen,
        (false, _) => Rows::Kept,
        (true, Some(Some(_))) if !is_apply => Rows::Doomed,
        (true, Some(Some(catalog))) => drop_rows(catalog, meeting).await?,
    };
    if is_unknown {
        let words = format!("{}: there is nothing to undo{}", unknown(meeting), configured(meeting));
        print_to_people(format, &words)?;
        return Ok(Exit::Done);
    }
    let is_done = plan.is_done() && rows != Rows::Dropped;
    let last = match (is_apply, is_done) {
        (false, _) => "nothing was changed; --apply does what is planned",
        (true, true) => "there was nothing to do",
        (true, false) => "done",
    };
    let mut words = vec![rows.words(), last];
    let sections: Option<String> = match (meeting.is_new, queue) {
        (false, None) => Some(
            "take the [[bucket]] section out of the configuration, or a daemon goes on listing it".to_owned(),
        ),
        (false, Some(url)) => Some(format!(
            "take the [[bucket]] section out of the configuration, or a daemon goes on listing it, and the [[queue]] section of \
             {url}, or it goes on asking for a queue that is gone"
        )),
        (true, Some(url)) => Some(format!(
            "take the [[queue]] section of {url} out of the configuration, or a daemon goes on asking for a queue that is gone"
        )),
        (true, None) => None,
    };
    words.extend(sections.as_deref().filter(|_| is_apply));
    print_to_people(format, &words.join("\n"))?;
    Ok(Exit::Done)
}

/// What becomes of the rows of a bucket that is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Kept,
    Unseen,
    Doomed,
    Dropped,
    Absent,
}

impl Rows {
    fn words(self) -> &'static str {
        match self {
            Self::Kept => "rows in the catalog stay; --drop-rows drops them",
            Self::Unseen => "Postgres was not reached: what rows the catalog has of it stay",
            Self::Doomed => {
                "the rows in the catalog will be dropped, with the runs of the bucket and their drift; catalog.changes keeps \
                 what it has of their past"
            }
            Self::Dropped => {
                "the rows are dropped, with the runs of the bucket and their drift; catalog.changes keeps what it has of \
                 their past"
            }
            Self::Absent => "the catalog has no rows of it",
        }
    }
}

/// The catalog, if it has heard of the part of the bucket.
async fn known(meeting: &Meeting) -> anyhow::Result<Option<Catalog>> {
    let catalog = super::reached(wiring::catalog(&meeting.config)?).await?;
    let connection = wiring::connection(&meeting.config, &meeting.bucket);
    let is_known = catalog.has_schema().await.context("look for the schema of the catalog")?
        && catalog.is_connected(&connection).await.context("look for the bucket in the catalog")?;
    Ok(is_known.then_some(catalog))
}

/// Refuses to call a bucket unknown of which the catalog has another part, where the configuration has none that
/// could be named instead.
async fn refuse_another_part(meeting: &Meeting) -> anyhow::Result<()> {
    let name = &meeting.bucket.name;
    if meeting.config.buckets.iter().any(|section| section.name == *name && *section != meeting.bucket) {
        return Ok(());
    }
    let catalog = super::reached(wiring::catalog(&meeting.config)?).await?;
    if !catalog.has_schema().await.context("look for the schema of the catalog")? {
        return Ok(());
    }
    let prefixes = catalog.connected_prefixes(name).await.context("look for the bucket in the catalog")?;
    if !prefixes.is_empty() {
        bail!("{}, which has what is below {prefixes:?}: choose that with --prefix", unknown(meeting));
    }
    Ok(())
}

fn unknown(meeting: &Meeting) -> String {
    let crate::config::Bucket { name, prefix, .. } = &meeting.bucket;
    let below = if prefix.is_empty() { String::new() } else { format!(" below {prefix:?}") };
    format!("bucket {name:?}{below} is neither configured nor known to the catalog")
}

/// Other parts of the bucket, or else other buckets, that may have been meant.
fn configured(meeting: &Meeting) -> String {
    let sections = || meeting.config.buckets.iter().filter(|section| **section != meeting.bucket);
    let prefixes: Vec<&str> = sections()
        .filter(|section| section.name == meeting.bucket.name)
        .map(|section| section.prefix.as_str())
        .collect();
    if !prefixes.is_empty() {
        return format!("; of this bucket is configured what is below {prefixes:?}");
    }
    let names: Vec<&str> = sections().map(|section| section.name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("; configured are {names:?}") }
}

/// A daemon does not know of what is done here.
async fn warn_of_others(catalog: &Catalog, is_dropped: bool, queue: Option<&str>) {
    // Who only takes rules away need not know: a daemon tells by itself that it hears nothing.
    if !is_dropped && queue.is_none() {
        return;
    }
    match catalog.is_attended().await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::debug!(%error, "ask Postgres who is at work on the catalog"),
    }
    let queue = queue.map(|url| {
        format!("; queue {url} goes, and it asks for that until its [[queue]] section is out, too, and it is started again")
    });
    let queue = queue.unwrap_or_default();
    if is_dropped {
        tracing::warn!(
            "a daemon is at work on this catalog: if it has the [[bucket]] section, its runs of the bucket fail until it is \
             started again, and then it lists the bucket anew, so that the rows come back; take the section out, and start \
             it again{queue}"
        );
    } else {
        tracing::warn!("a daemon is at work on this catalog{queue}");
    }
}

async fn drop_rows(catalog: &Catalog, meeting: &Meeting) -> anyhow::Result<Rows> {
    let forgotten = catalog.forget(&wiring::connection(&meeting.config, &meeting.bucket)).await.context(
        "drop the rows; take the [[bucket]] section out and end the daemons first, as they are at work on them",
    )?;
    Ok(if forgotten { Rows::Dropped } else { Rows::Absent })
}
