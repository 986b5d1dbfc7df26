//! The real binary beside an emulator of S3 and SQS and a real Postgres. Whether the catalog is
//! right is judged by another program with another S3 client: `tests/testbed/compare.py`.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like the test")]

mod alerts;
mod broken;
mod browser;
mod commands;
mod connect;
mod credentials;
mod database;
mod endings;
mod faults;
mod foreign;
mod health;
mod inventory;
mod locked;
mod messages;
mod modes;
mod pooler;
mod providers;
mod reconcile;
mod rollout;
mod runs;
mod secrets;
mod setup;
mod soak;
mod starts;
mod status;
mod supervised;
mod support;
mod traces;
mod trouble;
mod upgrades;
mod vanished;
