//! What is in force: built-in values < file < environment < `--database`. Other flags are laid over by the command that has them.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::Folder;
use crate::kernel::base::config::{Config, DatabaseUrl};

/// The file that is read: the one named, or `config.toml` of the data folder if it is there.
#[must_use]
pub fn file(folder: &Folder, named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| Some(folder.config()).filter(|path| path.exists()))
}

/// Reads file and environment; a database that was typed goes before both.
///
/// # Errors
/// A sentence with file, line and column, or the name of the variable.
pub fn read(folder: &Folder, named: Option<&Path>, database: Option<&DatabaseUrl>) -> anyhow::Result<Config> {
    let config = match file(folder, named) {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Config::parse(&text).map_err(|reason| anyhow!("{}: {reason}", path.display()))?
        }
    };
    // A variable that is not text cannot be one of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = config.with_environment(variables).map_err(|reason| anyhow!("environment: {reason}"))?;
    if let Some(url) = database {
        config.database.url = Some(url.clone());
        config.check().map_err(|reason| anyhow!("--database: {reason}"))?;
    }
    Ok(config)
}
