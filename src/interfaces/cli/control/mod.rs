//! `control.sock`: how a command reaches the server that holds the folder. Mode 0600 in a folder of mode 0700: whoever may open it
//! owns the data.
//!
//! Messages are a length (4 bytes, big-endian) and that many bytes of JSON. One request; then any number of
//! `{"file": name}`, `{"reached": [done, of]}` (where the order says that somebody sees it), `{"bytes": n}` followed by n bytes, `{"finish": true}` (answered by the client with `{"kept": true}` or
//! `{"lost": sentence}`), and in the end `{"done": answer}` or `{"refused": sentence}`.

mod ask;
mod serve;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use ask::ask;
pub use serve::{Attendant, listen, serve};

use super::commands::Answer;

/// A request carries the files of an import: their sizes as JSON strings.
const REQUEST_BYTES_MAX: usize = 256 << 20;
/// One message of an answer: a list of all accounts or patients.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Bytes of a file sent at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Longer paths do not fit into a socket address (`sun_path`, unix(7): 108 with the zero byte).
const PATH_BYTES_MAX: usize = 100;

/// What a server says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// The bytes that follow belong to this file.
    File(String),
    /// So many bytes follow.
    Bytes(usize),
    /// Entries done, and of how many.
    Reached(u64, u64),
    /// Make it durable and say so.
    Finish(bool),
    /// The end: what came of it.
    Done(Answer),
    /// The end: why not.
    Refused(String),
}

/// What a client says to [`Said::Finish`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    /// It is on disk.
    Kept(bool),
    /// It is not.
    Lost(String),
}

async fn write<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("the message is too long"))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), bytes_max: usize) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > bytes_max {
        return Err(io::Error::other("the message is too long"));
    }
    // Grown as it comes: a length alone reserves nothing.
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// The path to bind or connect to. A long one is reached through the open folder, which is returned and must outlive the call.
fn reachable(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    use std::os::fd::AsRawFd;
    if path.as_os_str().len() < PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), Some(folder)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_message_comes_as_it_went() {
        let mut bytes = Vec::new();
        write(&mut bytes, &json!({ "a": "ö" })).await.unwrap();
        assert_eq!(bytes[..4], [0, 0, 0, 10]);
        let message: Value = read(&mut bytes.as_slice(), 100).await.unwrap();
        assert_eq!(message, json!({ "a": "ö" }));
        assert!(read::<Value>(&mut bytes.as_slice(), 9).await.is_err());
        assert!(read::<Value>(&mut &bytes[..8], 100).await.is_err());
        assert!(read::<Value>(&mut [0, 0, 0, 1, b'{'].as_slice(), 100).await.is_err());
    }

    #[test]
    fn a_long_path_is_reached_through_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let (short, held) = reachable(&deep.join("control.sock")).unwrap();
        assert!(short.as_os_str().len() < PATH_BYTES_MAX && held.is_some());
        std::fs::write(&short, "x").unwrap();
        assert!(deep.join("control.sock").exists());
    }
}
