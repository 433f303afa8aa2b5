//! One WebSocket stream as a connection uses it: texts in, frames out, and why it ends.
//! Does not know sessions or commands.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};

use crate::interfaces::http::websocket::{close_for, finish, send_text};
use crate::kernel::wire::{Frame, close};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long a peer that is too slow is tried (contract: 1 s, then the connection is cut).
const GOODBYE_TO_SLOW: Duration = Duration::from_secs(1);
/// A frame over this goes out in fragments.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// Why a connection ends, as the peer is told.
#[derive(Debug)]
pub(super) struct Goodbye {
    frame: Option<CloseFrame>,
    limit: Duration,
}

impl Goodbye {
    /// With a code of `kernel::wire::close` and a few words.
    pub(super) fn new(code: u16, reason: &'static str) -> Self {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let limit = if code == close::TOO_SLOW { GOODBYE_TO_SLOW } else { GOODBYE };
        Self { frame: Some(frame), limit }
    }

    /// The peer closed, or is gone.
    pub(super) const fn gone() -> Self {
        Self { frame: None, limit: GOODBYE }
    }

    /// The server goes down.
    pub(super) fn draining() -> Self {
        Self::new(close::DRAINING, "the server is going down, come back")
    }

    /// Nothing was heard, or taken, for too long.
    pub(super) fn silent() -> Self {
        Self::new(close::SILENT, "nothing was heard for too long")
    }

    fn of(error: &Error) -> Self {
        Self { frame: close_for(error), limit: GOODBYE }
    }

    /// The code it is told with; none if nobody is told.
    pub(super) fn code(&self) -> Option<u16> {
        self.frame.as_ref().map(|frame| frame.code.into())
    }
}

/// A stream with the last time its peer was heard.
pub(super) struct Line<S> {
    socket: WebSocketStream<S>,
    /// When anything came in, pongs included.
    pub(super) heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, heard: Instant::now() }
    }

    /// The next text. Nothing is lost when this is dropped before it is ready.
    pub(super) async fn hear(&mut self) -> Result<Utf8Bytes, Goodbye> {
        loop {
            let message = match self.socket.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(Goodbye::of(&error)),
                None => return Err(Goodbye::gone()),
            };
            self.heard = Instant::now();
            match message {
                Message::Text(text) => return Ok(text),
                Message::Binary(_) => return Err(Goodbye::new(close::BAD_FRAMES, "frames are text")),
                Message::Close(_) => return Err(Goodbye::gone()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Writes a frame; it may wait in a buffer until [`Line::flush`].
    pub(super) async fn feed(&mut self, frame: Frame) -> Result<(), Goodbye> {
        let sent = if frame.len() <= WHOLE_BYTES_MAX {
            self.socket.feed(Message::Text(frame)).await
        } else {
            send_text(&mut self.socket, frame).await
        };
        sent.map_err(|error| Goodbye::of(&error))
    }

    /// Writes out what waits.
    pub(super) async fn flush(&mut self) -> Result<(), Goodbye> {
        self.socket.flush().await.map_err(|error| Goodbye::of(&error))
    }

    /// Writes a frame and flushes, within the time after which a peer counts as silent.
    pub(super) async fn send(&mut self, frame: Frame, silence: Duration) -> Result<(), Goodbye> {
        let sent = async {
            self.feed(frame).await?;
            self.flush().await
        };
        tokio::time::timeout(silence, sent).await.unwrap_or_else(|_| Err(Goodbye::silent()))
    }

    /// Asks the peer for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), Goodbye> {
        self.socket.feed(Message::Ping(Bytes::new())).await.map_err(|error| Goodbye::of(&error))
    }

    /// Says goodbye and lets go.
    pub(super) async fn finish(self, goodbye: Goodbye) {
        finish(self.socket, goodbye.frame, goodbye.limit).await;
    }
}
