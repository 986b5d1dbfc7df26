//! `stocktake status`: what is connected, how fresh it is, how much drift there was, and what is wrong.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::{print, until_signalled};
use crate::catalog::{Catalog, Trouble, trouble};
use crate::chain::chain;
use crate::cli::{self, Exit, Format};
use crate::config::Config;
use crate::overview::Overview;
use crate::wiring;

mod text;

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Clears a terminal, and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) async fn status(config: &Config, options: &cli::Status, format: Format) -> anyhow::Result<Exit> {
    if !options.watch {
        let catalog = super::reached(wiring::catalog_to_look(config)?).await?;
        print(&look(config, &catalog, options, format).await?)?;
        return Ok(Exit::Done);
    }
    let shutdown = until_signalled()?;
    let catalog = wiring::catalog_to_look(config)?;
    while !shutdown.is_cancelled() {
        let told = match shutdown.run_until_cancelled(look(config, &catalog, options, format)).await {
            None => break,
            Some(Ok(told)) => told,
            // Who watches wants to see it come back.
            Some(Err(error)) if format == Format::Text => chain(error.as_ref()),
            Some(Err(error)) => return Err(error),
        };
        let is_drawn = format == Format::Text && std::io::stdout().is_terminal();
        print(&format!("{}{told}", if is_drawn { CLEAR } else { "" }))?;
        shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
    }
    Ok(Exit::Done)
}

/// One look, in words or as JSON: one value on many lines, or on one where others follow.
async fn look(
    config: &Config,
    catalog: &Catalog,
    options: &cli::Status,
    format: Format,
) -> anyhow::Result<String> {
    super::require_schema(catalog).await?;
    let status = match catalog.status().await {
        Err(error) => {
            let remedy = match trouble(&error) {
                Trouble::Locked => catalog.closer().await.context("see who keeps a table of the catalog")?,
                _ => None,
            };
            let remedy = remedy.map(|closer| format!("{}; {}", closer.says(), closer.remedy()));
            let remedy = remedy.unwrap_or_else(|| crate::catalog::remedy_of(&error).to_owned());
            return Err(anyhow!("read the catalog: {}; {remedy}", chain(&error)));
        }
        Ok(status) => status,
    };
    let overview = Overview::of(status, config);
    let json = |write: fn(&Overview) -> serde_json::Result<String>| {
        write(&overview).context("write the status as JSON")
    };
    match format {
        Format::Text => Ok(text::describe(&overview)),
        Format::Json if options.watch => json(serde_json::to_string),
        Format::Json => json(serde_json::to_string_pretty),
    }
}
