//! `bench`: from what was typed to a run.

use std::io::stdout;

use super::arguments::Place;
use super::bench::arguments::{Append, Bench, Export, Growth, Search};
use super::bench::run::Scenarios;
use super::bench::{append, curves, export, found, growth, limit, run, search};
use super::print;
use super::spare::Spare;
use crate::kernel::base::World;

/// Runs benches and prints what they found.
///
/// # Errors
/// A server does not start or a scenario fails.
pub async fn bench(place: &Place, typed: Bench) -> anyhow::Result<()> {
    let none = Scenarios { fanout: false, rate: false, idle: false, catchup: false };
    let (scenarios, typed) = match typed {
        Bench::Limit => return limit::run(&place.data, &mut stdout()).await,
        Bench::Append(typed) => return appends(place, &typed).await,
        Bench::Search(typed) => return searches(place, &typed).await,
        Bench::Export(typed) => return exports(place, &typed).await,
        Bench::Growth(typed) => return grows(place, &typed).await,
        Bench::Fanout(typed) => (Scenarios { fanout: true, ..none }, typed),
        Bench::Rate(typed) => (Scenarios { rate: true, ..none }, typed),
        Bench::Idle(typed) => (Scenarios { idle: true, ..none }, typed),
        Bench::Catchup(typed) => (Scenarios { catchup: true, ..none }, typed),
        Bench::All(typed) => (Scenarios { fanout: true, rate: true, idle: true, catchup: true }, typed),
    };
    let spare = Spare::new()?;
    let options = typed.options(scenarios, spare.path().to_owned(), place.json)?;
    run::run(&options, &World::system(), &mut stdout()).await.map(drop)
}

async fn appends(place: &Place, typed: &Append) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let parent = typed.folder.as_deref().unwrap_or(spare.path());
    let rows = append::run(parent, &typed.options(), place.database.as_ref()).await?;
    if place.json {
        return Ok(print::lines([serde_json::json!({ "append": rows }).to_string()])?);
    }
    Ok(found::table(&mut stdout(), &rows)?)
}

async fn searches(place: &Place, typed: &Search) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let rows = search::run(typed.folder.as_deref().unwrap_or(spare.path()), typed.entries).await?;
    if place.json {
        return Ok(print::lines([serde_json::json!({ "search": rows }).to_string()])?);
    }
    Ok(found::table(&mut stdout(), &rows)?)
}

async fn exports(place: &Place, typed: &Export) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let rows = export::run(typed.folder.as_deref().unwrap_or(spare.path()), typed.entries, &typed.formats).await?;
    if place.json {
        return Ok(print::lines([serde_json::json!({ "export": rows }).to_string()])?);
    }
    Ok(found::table(&mut stdout(), &rows)?)
}

async fn grows(place: &Place, typed: &Growth) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let parent = typed.folder.as_deref().unwrap_or(spare.path());
    let mut each = |row: &growth::Growth| tracing::info!(entries = row.entries, patients = row.patients, "Measured");
    let rows = growth::run(parent, &typed.options(place.database.clone()), &mut each).await?;
    if place.json {
        return Ok(print::lines([serde_json::json!({ "growth": rows }).to_string()])?);
    }
    found::table(&mut stdout(), &rows)?;
    Ok(print::lines([curves::text(&rows)])?)
}
