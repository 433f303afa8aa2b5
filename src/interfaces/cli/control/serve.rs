//! The side of the server: takes orders, runs them, sends what comes of them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::commands::{Answer, Command, Order, execute};
use super::super::print::said;
use super::{CHUNK_BYTES, Heard, REQUEST_BYTES_MAX, Said, reachable};
use crate::features::chart::Out;
use crate::kernel::base::{Code, Refusal};
use crate::server::status::Status;
use crate::server::{Folder, Node};

/// Orders at once: each may hold the files of an import.
const ORDERS_MAX: usize = 16;
/// A command that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);
/// How long running orders are waited for at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// Listens in the folder. Whoever calls holds the folder, so a socket that lies there belongs to nobody.
///
/// # Errors
/// When it cannot be made.
pub fn listen(folder: &Folder) -> anyhow::Result<UnixListener> {
    let path = folder.control();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("control.sock is in the way");
        }
        _ => {}
    }
    let (short, _held) = reachable(&path)?;
    let listener = UnixListener::bind(&short).context("control.sock cannot be made")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Who runs the orders.
#[derive(Clone)]
pub struct Attendant {
    /// What they run on. Without it the server is sealed: every order is refused but the question how it is.
    pub node: Option<Node>,
    /// What the server says of itself.
    pub status: Status,
}

/// Takes orders until `stop`, then waits for those that run.
pub async fn serve(listener: UnixListener, folder: Folder, attendant: Attendant, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(ORDERS_MAX));
    let running = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
                let (attendant, stop) = (attendant.clone(), stop.clone());
                running.spawn(async move {
                    if let Err(error) = attend(stream, attendant, &stop).await {
                        tracing::debug!(%error, "A command went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control.sock does not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // So that the next command sees at once that nobody serves.
    let _ = fs::remove_file(folder.control());
    running.close();
    let _ = tokio::time::timeout(DRAIN, running.wait()).await;
}

async fn attend(mut stream: UnixStream, attendant: Attendant, stop: &CancellationToken) -> io::Result<()> {
    let order: Order = super::read(&mut stream, REQUEST_BYTES_MAX).await?;
    let outcome = match &attendant.node {
        _ if matches!(order.command, Command::Status) => Ok(attendant.status(stop)),
        Some(node) => execute(node, order, &mut Sent { stream: &mut stream }).await,
        None => Err(Refusal::new(Code::Sealed)),
    };
    let end = match outcome {
        Ok(answer) => Said::Done(answer),
        Err(refusal) => Said::Refused(said(&refusal)),
    };
    super::write(&mut stream, &end).await
}

impl Attendant {
    fn status(&self, stop: &CancellationToken) -> Answer {
        let mut status = Status { sealed: true, draining: stop.is_cancelled(), ..self.status.clone() };
        if let Some(node) = &self.node {
            let book = node.engine.book();
            status.sealed = node.engine.shared().vault.keyring().is_sealed();
            (status.channels_held, status.suspect) = (book.held_channels(), book.is_suspect());
        }
        let object = serde_json::to_value(&status).expect("texts, numbers and truths are JSON");
        Answer { object, ..Answer::default() }
    }
}

/// Files on their way to the command. Writing waits for the command to read, on a thread of its own meanwhile.
struct Sent<'s> {
    stream: &'s mut UnixStream,
}

impl Sent<'_> {
    fn wait<T>(&mut self, work: impl AsyncFnOnce(&mut UnixStream) -> io::Result<T>) -> io::Result<T> {
        let stream = &mut *self.stream;
        tokio::task::block_in_place(|| {
            let patient = async {
                tokio::time::timeout(STALL, work(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            };
            tokio::runtime::Handle::current().block_on(patient)
        })
    }
}

impl Out for Sent<'_> {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        self.wait(async |stream| super::write(stream, &Said::File(name.to_owned())).await)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(CHUNK_BYTES).try_for_each(|chunk| {
            self.wait(async |stream| {
                super::write(stream, &Said::Bytes(chunk.len())).await?;
                stream.write_all(chunk).await
            })
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.wait(async |stream| {
            super::write(stream, &Said::Finish(true)).await?;
            match super::read(stream, CHUNK_BYTES).await? {
                Heard::Kept(_) => Ok(()),
                Heard::Lost(sentence) => Err(io::Error::other(sentence)),
            }
        })
    }
}
