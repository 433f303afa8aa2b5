//! The data folder: what lies where, and who holds it.
//! Does not know what is in the files. One process at a time holds the folder: a server, or a command that runs alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

/// How long a start waits for a command that holds the folder just now.
pub const HOLD_WAIT: Duration = Duration::from_secs(5);
/// Between two tries.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// A data folder, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// The folder is held by this process as long as this lives. The system lets go of it when the process dies.
#[derive(Debug)]
pub struct Hold {
    _lock: File,
}

impl Folder {
    /// Names a folder.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.path.join("record.db")
    }

    /// Wrapped keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys.db")
    }

    /// Says that the record is not in this folder: see [`super::record`].
    #[must_use]
    pub fn elsewhere(&self) -> PathBuf {
        self.path.join("database")
    }

    /// The key-encryption key.
    #[must_use]
    pub fn kek(&self) -> PathBuf {
        self.path.join("kek")
    }

    /// Encrypted files.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// How the command line reaches the server.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The configuration, where no other file is named.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Whether `init` was here.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.elsewhere().exists() || self.record().exists() && self.keys().exists()
    }

    /// # Errors
    /// A sentence that says what to do when `init` was not here.
    pub fn demand_initialised(&self) -> anyhow::Result<()> {
        if !self.is_initialised() {
            bail!("{} is no data folder. Make one with `carethread init`.", self.path.display());
        }
        Ok(())
    }

    /// Makes the folder, private to its owner. An empty one is taken, also with a `config.toml` in it.
    ///
    /// # Errors
    /// A sentence when something is in it, or it cannot be made. Then nothing is changed.
    pub fn create(&self) -> anyhow::Result<()> {
        match fs::read_dir(&self.path) {
            Ok(listing) => {
                for entry in listing {
                    let name = entry?.file_name();
                    if name != "config.toml" && name != "lost+found" {
                        bail!("{} exists and is not empty; nothing was changed.", self.path.display());
                    }
                }
                fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))
                    .with_context(|| format!("{} cannot be made private", self.path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.path)
                .with_context(|| format!("{} cannot be made", self.path.display())),
            Err(error) => Err(error).with_context(|| format!("{} cannot be used", self.path.display())),
        }
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When the lock file cannot be opened. `None` when another process holds the folder.
    pub fn try_hold(&self) -> anyhow::Result<Option<Hold>> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Hold { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// As [`Folder::try_hold`], waiting for a command that is about to finish.
    ///
    /// # Errors
    /// A sentence when another process keeps the folder.
    pub async fn hold(&self) -> anyhow::Result<Hold> {
        let tries = HOLD_WAIT.as_millis() / HOLD_PAUSE.as_millis();
        for _ in 0..tries {
            if let Some(hold) = self.try_hold()? {
                return Ok(hold);
            }
            tokio::time::sleep(HOLD_PAUSE).await;
        }
        bail!("Another carethread process holds {}.", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(&parent.path().join("a/b"));
        assert!(folder.demand_initialised().is_err());
        folder.create().unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        folder.create().unwrap();
        fs::write(folder.config(), "").unwrap();
        folder.create().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert!(folder.create().unwrap_err().to_string().contains("not empty"));
    }

    #[test]
    fn one_process_holds_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        let hold = folder.try_hold().unwrap();
        assert!(hold.is_some() && folder.try_hold().unwrap().is_none());
        drop(hold);
        assert!(folder.try_hold().unwrap().is_some());
    }
}
