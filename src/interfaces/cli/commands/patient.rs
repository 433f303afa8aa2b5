//! `patient`: who is cared for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, columns, op, text};
use crate::features::care_plan::{self, ImportFile, ImportReport};
use crate::features::chart::targets;
use crate::features::patients;
use crate::kernel::base::{Fault, PatientId, Refusal, Stop};
use crate::kernel::crypto::{base64, from_base64};
use crate::kernel::policy::Subject;
use crate::server::Node;

/// A file of an import.
#[derive(Serialize, Deserialize)]
pub struct File {
    /// As it was typed.
    pub name: String,
    /// Its bytes, base64: a file that is not UTF-8 must not become one on the way.
    pub bytes: String,
}

/// A plan that is read again.
#[derive(Serialize, Deserialize)]
pub struct Pull {
    /// Name of the server in the configuration.
    pub target: String,
    /// An id, or `SYSTEM|VALUE`.
    pub patient: String,
}

impl File {
    /// A file with what is in it.
    #[must_use]
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: base64(bytes) }
    }
}

pub(super) async fn import(node: &Node, subject: Subject, files: Vec<File>) -> Result<Answer, Stop> {
    let read = |file: File| {
        let bytes = from_base64(&file.bytes).ok_or_else(|| Refusal::invalid("files", "A file came broken."))?;
        Ok(ImportFile { name: file.name, bytes })
    };
    let files = files.into_iter().map(read).collect::<Result<Vec<_>, Refusal>>()?;
    let report = care_plan::import_files(&node.engine, &subject, files).await?;
    let object = serde_json::to_value(&report).map_err(|_| Fault::Defect("a report is JSON"))?;
    Ok(told(object, &report))
}

/// Reads a patient's plan again from a configured server.
pub(super) async fn pull(node: &Node, subject: Subject, typed: Pull) -> Result<Answer, Stop> {
    let patient = named(node, &typed.patient).await?;
    let pulled = targets::pull(&node.engine, &subject, &typed.target, patient).await?;
    let object = serde_json::to_value(&pulled).map_err(|_| Fault::Defect("a report is JSON"))?;
    let mut answer = told(object, &pulled.report);
    answer.lines.push(format!("{} resources read from {}", pulled.resources, typed.target));
    answer.lines.extend(pulled.unread.iter().map(|kind| format!("{kind}: not served there, or not to its end")));
    Ok(answer)
}

fn told(object: Value, report: &ImportReport) -> Answer {
    let mut lines = columns(
        &report
            .patients
            .iter()
            .map(|patient| {
                let (id, items) = (patient.id.to_string(), format!("{} items", patient.items));
                vec![id, patient.name.clone(), items, if patient.created { "new" } else { "known" }.to_owned()]
            })
            .collect::<Vec<_>>(),
    );
    lines.extend(report.not_understood.iter().map(|one| format!("{} {}: {}", one.file, one.path, one.reason)));
    let failed = report.patients.is_empty().then(|| "Nothing was imported.".to_owned());
    Answer { object, lines, failed }
}

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
