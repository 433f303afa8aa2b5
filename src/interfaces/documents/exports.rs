//! The routes of exports in the OpenAPI document. Does not know how one is made.

use serde_json::{Value, json};

use super::openapi::{SIGNED_IN, id_in_path, json_answer, operation, with_credential};
use super::schemas::reference;
use crate::features::chart::Format;
use crate::kernel::base::Code;

/// `POST /v1/patients/{patient}/exports`
pub(super) fn make() -> Value {
    let schema = json!({"type": "object", "required": ["id", "url", "entries", "channels"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "url": {"type": "string"},
        "entries": {"type": "integer"}, "channels": {"type": "integer"}}});
    let codes = [
        &SIGNED_IN[..],
        &[
            Code::BadFrame,
            Code::Invalid,
            Code::NotFound,
            Code::BadTransition,
            Code::PlanItemRequired,
            Code::TooLarge,
            Code::Busy,
        ],
    ]
    .concat();
    let answer = json_answer("Fetch it at `url` within ten minutes", &schema);
    let mut operation = operation("makeExport", "Takes a record out, as a file", "201", answer, &codes);
    let ids = json!({"type": "array", "items": {"type": "string", "format": "uuid"}});
    let time = json!({"type": "string", "format": "date-time"});
    let classes = json!({"type": "array", "items": {"enum": ["care_record", "coordination", "operational"]}});
    let formats = json!({"enum": Format::ALL.map(Format::text)});
    let asked = json!({"type": "object", "oneOf": [{"required": ["format"]}, {"required": ["export"], "maxProperties": 2}],
        "additionalProperties": false, "properties": {
        "format": formats, "export": {"type": "string", "format": "uuid"}, "since": {"const": "last"}, "channels": ids, "items": ids, "entries": ids,
        "classes": classes, "from": time, "to": time, "with_patient": {"type": "boolean"}, "purpose": {"type": "string"}, "wait": {"type": "boolean"}, "preview": {"type": "boolean"}}});
    operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": asked}}});
    operation["responses"]["200"] = json!({"description": "With `\"preview\": true`: what the export will file, as a person reads it", "content": {"text/html": {}}});
    operation["responses"]["202"] = json_answer("With `\"wait\": false`: it is being made", &making());
    operation["parameters"] = json!([id_in_path("patient")]);
    with_credential(operation)
}

/// How far one is that is not made yet.
fn making() -> Value {
    json!({"type": "object", "required": ["id", "url", "state", "entries_done", "entries_total"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "url": {"type": "string"}, "state": {"const": "making"},
        "entries_done": {"type": "integer"}, "entries_total": {"type": "integer"}}})
}

/// `GET /v1/patients/{patient}/exports`
pub(super) fn list() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::NotFound]].concat();
    let answer = json_answer("What is on its way, as `export.list`", &reference("ExportListReply"));
    let mut operation = operation("listExports", "Exports to targets", "200", answer, &codes);
    operation["parameters"] = json!([id_in_path("patient")]);
    with_credential(operation)
}

/// `GET /v1/patients/{patient}/exports/{export}`
pub(super) fn fetch() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::NotFound]].concat();
    let answer =
        json!({"description": "Its bytes, for who made it; a folder as a tar archive", "content": {"*/*": {}}});
    let mut operation = operation("fetchExport", "An export that was made", "200", answer, &codes);
    operation["responses"]["202"] = json_answer("How far it is: it is not made yet", &making());
    operation["parameters"] = json!([id_in_path("patient"), id_in_path("export")]);
    with_credential(operation)
}

/// `GET /v1/patients/{patient}/chart-status`
pub(super) fn chart_status() -> Value {
    let codes = [&SIGNED_IN[..], &[Code::NotFound, Code::Invalid]].concat();
    let answer = json_answer("What is charted, as `chart.status`", &reference("ChartStatusReply"));
    let mut operation = operation("chartStatus", "What targets have of a record", "200", answer, &codes);
    let target =
        json!({"name": "target", "in": "query", "description": "At this one only", "schema": {"type": "string"}});
    operation["parameters"] = json!([id_in_path("patient"), target]);
    with_credential(operation)
}
