//! A bucket at S3, or at a store that speaks like it.
