//! `bench`: from what was typed to a run.

use std::io::stdout;

use super::arguments::Place;
use super::bench::arguments::{Append, Bench, Task};
use super::bench::{append, found, limit, run};
use super::print;
use super::spare::Spare;
use crate::kernel::base::World;

/// Runs benches and prints what they found.
///
/// # Errors
/// A server does not start or a scenario fails.
pub async fn bench(place: &Place, typed: Bench) -> anyhow::Result<()> {
    match typed.task {
        Some(Task::LimitServer) => limit::run(&place.data, &mut stdout()).await,
        Some(Task::Append(typed)) => appends(place, &typed).await,
        None => {
            let spare = Spare::new()?;
            let options = typed.run.options(spare.path().to_owned(), place.json)?;
            run::run(&options, &World::system(), &mut stdout()).await.map(drop)
        }
    }
}

async fn appends(place: &Place, typed: &Append) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let parent = typed.folder.as_deref().unwrap_or(spare.path());
    let rows = append::run(parent, &typed.options()).await?;
    if place.json {
        return Ok(print::lines([serde_json::json!({ "append": rows }).to_string()])?);
    }
    Ok(found::table(&mut stdout(), &rows)?)
}
