//! Every form in which a chart takes the record: notes alone, notes and inbox, the signed document, documents in HL7 v2, files in a folder.
//! Each is filed through a lost answer, a second time, and after changes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::desk::{Desk, ehr, once, said, versions};
use super::peers::{FhirServer, MllpPeer};
use super::server::text;

/// A filing whose first answer is lost, and one with nothing new: how many resources came of the first.
async fn twice(fhir: &FhirServer, desk: &Desk) -> i64 {
    fhir.faults(json!([{"kind": "lost", "method": "!GET"}])).await;
    let first = desk.file("ehr").await;
    assert!(fhir.received().await.iter().any(|one| one["fault"] == "lost"));
    let there = versions(fhir).await;
    once(&fhir.stored(None).await);
    let requests = fhir.received().await.len();
    assert_eq!(desk.file("ehr").await["filed"]["resources"], 0);
    assert!(fhir.received().await[requests..].iter().all(|one| one["method"] == "GET"));
    assert_eq!(versions(fhir).await, there);
    first["filed"]["resources"].as_i64().unwrap()
}

async fn says_more(desk: &mut Desk) {
    let reason = json!({"message": desk.ward.id("message_staff"), "reason": "Another patient's dose"});
    desk.server.run(&desk.ward.lead, "message.retract", reason).await;
    let addendum = json!({"note": desk.ward.id("note_staff"), "text": "He changed his mind"});
    desk.server.run(&desk.ward.lead, "note.addend", addendum).await;
    let late = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "medium": "phone",
        "text": "Heard long ago", "held_at": "2025-11-02T03:04:05Z", "with": [{"name": "Dr. Osei"}]});
    let late = desk.server.run(&desk.ward.lead, "note.log", late).await;
    desk.ward.put("late", text(&late, "id"));
}

/// The words of every note there.
async fn notes(fhir: &FhirServer) -> Vec<String> {
    let stored = fhir.stored(Some("DocumentReference")).await;
    let words = stored.iter().filter_map(|one| {
        let attachment = &one["content"][0]["attachment"];
        let plain = attachment["contentType"].as_str()?.starts_with("text/plain");
        let data = attachment["data"].as_str().filter(|_| plain)?;
        Some(String::from_utf8(carethread::kernel::crypto::from_base64(data)?).unwrap())
    });
    words.collect()
}

both!(notes_alone_carry_what_was_said);
async fn notes_alone_carry_what_was_said() {
    let fhir = FhirServer::start().await;
    let mut desk = Desk::open(&ehr(&fhir, "note-only", "")).await;
    desk.known(&fhir).await;
    assert!(twice(&fhir, &desk).await > 0);
    assert!(said(&fhir).await.is_empty());
    assert!(notes(&fhir).await.iter().any(|note| note.contains("said as second")));
    says_more(&mut desk).await;
    assert!(twice(&fhir, &desk).await > 0);
    let notes = notes(&fhir).await;
    for words in ["He changed his mind", "Heard long ago", "(changed since it was filed):\nRetracted by author"] {
        assert!(notes.iter().any(|note| note.contains(words)), "{words}: {notes:?}");
    }
}

both!(an_inbox_gets_what_is_urgent_besides);
async fn an_inbox_gets_what_is_urgent_besides() {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, "inbox", "")).await;
    desk.known(&fhir).await;
    let nurse = desk.server.person("nurse").await;
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    let urgent = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "text": "Come now", "priority": "urgent"});
    desk.server.run(&desk.ward.lead, "message.post", urgent).await;
    assert!(twice(&fhir, &desk).await > 1);
    let inbox = fhir.stored(Some("Communication")).await;
    let [only] = inbox.as_slice() else { panic!("{inbox:?}") };
    assert_eq!(only["payload"], json!([{"contentString": "goal\nCome now"}]));
    assert!(only["about"].is_null() && only["status"] == "completed" && only["priority"] == "urgent", "{only}");
    assert!(notes(&fhir).await.iter().any(|note| note.contains("said as second")));
}

both!(a_signed_document_is_there_once);
async fn a_signed_document_is_there_once() {
    let fhir = FhirServer::start().await;
    let mut desk = Desk::open(&ehr(&fhir, "document", "")).await;
    assert_eq!(twice(&fhir, &desk).await, 1);
    let stored = fhir.stored(Some("Bundle")).await;
    let [document] = stored.as_slice() else { panic!("{} documents", stored.len()) };
    assert!(document["type"] == "document" && document["signature"]["data"].is_string());
    assert!(document.to_string().contains("said as second"));
    says_more(&mut desk).await;
    assert_eq!(twice(&fhir, &desk).await, 1);
    let stored = fhir.stored(Some("Bundle")).await;
    assert!(stored.len() == 2 && stored.iter().any(|one| one.to_string().contains("He changed his mind")));
}

fn field(message: &Value, segment: &str, n: usize) -> String {
    let raw = message["raw"].as_str().unwrap();
    let line = raw.split('\r').find(|line| line.starts_with(segment)).unwrap_or_else(|| panic!("{segment}: {raw}"));
    line.split('|').nth(if segment == "MSH" { n - 1 } else { n }).unwrap_or_default().to_owned()
}

/// What is said of documents: event, document, parent, text.
async fn events(peer: &MllpPeer, since: usize) -> Vec<(String, String, String, String)> {
    let received = peer.received().await;
    let shown = |one: &Value| {
        let event = field(one, "MSH", 9).split('^').nth(1).unwrap().to_owned();
        (event, field(one, "TXA", 12), field(one, "TXA", 13), one["raw"].as_str().unwrap().to_owned())
    };
    received[since..].iter().map(shown).collect()
}

both!(an_interface_hears_of_new_changed_and_withdrawn_documents);
async fn an_interface_hears_of_new_changed_and_withdrawn_documents() {
    for (cancel, withdrawn) in [("T11", "T11"), ("T10", "T10")] {
        let peer = MllpPeer::start().await;
        let target = format!(
            "[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\nreceiving_application = \"CHART\"\n\
             receiving_facility = \"RIVERSIDE\"\ncancel = \"{cancel}\"\n",
            peer.address
        );
        let mut desk = Desk::open(&target).await;
        desk.file("old").await;
        let first = events(&peer, 0).await;
        assert!(first.iter().all(|(event, ..)| event == "T02"), "{first:?}");
        for message in peer.received().await {
            assert_eq!((message["answer"].as_str(), message["problem"].is_null()), (Some("AA"), true), "{message}");
            assert_eq!((field(&message, "MSH", 5), field(&message, "MSH", 6)), ("CHART".into(), "RIVERSIDE".into()));
        }
        let since = peer.received().await.len();
        assert_eq!(desk.file("old").await["filed"]["resources"], 0);
        assert_eq!(peer.received().await.len(), since);
        says_more(&mut desk).await;
        // All that was said of one item in one channel is taken back; elsewhere one of two things is.
        let reason = json!({"message": desk.ward.id("message_shared"), "reason": "Another patient's"});
        desk.server.run(&desk.ward.lead, "message.retract", reason).await;
        desk.file("old").await;
        let second = events(&peer, since).await;
        let number = |id: &str| format!("{id}^CARETHREAD");
        let of = |wanted: &str| second.iter().filter(|(event, ..)| event == wanted).collect::<Vec<_>>();
        let [(_, _, parent, words)] = of("T06")[..] else { panic!("{second:?}") };
        assert_eq!(*parent, number(desk.ward.id("note_staff")));
        assert!(words.contains("He changed his mind"), "{words}");
        let late: Vec<_> = of("T02").into_iter().filter(|(_, id, ..)| *id == number(desk.ward.id("late"))).collect();
        assert!(late.len() == 1 && late[0].3.contains("Heard long ago"), "{second:?}");
        let told = |words: &str| first.iter().find(|(.., raw)| raw.contains(words)).unwrap().1.clone();
        let grown = told("said as message_staff");
        let replaced = of("T10").into_iter().find(|(_, _, parent, _)| *parent == grown).expect("replaced");
        assert!(replaced.3.contains("said as second") && !replaced.3.contains("said as message_staff"), "{replaced:?}");
        let gone = told("said as message_shared");
        let gone: Vec<_> = second.iter().filter(|(_, id, parent, _)| *id == gone || *parent == gone).collect();
        assert!(
            gone.len() == 1 && gone[0].0 == withdrawn && !gone[0].3.contains("said as message_shared"),
            "{second:?}"
        );
        let since = peer.received().await.len();
        assert_eq!(desk.file("old").await["filed"]["resources"], 0);
        assert_eq!(peer.received().await.len(), since);
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())).collect()
}

/// That these people attest what a transaction says, in this order.
#[track_caller]
pub fn attested(bundle: &Value, names: &[&str]) {
    let entries = bundle["entry"].as_array().unwrap();
    let of = |url: &Value| entries.iter().find(|entry| entry["fullUrl"] == *url).map(|entry| &entry["resource"]);
    let attests = |entry: &&Value| entry["resource"]["agent"][0]["type"]["coding"][0]["code"] == "attester";
    let found: Vec<&Value> = entries.iter().filter(attests).map(|entry| &entry["resource"]).collect();
    let named: Vec<&Value> =
        found.iter().map(|one| &of(&one["agent"][0]["who"]["reference"]).unwrap()["name"][0]["text"]).collect();
    assert_eq!(named, names);
    let said = |entry: &&Value| {
        ["Communication", "DocumentReference", "Task"].contains(&entry["resource"]["resourceType"].as_str().unwrap())
    };
    for one in found {
        let targets: Vec<&Value> =
            one["target"].as_array().unwrap().iter().map(|target| &target["reference"]).collect();
        let all: Vec<&Value> = entries.iter().filter(said).map(|entry| &entry["fullUrl"]).collect();
        assert_eq!(targets, all, "{one}");
        assert!(one["reason"][0]["text"].as_str().unwrap().starts_with("Attested: ") && one["recorded"].is_string());
    }
}

both!(a_folder_gets_whole_files_and_only_new_ones);
async fn a_folder_gets_whole_files_and_only_new_ones() {
    let formats = ["ndjson", "html", "fhir-document", "fhir-transaction", "hl7v2"];
    let places: Vec<_> = formats.iter().map(|format| (*format, tempfile::tempdir().unwrap())).collect();
    let section = |(format, place): &(&str, tempfile::TempDir)| {
        format!("[targets.{format}]\nkind = \"folder\"\npath = \"{}\"\nformat = \"{format}\"\n", place.path().display())
    };
    let mut desk = Desk::open(&places.iter().map(section).collect::<String>()).await;
    let mut before = BTreeMap::new();
    for (format, place) in &places {
        desk.file(format).await;
        let there = files(place.path());
        assert!(!there.is_empty() && there.keys().all(|name| !name.starts_with('.')), "{format}: {:?}", there.keys());
        let words = there.values().any(|bytes| String::from_utf8_lossy(bytes).contains("said as second"));
        assert!(words, "{format}");
        if *format == "fhir-transaction" {
            let bundle: Value = serde_json::from_slice(there.values().next().unwrap()).unwrap();
            attested(&bundle, &["officer Example"]);
        }
        assert_eq!(desk.file(format).await["filed"]["resources"], 0, "{format}");
        assert_eq!(files(place.path()), there, "{format}");
        before.insert(*format, there);
    }
    says_more(&mut desk).await;
    for (format, place) in &places {
        desk.file(format).await;
        let mut now = files(place.path());
        for (name, bytes) in &before[format] {
            assert_eq!(now.remove(name).as_ref(), Some(bytes), "{format}: what is there stays");
        }
        let new = now.values().any(|bytes| String::from_utf8_lossy(bytes).contains("He changed his mind"));
        assert!(new, "{format}: {:?}", now.keys());
    }
}

const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

both!(whom_a_register_knows_is_named_by_its_number);
async fn whom_a_register_knows_is_named_by_its_number() {
    let (fhir, peer) = (FhirServer::start().await, MllpPeer::start().await);
    let old = format!("[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\n", peer.address);
    let desk = Desk::open(&format!("{}{old}", ehr(&fhir, "full", "entries_max = 8"))).await;
    desk.known(&fhir).await;
    // One whom the chart knows by that number, and one whom it does not.
    let register = |value: &str| format!("{NPI}|{value}");
    let lead = ["user", "identifier", "--handle", "lead", "--add", &register("1245319599")].map(str::to_owned);
    desk.server.cli(&lead.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let number = register("1999999984");
    let nurse = desk.server.person_with("nurse", &["--identifier", &number, "--identifier", "urn:oid:1.2.3|77"]).await;
    desk.ward.add(&desk.server, &nurse, json!({})).await;
    let known = json!({"resourceType": "Practitioner", "id": "npi1", "name": [{"text": "Lead of the chart"}],
        "identifier": [{"system": NPI, "value": "1245319599"}]});
    fhir.seed(json!([known])).await;
    desk.file("ehr").await;
    let people = fhir.stored(Some("Practitioner")).await;
    let of = |value: &str| {
        let has = |one: &&Value| one["identifier"].as_array().unwrap().iter().any(|one| one["value"] == value);
        people.iter().filter(has).collect::<Vec<_>>()
    };
    let [lead] = of("1245319599")[..] else { panic!("{people:?}") };
    assert_eq!((&lead["id"], &lead["name"][0]["text"]), (&json!("npi1"), &json!("Lead of the chart")));
    let [made] = of("1999999984")[..] else { panic!("{people:?}") };
    let values: Vec<&Value> = made["identifier"].as_array().unwrap().iter().map(|one| &one["value"]).collect();
    assert_eq!(values, [&json!("1999999984"), &json!("77"), &json!(nurse.id)]);
    let messages = fhir.stored(Some("Communication")).await;
    let spoken = messages.iter().filter(|one| one["payload"].is_array());
    for message in spoken {
        assert_eq!(message["sender"]["reference"], "Practitioner/npi1", "{message}");
    }
    assert_eq!(desk.file("ehr").await["filed"]["resources"], 0);
    desk.file("old").await;
    for message in peer.received().await {
        assert!(message["problem"].is_null(), "{message}");
        let author = field(&message, "TXA", 9);
        let author: Vec<&str> = author.split('^').collect();
        assert_eq!((author[0], author[8], author[12]), ("1245319599", "NPI", "NPI"), "{author:?}");
    }
    // What is none makes nobody.
    let wrong = ["user", "add", "--handle", "odd", "--name", "Odd", "--identifier", "1999999984"];
    let done = desk.server.house.cli(&wrong).await;
    assert_eq!((done.code, done.stderr.contains("SYSTEM|VALUE")), (1, true), "{}", done.stderr);
    let users = desk.server.cli(&["user", "list"]).await;
    assert!(users["users"].as_array().unwrap().iter().all(|one| one["handle"] != "odd"));
}
