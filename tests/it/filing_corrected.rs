//! What takes the place of something a receiver has, and what goes on where a filing broke off: nothing is there twice, and nothing that is
//! there is taken for new.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::desk::{Desk, ehr, once, trusted};
use super::peers::{FhirServer, MllpPeer};
use super::server::{Person, list, text};

impl Desk {
    /// Drafts an export to `ehr` in the place of another.
    async fn instead_of(&self, former: &str) -> String {
        let data = json!({"patient": self.ward.id("patient"), "target": "ehr", "supersedes": former});
        text(&self.server.run(&self.officer, "export.draft", data).await, "export")
    }

    async fn speaks(&self, channel: &str, item: &str, words: &str) {
        let data = json!({"channel": self.ward.id(channel), "item": self.ward.id(item), "text": words});
        self.server.run(&self.ward.lead, "message.post", data).await;
    }
}

/// Notes of the filing itself, by their id there.
async fn notes(fhir: &FhirServer) -> BTreeMap<String, Value> {
    let stored = fhir.stored(Some("DocumentReference")).await;
    let notes = stored.into_iter().filter(|note| note["type"]["coding"][0]["code"] == "11506-3");
    notes.map(|note| (text(&note, "id"), note)).collect()
}

/// The notes that are new since.
fn new(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    after.keys().filter(|id| !before.contains_key(*id)).cloned().collect()
}

both!(a_note_that_is_replaced_is_marked_where_the_receiver_lets_us);
async fn a_note_that_is_replaced_is_marked_where_the_receiver_lets_us() {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, "note-only", "")).await;
    desk.known(&fhir).await;
    let file = async |former: &str, faults: Value| {
        fhir.faults(faults).await;
        let export = desk.instead_of(former).await;
        desk.attest(&export).await;
        let shown = desk.until(&export, "filed").await;
        assert_eq!(shown["outcome"], Value::Null, "{shown}");
        export
    };
    let export = desk.draft("ehr").await;
    desk.attest(&export).await;
    desk.until(&export, "filed").await;
    let first = notes(&fhir).await;
    assert!(first.values().all(|note| note["status"] == "current"), "{first:?}");

    let since = fhir.received().await.len();
    let second_export = file(&export, json!([])).await;
    let second = notes(&fhir).await;
    let made = new(&first, &second);
    assert_eq!(made.len(), first.len());
    for (id, former) in &first {
        let now = &second[id];
        assert_eq!((&now["status"], &now["content"]), (&json!("superseded"), &former["content"]), "{now}");
        let place = format!("DocumentReference/{id}");
        let takes = |note: &&Value| note["relatesTo"][0]["target"]["reference"] == place.as_str();
        assert!(made.iter().map(|id| &second[id]).any(|note| takes(&note)), "something says that it replaces it");
    }
    // It was asked for in the version it had.
    for put in fhir.received().await[since..].iter().filter(|one| one["method"] == "PUT") {
        assert!(put["headers"]["if-match"].as_str().is_some_and(|etag| etag.starts_with("W/\"")), "{put}");
    }

    // A receiver that does not let us has the new notes all the same.
    let (mut former, mut before) = (second_export, second);
    for status in [403, 405, 422] {
        let faults = json!([{"kind": "status", "status": status, "method": "PUT", "times": 100}]);
        former = file(&former, faults).await;
        let after = notes(&fhir).await;
        assert!(!new(&before, &after).is_empty(), "{status}");
        let unchanged = before.iter().all(|(id, note)| after[id]["status"] == note["status"]);
        assert!(unchanged, "{status}: {after:?}");
        before = after;
    }
    // Somebody changed it meanwhile: it is looked at again; an answer that was lost is followed by the same bytes.
    for faults in
        [json!([{"kind": "status", "status": 412, "method": "PUT"}]), json!([{"kind": "lost", "method": "PUT"}])]
    {
        former = file(&former, faults).await;
        let after = notes(&fhir).await;
        let current = after.values().filter(|note| note["status"] == "current").count();
        let made = new(&before, &after);
        let marked = before.iter().filter(|(id, note)| after[*id]["status"] != note["status"]).count();
        assert_eq!((marked, made.len()), (first.len(), first.len()), "{current}");
        before = after;
    }
    once(&fhir.stored(None).await);
    let requests = fhir.received().await.len();
    assert_eq!(desk.file("ehr").await["filed"]["resources"], 0);
    assert!(fhir.received().await[requests..].iter().all(|one| one["method"] == "GET"));
}

fn field(message: &Value, segment: &str, n: usize) -> String {
    let raw = message["raw"].as_str().unwrap();
    let line = raw.split('\r').find(|line| line.starts_with(segment)).unwrap_or_else(|| panic!("{segment}: {raw}"));
    line.split('|').nth(if segment == "MSH" { n - 1 } else { n }).unwrap_or_default().to_owned()
}

fn event(message: &Value) -> String {
    field(message, "MSH", 9).split('^').nth(1).unwrap().to_owned()
}

#[track_caller]
fn one_control_id_one_message(received: &[Value]) {
    let mut known = BTreeMap::new();
    for one in received {
        let raw = known.entry(one["control_id"].to_string()).or_insert(&one["raw"]);
        assert_eq!(*raw, &one["raw"], "an MSH-10 is that of one message");
    }
}

fn interface(peer: &MllpPeer) -> String {
    format!("[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\n", peer.address)
}

both!(an_interface_that_has_a_document_hears_of_it_as_replaced);
async fn an_interface_that_has_a_document_hears_of_it_as_replaced() {
    let peer = MllpPeer::start().await;
    let desk = Desk::open(&interface(&peer)).await;
    let nothing_more = json!([{"kind": "AR", "text": "enough", "skip": 3}]);
    peer.faults(nothing_more).await;
    let broken = desk.draft("old").await;
    desk.attest(&broken).await;
    desk.until(&broken, "failed").await;
    let first = peer.received().await;
    let had: Vec<&Value> = first.iter().filter(|one| one["answer"] == "AA").collect();
    assert_eq!((had.len(), first.len()), (3, 4));
    // Each conversation goes on, and somebody else stands for the next export.
    for (channel, item) in [("staff", "goal"), ("staff", "unsorted"), ("shared", "shared_goal"), ("named", "goal")] {
        desk.speaks(channel, item, "grown").await;
    }
    let lead = desk.trusted_lead().await;
    let export = desk.drafted(&lead, desk.ward.id("patient"), "old").await;
    desk.attested(&lead, &export).await;
    desk.until(&export, "filed").await;
    let received = peer.received().await;
    let since = &received[first.len()..];
    for one in had {
        let number = field(one, "TXA", 12);
        assert!(since.iter().all(|later| field(later, "TXA", 12) != number), "{number} is not made again: {since:?}");
        let replaced: Vec<&Value> = since.iter().filter(|later| field(later, "TXA", 13) == number).collect();
        // A note of an outside discussion, and what nobody went on with, stand as they are.
        let stays =
            ["He agrees", "said as message_archived"].iter().any(|words| one["raw"].as_str().unwrap().contains(words));
        assert_eq!(replaced.len(), usize::from(!stays), "{one}");
        assert!(replaced.iter().all(|one| event(one) == "T10" && one["raw"].as_str().unwrap().contains("grown")));
    }
    let refused = field(&first[3], "TXA", 12);
    let made: Vec<&Value> = since.iter().filter(|one| field(one, "TXA", 12) == refused).collect();
    assert!(made.len() == 1 && event(made[0]) == "T02", "what was refused is new: {made:?}");
    one_control_id_one_message(&received);
    assert_eq!(desk.file("old").await["filed"]["resources"], 0);
}

both!(who_stands_for_a_document_besides_makes_another_message_of_it);
async fn who_stands_for_a_document_besides_makes_another_message_of_it() {
    let peer = MllpPeer::start().await;
    let mut desk = Desk::open(&interface(&peer)).await;
    peer.faults(json!([{"kind": "AR", "text": "enough", "skip": 1}])).await;
    let export = desk.draft("old").await;
    desk.attest(&export).await;
    desk.until(&export, "failed").await;
    // Tried again by the same people it is the same message, whenever that is.
    peer.faults(json!([{"kind": "AR", "text": "not yet"}])).await;
    desk.clock.advance(10);
    desk.server.run(&desk.officer, "export.retry", json!({ "export": export })).await;
    desk.when(&export, |shown| shown["outcome"]["words"].as_str().is_some_and(|words| words.contains("not yet"))).await;
    let received = peer.received().await;
    assert_eq!((received.len(), &received[1]["raw"]), (3, &received[2]["raw"]));
    // Another person stands for what is left, in an export of theirs, and others besides.
    let mut nurse = desk.server.person("nurse").await;
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    nurse.token = trusted(&desk.server, "nurse").await;
    let lead: Person = desk.trusted_lead().await;
    let data = json!({"patient": desk.ward.id("patient"), "target": "old", "attesters": [lead.id, nurse.id]});
    let second = text(&desk.server.run(&lead, "export.draft", data).await, "export");
    desk.attested(&lead, &second).await;
    let both = json!({"export": second, "rev": 2, "statement": "Seen"});
    desk.server.run(&nurse, "export.attest", both).await;
    let filed = desk.until(&second, "filed").await;
    assert_eq!(list(&filed, "attestations").len(), 2);
    let received = peer.received().await;
    one_control_id_one_message(&received);
    let refused = field(&received[1], "TXA", 12);
    let sent: Vec<&Value> = received.iter().filter(|one| field(one, "TXA", 12) == refused).collect();
    assert_eq!(sent.len(), 3);
    assert_ne!(sent[2]["control_id"], sent[0]["control_id"]);
    assert!(field(sent[2], "TXA", 22).contains("nurse Example"), "{}", sent[2]);
}
