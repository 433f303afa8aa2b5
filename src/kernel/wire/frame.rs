//! The frames of protocol v1 (docs/protocol.md).

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::strict::parse_value;
use crate::kernel::base::limits::{FRAME_ID_CHARS_MAX, Limits};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Code, Micros, Refusal, UserId};

/// Text that is shared, not copied, by every socket it goes to.
pub type Frame = tokio_tungstenite::tungstenite::Utf8Bytes;

/// One frame of a client.
pub struct Request {
    /// Echoed in the answer: a number, or a string up to 64 characters; null over `/v1/ops`.
    pub id: Value,
    /// What to do.
    pub op: String,
    /// With what.
    pub data: Map<String, Value>,
}

/// Shows nothing of what was sent: it may be a password or the words of a message.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request")
    }
}

fn bad_frame(detail: &str) -> Refusal {
    Refusal::new(Code::BadFrame).detail(detail)
}

/// Reads a frame of a socket.
///
/// # Errors
/// `bad_frame` (to be answered with `id:null`) when it is not a JSON object within the limits or lacks a valid `id`.
/// The inner result is the refusal of a frame whose `id` could be read.
pub fn parse(text: &str) -> Result<(Value, Result<Request, Refusal>), Refusal> {
    let mut members = object(text)?;
    let id = members.remove("id").unwrap_or(Value::Null);
    let valid = match &id {
        Value::Number(_) => true,
        Value::String(text) => text.chars().count() <= FRAME_ID_CHARS_MAX,
        _ => false,
    };
    if !valid {
        return Err(bad_frame("Every frame has an `id`: a number, or a string up to 64 characters."));
    }
    Ok((id.clone(), request(id, members)))
}

/// Reads the body of `POST /v1/ops`: the frame without `id`.
///
/// # Errors
/// As [`parse`].
pub fn parse_op(text: &str) -> Result<Request, Refusal> {
    let mut members = object(text)?;
    members.remove("id");
    request(Value::Null, members)
}

fn object(text: &str) -> Result<Map<String, Value>, Refusal> {
    match parse_value(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(bad_frame(
            "A frame is one JSON object: no repeated members, at most 32 deep, 256 members an object, 1,000 elements a list.",
        )),
    }
}

fn request(id: Value, mut members: Map<String, Value>) -> Result<Request, Refusal> {
    let Some(Value::String(op)) = members.remove("op") else {
        return Err(Refusal::new(Code::UnknownOp).field("op").detail("Name the operation in `op`."));
    };
    let data = match members.remove("data") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(Refusal::invalid("data", "`data` is an object.")),
    };
    Ok(Request { id, op, data })
}

fn encode<T: Serialize>(frame: &T) -> Frame {
    serde_json::to_string(frame).expect("frames are built of strings, numbers and values that were JSON").into()
}

#[derive(Serialize)]
struct Reply<'a> {
    r#type: &'static str,
    id: &'a Value,
    data: &'a Value,
}

/// The command is done and, for writes, durable.
#[must_use]
pub fn reply(id: &Value, data: &Value) -> Frame {
    encode(&Reply { r#type: "reply", id, data })
}

#[derive(Serialize)]
struct ErrorFrame<'a> {
    r#type: &'static str,
    id: &'a Value,
    error: Value,
}

/// The command is refused; the connection stays.
#[must_use]
pub fn error(id: &Value, refusal: &Refusal) -> Frame {
    encode(&ErrorFrame { r#type: "error", id, error: refusal.to_json() })
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<UserId>,
    data: &'a RawValue,
}

/// A kept fact, as sent live, in `history` and in exports: `body` goes out as the bytes that were sealed.
#[must_use]
pub fn event(name: &str, channel: ChannelId, seq: i64, at: Micros, by: UserId, body: &RawValue) -> Frame {
    let channel = channel.to_string();
    encode(&Event {
        r#type: "event",
        event: name,
        channel: Some(&channel),
        seq: Some(seq),
        at: rfc3339(at),
        by: Some(by),
        data: body,
    })
}

/// Any other event: on channel `me` (with `seq`), or not kept (`typing`, `presence`, `head`).
#[must_use]
pub fn event_bytes(
    name: &str,
    channel: Option<&str>,
    seq: Option<i64>,
    at: Micros,
    by: Option<UserId>,
    body: &RawValue,
) -> Frame {
    encode(&Event { r#type: "event", event: name, channel, seq, at: rfc3339(at), by, data: body })
}

/// What the first frame says of a socket that is signed in already.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Members `user, session, expires_at`, or none if sign-in is required.
    pub signed_in: Option<Map<String, Value>>,
    /// Wall time.
    pub now: Micros,
}

/// The first frame of every socket.
#[must_use]
pub fn hello(hello: &Hello, limits: &Limits) -> Frame {
    let mut frame = Map::new();
    frame.insert("type".into(), "hello".into());
    frame.insert("proto".into(), super::SUBPROTOCOL.into());
    frame.insert("server".into(), env!("CARGO_PKG_VERSION").into());
    frame.insert("auth".into(), if hello.signed_in.is_some() { "ok" } else { "required" }.into());
    frame.insert("ping_s".into(), limits.ping_seconds.into());
    frame.insert("time".into(), rfc3339(hello.now).into());
    frame.insert("limits".into(), limits.to_json());
    frame.extend(hello.signed_in.clone().unwrap_or_default());
    encode(&Value::Object(frame))
}

/// News about the connection itself: `draining`, `session_expiring`, `slow`.
#[must_use]
pub fn notice(code: &str, text: &str, more: Map<String, Value>) -> Frame {
    let mut frame = Map::new();
    frame.insert("type".into(), "notice".into());
    frame.insert("code".into(), code.into());
    frame.insert("text".into(), text.into());
    frame.extend(more);
    encode(&Value::Object(frame))
}

/// The bytes of a frame, for Server-Sent Events and HTTP.
#[must_use]
pub fn bytes(frame: &Frame) -> Bytes {
    frame.clone().into()
}
