//! Stocktake keeps a Postgres catalog of S3 buckets true.

pub mod aws;
pub mod bucket;
pub mod clock;
pub mod fault;
pub mod model;
pub mod queue;
