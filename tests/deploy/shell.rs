//! What a shell completes and what `man` shows are the command line, as it is.

use std::collections::BTreeMap;
use std::fs;

use clap::CommandFactory;
use clap_complete::Shell::{Bash, Fish, Zsh};
use stocktake::cli::Cli;

use crate::root;

/// Where they are, and where a package puts them.
const FOLDERS: [&str; 2] = ["deploy/completions", "deploy/man"];

/// Every file, made anew.
fn made() -> BTreeMap<String, Vec<u8>> {
    // The commit is no part of a page that is in it.
    let command = || Cli::command().version(env!("CARGO_PKG_VERSION"));
    let mut files = BTreeMap::new();
    for (shell, name) in [(Bash, "stocktake.bash"), (Fish, "stocktake.fish"), (Zsh, "_stocktake")] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "stocktake", &mut script);
        files.insert(format!("{}/{name}", FOLDERS[0]), script);
    }
    let folder = tempfile::tempdir().expect("a folder");
    clap_mangen::generate_to(command(), folder.path()).expect("pages");
    for page in fs::read_dir(folder.path()).expect("pages") {
        let page = page.expect("a page");
        let name = page.file_name().into_string().expect("UTF-8");
        files.insert(format!("{}/{name}", FOLDERS[1]), fs::read(page.path()).expect("a page"));
    }
    files
}

fn kept() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        for file in fs::read_dir(root().join(folder)).into_iter().flatten() {
            let path = file.expect("a file").path();
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            files.insert(name, fs::read(&path).expect("a file"));
        }
    }
    files
}

/// `WRITE=1 cargo test --test deploy completions` writes them.
#[test]
fn completions_and_pages_are_of_this_command_line() {
    let (made, kept) = (made(), kept());
    if std::env::var_os("WRITE").is_some() {
        for folder in FOLDERS {
            let _ = fs::remove_dir_all(root().join(folder));
            fs::create_dir_all(root().join(folder)).expect("a folder");
        }
        for (name, text) in &made {
            fs::write(root().join(name), text).expect("a file");
        }
        return;
    }
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&made), "WRITE=1 cargo test --test deploy completions");
    let stale: Vec<_> =
        made.iter().filter(|(name, text)| kept[*name] != **text).map(|(name, _)| name).collect();
    assert!(
        stale.is_empty(),
        "{stale:?} are not of this command line: WRITE=1 cargo test --test deploy completions"
    );
    for command in ["serve", "doctor", "migrate"] {
        assert!(kept.contains_key(&format!("deploy/man/stocktake-{command}.1")), "{:?}", names(&kept));
        let script = String::from_utf8_lossy(&kept["deploy/completions/stocktake.bash"]).into_owned();
        assert!(script.contains(command), "{command}");
    }
}

#[test]
fn the_version_says_what_was_built() {
    let done =
        std::process::Command::new(env!("CARGO_BIN_EXE_stocktake")).arg("--version").output().expect("it");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    // Of a release, the commit stands there.
    let (version, built) = said.trim_end().split_once(" (").expect("what was built");
    assert_eq!(version, concat!("stocktake ", env!("CARGO_PKG_VERSION")));
    assert!(built == "in development)" || built.trim_end_matches(')').len() >= 7, "{said}");
}
