//! All of the sample data, talked about, filed with a FHIR server that others wrote: what it takes it takes once, and a second filing of
//! everything creates nothing.

use serde_json::{Value, json};

use super::desk::{Desk, ehr, once, versions};
use super::import::{files, import};
use super::peers::FhirServer;
use super::server::{Person, list, text};

const SAMPLES: [&str; 5] =
    ["ckd-betsy", "eltss-careplan.json", "synthea-2019-milan.json", "synthea-mcc-kendall.json", "hl7-r4-examples"];

/// One of each kind of entry.
async fn talks(desk: &Desk, nurse: &Person, patient: &str) {
    let lead = &desk.ward.lead;
    let run = async |op: &str, data: Value| desk.server.run(lead, op, data).await;
    let channels = run("channel.list", json!({})).await;
    let staff = |one: &&Value| one["patient"] == patient && one["name"] == "Care team";
    let channel = text(list(&channels, "channels").iter().find(staff).unwrap(), "id");
    let items = run("plan.items", json!({ "patient": patient })).await;
    for item in list(&items, "items").iter().map(|item| &item["id"]) {
        let said =
            json!({"channel": channel, "item": item, "text": format!("About <{item}> & more"), "priority": "urgent"});
        // Not every item can be talked about: what is closed, or kept for the whole plan.
        let posted = desk.server.ask(lead, "message.post", said).await;
        if posted.status != 200 {
            continue;
        }
        let first = posted.json()["data"]["id"].clone();
        let note = json!({"channel": channel, "item": item, "medium": "video", "held_at": "2026-01-02T03:04:05Z",
            "text": "Agreed", "with": [{"name": "Dr. Osei", "role": "nephrologist"}, {"name": "Nurse", "user": nurse.id}]});
        let note = run("note.log", note).await;
        run("note.addend", json!({"note": note["id"], "text": "And more"})).await;
        let task = json!({"channel": channel, "item": item, "title": "Call them", "owner": nurse.id,
            "due": "2027-03-03T17:00:00Z", "from_message": first});
        run("task.create", task).await;
    }
    let ipass = json!({"illness_severity": "watcher", "patient_summary": "Stable", "action_list": ["Call"],
        "situation_awareness": "None"});
    let offer =
        run("handoff.offer", json!({"patient": patient, "to": nurse.id, "ipass": ipass, "responsibilities": []})).await;
    let accept = json!({"handoff": offer["handoff"], "synthesis": "Understood"});
    desk.server.run(nurse, "handoff.accept", accept).await;
}

sqlite_only!(
    all_sample_data_is_filed_and_a_second_run_creates_nothing,
    "It is about what is sent and what the receiver makes of it, which no database changes: `chart::` holds the same samples on both."
);
async fn all_sample_data_is_filed_and_a_second_run_creates_nothing() {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, "full", "entries_max = 8\ncreate_patient = true\ntimeout_seconds = 600")).await;
    let nurse = desk.server.person("nurse").await;
    let mut patients = Vec::new();
    for sample in SAMPLES {
        let (code, told) = import(&desk.server.house, &files(sample)).await;
        assert_eq!(code, 0, "{sample}: {told}");
        for patient in list(&told, "patients") {
            let id = text(patient, "id");
            desk.server.cli(&["team", "add", "--patient", &id, "--user", "lead", "--role", "Lead", "--lead"]).await;
            desk.server.cli(&["team", "add", "--patient", &id, "--user", "nurse", "--role", "Nurse"]).await;
            talks(&desk, &nurse, &id).await;
            patients.push(id);
        }
    }
    assert_eq!(patients.len(), 10);
    let mut sent = 0;
    for patient in &patients {
        sent += file(&desk, patient).await["filed"]["resources"].as_i64().unwrap();
    }
    let stored = fhir.stored(None).await;
    once(&stored);
    assert_eq!(stored.iter().filter(|one| one["resourceType"] == "Patient").count(), patients.len());
    for class in ["CarePlan", "Goal", "Condition", "Communication", "Task", "DocumentReference", "CareTeam"] {
        assert!(stored.iter().any(|one| one["resourceType"] == class), "{class}");
    }
    // What the receiver did not take, it would have said: everything sent is there.
    assert!(sent >= i64::try_from(stored.len()).unwrap() && stored.len() > 500, "{sent}, {}", stored.len());
    let (there, requests) = (versions(&fhir).await, fhir.received().await.len());
    for patient in &patients {
        let filed = file(&desk, patient).await;
        assert_eq!(filed["filed"]["resources"], 0, "{filed}");
    }
    let after = fhir.received().await;
    assert!(after[requests..].iter().all(|one| one["method"] == "GET"));
    assert_eq!(versions(&fhir).await, there);
    assert_eq!(desk.ledger("ehr").await[0], 0);
}

async fn file(desk: &Desk, patient: &str) -> Value {
    let export = desk.drafted(&desk.officer, patient, "ehr").await;
    desk.attested(&desk.officer, &export).await;
    desk.until(&export, "filed").await
}
