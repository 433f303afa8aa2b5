//! Search from outside: what is found, by whom, over sockets and HTTP; and that what was looked for is kept nowhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::server::{Person, Server, list, text};
use super::socket::Socket;
use super::ward::Ward;

async fn hits(server: &Server, person: &Person, data: Value) -> Vec<Value> {
    list(&server.run(person, "search", data).await, "hits").clone()
}

fn of<'a>(hits: &'a [Value], member: &str) -> Vec<&'a str> {
    hits.iter().map(|hit| hit[member].as_str().unwrap()).collect()
}

both!(words_are_found_however_they_are_written);
async fn words_are_found_however_they_are_written() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let post =
        json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "Ｇlucose in der STRASSE: \u{fb01}ve"});
    let reply = server.run(&ward.lead, "message.post", post).await;
    let event = server.run(&ward.lead, "history", json!({"channel": ward.id("staff"), "limit": 1})).await;
    let event = &list(&event, "events")[0];
    for words in ["glucose", "GLUCOSE", "straße", "FIVE", "e: five"] {
        let found = hits(&server, &ward.lead, json!({ "text": words })).await;
        let hit = json!({"channel": ward.id("staff"), "seq": reply["seq"], "event": "message.posted", "id": reply["id"],
                         "item": ward.id("goal"), "at": event["at"], "by": ward.lead.id, "excerpt": event["data"]["text"]});
        assert_eq!(found, [hit], "{words}");
    }
    for (data, code) in [
        (json!({}), "invalid"),
        (json!({"text": "  "}), "invalid"),
        (json!({"text": "x".repeat(201)}), "too_large"),
        (json!({"text": "a", "limit": 51}), "invalid"),
        (json!({"text": "a", "before": "yesterday"}), "invalid"),
    ] {
        assert_eq!(server.code(&ward.lead, "search", data.clone()).await, code, "{data}");
    }
}

both!(corrections_change_what_is_found);
async fn corrections_change_what_is_found() {
    let server = Server::new().await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    ward.says(&server, "dose", "staff", "goal").await;
    let message = ward.id("dose").to_owned();
    server.run(&ward.lead, "message.amend", json!({"message": message, "text": "half of it"})).await;
    assert!(hits(&server, &ward.lead, json!({"text": "said as dose"})).await.is_empty());
    let about = |item: &str| json!({"text": "half of it", "item": ward.id(item)});
    assert_eq!(of(&hits(&server, &ward.lead, about("goal")).await, "id"), [message.as_str()]);
    server.run(&ward.lead, "message.relink", json!({"message": message, "item": ward.id("unsorted")})).await;
    assert!(hits(&server, &ward.lead, about("goal")).await.is_empty());
    assert_eq!(of(&hits(&server, &ward.lead, about("unsorted")).await, "item"), [ward.id("unsorted")]);
    server.run(&ward.lead, "message.retract", json!({"message": message, "reason": "half of it is wrong"})).await;
    assert!(hits(&server, &ward.lead, json!({"text": "half of it"})).await.is_empty());
}

both!(nobody_finds_what_they_may_not_read);
async fn nobody_finds_what_they_may_not_read() {
    let server = Server::new().await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    let (nurse, family) = (server.person("nurse").await, server.person("family").await);
    let (outsider, gone) = (server.person("outsider").await, server.person("gone").await);
    ward.add(&server, &nurse, json!({})).await;
    ward.add(&server, &family, json!({"family": true})).await;
    ward.add(&server, &gone, json!({})).await;
    ward.remove(&server, &gone).await;
    let found = async |who: &Person| -> BTreeSet<String> {
        let found = hits(&server, who, json!({"text": "said as"})).await;
        found.iter().map(|hit| text(hit, "id")).collect()
    };
    let named =
        |ward: &Ward, names: &[&str]| names.iter().map(|name| ward.id(name).to_owned()).collect::<BTreeSet<_>>();
    let staff = ["message_staff", "message_unsorted", "message_shared", "message_archived"];
    assert_eq!(found(&nurse).await, named(&ward, &staff));
    assert_eq!(found(&ward.lead).await, named(&ward, &[&staff[..], &["message_named"]].concat()));
    assert_eq!(found(&family).await, named(&ward, &["message_shared"]));
    assert!(found(&outsider).await.is_empty() && found(&gone).await.is_empty());
    // Of the plan, family finds what is shared where they are told of it; nothing is told twice.
    let goals = |found: &[Value]| found.iter().map(|hit| text(hit, "id")).collect::<Vec<_>>();
    let all = goals(&hits(&server, &nurse, json!({"text": "GOAL"})).await);
    assert_eq!(all, ["closed_goal", "shared_goal", "goal"].map(|name| ward.id(name)));
    // A time away stays closed, and what was corrected meanwhile is not found in its old form.
    ward.says(&server, "before", "staff", "goal").await;
    let before = ward.id("before").to_owned();
    ward.remove(&server, &nurse).await;
    server.run(&ward.lead, "message.amend", json!({"message": before, "text": "said otherwise"})).await;
    ward.says(&server, "meanwhile", "staff", "goal").await;
    assert!(found(&nurse).await.is_empty());
    ward.add(&server, &nurse, json!({})).await;
    assert_eq!(found(&nurse).await, named(&ward, &staff));
}

both!(pages_go_on_where_the_last_one_ended);
async fn pages_go_on_where_the_last_one_ended() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let mut socket = server.socket(&ward.lead).await;
    for n in 0..61 {
        let channel = ward.id(if n % 2 == 0 { "staff" } else { "named" });
        let item = ward.id("goal");
        socket.run("message.post", json!({"channel": channel, "item": item, "text": format!("page {n}")})).await;
    }
    let first = socket.run("search", json!({"text": "page"})).await;
    let mut all: Vec<Value> = list(&first, "hits").clone();
    assert_eq!((all.len(), &first["more"]), (50, &json!(true)));
    let second = server.run(&ward.lead, "search", json!({"text": "page", "before": first["next"]})).await;
    assert_eq!((&second["more"], second.get("next")), (&json!(false), None));
    all.extend(list(&second, "hits").clone());
    let expected: Vec<String> = (0..61).rev().map(|n| format!("page {n}")).collect();
    assert_eq!(of(&all, "excerpt"), expected);
    assert!(all.is_sorted_by(|newer, older| newer["at"].as_str() >= older["at"].as_str()));
    let (from, to) = (all[10]["at"].clone(), all[5]["at"].clone());
    let some = hits(&server, &ward.lead, json!({"text": "page", "from": from, "to": to})).await;
    assert_eq!(some, all[6..=10].to_vec());
}

both!(cancel_is_for_sockets);
async fn cancel_is_for_sockets() {
    let server = Server::new().await;
    let person = server.person("lead").await;
    assert_eq!(server.code(&person, "cancel", json!({"id": 1})).await, "unknown_op");
    let mut socket = server.socket(&person).await;
    assert_eq!(socket.run("cancel", json!({"id": 77})).await, json!({"cancelled": false}));
    assert_eq!(socket.code("cancel", json!({"id": null})).await, "invalid");
    // Whether it is still under way when it is cancelled or not, both are answered.
    let search = socket.send("search", json!({"text": "a"})).await;
    let cancel = socket.send("cancel", json!({ "id": search })).await;
    let answers = [socket.any_answer().await, socket.any_answer().await];
    for id in [search, cancel] {
        assert!(answers.iter().any(|answer| answer["id"] == id && answer["type"] == "reply"), "{answers:?}");
    }
}

both!(a_person_searches_twice_at_a_time);
async fn a_person_searches_twice_at_a_time() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let mut sockets: Vec<Socket> = Vec::new();
    for _ in 0..4 {
        sockets.push(server.socket(&ward.lead).await);
    }
    let mut asked = Vec::new();
    for socket in &mut sockets {
        asked.push(socket.send("search", json!({"text": "said"})).await);
    }
    for (socket, id) in sockets.iter_mut().zip(asked) {
        let answer = socket.answer(id).await.unwrap();
        // As many as there are places for at that moment; the others are told when to come back.
        let refused = &answer["error"];
        assert!(answer["type"] == "reply" || refused["code"] == "rate_limited", "{answer}");
        assert!(answer["type"] == "reply" || refused["retry_after_ms"].is_u64(), "{answer}");
    }
    assert!(!hits(&server, &ward.lead, json!({"text": "said"})).await.is_empty());
}

both!(what_was_looked_for_is_kept_nowhere);
async fn what_was_looked_for_is_kept_nowhere() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let marker = "Quaxolottle";
    assert!(hits(&server, &ward.lead, json!({ "text": marker })).await.is_empty());
    assert_eq!(server.code(&ward.lead, "search", json!({"text": marker, "limit": 0})).await, "invalid");
    let metrics = server.request("GET /metrics", "", b"").await.text;
    let log = server.house.log();
    for (place, written) in [("metrics", &metrics), ("log", &log)] {
        assert!(!written.to_lowercase().contains(&marker.to_lowercase()), "{place}");
    }
    let data = server.house.data();
    let (_house, _) = {
        server.signal("TERM").await;
        server.ended().await
    };
    let needle = marker.as_bytes();
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let there = bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle));
            assert!(!there, "{}", path.display());
        }
    }
}
