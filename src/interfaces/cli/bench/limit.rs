//! The limit: the least that can be called the same work, to measure against.
//!
//! TLS, WebSocket, rooms, and one file that every message is in (write, `fdatasync`) before anyone is sent it. What queued
//! during one sync is one batch of the next; there is no timer. Each member of the sender's room is sent the same bytes.
//! No sign-in, no rights, no keys, no order kept across a restart, no history: what Carethread costs more is its features.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::interfaces::http::websocket;
use crate::interfaces::tls::load_or_make;
use crate::kernel::base::World;

/// Messages that wait for the committer before senders are made to wait.
const QUEUE: usize = 4096;
/// As the real server: frames that wait for one socket before it is let go.
const INBOX: usize = 256;
/// The file is written round and round, and is whole from the start, so that a sync writes data and not the file's growth.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A message on its way to the file.
struct Post {
    room: u64,
    text: Utf8Bytes,
}

type Member = (u64, mpsc::Sender<Utf8Bytes>);

#[derive(Default)]
struct Rooms {
    members: Mutex<HashMap<u64, Vec<Member>>>,
    next: AtomicU64,
}

impl Rooms {
    fn join(&self, room: u64) -> (u64, mpsc::Receiver<Utf8Bytes>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, inbox) = mpsc::channel(INBOX);
        self.lock().entry(room).or_default().push((number, sender));
        (number, inbox)
    }

    fn leave(&self, room: u64, number: u64) {
        if let Some(members) = self.lock().get_mut(&room) {
            members.retain(|(other, _)| *other != number);
        }
    }

    /// A member whose inbox is full is dropped, and its socket with it: a slow reader hurts itself only.
    fn tell(&self, post: &Post) {
        if let Some(members) = self.lock().get_mut(&post.room) {
            members.retain(|(_, inbox)| inbox.try_send(post.text.clone()).is_ok());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the limit server on a free port of 127.0.0.1 with certificate and file in `folder`; says `listening on ...` to `out`.
/// A room is the path of the upgrade: `/7` is room 7.
///
/// # Errors
/// When the folder or the port cannot be used; later failures of the file end the process's use: they are returned.
pub async fn run(folder: &Path, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (identity, _) = load_or_make(folder, &World::system())?;
    writeln!(out, "listening on https://{}", listener.local_addr()?)?;
    out.flush()?;
    serve(listener, TlsAcceptor::from(identity.config()?), &folder.join("limit.log")).await
}

/// As [`run`], on a listener of the caller's.
///
/// # Errors
/// When `path` cannot be written, now or later.
pub async fn serve(listener: TcpListener, acceptor: TlsAcceptor, path: &Path) -> anyhow::Result<()> {
    let file = prepare(path)?;
    let rooms = Arc::new(Rooms::default());
    let (queue, posts) = mpsc::channel(QUEUE);
    let (kept, mut batches) = mpsc::unbounded_channel::<Vec<Post>>();
    let telling = Arc::clone(&rooms);
    tokio::spawn(async move {
        while let Some(batch) = batches.recv().await {
            batch.iter().for_each(|post| telling.tell(post));
        }
    });
    let mut commits = tokio::task::spawn_blocking(move || commit(&file, posts, &kept));
    loop {
        tokio::select! {
            ended = &mut commits => return Ok(ended??),
            accepted = listener.accept() => {
                let (tcp, _) = accepted?;
                tokio::spawn(attend(tcp, acceptor.clone(), Arc::clone(&rooms), queue.clone()));
            }
        }
    }
}

fn prepare(path: &Path) -> io::Result<File> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..FILE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Takes what queued, writes it, syncs it, hands it on to be told; again.
fn commit(file: &File, mut posts: mpsc::Receiver<Post>, kept: &mpsc::UnboundedSender<Vec<Post>>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut at = 0;
    loop {
        let mut batch = Vec::new();
        if posts.blocking_recv_many(&mut batch, QUEUE) == 0 {
            return Ok(());
        }
        bytes.clear();
        for post in &batch {
            bytes.extend_from_slice(post.text.as_bytes());
            bytes.push(b'\n');
        }
        if at + bytes.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        if kept.send(batch).is_err() {
            return Ok(());
        }
    }
}

async fn attend(tcp: TcpStream, acceptor: TlsAcceptor, rooms: Arc<Rooms>, queue: mpsc::Sender<Post>) {
    let _ = tcp.set_nodelay(true);
    let Ok(tls) = acceptor.accept(tcp).await else { return };
    let mut room = 0;
    #[expect(clippy::result_large_err, reason = "the shape tungstenite's callback has")]
    let path = |request: &Request, response: Response| {
        room = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
        Ok(response)
    };
    // Several messages that wait for one socket leave in one TLS record.
    let settings = websocket::settings(websocket::FRAME_BYTES_MAX).write_buffer_size(16 * 1024);
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async_with_config(tls, path, Some(settings)).await else {
        return;
    };
    let (number, mut inbox) = rooms.join(room);
    let mut waiting = Vec::new();
    loop {
        waiting.clear();
        tokio::select! {
            read = socket.next() => match read {
                Some(Ok(Message::Text(text))) => {
                    if queue.send(Post { room, text }).await.is_err() {
                        break;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
            count = inbox.recv_many(&mut waiting, INBOX) => {
                let mut failed = count == 0;
                for text in waiting.drain(..) {
                    failed |= socket.feed(Message::Text(text)).await.is_err();
                }
                if failed || socket.flush().await.is_err() {
                    break;
                }
            }
        }
    }
    rooms.leave(room, number);
}
