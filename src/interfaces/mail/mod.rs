//! Mail handed over by the site's mail server: LMTP (RFC 2033), off unless it is configured. The grammar is smtp-proto's.
//! Does not know: what becomes of a mail. Nothing of a mail is logged, not even an address.
//! Invariant: every line, mail, session and wait has a limit; each recipient of a mail has an answer of its own.

mod session;
#[cfg(test)]
mod tests;

use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::kernel::base::config::Mail;
use crate::kernel::engine::Engine;
use crate::kernel::policy::Subject;

/// Sessions at once: a mail server keeps a few, and each may hold one mail.
const SESSIONS_MAX: usize = 8;
/// A whole session: far beyond what a queue run of a mail server takes.
const SESSION_MAX: Duration = Duration::from_secs(3600);

/// Where mail is handed over.
pub enum Listener {
    /// By TCP.
    Tcp(TcpListener),
    /// By a socket in the file system, removed at the end.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens where the configuration says; none if it says nothing.
    ///
    /// # Errors
    /// A sentence: the address cannot be used, or other machines could reach it and may not.
    pub async fn open(config: &Mail) -> anyhow::Result<Option<Self>> {
        let Some(place) = config.lmtp.as_deref() else { return Ok(None) };
        if let Some(path) = place.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            // What a server that was killed left behind; one that lives does not lose its socket.
            if path.exists() && std::os::unix::net::UnixStream::connect(&path).is_err() {
                std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
            }
            let listener = UnixListener::bind(&path).with_context(|| format!("Cannot listen on {place}"))?;
            return Ok(Some(Self::Unix(listener, path)));
        }
        let mut addresses = place.to_socket_addrs().with_context(|| format!("{place}: give HOST:PORT or unix:PATH"))?;
        if !config.lmtp_open && !addresses.all(|address| address.ip().is_loopback()) {
            bail!(
                "{place}: other machines could hand over mail there. Set [mail] lmtp_open = true where the network between is trusted."
            );
        }
        let listener = TcpListener::bind(place).await.with_context(|| format!("Cannot listen on {place}"))?;
        Ok(Some(Self::Tcp(listener)))
    }

    /// Where it really listens.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    async fn accept(&self) -> std::io::Result<Box<dyn Line>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Takes mail until `stop` is cancelled. `host` has the authority of the host.
pub async fn serve(listener: Listener, engine: Engine, host: Subject, stop: CancellationToken) {
    info!(place = listener.place(), "Taking mail by LMTP");
    let places = Arc::new(Semaphore::new(SESSIONS_MAX));
    let mut sessions = JoinSet::new();
    loop {
        let line = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = sessions.join_next() => continue,
            line = listener.accept() => line,
        };
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                warn!(%error, "A mail server could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = places.clone().try_acquire_owned();
        let (engine, host, stop) = (engine.clone(), host.clone(), stop.clone());
        sessions.spawn(async move {
            let session = session::run(line, &engine, &host, place.is_ok(), stop);
            let _ = timeout(SESSION_MAX, session).await;
            drop(place);
        });
    }
    // A mail that was taken whole is answered before the end.
    let _ = timeout(Duration::from_secs(10), async { while sessions.join_next().await.is_some() {} }).await;
}
