//! Where an export is written: a file, or a new folder. It is made under another name and gets its own only when all of it is on
//! disk and filed, so that a cut export is never taken for a whole one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::features::chart::{Out, Progress};
use crate::kernel::base::World;

/// Content of patients: for its owner alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A file or folder in the making. Dropped without [`Paper::keep`], it leaves nothing behind.
pub struct Paper {
    wanted: PathBuf,
    making: PathBuf,
    folder: bool,
    open: Option<BufWriter<File>>,
    /// Folders made, to be synced.
    folders: Vec<PathBuf>,
    progress: Progress,
}

impl Paper {
    /// Will be at `path`, which must not exist.
    ///
    /// # Errors
    /// A sentence: it exists, or the folder it is to lie in cannot be written.
    pub fn new(path: &Path, folder: bool) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!("{} exists; an export is written to a new place.", path.display());
        }
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let mut making = std::ffi::OsString::from(".");
        making.push(name);
        making.push(format!(".{}", World::system().id().simple()));
        let mut paper = Self {
            wanted: path.to_owned(),
            making: path.with_file_name(making),
            folder,
            open: None,
            folders: Vec::new(),
            progress: Progress::default(),
        };
        let made =
            if folder { paper.make_folder(&paper.making.clone()) } else { paper.make_file(&paper.making.clone()) };
        made.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(paper)
    }

    fn make_file(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        self.open = Some(BufWriter::new(file));
        Ok(())
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.folders.iter().any(|made| made == path) => {
                Ok(())
            }
            made => {
                made?;
                self.folders.push(path.to_owned());
                Ok(())
            }
        }
    }

    fn end_file(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(file) => file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Gives it its name. Nothing that came there meanwhile is overwritten.
    ///
    /// # Errors
    /// A sentence.
    pub fn keep(mut self) -> anyhow::Result<()> {
        let named = self.end_file().and_then(|()| {
            if self.folder {
                // Of folders only an empty one is replaced.
                return fs::rename(&self.making, &self.wanted);
            }
            fs::hard_link(&self.making, &self.wanted)?;
            fs::remove_file(&self.making)
        });
        named.with_context(|| format!("{} cannot be written", self.wanted.display()))?;
        let parent = self.wanted.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(File::open(parent)?.sync_all()?)
    }
}

impl Out for Paper {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        if !self.folder {
            // One file: it has its name already.
            return Ok(());
        }
        self.end_file()?;
        let parts: Vec<&str> = name.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || *part == "." || *part == "..") {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut path = self.making.clone();
        for (at, part) in parts.iter().enumerate() {
            path.push(part);
            if at + 1 < parts.len() {
                self.make_folder(&path)?;
            }
        }
        self.make_file(&path)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open.as_mut().ok_or(ErrorKind::InvalidInput)?.write_all(bytes)
    }

    fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.folder {
            self.end_file()?;
        } else if let Some(file) = &mut self.open {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        self.folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }
}

impl Drop for Paper {
    fn drop(&mut self) {
        drop(self.open.take());
        let _ = if self.folder { fs::remove_dir_all(&self.making) } else { fs::remove_file(&self.making) };
    }
}

/// For commands that write no files.
pub struct Nowhere;

impl Out for Nowhere {
    fn begin_file(&mut self, _name: &str) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn listed(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.ndjson");
        let mut paper = Paper::new(&path, false).unwrap();
        paper.begin_file("record.ndjson").unwrap();
        paper.write(b"one").unwrap();
        assert!(!path.exists());
        paper.finish().unwrap();
        paper.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), listed(place.path())), (b"one".to_vec(), vec!["a.ndjson".to_owned()]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Paper::new(&path, false).is_err());
    }

    #[test]
    fn a_folder_holds_what_it_was_told() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("proof");
        let mut paper = Paper::new(&path, true).unwrap();
        for name in ["manifest.json", "channels/a/leaves", "channels/a/head", "channels/b/leaves"] {
            paper.begin_file(name).unwrap();
            paper.write(name.as_bytes()).unwrap();
        }
        for wrong in ["../x", "/x", "a//b", "", "manifest.json"] {
            assert!(paper.begin_file(wrong).is_err(), "{wrong}");
        }
        paper.finish().unwrap();
        paper.keep().unwrap();
        assert_eq!(listed(&path), ["channels", "manifest.json"]);
        assert_eq!(fs::read(path.join("channels/b/leaves")).unwrap(), b"channels/b/leaves");
    }

    #[test]
    fn what_is_not_kept_is_gone_and_nothing_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        for folder in [false, true] {
            let mut paper = Paper::new(&place.path().join("x"), folder).unwrap();
            paper.begin_file("a/b").unwrap();
            drop(paper);
        }
        assert!(listed(place.path()).is_empty());
        let path = place.path().join("y");
        let paper = Paper::new(&path, false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(paper.keep().is_err());
        assert_eq!((fs::read(&path).unwrap(), listed(place.path())), (b"mine".to_vec(), vec!["y".to_owned()]));
    }
}
