//! The command line. Reads arguments, runs a command in the running server or alone, prints what came of it.
//! Does not know tables, keys or frames: commands go through the engine as everybody's do.

mod alone;
mod arguments;
mod bar;
pub mod bench;
mod benches;
pub mod commands;
mod configuration;
pub mod control;
mod demo;
mod doctor;
mod orders;
mod paper;
mod print;
mod running;
mod setup;
mod spare;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::features::chart::Out;

use arguments::{Arguments, Export, Place, Task, Verify};
use bar::Bar;
use commands::{Answer, Command, Order};
use paper::{Nowhere, Paper};

/// Stack of a thread that runs commands: an export reads, lays out and seals within one poll, and without optimization each of these
/// steps takes tens of kilobytes. It is address space until it is used.
const STACK_BYTES: usize = 8 << 20;

/// Parses the arguments, runs the command, gives the exit code: 0 done, 1 refused or failed, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    // Ends the process with 2 and the usage when the arguments are wrong, with 0 for `--help` and `--version`.
    let arguments = Arguments::parse();
    running::logs(&arguments);
    running::quiet_panics();
    let threads = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build();
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
    let answer = match task {
        Task::Init(init) => setup::init(&place, init).await?,
        Task::Demo(typed) => return demo::demo(&place, typed).await,
        Task::Serve(serve) => return setup::serve(&place, serve).await,
        Task::Bench(typed) => return benches::bench(&place, *typed).await,
        Task::Config(task) => configuration::run(&place, &task)?,
        Task::Doctor(asked) => doctor::run(&place, asked).await,
        Task::Verify(Verify { path: Some(path), key, .. }) => verify::verify(&path, key.as_deref())?,
        Task::Export(export) => exported(&place, export).await?,
        task => {
            let order = Order { by: place.by.clone(), command: orders::command(task)? };
            alone::run(&place, order, &mut Nowhere).await?
        }
    };
    print::answer(&answer, place.json)
}

/// The file gets its name when the export is filed, and only then.
async fn exported(place: &Place, typed: Export) -> anyhow::Result<Answer> {
    let Some((out, format)) = typed.out.clone().zip(typed.format) else {
        let order = Order { by: place.by.clone(), command: Command::Export(orders::export(typed)) };
        return alone::run(place, order, &mut Nowhere).await;
    };
    let mut paper = Paper::new(&out, format.is_folder())?;
    let bar = Bar::over(paper.progress(), place.json);
    let asked = commands::Export { watched: bar.is_drawn(), ..orders::export(typed) };
    let order = Order { by: place.by.clone(), command: Command::Export(asked) };
    let answer = alone::run(place, order, &mut paper).await;
    drop(bar);
    let answer = answer?;
    paper.keep()?;
    Ok(answer)
}
