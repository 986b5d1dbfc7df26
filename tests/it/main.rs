//! Tests against a real Postgres (`DATABASE_URL`), one database each.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like the test")]

mod agreement;
mod as_of;
mod catalog;
mod contract;
mod cookbook;
mod details;
mod fingerprint;
mod folders;
mod forged;
mod guard;
mod ignore;
mod ingest;
mod inventory;
mod journal;
mod known;
mod locks;
mod pace;
mod page;
mod partitioned;
mod pulse;
mod ranges;
mod recheck;
mod reconcile;
mod replay;
mod runs;
mod settings;
mod size;
mod starts;
mod statements;
mod stats;
#[path = "../../benches/store/mod.rs"]
mod store;
mod support;
mod tail;
mod unrepresentable;
