//! A WebSocket client that breaks rules: it writes the frames it is told to write, whatever RFC 6455 says of them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use super::http;
use super::server::Server;

/// Opcodes of RFC 6455 section 5.2.
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const PING: u8 = 9;
/// The bit that ends a message.
pub const FIN: u8 = 0x80;

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection behind its upgrade.
pub struct Raw {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// What the server sent.
#[derive(Debug, PartialEq)]
pub enum Got {
    Text(Value),
    Close(u16),
    /// Cut without a close frame.
    Gone,
}

impl Raw {
    /// Upgrades; `headers` are lines ended by CR LF. Reads the first frame as well.
    pub async fn open(server: &Server, headers: &str) -> Self {
        Self::upgrade(http::connect(server.address, &server.tls).await.unwrap(), headers).await
    }

    /// As [`Raw::open`], on a connection whose receiver takes little before it is read.
    pub async fn open_narrow(server: &Server, headers: &str) -> Self {
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        let tcp = tcp.connect(server.address).await.unwrap();
        Self::upgrade(http::secured(tcp, &server.tls).await.unwrap(), headers).await
    }

    async fn upgrade(mut stream: TlsStream<TcpStream>, headers: &str) -> Self {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Self { stream, buffer: Vec::new() };
        let head = raw.until(b"\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the accept key of RFC 6455 section 1.3: {head}");
        let Got::Text(hello) = raw.next().await else { panic!("no hello") };
        assert_eq!(hello["type"], "hello");
        raw
    }

    async fn until(&mut self, mark: &[u8]) -> String {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return String::from_utf8(self.buffer.drain(..at + mark.len()).collect()).unwrap();
            }
            assert!(self.more().await, "cut: {}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// False at the end of the stream, in whatever way it came.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("an answer, or an end"), Ok(1..))
    }

    /// Writes a masked frame: `first` is FIN, reserved bits and opcode.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.frame_with(first, payload, Some([7, 11, 13, 17])).await;
    }

    /// Writes a frame with the mask given, or none. An end of the connection is told by whoever reads next.
    pub async fn frame_with(&mut self, first: u8, payload: &[u8], mask: Option<[u8; 4]>) {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            size @ ..126 => bytes.push(masked | u8::try_from(size).unwrap()),
            size @ ..65_536 => {
                bytes.push(masked | 126);
                bytes.extend(u16::try_from(size).unwrap().to_be_bytes());
            }
            size => {
                bytes.push(masked | 127);
                bytes.extend(u64::try_from(size).unwrap().to_be_bytes());
            }
        }
        let mask_bytes = mask.unwrap_or_default();
        bytes.extend_from_slice(&mask_bytes[..if mask.is_some() { 4 } else { 0 }]);
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask_bytes[at % 4]));
        self.bytes(&bytes).await;
    }

    /// Writes bytes. A server that has closed is told by whoever reads next.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Writes a whole text frame.
    pub async fn text(&mut self, text: &str) {
        self.frame(FIN | TEXT, text.as_bytes()).await;
    }

    /// The next text, or how the connection ends; pings of the server are passed over.
    pub async fn next(&mut self) -> Got {
        loop {
            let Some((opcode, payload)) = self.read_frame().await else { return Got::Gone };
            match opcode {
                1 => return Got::Text(serde_json::from_slice(&payload).unwrap()),
                8 if payload.len() >= 2 => return Got::Close(u16::from_be_bytes([payload[0], payload[1]])),
                8 => return Got::Close(1005),
                _ => {}
            }
        }
    }

    async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        while self.buffer.len() < 2 {
            self.more().await.then_some(())?;
        }
        assert_eq!(self.buffer[1] & 0x80, 0, "a server does not mask (RFC 6455 section 5.1)");
        assert_eq!(self.buffer[0] & 0xf0, FIN, "whole frames, no extension");
        let extra = match self.buffer[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        while self.buffer.len() < 2 + extra {
            self.more().await.then_some(())?;
        }
        let size = match extra {
            0 => usize::from(self.buffer[1]),
            _ => self.buffer[2..2 + extra].iter().fold(0, |size, byte| (size << 8) | usize::from(*byte)),
        };
        while self.buffer.len() < 2 + extra + size {
            self.more().await.then_some(())?;
        }
        let opcode = self.buffer[0] & 0x0f;
        let payload = self.buffer[2 + extra..2 + extra + size].to_vec();
        self.buffer.drain(..2 + extra + size);
        Some((opcode, payload))
    }

    /// The code of the next error; panics on anything else.
    pub async fn refusal(&mut self) -> (Value, String) {
        match self.next().await {
            Got::Text(frame) if frame["type"] == "error" => {
                (frame["id"].clone(), frame["error"]["code"].as_str().unwrap().to_owned())
            }
            other => panic!("no error: {other:?}"),
        }
    }

    /// How the server closes; texts before it are passed over.
    pub async fn end(&mut self) -> Got {
        loop {
            match self.next().await {
                Got::Text(_) => {}
                end => return end,
            }
        }
    }

    /// The connection is alive: a ping op is answered.
    pub async fn is_alive(&mut self) {
        self.text(&json!({"id": "alive?", "op": "ping", "data": {}}).to_string()).await;
        loop {
            match self.next().await {
                Got::Text(frame) if frame["id"] == "alive?" => return assert_eq!(frame["type"], "reply", "{frame}"),
                Got::Text(_) => {}
                other => panic!("not alive: {other:?}"),
            }
        }
    }
}
