//! Where exports are drafted, attested and waited for: a server with receivers, a patient, and a records officer.

use std::time::Duration;

use carethread::on_db;
use serde_json::{Value, json};

use super::clock::Clock;
use super::database::Tables;
use super::peers::FhirServer;
use super::server::{House, Person, ROOMY, Server, text};
use super::ward::Ward;

/// Longer than any filing of a test takes on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(50);

/// A server, who works there, and its clock.
pub struct Desk {
    pub server: Server,
    pub ward: Ward,
    pub officer: Person,
    pub clock: Clock,
}

/// A FHIR server as a target named `ehr`; `more` are further settings of it.
pub fn ehr(fhir: &FhirServer, profile: &str, more: &str) -> String {
    let base = &fhir.base;
    format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{base}\"\nprofile = \"{profile}\"\n{more}\n")
}

impl Desk {
    /// With these targets, and the patient of a ward.
    pub async fn open(targets: &str) -> Self {
        let mut house = House::new(&format!("{ROOMY}\n{targets}")).await;
        let clock = Clock::of(&mut house);
        let server = house.serve().await;
        let lead = server.person("lead").await;
        let mut ward = Ward::open(&server, lead).await;
        let mut officer = server.person_with("officer", &["--role", "record_officer"]).await;
        officer.token = trusted(&server, "officer").await;
        ward.says(&server, "second", "staff", "goal").await;
        Self { server, ward, officer, clock }
    }

    /// The lead, with a token that counts as a password entered just now.
    pub async fn trusted_lead(&self) -> Person {
        Person { token: trusted(&self.server, "lead").await, ..self.ward.lead.clone() }
    }

    /// Drafts an export of the ward's patient to a target.
    pub async fn draft(&self, target: &str) -> String {
        self.drafted(&self.officer, self.ward.id("patient"), target).await
    }

    /// Drafts an export of a patient, by somebody.
    pub async fn drafted(&self, by: &Person, patient: &str, target: &str) -> String {
        let data = json!({"patient": patient, "target": target, "purpose": "Continuity of care"});
        text(&self.server.run(by, "export.draft", data).await, "export")
    }

    /// The officer stands for it.
    pub async fn attest(&self, export: &str) {
        self.attested(&self.officer, export).await;
    }

    /// Somebody stands for it.
    pub async fn attested(&self, by: &Person, export: &str) {
        let data = json!({"export": export, "rev": 1, "statement": "Complete and correct"});
        self.server.run(by, "export.attest", data).await;
    }

    /// How an export stands.
    pub async fn shown(&self, export: &str) -> Value {
        self.server.run(&self.officer, "export.get", json!({ "export": export })).await
    }

    /// Waits until an export stands like that.
    pub async fn until(&self, export: &str, wanted: &str) -> Value {
        self.when(export, |shown| {
            assert!(shown["state"] != "failed" || wanted == "failed", "{shown}");
            shown["state"] == wanted
        })
        .await
    }

    /// Waits until what is shown of an export is so.
    pub async fn when(&self, export: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = tokio::time::Instant::now();
        loop {
            let shown = self.shown(export).await;
            if is(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "{shown}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Drafts, attests, and waits until it is filed.
    pub async fn file(&self, target: &str) -> Value {
        let export = self.draft(target).await;
        self.attest(&export).await;
        self.until(&export, "filed").await
    }

    /// As a power loss and a start.
    pub async fn killed(self) -> Self {
        let Self { server, ward, officer, clock } = self;
        Self { server: server.kill().await.serve().await, ward, officer, clock }
    }

    /// The identifier this server knows the ward's patient by.
    pub async fn identifier(&self) -> Value {
        let proof = self.server.house.path("proof");
        let patient = self.ward.id("patient");
        self.server.cli(&["export", "--patient", patient, "--format", "proof", "--out", proof.to_str().unwrap()]).await;
        let manifest: Value = serde_json::from_slice(&std::fs::read(proof.join("manifest.json")).unwrap()).unwrap();
        let system = format!("urn:uuid:{}", manifest["deployment"].as_str().unwrap());
        json!({"system": system, "value": patient})
    }

    /// Makes the patient known at the receiver by our identifier.
    pub async fn known(&self, fhir: &FhirServer) {
        let identifier = self.identifier().await;
        fhir.seed(json!([{"resourceType": "Patient", "id": "p1", "identifier": [identifier]}])).await;
    }

    /// Every line of the audit trail that does that.
    pub async fn audited(&self, action: &str) -> Vec<Value> {
        let mut tables = Tables::of(&self.server.house).await;
        let query = "SELECT line FROM audit ORDER BY stream, n";
        let lines: Vec<(String,)> = on_db!(tables, |c| sqlx::query_as(query).fetch_all(c).await).unwrap();
        tables.close().await;
        let lines = lines.iter().map(|(line,)| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["action"] == action).collect()
    }

    /// The rows of the ledger of one target: on their way, and there.
    pub async fn ledger(&self, target: &str) -> [i64; 2] {
        let mut tables = Tables::of(&self.server.house).await;
        let mut counts = [0; 2];
        for (state, count) in (0_i16..).zip(&mut counts) {
            let query = "SELECT count(*) FROM chart_ledger WHERE target = $1 AND state = $2";
            let counted: (i64,) =
                on_db!(tables, |c| sqlx::query_as(query).bind(target).bind(state).fetch_one(c).await).unwrap();
            *count = counted.0;
        }
        tables.close().await;
        counts
    }
}

/// A token of somebody that exports without a password entered lately.
pub async fn trusted(server: &Server, handle: &str) -> String {
    text(&server.cli(&["token", "issue", "--user", handle, "--allow", "export"]).await, "token")
}

/// What is said at a receiver: text and status of each Communication, in order.
pub async fn said(fhir: &FhirServer) -> Vec<(String, String)> {
    let stored = fhir.stored(Some("Communication")).await;
    let said = stored.iter().filter_map(|one| {
        let text = one["payload"][0]["contentString"].as_str()?;
        Some((text.to_owned(), one["status"].as_str().unwrap().to_owned()))
    });
    let mut said: Vec<(String, String)> = said.collect();
    said.sort();
    said
}

/// Everything a receiver holds, with the version it has there.
pub async fn versions(fhir: &FhirServer) -> Vec<String> {
    let stored = fhir.stored(None).await;
    let mut versions: Vec<String> = stored
        .iter()
        .map(|one| format!("{}/{} {}", one["resourceType"], one["id"], one["meta"]["versionId"]))
        .collect();
    versions.sort();
    versions
}

/// That nothing of ours is at a receiver twice.
#[track_caller]
pub fn once(stored: &[Value]) {
    let mut seen = std::collections::BTreeMap::new();
    for one in stored {
        let identifier = if one["identifier"].is_array() { &one["identifier"][0] } else { &one["identifier"] };
        if !identifier.is_null() {
            *seen.entry(format!("{} {identifier}", one["resourceType"])).or_insert(0) += 1;
        }
    }
    seen.retain(|_, count| *count > 1);
    assert!(seen.is_empty(), "{seen:?}");
}
