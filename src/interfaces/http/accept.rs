//! The accept loop: TCP, TLS, then HTTP/1.1 or HTTP/2 under limits, until told to stop.
//!
//! By hand, because a framework's loop bounds neither the handshake, nor the head, nor the number of connections, and cannot
//! take a renewed certificate. Does not know routes or sessions: it hands requests to one `Router`.
//! Invariants: a connection holds one place from accept until its stream is dropped, also after an upgrade; whatever a peer
//! does or omits, it is given up within the limits; a panic ends one connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt;

use super::pace::{Activity, HeldBody, Line, PacedBody};

/// The first wait after the system refused us a socket; it doubles up to [`ACCEPT_BACKOFF_MS_MAX`].
const ACCEPT_BACKOFF_MS: u64 = 10;
/// Longer would keep people out after descriptors are free again.
const ACCEPT_BACKOFF_MS_MAX: u64 = 1000;

/// What a peer may do to the listener before any route is asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at a time, upgraded ones included. One more is closed at once.
    pub connections: usize,
    /// TLS handshake, from accept to its end.
    pub handshake: Duration,
    /// From the end of the handshake, or of the previous answer, to the end of the next request's head (HTTP/1.1).
    pub head: Duration,
    /// Bytes of a request's head; at least 8192.
    pub head_bytes: usize,
    /// Waiting for a request's body, beyond one second for each KiB received; and for the peer to take any of an answer.
    pub stall: Duration,
    /// A connection without a request under way is told to go after this (HTTP/1.1: after `head`, if that is shorter).
    pub idle: Duration,
    /// Requests under way on one HTTP/2 connection.
    pub streams: u32,
    /// How long requests and sockets under way are waited for after the stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            head_bytes: 8192,
            stall: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            streams: 64,
            drain: Duration::from_secs(10),
        }
    }
}

/// What every connection shares.
struct Site {
    app: Router,
    limits: Limits,
    stop: CancellationToken,
    /// Cancelled when the drain is over: what is still open is cut.
    cut: CancellationToken,
}

/// A connection's place in the counts. Held by its stream.
struct Place {
    _permit: OwnedSemaphorePermit,
    _open: TaskTrackerToken,
}

/// Serves `app` over TLS on `listener` until `stop`, then waits up to [`Limits::drain`] for what is under way.
///
/// Each request carries [`ConnectInfo<SocketAddr>`] with the peer's address. A new value of `tls` (see `interfaces::tls`)
/// holds for connections accepted after it. Returns how many connections were still open when the wait ended: HTTP ones are
/// then cut, upgraded ones belong to their sessions.
pub async fn serve(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let site = Arc::new(Site { app, limits, stop, cut: CancellationToken::new() });
    let mut backoff_ms = ACCEPT_BACKOFF_MS;
    loop {
        let accepted = tokio::select! {
            biased;
            () = site.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors or memory: sockets that live keep their service, new ones wait in the backlog.
                tracing::warn!(%error, backoff_ms, "Cannot accept connections");
                metrics::counter!("carethread_accept_errors_total").increment(1);
                tokio::select! {
                    () = site.stop.cancelled() => break,
                    () = sleep(Duration::from_millis(backoff_ms)) => {}
                }
                backoff_ms = (backoff_ms * 2).min(ACCEPT_BACKOFF_MS_MAX);
                continue;
            }
        };
        backoff_ms = ACCEPT_BACKOFF_MS;
        let Ok(permit) = Arc::clone(&places).try_acquire_owned() else {
            metrics::counter!("carethread_connections_refused_total").increment(1);
            continue;
        };
        let place = Place { _permit: permit, _open: open.token() };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        tokio::spawn(guarded(Arc::clone(&site), acceptor, tcp, peer, place));
    }
    drop(listener);
    open.close();
    let _ = timeout(site.limits.drain, open.wait()).await;
    site.cut.cancel();
    open.len()
}

/// Errors that `accept` reports about one connection that came and went; the next one is not affected.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection, with its panics caught and the cut after the drain.
async fn guarded(site: Arc<Site>, acceptor: TlsAcceptor, tcp: TcpStream, peer: SocketAddr, place: Place) {
    let cut = site.cut.clone();
    let connection = AssertUnwindSafe(connection(site, acceptor, tcp, peer, place)).catch_unwind();
    // A panic's message may quote what it choked on: it is counted here and told by location in the panic hook only.
    if let Some(Err(_)) = cut.run_until_cancelled(connection).await {
        metrics::counter!("carethread_connection_panics_total").increment(1);
        tracing::error!(%peer, "A connection panicked and was closed");
    }
}

async fn connection(site: Arc<Site>, acceptor: TlsAcceptor, tcp: TcpStream, peer: SocketAddr, place: Place) {
    // Frames are small and written whole: waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    let handshake = timeout(site.limits.handshake, acceptor.accept(tcp));
    let tls = match site.stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(tls))) => tls,
        Some(Ok(Err(error))) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
        Some(Err(_)) => return tracing::debug!(%peer, "TLS handshake took too long"),
        None => return,
    };
    http(&site, tls, peer, place).await;
}

/// Speaks the version that ALPN settled. Guessing it from the first bytes, as the automatic builder does, would wait for those
/// bytes without a limit.
async fn http(site: &Arc<Site>, tls: TlsStream<TcpStream>, peer: SocketAddr, place: Place) {
    let limits = &site.limits;
    let two = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let watched = Arc::new(AtomicBool::new(true));
    let line = TokioIo::new(Line::new(tls, limits.stall, Arc::clone(&watched), place));
    let activity = Activity::new();
    let service = service_fn(|request: Request<Incoming>| {
        answer(site.app.clone(), request, peer, Arc::clone(&activity), limits.stall)
    });
    let outcome = if two {
        let serving = http2(limits).serve_connection(line, service);
        drive(site, &activity, serving, |serving| serving.graceful_shutdown()).await
    } else {
        let serving = http1(limits).serve_connection(line, service).with_upgrades();
        drive(site, &activity, serving, |serving| serving.graceful_shutdown()).await
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "Connection ended");
    }
    watched.store(false, Ordering::Relaxed);
}

/// Runs a connection to its end; asks it to end when the server stops or when nothing has been under way for too long.
async fn drive<C>(site: &Site, activity: &Activity, serving: C, leave: impl Fn(Pin<&mut C>)) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let limits = &site.limits;
    let mut serving = pin!(serving);
    let mut leaving = false;
    loop {
        tokio::select! {
            outcome = serving.as_mut() => return outcome,
            () = site.stop.cancelled(), if !leaving => leaving = true,
            () = sleep(limits.idle.min(limits.head) / 2) => match activity.quiet() {
                // It had its turn to leave by itself, or never said anything.
                Some(_) if leaving => return Ok(()),
                Some((quiet, false)) if quiet >= limits.head => return Ok(()),
                Some((quiet, true)) if quiet >= limits.idle => leaving = true,
                _ => continue,
            },
        }
        leave(serving.as_mut());
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes.max(8192));
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        // What one connection can make us buffer: these windows in, this buffer a stream out.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(25))
        .keep_alive_timeout(Duration::from_secs(35));
    builder
}

/// One request through the routes. Routes are infallible; a panic of theirs ends the connection.
async fn answer(
    app: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    activity: Arc<Activity>,
    stall: Duration,
) -> Result<Response<HeldBody>, Infallible> {
    let under_way = activity.request();
    let mut request = request.map(|body| Body::new(PacedBody::new(body, stall)));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = app.oneshot(request).await?;
    Ok(response.map(|body| HeldBody::new(body, under_way)))
}
