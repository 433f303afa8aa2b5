//! `doctor`: is everything in order, and if not, what is to be done? Looks from outside, asks the server if one runs, and opens the
//! record itself if none does. Works sealed as well. Says nothing of what is in the record.

mod certificate;
mod check;
mod clock;
mod database;
mod folder;
mod machine;
mod serving;
mod settings;

use std::sync::Arc;

use serde_json::json;

use super::arguments::{Doctor, Place};
use super::commands::Answer;
use crate::kernel::base::config::Config;
use crate::kernel::engine::{self, Silent};
use crate::server::status::Status;
use crate::server::{Folder, Node};
use check::{Check, State};

/// What all checks look at.
struct Patient {
    place: Place,
    folder: Folder,
    config: Config,
    /// The server that runs on the folder, if one does.
    server: Option<Status>,
}

/// Looks at everything and says what is wrong and what to do; with `rebuild` after making the projections again.
pub async fn run(place: &Place, asked: Doctor) -> Answer {
    let folder = place.folder();
    let mut checks = vec![folder::data_folder(&folder)];
    if checks[0].state != State::Problem || folder.is_initialised() {
        if asked.rebuild {
            checks.push(rebuilt(place, folder.clone()).await);
        }
        let (settings, config) = settings::read(place, &folder);
        checks.extend(settings);
        if let Some(config) = config {
            let (server, serving) = serving::server(&folder).await;
            let patient = Patient { place: place.clone(), folder, config, server };
            checks.extend(serving);
            checks.extend(look(&patient, asked.thorough).await);
        }
    }
    told(&checks)
}

async fn look(patient: &Patient, thorough: bool) -> Vec<Check> {
    let mut checks = vec![serving::port(patient).await];
    checks.push(certificate::certificate(patient));
    checks.extend(folder::space(&patient.folder));
    let (looks, record) = database::look(patient, thorough).await;
    checks.extend(record);
    checks.extend(database::keys(patient, looks.as_ref()).await);
    checks.extend(database::record(patient, looks.as_ref()).await);
    checks.extend(clock::clocks(looks.as_ref()).await);
    checks.extend(machine::limits(patient));
    checks
}

/// Makes every projection again from the log, while nobody else has the folder.
async fn rebuilt(place: &Place, folder: Folder) -> Check {
    let made = async {
        let config = place.settings(&folder)?;
        let node = Node::open_unsealed(folder, config, Arc::new(Silent)).await?;
        let entries = engine::rebuild(node.engine.shared()).await;
        node.close().await;
        anyhow::Ok(entries?)
    };
    match made.await {
        Ok(entries) => Check::ok("projections", format!("made again from {entries} entries")),
        Err(error) => Check::problem("projections", format!("{error:#}"), "End the server first, then repeat it"),
    }
}

fn told(checks: &[Check]) -> Answer {
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let (problems, warnings) = (count(State::Problem), count(State::Warning));
    let mut lines: Vec<String> = checks.iter().flat_map(Check::lines).collect();
    lines.push(format!("{} checks; problems: {problems}, warnings: {warnings}", checks.len()));
    Answer {
        object: json!({ "ok": problems == 0, "checks": checks }),
        lines,
        failed: (problems > 0).then(|| format!("{problems} of {} checks found a problem.", checks.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_a_failure_and_a_warning_is_none() {
        let (good, odd) = (Check::ok("key", "is there"), Check::warning("clock", "is not known", "look"));
        let answer = told(&[good.clone(), odd.clone()]);
        assert!(answer.failed.is_none() && answer.object["ok"] == true);
        let answer = told(&[good, odd, Check::problem("disk", "is full", "make room")]);
        assert_eq!(answer.failed.as_deref(), Some("1 of 3 checks found a problem."));
        assert_eq!(answer.object["ok"], false);
        let bad = json!({"name": "disk", "state": "problem", "found": "is full", "mend": "make room"});
        assert_eq!(answer.object["checks"][2], bad);
        assert!(answer.lines[3].starts_with("PROBLEM") && answer.lines[4].ends_with("-> make room"));
    }
}
