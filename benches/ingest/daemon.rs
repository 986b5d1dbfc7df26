//! The daemon, in a process of its own: the program that operators run.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};

use crate::events::BUCKETS;

/// Ticks in a second, of what Linux tells of the time a process used
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
const TICKS: f64 = 100.0;

pub(crate) struct Daemon {
    _process: Child,
    folder: String,
}

impl Daemon {
    /// Starts it on a database and on the stand-in, as it is set without a word; what the environment says
    /// of its settings counts. It ends with this.
    pub(crate) fn start(database: &str, authority: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stocktake"));
        command.arg("serve").current_dir(std::env::temp_dir()).kill_on_drop(true).stdin(Stdio::null());
        command
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("STOCKTAKE_DATABASE__URL", database)
            .env("STOCKTAKE_AWS__REGION", "eu-central-1")
            .env("STOCKTAKE_AWS__ENDPOINT_URL", format!("http://{authority}"))
            .env("STOCKTAKE_ADMIN__LISTEN", "")
            .env("STOCKTAKE_LOG__FILTER", std::env::var("LOG").unwrap_or_else(|_| "warn".to_owned()))
            .env("STOCKTAKE_QUEUE__0__URL", format!("http://{authority}/000000000000/bench"));
        for (number, bucket) in BUCKETS.iter().enumerate() {
            command.env(format!("STOCKTAKE_BUCKET__{number}__NAME"), bucket);
            command.env(format!("STOCKTAKE_BUCKET__{number}__RECONCILE_EVERY"), "never");
        }
        let process = command.spawn().context("start the daemon")?;
        let folder = format!("/proc/{}", process.id().context("the daemon ended")?);
        Ok(Self { _process: process, folder })
    }

    /// The time that it had a processor.
    pub(crate) fn computed(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("{}/stat", self.folder)).context("the daemon ended")?;
        // After the name, which is in brackets, `utime` and `stime` are the 12th and 13th.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.map(|ticks| Ok(ticks.parse::<f64>()?)).sum::<anyhow::Result<f64>>()?;
        Ok(Duration::from_secs_f64(ticks / TICKS))
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("{}/status", self.folder)).context("the daemon ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
    }
}
