//! Exports of a whole engine: what is written, to whom, what is filed, what comes again.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use serde_json::{Value, json};

use super::proof::{Files, verify_files};
use super::*;
use crate::features::files;
use crate::kernel::base::{ChannelId, Code, FileId, Micros, PatientId, Refusal, ThingId};
use crate::kernel::policy::{PersonKind, Roles, Subject};
use crate::testing::{House, id_of};

impl Files for Memory {
    fn names(&self) -> Result<Vec<String>, String> {
        Ok(self.files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn io::Read + '_>> {
        Ok(Box::new(self.files.get(name).ok_or(io::ErrorKind::NotFound)?.as_slice()))
    }
}

/// A house with a patient, a lead and a conversation.
pub struct Ward {
    pub house: House,
    pub lead: Subject,
    pub operator: Subject,
    pub patient: PatientId,
    pub conversation: ChannelId,
}

impl Ward {
    pub async fn new() -> Self {
        let house = House::new().await;
        let operator = house.command_line().await;
        let lead = house.person("lead", PersonKind::Practitioner).await;
        let registered = json!({"name": "Ruth Okafor", "birth_date": "1951-08-14", "gender": "female",
            "identifiers": [{"system": "urn:oid:2.16.840.1.113883.19.5", "value": "MRN 4711"}]});
        let patient = id_of(&house.run(&lead, "patient.register", registered).await, "id");
        let lead = Subject { stepped_up_until: Micros::MAX, ..lead };
        let channels = house.run(&lead, "channel.list", json!({})).await;
        let channels = channels["channels"].as_array().expect("a list").clone();
        let care_team = channels.iter().find(|channel| channel["name"] == "Care team").expect("a conversation");
        let conversation = id_of(care_team, "id");
        Self { house, lead, operator, patient, conversation }
    }

    pub async fn export(&self, subject: &Subject, request: ExportRequest) -> (ExportSummary, Memory) {
        let mut out = Memory::default();
        match super::export(&self.house.engine, subject, request, &mut out).await {
            Ok(summary) => (summary, out),
            Err(stop) => panic!("refused: {stop:?}"),
        }
    }

    pub async fn refusal(&self, subject: &Subject, request: ExportRequest) -> Refusal {
        let stop = super::export(&self.house.engine, subject, request, &mut Memory::default()).await;
        stop.expect_err("refused").refusal()
    }

    pub async fn opens(&self, name: &str, more: Value) -> ChannelId {
        let mut data = json!({"patient": self.patient, "name": name});
        data.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        id_of(&self.house.run(&self.lead, "channel.open", data).await, "channel")
    }

    pub fn all(&self, format: Format) -> ExportRequest {
        ExportRequest::all(self.patient, format)
    }

    pub fn since_last(&self, format: Format) -> ExportRequest {
        ExportRequest { since_last: true, ..self.all(format) }
    }
}

fn text(out: &Memory) -> String {
    let bytes = out.files.values().next().expect("one file").clone();
    String::from_utf8(bytes).expect("text")
}

fn lines(out: &Memory) -> Vec<Value> {
    text(out).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn ndjson_is_every_event_of_every_channel_in_order() {
    let ward = Ward::new().await;
    ward.opens("wound care", json!({})).await;
    let (summary, out) = ward.export(&ward.operator, ward.all(Format::Ndjson)).await;
    let lines = lines(&out);
    assert_eq!((summary.entries, summary.channels), (lines.len() as u64, 3));
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    let mut before = (String::new(), 0);
    for line in &lines {
        let place = (line["channel"].as_str().expect("a channel").to_owned(), line["seq"].as_i64().expect("a seq"));
        assert!(place > before, "ascending by channel and seq");
        assert_eq!(newest.insert(place.0.clone(), place.1).unwrap_or(0) + 1, place.1, "without gaps");
        assert_eq!(line["type"], "event");
        assert!(line["id"].as_str().is_some() && line["data"].is_object());
        assert_eq!(
            crate::kernel::crypto::from_base64(line["head"].as_str().expect("a head")).expect("base64").len(),
            32
        );
        before = place;
    }
    let history = ward.house.run(&ward.lead, "history", json!({"channel": ward.conversation})).await;
    let mut first = lines.iter().find(|line| line["channel"] == json!(ward.conversation)).expect("there").clone();
    let proves = ["id", "head", "leaf", "r", "signed"];
    first.as_object_mut().expect("members").retain(|name, _| !proves.contains(&name.as_str()));
    assert_eq!(history["events"][0], first, "the event frame");
}

#[tokio::test]
async fn an_export_is_an_entry_and_is_never_new_itself() {
    let ward = Ward::new().await;
    for format in [Format::Ndjson, Format::Proof] {
        assert!(ward.export(&ward.operator, ward.since_last(format)).await.0.entries > 0);
        let (again, out) = ward.export(&ward.operator, ward.since_last(format)).await;
        assert_eq!(again, ExportSummary::default());
        assert!(format != Format::Ndjson || text(&out).is_empty());
    }
    ward.opens("wound care", json!({})).await;
    assert_eq!(ward.export(&ward.operator, ward.since_last(Format::Ndjson)).await.0.entries, 1);
    let (_, out) = ward.export(&ward.operator, ward.all(Format::Ndjson)).await;
    let filed: Vec<Value> = lines(&out).into_iter().filter(|line| line["event"] == "export.filed").collect();
    assert_eq!(filed.len(), 5);
    assert_eq!(filed[0]["data"]["format"], "ndjson");
    assert_eq!(filed[4]["data"]["entries"], 1);
    assert_eq!(filed[4]["data"]["since"], "last");
    assert_eq!(filed[4]["by"], json!(ward.operator.user));
}

#[tokio::test]
async fn a_proof_holds_and_shows_what_it_leaves_out() {
    let ward = Ward::new().await;
    let (summary, out) = ward.export(&ward.operator, ward.all(Format::Proof)).await;
    let verdict = verify_files(&out, None).expect("readable");
    assert_eq!((verdict.faults.as_slice(), verdict.entries, verdict.withheld), (&[][..], summary.entries, 0));
    assert_eq!(verdict.signer, *ward.house.engine.shared().vault.keyring().signer().expect("a signer").verifier());

    let some = ExportRequest { channels: Some(vec![ward.conversation]), ..ward.all(Format::Proof) };
    let (summary, out) = ward.export(&ward.operator, some).await;
    let verdict = verify_files(&out, None).expect("readable");
    assert!(verdict.is_clean() && verdict.withheld > 0 && verdict.channels.len() == 2);
    assert_eq!((summary.entries, summary.channels), (verdict.entries, 1));
}

#[tokio::test]
async fn times_narrow_and_the_leaves_stay() {
    let ward = Ward::new().await;
    ward.house.advance(60_000_000);
    let middle = ward.house.world.now();
    ward.house.advance(60_000_000);
    let later = ward.opens("wound care", json!({})).await;
    let request = ExportRequest { from: Some(middle), ..ward.all(Format::Ndjson) };
    let (summary, out) = ward.export(&ward.operator, request).await;
    assert_eq!(summary, ExportSummary { entries: 1, channels: 1 });
    assert_eq!(lines(&out)[0]["channel"], json!(later));
    let request = ExportRequest { to: Some(middle), ..ward.all(Format::Proof) };
    let (summary, out) = ward.export(&ward.operator, request).await;
    let verdict = verify_files(&out, None).expect("readable");
    assert!(verdict.is_clean());
    // The later channel, and the entry of the first export.
    assert_eq!((verdict.entries, verdict.withheld), (summary.entries, 2));
}

#[tokio::test]
async fn only_those_with_standing_take_a_record_out() {
    let ward = Ward::new().await;
    let request = || ward.all(Format::Ndjson);
    let outsider = ward.house.person("outsider", PersonKind::Practitioner).await;
    let outsider = Subject { stepped_up_until: Micros::MAX, ..outsider };
    assert_eq!(ward.refusal(&outsider, request()).await, Refusal::not_found());
    let nobody = ExportRequest::all(PatientId(ward.house.world.id()), Format::Ndjson);
    assert_eq!(ward.refusal(&outsider, nobody.clone()).await, Refusal::not_found());
    assert_eq!(ward.refusal(&ward.operator, nobody).await, Refusal::not_found());

    let daughter = ward.house.person("daughter", PersonKind::RelatedPerson).await;
    let join = json!({"patient": ward.patient, "user": daughter.user, "role": "Daughter", "family": true});
    ward.house.run(&ward.lead, "team.add", join).await;
    let daughter = Subject { stepped_up_until: Micros::MAX, ..daughter };
    assert_eq!(ward.refusal(&daughter, request()).await.code, Code::Forbidden);

    let tired = Subject { stepped_up_until: 0, ..ward.lead.clone() };
    assert_eq!(ward.refusal(&tired, request()).await.code, Code::Forbidden);
    assert!(ward.export(&ward.lead, request()).await.0.entries > 0);

    let officer = ward.house.person_with("officer", PersonKind::Practitioner, Roles::RECORD_OFFICER).await;
    assert_eq!(ward.refusal(&officer, request()).await.code, Code::Forbidden);
    let officer = Subject { stepped_up_until: Micros::MAX, ..officer };
    assert!(ward.export(&officer, request()).await.0.entries > 0);
}

#[tokio::test]
async fn a_member_takes_out_only_what_they_may_read() {
    let ward = Ward::new().await;
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let join = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", join).await;
    let nurse = Subject { stepped_up_until: Micros::MAX, ..nurse };
    let named = ward.opens("lead only", json!({"audience": "named", "members": []})).await;
    for format in [Format::Ndjson, Format::Proof] {
        let (_, out) = ward.export(&nurse, ward.all(format)).await;
        let all: Vec<u8> = out.files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes].concat()).collect();
        assert!(!String::from_utf8_lossy(&all).contains(&named.to_string()), "{format:?}");
    }
    let request = |channel| ExportRequest { channels: Some(vec![channel]), ..ward.all(Format::Ndjson) };
    let unknown = ward.refusal(&nurse, request(ChannelId(ward.house.world.id()))).await;
    assert_eq!((unknown.code, unknown.field), (Code::NotFound, Some("channels")));
    assert_eq!(ward.refusal(&nurse, request(named)).await, unknown);
    assert_eq!(ward.export(&ward.lead, request(named)).await.0.channels, 1);
}

#[tokio::test]
async fn what_lay_between_leaving_and_returning_stays_closed() {
    let ward = Ward::new().await;
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let member = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", member.clone()).await;
    ward.house.run(&ward.lead, "team.remove", member.clone()).await;
    let change = json!({"channel": ward.conversation, "purpose": "SECRET-WHILE-AWAY"});
    ward.house.run(&ward.lead, "channel.change", change).await;
    let nurse = Subject { stepped_up_until: Micros::MAX, ..nurse };
    assert_eq!(ward.refusal(&nurse, ward.all(Format::Ndjson)).await, Refusal::not_found());
    ward.house.run(&ward.lead, "team.add", member).await;
    let (_, out) = ward.export(&nurse, ward.all(Format::Ndjson)).await;
    assert!(!text(&out).contains("SECRET-WHILE-AWAY"));
    assert!(text(&out).contains("\"channel.opened\""));
    let (_, out) = ward.export(&nurse, ward.all(Format::Proof)).await;
    let verdict = verify_files(&out, None).expect("readable");
    assert!(verdict.is_clean() && verdict.withheld > 0);
}

/// A receiver that fails at its end.
struct Full(Memory);

impl Out for Full {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        self.0.begin_file(name)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[tokio::test]
async fn what_could_not_be_written_is_not_filed() {
    let ward = Ward::new().await;
    let mut full = Full(Memory::default());
    let stop = super::export(&ward.house.engine, &ward.operator, ward.all(Format::Ndjson), &mut full).await;
    assert!(stop.is_err());
    let (summary, out) = ward.export(&ward.operator, ward.since_last(Format::Ndjson)).await;
    assert!(summary.entries > 0 && !text(&out).contains("export.filed"));
}

#[test]
fn arbitrary_bytes_can_be_read_from_memory() {
    let mut out = Memory::default();
    out.begin_file("a").expect("memory");
    out.write(b"bc").expect("memory");
    let mut bytes = Vec::new();
    out.open("a").expect("there").read_to_end(&mut bytes).expect("memory");
    assert_eq!(bytes, b"bc");
    assert!(out.open(&ThingId::ZERO.to_string()).is_err());
}

#[tokio::test]
async fn a_proof_carries_files_and_a_changed_missing_or_swapped_one_is_found() {
    let ward = Ward::new().await;
    let mut ids: Vec<FileId> = Vec::new();
    for content in [b"first scan".as_slice(), b"other scan"] {
        let stored =
            files::store(&ward.house.engine, &ward.lead, ward.conversation, "scan.txt", Some("text/plain"), content);
        ids.push(stored.await.expect("there is room").id);
    }
    let items = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
    let item = items["items"][0]["id"].clone();
    let data = json!({"channel": ward.conversation, "item": item, "text": "Two scans", "files": ids});
    let posted = ward.house.run(&ward.lead, "message.post", data).await;
    let (_, out) = ward.export(&ward.lead, ward.all(Format::Proof)).await;
    let verdict = verify_files(&out, None).expect("a proof");
    assert!(verdict.is_clean(), "{verdict}");
    let name = |at: usize| format!("channels/{}/files/{}", ward.conversation, ids[at]);
    assert_eq!(out.files[&name(0)], b"first scan");

    let seq = posted["seq"].as_u64();
    let named = |files: BTreeMap<String, Vec<u8>>| {
        let mut changed = Memory::default();
        changed.files.extend(files);
        let verdict = verify_files(&changed, None).expect("a proof");
        verdict.faults.iter().any(|flaw| flaw.channel == Some(ward.conversation) && flaw.seq == seq)
    };
    let mut flipped = out.files.clone();
    flipped.get_mut(&name(0)).expect("the file")[3] ^= 1;
    assert!(named(flipped));
    let mut missing = out.files.clone();
    missing.remove(&name(1));
    assert!(named(missing));
    let mut swapped = out.files.clone();
    swapped.insert(name(0), b"other scan".to_vec());
    swapped.insert(name(1), b"first scan".to_vec());
    assert!(named(swapped));
    let entries = format!("channels/{}/entries.ndjson", ward.conversation);
    let mut dropped = out.files.clone();
    let text = String::from_utf8(dropped[&entries].clone()).expect("text");
    let cut: Vec<String> =
        text.lines().map(|line| line.split(",\"files\":").next().expect("a line").to_owned()).collect();
    let whole = cut.iter().map(|line| if line.ends_with('}') { format!("{line}\n") } else { format!("{line}}}\n") });
    dropped.insert(entries, whole.collect::<String>().into_bytes());
    assert!(named(dropped));
}
