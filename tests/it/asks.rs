//! Asking for an answer, as people do it: over sockets, with everyone watching, into exports.

use serde_json::{Value, json};

use super::server::{Server, list, text};
use super::ward::Ward;

/// The next event of that name on a socket.
async fn event(socket: &mut super::socket::Socket, name: &str) -> Value {
    loop {
        let event = socket.event().await;
        if event["event"] == name {
            return event;
        }
    }
}

both!(an_order_is_read_back_and_confirmed_before_everyone);
async fn an_order_is_read_back_and_confirmed_before_everyone() {
    let server = Server::new().await;
    let (lead, nurse, aide) = (server.person("lead").await, server.person("nurse").await, server.person("aide").await);
    let ward = Ward::open(&server, lead).await;
    ward.add(&server, &nurse, json!({})).await;
    ward.add(&server, &aide, json!({})).await;
    let mut watching = server.socket(&aide).await;
    watching.run("resume", json!({})).await;

    let order =
        json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "5 mg at eight", "ask": "check_back"});
    let order = text(&server.run(&ward.lead, "message.post", order).await, "id");
    assert_eq!(event(&mut watching, "message.posted").await["data"]["ask"], "check_back");
    let refused = server.ask(&nurse, "message.acknowledge", json!({"message": order})).await;
    assert_eq!((refused.status, &refused.json()["error"]["allowed"]), (409, &json!(["checked_back"])));

    let back = server.run(&nurse, "message.check_back", json!({"message": order, "text": "5 mg at 8 a.m."})).await;
    let seen = event(&mut watching, "message.checked_back").await;
    assert_eq!(seen["data"], json!({"id": back["id"], "message": order, "text": "5 mg at 8 a.m."}));
    let done = json!({"message": order, "check_back": back["id"], "key": super::chance::fresh_id()});
    let confirmed = server.run(&ward.lead, "message.confirm", done.clone()).await;
    let seen = event(&mut watching, "message.confirmed").await;
    assert_eq!(seen["data"], json!({"id": confirmed["id"], "message": order, "check_backs": [back["id"]]}));
    assert_eq!(server.run(&ward.lead, "message.confirm", done).await["repeat"], json!(true));
    let page = server.run(&aide, "history", json!({"channel": ward.id("staff"), "limit": 1})).await;
    assert_eq!(list(&page, "events")[0], seen, "as sent live");
    // No answer is a message: it counts as nothing unread.
    let channels = server.run(&aide, "channel.list", json!({})).await;
    let staff = list(&channels, "channels").iter().find(|one| one["id"] == ward.id("staff")).unwrap();
    let messages = 4; // two messages and a note of the ward, and the order
    assert_eq!(staff["unread"], messages);
}

both!(answers_leave_with_the_record);
async fn answers_leave_with_the_record() {
    let server = Server::new().await;
    let (lead, nurse) = (server.person("lead").await, server.person("nurse").await);
    let ward = Ward::open(&server, lead).await;
    ward.add(&server, &nurse, json!({})).await;
    let post = async |ask: &str, words: &str| {
        let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": words, "ask": ask});
        text(&server.run(&ward.lead, "message.post", data).await, "id")
    };
    let (seen, order) = (post("acknowledge", "fasting from ten").await, post("check_back", "5 mg at eight").await);
    server.run(&nurse, "message.acknowledge", json!({"message": seen})).await;
    let back = server.run(&nurse, "message.check_back", json!({"message": order, "text": "five at eight"})).await;

    let export = async |name: &str, format: &str, more: &[&str]| {
        let out = server.house.path(name);
        let path = out.display().to_string();
        let typed = ["export", "--patient", ward.id("patient"), "--format", format, "--out", &path];
        server.cli(&[&typed, more].concat()).await;
        out
    };
    let bundle = |path: std::path::PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let of = |bundle: &Value, id: &str| -> Value {
        let mut said = list(bundle, "entry").iter().map(|entry| &entry["resource"]);
        said.find(|one| one["resourceType"] == "Communication" && one["identifier"][0]["value"] == id).unwrap().clone()
    };
    let first = bundle(export("first.json", "fhir-transaction", &["--with-patient"]).await);
    let said = of(&first, back["id"].as_str().unwrap());
    assert_eq!(said["payload"][0]["contentString"], "five at eight");
    let message =
        list(&first, "entry").iter().find(|entry| entry["resource"]["identifier"][0]["value"] == order).unwrap();
    assert_eq!(said["inResponseTo"][0]["reference"], message["fullUrl"]);
    assert_eq!(of(&first, &seen)["note"][0]["text"], "Acknowledged");

    // What is confirmed later is told with the message it is about.
    server.run(&ward.lead, "message.confirm", json!({"message": order})).await;
    let second = bundle(export("second.json", "fhir-transaction", &["--since", "last"]).await);
    assert_eq!(of(&second, &order)["note"][0]["text"], "Check-back confirmed");
    let lines = std::fs::read_to_string(export("record.ndjson", "ndjson", &[]).await).unwrap();
    for name in ["message.acknowledged", "message.checked_back", "message.confirmed"] {
        assert_eq!(lines.lines().filter(|line| line.contains(&format!("\"{name}\""))).count(), 1, "{name}");
    }
    let proof = export("proof", "proof", &[]).await;
    assert_eq!(server.house.cli_with(&["verify", proof.to_str().unwrap()], "").await.code, 0);
    assert_eq!(server.house.cli_with(&["verify", "--record"], "").await.code, 0);
}

both!(what_waits_for_an_answer_stands_on_the_board_of_whoever_is_asked);
async fn what_waits_for_an_answer_stands_on_the_board_of_whoever_is_asked() {
    let server = Server::new().await;
    let (lead, nurse, aide) = (server.person("lead").await, server.person("nurse").await, server.person("aide").await);
    let (kin, stranger) = (server.person("kin").await, server.person("stranger").await);
    let ward = Ward::open(&server, lead).await;
    ward.add(&server, &nurse, json!({})).await;
    ward.add(&server, &aide, json!({})).await;
    ward.add(&server, &kin, json!({"family": true})).await;
    let order = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "5 mg at eight", "ask": "check_back",
        "priority": "urgent", "mentions": [nurse.id]});
    let order = server.run(&ward.lead, "message.post", order).await;
    let asks = async |who: &super::server::Person, data: Value| {
        list(&server.run(who, "board.get", data).await, "asks").clone()
    };
    let mine = json!({"mine": true});
    let waits = asks(&nurse, mine.clone()).await;
    assert_eq!(waits.len(), 1);
    for (name, expected) in [
        ("message", order["id"].clone()),
        ("patient", json!(ward.id("patient"))),
        ("channel", json!(ward.id("staff"))),
        ("seq", order["seq"].clone()),
        ("item", json!(ward.id("goal"))),
        ("by", json!(ward.lead.id)),
        ("priority", json!("urgent")),
        ("at", order["at"].clone()),
        ("of", json!([nurse.id])),
    ] {
        assert_eq!(waits[0][name], expected, "{name}");
    }
    assert!(waits[0]["due"].as_str() > waits[0]["at"].as_str());
    let of_patient = json!({"patient": ward.id("patient")});
    assert_eq!(asks(&aide, of_patient.clone()).await, waits, "the board of the patient shows what waits for anybody");
    for (who, data) in [(&aide, &mine), (&ward.lead, &mine), (&kin, &mine), (&kin, &of_patient), (&stranger, &mine)] {
        assert!(asks(who, data.clone()).await.is_empty());
    }
    server.run(&nurse, "message.check_back", json!({"message": order["id"], "text": "five at eight"})).await;
    assert!(asks(&nurse, mine).await.is_empty() && asks(&aide, of_patient).await.is_empty());
}
