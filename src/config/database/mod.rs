//! The `[database]` section.

use std::time::Duration;

use super::mistake::Mistake;
use super::section::Section;

mod parameters;
#[cfg(test)]
mod tests;
mod url;

pub use self::url::{DatabaseUrl, TargetSessionAttrs};

/// More connections than this and Postgres spends its time on switching between them.
const CONNECTIONS_MAX: u32 = 1_000;
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Where the catalog is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The connection string; required.
    pub url: DatabaseUrl,
    /// The most connections held at once, 10 without a word. Every worker needs one, and so do
    /// rechecks, a run and the status.
    pub max_connections: u32,
    /// How long a connection may take to be made before the attempt counts as failed: the URL's `connect_timeout`, or
    /// 10 s.
    pub connect_timeout: Duration,
}

impl Database {
    /// What is wrong with the environment that the driver reads, too.
    pub(super) fn mistakes_of_environment(&self) -> Vec<Mistake> {
        let variable = |name: &str| std::env::var(name).ok();
        self.url.mistaken_variables(variable).map(|(name, message)| Mistake::new(name, message)).collect()
    }

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let url = section.optional("url").map_or(DatabaseUrl::default(), |text| {
            DatabaseUrl::parse(&text).unwrap_or_else(|message| {
                section.mistake("url", message);
                DatabaseUrl::default()
            })
        });
        for (name, file) in url.files() {
            // The driver's own error would not name the file.
            if let Err(error) = std::fs::File::open(file) {
                section
                    .mistake("url", format_args!("failed to open {file:?}, its parameter {name}: {error}"));
            }
        }
        let max_connections = section.number("max_connections", 1..=CONNECTIONS_MAX);
        let connect_timeout = section.duration("connect_timeout", CONNECT_TIMEOUT_MIN..=CONNECT_TIMEOUT_MAX);
        let of_url = url.connect_timeout().filter(|_| !section.is_written("connect_timeout"));
        Self { max_connections, connect_timeout: of_url.unwrap_or(connect_timeout), url }
    }
}
