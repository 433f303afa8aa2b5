//! A folder that another program takes files from: a file is there whole or not at all, and one name is one content.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Outcome;

/// Where files are laid.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Lays a file there. The same name twice is the same bytes, or a conflict.
    pub(super) async fn put(&self, name: String, bytes: Vec<u8>) -> Outcome {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(plain) {
            return Outcome::stopped("unsupported", "The name of a file is letters, digits, dots and hyphens.");
        }
        let folder = self.path.clone();
        match tokio::task::spawn_blocking(move || lay(&folder, &name, &bytes)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::again(format!("The folder does not take the file: {}.", error.kind())),
            Err(_) => Outcome::again("The file was not written to its end."),
        }
    }
}

fn lay(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Outcome> {
    let place = folder.join(name);
    let done = || Outcome::Done { remote: Vec::new(), words: String::new() };
    match fs::read(&place) {
        Ok(there) if there == bytes => return Ok(done()),
        Ok(_) => return Ok(Outcome::stopped("conflict", "Another file of this name is there.")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Hidden until it is whole; what a power loss left of an earlier attempt is written over.
    let hidden = folder.join(format!(".{name}.part"));
    let mut file = File::create(&hidden)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&hidden, &place)?;
    File::open(folder)?.sync_all()?;
    Ok(done())
}
