//! The side of the server: takes orders, runs them, sends what comes of them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::commands::{Answer, Command, Order, execute};
use super::super::print::said;
use super::{CHUNK_BYTES, Heard, REQUEST_BYTES_MAX, Said, reachable};
use crate::features::chart::{Out, Progress};
use crate::kernel::base::{Code, Refusal};
use crate::server::status::Status;
use crate::server::{Folder, Node};

/// Orders at once: each may hold the files of an import.
const ORDERS_MAX: usize = 16;
/// A command that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);
/// How often it is said how far an export has come.
const LOOK: Duration = Duration::from_millis(200);
/// How long running orders are waited for at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// What is said to a command; one message at a time.
type Line = Arc<Mutex<OwnedWriteHalf>>;

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

async fn attend(stream: UnixStream, attendant: Attendant, stop: &CancellationToken) -> io::Result<()> {
    let (mut heard, said_to) = stream.into_split();
    let order: Order = super::read(&mut heard, REQUEST_BYTES_MAX).await?;
    let said_to = Arc::new(Mutex::new(said_to));
    let outcome = match &attendant.node {
        _ if matches!(order.command, Command::Status) => Ok(attendant.status(stop)),
        Some(node) => run(node, order, &mut heard, &said_to).await,
        None => Err(Refusal::new(Code::Sealed)),
    };
    let end = match outcome {
        Ok(answer) => Said::Done(answer),
        Err(refusal) => Said::Refused(said(&refusal)),
    };
    super::write(&mut *said_to.lock().await, &end).await
}

/// Runs it; meanwhile says how far it has come, if somebody sees that.
async fn run(node: &Node, order: Order, heard: &mut OwnedReadHalf, to: &Line) -> Result<Answer, Refusal> {
    let progress = Progress::default();
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    let watched = matches!(&order.command, Command::Export(asked) if asked.watched);
    let telling = watched.then(|| tokio::spawn(tell(Arc::clone(to), progress.clone(), ended.clone())));
    let outcome = execute(node, order, &mut Sent { heard, to, progress }).await;
    ended.cancel();
    if let Some(telling) = telling {
        // It ends between two messages: what follows does not stand inside one.
        let _ = telling.await;
    }
    outcome
}

async fn tell(to: Line, progress: Progress, ended: CancellationToken) {
    let (mut before, mut goes_on) = ((0, 0), true);
    while goes_on {
        goes_on = ended.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some();
        let (done, total) = progress.entries();
        if (done, total) != std::mem::replace(&mut before, (done, total)) {
            let saying = async { super::write(&mut *to.lock().await, &Said::Reached(done, total)).await };
            if !matches!(tokio::time::timeout(STALL, saying).await, Ok(Ok(()))) {
                return;
            }
        }
    }
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
    heard: &'s mut OwnedReadHalf,
    to: &'s Line,
    progress: Progress,
}

impl Sent<'_> {
    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut OwnedReadHalf, &mut OwnedWriteHalf) -> io::Result<T>,
    ) -> io::Result<T> {
        let (heard, to) = (&mut *self.heard, self.to);
        tokio::task::block_in_place(|| {
            let patient = async {
                let working = async { work(heard, &mut *to.lock().await).await };
                tokio::time::timeout(STALL, working).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            };
            tokio::runtime::Handle::current().block_on(patient)
        })
    }
}

impl Out for Sent<'_> {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        self.wait(async |_, stream| super::write(stream, &Said::File(name.to_owned())).await)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(CHUNK_BYTES).try_for_each(|chunk| {
            self.wait(async |_, stream| {
                super::write(stream, &Said::Bytes(chunk.len())).await?;
                stream.write_all(chunk).await
            })
        })
    }

    fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.wait(async |heard, stream| {
            super::write(stream, &Said::Finish(true)).await?;
            match super::read(heard, CHUNK_BYTES).await? {
                Heard::Kept(_) => Ok(()),
                Heard::Lost(sentence) => Err(io::Error::other(sentence)),
            }
        })
    }
}
