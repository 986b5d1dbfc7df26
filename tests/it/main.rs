//! Tests against a real Postgres (`DATABASE_URL`), one database each.

mod agreement;
mod catalog;
mod ingest;
mod recheck;
mod reconcile;
mod runs;
mod support;
