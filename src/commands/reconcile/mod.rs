//! `stocktake reconcile`: list buckets now.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use tokio_util::sync::CancellationToken;

use super::policy::beginnings;
use super::{Usage, print, until_signalled};
use crate::bucket::region::admitted;
use crate::bucket::{Bucket as _, s3};
use crate::catalog::{Catalog, Connection, Effect, Look, Reason};
use crate::chain::chain;
use crate::cli::{Exit, Format, Reconcile};
use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::inventory;
use crate::recheck;
use crate::reconcile::{Found, Rehearsal, Settings, Summary, Trouble, call_off, rehearse, run};
use crate::wiring::{self, Clients};
use progress::{Progress, Watched};

mod progress;
mod report;

/// How long doubts may take to be settled, beside what the margin of S3's clocks makes them wait.
const DOUBT_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that was to be listed, and what came of it.
struct Done {
    bucket: String,
    prefix: String,
    result: anyhow::Result<Outcome>,
}

/// What came of listing a connection.
enum Outcome {
    Run(Summary),
    Rehearsal(Rehearsed),
}

/// What a run would come to.
struct Rehearsed {
    found: Found,
    /// Of how many versions in the catalog it would remove too many, if it would.
    excess: Option<i64>,
    /// Of how many storage classes `catalog.bucket_stats` is wrong.
    wrong_sums: i64,
}

pub(super) async fn reconcile(
    config: &Config,
    options: &Reconcile,
    format: Format,
    clock: Clock,
) -> anyhow::Result<Exit> {
    config.require_buckets()?;
    let chosen = choose(config, options)?;
    let shutdown = until_signalled()?;
    let catalog = super::catalog(config).await?;
    let settings = Settings {
        concurrency: config.reconcile.concurrency,
        max_removals: config.reconcile.max_removals,
        allow_removals: options.allow_removals,
        ..Settings::default()
    };
    let mut clients = Clients::default();
    let mut done = Vec::new();
    for (section, prefix) in chosen {
        let connection = wiring::connection(config, section);
        let listing = Listing {
            bucket: Arc::new(clients.bucket(section).await),
            inventory: clients.inventory(section).await,
            source: options.source,
            usual_source: section.source,
            recheck_limit: config.recheck.limit,
            required_region: section.required_region.as_deref(),
            catalog: &catalog,
            connection: &connection,
            prefix: &prefix,
            clock,
        };
        let result = if shutdown.is_cancelled() {
            Err(anyhow!("bucket {:?} was not looked at: the command was interrupted before", section.name))
        } else if options.dry_run {
            listing.rehearse(&settings, &shutdown).await
        } else {
            listing.run(&settings, &shutdown).await
        };
        done.push(Done { bucket: section.name.clone(), prefix, result });
    }
    print(&match format {
        Format::Json => report::as_json(&done, options),
        Format::Text => report::as_text(&done, options),
    })?;
    Ok(if done.iter().all(|done| done.result.is_ok()) { Exit::Done } else { Exit::Failed })
}

/// The configured connections that are meant, each with the prefix to be listed.
fn choose<'a>(config: &'a Config, options: &Reconcile) -> anyhow::Result<Vec<(&'a config::Bucket, String)>> {
    let named = |bucket: &&config::Bucket| options.bucket.as_ref().is_none_or(|name| *name == bucket.name);
    let buckets: Vec<&config::Bucket> = config.buckets.iter().filter(named).collect();
    if buckets.is_empty() {
        return Err(Usage(format!(
            "bucket {:?} is not configured: add a [[bucket]] section for it",
            options.bucket.as_deref().unwrap_or("")
        ))
        .into());
    }
    if options.source == Some(Source::Inventory) {
        if let Some(bucket) = buckets.iter().find(|bucket| bucket.inventory.is_none()) {
            let message =
                format!("bucket {:?} has no inventory configured: set inventory in its section", bucket.name);
            return Err(Usage(message).into());
        }
        if options.allow_removals {
            let message =
                "an inventory report removes nothing by itself: leave --allow-removals or --source out";
            return Err(Usage(message.to_owned()).into());
        }
    }
    let Some(prefix) = &options.prefix else {
        return Ok(buckets.into_iter().map(|bucket| (bucket, bucket.prefix.clone())).collect());
    };
    let within: Vec<_> = buckets.iter().filter(|bucket| prefix.starts_with(&bucket.prefix)).collect();
    match within.first() {
        Some(bucket) => Ok(vec![(*bucket, prefix.clone())]),
        None => Err(Usage(format!(
            "prefix {prefix:?} is outside what is configured: choose one that begins with {}",
            beginnings(&buckets)
        ))
        .into()),
    }
}

/// What one listing takes.
struct Listing<'a> {
    bucket: Arc<s3::Bucket>,
    inventory: Option<inventory::Source<s3::Bucket>>,
    /// What the catalog is to be compared with, if the operator says so, and what the configuration says.
    source: Option<Source>,
    usual_source: Source,
    recheck_limit: usize,
    /// The region that the bucket must be in, if the configuration says so.
    required_region: Option<&'a str>,
    catalog: &'a Catalog,
    connection: &'a Connection,
    prefix: &'a str,
    clock: Clock,
}

impl Listing<'_> {
    async fn run(&self, settings: &Settings, shutdown: &CancellationToken) -> anyhow::Result<Outcome> {
        let Self { bucket, catalog, connection, prefix, clock, .. } = self;
        let name = &connection.bucket;
        let region = self.region().await?;
        // A name that S3 has never heard of is not to leave anything behind.
        let (versioning, _) =
            bucket.versioning().await.map_err(Trouble::from).map_err(|trouble| self.describe(trouble))?;
        let room = catalog.connect(connection, clock()).await;
        room.with_context(|| format!("make room for bucket {name:?}"))?;
        // As a daemon would.
        if let Some(region) = region {
            let look = Look { region, versioning, notifications: None, settles_at: None };
            let noted = catalog.describe(connection, &look, clock()).await;
            noted.with_context(|| format!("describe bucket {name:?}"))?;
        }
        let run = match self.report().await? {
            Some(report) => self.read(report, Effect::Keep, shutdown).await,
            None => {
                let work = run(bucket, catalog, connection, prefix, settings, *clock, shutdown);
                self.progress().beside(Watched::Run, work).await
            }
        };
        if matches!(run, Err(Trouble::Stopped)) {
            return Err(self.call_off().await?);
        }
        let mut summary = run.map_err(|trouble| self.describe(trouble))?;
        // A run close to another, or to events, leaves doubts that a daemon would settle. There may be none.
        let patience = connection.terms.margin * 4 + DOUBT_PATIENCE;
        let work = recheck::settle_all(&**bucket, catalog, connection, patience, *clock, shutdown);
        let left = self.progress().beside(Watched::Doubts, work).await;
        summary.doubts = left.with_context(|| format!("settle the doubts in bucket {name:?}"))?;
        if let Some(run_id) = summary.run_id {
            summary.drift = catalog.drift_of_run(run_id).await.context("read the drift of the run")?;
        }
        Ok(Outcome::Run(summary))
    }

    async fn rehearse(&self, settings: &Settings, shutdown: &CancellationToken) -> anyhow::Result<Outcome> {
        let Self { bucket, catalog, connection, prefix, clock, .. } = self;
        let is_connected = catalog.is_connected(connection).await;
        ensure!(
            is_connected.context("look for the bucket in the catalog")?,
            "bucket {:?} has never been listed: there is nothing to compare it with",
            connection.bucket
        );
        self.region().await?;
        if let Some(report) = self.report().await? {
            let read = self.read(report, Effect::Rehearse, shutdown).await;
            return read.map(Outcome::Run).map_err(|trouble| self.describe(trouble));
        }
        let rehearsal = Arc::new(Rehearsal::default());
        let (parts, seen) = (settings.concurrency, Arc::clone(&rehearsal));
        let work = rehearse(bucket, catalog, connection, prefix, parts, &rehearsal, *clock, shutdown);
        match self.progress().beside(Watched::Rehearsal(seen), work).await {
            Err(Trouble::Stopped) => return Err(anyhow!("interrupted; a rehearsal leaves nothing behind")),
            done => done.map_err(|trouble| self.describe(trouble))?,
        }
        let found = rehearsal.found();
        let excess = match settings.allow_removals {
            true => None,
            false => catalog
                .too_many(connection, prefix, found.removals, settings.max_removals)
                .await
                .context("count the versions in the catalog")?,
        };
        let wrong_sums = match *prefix == connection.prefix {
            true => catalog.wrong_sums(&connection.bucket).await.context("count the bucket")?,
            false => 0,
        };
        Ok(Outcome::Rehearsal(Rehearsed { found, excess, wrong_sums }))
    }

    /// The bucket's region, if it may be known; an error where the configuration demands another, or demands one and this
    /// one cannot be known.
    async fn region(&self) -> anyhow::Result<Option<String>> {
        let Self { bucket, connection, required_region, .. } = self;
        match admitted(&**bucket, &connection.bucket, *required_region).await {
            Ok(region) => Ok(Some(region)),
            Err(fault) if required_region.is_some() => Err(self.describe(Trouble::from(fault))),
            Err(_) => Ok(None),
        }
    }

    /// The inventory report to read instead of a listing. Without a word, a bucket that was never listed is
    /// listed.
    async fn report(&self) -> anyhow::Result<Option<&inventory::Source<s3::Bucket>>> {
        let horizon =
            self.catalog.horizon(self.connection).await.context("read the horizon of the catalog")?;
        let usual = if horizon.watermark.is_some() { self.usual_source } else { Source::Listing };
        let is_read = self.source.unwrap_or(usual) == Source::Inventory;
        Ok(self.inventory.as_ref().filter(|_| is_read))
    }

    async fn read(
        &self,
        report: &inventory::Source<s3::Bucket>,
        effect: Effect,
        shutdown: &CancellationToken,
    ) -> Result<Summary, Trouble> {
        let settings = inventory::Settings { effect, reason: Reason::Operator, limit: self.recheck_limit };
        inventory::run(report, self.catalog, self.connection, self.prefix, settings, self.clock, shutdown)
            .await
    }

    /// Ends a run that was interrupted, and says what becomes of it.
    async fn call_off(&self) -> anyhow::Result<anyhow::Error> {
        let Self { catalog, connection, prefix, clock, .. } = self;
        let is_over = call_off(catalog, connection, prefix, "the command was interrupted", *clock).await;
        let said = match is_over.context("note that the run was stopped")? {
            true => "the run is ended, what it repaired stays, and the next one begins anew",
            false => "another process is at work on the run, too, and goes on with it",
        };
        Ok(anyhow!("reconcile bucket {:?}: interrupted; {said}", connection.bucket))
    }

    fn progress(&self) -> Progress<'_> {
        Progress { catalog: self.catalog, connection: self.connection, prefix: self.prefix }
    }

    fn describe(&self, trouble: Trouble) -> anyhow::Error {
        anyhow!("reconcile bucket {:?}: {}; {}", self.connection.bucket, chain(&trouble), trouble.remedy())
    }
}
