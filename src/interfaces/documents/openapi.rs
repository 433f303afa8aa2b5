//! OpenAPI 3.1: every HTTP route. The routes are written here, one function each; a test holds them against the router.

use serde_json::{Map, Value, json};

use super::exports;
use super::frames::{Error, OF_CONNECTIONS, OVER_HTTP_TOO};
use super::parts::{ops, pascal, put_error, put_events, put_op, reply_frame};
use super::schemas::{Schemas, reference};
use crate::features::care_plan::ImportReport;
use crate::features::chart::disclosure::Disclosure;
use crate::features::files::Stored;
use crate::features::identity::shapes::{SignIn, SignedInAs};
use crate::kernel::base::Code;
use crate::kernel::base::limits::Limits;
use crate::kernel::engine::Registry;
use crate::kernel::wire::SUBPROTOCOL;

/// What every route may answer: a credential in the URL, no key, a failure of ours.
const ANYWHERE: [Code; 3] = [Code::Invalid, Code::Sealed, Code::Internal];
/// What every route with a credential may answer.
pub(super) const SIGNED_IN: [Code; 4] = [Code::Unauthenticated, Code::Forbidden, Code::RateLimited, Code::Busy];

const DESCRIPTION: &str = "Secure messaging for care teams. `POST /v1/ops` takes the operations of the socket, one a request. \
    The socket itself, /v1/ws, is described by /v1/asyncapi.json; both in words by docs/protocol.md. Members that are not listed \
    are ignored by both sides: version 1 only grows.";

/// The document.
pub(super) fn document(registry: &Registry, limits: &Limits) -> Value {
    let mut schemas = Schemas::new();
    put_error(&mut schemas);
    put_events(&mut schemas, registry);
    let mut problem = schemas.sent_of::<Error>();
    problem["properties"]["type"] = json!({"type": "string", "format": "uri-reference"});
    problem["properties"]["status"] = json!({"type": "integer"});
    problem["description"] = "RFC 9457, with the members of an error frame.".into();
    schemas.put("Problem", problem);
    let paths = json!({
        "/": {"get": page()},
        "/livez": {"get": health("livez", "The process runs", &[])},
        "/readyz": {"get": health("readyz", "It can serve", &[Code::Sealed, Code::Busy])},
        "/metrics": {"get": metrics()},
        "/.well-known/jwks.json": {"get": open_json("jwks", "The public keys of the deployment, a JWK set (RFC 7517)")},
        "/v1/openapi.json": {"get": published("openapi", "This document")},
        "/v1/asyncapi.json": {"get": published("asyncapi", "The socket's document, AsyncAPI 3.0")},
        "/v1/ops": {"post": run_op(registry, &mut schemas)},
        "/v1/sessions": {"post": open_session(&mut schemas)},
        "/v1/sessions/{session}": {"delete": end_session()},
        "/v1/ws-tickets": {"post": ticket()},
        "/v1/imports": {"post": import(&mut schemas)},
        "/v1/patients/{patient}/chart-status": {"get": exports::chart_status()},
        "/v1/patients/{patient}/exports": {"get": exports::list(), "post": exports::make()},
        "/v1/patients/{patient}/exports/{export}": {"get": exports::fetch()},
        "/v1/intake/email": {"post": email()},
        "/v1/channels/{channel}/files": {"post": upload(&mut schemas)},
        "/v1/channels/{channel}/files/{file}": {"get": download()},
        "/v1/patients/{patient}/disclosures": {"get": disclosures(&mut schemas)},
        "/v1/ws": {"get": socket()},
        "/v1/events": {"get": events()},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Carethread", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(limits),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A personal access token, or the token of a session."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-carethread",
                           "description": "Set by POST /v1/sessions; counts only together with an allowed `Origin`."},
            },
        },
    })
}

/// Refusals as problems, one answer for each status.
fn problems(codes: &[Code]) -> Map<String, Value> {
    let mut by_status: std::collections::BTreeMap<u16, Vec<&str>> = std::collections::BTreeMap::new();
    for code in codes.iter().chain(&ANYWHERE) {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(&code.text()) {
            codes.push(code.text());
        }
    }
    let answer = |codes: Vec<&str>| {
        let schema = json!({"allOf": [reference("Problem"), {"properties": {"code": {"enum": codes}}}]});
        json!({"description": codes.join(", "), "content": {"application/problem+json": {"schema": schema}}})
    };
    by_status.into_iter().map(|(status, codes)| (status.to_string(), answer(codes))).collect()
}

pub(super) fn json_answer(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

/// An operation: what it answers when it is done, and the refusals it knows.
pub(super) fn operation(id: &str, summary: &str, done: &str, answer: Value, codes: &[Code]) -> Value {
    let mut responses = problems(codes);
    responses.insert(done.into(), answer);
    json!({"operationId": id, "summary": summary, "responses": responses})
}

pub(super) fn with_credential(mut operation: Value) -> Value {
    operation["security"] = json!([{"bearer": []}, {"cookie": []}]);
    operation
}

fn page() -> Value {
    let answer = json!({"description": "HTML", "content": {"text/html": {"schema": {"type": "string"}}}});
    operation("page", "A page for people", "200", answer, &[])
}

fn health(id: &str, summary: &str, codes: &[Code]) -> Value {
    let status = json!({"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}});
    operation(id, summary, "200", json_answer(summary, &status), codes)
}

fn metrics() -> Value {
    let answer = json!({"description": "Text format 0.0.4", "content": {"text/plain": {"schema": {"type": "string"}}}});
    let summary = "Prometheus text; from loopback, or with an administrator's token";
    let mut operation = operation("metrics", summary, "200", answer, &SIGNED_IN);
    operation["security"] = json!([{}, {"bearer": []}]);
    operation
}

fn open_json(id: &str, summary: &str) -> Value {
    operation(id, summary, "200", json_answer(summary, &json!({"type": "object"})), &[])
}

fn published(id: &str, summary: &str) -> Value {
    let mut operation = open_json(id, summary);
    operation["responses"]["200"]["headers"] = json!({"ETag": {"schema": {"type": "string"}}});
    operation["responses"]["304"] = json!({"description": "As `If-None-Match` has it already"});
    operation
}

/// `POST /v1/ops`
fn run_op(registry: &Registry, schemas: &mut Schemas) -> Value {
    let mut listed = ops(registry);
    listed.extend(OF_CONNECTIONS.iter().filter(|op| op.name == OVER_HTTP_TOO));
    listed.sort_by_key(|op| op.name);
    let (mut commands, mut replies, mut mapping) = (Vec::new(), Vec::new(), Map::new());
    for op in &listed {
        put_op(schemas, op);
        let command = reference(&format!("{}Command", pascal(op.name)));
        mapping.insert(op.name.into(), command["$ref"].clone());
        commands.push(command);
        replies.push(reference(&format!("{}Reply", pascal(op.name))));
    }
    let description =
        "One operation. Which schema holds is told by `op`; its answer's `data` is the `…Reply` of the same name.";
    let command = schemas.put(
        "Command",
        json!({"description": description, "oneOf": commands, "discriminator": {"propertyName": "op", "mapping": mapping}}),
    );
    let frame = schemas.put("ReplyFrame", reply_frame(&json!({ "anyOf": replies })));
    let mut responses = Map::new();
    for (status, problem) in problems(Code::ALL) {
        let mut answer = json_answer(problem["description"].as_str().unwrap_or_default(), &reference("ErrorFrame"));
        // What is refused before the route is asked comes as a problem, as everywhere.
        answer["content"]["application/problem+json"] = problem["content"]["application/problem+json"].clone();
        responses.insert(status, answer);
    }
    responses.insert("200".into(), json_answer("The reply frame a socket would get, with `id:null`", &frame));
    with_credential(json!({
        "operationId": "run", "summary": "Runs one operation",
        "requestBody": {"required": true, "content": {"application/json": {"schema": command}}},
        "responses": responses,
    }))
}

/// `POST /v1/sessions`
fn open_session(schemas: &mut Schemas) -> Value {
    let mut given = schemas.given_of::<SignIn>();
    if let Some(given) = given.as_object_mut() {
        given.remove("anyOf");
        given.insert("required".into(), json!(["handle", "password"]));
    }
    for member in ["handle", "password"] {
        given["properties"][member]["type"] = "string".into();
    }
    if let Some(Value::Object(members)) = given.get_mut("properties") {
        members.remove("token");
    }
    let given = schemas.put("OpenSession", given);
    let mut session = schemas.sent_of::<SignedInAs>();
    session["properties"]["token"] = json!({"type": "string", "description": "Send it as `Authorization: Bearer`."});
    session["properties"]["outbox_key"] = json!({"type": "string", "contentEncoding": "base64",
        "description": "32 bytes, the same for one person at every sign-in: a client seals with them what it has not sent yet."});
    session["required"] = json!(["token", "outbox_key", "user", "session", "expires_at"]);
    let session = schemas.put("OpenedSession", session);
    let mut answer = json_answer("Signed in", &session);
    answer["headers"] = json!({"Set-Cookie": {"schema": {"type": "string"}, "description": "`__Host-carethread`"}});
    let codes = [Code::BadFrame, Code::Unauthenticated, Code::Forbidden, Code::TooLarge, Code::RateLimited, Code::Busy];
    let mut operation = operation("openSession", "Signs in by handle and password", "201", answer, &codes);
    operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": given}}});
    operation
}

/// `DELETE /v1/sessions/{session}`
fn end_session() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::NotFound]].concat();
    let mut operation =
        operation("endSession", "Ends a session of yours", "204", json!({"description": "Ended"}), &codes);
    operation["parameters"] = json!([{
        "name": "session", "in": "path", "required": true, "description": "An id, or `current`",
        "schema": {"anyOf": [{"type": "string", "format": "uuid"}, {"const": "current"}]},
    }]);
    with_credential(operation)
}

/// `POST /v1/ws-tickets`
fn ticket() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let schema = json!({"type": "object", "required": ["ticket", "expires_at"],
                        "properties": {"ticket": {"type": "string"}, "expires_at": time}});
    let answer = json_answer("Offer it as subprotocol `ticket.T`", &schema);
    with_credential(operation("ticket", "A ticket for one upgrade, for browsers", "201", answer, &SIGNED_IN))
}

/// `POST /v1/imports`
fn import(schemas: &mut Schemas) -> Value {
    let report = schemas.sent_of::<ImportReport>();
    let report = schemas.put("ImportReport", report);
    let codes = [&SIGNED_IN[..], &[Code::BadFrame, Code::TooLarge]].concat();
    let answer = json_answer("What came of it", &report);
    let mut operation = operation("import", "Brings in patients and plans, FHIR R4", "200", answer, &codes);
    operation["requestBody"] = json!({"required": true, "content": {
        "application/fhir+json": {"schema": {"type": "object"}},
        "application/fhir+ndjson": {"schema": {"type": "string"}},
    }});
    with_credential(operation)
}

/// `POST /v1/intake/email`
fn email() -> Value {
    let codes = [
        &SIGNED_IN[..],
        &[Code::Invalid, Code::NotFound, Code::Archived, Code::PlanItemClosed, Code::TooLarge, Code::BadFrame],
    ]
    .concat();
    let answer = json_answer(
        "The note, as `note.log` answers; `repeat` if the channel had the mail already",
        &json!({"type": "object"}),
    );
    let mut operation = operation("email", "A mail becomes a note, RFC 5322", "201", answer, &codes);
    operation["requestBody"] = json!({"required": true, "content": {"message/rfc822": {"schema": {"type": "string"}}}});
    let id = json!({"type": "string", "format": "uuid"});
    operation["parameters"] = json!([
        {"name": "channel", "in": "query", "required": true, "description": "Where", "schema": id},
        {"name": "item", "in": "query", "description": "The plan item it is about; Unsorted if none", "schema": id},
    ]);
    with_credential(operation)
}

pub(super) fn id_in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}})
}

/// `POST /v1/channels/{channel}/files`
fn upload(schemas: &mut Schemas) -> Value {
    let stored = schemas.sent_of::<Stored>();
    let stored = schemas.put("StoredFile", stored);
    let codes = [&SIGNED_IN[..], &[Code::BadFrame, Code::NotFound, Code::Archived, Code::TooLarge]].concat();
    let answer = json_answer("Kept: name it in `files` of a message or note within 24 hours", &stored);
    let mut operation = operation("upload", "Takes a file into a channel", "201", answer, &codes);
    operation["requestBody"] = json!({"required": true, "content": {"application/octet-stream": {}}});
    let name = json!({"name": "X-File-Name", "in": "header", "required": true,
                      "description": "UTF-8, percent-encoded", "schema": {"type": "string", "minLength": 1}});
    operation["parameters"] = json!([id_in_path("channel"), name]);
    with_credential(operation)
}

/// `GET /v1/channels/{channel}/files/{file}`
fn download() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::NotFound]].concat();
    let answer = json!({"description": "Its bytes, always as an attachment", "content": {"*/*": {}}});
    let mut operation = operation("download", "A file of a message or note", "200", answer, &codes);
    operation["parameters"] = json!([id_in_path("channel"), id_in_path("file")]);
    with_credential(operation)
}

/// `GET /v1/patients/{patient}/disclosures`
fn disclosures(schemas: &mut Schemas) -> Value {
    let one = schemas.sent_of::<Disclosure>();
    let one = schemas.put("Disclosure", one);
    let codes = [&SIGNED_IN[..], &[Code::Invalid, Code::NotFound, Code::TooLarge]].concat();
    let list = json!({"type": "object", "required": ["disclosures"],
                      "properties": {"disclosures": {"type": "array", "items": one}}});
    let mut answer = json_answer("When the record left, who took it out, who received it, what it was and why", &list);
    answer["content"]["text/csv"] = json!({"schema": {"type": "string"}});
    answer["content"]["application/fhir+json"] = json!({"schema": {"type": "object"}});
    let mut operation =
        operation("disclosures", "The accounting of disclosures (45 CFR 164.528)", "200", answer, &codes);
    let time = |name: &str, what: &str| json!({"name": name, "in": "query", "description": what, "schema": {"type": "string", "format": "date-time"}});
    operation["parameters"] = json!([
        id_in_path("patient"),
        {"name": "format", "in": "query", "description": "`json` if none", "schema": {"enum": ["json", "csv", "fhir"]}},
        time("from", "At or after"),
        time("to", "At or before"),
    ]);
    with_credential(operation)
}

/// `GET /v1/ws`
fn socket() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::Invalid]].concat();
    let switched = json!({"description": "A WebSocket from here on: see /v1/asyncapi.json"});
    let summary = format!("The WebSocket, subprotocol {SUBPROTOCOL}");
    let mut operation = operation("socket", &summary, "101", switched, &codes);
    let problem = json!({"application/problem+json": {"schema": reference("Problem")}});
    operation["responses"]["426"] = json!({"description": "Not an upgrade to WebSocket 13", "content": problem});
    operation
}

/// `GET /v1/events`
fn events() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::Invalid, Code::RateLimited, Code::Busy]].concat();
    let answer = json!({
        "description": "Server-Sent Events: each `data` of an event without a name is the event frame of the socket, each `id` the cursors",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    });
    let mut operation = operation("events", "The events of the socket, without its commands", "200", answer, &codes);
    let cursors = json!({"type": "string", "pattern": "^([^,:]+:[0-9]+(,[^,:]+:[0-9]+)*)?$"});
    operation["parameters"] = json!([
        {"name": "Last-Event-ID", "in": "header", "description": "<channel>:<seq>[,...]: go on behind these", "schema": cursors},
        {"name": "cursors", "in": "query", "description": "The same, where the header cannot be set", "schema": cursors},
        {"name": "follow", "in": "query", "description": "Only these channels besides the cursors, divided by commas", "schema": {"type": "string"}},
    ]);
    with_credential(operation)
}
