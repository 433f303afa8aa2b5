//! Exports from a draft to a receiver that others wrote: attested, filed once, changed where the record changed, through faults and a
//! server that is killed.

use std::time::Duration;

use serde_json::{Value, json};

use super::peers::FhirServer;
use super::server::{House, Person, ROOMY, Server, text};
use super::ward::Ward;

struct Site {
    fhir: FhirServer,
    server: Server,
    ward: Ward,
    officer: Person,
}

fn target(fhir: &FhirServer, profile: &str) -> String {
    let base = &fhir.base;
    format!("{ROOMY}\n[targets.ehr]\nkind = \"fhir\"\nurl = \"{base}\"\nprofile = \"{profile}\"\nentries_max = 8\n")
}

impl Site {
    async fn new(profile: &str) -> Self {
        let fhir = FhirServer::start().await;
        let server = House::new(&target(&fhir, profile)).await.serve().await;
        let lead = server.person("lead").await;
        let mut ward = Ward::open(&server, lead).await;
        let mut officer = server.person_with("officer", &["--role", "record_officer"]).await;
        let issued = server.cli(&["token", "issue", "--user", "officer", "--allow", "export"]).await;
        officer.token = text(&issued, "token");
        ward.says(&server, "second", "staff", "goal").await;
        Self { fhir, server, ward, officer }
    }

    async fn draft(&self) -> String {
        let data = json!({"patient": self.ward.id("patient"), "target": "ehr"});
        text(&self.server.run(&self.officer, "export.draft", data).await, "export")
    }

    async fn attest(&self, export: &str) {
        let data = json!({"export": export, "rev": 1, "statement": "Complete and correct"});
        self.server.run(&self.officer, "export.attest", data).await;
    }

    async fn until(&self, export: &str, wanted: &str) -> Value {
        let mut shown = Value::Null;
        for _ in 0..200 {
            shown = self.server.run(&self.officer, "export.get", json!({ "export": export })).await;
            if shown["state"] == wanted {
                return shown;
            }
            assert!(shown["state"] != "failed" || wanted == "failed", "{shown}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("never {wanted}: {shown}");
    }

    async fn file(&self) -> Value {
        let export = self.draft().await;
        self.attest(&export).await;
        self.until(&export, "filed").await
    }

    /// Makes the patient known there by our identifier.
    async fn known(&self) {
        let export = self.draft().await;
        self.attest(&export).await;
        let shown = self.until(&export, "failed").await;
        assert_eq!(shown["outcome"]["code"], "patient_unknown", "{shown}");
        let proof = self.server.house.path("proof");
        let patient = self.ward.id("patient").to_owned();
        self.server
            .cli(&["export", "--patient", &patient, "--format", "proof", "--out", proof.to_str().unwrap()])
            .await;
        let manifest: Value = serde_json::from_slice(&std::fs::read(proof.join("manifest.json")).unwrap()).unwrap();
        let system = format!("urn:uuid:{}", manifest["deployment"].as_str().unwrap());
        let identifier = json!([{"system": system, "value": patient}]);
        self.fhir.seed(json!([{"resourceType": "Patient", "id": "p1", "identifier": identifier}])).await;
    }

    async fn texts(&self) -> Vec<(String, String)> {
        let stored = self.fhir.stored(Some("Communication")).await;
        let said = stored.iter().filter_map(|one| {
            let text = one["payload"][0]["contentString"].as_str()?;
            Some((text.to_owned(), one["status"].as_str().unwrap().to_owned()))
        });
        let mut said: Vec<(String, String)> = said.collect();
        said.sort();
        said
    }
}

both!(an_attested_export_is_filed_once_and_follows_the_record);
async fn an_attested_export_is_filed_once_and_follows_the_record() {
    let mut site = Site::new("full").await;
    site.known().await;
    let refused = site.server.code(
        &site.ward.lead,
        "export.attest",
        json!({"export": site.draft().await, "rev": 1, "statement": "x"}),
    );
    assert_eq!(refused.await, "forbidden", "without a password entered lately");
    let first = site.file().await;
    assert!(first["filed"]["resources"].as_i64().unwrap() > 8, "{first}");
    let (count, said) = (site.fhir.stored(None).await.len(), site.texts().await);
    assert!(said.iter().any(|(text, _)| text == "said as second"), "{said:?}");
    // Nothing new: nothing is sent.
    let requests = site.fhir.received().await.len();
    let again = site.file().await;
    assert_eq!(again["filed"]["resources"], 0, "{again}");
    let received = site.fhir.received().await;
    assert!(received[requests..].iter().all(|one| one["method"] == "GET"), "{received:?}");
    // What changed since is changed there.
    let reason = json!({"message": site.ward.id("message_staff"), "reason": "Another patient's dose"});
    site.server.run(&site.ward.lead, "message.retract", reason).await;
    let amended = json!({"message": site.ward.id("second"), "text": "said better"});
    site.server.run(&site.ward.lead, "message.amend", amended).await;
    site.ward.says(&site.server, "third", "staff", "goal").await;
    site.file().await;
    let now = site.texts().await;
    assert!(now.iter().any(|(text, status)| text == "Retracted by author" && status == "entered-in-error"), "{now:?}");
    assert!(now.iter().any(|(text, _)| text == "said better") && !now.iter().any(|(text, _)| text == "said as second"));
    assert_eq!(now.len(), said.len() + 1, "{now:?}");
    assert!(site.fhir.stored(None).await.len() > count);
    let status = site.server.run(&site.officer, "chart.status", json!({"patient": site.ward.id("patient")})).await;
    let goal = status["charts"][0]["items"].as_array().unwrap().iter().find(|one| one["item"] == site.ward.id("goal"));
    let goal = goal.unwrap();
    assert_eq!((&goal["new"], &goal["changed"]), (&json!(0), &json!(0)), "{status}");
}

both!(faults_and_a_killed_server_file_everything_once);
async fn faults_and_a_killed_server_file_everything_once() {
    let site = Site::new("full").await;
    site.known().await;
    site.fhir
        .faults(json!([
            {"kind": "lost", "method": "POST"},
            {"kind": "status", "status": 503, "method": "POST", "headers": {"retry-after": "1"}},
            {"kind": "cut", "method": "POST"},
        ]))
        .await;
    let export = site.draft().await;
    site.attest(&export).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let Site { fhir, server, ward, officer } = site;
    let server = server.kill().await.serve().await;
    let site = Site { fhir, server, ward, officer };
    site.until(&export, "filed").await;
    let said = site.texts().await;
    let mut once = said.clone();
    once.dedup();
    assert_eq!(once, said, "nothing is there twice");
    assert!(said.iter().any(|(text, _)| text == "said as second"), "{said:?}");
    assert_eq!(site.file().await["filed"]["resources"], 0);
}

both!(notes_alone_carry_what_was_said);
async fn notes_alone_carry_what_was_said() {
    let site = Site::new("note-only").await;
    site.known().await;
    let filed = site.file().await;
    assert!(filed["filed"]["resources"].as_i64().unwrap() > 0, "{filed}");
    assert!(site.fhir.stored(Some("Communication")).await.is_empty());
    assert!(!site.fhir.stored(Some("DocumentReference")).await.is_empty());
    assert_eq!(site.file().await["filed"]["resources"], 0);
}

both!(an_export_made_over_http_is_fetched_by_who_made_it);
async fn an_export_made_over_http_is_fetched_by_who_made_it() {
    let site = Site::new("full").await;
    let path = format!("/v1/patients/{}/exports", site.ward.id("patient"));
    let headers =
        |person: &Person| format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", person.token);
    let made = site.server.request(&format!("POST {path}"), &headers(&site.officer), b"{\"format\":\"ndjson\"}").await;
    assert_eq!(made.status, 201, "{}", made.text);
    let url = text(&made.json(), "url");
    let other = site.server.request(&format!("GET {url}"), &headers(&site.ward.lead), b"").await;
    assert_eq!(other.status, 404);
    let fetched = site.server.request(&format!("GET {url}"), &headers(&site.officer), b"").await;
    assert_eq!(fetched.status, 200);
    assert_eq!(fetched.text.lines().count() as i64, made.json()["entries"].as_i64().unwrap());
    assert!(fetched.text.contains("said as second"), "{}", fetched.text);
    let unstepped =
        site.server.request(&format!("POST {path}"), &headers(&site.ward.lead), b"{\"format\":\"ndjson\"}").await;
    assert_eq!(unstepped.status, 403, "{}", unstepped.text);
}
