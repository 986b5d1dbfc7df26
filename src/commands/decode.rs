//! `stocktake decode`: what a message body says, without touching anything.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::print;
use crate::cli::{Exit, Format};
use crate::notification::{Body, bodies, decode as read, print as written};

/// Prints what the bodies in `files`, or on standard input, say. It failed if one of them is nothing
/// that a queue of ours should hold, or has a record that cannot be read: the daemon would set it aside.
pub(super) fn decode(files: &[PathBuf], format: Format) -> anyhow::Result<Exit> {
    let mut texts = Vec::new();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        texts.push(bytes);
    }
    if files.is_empty() {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("read standard input")?;
        texts.push(bytes);
    }
    let (mut is_read, mut count) = (true, 0);
    for text in texts {
        let text = String::from_utf8_lossy(&text);
        for body in bodies(&text) {
            count += 1;
            let body = read(&body);
            is_read &= match &body {
                Body::Records(records) => records.iter().all(Result::is_ok),
                Body::TestEvent => true,
                Body::Undecodable(_) => false,
            };
            print(&match format {
                Format::Json => written::json(&body),
                Format::Text => written::text(&body),
            })?;
        }
    }
    ensure!(
        count > 0,
        "there is nothing to decode: give the body of a message, in a file or on standard input"
    );
    Ok(if is_read { Exit::Done } else { Exit::Failed })
}
