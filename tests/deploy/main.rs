//! What is in deploy/ fits the program, the documentation and what it is deployed to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod alerts;
mod dashboard;
mod dependencies;
mod getting_started;
mod kubernetes;
mod migrations;
mod package;
mod promql;
mod shell;
mod systemd;
mod terraform;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where a program is, fetched if need be.
fn tool(name: &str) -> PathBuf {
    let setup = root().join("tests/testbed/setup");
    let found = Command::new(setup).args(["--tool", name]).output().expect("bash and Python 3.10 or newer");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
}

/// Runs a program that must be content. What it says on standard output.
fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{said}\n{complained}", done.status);
    said.into_owned()
}
