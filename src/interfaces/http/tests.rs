//! The listener over real TLS: its limits, its end, and what each kind of bad frame is closed with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::accept::{Limits, serve};
use super::{upgrade, websocket};
use crate::interfaces::tls::{Identity, load_or_make, provider};
use crate::kernel::base::World;

struct Site {
    at: SocketAddr,
    connector: TlsConnector,
    identity: Identity,
    renew: watch::Sender<Arc<rustls::ServerConfig>>,
    stop: CancellationToken,
    served: JoinHandle<usize>,
}

fn identity() -> Identity {
    load_or_make(tempfile::tempdir().unwrap().path(), &World::system()).unwrap().0
}

fn connector(identity: &Identity, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Echoes text, says goodbye as the module head of `websocket` tells; `long` asks for a message over every buffer.
async fn echo(mut request: Request<Body>) -> http::Response<Body> {
    let offer = match upgrade::read(&request) {
        Ok(offer) => offer,
        Err(refused) => return refused.response(),
    };
    let (response, socket) = offer.accept(&mut request, websocket::FRAME_BYTES_MAX);
    tokio::spawn(async move {
        let mut socket = socket.await.unwrap();
        let mut goodbye = None;
        while let Some(read) = socket.next().await {
            match read {
                Ok(Message::Text(text)) if text == "long" => {
                    websocket::send_text(&mut socket, "ä".repeat(500_000).into()).await.unwrap();
                }
                Ok(Message::Text(text)) => websocket::send_text(&mut socket, text).await.unwrap(),
                Ok(_) => {}
                Err(error) => goodbye = websocket::close_for(&error),
            }
        }
        websocket::finish(socket, goodbye, Duration::from_secs(2)).await;
    });
    response
}

fn routes() -> Router {
    Router::new()
        .route("/who", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
        .route("/panic", get(|| async { panic!("a test") as () }))
        .route(
            "/slow",
            get(|| async {
                sleep(Duration::from_millis(300)).await;
                "done"
            }),
        )
        .route("/take", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
        .route("/v1/ws", get(echo))
}

async fn site(limits: Limits) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, identity, stop) = (listener.local_addr().unwrap(), identity(), CancellationToken::new());
    let (renew, tls) = watch::channel(identity.config().unwrap());
    let served = tokio::spawn(serve(listener, tls, routes(), limits, stop.clone()));
    Site { at, connector: connector(&identity, b"http/1.1"), identity, renew, stop, served }
}

impl Site {
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.at).await?;
        self.connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }

    /// Sends `request` and reads until the server closes.
    async fn says(&self, request: &str) -> String {
        let mut tls = self.connect().await.unwrap();
        tls.write_all(request.as_bytes()).await.unwrap();
        until_closed(&mut tls).await
    }

    async fn socket(&self) -> WebSocketStream<TlsStream<TcpStream>> {
        let tls = self.connect().await.unwrap();
        tokio_tungstenite::client_async("wss://localhost/v1/ws", tls).await.unwrap().0
    }
}

async fn until_closed(tls: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let _ = timeout(Duration::from_secs(5), tls.read_to_end(&mut all)).await.expect("the server closes in time");
    String::from_utf8_lossy(&all).into_owned()
}

const QUICK: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_request_is_answered_and_knows_its_peer() {
    let site = site(Limits::default()).await;
    let said = site.says("GET /who HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn who_never_shakes_hands_is_let_go() {
    let site = site(Limits { handshake: QUICK, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(site.at).await.unwrap();
    silent.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, "");
    assert!(site.connect().await.is_ok());
}

#[tokio::test]
async fn who_never_ends_the_head_is_let_go() {
    let site = site(Limits { head: QUICK, ..Limits::default() }).await;
    let start = Instant::now();
    site.says("GET /who HTTP/1.1\r\nhost: loc").await;
    site.says("").await;
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let site = site(Limits::default()).await;
    let said = site.says(&format!("GET /who HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000))).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_and_a_whole_one_is_not() {
    let site = site(Limits { stall: QUICK, ..Limits::default() }).await;
    let whole = "POST /take HTTP/1.1\r\nhost: l\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    assert!(site.says(whole).await.ends_with('3'));
    let said = site.says("POST /take HTTP/1.1\r\nhost: l\r\ncontent-length: 3\r\n\r\na").await;
    assert!(!said.contains(" 200 "), "{said}");
}

#[tokio::test]
async fn a_silent_second_version_peer_is_let_go() {
    let mut site = site(Limits { head: QUICK, ..Limits::default() }).await;
    site.connector = connector(&site.identity, b"h2");
    let mut tls = site.connect().await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    until_closed(&mut tls).await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_freed_place_is_given_again() {
    let site = site(Limits { connections: 2, ..Limits::default() }).await;
    let (first, socket) = (site.connect().await.unwrap(), site.socket().await);
    assert!(site.connect().await.is_err());
    drop(first);
    for attempt in 0.. {
        sleep(Duration::from_millis(20)).await;
        if site.connect().await.is_ok() {
            break;
        }
        assert!(attempt < 100, "the place of a closed connection is free again");
    }
    drop(socket);
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let site = site(Limits::default()).await;
    assert_eq!(site.says("GET /panic HTTP/1.1\r\nhost: localhost\r\n\r\n").await, "");
    assert!(site.says("GET /who HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n").await.contains(" 200 "));
}

#[tokio::test]
async fn a_renewed_certificate_holds_for_the_next_connection() {
    let mut site = site(Limits::default()).await;
    let (old, renewed) = (site.connect().await.unwrap(), identity());
    site.renew.send(renewed.config().unwrap()).unwrap();
    assert!(site.connect().await.is_err());
    site.connector = connector(&renewed, b"http/1.1");
    assert!(site.connect().await.is_ok());
    drop(old);
}

#[tokio::test]
async fn the_stop_lets_a_request_end_and_idle_ones_go() {
    let site = site(Limits::default()).await;
    let (mut busy, mut idle) = (site.connect().await.unwrap(), site.connect().await.unwrap());
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    site.stop.cancel();
    let (said, _) = tokio::join!(until_closed(&mut busy), until_closed(&mut idle));
    assert!(said.ends_with("done"), "{said}");
    assert_eq!(timeout(Duration::from_secs(2), site.served).await.unwrap().unwrap(), 0);
    assert!(TcpStream::connect(site.at).await.is_err());
}

#[tokio::test]
async fn the_stop_waits_for_sockets_only_so_long() {
    let site = site(Limits { drain: QUICK, ..Limits::default() }).await;
    let socket = site.socket().await;
    site.stop.cancel();
    assert_eq!(timeout(Duration::from_secs(2), site.served).await.unwrap().unwrap(), 1);
    drop(socket);
}

/// Sends `frames` raw and returns the code the server closes with.
async fn closed_with(site: &Site, frames: Vec<Message>) -> u16 {
    let mut socket = site.socket().await;
    for frame in frames {
        // The server may close before it has taken everything.
        let _ = socket.send(frame).await;
    }
    let read = async {
        while let Some(read) = socket.next().await {
            if let Ok(Message::Close(Some(close))) = read {
                return u16::from(close.code);
            }
        }
        1006
    };
    timeout(Duration::from_secs(5), read).await.expect("the server closes in time")
}

fn fragment(bytes: Vec<u8>, kind: Data, last: bool) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), last))
}

#[tokio::test]
async fn each_bad_frame_is_closed_with_its_code() {
    let site = site(Limits::default()).await;
    let a = |count| vec![b'a'; count];
    let reserved = || {
        let mut frame = Frame::message(a(1), OpCode::Data(Data::Text), true);
        frame.header_mut().rsv1 = true;
        Message::Frame(frame)
    };
    let table = [
        (vec![Message::text("a".repeat(65_537))], 1009),
        (vec![Message::text("a".repeat(600_000))], 1009),
        (vec![fragment(a(40_000), Data::Text, false), fragment(a(25_537), Data::Continue, true)], 1009),
        (vec![fragment(vec![0xff], Data::Text, true)], 1007),
        (vec![fragment(vec![0xc3], Data::Text, false), fragment(vec![0x28], Data::Continue, true)], 1007),
        (vec![fragment(a(1), Data::Continue, true)], 1002),
        (vec![fragment(a(1), Data::Text, false), fragment(a(1), Data::Text, true)], 1002),
        (vec![fragment(a(1), Data::Reserved(3), true)], 1002),
        (vec![reserved()], 1002),
        (vec![Message::Ping(a(126).into())], 1002),
        (vec![Message::Close(None)], 1006),
    ];
    for (index, (frames, code)) in table.into_iter().enumerate() {
        assert_eq!(closed_with(&site, frames).await, code, "row {index}");
    }
}

#[tokio::test]
async fn the_largest_frame_passes_whole_and_in_fragments_and_a_long_answer_arrives() {
    let site = site(Limits::default()).await;
    let mut socket = site.socket().await;
    let largest = Utf8Bytes::from("a".repeat(65_536));
    socket.send(Message::Text(largest.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Text(largest.clone()));
    socket.send(fragment(vec![b'a'; 40_000], Data::Text, false)).await.unwrap();
    socket.send(fragment(vec![b'a'; 25_536], Data::Continue, true)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Text(largest));
    socket.send(Message::text("long")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().len(), 1_000_000);
    socket.send(Message::Close(None)).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(None))) | None));
}
