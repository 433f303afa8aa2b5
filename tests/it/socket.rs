//! A WebSocket client for tests: commands and their answers, events in between kept in order, close codes.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use super::http;
use super::server::Server;

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// One socket.
pub struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    /// The first frame.
    pub hello: Value,
    events: VecDeque<Value>,
    /// Who came and went; apart from the other events, since nobody knows when it is told.
    pub presences: Vec<Value>,
    last: u64,
    closed: Option<u16>,
}

impl Socket {
    /// Opens a socket; `headers` are lines ended by CR LF. Panics when the upgrade is refused.
    pub async fn open(server: &Server, headers: &str) -> Self {
        Self::try_open(server, headers).await.unwrap_or_else(|error| panic!("no socket: {error}"))
    }

    /// As [`Socket::open`], for upgrades that may be refused.
    pub async fn try_open(server: &Server, headers: &str) -> Result<Self, tungstenite::Error> {
        let tls = http::connect(server.address, &server.tls).await?;
        let mut request = format!("wss://localhost:{}/v1/ws", server.address.port()).into_client_request()?;
        for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
            let name: ::http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (stream, _) = tokio_tungstenite::client_async(request, tls).await?;
        let mut socket =
            Self { stream, hello: Value::Null, events: VecDeque::new(), presences: Vec::new(), last: 0, closed: None };
        socket.hello = socket.frame().await.ok_or(tungstenite::Error::ConnectionClosed)?;
        assert_eq!(socket.hello["type"], "hello");
        Ok(socket)
    }

    /// The next frame as text; none when the server closes. Pings are answered on the way.
    pub async fn text(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.text_whenever()).await.expect("a frame, or a close")
    }

    async fn text_whenever(&mut self) -> Option<String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => self.closed = Some(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn frame(&mut self) -> Option<Value> {
        loop {
            let frame: Value = serde_json::from_str(&self.text().await?).unwrap();
            if frame["event"] != "presence" {
                return Some(frame);
            }
            self.presences.push(frame);
        }
    }

    /// Sends a text as it is; the next frame that is no event.
    pub async fn ask_raw(&mut self, text: &str) -> String {
        self.stream.send(Message::text(text)).await.unwrap();
        self.any_answer().await.to_string()
    }

    /// Sends a text as it is and does not wait.
    pub async fn put_raw(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// Sends a command and does not wait; its id.
    pub async fn send(&mut self, op: &str, data: Value) -> u64 {
        self.last += 1;
        let frame = json!({"id": self.last, "op": op, "data": data}).to_string();
        // A server that has gone is told by whoever waits for the answer.
        let _ = self.stream.send(Message::text(frame)).await;
        self.last
    }

    /// The answer to the command `id`; events that come before it are kept. None when the server closes first.
    pub async fn answer(&mut self, id: u64) -> Option<Value> {
        loop {
            let frame = self.frame().await?;
            match frame["type"].as_str() {
                Some("event") => self.events.push_back(frame),
                Some("reply" | "error") if frame["id"] == id => return Some(frame),
                Some("reply" | "error") => panic!("an answer to another command: {frame}"),
                _ => {}
            }
        }
    }

    /// The next answer, to whichever command.
    pub async fn any_answer(&mut self) -> Value {
        loop {
            let frame = self.frame().await.unwrap_or_else(|| panic!("closed with {:?}", self.closed));
            match frame["type"].as_str() {
                Some("event") => self.events.push_back(frame),
                Some("reply" | "error") => return frame,
                _ => {}
            }
        }
    }

    /// Sends a command and waits for its answer.
    pub async fn ask(&mut self, op: &str, data: Value) -> Value {
        let id = self.send(op, data).await;
        self.answer(id).await.unwrap_or_else(|| panic!("{op}: closed with {:?}", self.closed))
    }

    /// A command that is to succeed: the reply's data.
    pub async fn run(&mut self, op: &str, data: Value) -> Value {
        let answer = self.ask(op, data).await;
        assert_eq!(answer["type"], "reply", "{op}: {answer}");
        answer["data"].clone()
    }

    /// A command that is to be refused: its code.
    pub async fn code(&mut self, op: &str, data: Value) -> String {
        let answer = self.ask(op, data).await;
        answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{op} was not refused: {answer}")).to_owned()
    }

    /// The next event, which is to come.
    pub async fn event(&mut self) -> Value {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let frame = self.frame().await.unwrap_or_else(|| panic!("closed with {:?}", self.closed));
            if frame["type"] == "event" {
                return frame;
            }
        }
    }

    /// Every event that came until now. A `ping` is answered behind all that was published before it.
    pub async fn events_so_far(&mut self) -> Vec<Value> {
        self.run("ping", json!({})).await;
        self.events.drain(..).collect()
    }

    /// Waits for the server to close; the code. What comes before is passed over.
    pub async fn closed(&mut self) -> u16 {
        while self.text().await.is_some() {}
        self.closed.expect("the server says why it closes")
    }
}
