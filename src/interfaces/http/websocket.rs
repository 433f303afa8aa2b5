//! WebSocket streams as this server keeps them: settings, long messages, and how to say goodbye.
//!
//! Does not know frames' content or sessions. What tungstenite 0.30 reports while reading, and the close code the session
//! must send for it ([`close_for`]):
//!
//! | error | when | code |
//! | --- | --- | --- |
//! | `Capacity(MessageTooLong)` | one frame, or fragments together, over 65,536 bytes; seen at the frame's header | 1009 |
//! | `Utf8` | text, or a close reason, that is not UTF-8; seen at the first bad fragment | 1007 |
//! | `Protocol(UnmaskedFrameFromClient)`, `(NonZeroReservedBits)`, `(InvalidOpcode)`, `(UnknownDataFrameType)`, `(UnknownControlFrameType)` | as named | 1002 |
//! | `Protocol(FragmentedControlFrame)`, `(ControlFrameTooBig)`, `(InvalidCloseSequence)` | bad control frames | 1002 |
//! | `Protocol(UnexpectedContinueFrame)`, `(ExpectedFragment)` | fragments out of order | 1002 |
//! | `Protocol(ResetWithoutClosingHandshake)`, `Io`, `ConnectionClosed`, `AlreadyClosed` | the peer is gone | none |
//! | `WriteBufferFull` (writing) | a message over 256 KiB not sent by [`send_text`] | the session's own 4513 |
//!
//! A control frame that announces over 65,536 bytes meets the size limit first: 1009. A close frame with a code that may not
//! be sent is answered 1002 by tungstenite itself. Ping is answered by tungstenite too, at the next read or flush.
//! After any error the stream yields `None`, but can still send.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

/// An upgraded connection of a client.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Bytes of one message or frame a client may send. Contract: 65,536 pass, 65,537 close with 1009.
pub const FRAME_BYTES_MAX: usize = 65_536;

/// One fragment of a long message; with the write buffer's bound, a slow socket holds little more than this of ours.
const FRAGMENT_BYTES: usize = 128 * 1024;

/// Read and thrown away at most, so that a closing peer's bytes in flight do not turn our close frame into a reset.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The settings of every server-side stream. The defaults (128 KiB read buffer, unbounded write buffer) would cost 1.3 GB for
/// 10,000 idle sockets. Written frames wait for a flush up to 4 KiB, so that a burst of small ones is one record of TLS.
#[must_use]
pub fn settings(frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes))
}

/// The close frame owed for an error met while reading; `None` when there is nobody left to tell.
#[must_use]
pub fn close_for(error: &Error) -> Option<CloseFrame> {
    let (code, reason) = match error {
        Error::Capacity(_) => (CloseCode::Size, "the message is too large"),
        Error::Utf8(_) => (CloseCode::Invalid, "text must be UTF-8"),
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::SendAfterClosing
            | ProtocolError::ReceivedAfterClosing,
        ) => return None,
        Error::Protocol(_) | Error::AttackAttempt => (CloseCode::Protocol, "against RFC 6455"),
        _ => return None,
    };
    Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
}

/// Sends one text message and flushes. Over 128 KiB it goes as fragments (RFC 6455 section 5.4), because the write buffer
/// takes no frame over 256 KiB; a page of history can be longer. The caller must not send anything else in between.
///
/// # Errors
/// As the stream's: the peer is gone.
pub async fn send_text<S>(socket: &mut S, text: Utf8Bytes) -> Result<(), Error>
where
    S: Sink<Message, Error = Error> + Unpin,
{
    if text.len() <= FRAGMENT_BYTES {
        return socket.send(Message::Text(text)).await;
    }
    let mut rest: Bytes = text.into();
    let mut kind = Data::Text;
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(FRAGMENT_BYTES));
        let frame = Frame::message(part, OpCode::Data(kind), rest.is_empty());
        socket.send(Message::Frame(frame)).await?;
        kind = Data::Continue;
    }
    Ok(())
}

/// Says goodbye within `limit` and lets go of the connection: sends `frame`, waits for the peer's own close frame where it can
/// still be read, ends our side, and takes what the peer had in flight. Without the last step the kernel would answer unread
/// bytes with a reset, and the client would see 1006 in place of our code.
///
/// `frame` is `None` when the peer closed first (tungstenite has queued the answer) or is gone.
pub async fn finish<S>(mut socket: WebSocketStream<S>, frame: Option<CloseFrame>, limit: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(limit, async {
        match frame {
            Some(frame) => socket.send(Message::Close(Some(frame))).await.ok()?,
            None => socket.flush().await.ok()?,
        }
        let mut taken = 0;
        // Ends at once after a read error: the stream is fused then.
        while let Some(Ok(message)) = socket.next().await {
            taken += message.len();
            if message.is_close() || taken > LINGER_BYTES_MAX {
                break;
            }
        }
        let mut stream = socket.into_inner();
        stream.shutdown().await.ok()?;
        let mut dust = [0; 4096];
        while taken < LINGER_BYTES_MAX {
            match stream.read(&mut dust).await {
                Ok(0) | Err(_) => break,
                Ok(count) => taken += count,
            }
        }
        Some(())
    })
    .await;
}
