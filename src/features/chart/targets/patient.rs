//! Who a patient is to a FHIR server. Nobody is ever made here, and nobody is guessed.

use serde_json::Value;

use super::Outcome;
use super::fhir::Server;
use super::remote::held;
use super::search::identified;

/// Who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Exactly one, as `Patient/id`.
    One(String),
    /// Nobody.
    Nobody,
    /// Several: a person has to say which.
    Several,
}

/// Looks for each identifier; all of them together lead to one patient or to none.
pub(super) async fn resolve(server: &Server, identifiers: &[(String, String)]) -> Result<Resolved, Outcome> {
    let mut found: Vec<String> = Vec::new();
    for (system, value) in identifiers {
        let url = server.url(&format!("Patient?{}", identified(system, value)));
        let answer = server.get_json(&url).await?;
        let hits = answer["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
        for patient in hits.iter().map(|hit| &hit["resource"]).filter(|hit| hit["resourceType"] == "Patient") {
            // A server may pass over a search it does not know, and give everybody.
            if !carries(patient, system, value) || is_replaced(patient) {
                continue;
            }
            if let Some((place, _)) = held(patient)
                && !found.contains(&place)
            {
                found.push(place);
            }
        }
    }
    Ok(match found.len() {
        0 => Resolved::Nobody,
        1 => Resolved::One(found.remove(0)),
        _ => Resolved::Several,
    })
}

fn carries(patient: &Value, system: &str, value: &str) -> bool {
    let identifiers = patient["identifier"].as_array().map(Vec::as_slice).unwrap_or_default();
    identifiers.iter().any(|one| one["system"] == system && one["value"] == value)
}

/// Merged into another record (Patient.link, `replaced-by`).
fn is_replaced(patient: &Value) -> bool {
    patient["link"].as_array().is_some_and(|links| links.iter().any(|link| link["type"] == "replaced-by"))
}
