//! What both documents hold: the schema of every command, answer and event, by names made from those of ops and events.
//!
//! For op `plan_item.add`: `PlanItemAddData`, `PlanItemAddCommand` {op, data}, `PlanItemAddReply` (the answer's `data`). For event
//! `plan_item.added`: `PlanItemAdded` (its `data`), `PlanItemAddedEvent` (the frame). Personal events begin with `Me`.

use serde_json::{Map, Value, json};

use super::frames::{Error, OF_CONNECTIONS, PASSING};
use super::schemas::{Schemas, reference};
use crate::kernel::engine::shape::{Nothing, Recorded};
use crate::kernel::engine::{Effect, Event, Op, Registry};

/// `plan_item.add` as part of a name: `PlanItemAdd`.
pub(super) fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(capital).collect()
}

/// Every public op of the registry, by name.
pub(super) fn ops(registry: &Registry) -> Vec<Op> {
    let mut ops: Vec<Op> =
        registry.features().iter().flat_map(|feature| feature.face().ops).filter(|op| op.public).copied().collect();
    ops.sort_by_key(|op| op.name);
    ops
}

/// Every op a socket takes, by name.
pub(super) fn socket_ops(registry: &Registry) -> Vec<Op> {
    let mut ops = ops(registry);
    ops.extend_from_slice(OF_CONNECTIONS);
    ops.sort_by_key(|op| op.name);
    ops
}

/// How an event comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// An entry of a channel.
    Kept,
    /// On channel `me`.
    Personal,
    /// Not kept.
    Passing,
}

/// Every event, by name.
pub(super) fn events(registry: &Registry) -> Vec<(Event, Way)> {
    let kept = registry.features().iter().flat_map(|feature| feature.face().events);
    let kept = kept.map(|event| (*event, if event.personal { Way::Personal } else { Way::Kept }));
    let mut events: Vec<(Event, Way)> = kept.chain(PASSING.iter().map(|event| (*event, Way::Passing))).collect();
    events.sort_by_key(|(event, way)| (event.name, *way == Way::Kept));
    events
}

/// The name of an event's frame; that of its `data` is the same without `Event`.
pub(super) fn event_name(event: &Event, way: Way) -> String {
    format!("{}{}Event", if way == Way::Personal { "Me" } else { "" }, pascal(event.name))
}

/// Adds what an op takes and answers: `…Data`, `…Command`, `…Reply`.
pub(super) fn put_op(schemas: &mut Schemas, op: &Op) {
    let nothing = <Nothing as schemars::JsonSchema>::json_schema;
    let mut data = schemas.given(op.shape.data.unwrap_or(nothing));
    let about = data.get("description").cloned();
    properties(&mut data);
    if op.effect == Effect::Write && op.name != "login" {
        let description = "A UUID of your own: the same key and command are done once, and answered alike ever after.";
        data["properties"]["key"] =
            json!({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "description": description});
    }
    let optional =
        data.get("required").and_then(Value::as_array).is_none_or(Vec::is_empty) && data.get("anyOf").is_none();
    let pascal = pascal(op.name);
    let data = schemas.put(&format!("{pascal}Data"), data);
    let (data, required) = if optional {
        (json!({"anyOf": [data, {"type": "null"}]}), json!(["op"]))
    } else {
        (data, json!(["op", "data"]))
    };
    let command = json!({
        "type": "object", "description": about, "required": required,
        "properties": {"op": {"const": op.name, "type": "string"}, "data": data},
    });
    schemas.put(&format!("{pascal}Command"), without_null(command));
    let mut reply = schemas.sent(op.shape.reply.unwrap_or(nothing));
    properties(&mut reply);
    if op.shape.records {
        let mut recorded = schemas.sent_of::<Recorded>();
        join(&mut recorded, reply);
        reply = recorded;
    }
    schemas.put(&format!("{pascal}Reply"), reply);
}

/// Adds an event: its `data` and its frame.
pub(super) fn put_event(schemas: &mut Schemas, event: &Event, way: Way) {
    let frame = event_name(event, way);
    let body = schemas.sent(event.body);
    let about = body.get("description").cloned();
    let data = schemas.put(frame.trim_end_matches("Event"), body);
    let time = json!({"type": "string", "format": "date-time"});
    let user = json!({"type": "string", "format": "uuid"});
    let seq = json!({"type": "integer", "minimum": 1});
    let mut members = json!({"type": {"const": "event", "type": "string"}, "event": {"const": event.name, "type": "string"}, "at": time, "data": data});
    let required = match way {
        Way::Kept => {
            members["channel"] = json!({"type": "string", "format": "uuid"});
            members["seq"] = seq;
            members["by"] = user;
            json!(["type", "event", "channel", "seq", "at", "by", "data"])
        }
        Way::Personal => {
            members["channel"] = json!({"const": "me", "type": "string"});
            members["seq"] = seq;
            json!(["type", "event", "channel", "seq", "at", "data"])
        }
        Way::Passing => {
            members["channel"] = json!({"type": "string", "format": "uuid"});
            members["by"] = user;
            json!(["type", "event", "at", "data"])
        }
    };
    let schema = json!({"type": "object", "description": about, "required": required, "properties": members});
    schemas.put(&frame, without_null(schema));
}

/// Adds the events, and `EventFrame`: any of them.
pub(super) fn put_events(schemas: &mut Schemas, registry: &Registry) {
    let mut frames = Vec::new();
    for (event, way) in events(registry) {
        put_event(schemas, &event, way);
        frames.push(reference(&event_name(&event, way)));
    }
    let description = "A fact. Ignore events whose name you do not know: there will be more.";
    schemas.put("EventFrame", json!({"description": description, "anyOf": frames}));
}

/// Adds `Error` and `ErrorFrame`.
pub(super) fn put_error(schemas: &mut Schemas) {
    let error = schemas.sent_of::<Error>();
    let error = schemas.put("Error", error);
    let frame = json!({
        "type": "object", "description": "The command is refused; the connection stays.", "required": ["type", "id", "error"],
        "properties": {"type": {"const": "error", "type": "string"}, "id": frame_id(), "error": error},
    });
    schemas.put("ErrorFrame", frame);
}

/// What comes back as `id`; null where the frame could not be read, and over HTTP.
pub(super) fn frame_id() -> Value {
    json!({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 64}, {"type": "null"}]})
}

/// A frame around the `data` of an answer.
pub(super) fn reply_frame(data: &Value) -> Value {
    json!({
        "type": "object", "required": ["type", "id", "data"],
        "properties": {"type": {"const": "reply", "type": "string"}, "id": frame_id(), "data": data},
    })
}

/// Makes sure that members can be added.
fn properties(schema: &mut Value) {
    schema["type"] = "object".into();
    if let Some(object) = schema.as_object_mut() {
        object.entry("properties").or_insert_with(|| Map::new().into());
    }
}

/// Lays the members of one object over those of another.
fn join(into: &mut Value, more: Value) {
    let Value::Object(mut more) = more else { return };
    if let (Some(Value::Object(here)), Some(Value::Object(there))) =
        (into.get_mut("properties"), more.remove("properties"))
    {
        here.extend(there);
    }
    if let (Some(Value::Array(here)), Some(Value::Array(there))) = (into.get_mut("required"), more.remove("required")) {
        here.extend(there);
    }
}

/// Leaves out what is not known.
fn without_null(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    schema
}
