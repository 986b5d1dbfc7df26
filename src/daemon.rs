//! The daemon: starts the loops, watches over them, and ends them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Connection, Daemon};
use crate::chain::chain;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::enrich::Enricher;
use crate::health::{Health, Subject};
use crate::ingest::{self, Activity, Backlog, Ending, Known, Plant, Settings, Source};
use crate::page::{self, Page};
use crate::recheck::Rechecker;
use crate::reconcile::{self, Keeper, Schedule};
use crate::setup::rounds::Rounds;
use crate::watch::Post;
use crate::wiring::{self, Clients};
use crate::{admin, metrics, pulse, supervisor, watch};

/// How long a batch that Postgres refuses is tried again before its messages are given back: other
/// buckets wait for it.
const BATCH_PATIENCE: Duration = Duration::from_secs(20);
/// How long one is held while Postgres is away. It costs its messages no further delivery, of which their
/// queue may grant few; but should it be only from here that Postgres cannot be reached, another daemon gets
/// them no sooner.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(3_600);
/// How much of the grace is kept for giving back what could not be committed.
const GIVE_BACK: Duration = Duration::from_secs(2);
/// How long the last words to Postgres and its farewell may take: all that follows the grace.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// How long one step of those may take that make many calls to AWS before they look around.
const SLOW_PATIENCE: Duration = Duration::from_secs(3_600);

/// Runs the daemon until `shutdown`, and then until what is in hand is committed or given back.
///
/// # Errors
/// When something cannot be right without an operator: an address that is taken, a schema that is
/// newer than this program, a loop that ended by itself.
pub async fn serve(
    config: &Config,
    migrate: bool,
    metrics: PrometheusHandle,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let health = Health::default();
    let mut tasks = JoinSet::new();
    let lookout = wiring::catalog_to_read(config)?;
    if let Some(address) = config.admin.listen {
        let listener = admin::bind(address).await?;
        let page = if config.admin.shows_page() {
            let config = Arc::new(config.clone());
            Page::new(lookout.clone(), config, health.clone(), pulse::of_process(), clock).router()
        } else {
            page::refused()
        };
        let admin = admin::serve(
            listener,
            health.clone(),
            pulse::of_process(),
            metrics.clone(),
            page,
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = admin.await {
                tracing::error!("{}", chain(error.as_ref()));
            }
            "admin endpoint"
        });
    }
    tasks.spawn(named("metrics", metrics::upkeep(metrics, shutdown.clone())));
    tasks.spawn(named("watchdog", supervisor::watchdog(pulse::of_process(), shutdown.clone())));
    let catalog = wiring::catalog(config)?;
    let connections: Arc<[Arc<Connection>]> =
        config.buckets.iter().map(|bucket| wiring::connection(config, bucket)).collect();
    let daemon = Daemon {
        daemon_id: fastrand::i64(1..),
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        pid: std::process::id(),
    };
    let urls = config.queues.iter().map(|queue| queue.url.clone()).collect();
    let post = Post { daemon: daemon.clone(), known: Known::new(connections), urls };
    let prepared = watch::prepare(&catalog, &post, migrate, &health, clock, &shutdown).await?;
    let plant = Plant {
        catalog: catalog.clone(),
        known: post.known.clone(),
        activity: Activity::default(),
        backlog: Backlog::default(),
        health,
        clock,
        ending: Ending { stop: shutdown.clone(), give_back: CancellationToken::new() },
    };
    if prepared {
        start_loops(config, &plant, post, lookout, &mut tasks).await;
        supervisor::tell_ready();
        tracing::info!(buckets = config.buckets.len(), queues = config.queues.len(), "serving");
    }
    let ended = watch_over(&mut tasks, &shutdown).await;
    supervisor::tell_stopping();
    drain(tasks, config.shutdown.grace, &plant.ending.give_back).await;
    let last_words = async {
        plant.activity.tell(&catalog, &plant.known).await;
        plant.activity.tell_traffic(&catalog, &plant.known.all()).await;
        let _ = catalog.tell_changes().await;
        let _ = catalog.take_leave(&daemon).await;
        catalog.close().await;
    };
    if tokio::time::timeout(CLOSE_PATIENCE, last_words).await.is_err() {
        tracing::warn!("left connections to Postgres open: they were still in use");
    }
    ended
}

async fn start_loops(
    config: &Config,
    plant: &Plant,
    post: Post,
    lookout: Catalog,
    tasks: &mut JoinSet<&'static str>,
) {
    let Plant { catalog, health, clock, .. } = plant;
    let (connections, urls) = (post.known.own(), Arc::clone(&post.urls));
    let (clock, shutdown) = (*clock, &plant.ending.stop);
    let mut clients = Clients::default();
    let mut queues = Vec::new();
    for queue in &config.queues {
        queues.push(Source {
            name: queue.url.clone(),
            queue: Arc::new(clients.queue(queue).await),
            receivers: queue.receivers,
            visibility: queue.visibility_timeout,
        });
    }
    let settings = Settings {
        workers: config.ingest.workers,
        batch_records: config.ingest.batch_records,
        bytes_in_hand: config.ingest.bytes_in_hand,
        patience: BATCH_PATIENCE,
        outage: OUTAGE_PATIENCE,
    };
    ingest::start(plant, queues, settings, tasks);
    let activity = plant.activity.clone().keep_telling(catalog.clone(), post.known.clone(), shutdown.clone());
    tasks.spawn(named("activity", activity));
    let history = plant.activity.clone().keep_counting(catalog.clone(), post.known.clone(), shutdown.clone());
    tasks.spawn(named("history", history));
    tasks.spawn(named("news of changes", catalog.clone().keep_telling_changes(shutdown.clone())));
    tasks.spawn(named(
        "ledger",
        watch::keep_ledger(catalog.clone(), config.ledger.keep, clock, shutdown.clone()),
    ));
    tasks
        .spawn(named("journal", watch::keep_journal(catalog.clone(), config.journal.keep, shutdown.clone())));
    tasks.spawn(named(
        "database watch",
        watch::database(
            catalog.clone(),
            post.clone(),
            plant.backlog.clone(),
            health.clone(),
            clock,
            shutdown.clone(),
        ),
    ));
    tasks.spawn(named("locks", watch::locks(lookout, health.clone(), clock, shutdown.clone())));
    tasks.spawn(named(
        "problems",
        watch::mirror_problems(catalog.clone(), health.clone(), subjects(config), clock, shutdown.clone()),
    ));

    let turns = Arc::new(Semaphore::new(config.reconcile.runs));
    for bucket in &config.buckets {
        let parts = config.buckets.iter().filter(|part| part.name == bucket.name);
        let every = parts.filter_map(|part| part.reconcile_every).max().unwrap_or_default();
        metrics::reconcile_every(&bucket.name).set(every.as_secs_f64());
    }
    for (section, connection) in config.buckets.iter().zip(&**connections) {
        let bucket = Arc::new(clients.bucket(section).await);
        let inventory = match section.source {
            config::Source::Inventory => clients.inventory(section).await,
            config::Source::Listing => None,
        };
        let keeper = Keeper {
            bucket: Arc::clone(&bucket),
            inventory,
            catalog: catalog.clone(),
            connection: Arc::clone(connection),
            schedule: Schedule {
                every: section.reconcile_every.unwrap_or_default(),
                backlog_age: config.reconcile.backlog_age,
                backlog_wait: config.reconcile.backlog_wait,
                recheck_limit: config.recheck.limit,
                region: section.required_region.clone(),
                queues: Arc::clone(&urls),
            },
            settings: reconcile::Settings {
                concurrency: config.reconcile.concurrency,
                max_removals: config.reconcile.max_removals,
                ..reconcile::Settings::default()
            },
            backlog: plant.backlog.clone(),
            turns: Arc::clone(&turns),
            health: health.clone(),
            clock,
        };
        tasks.spawn(of(
            Arc::clone(connection),
            "bucket keeper",
            pulse::PATIENCE,
            keeper.keep_true(shutdown.clone()),
        ));
        if section.enrich.is_on() {
            let enricher = Enricher {
                bucket: Arc::clone(&bucket),
                catalog: catalog.clone(),
                connection: Arc::clone(connection),
                enrich: section.enrich,
                concurrency: config.enrich.concurrency,
                rate: config.enrich.rate,
                health: health.clone(),
                clock,
            };
            tasks.spawn(of(
                Arc::clone(connection),
                "details",
                SLOW_PATIENCE,
                enricher.look_at_versions(shutdown.clone()),
            ));
        }
        let rechecker = Rechecker {
            bucket,
            catalog: catalog.clone(),
            connection: Arc::clone(connection),
            concurrency: config.recheck.concurrency,
            health: health.clone(),
            clock,
        };
        tasks.spawn(of(
            Arc::clone(connection),
            "rechecks",
            pulse::PATIENCE,
            rechecker.settle_doubts(shutdown.clone()),
        ));
        if let Some(every) = config.doctor.every {
            let queues = wiring::queues_of(config, section);
            let rounds = Rounds {
                account: clients.account(section, &wiring::accesses(&queues)).await,
                wish: wiring::wish(section, &queues),
                every,
                health: health.clone(),
                clock,
            };
            tasks.spawn(of(
                Arc::clone(connection),
                "doctor's rounds",
                SLOW_PATIENCE,
                rounds.keep_looking(shutdown.clone()),
            ));
        }
    }
}

/// All that can have a problem.
fn subjects(config: &Config) -> Vec<Subject> {
    let queues = config.queues.iter().flat_map(|queue| {
        let url = || queue.url.clone();
        [
            Subject::Queue(url()),
            Subject::Returns(url()),
            Subject::Visibility(url()),
            Subject::DeadLetters(url()),
        ]
    });
    let buckets = config.buckets.iter().flat_map(|bucket| {
        let (name, prefix) = (|| bucket.name.clone(), || bucket.prefix.clone());
        [
            Subject::Bucket { name: name(), prefix: prefix() },
            Subject::Events { name: name(), prefix: prefix() },
            Subject::Notifications { name: name(), prefix: prefix() },
            Subject::SetUp { name: name(), prefix: prefix() },
            Subject::Unrepresentable { name: name(), prefix: prefix() },
            Subject::Rechecks { name: name(), prefix: prefix() },
            Subject::Details { name: name(), prefix: prefix() },
        ]
    });
    [Subject::Database, Subject::Locks].into_iter().chain(queues).chain(buckets).collect()
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    pulse::keep(name, task).await;
    name
}

/// A loop of one connection.
async fn of(
    connection: Arc<Connection>,
    name: &'static str,
    patience: Duration,
    task: impl Future<Output = ()>,
) -> &'static str {
    pulse::keep_slow(format!("{name} of {}", connection.subject()), patience, task).await;
    name
}

/// Waits until told to stop. A loop that ends before that, for any reason, ends the daemon: one
/// that goes on without it would look well and not be.
async fn watch_over(tasks: &mut JoinSet<&'static str>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let Some(ended) = shutdown.run_until_cancelled(tasks.join_next()).await else { return Ok(()) };
    // A loop may be quicker to hear of the end than we are.
    let is_told = shutdown.is_cancelled();
    shutdown.cancel();
    match ended {
        Some(Ok(_)) if is_told => Ok(()),
        Some(Ok(name)) => bail!("the {name} ended by itself"),
        Some(Err(error)) => Err(error).context("run a loop"),
        None => Ok(()),
    }
}

/// Gives the loops time to finish what they have in hand, and then to give back what they cannot.
async fn drain(mut tasks: JoinSet<&'static str>, grace: Duration, give_back: &CancellationToken) {
    let mut finish = pin!(async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a loop did not end well");
            }
        }
    });
    let last = GIVE_BACK.min(grace / 2);
    if tokio::time::timeout(grace - last, finish.as_mut()).await.is_ok() {
        return;
    }
    give_back.cancel();
    match tokio::time::timeout(last, finish).await {
        Ok(()) => tracing::warn!("could not commit all that was in hand: gave its messages back"),
        Err(_) => {
            tracing::warn!(
                "left work undone after {grace:?}: what was under way is done again, and messages in hand come again by themselves"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One loop that has ended, watched over by somebody who did not look before.
    async fn ended(shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { "loop" });
        tokio::task::yield_now().await;
        watch_over(&mut tasks, shutdown).await
    }

    #[tokio::test]
    async fn a_loop_that_ends_by_itself_ends_the_daemon() {
        let shutdown = CancellationToken::new();
        assert_eq!(ended(&shutdown).await.unwrap_err().to_string(), "the loop ended by itself");
        assert!(shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_loop_that_was_told_to_end_may_be_the_first_to_do_so() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        ended(&shutdown).await.unwrap();
    }
}
