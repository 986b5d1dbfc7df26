//! Stocktake keeps a Postgres catalog of S3 buckets true.

pub mod bucket;
pub mod catalog;
pub mod clock;
pub mod fault;
pub mod model;
pub mod notification;
pub mod queue;
