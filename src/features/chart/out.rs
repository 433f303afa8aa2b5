//! Where an export goes: one file or several, written from the beginning to the end. Does not know formats, folders or disks.

use std::io;

use super::Progress;

/// Takes the bytes of an export. The command line and the HTTP route bring their own.
pub trait Out: Send {
    /// The bytes that follow belong to this file: a path with `/`, never absolute, never with `..`. A format of one file names it
    /// once, and the receiver may call it what it likes.
    ///
    /// # Errors
    /// It cannot be made.
    fn begin_file(&mut self, name: &str) -> io::Result<()>;

    /// The next bytes of the file that was begun last.
    ///
    /// # Errors
    /// They cannot be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Where it is counted how far the export has come. Asked for once, at its beginning.
    fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Nothing follows: makes all of it durable. Only then is the export filed in the record.
    ///
    /// # Errors
    /// It cannot be.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In memory: for tests and for answers that are small.
#[derive(Default)]
pub struct Memory {
    /// The files by name.
    pub files: std::collections::BTreeMap<String, Vec<u8>>,
    current: String,
}

impl Out for Memory {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        name.clone_into(&mut self.current);
        self.files.entry(name.to_owned()).or_default();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.files.entry(self.current.clone()).or_default().extend_from_slice(bytes);
        Ok(())
    }
}
