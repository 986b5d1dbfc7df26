//! What the command line can do, one file a command. Each writes its result to standard output;
//! the log goes to standard error.

mod connect;
mod decode;
mod disconnect;
mod doctor;
mod health;
mod policy;
mod recheck;
mod reconcile;
mod replay;
mod serve;
mod status;
mod table;

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::chain::chain;
use crate::cli::{Cli, Command, Exit, Format};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::{telemetry, watch, wiring};

/// What was asked for makes no sense with this configuration: as wrong as an unknown option.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

/// Does what the command line says.
///
/// # Errors
/// With what was being done to what, and why it failed.
pub async fn run(cli: Cli, clock: Clock) -> anyhow::Result<Exit> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Decode(options) => decode::decode(&options.files, cli.format),
        Command::Serve(options) => serve::serve(&load(file)?, !options.no_migrate, clock).await,
        Command::Reconcile(options) => reconcile::reconcile(&load(file)?, &options, cli.format, clock).await,
        Command::Recheck(options) => recheck::recheck(&load(file)?, &options, cli.format, clock).await,
        Command::Connect(options) => Box::pin(connect::connect(file, &options, cli.format, clock)).await,
        Command::Disconnect(options) => {
            Box::pin(disconnect::disconnect(file, &options, cli.format, clock)).await
        }
        Command::Doctor(options) => doctor::doctor(&load(file)?, &options, cli.format, clock).await,
        Command::Replay(options) => replay::replay(&load(file)?, &options, cli.format, clock).await,
        Command::Policy(options) => policy::policy(&load(file)?, &options, cli.format),
        Command::Health(options) => health::health(&load(file)?, &options, cli.format).await,
        Command::Status(options) => status::status(&load(file)?, &options, cli.format).await,
        Command::Migrate => migrate(&load(file)?, cli.format).await,
    }
}

/// Reads the configuration and starts the log with it.
fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = config::load(file, config::environment())?;
    telemetry::start(&config.log, &config.trace)?;
    Ok(config)
}

async fn migrate(config: &Config, format: Format) -> anyhow::Result<Exit> {
    reached(wiring::catalog(config)?).await?.migrate().await?;
    print(match format {
        Format::Json => r#"{"schema":"up to date"}"#,
        Format::Text => "the schema is up to date",
    })?;
    Ok(Exit::Done)
}

/// The catalog, if it answers and there is one.
async fn catalog(config: &Config) -> anyhow::Result<Catalog> {
    let catalog = reached(wiring::catalog(config)?).await?;
    require_schema(&catalog).await?;
    Ok(catalog)
}

/// The same before anybody made its schema.
async fn reached(catalog: Catalog) -> anyhow::Result<Catalog> {
    let reached = catalog.reach_session().await;
    reached.map_err(|error| anyhow!("{}; {}", chain(error.as_ref()), watch::remedy(&error)))?;
    Ok(catalog)
}

async fn require_schema(catalog: &Catalog) -> anyhow::Result<()> {
    let has_schema = catalog.has_schema().await.context("look for the schema of the catalog")?;
    ensure!(
        has_schema,
        "the database has no catalog yet: `stocktake migrate` makes it, and so does `stocktake serve`"
    );
    Ok(())
}

/// Writes a result. Whoever reads it may have heard enough and closed the pipe.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write to standard output"),
    }
}

/// Told to stop by the first SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// When signals cannot be listened for.
fn until_signalled() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        let mut received = async || {
            tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" }
        };
        let name = received().await;
        tracing::info!(signal = name, "stopping; once more to stop at once");
        told.cancel();
        received().await;
        std::process::exit(1);
    });
    Ok(shutdown)
}
