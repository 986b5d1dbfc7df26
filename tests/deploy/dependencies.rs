//! What may be in the dependency tree, as deny.toml says.

use std::process::Command;

use crate::{root, run, tool};

#[test]
fn licences_sources_and_bans_are_kept_to() {
    // It looks at the crates of every platform, of which a build fetches those of its own.
    run(Command::new("cargo").args(["fetch", "--locked"]).current_dir(root()));
    // Advisories are in a repository of their own, which is for `cargo deny check` to fetch.
    let checks = ["--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    run(Command::new(tool("cargo-deny")).args(checks).current_dir(root()));
}
