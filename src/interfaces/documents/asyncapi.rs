//! AsyncAPI 3.0: the socket. What a client sends and what the server sends, as messages of one channel.

use serde_json::{Map, Value, json};

use super::frames::{Hello, Notice};
use super::parts::{Way, event_name, events, pascal, put_error, put_events, put_op, reply_frame, socket_ops};
use super::schemas::{Schemas, reference};
use crate::kernel::base::limits::Limits;
use crate::kernel::engine::Registry;
use crate::kernel::wire::{SUBPROTOCOL, close};

const DESCRIPTION: &str = "One JSON object a text frame. The server speaks first: `hello`. A client signs in (a header, a cookie, a \
    ticket, or a first frame `login`), asks for events with `resume`, and sends commands; every command is answered by the frame that \
    carries its `id`, and answers may overtake each other. Members that are not listed are ignored by both sides: version 1 only grows. \
    The whole in words: docs/protocol.md.";

/// The document.
pub(super) fn document(registry: &Registry, limits: &Limits) -> Value {
    let mut schemas = Schemas::new();
    put_error(&mut schemas);
    put_events(&mut schemas, registry);
    put_frame::<Hello>(&mut schemas, "HelloFrame", "hello");
    put_frame::<Notice>(&mut schemas, "NoticeFrame", "notice");
    let (mut messages, mut given, mut sent) = (Map::new(), Vec::new(), Vec::new());
    for op in socket_ops(registry) {
        put_op(&mut schemas, &op);
        let pascal = pascal(op.name);
        let id = json!({"type": "object", "required": ["id"], "properties": {
            "id": {"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 64}]}}});
        let command = json!({"allOf": [reference(&format!("{pascal}Command")), id]});
        let reply = reply_frame(&reference(&format!("{pascal}Reply")));
        given.push(message(&mut messages, op.name, "A command", &command));
        sent.push(message(&mut messages, &format!("{}.reply", op.name), "Its answer, when it is done", &reply));
    }
    for (name, summary, schema) in [
        ("hello", "The first frame", "HelloFrame"),
        ("error", "The answer to a command that is refused", "ErrorFrame"),
        ("notice", "About the connection itself", "NoticeFrame"),
    ] {
        sent.push(message(&mut messages, name, summary, &reference(schema)));
    }
    for (event, way) in events(registry) {
        let (name, summary) = match way {
            Way::Kept => (event.name.to_owned(), "An entry of a channel"),
            Way::Personal => (format!("me.{}", event.name), "A fact on your channel `me`"),
            Way::Passing => (event.name.to_owned() + ".passing", "Not kept"),
        };
        sent.push(message(&mut messages, &name, summary, &reference(&event_name(&event, way))));
    }
    let listed: Map<String, Value> =
        messages.keys().map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Carethread", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"this": {"host": "localhost:8443", "protocol": "wss", "description": "TLS always",
                             "security": [{"$ref": "#/components/securitySchemes/bearer"}]}},
        "channels": {"socket": {
            "address": "/v1/ws", "title": SUBPROTOCOL, "description": closes(), "messages": listed,
            "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        }},
        "operations": {
            "send": {"action": "receive", "channel": {"$ref": "#/channels/socket"}, "messages": given,
                     "summary": "What a client sends; the server receives it"},
            "receive": {"action": "send", "channel": {"$ref": "#/channels/socket"}, "messages": sent,
                        "summary": "What the server sends"},
        },
        "components": {
            "schemas": schemas.finish(limits),
            "messages": messages,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// A message by its name; the reference to it from an operation.
fn message(messages: &mut Map<String, Value>, name: &str, summary: &str, payload: &Value) -> Value {
    messages.insert(name.to_owned(), json!({"name": name, "summary": summary, "payload": payload}));
    json!({"$ref": format!("#/channels/socket/messages/{name}")})
}

fn put_frame<T: schemars::JsonSchema>(schemas: &mut Schemas, name: &str, word: &str) {
    let mut frame = schemas.sent_of::<T>();
    frame["properties"]["type"] = json!({"const": word, "type": "string"});
    if let Some(Value::Array(required)) = frame.get_mut("required") {
        required.push("type".into());
    }
    schemas.put(name, frame);
}

/// What the server closes with.
fn closes() -> String {
    let lines: Vec<String> = close::ALL.iter().map(|(code, why)| format!("{code} {why}")).collect();
    format!(
        "Close codes: {}. 44xx: change something before coming back; 45xx and others: come back with a growing delay, and `resume`.",
        lines.join("; ")
    )
}
