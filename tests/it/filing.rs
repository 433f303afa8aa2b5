//! Exports from a draft to a receiver that others wrote: attested, filed once, changed where the record changed; what is audited and
//! accounted for of it.

use serde_json::{Value, json};

use super::desk::{Desk, ehr, once, said, trusted, versions};
use super::peers::FhirServer;
use super::server::{Person, list, text};

async fn site(profile: &str) -> (FhirServer, Desk) {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, profile, "entries_max = 8")).await;
    (fhir, desk)
}

both!(what_is_attested_and_taken_back_is_not_filed_and_a_repeat_says_so);
async fn what_is_attested_and_taken_back_is_not_filed_and_a_repeat_says_so() {
    let (fhir, desk) = site("full").await;
    // Two people are to stand for it: the first one's word alone files nothing.
    let (lead, nurse) = (desk.trusted_lead().await, desk.server.person("nurse").await);
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    let draft = json!({"patient": desk.ward.id("patient"), "target": "ehr", "purpose": "Continuity of care",
        "attesters": [lead.id, nurse.id]});
    let export = text(&desk.server.run(&lead, "export.draft", draft).await, "export");
    desk.attested(&lead, &export).await;
    let withdraw = json!({"export": export, "reason": "One day too early", "key": super::chance::fresh_id()});
    let first = desk.server.run(&lead, "export.withdraw", withdraw.clone()).await;
    assert_eq!((&first["state"], &first["repeat"]), (&json!("withdrawn"), &Value::Null), "{first}");
    let again = desk.server.run(&lead, "export.withdraw", withdraw).await;
    assert_eq!(
        (&again["state"], &again["rev"], &again["repeat"]),
        (&first["state"], &first["rev"], &json!(true)),
        "{again}"
    );
    assert!(fhir.received().await.iter().all(|one| one["method"] == "GET"));
}

both!(an_attested_export_is_filed_once_and_follows_the_record);
async fn an_attested_export_is_filed_once_and_follows_the_record() {
    let (fhir, mut desk) = site("full").await;
    let unknown = desk.draft("ehr").await;
    desk.attest(&unknown).await;
    let shown = desk.until(&unknown, "failed").await;
    assert_eq!(shown["outcome"]["code"], "patient_unknown", "{shown}");
    desk.known(&fhir).await;
    let unstepped = json!({"export": desk.draft("ehr").await, "rev": 1, "statement": "x"});
    let refused = desk.server.code(&desk.ward.lead, "export.attest", unstepped).await;
    assert_eq!(refused, "forbidden", "without a password entered lately");
    let first = desk.file("ehr").await;
    assert!(first["filed"]["resources"].as_i64().unwrap() > 8, "{first}");
    let (there, words) = (versions(&fhir).await, said(&fhir).await);
    assert!(words.iter().any(|(text, _)| text == "said as second"), "{words:?}");
    // Nothing new: nothing is sent.
    let requests = fhir.received().await.len();
    let again = desk.file("ehr").await;
    assert_eq!(again["filed"]["resources"], 0, "{again}");
    let received = fhir.received().await;
    assert!(received[requests..].iter().all(|one| one["method"] == "GET"), "{received:?}");
    assert_eq!(versions(&fhir).await, there);
    // What changed since is changed there: a retraction, an amendment, an addendum, and a note of long ago.
    let reason = json!({"message": desk.ward.id("message_staff"), "reason": "Another patient's dose"});
    desk.server.run(&desk.ward.lead, "message.retract", reason).await;
    let amended = json!({"message": desk.ward.id("second"), "text": "said better"});
    desk.server.run(&desk.ward.lead, "message.amend", amended).await;
    let addendum = json!({"note": desk.ward.id("note_staff"), "text": "He changed his mind"});
    desk.server.run(&desk.ward.lead, "note.addend", addendum).await;
    let late = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "medium": "phone",
        "text": "Heard long ago", "held_at": "2025-11-02T03:04:05Z", "with": [{"name": "Dr. Osei"}]});
    let late = desk.server.run(&desk.ward.lead, "note.log", late).await;
    assert_eq!(late["late"], true, "{late}");
    desk.ward.says(&desk.server, "third", "staff", "goal").await;
    desk.file("ehr").await;
    let now = said(&fhir).await;
    assert!(now.iter().any(|(text, status)| text == "Retracted by author" && status == "entered-in-error"), "{now:?}");
    assert!(now.iter().any(|(text, _)| text == "said better") && !now.iter().any(|(text, _)| text == "said as second"));
    let stored = fhir.stored(None).await;
    once(&stored);
    let of = |id: &str| stored.iter().find(|one| one["identifier"][0]["value"] == id).unwrap_or_else(|| panic!("{id}"));
    let note = of(desk.ward.id("note_staff"));
    let parent = format!("DocumentReference/{}", text(note, "id"));
    let appends = stored.iter().find(|one| one["relatesTo"][0]["target"]["reference"] == parent.as_str());
    let appends = appends.expect("the addendum refers to the note that is there");
    assert_eq!(appends["relatesTo"][0]["code"], "appends", "{appends}");
    let documented = of(late["id"].as_str().unwrap());
    assert_eq!(documented["resourceType"], "DocumentReference");
    assert!(documented["context"]["period"]["start"].as_str().unwrap().starts_with("2025-11-02"), "{documented}");
    let retracted =
        |one: &&Value| one["resourceType"] == "Provenance" && one["activity"]["coding"][0]["code"] == "NULLIFY";
    assert_eq!(stored.iter().filter(retracted).count(), 1, "why it was taken back");
    let status = desk.server.run(&desk.officer, "chart.status", json!({"patient": desk.ward.id("patient")})).await;
    let goal = list(&status["charts"][0], "items").iter().find(|one| one["item"] == desk.ward.id("goal")).unwrap();
    assert_eq!((&goal["new"], &goal["changed"]), (&json!(0), &json!(0)), "{status}");
    let there = versions(&fhir).await;
    assert_eq!(desk.file("ehr").await["filed"]["resources"], 0);
    assert_eq!(versions(&fhir).await, there);
}

both!(an_export_made_over_http_is_fetched_by_who_made_it);
async fn an_export_made_over_http_is_fetched_by_who_made_it() {
    let (_fhir, desk) = site("full").await;
    let path = format!("/v1/patients/{}/exports", desk.ward.id("patient"));
    let headers =
        |person: &Person| format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", person.token);
    let asked = b"{\"format\":\"ndjson\",\"purpose\":\"Second opinion\"}";
    let made = desk.server.request(&format!("POST {path}"), &headers(&desk.officer), asked).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let url = text(&made.json(), "url");
    let other = desk.server.request(&format!("GET {url}"), &headers(&desk.ward.lead), b"").await;
    assert_eq!(other.status, 404);
    assert!(desk.audited("export.download").await.is_empty());
    for times in [1, 2] {
        let fetched = desk.server.request(&format!("GET {url}"), &headers(&desk.officer), b"").await;
        assert_eq!(fetched.status, 200);
        assert_eq!(fetched.text.lines().count() as i64, made.json()["entries"].as_i64().unwrap());
        assert!(fetched.text.contains("said as second"), "{}", fetched.text);
        // Each download is a line of the trail, and it says whose record, by whom, which.
        let downloads = desk.audited("export.download").await;
        assert_eq!(downloads.len(), times, "{downloads:?}");
        let line = downloads.last().unwrap();
        let told = (&line["actor"], &line["patient"], &line["object"], &line["outcome"]);
        let known = [&desk.officer.id, desk.ward.id("patient"), &text(&made.json(), "id"), "done"].map(Value::from);
        assert_eq!(told, (&known[0], &known[1], &known[2], &known[3]));
    }
    let accounted =
        desk.server.run(&desk.officer, "disclosure.list", json!({"patient": desk.ward.id("patient")})).await;
    let file = &list(&accounted, "disclosures")[0];
    assert_eq!(
        (&file["format"], &file["purpose"], &file["failed"]),
        (&json!("ndjson"), &json!("Second opinion"), &Value::Null)
    );
    let unstepped =
        desk.server.request(&format!("POST {path}"), &headers(&desk.ward.lead), b"{\"format\":\"ndjson\"}").await;
    assert_eq!(unstepped.status, 403, "{}", unstepped.text);
}

both!(a_filing_that_failed_is_audited_and_accounted_for);
async fn a_filing_that_failed_is_audited_and_accounted_for() {
    let (fhir, desk) = site("full").await;
    // Nobody of ours is known there: nothing of the record leaves.
    let unknown = desk.draft("ehr").await;
    desk.attest(&unknown).await;
    desk.until(&unknown, "failed").await;
    let patient = json!({"patient": desk.ward.id("patient")});
    let accounted = async || {
        let answer = desk.server.run(&desk.officer, "disclosure.list", patient.clone()).await;
        list(&answer, "disclosures").clone()
    };
    assert!(accounted().await.is_empty());
    desk.known(&fhir).await;
    let before = accounted().await.len();
    // The second parcel is refused for good: the receiver has the first one.
    let issue =
        json!({"severity": "error", "code": "invalid", "diagnostics": "no such code", "expression": ["Task.code"]});
    let refusal = json!({"resourceType": "OperationOutcome", "issue": [issue]});
    fhir.faults(json!([{"kind": "status", "status": 422, "method": "POST", "skip": 1, "body": refusal}])).await;
    let export = desk.draft("ehr").await;
    desk.attest(&export).await;
    let shown = desk.until(&export, "failed").await;
    assert!(shown["outcome"]["words"].as_str().unwrap().contains("no such code (Task.code)"), "{shown}");
    let failed = desk.audited("export.failed").await;
    let objects: Vec<&Value> = failed.iter().map(|line| &line["object"]).collect();
    assert_eq!(objects, [unknown.as_str(), &export], "{failed:?}");
    for line in &failed {
        assert_eq!((&line["outcome"], &line["patient"]), (&json!("failed"), &patient["patient"]), "{line}");
        assert!(!line.to_string().contains("no such code"), "{line}");
    }
    let told = accounted().await;
    assert_eq!(told.len(), before + 1, "{told:?}");
    let [told, ..] = told.as_slice() else { panic!("nothing") };
    let expected =
        json!({"target": "ehr", "purpose": "Continuity of care", "failed": "refused", "by": desk.officer.id});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{told}");
    }
    let headers = format!("Authorization: Bearer {}\r\n", desk.officer.token);
    let path = format!("GET /v1/patients/{}/disclosures", desk.ward.id("patient"));
    let csv = desk.server.request(&format!("{path}?format=csv"), &headers, b"").await;
    let newest = csv.text.lines().nth(1).unwrap();
    assert!(newest.contains(",ehr,Continuity of care,full,") && newest.ends_with(",refused"), "{}", csv.text);
    let events = desk.server.request(&format!("{path}?format=fhir"), &headers, b"").await.json();
    let newest = &events["entry"][0]["resource"];
    assert!(newest["outcome"] == "8" && newest["outcomeDesc"].as_str().unwrap().starts_with("refused"), "{newest}");
    // The rest is filed after all, and what is there is not sent again.
    desk.server.run(&desk.officer, "export.retry", json!({ "export": export })).await;
    desk.until(&export, "filed").await;
    once(&fhir.stored(None).await);
    assert_eq!(accounted().await.len(), before + 2);
    // The trail is one chain, these lines among it.
    let verified = desk.server.cli(&["verify", "--record"]).await;
    assert_eq!(verified["faults"], json!([]), "{verified}");
}

both!(an_officer_is_no_member_and_a_token_says_what_it_may);
async fn an_officer_is_no_member_and_a_token_says_what_it_may() {
    let (_fhir, desk) = site("note-only").await;
    let mut nurse = desk.server.person("nurse").await;
    let draft = json!({"patient": desk.ward.id("patient"), "target": "ehr"});
    assert_eq!(desk.server.code(&nurse, "export.draft", draft.clone()).await, "not_found");
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    let export = text(&desk.server.run(&nurse, "export.draft", draft).await, "export");
    let attest = json!({"export": export, "rev": 1, "statement": "Complete"});
    assert_eq!(desk.server.code(&nurse, "export.attest", attest.clone()).await, "forbidden");
    nurse.token = trusted(&desk.server, "nurse").await;
    assert_eq!(desk.server.run(&nurse, "export.attest", attest).await["state"], "attested");
}

both!(a_preview_counts_what_will_be_filed);
async fn a_preview_counts_what_will_be_filed() {
    let place = tempfile::tempdir().unwrap();
    let drop = place.path().display();
    let fhir = FhirServer::start().await;
    let drop = format!("[targets.drop]\nkind = \"folder\"\npath = \"{drop}\"\nformat = \"fhir-document\"\n");
    let mut desk = Desk::open(&format!("{}{drop}", ehr(&fhir, "full", "entries_max = 8"))).await;
    desk.known(&fhir).await;
    let preview = async |desk: &Desk, export: &str| {
        desk.server.run(&desk.officer, "export.preview", json!({"export": export})).await
    };
    // Said between the first attestation and the last one: it is not filed, so it is not counted.
    let (lead, mut nurse) = (desk.trusted_lead().await, desk.server.person("nurse").await);
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    nurse.token = trusted(&desk.server, "nurse").await;
    let data = json!({"patient": desk.ward.id("patient"), "target": "ehr", "attesters": [lead.id, nurse.id]});
    let export = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    let before = preview(&desk, &export).await;
    desk.attested(&lead, &export).await;
    desk.clock.advance(1);
    desk.ward.says(&desk.server, "late", "staff", "goal").await;
    assert_eq!(preview(&desk, &export).await, before);
    let seen = json!({"export": export, "rev": 2, "statement": "Seen"});
    desk.server.run(&nurse, "export.attest", seen).await;
    let filed = desk.until(&export, "filed").await;
    assert_eq!(filed["filed"]["entries"], before["entries"], "{before}");
    assert!(list(&before, "kinds").iter().all(|kind| kind["kind"] != "export"), "{before}");
    // What the target has is not counted again.
    let next = preview(&desk, &desk.draft("ehr").await).await;
    assert_eq!((&next["entries"], &next["kinds"][0]["kind"]), (&json!(1), &json!("message")), "{next}");
    // A document that is corrected is filed as a whole, and counted so.
    desk.file("drop").await;
    assert_eq!(preview(&desk, &desk.draft("drop").await).await["entries"], 0);
    let amended = json!({"message": desk.ward.id("second"), "text": "said better"});
    desk.server.run(&desk.ward.lead, "message.amend", amended).await;
    let data = json!({"patient": desk.ward.id("patient"), "target": "drop", "attesters": [lead.id, nurse.id]});
    let export = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    desk.attested(&lead, &export).await;
    let whole = preview(&desk, &export).await;
    assert!(whole["entries"].as_u64() > before["entries"].as_u64(), "{whole}");
    let seen = json!({"export": export, "rev": 2, "statement": "Seen"});
    desk.server.run(&nurse, "export.attest", seen).await;
    let filed = desk.until(&export, "filed").await;
    assert_eq!(filed["filed"]["entries"], whole["entries"], "{whole}");
}

both!(an_attested_draft_is_taken_out_as_a_file);
async fn an_attested_draft_is_taken_out_as_a_file() {
    let desk = Desk::open("").await;
    let lead = desk.trusted_lead().await;
    let (patient, goal) = (desk.ward.id("patient").to_owned(), desk.ward.id("goal").to_owned());
    for wrong in
        [json!({"format": "proof"}), json!({"format": "odd"}), json!({"format": "html", "target": "ehr"}), json!({})]
    {
        let mut data = json!({ "patient": patient });
        data.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(desk.server.code(&lead, "export.draft", data).await, "invalid", "{wrong}");
    }
    let data = json!({"patient": patient, "format": "ndjson", "items": [goal], "attesters": [lead.id], "purpose": "Second opinion"});
    let export = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    let make = async |who: &Person, body: Value| {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", who.token);
        let path = format!("POST /v1/patients/{patient}/exports");
        desk.server.request(&path, &headers, body.to_string().as_bytes()).await
    };
    let asked = json!({ "export": export });
    let early = make(&lead, asked.clone()).await;
    assert_eq!((early.status, &early.json()["code"]), (409, &json!("bad_transition")), "{}", early.text);
    let mut stranger = desk.server.person("stranger").await;
    stranger.token = trusted(&desk.server, "stranger").await;
    assert_eq!(make(&stranger, asked.clone()).await.status, 404);
    desk.attested(&lead, &export).await;
    // What is said after it was attested is not in it, and nothing else is asked of it.
    let post = json!({"channel": desk.ward.id("staff"), "item": goal, "text": "said too late"});
    desk.server.run(&lead, "message.post", post).await;
    assert_eq!(make(&lead, json!({"export": export, "since": "last"})).await.status, 400);
    assert_eq!(make(&desk.ward.lead, asked.clone()).await.status, 403, "without a password entered lately");
    let made = make(&lead, asked.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let url = text(&made.json(), "url");
    let headers = format!("Authorization: Bearer {}\r\n", lead.token);
    let file = desk.server.request(&format!("GET {url}"), &headers, b"").await.text;
    assert!(file.contains("said as second") && !file.contains("said too late"), "{file}");
    assert!(!file.contains("said as message_unsorted"), "of the chosen item alone: {file}");
    let accounted = desk.server.run(&desk.officer, "disclosure.list", json!({ "patient": patient })).await;
    let told = &list(&accounted, "disclosures")[0];
    assert_eq!(
        (&told["purpose"], &told["format"], &told["by"]),
        (&json!("Second opinion"), &json!("ndjson"), &json!(lead.id))
    );
}
