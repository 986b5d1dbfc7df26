//! A daemon, and what lies between it and the world.

use std::os::unix::process::ExitStatusExt;

use crate::support::{Config, Daemon, Front, Relay, Stage};
use crate::trouble::database_behind_relay;

/// Its number.
const SIGTERM: i32 = 15;
/// What a daemon says once it listens for signals.
const BEGINS: &str = "stocktake starts";

/// One of the two, with cables of its own to Postgres and to AWS.
pub(super) struct Replica {
    pub(super) name: &'static str,
    pub(super) daemon: Daemon,
    pub(super) relay: Relay,
    pub(super) front: Front,
    config: Config,
    /// What those that ended logged.
    logs: Vec<String>,
}

impl Replica {
    pub(super) async fn start(stage: &Stage, config: &Config, name: &'static str) -> Self {
        let (relay, database) = database_behind_relay(stage).await;
        relay.close();
        let front = Front::of(&stage.endpoint).await;
        let config = Config { database, endpoint: front.url.clone(), ..config.clone() };
        Self { name, daemon: stage.start(&config), relay, front, config, logs: Vec::new() }
    }

    /// Ends it, as a service manager or as a power cut does; it is away until it is started again.
    pub(super) async fn end(&mut self, is_killed: bool) {
        if is_killed {
            self.daemon.signal("KILL").await;
            self.daemon.end().await;
        } else {
            self.daemon.signal("TERM").await;
            let ended = self.daemon.end().await;
            // Who is told before it listens ends as the system has it, and has begun nothing.
            let never_began = ended.status.signal() == Some(SIGTERM) && !self.daemon.log().contains(BEGINS);
            assert!(never_began || ended.status.code() == Some(0), "{}: {ended:?}", self.name);
        }
    }

    pub(super) fn restart(&mut self, stage: &Stage) {
        self.logs.push(self.daemon.log());
        self.daemon = stage.start(&self.config);
    }

    /// Lets it alone.
    pub(super) fn mend(&self) {
        self.relay.close();
        self.front.play([]);
    }

    /// What it said of itself that it must not: that a part of it panicked.
    pub(super) fn panics(&self) -> Vec<String> {
        let now = self.daemon.log();
        let lines = self.logs.iter().chain([&now]).flat_map(|log| log.lines());
        lines.filter(|line| line.contains("panicked at")).map(str::to_owned).collect()
    }
}
