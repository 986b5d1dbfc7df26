//! Stocktake keeps a Postgres catalog of S3 buckets true.

pub mod admin;
pub mod aws;
pub mod bucket;
pub mod catalog;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod daemon;
mod doorway;
pub mod enrich;
pub mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod health;
pub mod ignore;
pub mod ingest;
pub mod inventory;
pub mod metrics;
pub mod model;
pub mod notification;
mod overview;
pub mod page;
pub mod pulse;
pub mod queue;
pub mod recheck;
pub mod reconcile;
mod screen;
pub mod setup;
mod supervisor;
pub mod telemetry;
mod watch;
mod wiring;
mod words;
