//! Signed heads from outside: told to who follows a channel, signed again when the server stops; and the walk of the whole record,
//! which holds a channel that somebody changed in the database.

use std::time::Duration;

use serde_json::{Value, json};

use carethread::kernel::crypto::VerifierKey;
use carethread::kernel::crypto::head::HeadNote;

use super::database::Tables;
use super::server::{ROOMY, Server, text};
use super::socket::Socket;
use super::ward::Ward;

/// Longer than any round or walk takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn signer(server: &Server) -> VerifierKey {
    text(&server.cli(&["verify", "--record"]).await, "signer").parse().unwrap()
}

/// The signed head of that size, which is to come.
async fn head_of(socket: &mut Socket, channel: &str, size: u64) -> Value {
    let head = tokio::time::timeout(PATIENCE, async {
        loop {
            let event = socket.event().await;
            if event["event"] == "head" && event["channel"] == channel && event["data"]["size"] == size {
                return event;
            }
        }
    });
    head.await.expect("the head is signed")
}

both!(a_signed_head_comes_to_who_follows_the_channel_and_to_nobody_else);
async fn a_signed_head_comes_to_who_follows_the_channel_and_to_nobody_else() {
    let server = Server::with(&format!("{ROOMY}[heads]\nsign_seconds = 1\n")).await;
    let (lead, stranger) = (server.person("lead").await, server.person("stranger").await);
    let mut ward = Ward::open(&server, lead).await;
    let (mut own, mut other) = (server.socket(&ward.lead).await, server.socket(&stranger).await);
    own.run("resume", json!({})).await;
    other.run("resume", json!({})).await;
    ward.says(&server, "last", "staff", "goal").await;
    let newest = server.run(&ward.lead, "history", json!({"channel": ward.id("staff"), "limit": 1})).await;
    let seq = newest["events"][0]["seq"].as_u64().unwrap();
    let head = head_of(&mut own, ward.id("staff"), seq).await;
    assert_eq!((&head["type"], &head["seq"], &head["by"]), (&json!("event"), &Value::Null, &Value::Null));
    let note = HeadNote::verify(&text(&head["data"], "note"), &signer(&server).await).expect("signed by this server");
    assert_eq!((note.channel.to_string(), note.size), (ward.id("staff").to_owned(), seq));
    assert_eq!(carethread::kernel::crypto::base64(&note.head), text(&head["data"], "head"));
    assert_eq!(other.events_so_far().await, Vec::<Value>::new());
}

both!(a_server_that_stops_leaves_nothing_unsigned_and_one_that_is_killed_signs_when_it_is_back);
async fn a_server_that_stops_leaves_nothing_unsigned_and_one_that_is_killed_signs_when_it_is_back() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let mut ward = Ward::open(&server, lead).await;
    let house = server.kill().await;
    let server = house.serve().await;
    ward.says(&server, "after", "staff", "goal").await;
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    let mut tables = Tables::of(&house).await;
    let unsigned = "SELECT COUNT(*) FROM channel LEFT JOIN signed_head ON signed_head.channel = channel.id \
                    WHERE signed_head.seq IS NULL OR signed_head.seq <> channel.seq";
    let unsigned: i64 = carethread::on_db!(tables, |c| sqlx::query_scalar(unsigned).fetch_one(c).await).unwrap();
    let shorter = "SELECT COUNT(*) FROM setting WHERE name = 'checkpoint'";
    let kept: i64 = carethread::on_db!(tables, |c| sqlx::query_scalar(shorter).fetch_one(c).await).unwrap();
    tables.close().await;
    assert_eq!((unsigned, kept), (0, 1));
    assert_eq!(house.cli(&["verify", "--record"]).await.json()["ok"], true);
}

both!(a_channel_changed_long_ago_is_found_by_the_walk_and_held);
async fn a_channel_changed_long_ago_is_found_by_the_walk_and_held() {
    let server = Server::with(&format!("{ROOMY}[heads]\nsign_seconds = 1\n")).await;
    let lead = server.person("lead").await;
    let ward = Ward::open(&server, lead).await;
    // More than a start looks at.
    let mut socket = server.socket(&ward.lead).await;
    let post = json!({"channel": ward.id("shared"), "item": ward.id("shared_goal"), "text": "x"});
    for _ in 0..60 {
        let mut sent = 0;
        for _ in 0..20 {
            sent = socket.send("message.post", post.clone()).await;
        }
        while socket.any_answer().await["id"] != sent {}
    }
    drop(socket);
    server.signal("TERM").await;
    // What was written while a server ran is looked at by the next: by the one after that it is long ago.
    let server = server.ended().await.0.serve().await;
    let mut socket = server.socket(&ward.lead).await;
    socket.run("resume", json!({})).await;
    let said = socket.run("message.post", post).await;
    head_of(&mut socket, ward.id("shared"), said["seq"].as_u64().unwrap()).await;
    drop(socket);
    server.signal("TERM").await;
    let (house, _) = server.ended().await;
    let mut tables = Tables::of(&house).await;
    tables.disarm().await;
    let staff = ward.id("staff").replace('-', "");
    let number = format!("(SELECT n FROM channel WHERE lower(replace(CAST(id AS TEXT), '-', '')) = '{staff}')");
    let number = if house.base().is_some() { number } else { format!("(SELECT n FROM channel WHERE id = x'{staff}')") };
    tables.run(&format!("UPDATE entry SET at = at + 1 WHERE seq = 3 AND channel = {number}")).await;
    tables.run("DELETE FROM setting WHERE name = 'patrol'").await;
    tables.close().await;

    let server = house.serve().await;
    let ready = async || server.request("GET /readyz", "", b"").await;
    let held = tokio::time::timeout(PATIENCE, async {
        while ready().await.json()["status"] == "ok" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    held.await.expect("the walk finds it");
    let ready = ready().await;
    assert_eq!((ready.status, &ready.json()["channels_held"]), (200, &json!(1)), "{}", ready.text);
    let post = |channel, item| json!({"channel": ward.id(channel), "item": ward.id(item), "text": "x"});
    assert_eq!(server.code(&ward.lead, "message.post", post("staff", "goal")).await, "busy");
    server.run(&ward.lead, "message.post", post("shared", "shared_goal")).await;
    server.run(&ward.lead, "history", json!({"channel": ward.id("staff")})).await;
    let told = server.house.cli(&["verify", "--record"]).await;
    assert!(told.code == 1 && told.stdout.contains("\"seq\":3"), "{}", told.stdout);
    assert!(server.house.log().contains("does not hold"), "{}", server.house.log());
}
