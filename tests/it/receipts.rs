//! Who was sent a message and who read it, as its sender is told: delivered is what left the program over a socket, not what waits.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::raw::{Got, Raw};
use super::server::{Person, Server, text};
use super::ward::Ward;

async fn a_ward() -> (Server, Ward, Person) {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let nurse = server.person("nurse").await;
    ward.add(&server, &nurse, json!({})).await;
    (server, ward, nurse)
}

async fn post(server: &Server, ward: &Ward, who: &Person, channel: &str, words: &str) -> (String, i64) {
    let data = json!({"channel": ward.id(channel), "item": ward.id("shared_goal"), "text": words});
    let reply = server.run(who, "message.post", data).await;
    (text(&reply, "id"), reply["seq"].as_i64().unwrap())
}

/// The receipt of `of`, as the lead sees it; null if they are not listed.
async fn receipt(server: &Server, ward: &Ward, message: &str, of: &Person) -> Value {
    let answer = server.run(&ward.lead, "receipts", json!({ "message": message })).await;
    let found = answer["receipts"].as_array().unwrap().iter().find(|one| one["user"] == of.id.as_str());
    found.cloned().unwrap_or(Value::Null)
}

/// The receipt once it says delivered: the client may have the frame a moment before the server knows that it is out.
async fn delivered(server: &Server, ward: &Ward, message: &str, of: &Person) -> Value {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let receipt = receipt(server, ward, message, of).await;
        if receipt["delivered_at"].is_string() {
            return receipt;
        }
        assert!(Instant::now() < patience, "never delivered: {receipt}");
        sleep(Duration::from_millis(5)).await;
    }
}

both!(delivered_is_what_a_socket_was_sent_and_read_is_what_a_person_says);
async fn delivered_is_what_a_socket_was_sent_and_read_is_what_a_person_says() {
    let (server, ward, nurse) = a_ward().await;
    let (message, seq) = post(&server, &ward, &ward.lead, "staff", "Glucose 9.1").await;
    let held = receipt(&server, &ward, &message, &nurse).await;
    assert_eq!(held, json!({"user": nurse.id, "delivered_at": null, "read_at": null, "alert": "rang"}));
    // Signed in is not sent.
    let mut socket = server.socket(&nurse).await;
    socket.run("ping", json!({})).await;
    assert!(receipt(&server, &ward, &message, &nurse).await["delivered_at"].is_null());
    // A page over HTTP is not a frame on a socket.
    server.run(&nurse, "history", json!({"channel": ward.id("staff")})).await;
    assert!(receipt(&server, &ward, &message, &nurse).await["delivered_at"].is_null());
    // Offline when it was posted, then resumed.
    socket.run("resume", json!({"cursors": {ward.id("staff"): seq - 1}})).await;
    let first = delivered(&server, &ward, &message, &nurse).await;
    assert!(first["read_at"].is_null());
    // Live.
    let (live, seq) = post(&server, &ward, &ward.lead, "staff", "and 8.0").await;
    assert_eq!(socket.event().await["seq"], seq - 1);
    assert_eq!(socket.event().await["seq"], seq);
    delivered(&server, &ward, &live, &nurse).await;
    // The other device, later, changes nothing; the database says what memory said.
    sleep(Duration::from_millis(3500)).await;
    let mut other = server.socket(&nurse).await;
    other.run("resume", json!({"cursors": {ward.id("staff"): 0}})).await;
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(receipt(&server, &ward, &message, &nurse).await, first);
    other.run("read", json!({"channel": ward.id("staff"), "seq": seq})).await;
    let (read, later) = (receipt(&server, &ward, &message, &nurse).await, receipt(&server, &ward, &live, &nurse).await);
    assert!(read["read_at"].is_string() && read["read_at"] == later["read_at"]);
    assert_eq!(read["delivered_at"], first["delivered_at"]);
    let all = server.run(&nurse, "receipts", json!({"channel": ward.id("staff"), "seq": seq})).await;
    assert_eq!((&all["message"], &all["by"], &all["seq"]), (&json!(live), &json!(ward.lead.id), &json!(seq)));
    let users: Vec<&str> =
        all["receipts"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap()).collect();
    assert!(users.is_sorted() && users.len() == 2, "{all}");
}

both!(a_page_over_a_socket_is_delivered);
async fn a_page_over_a_socket_is_delivered() {
    let (server, ward, nurse) = a_ward().await;
    let (first, seq) = post(&server, &ward, &ward.lead, "staff", "one").await;
    let (second, _) = post(&server, &ward, &ward.lead, "staff", "two").await;
    let mut socket = server.socket(&nurse).await;
    socket.run("history", json!({"channel": ward.id("staff"), "before": seq + 1, "limit": 2})).await;
    delivered(&server, &ward, &first, &nurse).await;
    assert!(receipt(&server, &ward, &second, &nurse).await["delivered_at"].is_null(), "not on that page");
}

both!(what_waits_for_a_socket_that_reads_nothing_is_not_delivered);
async fn what_waits_for_a_socket_that_reads_nothing_is_not_delivered() {
    let (server, ward, nurse) = a_ward().await;
    let mut slow = Raw::open_narrow(&server, &format!("Authorization: Bearer {}\r\n", nurse.token)).await;
    slow.text(r#"{"id":1,"op":"resume","data":{}}"#).await;
    assert!(matches!(slow.next().await, Got::Text(answer) if answer["type"] == "reply"));
    // 32 kB each: the buffers of both kernels fill, then the queue.
    let words = "\u{1f489}".repeat(8000);
    let mut messages = Vec::new();
    for _ in 0..400 {
        messages.push(post(&server, &ward, &ward.lead, "staff", &words).await);
    }
    let mut seen = 0;
    loop {
        match slow.next().await {
            Got::Text(event) if event["channel"] == ward.id("staff") => seen = event["seq"].as_i64().unwrap(),
            Got::Text(_) => {}
            _ => break,
        }
    }
    let last = &messages.last().unwrap().0;
    assert!(receipt(&server, &ward, last, &nurse).await["delivered_at"].is_null(), "it only waited");
    let mut told = 0;
    for (message, seq) in &messages {
        if receipt(&server, &ward, message, &nurse).await["delivered_at"].is_string() {
            assert!(*seq <= seen, "{seq} is said to be delivered, but {seen} was the last one to arrive");
            told += 1;
        }
    }
    println!("{told} of {} told as delivered, {seen} the last seen", messages.len());
    let mut again = server.socket(&nurse).await;
    again.run("resume", json!({"cursors": {ward.id("staff"): seen}})).await;
    delivered(&server, &ward, last, &nurse).await;
}

both!(receipts_and_mutes_outlive_the_server);
async fn receipts_and_mutes_outlive_the_server() {
    let (server, ward, nurse) = a_ward().await;
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    let (message, seq) = post(&server, &ward, &ward.lead, "staff", "one").await;
    socket.event().await;
    socket.run("read", json!({"channel": ward.id("staff"), "seq": seq})).await;
    server.run(&nurse, "channel.mute", json!({"channel": ward.id("staff"), "muted": true})).await;
    server.run(&nurse, "presence.set", json!({"state": "do_not_disturb"})).await;
    let (second, _) = post(&server, &ward, &ward.lead, "staff", "two").await;
    let before = (delivered(&server, &ward, &message, &nurse).await, delivered(&server, &ward, &second, &nurse).await);
    assert_eq!(before.1["alert"], "quiet");
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    let server = house.serve().await;
    let after = (receipt(&server, &ward, &message, &nurse).await, receipt(&server, &ward, &second, &nurse).await);
    assert_eq!(after, before);
    let channels = server.run(&nurse, "channel.list", json!({})).await;
    let staff = channels["channels"].as_array().unwrap().iter().find(|one| one["id"] == ward.id("staff")).unwrap();
    assert_eq!((&staff["muted"], &staff["muted_until"]), (&json!(true), &Value::Null));
    let presence = server.run(&ward.lead, "presence", json!({"channel": ward.id("staff")})).await;
    let shown = presence["members"].as_array().unwrap().iter().find(|one| one["user"] == nurse.id.as_str()).unwrap();
    let expected = json!({"user": nurse.id, "state": "offline", "do_not_disturb": true, "muted": true});
    assert_eq!(*shown, expected);
    // A crash may take the last moments, and adds nothing.
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    let (third, _) = post(&server, &ward, &ward.lead, "staff", "three").await;
    delivered(&server, &ward, &third, &nurse).await;
    drop(socket);
    sleep(Duration::from_secs(4)).await;
    let (unsent, _) = post(&server, &ward, &ward.lead, "staff", "four").await;
    let server = server.kill().await.serve().await;
    assert!(receipt(&server, &ward, &third, &nurse).await["delivered_at"].is_string());
    assert!(receipt(&server, &ward, &unsent, &nurse).await["delivered_at"].is_null());
}

both!(what_is_urgent_breaks_through_and_the_sender_sees_it);
async fn what_is_urgent_breaks_through_and_the_sender_sees_it() {
    let (server, ward, nurse) = a_ward().await;
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    let until = "2999-01-01T00:00:00.000000Z";
    let data = json!({"state": "do_not_disturb", "until": until});
    assert_eq!(server.run(&nurse, "presence.set", data.clone()).await, data);
    // Before posting.
    let presence = server.run(&ward.lead, "presence", json!({"channel": ward.id("staff")})).await;
    let shown = presence["members"].as_array().unwrap().iter().find(|one| one["user"] == nurse.id.as_str()).unwrap();
    assert_eq!((&shown["do_not_disturb"], &shown["until"]), (&json!(true), &json!(until)));
    let mut alerts = Vec::new();
    for priority in ["routine", "urgent", "stat"] {
        let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "x", "priority": priority,
                          "mentions": [nurse.id]});
        let message = text(&server.run(&ward.lead, "message.post", data).await, "id");
        // After posting, and what the receiver is told.
        let (mut told, mut quiet) = (false, false);
        while !told {
            let event = socket.event().await;
            if event["channel"] == "me" && event["event"] == "mentioned" {
                assert_eq!(event["data"]["message"], message.as_str());
                (told, quiet) = (true, event["data"]["quiet"] == true);
            }
        }
        alerts.push((receipt(&server, &ward, &message, &nurse).await["alert"].clone(), quiet));
    }
    assert_eq!(alerts, [(json!("quiet"), true), (json!("rang"), false), (json!("rang"), false)]);
    // Nothing is hidden: the frames came, and count as delivered.
    let channels = server.run(&nurse, "channel.list", json!({})).await;
    let staff = channels["channels"].as_array().unwrap().iter().find(|one| one["id"] == ward.id("staff")).unwrap();
    assert!(staff["unread"].as_i64().unwrap() >= 3);
}

both!(answers_stand_beside_receipts);
async fn answers_stand_beside_receipts() {
    let (server, ward, nurse) = a_ward().await;
    let ask = async |asked: &str| -> String {
        let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "x", "ask": asked});
        text(&server.run(&ward.lead, "message.post", data).await, "id")
    };
    let (seen, back) = (ask("acknowledge").await, ask("check_back").await);
    assert!(receipt(&server, &ward, &seen, &nurse).await.get("acknowledged_at").is_none());
    server.run(&nurse, "message.acknowledge", json!({ "message": seen })).await;
    server.run(&nurse, "message.check_back", json!({"message": back, "text": "I understood"})).await;
    assert!(receipt(&server, &ward, &seen, &nurse).await["acknowledged_at"].is_string());
    assert!(receipt(&server, &ward, &back, &nurse).await.get("confirmed_at").is_none());
    server.run(&ward.lead, "message.confirm", json!({ "message": back })).await;
    let closed = receipt(&server, &ward, &back, &nurse).await;
    assert!(closed["checked_back_at"].is_string() && closed["confirmed_at"].is_string(), "{closed}");
}
