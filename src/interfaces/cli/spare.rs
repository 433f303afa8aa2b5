//! A temporary folder, for its owner alone, gone when it is dropped.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::kernel::base::World;

/// A folder of this process.
pub struct Spare {
    path: PathBuf,
}

impl Spare {
    /// Makes an empty one where the system keeps temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("carethread-{}", World::system().id().simple()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_what_is_in_it() {
        let spare = Spare::new().unwrap();
        let path = spare.path().to_owned();
        fs::write(path.join("a"), "b").unwrap();
        drop(spare);
        assert!(!path.exists());
    }
}
