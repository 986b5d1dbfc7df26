//! The `stocktake` binary: reads the command line and says by its exit code how it went.

use std::process::ExitCode;

use stocktake::cli::{self, Exit};
use stocktake::{chain::chain, clock, commands, config, telemetry};

/// Pages and rows are many small texts that come and go in bulk.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    // The largest of the commands decides how much room their future takes: too much for a stack.
    let ended = Box::pin(commands::run(cli, clock::now)).await;
    telemetry::end();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("stocktake: {}", chain(error.as_ref()));
            let exit = match () {
                () if error.is::<config::Errors>() => Exit::Config,
                () if error.is::<commands::Usage>() => Exit::Usage,
                () => Exit::Failed,
            };
            exit.into()
        }
    }
}
