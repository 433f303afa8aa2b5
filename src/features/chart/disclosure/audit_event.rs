//! Disclosures as FHIR R4 AuditEvents (DICOM codes, PS3.15 A.5.3): what a privacy officer's own system can take over.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Disclosure;
use crate::kernel::base::PatientId;
use crate::kernel::crypto;

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem/";

/// A Bundle (`collection`) of one AuditEvent a disclosure. `system` is that of our identifiers, `device` this server's id.
#[must_use]
pub fn audit_events(disclosures: &[Disclosure], patient: PatientId, system: &str, device: Uuid) -> Value {
    let entries: Vec<Value> = disclosures
        .iter()
        .map(
            |one| json!({ "fullUrl": format!("urn:uuid:{}", one.id), "resource": event(one, patient, system, device) }),
        )
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "collection" });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    bundle
}

fn event(one: &Disclosure, patient: PatientId, system: &str, device: Uuid) -> Value {
    let coded = |code: &str, display: &str| json!({ "system": DICOM, "code": code, "display": display });
    let ours = |value: String| json!({ "system": system, "value": value });
    let device = json!({ "identifier": ours(device.to_string()), "display": "Care team messaging server" });
    let mut who = json!({ "identifier": ours(one.by.to_string()) });
    if let Some(name) = &one.name {
        who["display"] = name.as_str().into();
    }
    let recipient = one.told.target.as_deref().unwrap_or("A file, handed to whoever took it out");
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": one.id,
        "type": coded("110106", "Export"),
        "action": "R",
        "recorded": one.at,
        "outcome": if one.failed.is_some() { "8" } else { "0" },
        "agent": [
            { "who": who, "requestor": true },
            { "type": { "coding": [coded("110153", "Source Role ID")] }, "who": device, "requestor": false },
            {
                "type": { "coding": [coded("110152", "Destination Role ID")] },
                "who": { "display": recipient },
                "requestor": false,
            },
        ],
        "source": { "observer": device },
        "entity": [
            {
                "what": { "identifier": ours(patient.to_string()) },
                "type": { "system": format!("{TERMINOLOGY}audit-entity-type"), "code": "1", "display": "Person" },
                "role": { "system": format!("{TERMINOLOGY}object-role"), "code": "1", "display": "Patient" },
            },
            {
                "what": { "identifier": ours(one.id.to_string()) },
                "type": { "system": format!("{TERMINOLOGY}audit-entity-type"), "code": "2", "display": "System Object" },
                "role": { "system": format!("{TERMINOLOGY}object-role"), "code": "3", "display": "Report" },
                "lifecycle": {
                    "system": format!("{TERMINOLOGY}dicom-audit-lifecycle"), "code": "10", "display": "Disclosure",
                },
                "description": format!("{}: {} entries of {} channels", one.told.format, one.told.entries, one.told.channels),
                "detail": [{ "type": "sha256", "valueBase64Binary": crypto::base64(one.told.sha256.as_bytes()) }],
            },
        ],
    });
    if let Some(failed) = &one.failed {
        event["outcomeDesc"] = format!("{failed}: the recipient did not take all of it, and may have a part").into();
    }
    if let Some(purpose) = &one.told.purpose {
        event["purposeOfEvent"] = json!([{ "text": purpose }]);
    }
    event
}
