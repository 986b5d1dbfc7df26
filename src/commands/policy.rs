//! `stocktake policy`: the policies that a bucket takes.

use anyhow::Context;

use super::{Usage, print};
use crate::cli::{Exit, Format, Policy};
use crate::config::{Bucket, Config};
use crate::setup::documents::{Attached, Kind, Told, documents, left_out};

pub(super) fn policy(config: &Config, options: &Policy, format: Format) -> anyhow::Result<Exit> {
    let parts = parts(config, &options.bucket)?;
    let told = Told { principal: options.principal.clone(), account: options.account.clone() };
    let all = documents(config, &parts, &told, options.only).map_err(Usage)?;
    for why in left_out(config, &parts, &all, options.only) {
        tracing::warn!("{why}");
    }
    if all.is_empty() {
        return Ok(Exit::Done);
    }
    print(&match (format, options.only) {
        (Format::Json, _) => {
            let lines = all.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
            lines.context("write the policies as JSON")?.join("\n")
        }
        (Format::Text, Some(_)) => {
            all.iter().map(|attached| attached.policy.pretty()).collect::<Vec<_>>().join("\n")
        }
        (Format::Text, None) => all.iter().map(described).collect::<Vec<_>>().join("\n\n"),
    })?;
    Ok(Exit::Done)
}

/// The sections of the configuration that are about a bucket.
pub(super) fn parts<'a>(config: &'a Config, bucket: &str) -> anyhow::Result<Vec<&'a Bucket>> {
    let parts: Vec<&Bucket> = config.buckets.iter().filter(|part| part.name == bucket).collect();
    if parts.is_empty() {
        let message = format!("bucket {bucket:?} is not configured: add a [[bucket]] section for it");
        return Err(Usage(message).into());
    }
    Ok(parts)
}

/// What their prefixes are, in words.
pub(super) fn beginnings(parts: &[&Bucket]) -> String {
    parts.iter().map(|part| format!("{:?}", part.prefix)).collect::<Vec<_>>().join(" or ")
}

fn described(attached: &Attached) -> String {
    let Attached { kind, of, policy } = attached;
    let what = match kind {
        Kind::Permissions => format!("What {of} may do"),
        Kind::Trust => format!("Who may take on {of}"),
        Kind::Bucket => format!("The policy of {of}, which another account owns"),
        Kind::Queue => format!("The policy of {of}"),
        Kind::Key => format!("To be added to the policy of {of}"),
    };
    format!("# {what}\n{}", policy.pretty())
}
