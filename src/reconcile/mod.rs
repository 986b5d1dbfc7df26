//! Runs: a listing beside the catalog's rows, and what differs put right.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::catalog::{Catalog, Connection, Counts, Effect, Run};
use crate::chain::chain;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::model::{Drift, Unsorted, Window};

mod pages;
mod schedule;
mod sweep;

pub use schedule::{Keeper, Schedule};
use sweep::{Swept, sweep};

/// Why a run did not end well. What it repaired before stays repaired.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Another run of this connection is under way.
    #[error("another run of {bucket:?} below {prefix:?} is under way")]
    Busy {
        /// The bucket.
        bucket: String,
        /// The connection's prefix.
        prefix: String,
    },
    /// A page could not be listed.
    #[error(transparent)]
    S3(#[from] Fault),
    /// Rows could not be read or written.
    #[error("{0} of {1:?}")]
    Postgres(&'static str, String, #[source] sqlx::Error),
    /// The store does not list in byte order.
    #[error("list versions of {0:?}")]
    Unsorted(String, #[source] Unsorted),
    /// The daemon is going down.
    #[error("the daemon was told to stop")]
    Stopped,
}

impl Trouble {
    /// What is wrong, in words that stay the same while it does: the log also has the id of each request.
    pub fn message(&self) -> String {
        match self {
            Self::S3(fault) => fault.to_string(),
            other => chain(other),
        }
    }

    /// What an operator can do about it.
    pub fn remedy(&self) -> &str {
        match self {
            Self::S3(fault) => &fault.remedy,
            Self::Busy { .. } => "wait for it to end",
            Self::Postgres(..) => "see that Postgres runs, and what its log says",
            Self::Unsorted(..) => "reconcile only stores that list in the byte order of keys, as S3 does",
            Self::Stopped => "start it again",
        }
    }
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its id in `catalog.reconciliations`; a rehearsal has none.
    pub run_id: Option<i64>,
    /// How much it listed.
    pub counts: Counts,
    /// How much drift of each kind.
    pub drift: BTreeMap<Drift, i64>,
    /// How many keys have to be listed again, alone.
    pub doubts: usize,
    /// How many tombstones it made useless.
    pub purged: u64,
}

/// Lists everything of `connection` below `prefix` (its own, or a longer one) and puts the catalog
/// right; a rehearsal only tells what it would have done. A run over all of the connection makes
/// its window the watermark.
///
/// # Errors
/// See [`Trouble`]. The ledger says the same.
pub async fn run<B: Bucket>(
    bucket: &B,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    effect: Effect,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<Summary, Trouble> {
    let postgres =
        |action: &'static str| move |error| Trouble::Postgres(action, connection.bucket.clone(), error);
    let (versioning, start) = bucket.versioning().await?;
    if effect == Effect::Rehearse {
        let swept = sweep(bucket, catalog, connection, prefix, None, start, clock, shutdown).await?;
        return Ok(summary(None, swept, 0));
    }
    tracing::info!(bucket = connection.bucket, prefix, %versioning, "run starts");
    let run = catalog
        .start_run(connection, prefix, start.from, clock())
        .await
        .map_err(postgres("start a run"))?
        .ok_or_else(|| Trouble::Busy {
            bucket: connection.bucket.clone(),
            prefix: connection.prefix.clone(),
        })?;
    match sweep_and_complete(bucket, catalog, connection, &run, start, clock, shutdown).await {
        Ok(summary) => Ok(summary),
        Err(trouble) => {
            let is_stopped = matches!(trouble, Trouble::Stopped);
            if let Err(error) =
                catalog.fail_run(connection, &run, is_stopped, &chain(&trouble), clock()).await
            {
                tracing::warn!(%error, run_id = run.run_id, "note that a run failed");
            }
            Err(trouble)
        }
    }
}

async fn sweep_and_complete<B: Bucket>(
    bucket: &B,
    catalog: &Catalog,
    connection: &Connection,
    run: &Run,
    start: Window,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<Summary, Trouble> {
    let postgres =
        |action: &'static str| move |error| Trouble::Postgres(action, connection.bucket.clone(), error);
    let swept = sweep(bucket, catalog, connection, &run.prefix, Some(run), start, clock, shutdown).await?;
    let window = Window { from: run.started, to: swept.window.to };
    catalog.note_progress(run, swept.counts).await.map_err(postgres("note the progress of a run"))?;
    catalog.complete_run(connection, run, window, clock()).await.map_err(postgres("complete a run"))?;
    let is_whole = run.prefix == connection.prefix;
    let purged = if is_whole {
        catalog.purge_tombstones(connection, window.from).await.map_err(postgres("purge tombstones"))?
    } else {
        0
    };
    let summary = summary(Some(run.run_id), swept, purged);
    tracing::info!(
        bucket = connection.bucket,
        prefix = run.prefix,
        run_id = run.run_id,
        keys = summary.counts.keys,
        versions = summary.counts.versions,
        drift = summary.drift.values().sum::<i64>(),
        doubts = summary.doubts,
        purged,
        "run complete"
    );
    Ok(summary)
}

fn summary(run_id: Option<i64>, swept: Swept, purged: u64) -> Summary {
    Summary { run_id, counts: swept.counts, drift: swept.drift, doubts: swept.doubts, purged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;

    #[test]
    fn the_same_trouble_again_is_no_news() {
        let attempt = |request: &str| {
            Trouble::from(Fault {
                action: "list".to_owned(),
                kind: Kind::Denied,
                answer: "AccessDenied".to_owned(),
                remedy: "allow it".to_owned(),
                source: Some(request.into()),
            })
        };
        assert_eq!(attempt("request id 1").message(), "list: AccessDenied");
        assert_eq!(attempt("request id 2").message(), attempt("request id 1").message());
        assert_eq!(chain(&attempt("request id 2")), "list: AccessDenied: request id 2");
    }
}
