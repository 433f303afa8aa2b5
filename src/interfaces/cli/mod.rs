//! The command line. Reads arguments, runs a command in the running server or alone, prints what came of it.
//! Does not know tables, keys or frames: commands go through the engine as everybody's do.

mod arguments;
pub mod bench;
mod print;
mod running;
mod setup;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Task};

/// Parses the arguments, runs the command, gives the exit code: 0 done, 1 refused or failed, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    // Ends the process with 2 and the usage when the arguments are wrong, with 0 for `--help` and `--version`.
    let arguments = Arguments::parse();
    running::logs(&arguments);
    running::quiet_panics();
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match threads {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(arguments));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::sentence(&error);
            ExitCode::from(1)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { place, task } = arguments;
    match task {
        Task::Init(init) => setup::init(&place, init).await,
        Task::Serve(serve) => setup::serve(&place, serve).await,
    }
}
