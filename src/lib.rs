//! Stocktake keeps a Postgres catalog of S3 buckets true.

pub mod admin;
pub mod aws;
pub mod bucket;
pub mod cli;
pub mod clock;
pub mod config;
pub mod fault;
pub mod health;
pub mod metrics;
pub mod model;
pub mod queue;
pub mod telemetry;
