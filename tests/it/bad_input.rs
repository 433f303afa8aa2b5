//! What a socket answers to frames that are wrong: the code or close code of the protocol, nobody else harmed, nothing stored.

use std::time::Duration;

use serde_json::{Value, json};

use super::chance::fresh_id;
use super::raw::{BINARY, CONTINUATION, FIN, Got, PING, Raw, TEXT};
use super::server::{Person, Server};
use super::ward::Ward;

/// A ward with a bystander who watches it.
struct Scene {
    server: Server,
    ward: Ward,
    lead: Person,
}

impl Scene {
    /// With the limits that ship.
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(config: &str) -> Self {
        let server = Server::with(config).await;
        let lead = server.person("lead").await;
        // Another token, so that what the ward costs is not counted for what follows.
        let token = super::server::text(&server.cli(&["token", "issue", "--user", "lead"]).await, "token");
        let ward = Ward::open(&server, lead.clone()).await;
        Self { server, ward, lead: Person { token, ..lead } }
    }

    async fn raw(&self) -> Raw {
        Raw::open(&self.server, &format!("Authorization: Bearer {}\r\n", self.lead.token)).await
    }

    /// Entries in the whole record, as its own check counts them.
    async fn size(&self) -> i64 {
        let verified = self.server.cli(&["verify", "--record"]).await;
        assert_eq!(verified["ok"], true, "{verified}");
        verified["channels"].as_array().unwrap().iter().map(|channel| channel["size"].as_i64().unwrap()).sum()
    }

    fn post(&self, id: Value, more: Value) -> String {
        let mut data = json!({"channel": self.ward.id("staff"), "item": self.ward.id("goal"), "text": "words"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"id": id, "op": "message.post", "data": data}).to_string()
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Frames that cannot be read, each with why.
fn unreadable() -> Vec<(&'static str, String)> {
    let wide: Vec<String> = (0..257).map(|n| format!("\"m{n}\":1")).collect();
    let long: Vec<&str> = vec!["1"; 1001];
    let cursors: Vec<String> = (0..1201).map(|n| format!("\"c{n}\":1")).collect();
    vec![
        ("no JSON", "hello".into()),
        ("empty", String::new()),
        ("cut short", r#"{"id":1,"op":"ping""#.into()),
        ("two objects", r#"{"id":1,"op":"ping"}{"id":2,"op":"ping"}"#.into()),
        ("an array", r#"[{"id":1,"op":"ping"}]"#.into()),
        ("a string", r#""ping""#.into()),
        ("null", "null".into()),
        ("a member twice", r#"{"id":1,"op":"ping","op":"ping"}"#.into()),
        ("a member twice, spelled otherwise", r#"{"id":1,"op":"ping","\u006fp":"ping"}"#.into()),
        ("a member twice, deep", r#"{"id":1,"op":"ping","data":{"a":[{"b":1,"b":2}]}}"#.into()),
        ("NaN", r#"{"id":1,"op":"ping","data":{"a":NaN}}"#.into()),
        ("infinity", r#"{"id":1,"op":"ping","data":{"a":-Infinity}}"#.into()),
        ("a lone surrogate", r#"{"id":1,"op":"ping","data":{"a":"\ud800"}}"#.into()),
        ("a lone low surrogate", r#"{"id":1,"op":"ping","data":{"a":"\udc00x"}}"#.into()),
        ("no id", r#"{"op":"ping"}"#.into()),
        ("id null", r#"{"id":null,"op":"ping"}"#.into()),
        ("id true", r#"{"id":true,"op":"ping"}"#.into()),
        ("id a list", r#"{"id":[1],"op":"ping"}"#.into()),
        ("id too long", format!(r#"{{"id":"{}","op":"ping"}}"#, "x".repeat(65))),
        ("too deep", format!(r#"{{"id":1,"op":"ping","data":{{"a":{}}}}}"#, nested(31))),
        ("far too deep", format!(r#"{{"id":1,"op":"ping","data":{{"a":{}}}}}"#, nested(30_000))),
        ("too many members", format!(r#"{{"id":1,"op":"ping","data":{{{}}}}}"#, wide.join(","))),
        ("too many elements", format!(r#"{{"id":1,"op":"ping","data":{{"a":[{}]}}}}"#, long.join(","))),
        ("too many cursors", format!(r#"{{"id":1,"op":"resume","data":{{"cursors":{{{}}}}}}}"#, cursors.join(","))),
        ("a comment", r#"{"id":1,"op":"ping"/**/}"#.into()),
        ("a trailing comma", r#"{"id":1,"op":"ping",}"#.into()),
        ("a raw control character", "{\"id\":1,\"op\":\"ping\",\"data\":{\"a\":\"\u{1}\"}}".into()),
    ]
}

both!(a_frame_that_cannot_be_read_is_answered_and_the_connection_stays);
async fn a_frame_that_cannot_be_read_is_answered_and_the_connection_stays() {
    let scene = Scene::new().await;
    let before = scene.size().await;
    for chunk in unreadable().chunks(9) {
        let mut raw = scene.raw().await;
        for (why, frame) in chunk {
            raw.text(frame).await;
            assert_eq!(raw.refusal().await, (Value::Null, "bad_frame".into()), "{why}");
        }
        raw.is_alive().await;
    }
    assert_eq!(scene.size().await, before);
}

both!(a_frame_that_can_be_read_is_answered_by_its_id_however_wrong_it_is);
async fn a_frame_that_can_be_read_is_answered_by_its_id_however_wrong_it_is() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for frame in [r#"{"id":1}"#, r#"{"id":1,"op":7}"#, r#"{"id":1,"op":null}"#, r#"{"id":1,"op":""}"#] {
        raw.text(frame).await;
        assert_eq!(raw.refusal().await, (json!(1), "unknown_op".into()), "{frame}");
    }
    for data in ["[]", "7", "\"x\"", "true"] {
        raw.text(&format!(r#"{{"id":1,"op":"ping","data":{data}}}"#)).await;
        assert_eq!(raw.refusal().await, (json!(1), "invalid".into()), "{data}");
    }
}

both!(the_tenth_frame_that_cannot_be_read_closes);
async fn the_tenth_frame_that_cannot_be_read_closes() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for _ in 0..9 {
        raw.text("{").await;
        assert_eq!(raw.refusal().await.1, "bad_frame");
    }
    raw.is_alive().await;
    raw.text("{").await;
    assert_eq!(raw.end().await, Got::Close(4400));
    scene.raw().await.is_alive().await;
}

both!(frames_at_the_limits_are_read);
async fn frames_at_the_limits_are_read() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    let wide: Vec<String> = (0..256).map(|n| format!("\"m{n}\":1")).collect();
    let cursors: Vec<String> = (0..1200).map(|_| format!("\"{}\":1", fresh_id())).collect();
    for frame in [
        format!(r#"{{"id":"{}","op":"ping","data":{{}}}}"#, "é".repeat(64)),
        r#"{"id":-1.5e3,"op":"ping"}"#.into(),
        r#"{"id":1,"op":"ping","data":{"a":"\ud83d\ude00"},"unknown":1}"#.into(),
        format!(r#"{{"id":1,"op":"ping","data":{{"a":{}}}}}"#, nested(30)),
        format!(r#"{{"id":1,"op":"ping","data":{{{}}}}}"#, wide.join(",")),
        format!(r#"{{"id":1,"op":"ping","data":{{"a":[{}]}}}}"#, vec!["1"; 1000].join(",")),
        format!(r#"{{"id":1,"op":"resume","data":{{"cursors":{{{}}}}}}}"#, cursors.join(",")),
    ] {
        raw.text(&frame).await;
        let Got::Text(answer) = raw.next().await else { panic!("closed") };
        assert_eq!(answer["type"], "reply", "{answer} to {}", &frame[..80.min(frame.len())]);
    }
}

both!(commands_that_make_no_sense_are_refused_by_name_and_store_nothing);
async fn commands_that_make_no_sense_are_refused_by_name_and_store_nothing() {
    let scene = Scene::new().await;
    let (patient, staff) = (scene.ward.id("patient").to_owned(), scene.ward.id("staff").to_owned());
    let goal = scene.ward.id("goal").to_owned();
    let before = scene.size().await;
    let mut socket = scene.server.socket(&scene.lead).await;
    let post = |more: Value| {
        let mut data = json!({"channel": staff, "item": goal, "text": "words"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let table = [
        ("no.such", json!({}), "unknown_op", json!("op")),
        ("export.begin", json!({}), "unknown_op", json!("op")),
        ("message.post", json!({"item": goal, "text": "words"}), "invalid", json!("channel")),
        ("message.post", post(json!({"channel": 7})), "invalid", json!("channel")),
        ("message.post", post(json!({"channel": "c42"})), "invalid", json!("channel")),
        ("message.post", post(json!({"channel": fresh_id()})), "not_found", Value::Null),
        ("message.post", json!({"channel": staff, "text": "words"}), "plan_item_required", json!("item")),
        ("message.post", post(json!({"item": null})), "plan_item_required", json!("item")),
        ("message.post", post(json!({"item": 1})), "invalid", json!("item")),
        ("message.post", post(json!({"item": fresh_id()})), "not_found", json!("item")),
        ("message.post", post(json!({"item": scene.ward.id("closed_goal")})), "plan_item_closed", json!("item")),
        ("message.post", post(json!({"channel": scene.ward.id("shared")})), "invalid", json!("item")),
        ("message.post", post(json!({"channel": scene.ward.id("archived")})), "archived", Value::Null),
        ("message.post", post(json!({"channel": scene.ward.id("plan")})), "forbidden", Value::Null),
        ("message.post", post(json!({"text": 7})), "invalid", json!("text")),
        ("message.post", post(json!({"text": " \u{a0}\n"})), "invalid", json!("text")),
        ("message.post", post(json!({"text": "x".repeat(8001)})), "too_large", json!("text")),
        ("message.post", post(json!({"sbar": {"situation": "s"}})), "invalid", json!("text")),
        ("message.post", post(json!({"priority": "asap"})), "invalid", json!("priority")),
        ("message.post", post(json!({"mentions": "me"})), "invalid", json!("mentions")),
        ("message.post", post(json!({"key": "again"})), "invalid", json!("key")),
        ("message.post", post(json!({"reply_to": fresh_id()})), "not_found", json!("reply_to")),
        ("message.amend", json!({"message": scene.ward.id("message_staff"), "text": ""}), "invalid", json!("text")),
        ("message.amend", json!({"message": fresh_id(), "text": "words"}), "not_found", Value::Null),
        ("message.retract", json!({"message": scene.ward.id("message_staff")}), "reason_required", json!("reason")),
        ("history", json!({"channel": staff, "limit": 201}), "invalid", json!("limit")),
        ("history", json!({"channel": staff, "limit": 0}), "invalid", json!("limit")),
        ("history", json!({"channel": staff, "limit": "all"}), "invalid", json!("limit")),
        ("patient.register", json!({"name": "  "}), "invalid", json!("name")),
        ("patient.register", json!({"name": "N", "birth_date": "yesterday"}), "invalid", json!("birth_date")),
        ("plan_item.add", json!({"patient": patient, "kind": "wish", "title": "T"}), "invalid", json!("kind")),
        ("plan_item.change", json!({"item": goal, "rev": 9, "title": "T"}), "conflict", json!("rev")),
        ("plan_item.change", json!({"item": scene.ward.id("whole"), "rev": 1, "title": "T"}), "forbidden", Value::Null),
        ("channel.open", json!({"patient": patient, "name": "N", "audience": "all"}), "invalid", json!("audience")),
        ("channel.change", json!({"channel": staff, "audience": "shared"}), "invalid", json!("audience")),
        ("login", json!({"token": "ct_pat_x"}), "conflict", Value::Null),
    ];
    for (op, data, code, field) in table {
        let answer = socket.ask(op, data.clone()).await;
        let error = &answer["error"];
        assert_eq!((error["code"].as_str(), &error["field"]), (Some(code), &field), "{op} {data}: {answer}");
        assert!(
            error["title"].as_str().is_some_and(|title| !title.is_empty()) && error["retry"].is_boolean(),
            "{answer}"
        );
    }
    assert_eq!(scene.size().await, before);
}

both!(the_item_of_another_patient_is_not_found_whoever_asks);
async fn the_item_of_another_patient_is_not_found_whoever_asks() {
    let scene = Scene::with(super::server::ROOMY).await;
    let other = Ward::open(&scene.server, scene.lead.clone()).await;
    let before = scene.size().await;
    let post = |item: &str| json!({"channel": scene.ward.id("staff"), "item": item, "text": "words"});
    let never = scene.server.ask(&scene.lead, "message.post", post(&fresh_id())).await;
    assert_eq!(
        (&never.json()["error"]["code"], &never.json()["error"]["field"]),
        (&json!("not_found"), &json!("item"))
    );
    for item in ["goal", "shared_goal", "closed_goal", "whole", "unsorted"] {
        assert_eq!(
            scene.server.ask(&scene.lead, "message.post", post(other.id(item))).await.text,
            never.text,
            "{item}"
        );
    }
    let message = scene.ward.id("message_staff");
    for item in ["goal", "whole"] {
        let data = json!({"message": message, "item": other.id(item)});
        assert_eq!(scene.server.code(&scene.lead, "message.relink", data).await, "not_found");
    }
    assert_eq!(scene.size().await, before);
}

both!(a_frame_of_65536_bytes_passes_and_one_byte_more_closes_also_in_fragments);
async fn a_frame_of_65536_bytes_passes_and_one_byte_more_closes_also_in_fragments() {
    let scene = Scene::new().await;
    let padded = |size: usize| {
        let frame = r#"{"id":1,"op":"ping","data":{"a":""}}"#;
        frame.replace("\"\"", &format!("\"{}\"", "x".repeat(size - frame.len())))
    };
    let before = scene.size().await;
    let mut raw = scene.raw().await;
    raw.text(&padded(65_536)).await;
    assert!(matches!(raw.next().await, Got::Text(answer) if answer["type"] == "reply"));
    raw.text(&padded(65_537)).await;
    assert_eq!(raw.end().await, Got::Close(1009));
    for (size, passes) in [(65_536, true), (65_537, false)] {
        let mut raw = scene.raw().await;
        let bytes = padded(size).into_bytes();
        raw.frame(TEXT, &bytes[..1]).await;
        raw.frame(CONTINUATION, &bytes[1..40_000]).await;
        raw.frame(FIN | PING, b"between fragments").await;
        raw.frame(CONTINUATION, &bytes[40_000..65_000]).await;
        raw.frame(FIN | CONTINUATION, &bytes[65_000..]).await;
        let got = raw.next().await;
        assert_eq!(matches!(got, Got::Text(_)), passes, "{size} bytes in fragments: {got:?}");
        assert!(passes || got == Got::Close(1009), "{got:?}");
    }
    // A length that is only announced costs nothing and closes at once.
    let mut raw = scene.raw().await;
    raw.bytes(&[&[FIN | TEXT, 0x80 | 127][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat()).await;
    assert_eq!(raw.end().await, Got::Close(1009));
    assert_eq!(scene.size().await, before);
}

/// Why, first byte, payload, mask, close code.
type Broken<'a> = (&'a str, u8, &'a [u8], Option<[u8; 4]>, u16);

both!(protocol_errors_close_with_their_code);
async fn protocol_errors_close_with_their_code() {
    let scene = Scene::new().await;
    let mut bystander = scene.server.socket(&scene.lead).await;
    bystander.run("resume", json!({})).await;
    let ping = br#"{"id":1,"op":"ping","data":{}}"#;
    let mask = Some([1, 2, 3, 4]);
    let table: [Broken<'_>; 13] = [
        ("binary", FIN | BINARY, ping, mask, 4400),
        ("not UTF-8", FIN | TEXT, b"{\"id\":1,\"op\":\"\xff\"}", mask, 1007),
        ("a surrogate in UTF-8", FIN | TEXT, b"\"\xed\xa0\x80\"", mask, 1007),
        ("unmasked", FIN | TEXT, ping, None, 1002),
        ("reserved bit 1: compression that was never agreed", FIN | 0x40 | TEXT, ping, mask, 1002),
        ("reserved bit 2", FIN | 0x20 | TEXT, ping, mask, 1002),
        ("reserved bit 3", FIN | 0x10 | TEXT, ping, mask, 1002),
        ("reserved opcode 3", FIN | 3, ping, mask, 1002),
        ("reserved opcode 11", FIN | 11, b"", mask, 1002),
        ("a continuation of nothing", FIN | CONTINUATION, ping, mask, 1002),
        ("a ping in fragments", PING, b"", mask, 1002),
        ("a ping of 126 bytes", FIN | PING, &[b'x'; 126], mask, 1002),
        ("a close of one byte", FIN | 8, b"x", mask, 1002),
    ];
    for (why, first, payload, mask, code) in table {
        let mut raw = scene.raw().await;
        raw.frame_with(first, payload, mask).await;
        assert_eq!(raw.end().await, Got::Close(code), "{why}");
    }
    let mut raw = scene.raw().await;
    raw.frame(TEXT, ping).await;
    raw.frame(FIN | TEXT, ping).await;
    assert_eq!(raw.end().await, Got::Close(1002), "a message inside another");
    assert!(bystander.events_so_far().await.is_empty(), "nobody else noticed");
}

both!(before_sign_in_four_small_frames_are_all);
async fn before_sign_in_four_small_frames_are_all() {
    let scene = Scene::new().await;
    let login = json!({"id": 1, "op": "login", "data": {"token": "ct_pat_wrong"}}).to_string();
    let mut raw = Raw::open(&scene.server, "").await;
    for _ in 0..4 {
        raw.text(&login).await;
        assert_eq!(raw.refusal().await, (json!(1), "unauthenticated".into()));
    }
    raw.text(&login).await;
    assert_eq!(raw.end().await, Got::Close(4408), "the fifth frame");
    let mut raw = Raw::open(&scene.server, "").await;
    raw.text(&json!({"id": 1, "op": "ping", "data": {"a": "x".repeat(4096)}}).to_string()).await;
    assert_eq!(raw.end().await, Got::Close(4408), "a frame over 4 KiB");
    for op in ["channel.list", "patient.list", "resume", "history", "message.post"] {
        let mut raw = Raw::open(&scene.server, "").await;
        raw.text(&json!({"id": 1, "op": op, "data": {"channel": scene.ward.id("staff")}}).to_string()).await;
        assert_eq!(raw.refusal().await, (json!(1), "unauthenticated".into()), "{op}");
    }
    // The fourth may still be the right one.
    let mut raw = Raw::open(&scene.server, "").await;
    for _ in 0..3 {
        raw.text(&login).await;
        raw.refusal().await;
    }
    raw.text(&login.replace("ct_pat_wrong", &scene.lead.token)).await;
    assert!(matches!(raw.next().await, Got::Text(answer) if answer["type"] == "reply"));
    raw.is_alive().await;
}

both!(who_does_not_sign_in_is_closed_in_time);
async fn who_does_not_sign_in_is_closed_in_time() {
    let scene = Scene::with("[limits]\nsign_in_seconds = 1\n").await;
    let mut raw = Raw::open(&scene.server, "").await;
    let end = tokio::time::timeout(Duration::from_secs(3), raw.end()).await.expect("closed after a second");
    assert_eq!(end, Got::Close(4408));
    // Trickling bytes of a frame that never ends does not win time.
    let mut raw = Raw::open(&scene.server, "").await;
    raw.bytes(&[FIN | TEXT, 0x80 | 100, 0, 0, 0, 0]).await;
    let trickle = async {
        for _ in 0..50 {
            raw.bytes(b"x").await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        raw.end().await
    };
    let end = tokio::time::timeout(Duration::from_secs(5), trickle).await.expect("closed after a second");
    assert!(matches!(end, Got::Close(4408) | Got::Gone), "{end:?}");
}

both!(a_frame_is_answered_with_the_id_it_had);
async fn a_frame_is_answered_with_the_id_it_had() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for id in [json!(0), json!(-7), json!(1.5), json!(9_007_199_254_740_993_i64), json!(""), json!("a\"b\\\u{1}é😀")]
    {
        raw.text(&scene.post(id.clone(), json!({"text": " "}))).await;
        assert_eq!(raw.refusal().await, (id, "invalid".into()));
    }
}
