//! A connection over a pipe, in front of a whole engine: the table of frames, limits, and every way it ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::{Arrival, Parts, Sockets, connection};
use crate::features::identity::{Door, operator};
use crate::features::search;
use crate::interfaces::http::origin::Origins;
use crate::interfaces::http::websocket::{FRAME_BYTES_MAX, settings};
use crate::kernel::base::config::Config;
use crate::kernel::base::limits::Limits;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, PatientId, Secret, World};
use crate::kernel::live::Hub;
use crate::kernel::policy::Subject;
use crate::testing::{House, id_of};

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "seven wet umbrellas";

struct Site {
    house: House,
    sockets: Sockets,
    operator: Subject,
    stop: CancellationToken,
}

struct Client {
    stream: WebSocketStream<DuplexStream>,
    served: JoinHandle<()>,
}

impl Site {
    async fn open(limits: Limits) -> Self {
        let hub = Hub::new(World::system());
        let house = House::with(Config { limits, ..Config::default() }, hub.clone()).await;
        let operator = operator(&house.engine, None).await.unwrap();
        let door = Door::open(house.engine.clone()).await.unwrap();
        let stop = CancellationToken::new();
        let (origins, trusted_proxies) = (Origins::default(), Vec::new());
        let sockets = Sockets::new(Parts { door, hub, origins, trusted_proxies, draining: stop.clone() });
        Self { house, sockets, operator, stop }
    }

    /// A person with a token.
    async fn person(&self, handle: &str) -> String {
        let data = json!({"handle": handle, "name": handle}).as_object().unwrap().clone();
        let password = Some(Secret::new(PASSWORD.to_owned()));
        self.sockets.door().add_user(self.operator.clone(), data, password).await.unwrap();
        let data = json!({"handle": handle}).as_object().unwrap().clone();
        let issued = self.sockets.door().issue_token(self.operator.clone(), data).await.unwrap();
        issued["token"].as_str().unwrap().to_owned()
    }

    async fn connect(&self, arrival: Arrival, pipe: usize) -> Client {
        let (ours, theirs) = duplex(pipe);
        let server = WebSocketStream::from_raw_socket(ours, Role::Server, Some(settings(FRAME_BYTES_MAX))).await;
        let address = "192.0.2.7".parse().unwrap();
        let served = tokio::spawn(connection::serve(self.sockets.clone(), server, address, arrival));
        let large = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        Client { stream: WebSocketStream::from_raw_socket(theirs, Role::Client, Some(large)).await, served }
    }

    async fn stranger(&self) -> Client {
        let guard = self.sockets.addresses.enter("192.0.2.7".parse().unwrap()).unwrap();
        let mut client = self.connect(Arrival::Stranger(guard), 1 << 20).await;
        assert_eq!(client.frame().await["auth"], "required");
        client
    }

    async fn arrival(&self, token: &str) -> Arrival {
        Arrival::SignedIn(Box::new(self.sockets.door().sign_in_token(token, None).await.unwrap()))
    }

    async fn member(&self, token: &str) -> Client {
        let mut client = self.connect(self.arrival(token).await, 1 << 20).await;
        assert_eq!(client.frame().await["auth"], "ok");
        client
    }
}

impl Client {
    async fn frame(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a frame") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no frame: {other:?}"),
            }
        }
    }

    async fn send(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    async fn ask(&mut self, op: &str, data: Value) -> Value {
        self.send(json!({"id": op, "op": op, "data": data}).to_string()).await;
        loop {
            let frame = self.frame().await;
            if frame["id"] == op {
                return frame;
            }
        }
    }

    async fn code(&mut self, op: &str, data: Value) -> String {
        self.ask(op, data).await["error"]["code"].as_str().unwrap_or("none").to_owned()
    }

    /// The close code; frames before it are passed over.
    async fn closed(mut self) -> u16 {
        let code = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    other => panic!("no close: {other:?}"),
                }
            }
        };
        let code = timeout(PATIENCE, code).await.expect("a close");
        while self.stream.next().await.is_some() {}
        timeout(PATIENCE, self.served).await.expect("the task ends").unwrap();
        code
    }
}

#[tokio::test]
async fn login_by_token_and_by_password() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let mut client = site.stranger().await;
    assert_eq!(site.sockets.addresses.open("192.0.2.7".parse().unwrap()), 1);
    let reply = client.ask("login", json!({"token": token})).await;
    assert_eq!(reply["type"], "reply", "{reply}");
    assert_eq!(reply["data"]["channels"], json!([]));
    for member in ["user", "session", "expires_at"] {
        assert!(reply["data"][member].is_string(), "{reply}");
    }
    assert_eq!(site.sockets.addresses.open("192.0.2.7".parse().unwrap()), 0, "the place before sign-in is free");
    assert_eq!(client.code("login", json!({"token": token})).await, "conflict");
    assert!(client.ask("ping", json!({})).await["data"]["time"].is_string());
    let mut client = site.stranger().await;
    let reply = client.ask("login", json!({"handle": "maria", "password": PASSWORD})).await;
    assert_eq!(reply["type"], "reply", "{reply}");
    assert_eq!(client.code("no.such", json!({})).await, "unknown_op");
}

#[tokio::test]
async fn before_sign_in_there_are_four_small_frames() {
    let site = Site::open(Limits::default()).await;
    let mut client = site.stranger().await;
    assert_eq!(client.code("login", json!({"token": "ct_pat_x"})).await, "unauthenticated");
    assert_eq!(client.code("login", json!({})).await, "invalid");
    assert_eq!(client.code("ping", json!({})).await, "unauthenticated");
    client.send("{").await;
    assert_eq!(client.frame().await["error"]["code"], "bad_frame");
    client.send("{}").await;
    assert_eq!(client.closed().await, 4408);
    let mut client = site.stranger().await;
    client.send(json!({"id": 1, "op": "login", "data": {"token": "x".repeat(4096)}}).to_string()).await;
    assert_eq!(client.closed().await, 4408);
    let mut client = site.stranger().await;
    client.stream.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.closed().await, 4400);
}

#[tokio::test]
async fn who_does_not_sign_in_is_let_go() {
    let site = Site::open(Limits { sign_in_seconds: 1, ..Limits::default() }).await;
    assert_eq!(site.stranger().await.closed().await, 4408);
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_answered_and_the_tenth_closes() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let mut client = site.member(&token).await;
    for text in
        ["[]", "{\"id\":1,\"id\":1}", "{\"op\":\"ping\"}", "{\"id\":NaN}", "{\"id\":\"\\ud800\"}", "{\"id\":{}}"]
    {
        client.send(text).await;
        let frame = client.frame().await;
        assert_eq!((&frame["id"], &frame["error"]["code"]), (&Value::Null, &json!("bad_frame")), "{text}");
    }
    client.send(format!("{{\"id\":\"{}\",\"op\":\"ping\"}}", "x".repeat(64))).await;
    assert_eq!(client.frame().await["type"], "reply");
    client.send("{\"id\":7}").await;
    assert_eq!(client.frame().await["error"]["code"], "unknown_op");
    for _ in 0..4 {
        client.send("nothing").await;
    }
    assert_eq!(client.closed().await, 4400);
}

#[tokio::test]
async fn what_is_against_the_protocol_closes_with_its_code() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let raw: [(&[u8], u16); 4] = [
        (&[0x81, 0x01, b'x'], 1002),
        (&[0xf1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x82, 0x80, 0, 0, 0, 0], 4400),
    ];
    for (bytes, code) in raw {
        let mut client = site.member(&token).await;
        client.stream.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(client.closed().await, code, "{bytes:?}");
    }
    let frame = |bytes: usize| {
        let head = "{\"id\":1,\"op\":\"ping\",\"data\":{\"x\":\"";
        format!("{head}{}\"}}}}", "x".repeat(bytes - head.len() - 3))
    };
    let mut client = site.member(&token).await;
    client.send(frame(65_536)).await;
    assert_eq!(client.frame().await["type"], "reply");
    client.send(frame(65_537)).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn too_many_commands_wait_and_far_too_many_close() {
    let site = Site::open(Limits { commands_burst: 5, commands_per_second: 1, ..Limits::default() }).await;
    let token = site.person("maria").await;
    let mut client = site.member(&token).await;
    for _ in 0..5 {
        assert_eq!(client.code("ping", json!({})).await, "none");
    }
    let refused = client.ask("ping", json!({})).await;
    assert_eq!((&refused["error"]["code"], &refused["error"]["retry"]), (&json!("rate_limited"), &json!(true)));
    assert!(refused["error"]["retry_after_ms"].as_u64().unwrap() <= 1000);
    for _ in 0..60 {
        let _ = client.stream.send(Message::text("{\"id\":1,\"op\":\"ping\"}")).await;
    }
    assert_eq!(client.closed().await, 4429);
}

#[tokio::test]
async fn only_so_many_commands_are_unanswered() {
    let site = Site::open(Limits { inflight: 2, ..Limits::default() }).await;
    let token = site.person("maria").await;
    let mut client = site.member(&token).await;
    let register = |n| json!({"id": n, "op": "patient.register", "data": {"name": format!("P{n}")}}).to_string();
    for n in 0..10 {
        client.stream.feed(Message::text(register(n))).await.unwrap();
    }
    client.stream.flush().await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(client.frame().await["error"]["code"].as_str().unwrap_or("none").to_owned());
    }
    assert!(codes.iter().any(|code| code == "rate_limited") && codes.iter().any(|code| code == "none"), "{codes:?}");
    assert_eq!(client.code("ping", json!({})).await, "none");
}

#[tokio::test]
async fn a_search_that_takes_longer_says_how_far_it_is_and_ends_when_told_to() {
    let site = Site::open(Limits::default()).await;
    let mut client = site.member(&site.person("nurse").await).await;
    client.ask("patient.register", json!({"name": "Ruth Okafor"})).await;
    assert_eq!(client.ask("cancel", json!({"id": "search"})).await["data"], json!({"cancelled": false}));
    assert_eq!(client.code("cancel", json!({})).await, "invalid");
    // Whoever has all the turns keeps the search waiting.
    let turns = (search::turn().await, search::turn().await);
    client.send(json!({"id": "search", "op": "search", "data": {"text": "Okafor"}}).to_string()).await;
    for _ in 0..2 {
        let notice = client.frame().await;
        assert_eq!(
            (&notice["type"], &notice["code"], &notice["id"]),
            (&json!("notice"), &json!("progress"), &json!("search"))
        );
        assert!(notice["scanned"] == 0 && notice["of"].as_i64().is_some_and(|of| of > 1), "{notice}");
    }
    client.send(json!({"id": "cancel", "op": "cancel", "data": {"id": "search"}}).to_string()).await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        answers.extend(Some(client.frame().await).filter(|frame| frame["type"] == "reply"));
    }
    let answer = |id: &str| answers.iter().find(|frame| frame["id"] == id).map(|frame| frame["data"].clone()).unwrap();
    assert_eq!(answer("cancel"), json!({"cancelled": true}));
    let found = answer("search");
    assert_eq!((&found["hits"], &found["more"], &found["cancelled"]), (&json!([]), &json!(true), &json!(true)));
    drop(turns);
    let rest = client.ask("search", json!({"text": "unsorted", "before": found["next"]})).await;
    assert_eq!(rest["data"]["hits"].as_array().map(Vec::len), Some(1), "{rest}");
}

#[tokio::test]
async fn a_person_has_so_many_sockets() {
    let site = Site::open(Limits { sockets_per_user: 2, ..Limits::default() }).await;
    let token = site.person("maria").await;
    let (_first, _second) = (site.member(&token).await, site.member(&token).await);
    let mut third = site.connect(site.arrival(&token).await, 1 << 20).await;
    assert_eq!(third.frame().await["type"], "hello");
    assert_eq!(third.frame().await["error"]["code"], "rate_limited");
    assert_eq!(third.closed().await, 4429);
    let mut fourth = site.stranger().await;
    assert_eq!(fourth.code("login", json!({"token": token})).await, "rate_limited");
    assert_eq!(fourth.closed().await, 4429);
}

#[tokio::test]
async fn an_ended_session_answers_who_ended_it_and_closes() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let (mut one, other) = (site.member(&token).await, site.member(&token).await);
    let reply = one.ask("session.end", json!({"session": "current"})).await;
    assert_eq!(reply["data"]["ended"], 1, "{reply}");
    assert_eq!((one.closed().await, other.closed().await), (4401, 4401));
}

#[tokio::test]
async fn idle_people_are_told_and_then_logged_off() {
    let site = Site::open(Limits::default()).await;
    site.person("maria").await;
    let mut client = site.stranger().await;
    client.ask("login", json!({"handle": "maria", "password": PASSWORD})).await;
    site.house.advance(14 * MINUTE);
    // Pings are no activity.
    client.send("{\"id\":1,\"op\":\"ping\"}").await;
    let mut codes = Vec::new();
    while codes.len() < 2 {
        let frame = client.frame().await;
        codes.push(frame["code"].as_str().or(frame["type"].as_str()).unwrap().to_owned());
    }
    codes.sort();
    assert_eq!(codes, ["reply", "session_expiring"]);
    assert_eq!(client.ask("session.list", json!({})).await["type"], "reply");
    site.house.advance(14 * MINUTE);
    assert_eq!(client.ask("ping", json!({})).await["type"], "reply", "the list was activity");
    site.house.advance(2 * MINUTE);
    client.send("{\"id\":1,\"op\":\"session.list\"}").await;
    assert_eq!(client.closed().await, 4401, "activity that comes too late revives nothing");
}

#[tokio::test]
async fn going_down_is_told_and_answers_still_come() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let (mut member, stranger) = (site.member(&token).await, site.stranger().await);
    member.send(json!({"id": 1, "op": "patient.register", "data": {"name": "P"}}).to_string()).await;
    let (mut replied, mut told) = (false, false);
    sleep(Duration::from_millis(2)).await;
    site.stop.cancel();
    while !told {
        let frame = member.frame().await;
        replied |= frame["type"] == "reply";
        told |= frame["code"] == "draining";
    }
    while !replied {
        replied = member.frame().await["type"] == "reply";
    }
    assert_eq!((member.closed().await, stranger.closed().await), (4503, 4503));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_cut_and_holds_up_nobody() {
    let site = Site::open(Limits { commands_burst: 100_000, commands_per_second: 100_000, ..Limits::default() }).await;
    let (lead, nurse) = (site.person("lead").await, site.person("nurse").await);
    let mut lead = site.member(&lead).await;
    let made = lead.ask("patient.register", json!({"name": "Ruth Okafor"})).await;
    let patient: PatientId = id_of(&made["data"], "id");
    let opened = lead.ask("channel.open", json!({"patient": patient, "name": "Wound", "audience": "staff"})).await;
    let channel: ChannelId = id_of(&opened["data"], "channel");
    let nurse_id = site.sockets.door().sign_in_token(&nurse, None).await.unwrap().subject.user;
    lead.ask("team.add", json!({"patient": patient, "user": nurse_id, "role": "Nurse"})).await;
    // A pipe of 4 KiB stands for a window that is full.
    let mut frozen = site.connect(site.arrival(&nurse).await, 4096).await;
    assert_eq!(frozen.frame().await["auth"], "ok");
    assert_eq!(frozen.ask("resume", json!({"cursors": {channel.to_string(): 0}})).await["type"], "reply");
    for n in 0..400 {
        let data = json!({"channel": channel, "name": format!("{n}{}", "x".repeat(300))});
        assert_eq!(lead.ask("channel.change", data).await["type"], "reply");
    }
    let Client { mut stream, served } = frozen;
    timeout(Duration::from_secs(5), served).await.expect("cut within a second, not when the peer pleases").unwrap();
    let mut seqs = Vec::new();
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            let event: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(event["channel"], channel.to_string());
            seqs.extend(event["seq"].as_i64());
        }
    }
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let site = Site::open(Limits::default()).await;
    let token = site.person("maria").await;
    let (ours, _theirs) = duplex(64);
    let server = WebSocketStream::from_raw_socket(ours, Role::Server, Some(settings(FRAME_BYTES_MAX))).await;
    let arrival = site.arrival(&token).await;
    let future = connection::serve(site.sockets.clone(), server, "192.0.2.7".parse().unwrap(), arrival);
    let bytes = std::mem::size_of_val(&future);
    assert!(bytes <= 6 * 1024, "{bytes} bytes");
}
