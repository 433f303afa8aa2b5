//! Peers that stall: limits on how long one may keep us waiting for its bytes or hold back ours.
//!
//! Does not know requests. Only waiting for the peer counts; a slow handler of ours costs a client nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// A body must arrive at this rate on average once its first seconds are over: a byte a second is an attack, 3G is not.
const BODY_BYTES_PER_SECOND_MIN: u64 = 1024;

/// A request body whose sender may keep us waiting `patience`, plus one second for each KiB it has sent.
pub struct PacedBody {
    inner: Incoming,
    patience: Duration,
    received: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl PacedBody {
    /// Watches `inner`.
    pub const fn new(inner: Incoming, patience: Duration) -> Self {
        Self { inner, patience, received: 0, waited: Duration::ZERO, waiting: None }
    }

    fn allowance(&self) -> Duration {
        self.patience + Duration::from_millis(self.received * 1000 / BODY_BYTES_PER_SECOND_MIN)
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
            }
            if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(|frame| frame.data_ref())) {
                self.received += data.map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let left = self.allowance().saturating_sub(self.waited);
        let (_, alarm) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the request body came too slowly").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether a connection does something: requests under way, and since when there are none.
pub struct Activity {
    under_way: AtomicUsize,
    /// Milliseconds after `start` at which the last request ended.
    quiet_since_ms: AtomicUsize,
    seen: AtomicBool,
    start: Instant,
}

impl Activity {
    /// Nothing so far.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            under_way: AtomicUsize::new(0),
            quiet_since_ms: AtomicUsize::new(0),
            seen: AtomicBool::new(false),
            start: Instant::now(),
        })
    }

    /// One request is under way until the guard is dropped.
    pub fn request(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.seen.store(true, Ordering::Release);
        UnderWay(Arc::clone(self))
    }

    /// How long nothing has been under way, and whether anything ever was; `None` while something is.
    pub fn quiet(&self) -> Option<(Duration, bool)> {
        if self.under_way.load(Ordering::Acquire) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.quiet_since_ms.load(Ordering::Acquire) as u64);
        Some((self.start.elapsed().saturating_sub(since), self.seen.load(Ordering::Acquire)))
    }
}

/// A request under way: from its head until the last byte of the answer is handed over.
pub struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let elapsed_ms = usize::try_from(self.0.start.elapsed().as_millis()).unwrap_or(usize::MAX);
        self.0.quiet_since_ms.fetch_max(elapsed_ms, Ordering::AcqRel);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer's body that keeps its request under way: a stream of events is not an idle connection.
pub struct HeldBody {
    inner: axum::body::Body,
    _under_way: UnderWay,
}

impl HeldBody {
    /// Joins the two.
    pub const fn new(inner: axum::body::Body, under_way: UnderWay) -> Self {
        Self { inner, _under_way: under_way }
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream that fails when the peer takes nothing for `patience`, and that holds `G` (places in counts) while it lives.
///
/// `G` is here and not in the task that serves HTTP because an upgraded stream outlives that task.
pub struct Line<S, G> {
    stream: S,
    patience: Duration,
    /// Cleared after an upgrade: a WebSocket session has its own rules for slow readers (4513, 4504).
    watched: Arc<AtomicBool>,
    stalled: Option<Pin<Box<Sleep>>>,
    _held: G,
}

impl<S, G> Line<S, G> {
    /// Watches `stream` for as long as `watched` is set.
    pub const fn new(stream: S, patience: Duration, watched: Arc<AtomicBool>, held: G) -> Self {
        Self { stream, patience, watched, stalled: None, _held: held }
    }

    /// Passes on what a write came to; a wait that lasts too long becomes an error.
    fn judge<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() || !self.watched.load(Ordering::Relaxed) {
            self.stalled = None;
            return outcome;
        }
        let patience = self.patience;
        let alarm = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin, G: Unpin> AsyncRead for Line<S, G> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> AsyncWrite for Line<S, G> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, from);
        self.judge(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.judge(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(outcome, cx)
    }
}
