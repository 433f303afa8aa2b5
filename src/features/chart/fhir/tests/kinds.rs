//! Every kind of record in a Bundle: tasks, handoffs, check-ins, files, addenda, and what is chosen of them.

use serde_json::{Value, json};

use super::{entries, messages, of};
use crate::features::channels::Class;
use crate::features::chart::tests::Ward;
use crate::features::chart::{ExportRequest, Format};
use crate::features::files;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{FileId, ItemId};
use crate::kernel::crypto::{attachment_hash, base64, hash, hex};
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::id_of;

impl Ward {
    /// A second member of staff.
    pub(super) async fn colleague(&self) -> Subject {
        let nurse = self.house.person("nurse", PersonKind::Practitioner).await;
        let member = json!({"patient": self.patient, "user": nurse.user, "role": "Night nurse"});
        self.house.run(&self.lead, "team.add", member).await;
        nurse
    }

    async fn stores(&self, name: &str, content: &[u8]) -> FileId {
        let stored = files::store(&self.house.engine, &self.lead, self.conversation, name, Some("text/plain"), content);
        stored.await.expect("there is room").id
    }

    /// One of each kind of record. Gives the goal it is about.
    pub(super) async fn lives(&self, hostile: &str) -> String {
        let nurse = self.colleague().await;
        let goal = self.adds("goal", "Below 140", json!({"detail": hostile})).await;
        self.adds("barrier", &format!("No transport {hostile}"), json!({})).await;
        let file = self.stores("scan.txt", b"a scan").await;
        let said = self.says(&goal, hostile, json!({"priority": "stat", "files": [file]})).await;
        let task = json!({"channel": self.conversation, "item": goal, "title": format!("Call {hostile}"), "owner": nurse.user,
            "due": "2027-03-03", "checklist": [hostile], "from_message": said});
        let task = self.house.run(&self.lead, "task.create", task).await;
        let task = task["id"].as_str().expect("an id").to_owned();
        self.house.run(&nurse, "task.decline", json!({"task": task, "rev": 1, "reason": hostile})).await;
        self.says(&goal, "About the task", json!({ "task": task })).await;
        self.talks(&goal, hostile).await;
        let ipass = json!({"illness_severity": "watcher", "patient_summary": hostile, "action_list": [hostile], "situation_awareness": hostile});
        let offer = json!({"patient": self.patient, "to": nurse.user, "ipass": ipass, "responsibilities": []});
        let offer = self.house.run(&self.lead, "handoff.offer", offer).await;
        let accept = json!({"handoff": offer["handoff"], "synthesis": format!("I have {hostile}")});
        self.house.run(&nurse, "handoff.accept", accept).await;
        self.checks_in(&goal, hostile).await;
        goal
    }

    /// A late note of a call, with an addendum.
    async fn talks(&self, goal: &str, hostile: &str) {
        let held = self.house.world.now() - 300 * MINUTE;
        let note = json!({"channel": self.conversation, "item": goal, "medium": "phone", "held_at": rfc3339(held),
            "with": [{"name": hostile, "role": "nephrologist"}], "text": hostile, "decisions": [hostile]});
        let note = self.house.run(&self.lead, "note.log", note).await;
        let addend = json!({"note": note["id"], "text": format!("Also {hostile}")});
        self.house.run(&self.lead, "note.addend", addend).await;
    }

    async fn checks_in(&self, goal: &str, hostile: &str) {
        let schedule = json!({"channel": self.conversation, "rrule": "FREQ=DAILY", "questions": ["How is she?", "Pain?"], "close_minutes": 60});
        self.house.run(&self.lead, "checkin.schedule", schedule).await;
        self.house.advance(1440 * MINUTE);
        self.house.ring().await;
        let open = self.house.run(&self.lead, "checkin.get", json!({"channel": self.conversation})).await;
        let answer = json!({"checkin": open["open"]["id"], "item": goal, "answers": [hostile, "None"]});
        self.house.run(&self.lead, "checkin.answer", answer).await;
    }

    async fn whole(&self) -> Value {
        self.exported(self.all(Format::FhirTransaction)).await
    }

    async fn exported(&self, request: ExportRequest) -> Value {
        let (_, out) = self.export(&self.lead, request).await;
        let bundle = super::bundle(&out);
        super::sound(&bundle);
        bundle
    }
}

fn titled<'b>(bundle: &'b Value, kind: &str) -> Vec<&'b Value> {
    messages(bundle)
        .into_iter()
        .map(|entry| &entry["resource"])
        .filter(|one| one["category"][0]["text"] == kind)
        .collect()
}

#[tokio::test]
async fn every_kind_of_record_has_its_place() {
    let ward = Ward::new().await;
    let goal = ward.lives("plain words").await;
    let bundle = ward.whole().await;
    let url = |class: &str, id: &str| of(&bundle, class, id).expect("there")["fullUrl"].clone();
    let task =
        entries(&bundle).iter().find(|entry| entry["resource"]["description"] == "Call plain words").expect("a task");
    let resource = &task["resource"];
    assert_eq!((&resource["status"], &resource["statusReason"]["text"]), (&json!("rejected"), &json!("plain words")));
    assert_eq!(resource["focus"]["reference"], url("Goal", &goal));
    assert_eq!(resource["restriction"]["period"]["end"], "2027-03-03");
    assert_eq!(task["request"]["method"], "PUT");

    let said = titled(&bundle, "Care team message");
    let urgent = said.iter().find(|one| one["priority"] == "stat").expect("a message");
    assert_eq!(urgent["category"][0]["coding"][0]["code"], "alert");
    let attachment = json!({"contentType": "text/plain", "data": base64(b"a scan"), "size": 6,
        "hash": base64(&attachment_hash(b"a scan")), "title": "scan.txt"});
    assert_eq!(urgent["payload"][1], json!({ "contentAttachment": attachment }));
    let origin = entries(&bundle).iter().find(|entry| entry["resource"] == **urgent).expect("there");
    assert_eq!(resource["reasonReference"]["reference"], origin["fullUrl"]);
    let about = said.iter().find(|one| one["payload"][0]["contentString"] == "About the task").expect("a message");
    assert_eq!(about["about"][1]["reference"], task["fullUrl"]);

    let offer = titled(&bundle, "Handoff (I-PASS)");
    assert_eq!((offer.len(), &offer[0]["note"][0]["text"]), (1, &json!("Accepted")));
    let answer = titled(&bundle, "Synthesis by the receiver of a handoff");
    assert_eq!(answer[0]["payload"][0]["contentString"], "I have plain words");
    assert!(answer[0]["inResponseTo"][0]["reference"].as_str().expect("a reference").starts_with("urn:uuid:"));
    let answer = titled(&bundle, "Answer to a check-in");
    assert_eq!(answer[0]["payload"][0]["contentString"], "How is she?\nplain words\n\nPain?\nNone");

    let addendum =
        entries(&bundle).iter().find(|entry| entry["resource"]["relatesTo"].is_array()).expect("an addendum");
    let note = addendum["resource"]["relatesTo"][0]["target"]["reference"].clone();
    assert!(entries(&bundle).iter().any(|entry| entry["fullUrl"] == note), "the note is here, too");
    let barrier =
        entries(&bundle).iter().find(|entry| entry["resource"]["category"][0]["text"] == "Barrier").expect("a barrier");
    assert_eq!(barrier["resource"]["category"][0]["coding"][0]["code"], "sdoh");
}

#[tokio::test]
async fn a_task_is_sent_again_when_it_changed_and_an_addendum_once() {
    let ward = Ward::new().await;
    ward.lives("words").await;
    let note = {
        let bundle = ward.exported(ward.since_last(Format::FhirTransaction)).await;
        let note = entries(&bundle).iter().find(|entry| entry["resource"]["docStatus"] == "final").expect("a note");
        note["resource"]["identifier"][0]["value"].clone()
    };
    let board = ward.house.run(&ward.lead, "board.get", json!({"patient": ward.patient})).await;
    let task =
        board["columns"].as_array().expect("columns").iter().find_map(|column| column["tasks"][0]["id"].as_str());
    let task = task.expect("a task").to_owned();
    ward.house.run(&ward.lead, "task.assign", json!({"task": task, "rev": 2, "owner": ward.lead.user})).await;
    ward.house.run(&ward.lead, "note.addend", json!({"note": note, "text": "More"})).await;
    let bundle = ward.exported(ward.since_last(Format::FhirTransaction)).await;
    let again = of(&bundle, "Task", &task).expect("again");
    assert_eq!((&again["request"]["method"], &again["resource"]["status"]), (&json!("PUT"), &json!("accepted")));
    let documents: Vec<&Value> =
        entries(&bundle).iter().filter(|entry| entry["resource"]["resourceType"] == "DocumentReference").collect();
    assert_eq!(documents.len(), 1, "the note itself is as it was");
    let to = documents[0]["resource"]["relatesTo"][0]["target"]["reference"].as_str().expect("a reference");
    assert!(to.starts_with("DocumentReference?identifier="), "{to}");
}

#[tokio::test]
async fn a_file_without_room_is_named() {
    let ward = Ward::new().await;
    let goal = ward.adds("goal", "One", json!({})).await;
    let large = vec![b'x'; (5 << 20) + 1];
    let (large_id, small) = (ward.stores("large.txt", &large).await, ward.stores("small.txt", b"s").await);
    ward.says(&goal, "Two files", json!({"files": [large_id, small]})).await;
    let bundle = ward.whole().await;
    let payload = messages(&bundle)[0]["resource"]["payload"].clone();
    let title = format!("large.txt (5242881 bytes, SHA-256 {}; not included)", hex(&hash(&large)));
    let named = json!({"contentType": "text/plain", "size": 5_242_881, "title": title});
    assert_eq!(payload[1], json!({ "contentAttachment": named }));
    assert_eq!(payload[2]["contentAttachment"]["data"], base64(b"s"));
}

#[tokio::test]
async fn what_is_chosen_is_all_that_is_said() {
    let ward = Ward::new().await;
    let (one, two) = (ward.adds("goal", "One", json!({})).await, ward.adds("goal", "Two", json!({})).await);
    let first = ward.says(&one, "first", json!({})).await;
    ward.says(&two, "second", json!({"class": "coordination", "reply_to": first})).await;
    let texts = |bundle: &Value| -> Vec<Value> {
        messages(bundle).iter().map(|entry| entry["resource"]["payload"][0]["contentString"].clone()).collect()
    };
    let items: Vec<ItemId> = vec![two.parse().expect("an id")];
    let request = ExportRequest { items: Some(items), ..ward.all(Format::FhirTransaction) };
    let bundle = ward.exported(request).await;
    assert_eq!(texts(&bundle), [json!("second")]);
    let answered =
        messages(&bundle)[0]["resource"]["inResponseTo"][0]["reference"].as_str().expect("a reference").to_owned();
    assert!(answered.starts_with("Communication?identifier="), "what was not chosen is not in the Bundle: {answered}");
    let request = ExportRequest { classes: Some(vec![Class::Coordination]), ..ward.all(Format::FhirTransaction) };
    assert_eq!(texts(&ward.exported(request).await), [json!("second")]);
    let request =
        ExportRequest { entries: Some(vec![id_of(&json!({"id": first}), "id")]), ..ward.all(Format::FhirTransaction) };
    assert_eq!(texts(&ward.exported(request).await), [json!("first")]);
}
