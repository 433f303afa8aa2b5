//! Sealed files in the data folder: written once, durable before anything names them, read by range. Floor 1.
//! Does not know: keys, names, who may read. It keeps bytes it cannot read.
//! Invariants: a file that [`Writing::finish`] returned from survives a power cut; one that is not finished is removed when its writer is
//! dropped, and what a crash leaves behind is named by nothing.

use std::io::{self, SeekFrom};
use std::path::PathBuf;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

/// A folder of files named by their ids. Shared by cloning.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// A file on its way to the disk.
pub struct Writing {
    file: File,
    path: PathBuf,
    folder: PathBuf,
    finished: bool,
}

/// A file that is read.
pub struct Reading {
    file: File,
    bytes: u64,
}

impl Files {
    /// In that folder; it is made when the first file comes.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.as_hyphenated().to_string())
    }

    /// Begins a file.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub async fn create(&self, id: Uuid) -> io::Result<Writing> {
        fs::create_dir_all(&self.folder).await?;
        let path = self.path(id);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
        Ok(Writing { file, path, folder: self.folder.clone(), finished: false })
    }

    /// Another folder beside this one.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { folder: self.folder.with_file_name(name) }
    }

    /// Begins a file for a writer that does not wait, and that need not survive a power cut.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn create_blocking(&self, id: Uuid) -> io::Result<std::fs::File> {
        use std::os::unix::fs::OpenOptionsExt as _;
        std::fs::create_dir_all(&self.folder)?;
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(id))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn open(&self, id: Uuid) -> io::Result<Reading> {
        let file = File::open(self.path(id)).await?;
        let bytes = file.metadata().await?.len();
        Ok(Reading { file, bytes })
    }

    /// Removes a file; none of that name is as good.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, id: Uuid) -> io::Result<()> {
        match fs::remove_file(self.path(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Hands the id of every file to `each`, in no order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn each(&self, mut each: impl FnMut(Uuid)) -> io::Result<()> {
        let mut listing = match fs::read_dir(&self.folder).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listing => listing?,
        };
        while let Some(entry) = listing.next_entry().await? {
            if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                each(id);
            }
        }
        Ok(())
    }

    /// Percent of the disk in use, as df(1) counts: what is kept back for the system counts for neither side.
    #[must_use]
    pub fn disk_percent(&self) -> Option<u8> {
        let folder = if self.folder.exists() { self.folder.as_path() } else { self.folder.parent()? };
        let found = rustix::fs::statvfs(folder).ok()?;
        let used = found.f_blocks.saturating_sub(found.f_bfree);
        let all = used.saturating_add(found.f_bavail).max(1);
        u8::try_from(u128::from(used).saturating_mul(100).div_ceil(u128::from(all))).ok()
    }
}

impl Writing {
    /// The next bytes.
    ///
    /// # Errors
    /// The disk's.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Makes content and name durable.
    ///
    /// # Errors
    /// The disk's: then the file is gone.
    pub async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        File::open(&self.folder).await?.sync_all().await?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.finished {
            // What stays all the same is named by nothing and swept later.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Reading {
    /// How long it is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// The disk's, or the file is shorter.
    pub async fn range(&mut self, range: std::ops::Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.seek(SeekFrom::Start(range.start)).await?;
        self.file.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_there_once_it_is_finished_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(folder.path().join("files"));
        let (kept, cut) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut writing = files.create(kept).await.unwrap();
        writing.write(b"hello").await.unwrap();
        writing.write(b" there").await.unwrap();
        writing.finish().await.unwrap();
        let mut writing = files.create(cut).await.unwrap();
        writing.write(b"half").await.unwrap();
        drop(writing);
        assert!(files.create(kept).await.is_err() && files.open(cut).await.is_err());
        let mut reading = files.open(kept).await.unwrap();
        assert_eq!((reading.bytes(), reading.range(6..11).await.unwrap().as_slice()), (11, b"there".as_slice()));
        assert!(reading.range(6..12).await.is_err());
        let mut found = Vec::new();
        files.each(|id| found.push(id)).await.unwrap();
        assert_eq!(found, [kept]);
        files.remove(kept).await.unwrap();
        files.remove(kept).await.unwrap();
        assert!(files.disk_percent().is_some_and(|percent| percent <= 100));
    }
}
