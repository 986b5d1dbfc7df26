//! Says in `--version` what was built: of a release, the commit and whether there was more than it.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=STOCKTAKE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // Whoever builds without the history, as in an image, says it. While one develops, each commit would build all anew.
    let commit = match (env::var("STOCKTAKE_COMMIT"), env::var("PROFILE").as_deref()) {
        (Ok(commit), _) if !commit.is_empty() => commit,
        (_, Ok("release")) => head().unwrap_or("of no known commit".to_owned()),
        _ => "in development".to_owned(),
    };
    // cargo gives it to tests, too, whose daemons refuse variables that begin with STOCKTAKE_ and say nothing to them.
    println!("cargo::rustc-env=BUILT_VERSION={version} ({commit})");
}

/// The commit of the work tree that this is in, if it is in one.
fn head() -> Option<String> {
    // It changes with each commit and each checkout.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?
    );
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if is_changed { format!("{commit}, and changes") } else { commit })
}

fn git(words: &[&str]) -> Option<String> {
    let done = Command::new("git").args(words).output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8(done.stdout).ok()?.trim().to_owned())
}
