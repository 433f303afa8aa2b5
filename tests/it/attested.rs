//! What is filed says who stands for it, in every form a receiver may want; what is filed again after changes takes the place of what was
//! there; what nobody attested says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::chart::judged;
use super::peers::FhirServer;
use super::server::{House, Person, ROOMY, Server, list, text};
use super::ward::Ward;

/// What the two who attest declare.
const STATEMENTS: [&str; 2] = ["I stand for <all> of it | & more", "Seen and found complete"];
/// What whoever drafts says of the goal.
const SUMMARY: &str = "In short: the pressure <140> was not reached";
/// Folders of the site, by the form of their files.
const FORMS: [&str; 4] = ["html", "pdf", "fhir-document", "hl7v2"];

struct Site {
    /// Keeps the folders.
    out: tempfile::TempDir,
    fhir: FhirServer,
    server: Server,
    ward: Ward,
    nurse: Person,
}

impl Site {
    async fn new() -> Self {
        let (out, fhir) = (tempfile::tempdir().unwrap(), FhirServer::start().await);
        let mut config = ROOMY.to_owned();
        for form in FORMS {
            let path = out.path().join(form);
            std::fs::create_dir(&path).unwrap();
            config.push_str(&format!("\n[targets.{form}]\nkind = \"folder\"\npath = {path:?}\nformat = \"{form}\"\n"));
        }
        for profile in ["note-only", "full"] {
            let base = &fhir.base;
            config.push_str(&format!(
                "\n[targets.{profile}]\nkind = \"fhir\"\nurl = \"{base}\"\nprofile = \"{profile}\"\nentries_max = 8\ncreate_patient = true\n"
            ));
        }
        let server = House::new(&config).await.serve().await;
        let lead = server.person("lead").await;
        let mut ward = Ward::open(&server, lead).await;
        let mut nurse = server.person("nurse").await;
        ward.add(&server, &nurse, json!({})).await;
        for person in [&mut ward.lead, &mut nurse] {
            let typed = ["token", "issue", "--user", &person.handle, "--allow", "export"];
            person.token = text(&server.cli(&typed).await, "token");
        }
        ward.says(&server, "kept", "staff", "goal").await;
        Self { out, fhir, server, ward, nurse }
    }

    async fn draft(&self, target: &str, more: Value) -> String {
        let mut data = json!({"patient": self.ward.id("patient"), "target": target, "attesters": [self.ward.lead.id, self.nurse.id]});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        text(&self.server.run(&self.ward.lead, "export.draft", data).await, "export")
    }

    /// Both attest; gives how it stands once it is filed.
    async fn file(&self, target: &str, more: Value) -> Value {
        let export = self.draft(target, more).await;
        for (rev, (person, statement)) in [&self.ward.lead, &self.nurse].into_iter().zip(STATEMENTS).enumerate() {
            let data = json!({"export": export, "rev": rev + 1, "statement": statement});
            self.server.run(person, "export.attest", data).await;
        }
        let mut shown = Value::Null;
        for _ in 0..300 {
            shown = self.server.run(&self.ward.lead, "export.get", json!({ "export": export })).await;
            if shown["state"] == "filed" {
                return shown;
            }
            assert!(shown["state"] != "failed", "{shown}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("never filed: {shown}");
    }

    /// The files a form's folder has got since.
    fn new_files(&self, form: &str, known: &mut BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let there = std::fs::read_dir(self.out.path().join(form)).unwrap().map(|entry| entry.unwrap().path());
        let mut fresh: Vec<PathBuf> = there.filter(|path| known.insert(path.clone())).collect();
        fresh.sort();
        fresh
    }
}

async fn read_paper(path: &Path) -> String {
    let told = tokio::process::Command::new("pdftotext").args(["-raw", "-enc", "UTF-8"]).arg(path).arg("-").output();
    let told = told.await.unwrap();
    assert!(told.status.success());
    // A paper breaks its lines where it must.
    String::from_utf8(told.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Text of markup.
fn plain(markup: &str) -> String {
    let (mut text, mut inside) = (String::new(), false);
    for c in markup.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (entity, c)| text.replace(entity, c))
}

/// OBX-5 of the text, its escapes read from the left.
fn obx(message: &str) -> String {
    let segment = message.split('\r').find(|segment| segment.starts_with("OBX") && segment.contains("|FT|")).unwrap();
    let (mut text, field) = (String::new(), segment.split('|').nth(5).unwrap());
    for (at, part) in field.split('\\').enumerate() {
        text.push_str(match (at % 2, part) {
            (0, part) => part,
            (_, ".br") => "\n",
            (_, "F") => "|",
            (_, "S") => "^",
            (_, "T") => "&",
            (_, "R") => "~",
            (_, "E") => "\\",
            (_, other) => panic!("an escape of no meaning: {other}"),
        });
    }
    text
}

fn section<'b>(bundle: &'b Value, title: &str) -> &'b Value {
    let sections = list(&bundle["entry"][0]["resource"], "section");
    sections.iter().find(|section| section["title"] == title).expect("the section")
}

/// A time of ours to the second, as people read it.
fn shown(at: &str) -> String {
    format!("{} {} UTC", &at[..10], &at[11..19])
}

/// Names, times and statements of both stand in it.
#[track_caller]
fn vouched(form: &str, text: &str, filed: &Value) {
    for (at, (name, statement)) in ["lead Example", "nurse Example"].into_iter().zip(STATEMENTS).enumerate() {
        let one = &filed["attestations"][at];
        let told = text.split("Attested by ").filter(|told| told.starts_with(name));
        let whole = |told: &str| told.contains(&shown(one["at"].as_str().unwrap())) && told.contains(statement);
        assert!(told.into_iter().any(whole), "{form}: {name} in {text}");
    }
    assert!(!text.contains("Nobody has attested"), "{form}");
}

both!(an_attested_export_says_who_stands_for_it_in_every_form);
async fn an_attested_export_says_who_stands_for_it_in_every_form() {
    let site = Site::new().await;
    let summaries = json!({"summaries": [{"item": site.ward.id("goal"), "text": SUMMARY}]});
    let file = async |form: &str| {
        let filed = site.file(form, summaries.clone()).await;
        (filed, site.new_files(form, &mut BTreeSet::new()))
    };
    let (filed, page) = file("html").await;
    let page = plain(&std::fs::read_to_string(&page[0]).unwrap());
    vouched("html", &page, &filed);
    assert!(page.contains(SUMMARY));

    let (filed, paper) = file("pdf").await;
    let paper = read_paper(&paper[0]).await;
    vouched("pdf", &paper, &filed);
    assert!(paper.contains(SUMMARY), "{paper}");

    let (filed, document) = file("fhir-document").await;
    let bundle = read_json(&document[0]);
    let attester = list(&bundle["entry"][0]["resource"], "attester");
    let times: Vec<&Value> = attester.iter().map(|one| &one["time"]).collect();
    assert_eq!(times, [&filed["attestations"][0]["at"], &filed["attestations"][1]["at"]]);
    for (at, person) in [&site.ward.lead, &site.nurse].into_iter().enumerate() {
        let party = attester[at]["party"]["reference"].as_str().unwrap();
        let entry = list(&bundle, "entry").iter().find(|entry| entry["fullUrl"] == party).expect("the attester");
        assert_eq!(entry["resource"]["identifier"][0]["value"], person.id);
    }
    let told = section(&bundle, "Attestation");
    vouched("fhir-document", &plain(told["text"]["div"].as_str().unwrap()), &filed);
    assert_eq!(list(told, "entry").len(), 2);
    let items = section(&bundle, "Care plan items discussed")["text"]["div"].as_str().unwrap();
    assert!(plain(items).contains(SUMMARY));
    assert_eq!(site.server.cli(&["verify", document[0].to_str().unwrap()]).await["ok"], true);

    let (filed, messages) = file("hl7v2").await;
    assert!(messages.len() > 1);
    for path in &messages {
        let message = std::fs::read_to_string(path).unwrap();
        vouched("hl7v2", &obx(&message), &filed);
        let txa: Vec<&str> = message.split('\r').find(|one| one.starts_with("TXA")).unwrap().split('|').collect();
        let signers: Vec<Vec<&str>> = txa[22].split('~').map(|one| one.split('^').collect()).collect();
        assert_eq!((txa[17], signers[0][1], signers[1][1]), ("AU", "lead Example", "nurse Example"));
        for (at, signer) in signers.iter().enumerate() {
            let attested: String =
                filed["attestations"][at]["at"].as_str().unwrap()[..19].chars().filter(char::is_ascii_digit).collect();
            assert!(signer[14].starts_with(&attested), "{signer:?}");
        }
    }
    let of_goal = |path: &PathBuf| obx(&std::fs::read_to_string(path).unwrap()).contains(SUMMARY);
    assert!(messages.iter().any(of_goal), "the summary of the goal");

    let filed = site.file("note-only", summaries.clone()).await;
    let notes = site.fhir.stored(Some("DocumentReference")).await;
    // A note of a discussion outside says what it said when it was documented; those of the filing are progress notes.
    let signed: Vec<&Value> = notes.iter().filter(|note| note["type"]["coding"][0]["code"] == "11506-3").collect();
    assert!(!signed.is_empty(), "{notes:?}");
    for note in signed {
        let data = note["content"][0]["attachment"]["data"].as_str().unwrap();
        let words = carethread::kernel::crypto::from_base64(data).unwrap();
        vouched("note-only", &String::from_utf8(words).unwrap(), &filed);
        assert_eq!(note["authenticator"]["display"], "lead Example");
    }

    let filed = site.file("full", json!({})).await;
    let provenance = site.fhir.stored(Some("Provenance")).await;
    for (at, name) in ["lead Example", "nurse Example"].into_iter().enumerate() {
        let one = &filed["attestations"][at];
        let reason = format!("Attested: {}", STATEMENTS[at]);
        let told = provenance.iter().find(|told| told["reason"][0]["text"] == reason.as_str()).expect("a Provenance");
        assert_eq!((&told["recorded"], &told["agent"][0]["who"]["display"]), (&one["at"], &json!(name)));
        assert_eq!(told["agent"][0]["type"]["coding"][0]["code"], "attester");
    }
}

both!(what_nobody_attested_says_so_in_every_form);
async fn what_nobody_attested_says_so_in_every_form() {
    let site = Site::new().await;
    let export = async |form: &str, more: &[&str]| {
        let out = site.out.path().join(format!("{form}-{}.out", more.len()));
        let typed = ["export", "--patient", site.ward.id("patient"), "--format", form, "--out", out.to_str().unwrap()];
        let done = site.server.house.cli(&[&typed, more].concat()).await;
        assert_eq!(done.code, 0, "{form}: {}", done.stderr);
        (out, done.stdout)
    };
    const NOBODY: &str = "Nobody has attested this.";
    let (page, _) = export("html", &[]).await;
    assert!(std::fs::read_to_string(page).unwrap().contains(NOBODY));
    assert!(read_paper(&export("pdf", &[]).await.0).await.contains(NOBODY));
    let bundle = read_json(&export("fhir-document", &[]).await.0);
    let told = section(&bundle, "Attestation");
    assert!(told["text"]["div"].as_str().unwrap().contains(NOBODY) && told["emptyReason"].is_object(), "{told}");
    assert!(bundle["entry"][0]["resource"]["attester"].is_null());
    for entry in std::fs::read_dir(export("hl7v2", &[]).await.0).unwrap() {
        let message = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(obx(&message).contains(NOBODY) && message.contains("|DO|"), "{message}");
    }
    // Where it went, as others' systems take it over.
    let typed = ["report", "disclosures", "--patient", site.ward.id("patient"), "--format", "fhir"];
    let disclosed = site.server.cli(&typed).await;
    assert_eq!(list(&disclosed, "entry").len(), 4);
    let path = site.out.path().join("disclosures.json");
    std::fs::write(&path, disclosed.to_string()).unwrap();
    judged(&[path]).await;
    // And with nothing new since, each is empty.
    for (form, empty) in
        [("html", true), ("pdf", true), ("ndjson", true), ("fhir-document", false), ("fhir-transaction", false)]
    {
        if form == "ndjson" || form == "fhir-transaction" {
            export(form, &[]).await;
        }
        let (path, told) = export(form, &["--since", "last"]).await;
        assert!(told.contains("\"entries\":0"), "{form}: {told}");
        let bytes = std::fs::read(&path).unwrap();
        if empty {
            assert!(bytes.is_empty(), "{form}");
        } else {
            let bundle: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(bundle["resourceType"] == "Bundle" && bundle["entry"].is_null(), "{form}: {bundle}");
        }
    }
    let (folder, told) = export("hl7v2", &["--since", "last"]).await;
    assert!(told.contains("\"entries\":0") && std::fs::read_dir(folder).unwrap().next().is_none(), "{told}");
}

both!(what_is_filed_again_after_changes_takes_the_place_of_what_was_there);
async fn what_is_filed_again_after_changes_takes_the_place_of_what_was_there() {
    let mut site = Site::new().await;
    let (mut documents, mut messages) = (BTreeSet::new(), BTreeSet::new());
    site.file("fhir-document", json!({})).await;
    let first = read_json(&site.new_files("fhir-document", &mut documents)[0]);
    site.file("hl7v2", json!({})).await;
    let number = |path: &PathBuf, at: usize| {
        let message = std::fs::read_to_string(path).unwrap();
        message
            .split('\r')
            .find(|one| one.starts_with("TXA"))
            .unwrap()
            .split('|')
            .nth(at)
            .unwrap_or_default()
            .to_owned()
    };
    let numbers: BTreeSet<String> =
        site.new_files("hl7v2", &mut messages).iter().map(|path| number(path, 12)).collect();
    let noted = site.file("note-only", json!({})).await;
    site.file("fhir-document", json!({})).await;
    assert!(site.new_files("fhir-document", &mut documents).is_empty(), "nothing is new");

    // New words alone are a document beside the first one.
    site.ward.says(&site.server, "added", "staff", "goal").await;
    site.file("fhir-document", json!({})).await;
    let added = read_json(&site.new_files("fhir-document", &mut documents)[0]);
    let composition = &added["entry"][0]["resource"];
    assert_eq!((&composition["status"], &composition["relatesTo"]), (&json!("final"), &Value::Null));
    assert!(!added.to_string().contains("said as kept"));

    // Words that were changed are in a whole one, in the place of both.
    let amended = json!({"message": site.ward.id("message_staff"), "text": "said better"});
    site.server.run(&site.ward.lead, "message.amend", amended).await;
    site.file("fhir-document", json!({})).await;
    let again = read_json(&site.new_files("fhir-document", &mut documents)[0]);
    let composition = &again["entry"][0]["resource"];
    assert_eq!(composition["status"], "amended");
    let replaced = list(composition, "relatesTo").iter().map(|one| {
        assert_eq!(one["code"], "replaces");
        one["targetIdentifier"].clone()
    });
    let replaced: Vec<Value> = replaced.collect();
    for former in [&first, &added] {
        assert!(replaced.contains(&former["entry"][0]["resource"]["identifier"]), "{replaced:?}");
    }
    let words = section(&again, "Messages")["text"]["div"].as_str().unwrap();
    for part in ["said better", "said as kept", "said as added"] {
        assert!(words.contains(part), "{part}");
    }
    assert!(!words.contains("said as message_staff"));
    assert!(section(&again, "Changes and retractions").to_string().contains("said as message_staff"));

    site.file("hl7v2", json!({})).await;
    let sent = site.new_files("hl7v2", &mut messages);
    let replacement = sent.iter().find(|path| std::fs::read_to_string(path).unwrap().contains("MDM^T10")).expect("T10");
    assert!(numbers.contains(&number(replacement, 13)) && !numbers.contains(&number(replacement, 12)));

    // And a note takes the place of the note of an export that somebody supersedes.
    let former = site.fhir.stored(Some("DocumentReference")).await.len();
    let after = site.file("note-only", json!({"supersedes": noted["export"]})).await;
    assert!(after["filed"]["resources"].as_i64() > Some(0), "{after}");
    let notes = site.fhir.stored(Some("DocumentReference")).await;
    let takes = notes.iter().filter(|note| note["relatesTo"][0]["code"] == "replaces");
    let takes: Vec<&str> =
        takes.map(|note| note["relatesTo"][0]["target"]["reference"].as_str().expect("a reference")).collect();
    assert!(notes.len() > former && !takes.is_empty(), "{notes:?}");
    let ids: BTreeSet<String> = notes.iter().map(|note| format!("DocumentReference/{}", text(note, "id"))).collect();
    assert!(takes.iter().all(|taken| ids.contains(*taken)), "{takes:?}");
}
