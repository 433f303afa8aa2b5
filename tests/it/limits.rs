//! Who is too fast, too many, too slow or from elsewhere: refused by name, and nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::http::{Answer, Connection};
use super::raw::{Got, Raw};
use super::server::{Person, ROOMY, Server, list, text};
use super::socket::Socket;
use super::ward::Ward;

async fn a_ward(config: &str) -> (Server, Ward) {
    let server = Server::with(config).await;
    let lead = server.person("lead").await;
    let ward = Ward::open(&server, lead).await;
    (server, ward)
}

/// An upgrade that may be refused: the answer, with no body when it is accepted.
async fn upgrade(server: &Server, query: &str, headers: &str) -> Answer {
    let mut connection = Connection::open(server.address, &server.tls).await.unwrap();
    let request = format!(
        "GET /v1/ws{query} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
        server.address.port()
    );
    connection.raw(request.as_bytes()).await.unwrap()
}

fn bearer(person: &Person) -> String {
    format!("Authorization: Bearer {}\r\n", person.token)
}

both!(commands_beyond_the_rate_are_refused_with_the_time_to_wait);
async fn commands_beyond_the_rate_are_refused_with_the_time_to_wait() {
    let server = Server::with("[limits]\ncommands_per_second = 10\ncommands_burst = 20\n").await;
    let (nurse, other) = (server.person("nurse").await, server.person("other").await);
    let mut socket = server.socket(&nurse).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(socket.send("channel.list", json!({})).await);
    }
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(socket.any_answer().await);
    }
    answers.sort_by_key(|answer| answer["id"].as_u64());
    let refused: Vec<&Value> = answers.iter().filter(|answer| answer["type"] == "error").collect();
    // The bucket fills again while the frames are read: at 10 a second, hardly.
    assert!((10..=20).contains(&refused.len()), "{} refused", refused.len());
    assert!(answers[..20].iter().all(|answer| answer["type"] == "reply"), "the burst passes");
    for answer in refused {
        assert_eq!((&answer["error"]["code"], &answer["error"]["retry"]), (&json!("rate_limited"), &json!(true)));
        let wait = answer["error"]["retry_after_ms"].as_u64().unwrap();
        assert!((1..=5000).contains(&wait), "{answer}");
    }
    // Neither another socket's bucket nor another person is touched, and waiting helps.
    server.socket(&nurse).await.run("channel.list", json!({})).await;
    server.socket(&other).await.run("channel.list", json!({})).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    socket.run("channel.list", json!({})).await;
}

both!(operations_over_http_are_counted_by_token);
async fn operations_over_http_are_counted_by_token() {
    let server = Server::with("[limits]\ncommands_per_second = 2\ncommands_burst = 10\n").await;
    let (nurse, other) = (server.person("nurse").await, server.person("other").await);
    let mut refused = 0;
    for n in 0..20 {
        let answer = server.ask(&nurse, "channel.list", json!({})).await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!(answer.json()["error"]["code"], "rate_limited");
            assert!(answer.json()["error"]["retry_after_ms"].as_u64().unwrap() > 0);
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(n < 16, "twenty at once passed");
        }
    }
    assert!(refused >= 4, "{refused} refused");
    assert_eq!(server.ask(&other, "channel.list", json!({})).await.status, 200);
}

both!(more_than_32_unanswered_commands_are_refused);
async fn more_than_32_unanswered_commands_are_refused() {
    let server = Server::new().await;
    let done = server.house.cli_with(
        &["--json", "user", "add", "--handle", "slow", "--name", "S", "--password-stdin"],
        "correct horse battery\n",
    );
    assert_eq!(done.await.code, 0);
    let token = text(&server.cli(&["token", "issue", "--user", "slow"]).await, "token");
    let slow = Person { handle: "slow".into(), id: String::new(), token };
    let mut socket = server.socket(&slow).await;
    // Each costs a password hash, of which two run at a time: none is answered before the last one is read.
    for _ in 0..40 {
        let data = json!({"old": "another horse battery", "new": "a third horse battery"});
        socket.send("password.change", data).await;
    }
    for _ in 0..8 {
        let answer = socket.any_answer().await;
        assert!((33..=40).contains(&answer["id"].as_u64().unwrap()), "{answer}");
        assert_eq!(answer["error"]["code"], "rate_limited");
    }
}

both!(a_slow_reader_is_closed_and_loses_nothing_and_the_others_go_on);
async fn a_slow_reader_is_closed_and_loses_nothing_and_the_others_go_on() {
    let (server, ward) = a_ward(ROOMY).await;
    let lead = &ward.lead;
    let mut slow = Raw::open_narrow(&server, &bearer(lead)).await;
    slow.text(r#"{"id":1,"op":"resume","data":{}}"#).await;
    assert!(matches!(slow.next().await, Got::Text(answer) if answer["type"] == "reply"));
    let mut quick = server.socket(lead).await;
    quick.run("resume", json!({})).await;
    let before = last_seq(&server, lead, ward.id("staff")).await;
    // 32 kB each: more than the socket's queue and both kernels' buffers hold.
    let words = "\u{1f489}".repeat(8000);
    let count = 500;
    let reading = async {
        for seq in before + 1..=before + count {
            assert_eq!(quick.event().await["seq"], seq, "the quick reader misses nothing");
        }
    };
    let writing = async {
        for _ in 0..count {
            let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": words});
            server.run(lead, "message.post", data).await;
        }
    };
    tokio::join!(writing, reading);
    let mut last = before;
    let end = loop {
        match slow.next().await {
            Got::Text(event) if event["channel"] == ward.id("staff") => {
                assert_eq!(event["seq"], last + 1, "what the slow reader gets has no hole");
                last += 1;
            }
            Got::Text(_) => {}
            end => break end,
        }
    };
    // The close is tried for a second; a peer that reads nothing in that time is cut.
    assert!(matches!(end, Got::Close(4513) | Got::Gone), "{end:?}");
    assert!(last < before + count, "nothing waited without bound");
    let mut again = server.socket(lead).await;
    let resumed = again.run("resume", json!({"cursors": {ward.id("staff"): last}})).await;
    assert_eq!(resumed["sent"][ward.id("staff")], before + count - last);
    for seq in last + 1..=before + count {
        assert_eq!(again.event().await["seq"], seq);
    }
}

async fn last_seq(server: &Server, person: &Person, channel: &str) -> i64 {
    let channels = server.run(person, "channel.list", json!({})).await;
    let found = list(&channels, "channels").iter().find(|one| one["id"] == channel).unwrap();
    found["last_seq"].as_i64().unwrap()
}

both!(a_reader_that_is_only_slow_is_told_4513);
async fn a_reader_that_is_only_slow_is_told_4513() {
    let (server, ward) = a_ward(ROOMY).await;
    let mut slow = Raw::open_narrow(&server, &bearer(&ward.lead)).await;
    slow.text(r#"{"id":1,"op":"resume","data":{}}"#).await;
    let words = "\u{1f489}".repeat(8000);
    let writing = async {
        for _ in 0..500 {
            let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": words});
            server.run(&ward.lead, "message.post", data).await;
        }
    };
    let reading = async {
        loop {
            match slow.next().await {
                Got::Text(_) => tokio::time::sleep(Duration::from_millis(40)).await,
                end => break end,
            }
        }
    };
    let (end, ()) = tokio::join!(reading, writing);
    assert!(matches!(end, Got::Close(4513) | Got::Gone), "{end:?}");
}

both!(a_credential_in_the_url_is_refused_and_not_logged);
async fn a_credential_in_the_url_is_refused_and_not_logged() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    for name in ["token", "access_token", "ticket", "auth", "api_key", "TOKEN", "%74oken"] {
        let query = format!("?x=1&{name}={}", nurse.token);
        let refused = upgrade(&server, &query, "").await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("invalid")), "{name}");
        let body = br#"{"op":"ping","data":{}}"#;
        for route in ["POST /v1/ops", "GET /livez", "GET /", "GET /no/such/route"] {
            let answer = server.request(&format!("{route}{query}"), &bearer(&nurse), body).await;
            assert_eq!(answer.status, 400, "{route} {name}");
        }
    }
    assert!(!server.house.log().contains(&nurse.token), "the token stands in the log");
}

both!(an_upgrade_from_a_foreign_page_is_refused_whatever_the_credential);
async fn an_upgrade_from_a_foreign_page_is_refused_whatever_the_credential() {
    let server = Server::with(&format!("{ROOMY}[http]\norigins = [\"https://chat.example.org\"]\n")).await;
    let nurse = server.person("nurse").await;
    let port = server.address.port();
    let allowed = [
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
        "https://chat.example.org".to_owned(),
    ];
    for origin in &allowed {
        let answer = upgrade(&server, "", &format!("{}Origin: {origin}\r\n", bearer(&nurse))).await;
        assert_eq!(answer.status, 101, "{origin}: {}", answer.text);
    }
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://127.0.0.1:{port}"),
        "https://127.0.0.1".to_owned(),
        "https://127.0.0.1:1".to_owned(),
        format!("https://127.0.0.1:{port}.evil.example"),
        format!("https://127.0.0.1:{port}/"),
        "https://chat.example.org.evil.example".to_owned(),
        "https://sub.chat.example.org".to_owned(),
        String::new(),
    ];
    for origin in &foreign {
        for credential in [bearer(&nurse), String::new()] {
            let answer = upgrade(&server, "", &format!("{credential}Origin: {origin}\r\n")).await;
            assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("forbidden")), "{origin}");
        }
    }
    let twice = format!("Origin: {}\r\nOrigin: https://evil.example\r\n", allowed[0]);
    assert_ne!(upgrade(&server, "", &twice).await.status, 101, "an allowed origin does not cover a second one");
}

both!(what_is_no_upgrade_of_ours_is_refused);
async fn what_is_no_upgrade_of_ours_is_refused() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let unknown = upgrade(&server, "", &format!("{}Sec-WebSocket-Protocol: chat.v9, mqtt\r\n", bearer(&nurse))).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text.contains("carethread.v1"), "the supported list: {}", unknown.text);
    let known =
        upgrade(&server, "", &format!("{}Sec-WebSocket-Protocol: mqtt, carethread.v1\r\n", bearer(&nurse))).await;
    assert_eq!((known.status, known.header("sec-websocket-protocol")), (101, "carethread.v1"));
    let squeezed = upgrade(&server, "", "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    assert_eq!(
        (squeezed.status, squeezed.header("sec-websocket-extensions")),
        (101, ""),
        "no compression is negotiated"
    );
    assert_eq!(server.request("GET /v1/ws", "", b"").await.status, 426);
    let wrong = upgrade(&server, "", "Authorization: Bearer ct_pat_wrong\r\n").await;
    assert_eq!(wrong.status, 401, "{}", wrong.text);
}

both!(operations_over_http_refuse_what_sockets_refuse);
async fn operations_over_http_refuse_what_sockets_refuse() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let deep = format!(r#"{{"op":"ping","data":{{"a":{}{}}}}}"#, "[".repeat(100), "]".repeat(100));
    let twice = r#"{"op":"ping","op":"ping","data":{}}"#;
    let table: [(&[u8], u16, &str); 12] = [
        (b"hello", 400, "bad_frame"),
        (b"", 400, "bad_frame"),
        (b"[]", 400, "bad_frame"),
        (b"{}", 400, "unknown_op"),
        (b"{\"op\":\"p\xff\"}", 400, "bad_frame"),
        (deep.as_bytes(), 400, "bad_frame"),
        (twice.as_bytes(), 400, "bad_frame"),
        (br#"{"op":"no.such","data":{}}"#, 400, "unknown_op"),
        (br#"{"op":"login","data":{}}"#, 400, "unknown_op"),
        (br#"{"op":"resume","data":{}}"#, 400, "unknown_op"),
        (br#"{"op":"typing","data":{}}"#, 400, "unknown_op"),
        (br#"{"op":"history","data":{}}"#, 400, "invalid"),
    ];
    for (body, status, code) in table {
        let answer = server.request("POST /v1/ops", &bearer(&nurse), body).await;
        let frame = answer.json();
        let shown = String::from_utf8_lossy(body);
        assert_eq!((answer.status, &frame["error"]["code"]), (status, &json!(code)), "{shown}: {}", answer.text);
        assert_eq!((&frame["type"], &frame["id"]), (&json!("error"), &Value::Null), "the frame a socket would get");
    }
    for headers in ["", "Authorization: Bearer ct_pat_wrong\r\n", "Authorization: Basic eDp5\r\n"] {
        let answer = server.request("POST /v1/ops", headers, br#"{"op":"ping","data":{}}"#).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (401, Some("unauthenticated")),
            "{headers}"
        );
    }
    let large = json!({"op": "ping", "data": {"a": "x".repeat(70_000)}}).to_string();
    assert_eq!(server.request("POST /v1/ops", &bearer(&nurse), large.as_bytes()).await.status, 413);
    for answer in [
        server.request("GET /v1/ops", &bearer(&nurse), b"").await,
        server.request("GET /livez", "", b"").await,
        server.request("POST /v1/ops", "", b"").await,
        server.request("GET /nothing", "", b"").await,
    ] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", answer.text);
    }
}

both!(sockets_beyond_the_number_of_one_person_are_refused_and_the_others_stay);
async fn sockets_beyond_the_number_of_one_person_are_refused_and_the_others_stay() {
    let server = Server::with("[limits]\nsockets_per_user = 2\n").await;
    let (nurse, other) = (server.person("nurse").await, server.person("other").await);
    let (mut first, mut second) = (server.socket(&nurse).await, server.socket(&nurse).await);
    let third = Socket::try_open(&server, &bearer(&nurse)).await;
    if let Ok(mut third) = third {
        // Accepted and closed is as good as refused.
        let closed = tokio::time::timeout(Duration::from_secs(5), third.closed()).await;
        assert!(closed.is_ok_and(|code| (4400..4600).contains(&code)), "a third socket is used");
    }
    first.run("ping", json!({})).await;
    second.run("ping", json!({})).await;
    server.socket(&other).await.run("ping", json!({})).await;
    drop(first);
    let start = Instant::now();
    while Socket::try_open(&server, &bearer(&nurse)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "a closed socket makes room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
