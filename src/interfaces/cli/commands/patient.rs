//! `patient`: who is cared for.

use serde_json::{Value, json};

use super::{Answer, columns, op, text};
use crate::features::patients;
use crate::kernel::base::{PatientId, Refusal, Stop};
use crate::kernel::policy::Subject;
use crate::server::Node;

/// The patient of an id, or of `SYSTEM|VALUE`. The last `|` parts them: a value rarely holds one, a system may.
pub(super) async fn named(node: &Node, text: &str) -> Result<PatientId, Stop> {
    let Some((system, value)) = text.rsplit_once('|') else {
        let wrong = |_| Refusal::invalid("patient", "A patient is named by id, or by SYSTEM|VALUE of an identifier.");
        return Ok(text.parse().map_err(wrong)?);
    };
    let shared = node.engine.shared();
    let found = patients::by_identifier(&mut shared.db.read().await?, &shared.vault, system, value).await?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Refusal::not_found().field("patient").detail("No patient has this identifier.").into()),
        _ => Err(Refusal::conflict("Several patients have this identifier. Name one by id.").field("patient").into()),
    }
}

pub(super) async fn list(node: &Node, subject: Subject) -> Result<Answer, Stop> {
    let answer = Value::Object(op(node, subject, "patient.list", json!({})).await?);
    let mut rows = Vec::new();
    let mut listed = Vec::new();
    for patient in answer["patients"].as_array().into_iter().flatten() {
        let identifiers: Vec<String> = patient["identifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|identifier| format!("{}|{}", text(identifier, "system"), text(identifier, "value")))
            .collect();
        rows.push(vec![text(patient, "id").to_owned(), text(patient, "name").to_owned(), identifiers.join("  ")]);
        listed.push(json!({ "id": patient["id"], "name": patient["name"], "identifiers": patient["identifiers"] }));
    }
    Ok(Answer { object: json!({ "patients": listed }), lines: columns(&rows), failed: None })
}
