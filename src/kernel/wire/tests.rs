//! Frames as hostile peers send them, and as everybody gets them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{error, event, parse, parse_op, parse_value, reply};
use crate::kernel::base::{ChannelId, Code, Refusal, UserId};

fn text(value: &Value) -> String {
    value.to_string()
}

#[test]
fn a_frame_without_a_valid_id_is_unreadable() {
    let long = "x".repeat(65);
    for id in [json!(null), json!(true), json!([]), json!({}), json!(long), json!("ä".repeat(65))] {
        let refusal = parse(&text(&json!({ "id": id, "op": "read", "data": {} }))).expect_err("refused");
        assert_eq!(refusal.code, Code::BadFrame, "{id}");
    }
    for frame in [
        r#"{"op":"read"}"#,
        "[1]",
        "1",
        "\"x\"",
        "null",
        "",
        "{",
        r#"{"id":1,"op":"a","op":"b"}"#,
        r#"{"id":1,"op":"a"} {}"#,
        r#"{"id":NaN,"op":"a"}"#,
        r#"{"id":"\ud800","op":"a"}"#,
        r#"{"id":1e999,"op":"a"}"#,
        "\u{feff}{\"id\":1}",
    ] {
        assert_eq!(parse(frame).expect_err("refused").code, Code::BadFrame, "{frame}");
    }
}

#[test]
fn ids_come_back_as_they_were_sent() {
    let longest = "ä".repeat(64);
    for id in [json!(0), json!(-1), json!(1.5), json!(u64::MAX), json!(""), json!(longest)] {
        let (found, request) = parse(&text(&json!({ "id": id, "op": "read" }))).expect("readable");
        let request = request.expect("a request");
        assert_eq!((&found, &request.id, &*request.op), (&id, &id, "read"));
        let frame: Value = serde_json::from_str(&reply(&found, &json!({ "a": 1 }))).expect("JSON");
        assert_eq!(frame, json!({ "type": "reply", "id": id, "data": { "a": 1 } }));
    }
}

#[test]
fn what_is_wrong_behind_a_readable_id_is_told_to_that_id() {
    for (frame, code) in [
        (json!({ "id": 7 }), Code::UnknownOp),
        (json!({ "id": 7, "op": null }), Code::UnknownOp),
        (json!({ "id": 7, "op": 1 }), Code::UnknownOp),
        (json!({ "id": 7, "op": "read", "data": [] }), Code::Invalid),
        (json!({ "id": 7, "op": "read", "data": "x" }), Code::Invalid),
    ] {
        let (id, request) = parse(&text(&frame)).expect("readable");
        assert_eq!((id, request.expect_err("refused").code), (json!(7), code), "{frame}");
    }
    let (_, request) = parse(r#"{"id":7,"op":"read","data":null,"more":[1]}"#).expect("readable");
    assert_eq!(request.expect("members more are ignored").data, Map::new());
}

#[test]
fn over_http_there_is_no_id() {
    for frame in [r#"{"op":"read"}"#, r#"{"id":9,"op":"read"}"#, r#"{"id":{},"op":"read"}"#] {
        assert_eq!(parse_op(frame).expect("readable").id, Value::Null);
    }
    let frame: Value = serde_json::from_str(&error(&Value::Null, &Refusal::not_found())).expect("JSON");
    assert_eq!((&frame["id"], &frame["error"]["code"]), (&Value::Null, &json!("not_found")));
}

#[test]
fn a_request_is_never_printed() {
    let (_, request) = parse(r#"{"id":"MARKER","op":"MARKER","data":{"password":"MARKER"}}"#).expect("readable");
    assert_eq!(format!("{request:?}"), "Ok(Request)");
}

#[test]
fn a_body_goes_out_as_the_bytes_it_was_sealed_as() {
    let body = r#"{ "text":"1e2 \u00e4 ", "z":1.50, "a":[ ] }"#;
    let raw = serde_json::value::RawValue::from_string(body.to_owned()).expect("JSON");
    let frame = event("message.posted", ChannelId::from_bytes([1; 16]), 3, 1, UserId::from_bytes([2; 16]), &raw);
    assert!(frame.ends_with(&format!(r#""data":{body}}}"#)), "{frame}");
    assert!(frame.contains(r#""at":"1970-01-01T00:00:00.000001Z""#), "{frame}");
}

fn json_of_any_kind() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_within_the_limits_is_read_as_it_is(value in json_of_any_kind()) {
        let text = value.to_string();
        let read: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(parse_value(&text).expect("within the limits"), read);
    }

    #[test]
    fn no_frame_panics(frame in ".{0,80}|\\{(\"id\"|\"op\"|\"data\"|:|,|1|\"x\"|\\{|\\}|\\[|\\]|null){0,12}\\}") {
        let _ = parse(&frame);
        let _ = parse_op(&frame);
    }

    /// Cut, joined or flipped anywhere: a whole frame or none, never a panic.
    #[test]
    fn no_broken_frame_panics(value in json_of_any_kind(), at: prop::sample::Index, bit in 0..8_u8) {
        let frame = json!({ "id": 1, "op": "message.post", "data": value }).to_string();
        let mut bytes = frame.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(flipped) = String::from_utf8(bytes) {
            let _ = parse(&flipped);
        }
        if frame.is_char_boundary(at) {
            prop_assert!(parse(&frame[..at]).is_err());
        }
    }
}
