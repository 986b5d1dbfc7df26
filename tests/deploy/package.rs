//! The Debian package: built, installed, upgraded, removed and purged in a root of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{read, root, run, tool};

const CONFIGURATION: &str = "etc/stocktake/stocktake.toml";

/// Builds the package as of a version.
fn built(folder: &Path, version: &str) -> PathBuf {
    let file = folder.join(format!("{version}.deb"));
    let mut build = Command::new(tool("cargo-deb"));
    build
        .args(["deb", "--no-build", "--no-strip", "--fast", "-Z", "gz", "--deb-version", version, "--output"])
        .arg(&file);
    run(build.current_dir(folder.join("crate")));
    file
}

/// A crate with nothing but what the package is made of. The test's own program, without what debuggers
/// want, takes the release's place; and to cargo-deb 2.0 an edition of 2024 is unknown.
fn lay_out(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let folder = folder.join("crate");
    fs::create_dir_all(folder.join("target/release")).expect("a folder");
    fs::create_dir_all(folder.join("src")).expect("a folder");
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").expect("a file");
    let strip = ["--strip-all", "-o", "target/release/stocktake", env!("CARGO_BIN_EXE_stocktake")];
    run(Command::new("strip").args(strip).current_dir(&folder));
    let manifest = read("Cargo.toml");
    let (head, rest) = manifest.split_once("\n# Every dependency").expect("a head");
    let (_, package) = rest.split_once("[package.metadata.deb]").expect("metadata");
    let package = package.split("\n[profile").next().unwrap_or_default();
    let head = head.replace("edition = \"2024\"", "edition = \"2021\"");
    fs::write(folder.join("Cargo.toml"), format!("{head}\n[package.metadata.deb]{package}")).expect("a file");
    for name in ["CHANGELOG.md", "README.md", "SEMANTICS.md", "LICENSE", "config", "deploy", "docs"] {
        symlink(root().join(name), folder.join(name)).expect("a link");
    }
}

/// Runs dpkg on a root of our own. Its scripts run outside of it and are told where it is, since there is
/// nothing in it to run.
fn dpkg(root: &Path, words: &[&str]) {
    let mut command = if is_root() { Command::new("dpkg") } else { Command::new("fakeroot") };
    if !is_root() {
        let found = Command::new("fakeroot").arg("true").output();
        assert!(found.is_ok(), "not as root, this needs fakeroot. On Debian: apt-get install fakeroot");
        command.arg("dpkg");
    }
    command.arg(format!("--root={}", root.display()));
    // What it depends on is not there, and is for apt to bring.
    command.args(["--force-script-chrootless", "--force-depends", "--force-confold"]).args(words);
    run(command.env("DEBIAN_FRONTEND", "noninteractive"));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

#[test]
fn it_installs_upgrades_and_removes_cleanly() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    lay_out(&folder);
    let (old, new) = (built(&folder, "0.0.1"), built(&folder, "0.0.2"));
    let scratch = folder.join("root");
    for part in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "etc", "usr/bin"] {
        fs::create_dir_all(scratch.join(part)).expect("a folder");
    }
    fs::write(scratch.join("var/lib/dpkg/status"), "").expect("a file");

    dpkg(&scratch, &["--install", old.to_str().expect("UTF-8")]);
    let said = run(Command::new(scratch.join("usr/bin/stocktake")).arg("--version"));
    assert!(said.starts_with("stocktake "), "{said}");
    let users = fs::read_to_string(scratch.join("etc/passwd")).expect("users");
    assert!(users.lines().any(|user| user.starts_with("stocktake:") && user.ends_with("nologin")), "{users}");
    for (file, mode) in [
        (CONFIGURATION, 0o640),
        ("etc/stocktake/environment", 0o640),
        ("usr/lib/systemd/system/stocktake.service", 0o644),
        ("usr/share/doc/stocktake/RUNBOOK.md", 0o644),
    ] {
        let found = fs::metadata(scratch.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }

    fs::write(scratch.join(CONFIGURATION), "# ours\n").expect("a file");
    dpkg(&scratch, &["--install", new.to_str().expect("UTF-8")]);
    let status = fs::read_to_string(scratch.join("var/lib/dpkg/status")).expect("a status");
    assert!(
        status.contains("Version: 0.0.2\n") && status.contains("Status: install ok installed"),
        "{status}"
    );
    let configuration = || fs::read_to_string(scratch.join(CONFIGURATION));
    assert_eq!(configuration().expect("a file"), "# ours\n", "what an operator wrote stays");

    dpkg(&scratch, &["--remove", "stocktake"]);
    assert!(!scratch.join("usr/bin/stocktake").exists() && configuration().is_ok());
    dpkg(&scratch, &["--purge", "stocktake"]);
    assert!(!scratch.join("etc/stocktake").exists());
}

#[test]
fn the_crate_can_be_published() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crate");
    let mut package = Command::new("cargo");
    package
        .args(["package", "--no-verify", "--allow-dirty", "--offline", "--locked", "--target-dir"])
        .arg(target);
    let done = package.current_dir(root()).output().expect("cargo");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !said.contains("warning"), "{said}");
    let list = run(Command::new("cargo").args(["package", "--list", "--allow-dirty"]).current_dir(root()));
    for name in
        ["build.rs", "migrations/20261123000000_catalog.sql", "config/default.toml", "README.md", "LICENSE"]
    {
        assert!(list.lines().any(|line| line == name), "{name} is not in the crate");
    }
}

#[test]
fn its_configuration_is_one() {
    let file = root().join("deploy/debian/stocktake.toml");
    let text = fs::read_to_string(&file).expect("a file").replace("\n#[[", "\n[[");
    let text: String = text.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stocktake.toml");
    fs::write(&all, text).expect("a file");
    let mut policy = Command::new(env!("CARGO_BIN_EXE_stocktake"));
    run(policy.arg("--config").arg(all).args(["policy", "--bucket", "genomics"]));
}

/// A key that is commented out, in force; sentences have a space after the mark.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
}
