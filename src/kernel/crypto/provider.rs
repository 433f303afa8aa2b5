//! Key providers: where the key-encryption key comes from. Floor 1.
//! Does not know: what is wrapped, or where blobs are kept.
//! Invariant: a key file that others can read is refused, and no error says anything of the key.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::wrap::{Binding, Kek, unwrap, wrap};
use super::{base64, from_base64, from_hex};
use crate::kernel::base::{Fault, World};

/// The environment variable that [`EnvProvider`] reads.
pub const KEK_VARIABLE: &str = "CARETHREAD_KEK";

/// Past this a key file is no key file: 64 hex digits, a line end, and room for a stray blank.
const FILE_BYTES_MAX: u64 = 80;

/// Wraps and unwraps keys under a key-encryption key that never leaves it.
pub trait KeyProvider: Send + Sync {
    /// The version that [`KeyProvider::wrap`] uses.
    fn current(&self) -> u32;

    /// Wraps 32 key bytes.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn wrap(&self, world: &World, binding: &Binding, key: &[u8; 32]) -> Result<Vec<u8>, Fault>;

    /// Unwraps.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when the blob is not one of this key, owner and version; others when the provider does not answer.
    fn unwrap(&self, binding: &Binding, blob: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault>;

    /// Whether the provider answers.
    ///
    /// # Errors
    /// When it does not.
    fn health(&self) -> Result<(), Fault>;
}

/// Why no key-encryption key was loaded. Only [`KeyFileError::Missing`] leads to a sealed server; the others stop its start.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no key.
    #[error("the key is missing")]
    Missing,
    /// Group or others have rights on the file; the mode's last nine bits.
    #[error("the key file has mode {0:04o}; it must be readable by its owner alone (chmod 0400)")]
    Mode(u32),
    /// The file belongs to someone else.
    #[error("the key file belongs to user {found}, this process runs as user {wanted}")]
    Owner {
        /// Whose it is.
        found: u32,
        /// The process's user.
        wanted: u32,
    },
    /// Not 32 bytes as base64 or hex.
    #[error("the key must be 32 bytes, written as 44 characters of base64 or 64 of hex")]
    Length,
    /// The file cannot be read.
    #[error("the key file cannot be read: {0}")]
    Io(#[from] io::Error),
}

macro_rules! local_provider {
    ($name:ident) => {
        impl KeyProvider for $name {
            fn current(&self) -> u32 {
                self.kek.version
            }

            fn wrap(&self, world: &World, binding: &Binding, key: &[u8; 32]) -> Result<Vec<u8>, Fault> {
                Ok(wrap(world, &self.kek, binding, key).to_vec())
            }

            fn unwrap(&self, binding: &Binding, blob: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
                unwrap(&self.kek, binding, blob)
            }

            fn health(&self) -> Result<(), Fault> {
                Ok(())
            }
        }
    };
}

/// The key-encryption key from a file, read once.
#[derive(Debug)]
pub struct FileProvider {
    kek: Kek,
}

impl FileProvider {
    /// Reads the key file. `version` is what the key table calls this key.
    ///
    /// # Errors
    /// When the file is missing, others have rights on it, it is not the process's own, or does not hold a key.
    pub fn open(path: &Path, version: u32) -> Result<Self, KeyFileError> {
        let key = read_key_file(path)?;
        Ok(Self { kek: Kek::new(version, &key) })
    }
}

local_provider!(FileProvider);

/// The key-encryption key from the environment variable `CARETHREAD_KEK`, read once.
#[derive(Debug)]
pub struct EnvProvider {
    kek: Kek,
}

impl EnvProvider {
    /// Reads the variable.
    ///
    /// # Errors
    /// [`KeyFileError::Missing`] when it is not set, [`KeyFileError::Length`] when it holds no key.
    pub fn open(version: u32) -> Result<Self, KeyFileError> {
        let text = Zeroizing::new(std::env::var(KEK_VARIABLE).map_err(|error| match error {
            std::env::VarError::NotPresent => KeyFileError::Missing,
            std::env::VarError::NotUnicode(_) => KeyFileError::Length,
        })?);
        Ok(Self { kek: Kek::new(version, &*parse_key(&text)?) })
    }
}

local_provider!(EnvProvider);

fn read_key_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let missing = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound { KeyFileError::Missing } else { error.into() }
    };
    // Before opening: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(missing)?.is_file() {
        return Err(KeyFileError::Length);
    }
    let file = File::open(path).map_err(missing)?;
    // Of the open file, not of the path, so that what is checked is what is read.
    let found = file.metadata()?;
    let wanted = process_user()?;
    if found.uid() != wanted {
        return Err(KeyFileError::Owner { found: found.uid(), wanted });
    }
    if found.mode() & 0o077 != 0 {
        return Err(KeyFileError::Mode(found.mode() & 0o777));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(128));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    parse_key(std::str::from_utf8(&bytes).map_err(|_| KeyFileError::Length)?)
}

fn parse_key(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let text = text.trim_ascii();
    let bytes = Zeroizing::new(
        match text.len() {
            64 => from_hex(&Zeroizing::new(text.to_ascii_lowercase())),
            44 => from_base64(text),
            _ => None,
        }
        .ok_or(KeyFileError::Length)?,
    );
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(KeyFileError::Length);
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// The process's effective user. Linux gives the folder of a process to that user.
fn process_user() -> io::Result<u32> {
    std::fs::metadata("/proc/self").map(|folder| folder.uid())
}

/// Makes a key file of 32 random bytes, mode 0400, on disk when this returns.
///
/// # Errors
/// When the file exists (it is left as it is) or cannot be written.
pub fn create_key_file(world: &World, path: &Path) -> io::Result<()> {
    let key = Zeroizing::new(world.bytes::<32>());
    let text = Zeroizing::new(base64(&*key));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // A cut key file would stop every later start; without one, `init` can be repeated.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::{KeyOwner, hex};
    use super::*;
    use crate::kernel::base::id::DeploymentId;

    fn file_with(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kek");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode set");
        (folder, path)
    }

    #[test]
    fn a_new_key_file_is_private_and_opens() {
        let (world, folder) = (World::system(), tempfile::tempdir().expect("a folder"));
        let path = folder.path().join("kek");
        create_key_file(&world, &path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o400);
        let before = fs::read(&path).expect("read");
        assert_eq!(create_key_file(&world, &path).expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("read"), before);
        let provider = FileProvider::open(&path, 1).expect("opens");
        let binding = Binding { deployment: DeploymentId::ZERO, owner: KeyOwner::System, version: 1 };
        let blob = provider.wrap(&world, &binding, &[3; 32]).expect("wraps");
        assert_eq!(*FileProvider::open(&path, 1).expect("opens").unwrap(&binding, &blob).expect("unwraps"), [3; 32]);
        assert!(provider.health().is_ok() && provider.current() == 1);
    }

    #[test]
    fn base64_and_hex_name_the_same_key() {
        let binding = Binding { deployment: DeploymentId::ZERO, owner: KeyOwner::System, version: 1 };
        let blob = wrap(&World::system(), &Kek::new(1, &[0xab; 32]), &binding, &[3; 32]);
        for text in [base64(&[0xab; 32]), hex(&[0xab; 32]), hex(&[0xab; 32]).to_uppercase(), base64(&[0xab; 32]) + "\n"]
        {
            let (_folder, path) = file_with(&text, 0o600);
            assert!(FileProvider::open(&path, 1).expect("opens").unwrap(&binding, &blob).is_ok());
        }
    }

    #[test]
    fn each_fault_of_a_key_file_has_its_name() {
        let key = hex(&[0xab; 32]);
        for mode in [0o440, 0o404, 0o644, 0o410, 0o401] {
            let (_folder, path) = file_with(&key, mode);
            assert!(matches!(FileProvider::open(&path, 1), Err(KeyFileError::Mode(found)) if found == mode));
        }
        for text in ["", "\n", &key[2..], &base64(&[1; 31]), &base64(&[1; 33]), &"g".repeat(64), &"a".repeat(1000)] {
            let (_folder, path) = file_with(text, 0o400);
            assert!(matches!(FileProvider::open(&path, 1), Err(KeyFileError::Length)), "{text:?}");
        }
        let (folder, path) = file_with(&key, 0o400);
        assert!(matches!(FileProvider::open(&path.with_extension("gone"), 1), Err(KeyFileError::Missing)));
        assert!(matches!(FileProvider::open(folder.path(), 1), Err(KeyFileError::Length)));
        if process_user().expect("known") == 0 {
            std::os::unix::fs::chown(&path, Some(1), None).expect("given away");
            assert!(matches!(FileProvider::open(&path, 1), Err(KeyFileError::Owner { found: 1, wanted: 0 })));
        }
    }
}
