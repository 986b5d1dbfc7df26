//! What every test stands on: a stage of its own, the daemon on it, and what may go wrong between.

mod browser;
mod cluster;
mod daemon;
mod front;
mod relay;
#[expect(dead_code, reason = "a report in Parquet and one of current versions are for tests of the catalog")]
#[path = "../../support/report.rs"]
pub(crate) mod report;
mod stage;
mod tls;
mod truth;
mod writer;

pub(crate) use browser::Browser;
pub(crate) use cluster::Cluster;
pub(crate) use daemon::{Daemon, Told, alone, alone_with, free_address};
pub(crate) use front::{
    DELETE, Front, LIST, NOTIFY, Play, RECEIVE, Rule, query_error, s3_error, s3_error_with, sqs_error,
};
pub(crate) use relay::Relay;
pub(crate) use stage::{Config, REGION, Stage};
pub(crate) use tls::{Authority, TlsFront};
pub(crate) use writer::{KEYS, Writer};

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long anything may take that is not itself a promise of less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds what it looks for. `what` says what did not come.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where a program is, fetched if need be.
pub(crate) fn tool(name: &str) -> PathBuf {
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testbed/setup");
    let found = Command::new(setup).args(["--tool", name]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
}
