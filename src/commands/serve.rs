//! `stocktake serve`.

use super::until_signalled;
use crate::cli::{self, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::{daemon, metrics};

pub(super) async fn serve(config: &Config, migrate: bool, clock: Clock) -> anyhow::Result<Exit> {
    config.require_buckets()?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let metrics = metrics::install()?;
    let shutdown = until_signalled()?;
    tracing::info!(version = cli::VERSION, "stocktake starts");
    daemon::serve(config, migrate, metrics, clock, shutdown).await?;
    tracing::info!("stocktake has stopped");
    Ok(Exit::Done)
}
