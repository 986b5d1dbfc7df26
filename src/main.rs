//! The `stocktake` binary: reads the command line and says by its exit code how it went.

use std::process::ExitCode;

use stocktake::cli::{self, Exit};
use stocktake::{chain::chain, clock, commands, config, telemetry};

/// Pages and rows are many small texts that come and go in bulk.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("stocktake: start the threads that do the work: {error}");
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(run(cli));
    // What reads a report or resolves a name does so in a thread of its own, cannot be interrupted, and matters to nobody
    // any more. To drop the runtime would be to wait for it.
    runtime.shutdown_background();
    exit.into()
}

async fn run(cli: cli::Cli) -> Exit {
    // The largest of the commands decides how much room their future takes: too much for a stack.
    let ended = Box::pin(commands::run(cli, clock::now)).await;
    telemetry::end();
    ended.unwrap_or_else(|error| {
        eprintln!("stocktake: {}", chain(error.as_ref()));
        match () {
            () if error.is::<config::Errors>() => Exit::Config,
            () if error.is::<commands::Usage>() => Exit::Usage,
            () => Exit::Failed,
        }
    })
}
