//! The unit of systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{read, root, run};

const UNIT: &str = "deploy/systemd/stocktake.service";
/// From 0, which is most confined, to 10.
const EXPOSURE_MAX: f64 = 3.0;

/// systemd's own judge. It is part of systemd, and reads files only.
fn analyze() -> Command {
    let found = Command::new("systemd-analyze").arg("--version").output();
    assert!(found.is_ok(), "systemd-analyze is missing. On Debian: apt-get install systemd");
    Command::new("systemd-analyze")
}

#[test]
fn the_service_is_confined() {
    let unit = root().join(UNIT);
    let said = run(analyze().args(["security", "--offline=true", "--no-pager"]).arg(unit));
    let (_, level) = said.rsplit_once("stocktake.service: ").expect("a level");
    let level: f64 = level.split(' ').next().unwrap_or_default().parse().expect("a number");
    assert!(level < EXPOSURE_MAX, "{said}");
}

#[test]
fn the_unit_can_be_read() {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("stocktake.service");
    // Where it will be installed, there is nothing now.
    fs::write(&file, read(UNIT).replace("/usr/bin/stocktake", env!("CARGO_BIN_EXE_stocktake")))
        .expect("a file");
    let done = analyze().arg("verify").arg(&file).output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&done.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("stocktake")).collect();
    assert!(ours.is_empty() && done.status.success(), "{said}");
}
