//! Watches the database: gets it ready, sees that it answers, and keeps a note of what is wrong
//! in it for `stocktake status`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use sqlx::migrate::MigrateError;
use tokio_util::sync::CancellationToken;

use crate::catalog::{
    AWAY, Catalog, Connection, POOLED_REMEDY, SchemaError, Trouble, is_pooled, remedy_of, trouble,
};
use crate::chain::chain;
use crate::clock::Clock;
use crate::health::{Health, Subject};
use crate::ingest::Backlog;
use crate::setup::{Verdict, examine_partitions};
use crate::{metrics, pulse};

mod locks;
mod post;

pub(crate) use locks::{locks, waits_for_lock};
pub(crate) use post::Post;

/// How often Postgres is told that we are there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How often days of the journal are made and dropped.
const JOURNAL_EVERY: Duration = Duration::from_secs(60);
/// How often old entries of the ledger are forgotten.
const LEDGER_EVERY: Duration = Duration::from_secs(60);
/// How often what is wrong is written down.
const MIRROR_EVERY: Duration = Duration::from_secs(1);
/// The first pause before a database that was not there is tried again; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Brings the schema up to date and makes room for every connection, as soon as Postgres is there.
/// False when told to stop before that.
///
/// # Errors
/// When waiting cannot help: the schema is newer than this program, or a permission is missing.
pub(crate) async fn prepare(
    catalog: &Catalog,
    post: &Post,
    migrate: bool,
    health: &Health,
    clock: Clock,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut pause = PAUSE_FIRST;
    loop {
        let Some(prepared) = shutdown.run_until_cancelled(prepare_once(catalog, post, migrate, clock)).await
        else {
            return Ok(false);
        };
        let error = match prepared {
            Ok(()) => {
                health.ok(Subject::Database);
                return Ok(true);
            }
            Err(error) => error,
        };
        if !passes(&error) {
            return Err(error);
        }
        let message = chain(error.as_ref());
        let remedy = remedy(&error);
        if health.problem(Subject::Database, &message, remedy, clock()) {
            tracing::warn!(remedy, "database is not ready: {message}");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(false);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn prepare_once(catalog: &Catalog, post: &Post, migrate: bool, clock: Clock) -> anyhow::Result<()> {
    catalog.reach_session().await?;
    if migrate {
        catalog.migrate().await?;
    } else {
        catalog.must_be_migrated().await?;
    }
    for connection in &**post.known.own() {
        let Connection { bucket, prefix, .. } = &**connection;
        catalog
            .connect(connection, clock())
            .await
            .with_context(|| format!("make room for bucket {bucket:?} below {prefix:?}"))?;
        let found = catalog
            .partitions(bucket)
            .await
            .with_context(|| format!("look at the tables of bucket {bucket:?}"))?;
        let finding =
            examine_partitions(bucket, connection.partitions, found.unwrap_or(connection.partitions));
        if finding.verdict == Verdict::Warning {
            tracing::warn!(remedy = finding.remedy, "{}: {}", finding.subject, finding.found);
        }
    }
    let told = async {
        post.attend(catalog, None, clock).await?;
        post.be_known(catalog).await
    };
    told.await.context("tell other daemons of our buckets")
}

/// What an operator can do about a database that is not as it must be.
pub(crate) fn remedy(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref() {
        Some(SchemaError::Older { .. }) => {
            "run `stocktake migrate` as the owner of the schema: this daemon waits for it"
        }
        Some(SchemaError::Migrate(
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        )) if !matches!(trouble(error), Trouble::Locked | Trouble::Race) => remedy_of(error),
        Some(SchemaError::Migrate(_)) => {
            "wait, or end what holds a table that is to be changed: see pg_stat_activity"
        }
        _ if is_pooled(error) => POOLED_REMEDY,
        _ => error.chain().find_map(|cause| cause.downcast_ref()).map_or(AWAY, remedy_of),
    }
}

fn passes(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<SchemaError>() {
        return error.passes();
    }
    if is_pooled(error) {
        return true;
    }
    let postgres = error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
    postgres.is_some_and(|error| trouble(error).passes())
}

/// Tells Postgres from time to time that this daemon is there, which shows whether it can write, and asks
/// how things stand, until told to stop.
pub(crate) async fn database(
    catalog: Catalog,
    post: Post,
    backlog: Backlog,
    health: Health,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let ping = async || {
        post.attend(&catalog, backlog.heard(), clock).await?;
        catalog.levels().await
    };
    loop {
        pulse::beat();
        let Some(levels) = shutdown.run_until_cancelled(ping()).await else { return };
        match levels {
            Ok(levels) => {
                let age = levels.oldest_recheck.map(|asked_at| clock() - asked_at).unwrap_or_default();
                metrics::rechecks_pending().set(levels.rechecks as f64);
                metrics::rechecks_oldest_age().set(age.as_seconds_f64().max(0.0));
                metrics::quarantine_waiting().set(levels.quarantined as f64);
                for (bucket, connections) in levels.guarded {
                    metrics::runs_guarded(&bucket).set(connections as f64);
                }
                for (bucket, moment) in levels.complete_through {
                    metrics::complete_through(&bucket).set(moment.unix_timestamp() as f64);
                }
                if health.ok(Subject::Database) {
                    tracing::info!("database answers again");
                }
            }
            // Who keeps it is told by the watch of locks, and Postgres is there.
            Err(error) if waits_for_lock(&error, &health) => {
                tracing::debug!(%error, "tell that we are there")
            }
            Err(error) => {
                let Some(reached) = shutdown.run_until_cancelled(catalog.reach()).await else { return };
                let error = reached.err().unwrap_or(error.into());
                let (message, remedy) = (chain(error.as_ref()), remedy(&error));
                if health.problem(Subject::Database, &message, remedy, clock()) {
                    tracing::warn!(remedy, "database does not answer, or cannot write: {message}");
                }
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PING_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Forgets runs that ended before `keep`, with their drift, and what is in quarantine for longer, until told
/// to stop; zero is for ever. And sees that a clock which jumped puts nothing off for long.
pub(crate) async fn keep_ledger(catalog: Catalog, keep: Duration, clock: Clock, shutdown: CancellationToken) {
    loop {
        pulse::beat();
        match shutdown.run_until_cancelled(catalog.recall(clock())).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(entries)) => {
                tracing::warn!(entries, "the clock was set back: what it had put off for long is done now");
            }
            Some(Err(error)) => tracing::debug!(%error, "recall what is put off"),
        }
        if !keep.is_zero() {
            match shutdown.run_until_cancelled(catalog.prune_ledger(keep)).await {
                None => return,
                Some(Ok(0)) => {}
                Some(Ok(rows)) => tracing::info!(rows, "forgot old runs, drift and quarantine"),
                Some(Err(error)) => {
                    tracing::warn!(error = chain(&error), "prune the ledger; to be tried again");
                }
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(LEDGER_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Makes the days of the journal ahead, drops those from before `keep`, and sums up what is in the buckets,
/// until told to stop.
pub(crate) async fn keep_journal(catalog: Catalog, keep: Duration, shutdown: CancellationToken) {
    loop {
        pulse::beat();
        let done = async {
            catalog.fold_stats().await?;
            if !keep.is_zero() {
                catalog.add_journal_days().await?;
            }
            catalog.drop_journal_days(keep).await
        };
        match shutdown.run_until_cancelled(done).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(days)) => tracing::info!(days, "dropped days of the journal"),
            Some(Err(error)) => tracing::warn!(error = chain(&error), "keep the journal; to be tried again"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(JOURNAL_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Keeps `catalog.problems` what [`Health`] says, until told to stop. What an earlier process left
/// there is removed as soon as its subject is found well, and at once if it is none of `subjects`.
pub(crate) async fn mirror_problems(
    catalog: Catalog,
    health: Health,
    subjects: Vec<Subject>,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let names: Vec<String> = subjects.iter().map(ToString::to_string).collect();
    if let Err(error) = catalog.keep_problems_of(&names).await {
        tracing::debug!(%error, "forget old problems");
    }
    let mut written: BTreeMap<Subject, Option<String>> = BTreeMap::new();
    while shutdown.run_until_cancelled(tokio::time::sleep(MIRROR_EVERY)).await.is_some() {
        pulse::beat();
        for (subject, problem) in health.snapshot().subjects() {
            let message = problem.map(|problem| problem.message.clone());
            if written.get(subject) == Some(&message) {
                continue;
            }
            let name = subject.to_string();
            let outcome = match problem {
                Some(problem) => {
                    catalog.note_problem(&name, &problem.message, &problem.remedy, clock()).await
                }
                None => catalog.clear_problem(&name).await,
            };
            match outcome {
                Ok(()) => drop(written.insert(subject.clone(), message)),
                // The others would fail like it, and perhaps take as long.
                Err(error) => {
                    tracing::debug!(%error, subject = name, "write a problem down");
                    break;
                }
            }
        }
    }
}
