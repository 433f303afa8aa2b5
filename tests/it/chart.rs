//! What leaves for the chart, judged by somebody else's reading of FHIR R4.

use std::path::Path;

use serde_json::{Value, json};

use super::clock::Clock;
use super::import::{files, import};
use super::server::{House, Person, ROOMY, Server, list, text};
use super::ward::Ward;

/// Reads the files with two libraries that others wrote: fhir.resources (Python) and Medplum with jose (Node), as `tests/run` installs them.
/// Gives what they said; panics with what they found.
pub async fn judged(files: &[impl AsRef<Path>]) -> String {
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON");
    let python = python.expect("CARETHREAD_TEST_PYTHON names a Python with fhir.resources: tests/run makes one");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    assert!(folder.join("foreign/node_modules/jose").is_dir(), "tests/run installs the libraries of tests/it/foreign");
    let mut said = String::new();
    for (program, script) in [(python, "judge_bundles.py"), ("node".into(), "foreign/judge.mjs")] {
        let files = files.iter().map(AsRef::as_ref);
        let judge = tokio::process::Command::new(&program).arg(folder.join(script)).args(files).output();
        let output = judge.await.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        said.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    said
}

both!(a_chart_can_read_what_it_is_given);
async fn a_chart_can_read_what_it_is_given() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let mut ward = Ward::open(&server, lead).await;
    let daughter = server.person_with("daughter", &["--kind", "related_person"]).await;
    ward.add(&server, &daughter, json!({"role": "Daughter", "family": true})).await;
    for (kind, title) in [("problem", "Hypertension"), ("activity", "Reconcile tablets"), ("barrier", "No transport")] {
        let codes = json!([{"system": "http://snomed.info/sct", "code": "38341003"}, {"display": "In words only"}]);
        let item = json!({"patient": ward.id("patient"), "kind": kind, "title": title, "detail": "More", "due": "2027-01-31",
                          "codes": codes, "addresses": [ward.id("goal")], "owner": {"responsibility": "plan"}});
        ward.make(&server, kind, "plan_item.add", item).await;
    }
    for (name, item) in [("m1", "activity"), ("m2", "problem"), ("m3", "whole")] {
        ward.says(&server, name, "staff", item).await;
    }
    let sbar = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "reply_to": ward.id("m1"), "priority": "stat",
                      "sbar": {"situation": "Bell \u{7} and <b>", "assessment": "é"}});
    ward.make(&server, "m4", "message.post", sbar).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m1"), "text": "other words"})).await;
    server.run(&ward.lead, "message.retract", json!({"message": ward.id("m2"), "reason": "Wrong patient"})).await;

    let export = async |name: &str, more: &[&str]| {
        let out = server.house.path(name);
        let path = out.to_str().unwrap();
        let typed = ["export", "--patient", ward.id("patient"), "--format", "fhir-transaction", "--out", path];
        let done = server.cli(&[&typed, more].concat()).await;
        (out, done)
    };
    let (all, _) = export("all.json", &["--with-patient"]).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m3"), "text": "changed later"})).await;
    let (new, done) = export("new.json", &["--since", "last"]).await;
    assert_eq!(done["entries"], 1);
    let bundle: Value = serde_json::from_slice(&std::fs::read(&new).unwrap()).unwrap();
    let said: Vec<&Value> =
        bundle["entry"].as_array().unwrap().iter().filter(|entry| entry["resource"]["payload"].is_array()).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["request"]["method"], "PUT");
    assert_eq!(said[0]["resource"]["payload"][0]["contentString"], "changed later");
    judged(&[&all, &new]).await;
}

/// Words with everything in them that some reader might take for its own.
const HOSTILE: &str = "<script>alert(1)</script> & \"quoted\" |^~\\& \u{7}\u{1b}[31m \u{202e}rtl\u{202c} \u{feff}\u{a0}\u{2028} 🦷\u{1f468}\u{200d}\u{2695}\u{fe0f} ]]> <!-- é\r\n\tend";

/// A care team at work on whatever was imported.
struct Team<'s> {
    server: &'s Server,
    lead: Person,
    nurse: Person,
}

impl Team<'_> {
    /// Joins a patient; gives the staff channel.
    async fn joins(&self, patient: &str) -> String {
        for (person, lead) in [(&self.lead, true), (&self.nurse, false)] {
            let mut typed = vec!["team", "add", "--patient", patient, "--user", &person.handle, "--role", "Nurse"];
            typed.extend(lead.then_some("--lead"));
            self.server.cli(&typed).await;
        }
        let channels = self.server.run(&self.lead, "channel.list", json!({})).await;
        let of = |one: &&Value| one["patient"] == patient && one["name"] == "Care team";
        text(list(&channels, "channels").iter().find(of).expect("a staff channel"), "id")
    }

    /// Items of the plan that can be talked about.
    async fn items(&self, patient: &str, channel: &str) -> Vec<String> {
        let items = self.server.run(&self.lead, "plan.items", json!({"patient": patient})).await;
        let mut open = Vec::new();
        for item in list(&items, "items") {
            let said = json!({"channel": channel, "item": item["id"], "text": format!("About it: {HOSTILE}"), "priority": "urgent"});
            if self.server.ask(&self.lead, "message.post", said).await.status == 200 {
                open.push(text(item, "id"));
            }
        }
        open
    }

    async fn uploads(&self, channel: &str) -> String {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: text/plain\r\nX-File-Name: M%C3%BCller%20%3Clab%3E.txt\r\n",
            self.lead.token
        );
        let path = format!("POST /v1/channels/{channel}/files");
        let answer = self.server.request(&path, &headers, HOSTILE.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        text(&answer.json(), "id")
    }

    /// One of each kind of entry about each of those items.
    async fn talks(&self, patient: &str, channel: &str, items: &[String]) {
        let run = async |op: &str, data: Value| self.server.run(&self.lead, op, data).await;
        for item in items {
            let file = self.uploads(channel).await;
            let long = "x".repeat(7_990) + "\u{1f9b7} end";
            let first =
                run("message.post", json!({"channel": channel, "item": item, "text": long, "files": [file]})).await;
            let gone = run("message.post", json!({"channel": channel, "item": item, "text": "GONE-WORDS"})).await;
            run("message.retract", json!({"message": gone["id"], "reason": HOSTILE})).await;
            let sbar = json!({"channel": channel, "item": item, "reply_to": first["id"], "ask": "acknowledge", "sbar": {"situation": HOSTILE}});
            let asked = run("message.post", sbar).await;
            self.server.run(&self.nurse, "message.acknowledge", json!({"message": asked["id"]})).await;
            let note = json!({"channel": channel, "item": item, "medium": "video", "held_at": "2026-01-02T03:04:05Z", "text": HOSTILE,
                              "ended_at": "2026-01-02T03:14:05Z", "decisions": [HOSTILE],
                              "with": [{"name": HOSTILE, "role": "nephrologist"}, {"name": "Nurse", "user": self.nurse.id}]});
            let note = run("note.log", note).await;
            run("note.addend", json!({"note": note["id"], "text": HOSTILE})).await;
            let task = json!({"channel": channel, "item": item, "title": "Call <them>", "description": HOSTILE, "owner": self.nurse.id,
                              "due": "2027-03-03T17:00:00Z", "checklist": ["One", HOSTILE], "priority": "urgent", "from_message": first["id"]});
            let task = run("task.create", task).await;
            let step = json!({"task": task["id"], "rev": 1, "reason": HOSTILE});
            self.server.run(&self.nurse, "task.decline", step).await;
            run(
                "message.post",
                json!({"channel": channel, "item": item, "task": task["id"], "text": "About the task"}),
            )
            .await;
        }
        let ipass = json!({"illness_severity": "unstable", "patient_summary": HOSTILE, "action_list": [HOSTILE, "Two"],
                           "situation_awareness": HOSTILE});
        let offer = run(
            "handoff.offer",
            json!({"patient": patient, "to": self.nurse.id, "ipass": ipass, "responsibilities": []}),
        )
        .await;
        let accept = json!({"handoff": offer["handoff"], "synthesis": HOSTILE});
        self.server.run(&self.nurse, "handoff.accept", accept).await;
        let mail = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail/pdf-non-ascii-name.eml");
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: message/rfc822\r\n", self.lead.token);
        let path = format!("POST /v1/intake/email?channel={channel}");
        let answer = self.server.request(&path, &headers, &std::fs::read(mail).unwrap()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    /// A check-in of that channel, opened and answered.
    async fn checks_in(&self, clock: &mut Clock, channel: &str, item: &str) {
        let schedule = json!({"channel": channel, "rrule": clock.daily(2), "zone": "UTC", "questions": ["How?", HOSTILE], "close_minutes": 60});
        self.server.run(&self.lead, "checkin.schedule", schedule).await;
        clock.advance(3);
        for _ in 0..200 {
            let shown = self.server.run(&self.lead, "checkin.get", json!({"channel": channel})).await;
            if let Some(checkin) = shown["open"]["id"].as_str() {
                let answer = json!({"checkin": checkin, "item": item, "answers": [HOSTILE, "No"]});
                self.server.run(&self.lead, "checkin.answer", answer).await;
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("no check-in was opened");
    }
}

both!(every_sample_that_was_talked_about_is_a_bundle_and_a_signed_document_that_others_can_read);
async fn every_sample_that_was_talked_about_is_a_bundle_and_a_signed_document_that_others_can_read() {
    let mut house = House::new(ROOMY).await;
    let mut clock = Clock::of(&mut house);
    let server = house.serve().await;
    let team = Team { lead: server.person("lead").await, nurse: server.person("nurse").await, server: &server };
    let mut written = Vec::new();
    for under in
        ["ckd-betsy", "eltss-careplan.json", "synthea-2019-milan.json", "synthea-mcc-kendall.json", "hl7-r4-examples"]
    {
        let (code, imported) = import(&server.house, &files(under)).await;
        assert_eq!(code, 0, "{imported}");
        for patient in list(&imported, "patients") {
            let patient = text(patient, "id");
            let channel = team.joins(&patient).await;
            let items = team.items(&patient, &channel).await;
            team.talks(&patient, &channel, &items[..items.len().min(2)]).await;
            if under == "ckd-betsy" {
                team.checks_in(&mut clock, &channel, &items[0]).await;
            }
            for format in ["fhir-transaction", "fhir-document"] {
                let out = server.house.path(&format!("{format}-{patient}.json"));
                let typed = ["export", "--patient", &patient, "--format", format, "--out", out.to_str().unwrap()];
                assert!(server.cli(&typed).await["entries"].as_u64() > Some(10));
                let words = std::fs::read_to_string(&out).unwrap();
                assert!(!words.contains("GONE-WORDS") && !words.contains("<script>alert(1)</script></"));
                written.push(out);
            }
        }
    }
    let said = judged(&written).await;
    let keys = server.cli(&["keys", "public"]).await;
    let kid = keys["keys"].as_array().unwrap().iter().find(|key| key["alg"] == "ES384").unwrap()["kid"].clone();
    let document = written.iter().find(|path| path.to_str().unwrap().contains("document")).unwrap();
    assert!(said.contains(kid.as_str().unwrap()), "signed by the key that is published");
    let verdict = server.cli(&["verify", document.to_str().unwrap(), "--key", kid.as_str().unwrap()]).await;
    assert_eq!((&verdict["ok"], &verdict["pinned"], &verdict["signer"]), (&json!(true), &json!(true), &kid));
    let mut bytes = std::fs::read(document).unwrap();
    let at = bytes.windows(10).position(|part| part == b"About it: ").unwrap();
    bytes[at] = b'b';
    std::fs::write(document, bytes).unwrap();
    let done = server.house.cli(&["verify", document.to_str().unwrap()]).await;
    assert_eq!(done.code, 1);
    assert!(done.stdout.contains("changed after it was signed"), "{}", done.stdout);
}
