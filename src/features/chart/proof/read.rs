//! The files of a proof, wherever they lie, read once from the beginning to the end and hashed on the way.
//! Everything read into memory has a bound: a proof may come from anyone.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::kernel::crypto::{Hash, Hasher};

/// Files of one folder: four a channel and a few; more is no proof of one patient.
const FILES_MAX: usize = 200_000;
/// Folders below the folder: `channels/<id>/files`.
const DEPTH_MAX: usize = 3;

/// The files of a proof.
pub trait Files {
    /// The path of every file, with `/`.
    ///
    /// # Errors
    /// A sentence.
    fn names(&self) -> Result<Vec<String>, String>;

    /// Opens one.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// A folder on disk. Symbolic links are not followed: they could show another file at every look.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Of that path.
    ///
    /// # Errors
    /// It is no folder.
    pub fn open(path: &Path) -> Result<Self, String> {
        if path.is_dir() {
            return Ok(Self { root: path.to_owned() });
        }
        Err(format!("{} is no proof folder", path.display()))
    }

    fn list(&self, below: &str, depth: usize, names: &mut Vec<String>) -> Result<(), String> {
        let said = |error: io::Error| format!("{}: {error}", self.root.join(below).display());
        for entry in fs::read_dir(self.root.join(below)).map_err(said)? {
            let entry = entry.map_err(said)?;
            let name = entry.file_name().into_string().map_err(|_| "a file has a name that is not text".to_owned())?;
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            let class = entry.file_type().map_err(said)?;
            if class.is_dir() && depth < DEPTH_MAX {
                self.list(&name, depth + 1, names)?;
            } else if class.is_file() {
                names.push(name);
            } else {
                return Err(format!("{name}: neither a file nor a folder of a proof"));
            }
            if names.len() > FILES_MAX {
                return Err("there are too many files for a proof".to_owned());
            }
        }
        Ok(())
    }
}

impl Files for Folder {
    fn names(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        self.list("", 0, &mut names)?;
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let inside = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !inside {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Box::new(File::open(self.root.join(name))?))
    }
}

/// One file, hashed while it is read.
pub(super) struct Stream<'f> {
    reader: BufReader<Hashing<'f>>,
}

struct Hashing<'f> {
    inner: Box<dyn Read + 'f>,
    hasher: Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
}

impl<'f> Stream<'f> {
    pub(super) fn new(inner: Box<dyn Read + 'f>) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, Hashing { inner, hasher: Hasher::default() }) }
    }

    /// Fills `bytes` as far as the file goes; gives how many.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// The next line with its end; none at the end of the file. One that is longer than `max` is given without its end.
    pub(super) fn line(&mut self, max: u64) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reader).take(max).read_until(b'\n', &mut line)?;
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    /// The whole file, if it is not longer than `max`.
    pub(super) fn whole(&mut self, max: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(max + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max))
    }

    /// What `hasher` makes of all that was not read yet.
    pub(super) fn finish_into(mut self, mut hasher: Hasher) -> io::Result<Hash> {
        loop {
            let bytes = self.reader.fill_buf()?;
            let count = bytes.len();
            if count == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(bytes);
            self.reader.consume(count);
        }
    }

    /// The SHA-256 of all of it, read or not.
    pub(super) fn finish(mut self) -> io::Result<Hash> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader.into_inner().hasher.finish())
    }
}
