//! How a server starts, seals, ends; the routes beside the operations.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::server::{Done, House, Server, text};

async fn start(house: &House) -> Done {
    house.cli_with(&["serve", "--listen", "127.0.0.1:0"], "").await
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

both!(a_wrong_key_file_ends_the_start_with_a_sentence);
async fn a_wrong_key_file_ends_the_start_with_a_sentence() {
    let house = House::new("").await;
    let kek = house.data().join("kek");
    let key = std::fs::read(&kek).unwrap();
    let other = House::new("").await;
    let foreign = std::fs::read(other.data().join("kek")).unwrap();
    for (content, mode, word) in
        [(key.clone(), 0o644, "mode 0644"), (key[..20].to_vec(), 0o400, "32 bytes"), (foreign, 0o400, "another")]
    {
        std::fs::remove_file(&kek).unwrap();
        std::fs::write(&kek, content).unwrap();
        set_mode(&kek, mode);
        let done = start(&house).await;
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{word}");
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    std::fs::remove_file(&kek).unwrap();
    std::fs::write(&kek, key).unwrap();
    set_mode(&kek, 0o400);
    let server = house.serve().await;
    assert_eq!(server.request("GET /readyz", "", b"").await.status, 200);
    let second = start(&server.house).await;
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("holds"), "{}", second.stderr);
}

both!(without_its_key_the_server_lives_sealed);
async fn without_its_key_the_server_lives_sealed() {
    let house = House::new("").await;
    std::fs::remove_file(house.data().join("kek")).unwrap();
    let server = house.serve().await;
    assert_eq!(server.request("GET /livez", "", b"").await.status, 200);
    for line in ["GET /readyz", "GET /", "POST /v1/ops", "GET /v1/ws", "GET /metrics", "GET /no/such/route"] {
        let answer = server.request(line, "", b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("sealed")), "{line}");
        assert!(!answer.text.contains("kek"), "which file is missing is not for strangers: {}", answer.text);
    }
    let done = server.house.cli(&["user", "list"]).await;
    assert_eq!(done.code, 1);
    server.signal("TERM").await;
    assert_eq!(server.ended().await.1, Some(0));
}

both!(told_to_seal_it_forgets_its_keys);
async fn told_to_seal_it_forgets_its_keys() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    server.signal("USR2").await;
    for _ in 0..100 {
        if server.request("GET /readyz", "", b"").await.status == 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.request("GET /readyz", "", b"").await.json()["code"], "sealed");
    assert_eq!(server.ask(&nurse, "patient.list", json!({})).await.status, 503);
    let server = server.kill().await.serve().await;
    server.run(&nurse, "patient.list", json!({})).await;
}

both!(a_session_opens_by_password_and_ends_when_told);
async fn a_session_opens_by_password_and_ends_when_told() {
    let server = Server::new().await;
    let add = ["--json", "user", "add", "--handle", "nurse", "--name", "Nurse", "--password-stdin"];
    server.house.cli_with(&add, "quiet harbor 91 willows").await.json();
    let wrong = server.request("POST /v1/sessions", "", br#"{"handle":"nurse","password":"x"}"#).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (401, "application/problem+json"));
    let nobody = server.request("POST /v1/sessions", "", br#"{"handle":"nobody","password":"x"}"#).await;
    assert_eq!(wrong.text, nobody.text);
    let credentials = br#"{"handle":"nurse","password":"quiet harbor 91 willows"}"#;
    let opened = server.request("POST /v1/sessions", "", credentials).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let again = server.request("POST /v1/sessions", "", credentials).await.json();
    let key = text(&opened.json(), "outbox_key");
    assert_eq!((key.len(), &key), (44, &text(&again, "outbox_key")), "the same at every sign-in");
    server
        .house
        .cli_with(
            &["--json", "user", "add", "--handle", "other", "--name", "Other", "--password-stdin"],
            "quiet harbor 91 willows",
        )
        .await
        .json();
    let other =
        server.request("POST /v1/sessions", "", br#"{"handle":"other","password":"quiet harbor 91 willows"}"#).await;
    assert_ne!(text(&other.json(), "outbox_key"), key, "each person's own");
    let (token, session) = (text(&opened.json(), "token"), text(&opened.json(), "session"));
    let cookie = opened.header("set-cookie");
    assert!(cookie.starts_with(&format!("__Host-carethread={token};")), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let list = br#"{"op":"session.list"}"#;
    let with = |header: String| {
        let server = &server;
        async move { server.request("POST /v1/ops", &header, list).await.status }
    };
    let origin = format!("Origin: https://localhost:{}\r\n", server.address.port());
    let cookie = format!("Cookie: __Host-carethread={token}\r\n");
    assert_eq!(with(format!("{cookie}{origin}")).await, 200);
    assert_eq!(with(cookie.clone()).await, 401, "a cookie without our origin");
    assert_eq!(with(format!("{cookie}Origin: https://evil.example\r\n")).await, 403);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(with(format!("{bearer}Origin: https://evil.example\r\n")).await, 403);
    let foreign = server.request("POST /v1/sessions", "Origin: https://evil.example\r\n", credentials).await;
    assert_eq!(foreign.status, 403);
    let ticket = server.request("POST /v1/ws-tickets", &bearer, b"").await;
    assert_eq!(ticket.status, 201);
    assert!(text(&ticket.json(), "ticket").starts_with("ct_tic_"));
    let ended = server.request(&format!("DELETE /v1/sessions/{session}"), &bearer, b"").await;
    assert_eq!((ended.status, with(bearer.clone()).await), (204, 401), "{}", ended.text);
}

both!(every_answer_carries_the_headers_of_a_careful_server);
async fn every_answer_carries_the_headers_of_a_careful_server() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let bearer = format!("Authorization: Bearer {}\r\n", nurse.token);
    for line in [
        "GET /",
        "GET /livez",
        "GET /no/such/route",
        "DELETE /v1/ops",
        "POST /v1/ops",
        "GET /livez?token=x",
        "GET /metrics",
    ] {
        let answer = server.request(line, &bearer, b"").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{line}");
        let kept = if line == "GET /" { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), kept, "{line}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{line}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{line}");
    }
    let page = server.request("GET /", "", b"").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
    let inline = page.text.split("<script").skip(1).any(|rest| !rest.split('>').next().unwrap().contains(" src="));
    assert!(page.text.contains("Carethread") && !inline && !page.text.contains("<style"), "{}", page.text);
    for (line, status, code) in [
        ("DELETE /v1/ops", 405, "invalid"),
        ("GET /no/such/route", 404, "not_found"),
        ("GET /livez?access_token=x", 400, "invalid"),
        ("POST /v1/ws-tickets", 401, "unauthenticated"),
    ] {
        let answer = server.request(line, "", b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{line}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{line}");
    }
    let keys = server.request("GET /.well-known/jwks.json", "", b"").await.json();
    assert_eq!((&keys["keys"][0]["crv"], &keys["keys"][1]["crv"]), (&json!("P-384"), &json!("Ed25519")));
    assert_eq!(keys, server.cli(&["keys", "public"]).await);
    let forwarded = server.request("GET /metrics", "X-Forwarded-For: 192.0.2.7\r\n", b"").await;
    assert_eq!(forwarded.status, 401, "a proxy that is unknown to us makes nobody local");
}

both!(a_server_that_was_killed_leaves_a_folder_that_can_be_used);
async fn a_server_that_was_killed_leaves_a_folder_that_can_be_used() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let patient = server.run(&nurse, "patient.register", json!({"name": "Ruth Okafor"})).await;
    let house = server.kill().await;
    assert!(house.data().join("control.sock").exists(), "nobody took it away");
    let listed = house.cli(&["patient", "list"]).await.json();
    assert_eq!(listed["patients"][0]["id"], patient["patient"]);
    let server = house.serve().await;
    let mode = std::fs::metadata(server.house.data().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.cli(&["patient", "list"]).await, listed);
}

both!(told_to_end_it_finishes_what_it_took_and_says_so);
async fn told_to_end_it_finishes_what_it_took_and_says_so() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let made = server.run(&nurse, "patient.register", json!({"name": "Ruth Okafor"})).await;
    let (channel, item) = (text(&made, "care_team"), text(&made["items"], "whole"));
    let mut idle = server.socket(&nurse).await;
    let mut busy = server.socket(&nurse).await;
    idle.run("resume", json!({})).await;
    for n in 0..50 {
        busy.send("message.post", json!({"channel": channel, "item": item, "text": format!("{n}")})).await;
    }
    server.signal("TERM").await;
    let mut replied = Vec::new();
    while let Some(frame) = busy.text().await {
        let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
        if frame["type"] == "reply" && frame["data"]["seq"].is_number() {
            replied.push(frame["data"]["id"].clone());
        }
    }
    let mut told = false;
    while let Some(frame) = idle.text().await {
        told |= frame.contains("\"draining\"");
    }
    assert!(told, "the idle socket is told");
    assert_eq!((idle.closed().await, busy.closed().await), (4503, 4503));
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    assert!(!house.data().join("control.sock").exists());
    let server = house.serve().await;
    let history = server.run(&nurse, "history", json!({"channel": channel, "limit": 200})).await;
    let kept: Vec<_> =
        super::server::list(&history, "events").iter().map(|event| event["data"]["id"].clone()).collect();
    for id in &replied {
        assert_eq!(kept.iter().filter(|one| *one == id).count(), 1, "{id} was replied to");
    }
}
