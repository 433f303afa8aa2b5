//! `config`: what is set, and whether it can be read. Needs no data folder and no server.

use serde_json::json;

use super::arguments::{Config, Place};
use super::commands::Answer;
use crate::server::settings;

/// Checks or prints what is in force: built-in values < file < environment.
///
/// # Errors
/// A sentence with file, line and column, or the variable.
pub fn run(place: &Place, task: &Config) -> anyhow::Result<Answer> {
    let folder = place.folder();
    let config = place.settings(&folder)?;
    let file = settings::file(&folder, place.config.as_deref());
    Ok(match task {
        Config::Check => {
            let from = file.as_ref().map_or("built-in values".to_owned(), |path| path.display().to_string());
            let object = json!({ "ok": true, "file": file });
            Answer { object, lines: vec![format!("{from}: in order")], failed: None }
        }
        Config::Print => {
            let text = toml::to_string(&config)?;
            Answer { object: json!(config), lines: vec![text.trim_end().to_owned()], failed: None }
        }
    })
}
