//! Server-Sent Events from outside: the same events as a socket, byte for byte, the same ends, the same limits; resumed from its own ids.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::client::TlsStream;

use super::http;
use super::server::{Person, Server, list, text};
use super::ward::Ward;

const PATIENCE: Duration = Duration::from_secs(30);

/// One event as a browser would make it of the lines.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    /// `message` unless named.
    name: String,
    id: Option<String>,
    data: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A stream behind its head.
struct Events {
    stream: TlsStream<tokio::net::TcpStream>,
    raw: Vec<u8>,
    text: String,
    head: String,
    comments: usize,
}

impl Events {
    async fn ask(server: &Server, path: &str, headers: &str) -> Self {
        Self::over(http::connect(server.address, &server.tls).await.unwrap(), path, headers).await
    }

    async fn over(mut stream: TlsStream<tokio::net::TcpStream>, path: &str, headers: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { stream, raw: Vec::new(), text: String::new(), head: String::new(), comments: 0 };
        while !events.raw.windows(4).any(|window| window == b"\r\n\r\n") {
            assert!(events.more().await, "no head");
        }
        let end = events.raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        events.head = String::from_utf8(events.raw.drain(..end).collect()).unwrap().to_ascii_lowercase();
        events
    }

    /// Of somebody, who is to be let in.
    async fn of(server: &Server, person: &Person, path: &str, more: &str) -> Self {
        let headers = format!("Authorization: Bearer {}\r\n{more}", person.token);
        let events = Self::ask(server, path, &headers).await;
        assert_eq!(events.status(), 200, "{}", events.head);
        events
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.raw)).await;
        matches!(read.expect("more, or an end"), Ok(1..))
    }

    /// The next chunk is part of the text; false at the end of the body.
    async fn chunk(&mut self) -> bool {
        loop {
            if let Some(at) = self.raw.windows(2).position(|window| window == b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&self.raw[..at]).unwrap(), 16).unwrap();
                if self.raw.len() >= at + 2 + size + 2 {
                    self.text.push_str(std::str::from_utf8(&self.raw[at + 2..at + 2 + size]).unwrap());
                    self.raw.drain(..at + 2 + size + 2);
                    return size > 0;
                }
            }
            if !self.more().await {
                return false;
            }
        }
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let mut told = Told { name: "message".into(), ..Told::default() };
                for line in block.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", name) => told.name = name.to_owned(),
                        ("id", id) => told.id = Some(id.to_owned()),
                        ("data", data) => told.data = data.to_owned(),
                        ("retry", ms) => assert!((1000..=2000).contains(&ms.parse::<u32>().unwrap())),
                        ("", _) => self.comments += 1,
                        other => panic!("an unknown line: {other:?}"),
                    }
                }
                if !told.data.is_empty() {
                    return Some(told);
                }
                continue;
            }
            if !self.chunk().await {
                return None;
            }
        }
    }

    /// Events without a name until the one that is named so, and that one.
    async fn until(&mut self, name: &str) -> (Vec<Told>, Told) {
        let mut before = Vec::new();
        loop {
            let told = self.next().await.unwrap_or_else(|| panic!("ended before {name}: {before:?}"));
            if told.name == name {
                return (before, told);
            }
            assert_eq!(told.name, "message", "{told:?}");
            before.push(told);
        }
    }

    /// The next so many events without a name.
    async fn messages(&mut self, count: usize) -> Vec<Told> {
        let mut all = Vec::new();
        while all.len() < count {
            let told = self.next().await.expect("an event");
            assert_eq!(told.name, "message", "{told:?}");
            all.push(told);
        }
        all
    }
}

async fn post(server: &Server, ward: &Ward, channel: &str, words: &str) -> Value {
    let item = if channel == "shared" { "shared_goal" } else { "goal" };
    let data = json!({"channel": ward.id(channel), "item": ward.id(item), "text": words});
    server.run(&ward.lead, "message.post", data).await
}

async fn ward_with(server: &Server, handle: &str, more: Value) -> (Ward, Person) {
    let ward = Ward::open(server, server.person("lead").await).await;
    let person = server.person(handle).await;
    ward.add(server, &person, more).await;
    (ward, person)
}

both!(a_stream_is_the_events_of_a_socket_byte_for_byte);
async fn a_stream_is_the_events_of_a_socket_byte_for_byte() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let staff = ward.id("staff");
    let mut socket = server.socket(&nurse).await;
    let mut events = Events::of(&server, &nurse, &format!("/v1/events?cursors={staff}%3A0,me:0"), "").await;
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "x-content-type-options: nosniff",
    ] {
        assert!(events.head.contains(header), "{header}: {}", events.head);
    }
    let mut frames = Vec::new();
    let resume = json!({"id": 1, "op": "resume", "data": {"cursors": {staff: 0, "me": 0}}}).to_string();
    let reply = socket_frames(&mut socket, &resume, &mut frames).await;
    let (owed, resumed) = events.until("resumed").await;
    assert_eq!(owed.iter().map(|told| &told.data).collect::<Vec<_>>(), frames.iter().collect::<Vec<_>>());
    assert_eq!(resumed.json(), reply["data"]);
    for n in 0..12 {
        post(&server, &ward, if n % 3 == 0 { "shared" } else { "staff" }, &format!("zwölf\n\r\u{2028}{n}")).await;
    }
    let live = events.messages(12).await;
    let mut sent = Vec::new();
    while sent.len() < 12 {
        sent.push(socket.text().await.unwrap());
    }
    assert_eq!(live.iter().map(|told| told.data.as_str()).collect::<Vec<_>>(), sent);
    // Each id is where the stream is by then.
    for told in &live {
        let frame = told.json();
        let cursor = format!("{}:{}", frame["channel"].as_str().unwrap(), frame["seq"]);
        assert!(told.id.as_ref().unwrap().split(',').any(|one| one == cursor), "{cursor} in {told:?}");
    }
    // What is not kept has no id: it changes nothing of where to go on.
    let mut lead = server.socket(&ward.lead).await;
    lead.run("typing", json!({ "channel": staff })).await;
    let typing = loop {
        let told = events.messages(1).await.remove(0);
        if told.json()["event"] == "typing" {
            break told;
        }
    };
    assert_eq!(typing.id, None);
}

/// Sends a frame and collects the events that come before its answer.
async fn socket_frames(socket: &mut super::socket::Socket, frame: &str, events: &mut Vec<String>) -> Value {
    socket.put_raw(frame).await;
    loop {
        let text = socket.text().await.expect("an answer");
        let value: Value = serde_json::from_str(&text).unwrap();
        if value["type"] == "event" {
            events.push(text);
        } else {
            return value;
        }
    }
}

both!(a_stream_goes_on_from_its_own_ids);
async fn a_stream_goes_on_from_its_own_ids() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let mut first = Events::of(&server, &nurse, "/v1/events", "").await;
    let (owed, resumed) = first.until("resumed").await;
    assert!(owed.is_empty() && resumed.json()["reset"] == json!([]));
    drop(first);
    // Nothing had moved when the line broke; what came meanwhile is owed all the same.
    post(&server, &ward, "shared", "one").await;
    post(&server, &ward, "staff", "two").await;
    let id = resumed.id.unwrap();
    let again = format!("Last-Event-ID: {id}\r\n");
    let old = format!("/v1/events?cursors={}:0", ward.id("staff"));
    let mut second = Events::of(&server, &nurse, &old, &again).await;
    let (mut owed, _) = second.until("resumed").await;
    owed.sort_by_key(|told| told.json()["at"].as_str().unwrap().to_owned());
    let words: Vec<Value> = owed.iter().map(|told| told.json()["data"]["text"].clone()).collect();
    assert_eq!(words, ["one", "two"], "the header counts, not the first address");
    post(&server, &ward, "staff", "three").await;
    let third = second.messages(1).await.remove(0);
    let id = third.id.unwrap();
    drop(second);
    post(&server, &ward, "staff", "four").await;
    let mut last = Events::of(&server, &nurse, "/v1/events", &format!("Last-Event-ID: {id}\r\n")).await;
    let (owed, _) = last.until("resumed").await;
    assert_eq!(owed.iter().map(|told| told.json()["data"]["text"].clone()).collect::<Vec<_>>(), ["four"]);
    // What is of no use is named, and nothing is said of why.
    let ghost = super::chance::fresh_id();
    let cursors = format!("Last-Event-ID: {ghost}:1,{}:1,{}:99999,x:2\r\n", ward.id("named"), ward.id("staff"));
    let mut reset = Events::of(&server, &nurse, "/v1/events", &cursors).await;
    let (_, resumed) = reset.until("resumed").await;
    assert_eq!(list(&resumed.json(), "reset").len(), 4, "{resumed:?}");
    for wrong in ["x", "x:y", &format!("{ghost}:-1")] {
        let headers = format!("Authorization: Bearer {}\r\nLast-Event-ID: {wrong}\r\n", nurse.token);
        let answer = server.request("GET /v1/events", &headers, b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid")), "{wrong}");
    }
    let only = format!("/v1/events?follow={}", ward.id("shared"));
    let mut narrow = Events::of(&server, &nurse, &only, "").await;
    narrow.until("resumed").await;
    post(&server, &ward, "staff", "five").await;
    post(&server, &ward, "shared", "six").await;
    assert_eq!(narrow.messages(1).await[0].json()["data"]["text"], "six");
}

both!(who_may_open_a_stream);
async fn who_may_open_a_stream() {
    let server = Server::new().await;
    let made = server.house.cli_with(
        &["--json", "user", "add", "--handle", "page", "--name", "Page", "--password-stdin"],
        "seven wet umbrellas\n",
    );
    assert_eq!(made.await.code, 0);
    let body = json!({"handle": "page", "password": "seven wet umbrellas"}).to_string();
    let opened = server.request("POST /v1/sessions", "Content-Type: application/json\r\n", body.as_bytes()).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let token = text(&opened.json(), "token");
    let cookie = format!("Cookie: __Host-carethread={token}\r\n");
    let port = server.address.port();
    for (headers, status) in [
        (String::new(), 401),
        ("Authorization: Bearer ct_pat_nonsense\r\n".into(), 401),
        (cookie.clone(), 401),
        (format!("{cookie}Sec-Fetch-Site: cross-site\r\n"), 401),
        (format!("{cookie}Sec-Fetch-Site: none\r\n"), 401),
        (format!("{cookie}Origin: https://elsewhere.example\r\nSec-Fetch-Site: same-origin\r\n"), 403),
        (format!("Authorization: Bearer {token}\r\nOrigin: https://elsewhere.example\r\n"), 403),
        (format!("{cookie}Origin: https://localhost:{port}\r\n"), 200),
        (format!("{cookie}Sec-Fetch-Site: same-origin\r\n"), 200),
        (format!("Authorization: Bearer {token}\r\n"), 200),
    ] {
        let events = Events::ask(&server, "/v1/events", &headers).await;
        assert_eq!(events.status(), status, "{headers}");
    }
    let events = Events::ask(&server, &format!("/v1/events?access_token={token}"), "").await;
    assert_eq!(events.status(), 400);
    let answer = server.request("POST /v1/events", "", b"").await;
    assert_eq!(answer.status, 405);
}

both!(what_ends_a_session_ends_its_streams);
async fn what_ends_a_session_ends_its_streams() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let mut events = Events::of(&server, &nurse, "/v1/events", "").await;
    events.until("resumed").await;
    post(&server, &ward, "staff", "before").await;
    assert_eq!(events.messages(1).await[0].json()["data"]["text"], "before");
    // Removed: nothing after the entry that says so.
    ward.remove(&server, &nurse).await;
    post(&server, &ward, "staff", "after").await;
    post(&server, &ward, "shared", "after").await;
    server.run(&nurse, "session.end", json!({"session": "current"})).await;
    let (rest, end) = events.until("end").await;
    assert_eq!(end.json(), json!({"code": "session_ended", "close": 4401}));
    assert!(rest.iter().all(|told| told.json()["event"] != "message.posted"), "{rest:?}");
    assert!(events.next().await.is_none());
    let headers = format!("Authorization: Bearer {}\r\n", nurse.token);
    assert_eq!(Events::ask(&server, "/v1/events", &headers).await.status(), 401);
}

both!(family_is_told_of_shared_channels_only);
async fn family_is_told_of_shared_channels_only() {
    let server = Server::new().await;
    let (ward, family) = ward_with(&server, "family", json!({"family": true})).await;
    let outsider = server.person("outsider").await;
    let cursors: Vec<String> =
        ["plan", "staff", "shared", "named"].iter().map(|name| format!("{}:0", ward.id(name))).collect();
    let path = format!("/v1/events?cursors={}", cursors.join(","));
    let mut theirs = Events::of(&server, &family, &path, "").await;
    let (owed, resumed) = theirs.until("resumed").await;
    assert_eq!(list(&resumed.json(), "reset").len(), 3);
    assert!(owed.iter().all(|told| told.json()["channel"] == ward.id("shared")) && !owed.is_empty());
    assert!(!resumed.id.unwrap().contains(ward.id("staff")));
    let mut nobodys = Events::of(&server, &outsider, &path, "").await;
    let (owed, resumed) = nobodys.until("resumed").await;
    assert!(owed.is_empty() && list(&resumed.json(), "reset").len() == 4);
    for channel in ["staff", "named", "shared"] {
        post(&server, &ward, channel, channel).await;
    }
    assert_eq!(theirs.messages(1).await[0].json()["data"]["text"], "shared");
    server.signal("TERM").await;
    let mut rest = Vec::new();
    while let Some(told) = nobodys.next().await {
        rest.push(told);
    }
    assert_eq!(rest.iter().map(|told| told.name.as_str()).collect::<Vec<_>>(), ["notice", "end"], "{rest:?}");
    assert_eq!(rest[1].json(), json!({"code": "draining", "close": 4503}));
}

both!(streams_count_among_the_sockets_of_a_person);
async fn streams_count_among_the_sockets_of_a_person() {
    let server = Server::with("[limits]\nsockets_per_user = 2\ncommands_burst = 100000\n").await;
    let nurse = server.person("nurse").await;
    let mut socket = server.socket(&nurse).await;
    let stream = Events::of(&server, &nurse, "/v1/events", "").await;
    let headers = format!("Authorization: Bearer {}\r\n", nurse.token);
    let third = server.request("GET /v1/events", &headers, b"").await;
    assert_eq!((third.status, &third.json()["code"]), (429, &json!("rate_limited")));
    assert!(!third.header("retry-after").is_empty());
    // The place of a stream is given back when its peer is gone.
    drop(stream);
    let mut again = 429;
    for _ in 0..100 {
        again = Events::ask(&server, "/v1/events", &headers).await.status();
        if again == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(again, 200);
    socket.run("ping", json!({})).await;
}

both!(a_slow_reader_is_let_go_and_holds_up_nobody);
async fn a_slow_reader_is_let_go_and_holds_up_nobody() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4096).unwrap();
    let tcp = tcp.connect(server.address).await.unwrap();
    let stream = http::secured(tcp, &server.tls).await.unwrap();
    let headers = format!("Authorization: Bearer {}\r\n", nurse.token);
    let mut slow = Events::over(stream, "/v1/events", &headers).await;
    slow.until("resumed").await;
    let mut quick = Events::of(&server, &nurse, "/v1/events", "").await;
    quick.until("resumed").await;
    let mut lead = server.socket(&ward.lead).await;
    let words = "x".repeat(7900);
    let (mut posted, mut ended) = (0, false);
    while posted < 3000 && !ended {
        for _ in 0..50 {
            let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": words});
            lead.run("message.post", data).await;
            posted += 1;
        }
        assert_eq!(quick.messages(50).await.len(), 50);
        let metrics = server.request("GET /metrics", "", b"").await.text;
        ended = metrics.lines().any(|line| line == "carethread_event_streams 1");
    }
    assert!(ended, "after {posted} messages it still holds its place");
    let mut read = 0;
    let mut last = None;
    while let Some(told) = slow.next().await {
        read += usize::from(told.name == "message");
        last = Some(told.name);
    }
    assert!(read < posted, "{read} of {posted}");
    // The last word reaches a peer that begins to read within a second, and no other.
    assert!(last.is_some_and(|name| name == "message" || name == "slow"));
}

#[tokio::test]
async fn a_stream_comes_over_http_2_as_well() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let staff = ward.id("staff");
    let url = format!("https://localhost:{}/v1/events?cursors={staff}:0", server.address.port());
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--http2", "--insecure", "--max-time", "3", "--dump-header", "-"])
        .args(["--header", &format!("Authorization: Bearer {}", nurse.token), &url])
        .output()
        .await
        .expect("no curl: tests/run installs it");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("HTTP/2 200"), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/event-stream"));
    let page = server.run(&nurse, "history", json!({"channel": staff, "after": 0, "limit": 200})).await;
    let told: Vec<Value> = body
        .split("\n\n")
        .filter(|block| !block.contains("event: "))
        .filter_map(|block| block.lines().find_map(|line| line.strip_prefix("data: ")))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(&told, list(&page, "events"));
}
