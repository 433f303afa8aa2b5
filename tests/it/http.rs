//! The least HTTP/1.1 client: one request after the other over one TLS connection. Written here so that nothing is repaired on the
//! way: what a test writes is what the server gets.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    /// The body, which is to be JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    /// A header; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// A connection that is kept.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// A TLS stream to the server.
pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    secured(tcp, tls).await
}

/// TLS over a connection.
pub async fn secured(tcp: TcpStream, tls: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    TlsConnector::from(Arc::clone(tls)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

impl Connection {
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<Self> {
        Ok(Self { stream: connect(address, tls).await?, buffer: Vec::new() })
    }

    /// Sends a request and reads its answer. `headers` are lines, each ended by CR LF.
    pub async fn ask(&mut self, line: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    /// Sends bytes and reads the answer to them.
    pub async fn raw(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        self.stream.write_all(request).await?;
        // What the socket did not take yet waits in the TLS session otherwise.
        self.stream.flush().await?;
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, text: String::new() };
        let body = if answer.header("transfer-encoding") == "chunked" {
            self.chunks().await?
        } else {
            self.take(answer.header("content-length").parse().unwrap_or(0)).await?
        };
        answer.text = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    async fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..end]).unwrap(), 16).unwrap();
            self.take(end + 2).await?;
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn take(&mut self, size: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < size {
            self.more().await?;
        }
        Ok(self.buffer.drain(..size).collect())
    }

    async fn more(&mut self) -> std::io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}
