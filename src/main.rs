//! The `stocktake` binary.

fn main() {}
