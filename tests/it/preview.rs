//! What is going to be filed is shown before it is, to whoever sees its draft, word for word; looking changes nothing.

use serde_json::{Value, json};

use super::chance::fresh_id;
use super::desk::{Desk, trusted};
use super::http::Answer;
use super::server::{Person, list, text};

const SUMMARY: &str = "In short: the pressure <140> was not reached";

/// A desk with a folder that takes pages.
async fn desk() -> (tempfile::TempDir, Desk) {
    let out = tempfile::tempdir().unwrap();
    let path = out.path();
    let desk = Desk::open(&format!("[targets.drop]\nkind = \"folder\"\npath = {path:?}\nformat = \"html\"\n")).await;
    (out, desk)
}

async fn look(desk: &Desk, who: &Person, patient: &str, asked: Value) -> Answer {
    let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", who.token);
    let path = format!("POST /v1/patients/{patient}/exports");
    desk.server.request(&path, &headers, asked.to_string().as_bytes()).await
}

/// One section of a page.
fn section<'p>(page: &'p str, anchor: &str) -> &'p str {
    let from = page.find(&format!("<section id=\"{anchor}\"")).unwrap_or_else(|| panic!("no {anchor} in {page}"));
    let length = page[from..].find("</section>").expect("a section ends");
    &page[from..from + length]
}

/// The conversations of a page, and what is said of its plan items, tasks and changes. What it leaves out is counted up to now.
fn told(page: &str) -> Vec<&str> {
    let conversations = page.match_indices("<section id=\"c-").map(|(at, _)| {
        let length = page[at..].find("</section>").expect("a section ends");
        &page[at..at + length]
    });
    conversations.chain(["items", "tasks", "changes"].map(|anchor| section(page, anchor))).collect()
}

/// The page that is in the folder.
fn filed(out: &tempfile::TempDir, known: usize) -> String {
    let mut there: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    there.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(there.len(), known);
    std::fs::read_to_string(there.last().unwrap()).unwrap()
}

both!(what_is_shown_before_it_is_filed_is_what_is_filed);
async fn what_is_shown_before_it_is_filed_is_what_is_filed() {
    let (out, desk) = desk().await;
    let (lead, patient, goal) = (desk.trusted_lead().await, desk.ward.id("patient"), desk.ward.id("goal"));
    // What its receiver has already is neither shown nor filed again.
    let first = json!({"patient": patient, "target": "drop"});
    let first = text(&desk.server.run(&lead, "export.draft", first).await, "export");
    desk.attested(&lead, &first).await;
    desk.until(&first, "filed").await;
    let post = json!({"channel": desk.ward.id("staff"), "item": goal, "text": "Said since <then>"});
    desk.server.run(&lead, "message.post", post).await;

    let data = json!({"patient": patient, "target": "drop", "summaries": [{"item": goal, "text": SUMMARY}]});
    let export = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    let status = async || desk.server.run(&lead, "chart.status", json!({ "patient": patient })).await;
    let (shown, before) = (desk.shown(&export).await, status().await);
    // Whoever reads the channels may look, without the password; nothing comes of it.
    let asked = json!({"export": export, "preview": true});
    let draft = look(&desk, &desk.ward.lead, patient, asked.clone()).await;
    assert_eq!((draft.status, draft.header("content-type")), (200, "text/html; charset=utf-8"), "{}", draft.text);
    assert_eq!(draft.header("cache-control"), "no-store");
    assert!(draft.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert!(section(&draft.text, "attestation").contains("Nobody has attested this."));
    assert!(section(&draft.text, "attestation").contains("This is a preview."));
    assert!(draft.text.contains("In short: the pressure &lt;140&gt; was not reached"), "{}", draft.text);
    assert!(draft.text.contains("Said since &lt;then&gt;") && !draft.text.contains("said as second"), "{}", draft.text);
    assert_eq!((desk.shown(&export).await, status().await), (shown, before));
    let looked = desk.audited("export.read").await;
    let line = looked.last().expect("it is in the trail");
    let told_of = (&line["actor"], &line["patient"], &line["object"], &line["outcome"]);
    let known = [&lead.id, patient, &export, "done"].map(Value::from);
    assert_eq!(told_of, (&known[0], &known[1], &known[2], &known[3]));
    let accounted = desk.server.run(&desk.officer, "disclosure.list", json!({ "patient": patient })).await;
    assert_eq!(list(&accounted, "disclosures").len(), 1, "nothing but what was filed: {accounted}");

    desk.attested(&lead, &export).await;
    desk.until(&export, "filed").await;
    let page = filed(&out, 2);
    assert!(told(&draft.text) == told(&page), "{}\n\n{page}", draft.text);
    assert!(!page.contains("This is a preview.") && section(&page, "attestation").contains("Attested by"));
    let over = look(&desk, &lead, patient, asked).await;
    assert_eq!((over.status, &over.json()["code"]), (409, &json!("bad_transition")), "{}", over.text);
}

both!(what_waits_for_another_name_is_shown_with_the_first_and_without_what_came_later);
async fn what_waits_for_another_name_is_shown_with_the_first_and_without_what_came_later() {
    let (out, desk) = desk().await;
    let (lead, patient) = (desk.trusted_lead().await, desk.ward.id("patient"));
    let mut nurse = desk.server.person("nurse").await;
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    nurse.token = trusted(&desk.server, "nurse").await;
    let data = json!({"patient": patient, "target": "drop", "attesters": [lead.id, nurse.id]});
    let export = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    desk.attested(&lead, &export).await;
    let post = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "text": "Said too late"});
    desk.server.run(&lead, "message.post", post).await;
    let shown = look(&desk, &nurse, patient, json!({"export": export, "preview": true})).await.text;
    assert!(section(&shown, "attestation").contains("Complete and correct"), "{shown}");
    assert!(!shown.contains("Nobody has attested") && !shown.contains("Said too late"), "{shown}");
    // It is the same for whoever files it: a channel that is not read is not in it.
    let mine = look(&desk, &lead, patient, json!({"export": export, "preview": true})).await.text;
    assert!(mine.contains("said as message_named") && !shown.contains("said as message_named"));
    let rev = desk.shown(&export).await["rev"].clone();
    let attest = json!({"export": export, "rev": rev, "statement": "Seen"});
    desk.server.run(&nurse, "export.attest", attest).await;
    desk.until(&export, "filed").await;
    let page = filed(&out, 1);
    assert!(told(&mine) == told(&page), "{mine}\n\n{page}");
}

both!(a_preview_is_for_who_sees_the_draft);
async fn a_preview_is_for_who_sees_the_draft() {
    let (_out, desk) = desk().await;
    let patient = desk.ward.id("patient");
    let export = desk.draft("drop").await;
    let asked = json!({"export": export, "preview": true});
    let stranger = desk.server.person("stranger").await;
    let family = desk.server.person("ada").await;
    desk.ward.add(&desk.server, &family, json!({"family": true})).await;
    for person in [&stranger, &family] {
        let there = look(&desk, person, patient, asked.clone()).await;
        let never = look(&desk, person, patient, json!({"export": fresh_id(), "preview": true})).await;
        assert_eq!((there.status, &there.text), (404, &never.text), "{}", person.handle);
    }
    let elsewhere = look(&desk, &desk.ward.lead, &fresh_id(), asked.clone()).await;
    assert_eq!(elsewhere.status, 404);
    // A role without a place in the team reads words for a password entered lately only.
    assert_eq!(look(&desk, &desk.officer, patient, asked.clone()).await.status, 200);
    let token = text(&desk.server.cli(&["token", "issue", "--user", "officer"]).await, "token");
    let unstepped = Person { token, ..desk.officer.clone() };
    let refused = look(&desk, &unstepped, patient, asked.clone()).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("forbidden")), "{}", refused.text);
    for beside in [
        json!({"format": "html"}),
        json!({"export": export, "since": "last"}),
        json!({"export": export, "wait": false}),
    ] {
        let mut asked = json!({"preview": true});
        asked.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        let refused = look(&desk, &desk.ward.lead, patient, asked).await;
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!("preview")), "{}", refused.text);
    }
}

both!(of_each_message_it_can_be_said_whether_a_receiver_has_it);
async fn of_each_message_it_can_be_said_whether_a_receiver_has_it() {
    let (_out, desk) = desk().await;
    let (lead, patient) = (desk.trusted_lead().await, desk.ward.id("patient"));
    let (staff, goal) = (desk.ward.id("staff"), desk.ward.id("goal"));
    let post = async |text: &str| {
        let posted = json!({"channel": staff, "item": goal, "text": text});
        let posted = desk.server.run(&lead, "message.post", posted).await;
        (super::server::text(&posted, "id"), posted["seq"].as_i64().unwrap())
    };
    let of = async || {
        let status = desk.server.run(&lead, "chart.status", json!({ "patient": patient })).await;
        list(&status["charts"][0], "channels").iter().find(|one| one["channel"] == staff).cloned().unwrap()
    };
    let (kept, at) = post("stays").await;
    let nothing = of().await;
    assert_eq!((&nothing["charted"], &nothing["changed"]), (&json!([]), &json!([])), "{nothing}");
    let export =
        text(&desk.server.run(&lead, "export.draft", json!({"patient": patient, "target": "drop"})).await, "export");
    desk.attested(&lead, &export).await;
    desk.until(&export, "filed").await;
    let (_, later) = post("is new").await;
    let has = |one: &serde_json::Value, seq: i64| {
        let spans = list(one, "charted").iter();
        spans.into_iter().any(|span| span[0].as_i64().unwrap() <= seq && seq <= span[1].as_i64().unwrap())
    };
    let filed = of().await;
    assert!(has(&filed, at) && !has(&filed, later), "{filed}");
    assert_eq!((&filed["changed"], &filed["size"]), (&json!([]), &json!(later)), "{filed}");
    desk.server.run(&lead, "message.amend", json!({"message": kept, "text": "is other"})).await;
    assert_eq!(of().await["changed"], json!([kept]));
}
