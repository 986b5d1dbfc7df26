//! When an inventory report is read instead of a listing.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::schedule::{Keeper, LOOK_EVERY, until_due};
use crate::bucket::{Bucket, Objects};
use crate::catalog::{Effect, LastRun, Reason};
use crate::inventory::{self, Source};
use crate::pulse;

/// How long no report may come before that is a problem: they are made each day or each Sunday, and may
/// take two days
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/configure-inventory.html>).
const MISSED_AFTER: Duration = Duration::from_secs(9 * 24 * 3600);

impl<B: Bucket + Objects> Keeper<B> {
    /// Reads the newest report if a run is due, where `listed` is the last
    /// complete listing. How long to rest then.
    pub(super) async fn keep_true_by_reports(
        &self,
        source: &Source<B>,
        listed: LastRun,
        shutdown: &CancellationToken,
    ) -> Result<Duration, Trouble> {
        let Self { catalog, connection, clock, .. } = self;
        let postgres = |action| self.postgres(action);
        let prefix = &connection.prefix;
        // It stays a problem until a run is complete, and until then what else differs is beside the point.
        if let Some(why) = catalog.guarded(connection).await.map_err(postgres("read the last run"))? {
            return Err(Trouble::guarded(&connection.bucket, prefix, why));
        }
        let read = catalog.last_report(connection, prefix).await.map_err(postgres("read the last report"))?;
        let started_at =
            read.as_ref().map_or(listed.started_at, |read| read.started_at.max(listed.started_at));
        let last = LastRun { started_at, ..listed };
        let rest = until_due(Some(last), self.period(), clock());
        if rest.is_zero() {
            match self.read_report(source, shutdown).await {
                Err(trouble @ Trouble::Flooded { .. }) => {
                    tracing::warn!(bucket = connection.bucket, prefix, "a listing is asked for: {trouble}");
                    return Ok(Duration::ZERO);
                }
                Ok(()) | Err(Trouble::Elsewhere(_)) => return Ok(self.period().min(LOOK_EVERY)),
                Err(Trouble::NoReport { is_any: true, .. }) if clock() - last.started_at < MISSED_AFTER => {}
                Err(trouble) => return Err(trouble),
            }
        }
        match read.filter(|read| read.status == "failed" && !read.is_outlisted) {
            // It stays a problem until a better one can be read.
            Some(read) => Err(Trouble::Useless(connection.bucket.clone(), read.error.unwrap_or_default())),
            None => Ok(rest.min(LOOK_EVERY)),
        }
    }

    /// Reads the newest report when it is our turn.
    async fn read_report(&self, source: &Source<B>, shutdown: &CancellationToken) -> Result<(), Trouble> {
        let Self { catalog, connection, clock, .. } = self;
        let turn = self.turns.acquire();
        let _turn = pulse::rest(shutdown.run_until_cancelled(turn)).await.ok_or(Trouble::Stopped)?;
        let settings = inventory::Settings {
            effect: Effect::Keep,
            reason: Reason::Schedule,
            limit: self.schedule.recheck_limit,
        };
        let prefix = &connection.prefix;
        // Postgres sorts all of it in one statement.
        let read = inventory::run(source, catalog, connection, prefix, settings, *clock, shutdown);
        pulse::rest(Box::pin(read)).await.map(drop)
    }
}
