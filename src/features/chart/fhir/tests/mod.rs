//! Bundles of a whole engine: what a chart would take, once and again, after any order of edits.

mod document;
mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::features::chart::tests::Ward;
use crate::features::chart::{ExportRequest, Format, Memory};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Micros, PatientId};
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::id_of;

const SYSTEM: &str = "urn:oid:2.16.840.1.113883.19.5";

fn bundle(out: &Memory) -> Value {
    serde_json::from_slice(&out.files["bundle.json"]).expect("JSON")
}

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The entries whose resource has our id, by type.
fn of<'b>(bundle: &'b Value, class: &str, id: &str) -> Option<&'b Value> {
    entries(bundle).iter().find(|entry| {
        let resource = &entry["resource"];
        resource["resourceType"] == class && (resource["identifier"][0]["value"] == id || resource["id"] == id)
    })
}

fn messages(bundle: &Value) -> Vec<&Value> {
    entries(bundle).iter().filter(|entry| entry["resource"]["payload"].is_array()).collect()
}

/// Every reference of a Bundle, with what is to be true of each Bundle we write.
fn sound(bundle: &Value) {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
            Value::Object(members) => {
                found.extend(members.get("reference").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            _ => {}
        }
    }
    let urls: Vec<&str> = entries(bundle).iter().map(|entry| entry["fullUrl"].as_str().expect("a fullUrl")).collect();
    assert_eq!(urls.len(), urls.iter().collect::<BTreeSet<_>>().len(), "each fullUrl once");
    let mut found = Vec::new();
    references(bundle, &mut found);
    for reference in found {
        let inside = urls.contains(&reference.as_str());
        let outside = !reference.starts_with("urn:uuid:") && reference.contains("?identifier=");
        assert!(inside || outside, "{reference} leads nowhere");
    }
    for entry in entries(bundle) {
        let (resource, request) = (&entry["resource"], &entry["request"]);
        if let Some(id) = resource["identifier"][0]["value"].as_str() {
            assert_ne!(entry["fullUrl"], format!("urn:uuid:{id}"), "a fullUrl is no identifier");
            let search = request["ifNoneExist"].as_str().or_else(|| request["url"].as_str()).expect("a request");
            assert!(search.contains("identifier=") && search.contains("%7C"), "{search}");
        }
        assert!(!["Encounter", "List"].contains(&resource["resourceType"].as_str().expect("a type")));
        if resource["payload"].is_array() {
            assert!(resource["about"][0]["reference"].is_string(), "Law 7");
            assert!(resource["basedOn"][0]["reference"].is_string() && resource["received"].is_null());
        }
    }
}

impl Ward {
    async fn adds(&self, kind: &str, title: &str, more: Value) -> String {
        let mut data = json!({"patient": self.patient, "kind": kind, "title": title});
        data.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        let answer = self.house.run(&self.lead, "plan_item.add", data).await;
        answer["id"].as_str().expect("an id").to_owned()
    }

    async fn says(&self, item: &str, text: &str, more: Value) -> String {
        let mut data = json!({"channel": self.conversation, "item": item, "text": text});
        data.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        let answer = self.house.run(&self.lead, "message.post", data).await;
        answer["id"].as_str().expect("an id").to_owned()
    }

    async fn bundle(&self, request: ExportRequest) -> (u64, Value) {
        let (summary, out) = self.export(&self.operator, request).await;
        let bundle = bundle(&out);
        sound(&bundle);
        (summary.entries, bundle)
    }

    async fn changes(&self, op: &str, message: &str, field: &str, value: &str) {
        self.house.run(&self.lead, op, json!({"message": message, field: value})).await;
    }
}

#[tokio::test]
async fn a_message_is_a_communication_about_its_item() {
    let ward = Ward::new().await;
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let member = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", member).await;
    let problem = ward
        .adds("problem", "Hypertension", json!({"codes": [{"system": "http://snomed.info/sct", "code": "38341003"}]}))
        .await;
    let goal = ward.adds("goal", "Below 140", json!({"addresses": [problem], "due": "2026-12-31"})).await;
    let activity = ward.adds("activity", "Reconcile tablets", json!({"addresses": [goal]})).await;
    let first = ward.says(&goal, "BP 162/95 <today>", json!({"priority": "urgent"})).await;
    let second = ward.says(&activity, "Pharmacy called", json!({"reply_to": first})).await;
    let (_, bundle) = ward.bundle(ward.all(Format::FhirTransaction)).await;

    let url = |class: &str, id: &str| of(&bundle, class, id).expect("there")["fullUrl"].clone();
    let plan = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "CarePlan").expect("a plan");
    let message = of(&bundle, "Communication", &first).expect("there");
    let resource = &message["resource"];
    assert_eq!(resource["about"], json!([{"reference": url("Goal", &goal), "display": "Below 140"}]));
    assert_eq!(resource["basedOn"], json!([{"reference": plan["fullUrl"]}]));
    assert_eq!(resource["partOf"], json!([{"reference": url("Communication", &ward.conversation.to_string())}]));
    assert_eq!(resource["extension"][0]["valueReference"]["reference"], url("Goal", &goal));
    assert_eq!(resource["subject"]["reference"], "Patient?identifier=urn%3Aoid%3A2.16.840.1.113883.19.5%7CMRN%204711");
    assert_eq!(resource["payload"], json!([{"contentString": "BP 162/95 <today>"}]));
    assert_eq!((&resource["status"], &resource["priority"]), (&json!("completed"), &json!("urgent")));
    assert_eq!(resource["sender"]["reference"], url("Practitioner", &ward.lead.user.to_string()));
    assert_eq!(resource["recipient"][0]["reference"], url("Practitioner", &nurse.user.to_string()));
    assert_eq!(resource["recipient"].as_array().map(Vec::len), Some(1));
    assert_eq!(resource["medium"][0]["coding"][0]["code"], "ONLINEWRIT");
    assert_eq!(message["request"]["method"], "POST");

    let reply = &of(&bundle, "Communication", &second).expect("there")["resource"];
    assert_eq!(reply["inResponseTo"], json!([{"reference": message["fullUrl"]}]));
    assert_eq!(reply["about"][0]["reference"], url("Task", &activity));
    assert_eq!(reply["basedOn"][1]["reference"], url("Task", &activity));
    assert_eq!(reply["extension"][0]["valueReference"]["reference"], url("Goal", &goal));

    let plan = &plan["resource"];
    assert_eq!(plan["addresses"][0]["reference"], url("Condition", &problem));
    assert_eq!(plan["goal"][0]["reference"], url("Goal", &goal));
    assert_eq!(plan["activity"][0]["reference"]["reference"], url("Task", &activity));
    let goal = &of(&bundle, "Goal", &goal).expect("there")["resource"];
    assert_eq!(goal["addresses"][0]["reference"], url("Condition", &problem));
    assert_eq!(goal["target"], json!([{"dueDate": "2026-12-31"}]));
    let problem = of(&bundle, "Condition", &problem).expect("there");
    assert_eq!(problem["request"]["method"], "PUT", "written here, so it changes here");
    let problem = &problem["resource"];
    assert_eq!(problem["code"]["coding"], json!([{"system": "http://snomed.info/sct", "code": "38341003"}]));
    assert!(entries(&bundle).iter().all(|entry| entry["resource"]["resourceType"] != "Patient"));
}

#[tokio::test]
async fn the_patient_is_made_only_where_asked() {
    let ward = Ward::new().await;
    let request = ExportRequest { with_patient: true, ..ward.all(Format::FhirTransaction) };
    let (_, bundle) = ward.bundle(request).await;
    let patient = &entries(&bundle)[0];
    assert_eq!(patient["resource"]["identifier"][0], json!({"system": SYSTEM, "value": "MRN 4711"}));
    assert_eq!(patient["resource"]["birthDate"], "1951-08-14");
    assert_eq!(patient["request"]["ifNoneExist"], "identifier=urn%3Aoid%3A2.16.840.1.113883.19.5%7CMRN%204711");
    let plan = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "CarePlan").expect("a plan");
    assert_eq!(plan["resource"]["subject"]["reference"], patient["fullUrl"]);

    let registered = json!({"name": "Without Numbers"});
    let patient: PatientId = id_of(&ward.house.run(&ward.lead, "patient.register", registered).await, "id");
    let (_, bundle) = ward.bundle(ExportRequest::all(patient, Format::FhirTransaction)).await;
    let plan = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "CarePlan").expect("a plan");
    let deployment = ward.house.engine.shared().vault.deployment();
    let reference = format!("Patient?identifier=urn%3Auuid%3A{deployment}%7C{patient}");
    assert_eq!(plan["resource"]["subject"]["reference"], reference);
}

#[tokio::test]
async fn corrections_show_as_they_stand() {
    let ward = Ward::new().await;
    let (goal, other) = (ward.adds("goal", "One", json!({})).await, ward.adds("goal", "Two", json!({})).await);
    let amended = ward.says(&goal, "FIRST-WORDS", json!({})).await;
    let retracted = ward.says(&goal, "WRONG-PATIENT", json!({})).await;
    let relinked = ward.says(&goal, "stays", json!({})).await;
    ward.changes("message.amend", &amended, "text", "second words").await;
    ward.changes("message.retract", &retracted, "reason", "Wrong patient").await;
    ward.changes("message.relink", &relinked, "item", &other).await;
    let (_, bundle) = ward.bundle(ward.all(Format::FhirTransaction)).await;
    let text = bundle.to_string();
    assert!(!text.contains("FIRST-WORDS") && !text.contains("WRONG-PATIENT"));
    let get = |id: &str| &of(&bundle, "Communication", id).expect("there")["resource"];
    assert_eq!(get(&amended)["payload"], json!([{"contentString": "second words"}]));
    assert_eq!(get(&retracted)["payload"], json!([{"contentString": "Retracted by author"}]));
    assert_eq!(get(&retracted)["status"], "entered-in-error");
    assert_eq!(get(&retracted)["statusReason"], json!({"text": "Wrong patient"}));
    assert_eq!(get(&relinked)["about"][0]["display"], "Two");
    assert_eq!(messages(&bundle).len(), 3);
    let why = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "Provenance").expect("why");
    assert_eq!(why["resource"]["activity"]["coding"][0]["code"], "NULLIFY");
}

#[tokio::test]
async fn what_a_chart_has_is_sent_again_only_when_it_changed() {
    let ward = Ward::new().await;
    let goal = ward.adds("goal", "One", json!({})).await;
    let (kept, changed) = (ward.says(&goal, "kept", json!({})).await, ward.says(&goal, "old", json!({})).await);
    assert!(ward.bundle(ward.since_last(Format::FhirTransaction)).await.0 > 0);
    let (new, nothing) = ward.bundle(ward.since_last(Format::FhirTransaction)).await;
    assert_eq!((new, nothing), (0, json!({"resourceType": "Bundle", "type": "transaction"})));

    ward.changes("message.amend", &changed, "text", "new").await;
    let reply = ward.says(&goal, "a reply", json!({"reply_to": kept})).await;
    let (new, bundle) = ward.bundle(ward.since_last(Format::FhirTransaction)).await;
    assert_eq!(new, 2);
    assert!(of(&bundle, "Communication", &kept).is_none());
    let again = of(&bundle, "Communication", &changed).expect("again");
    assert_eq!(again["request"]["method"], "PUT");
    assert!(again["request"]["url"].as_str().expect("a url").starts_with("Communication?identifier="));
    assert_eq!(again["resource"]["payload"], json!([{"contentString": "new"}]));
    let reply = of(&bundle, "Communication", &reply).expect("new");
    assert_eq!(reply["request"]["method"], "POST");
    let to = reply["resource"]["inResponseTo"][0]["reference"].as_str().expect("a reference");
    assert!(to.starts_with("Communication?identifier=") && to.ends_with(&kept), "{to}");

    // A whole export goes by what the chart has too.
    ward.changes("message.amend", &kept, "text", "kept no more").await;
    let (_, bundle) = ward.bundle(ward.all(Format::FhirTransaction)).await;
    let method = |id: &str| of(&bundle, "Communication", id).expect("there")["request"]["method"].clone();
    assert_eq!((method(&kept), method(&changed)), (json!("PUT"), json!("POST")));
    assert_eq!(ward.bundle(ward.since_last(Format::FhirTransaction)).await.0, 0);
}

#[tokio::test]
async fn an_outside_discussion_is_a_note_an_event_and_a_late_entry() {
    let ward = Ward::new().await;
    let goal = ward.adds("goal", "Below 140", json!({})).await;
    let now = ward.house.world.now();
    let (held, ended) = (now - 10_000_000_000, now - 9_000_000_000);
    let note = json!({"channel": ward.conversation, "item": goal, "medium": "phone", "held_at": rfc3339(held), "ended_at": rfc3339(ended),
        "with": [{"name": "Dr. Osei", "role": "nephrologist"}, {"name": "Lead", "user": ward.lead.user}],
        "text": "Two missed doses.", "decisions": ["Pillbox"]});
    let note = ward.house.run(&ward.lead, "note.log", note).await;
    let id = note["id"].as_str().expect("an id");
    let (_, bundle) = ward.bundle(ward.all(Format::FhirTransaction)).await;
    let document = of(&bundle, "DocumentReference", id).expect("a note");
    let resource = &document["resource"];
    let attachment = &resource["content"][0]["attachment"];
    let text = crate::kernel::crypto::from_base64(attachment["data"].as_str().expect("data")).expect("base64");
    let text = String::from_utf8(text).expect("text");
    assert_eq!(attachment["size"], json!(text.len()));
    for part in ["Dr. Osei, nephrologist", "Two missed doses.", "Pillbox", "Below 140", "late entry"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(resource["type"]["coding"][0]["code"], "34748-4");
    let event = messages(&bundle)[0];
    assert_eq!(event["resource"]["payload"][0]["contentReference"]["reference"], document["fullUrl"]);
    assert_eq!(event["resource"]["recipient"][0], json!({"display": "Dr. Osei, nephrologist"}));
    assert_eq!(event["resource"]["medium"][0]["coding"][0]["code"], "PHONE");
    let late = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "Provenance").expect("late");
    let targets = json!([{"reference": document["fullUrl"]}, {"reference": event["fullUrl"]}]);
    assert_eq!(late["resource"]["target"], targets);
    assert_eq!(late["resource"]["reason"][0]["text"], "Late entry: documented 150 minutes after the discussion");
}

#[tokio::test]
async fn the_same_export_is_the_same_bundle() {
    let ward = Ward::new().await;
    let goal = ward.adds("goal", "One", json!({})).await;
    ward.says(&goal, "a", json!({})).await;
    let one = ward.bundle(ward.all(Format::FhirTransaction)).await.1;
    assert_eq!(one, ward.bundle(ward.all(Format::FhirTransaction)).await.1);
}

#[tokio::test]
async fn a_member_exports_no_hidden_conversation() {
    let ward = Ward::new().await;
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let member = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", member).await;
    let goal = ward.adds("goal", "One", json!({})).await;
    let named = ward.opens("lead only", json!({"audience": "named", "members": []})).await;
    let hidden = json!({"channel": named, "item": goal, "text": "HIDDEN-WORDS"});
    ward.house.run(&ward.lead, "message.post", hidden).await;
    let nurse = Subject { stepped_up_until: Micros::MAX, ..nurse };
    let (_, out) = ward.export(&nurse, ward.all(Format::FhirTransaction)).await;
    let text = bundle(&out).to_string();
    assert!(!text.contains("HIDDEN-WORDS") && !text.contains(&named.to_string()));
    let (_, out) = ward.export(&ward.lead, ward.all(Format::FhirTransaction)).await;
    let bundle = bundle(&out);
    let restricted = messages(&bundle)[0]["resource"]["meta"]["security"][0]["code"].clone();
    assert_eq!(restricted, "R");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Post,
    Amend(prop::sample::Index),
    Retract(prop::sample::Index),
    Relink(prop::sample::Index),
    Export,
    ExportAll,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Post),
        2 => any::<prop::sample::Index>().prop_map(Step::Amend),
        1 => any::<prop::sample::Index>().prop_map(Step::Retract),
        1 => any::<prop::sample::Index>().prop_map(Step::Relink),
        2 => Just(Step::Export),
        1 => Just(Step::ExportAll),
    ]
}

/// A chart as it takes Bundles: `POST` with `ifNoneExist` makes what is not there, `PUT` puts.
#[derive(Default)]
struct TakingChart(BTreeMap<String, Value>);

impl TakingChart {
    fn take(&mut self, bundle: &Value) {
        for entry in messages(bundle) {
            let id = entry["resource"]["identifier"][0]["value"].as_str().expect("an id").to_owned();
            let said = &entry["resource"];
            let state = json!([said["payload"][0]["contentString"], said["status"], said["about"][0]["display"]]);
            if entry["request"]["method"] == "PUT" {
                self.0.insert(id, state);
            } else {
                self.0.entry(id).or_insert(state);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Law 8: after any order of edits and exports, one more export leaves the chart with what the record says.
    #[test]
    fn the_chart_ends_with_what_the_record_says(steps in prop::collection::vec(steps(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let ward = Ward::new().await;
            let items = [ward.adds("goal", "One", json!({})).await, ward.adds("problem", "Two", json!({})).await];
            let mut said: Vec<(String, Value)> = Vec::new();
            let mut chart = TakingChart::default();
            for (n, step) in steps.into_iter().chain([Step::Export]).enumerate() {
                let chosen = |at: prop::sample::Index, said: &[(String, Value)]| {
                    let open: Vec<usize> = (0..said.len()).filter(|at| said[*at].1[1] == "completed").collect();
                    (!open.is_empty()).then(|| open[at.index(open.len())])
                };
                match step {
                    Step::Post => {
                        let id = ward.says(&items[0], &format!("words {n}"), json!({})).await;
                        said.push((id, json!([format!("words {n}"), "completed", "One"])));
                    }
                    Step::Amend(at) => if let Some(at) = chosen(at, &said) {
                        ward.changes("message.amend", &said[at].0, "text", &format!("words {n}")).await;
                        said[at].1[0] = format!("words {n}").into();
                    },
                    Step::Retract(at) => if let Some(at) = chosen(at, &said) {
                        ward.changes("message.retract", &said[at].0, "reason", "because").await;
                        said[at].1[0] = "Retracted by author".into();
                        said[at].1[1] = "entered-in-error".into();
                    },
                    Step::Relink(at) => if let Some(at) = chosen(at, &said) {
                        let to = if said[at].1[2] == "One" { 1 } else { 0 };
                        ward.changes("message.relink", &said[at].0, "item", &items[to]).await;
                        said[at].1[2] = ["One", "Two"][to].into();
                    },
                    Step::Export => chart.take(&ward.bundle(ward.since_last(Format::FhirTransaction)).await.1),
                    Step::ExportAll => chart.take(&ward.bundle(ward.all(Format::FhirTransaction)).await.1),
                }
            }
            assert_eq!(chart.0, said.into_iter().collect());
        });
    }
}

#[tokio::test]
async fn a_team_says_who_is_there_and_who_was() {
    let ward = Ward::new().await;
    let house = &ward.house;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    let member = |role: &str| json!({"patient": ward.patient, "user": nurse.user, "role": role});
    let gone = json!({"patient": ward.patient, "user": nurse.user, "reason": "Another ward"});
    let joined = house.run(&ward.lead, "team.add", member("Nurse")).await;
    house.advance(1_000_000);
    let left = house.run(&ward.lead, "team.remove", gone).await;
    house.advance(1_000_000);
    let again = house.run(&ward.lead, "team.add", member("Charge nurse")).await;
    let goal = ward.adds("goal", "Walk", json!({})).await;
    ward.says(&goal, "All there", json!({})).await;
    let (_, bundle) = ward.bundle(ward.all(Format::FhirTransaction)).await;
    let team = entries(&bundle).iter().find(|entry| entry["resource"]["resourceType"] == "CareTeam").expect("a team");
    let there = of(&bundle, "Practitioner", &nurse.user.to_string()).expect("the nurse")["fullUrl"].clone();
    let all = team["resource"]["participant"].as_array().expect("people");
    let told: Vec<(&Value, &Value)> = all
        .iter()
        .filter(|one| one["member"]["reference"] == there)
        .map(|one| (&one["role"][0]["text"], &one["period"]))
        .collect();
    let at = |reply: &Value| format!("{}Z", &reply["at"].as_str().expect("a time")[..23]);
    let first = json!({"start": at(&joined), "end": at(&left)});
    assert_eq!(told, [(&json!("Nurse"), &first), (&json!("Charge nurse"), &json!({"start": at(&again)}))]);
    assert!(all.iter().all(|one| one["period"]["start"].is_string()), "{all:?}");
}
