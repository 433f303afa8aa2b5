//! Messages of a whole engine, field by field, and of documents made by hand.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::acknowledged::{Acknowledged, stamp};
use super::message::*;
use crate::features::chart::transcript::tests::{HOSTILE, Scene};
use crate::features::chart::{ExportRequest, Format};
use crate::kernel::base::config::{Hl7Message, Hl7v2};

/// A message as a receiver reads it: segments of fields.
struct Read(Vec<Vec<String>>);

impl Read {
    fn of(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        assert!(text.ends_with('\r') && !text.contains('\n'), "segments end in CR");
        Self(text.split_terminator('\r').map(|segment| segment.split('|').map(str::to_owned).collect()).collect())
    }

    fn get(&self, segment: &str, field: usize) -> &str {
        // MSH-1 is the separator itself.
        let at = if segment == "MSH" { field - 1 } else { field };
        let found = self.0.iter().find(|fields| fields[0] == segment).expect("the segment");
        found.get(at).map(String::as_str).unwrap_or_default()
    }

    /// OBX-5 of the text, unescaped.
    fn text(&self) -> String {
        let text = self.0.iter().find(|fields| fields[0] == "OBX" && fields[2] == "FT").expect("a text");
        plain(&text[5])
    }
}

/// Reads the escapes from the left, as a receiver does: replacing them one kind after another would take the
/// `E` of the text `^E~`, which stands between two escapes, for one more.
fn plain(field: &str) -> String {
    let mut out = String::new();
    let mut parts = field.split('\\');
    out.push_str(parts.next().unwrap_or_default());
    while let (Some(escape), Some(text)) = (parts.next(), parts.next()) {
        out.push_str(match escape {
            ".br" => "\n",
            "F" => "|",
            "S" => "^",
            "T" => "&",
            "R" => "~",
            "E" => "\\",
            other => panic!("an escape of no meaning: {other}"),
        });
        out.push_str(text);
    }
    out
}

fn person(name: &str) -> Person {
    Person { id: Uuid::from_u128(9), name: name.into(), profession: Some("Registered nurse".into()), number: None }
}

fn document(text: &str, act: Act) -> Document {
    Document {
        id: Uuid::from_u128(1),
        version: 7,
        act,
        parent: (act != Act::Original).then(|| Uuid::from_u128(2)),
        class: "PR",
        code: ("34139-6", "Nurse Telephone encounter Note"),
        activity: 1_772_464_200_000_000,
        documented: 1_772_467_320_000_000,
        authors: vec![person("Maja Lindqvist"), person("Ada |Osei^")],
        attested: Vec::new(),
        item: Some((Uuid::from_u128(3), "Systolic & diastolic".into())),
        restricted: false,
        title: "Telephone call".into(),
        text: text.into(),
        said: crate::kernel::crypto::hash(text.as_bytes()),
    }
}

fn patient() -> Patient {
    let number =
        |authority: &str, value: &str, class| PatientNumber { authority: authority.into(), value: value.into(), class };
    Patient {
        numbers: vec![
            number("RIVERSIDE", "MRN-004711", "MR"),
            number("urn:oid:2.16.840.1.113883.19.5", "1|2", ""),
            number("https://x.example/id", "3", ""),
        ],
        name: "Ruth Okafor".into(),
        birth_date: Some("1951-08-14".into()),
        gender: Some("female".into()),
    }
}

fn settings() -> Hl7v2 {
    Hl7v2 { sending_facility: "RIVERSIDE".into(), receiving_application: "CHART".into(), ..Hl7v2::default() }
}

#[test]
fn a_note_is_an_mdm_field_by_field() {
    let sent = 1_772_470_801_000_000;
    let bytes = message(&document("Two missed doses.\nWeekly pillbox", Act::Original), &patient(), &settings(), sent);
    assert_eq!(
        bytes,
        message(&document("Two missed doses.\nWeekly pillbox", Act::Original), &patient(), &settings(), sent),
        "pure"
    );
    let read = Read::of(&bytes);
    let segments: Vec<&str> = read.0.iter().map(|fields| fields[0].as_str()).collect();
    assert_eq!(segments, ["MSH", "EVN", "PID", "PV1", "TXA", "OBX", "OBX"]);
    let header: Vec<&str> = (2..=18).map(|field| read.get("MSH", field)).collect();
    let control = read.get("MSH", 10).to_owned();
    assert_eq!(
        header,
        [
            "^~\\&",
            "CARETHREAD",
            "RIVERSIDE",
            "CHART",
            "",
            "20260302170001.000+0000",
            "",
            "MDM^T02^MDM_T02",
            &control,
            "P",
            "2.5.1",
            "",
            "",
            "",
            "",
            "",
            "UNICODE UTF-8"
        ]
    );
    assert!(control.len() <= 20);
    assert_eq!((read.get("EVN", 1), read.get("EVN", 2)), ("T02", "20260302170001.000+0000"));
    assert_eq!(
        read.get("PID", 3),
        "MRN-004711^^^RIVERSIDE^MR~1\\F\\2^^^&2.16.840.1.113883.19.5&ISO^~3^^^&https://x.example/id&URI^"
    );
    assert_eq!((read.get("PID", 5), read.get("PID", 7), read.get("PID", 8)), ("Ruth Okafor^^^^^^D", "19510814", "F"));
    assert_eq!(read.get("PV1", 2), "N");
}

#[test]
fn a_note_has_its_document_and_its_text() {
    let bytes = message(&document("Two missed doses.\nWeekly pillbox", Act::Original), &patient(), &settings(), 0);
    let read = Read::of(&bytes);
    let txa: Vec<&str> = [2, 3, 4, 6, 7, 12, 13, 16, 17, 18, 19, 22].map(|field| read.get("TXA", field)).to_vec();
    let number = format!("{}^CARETHREAD", Uuid::from_u128(1));
    assert_eq!(
        txa,
        [
            "PR",
            "TEXT",
            "20260302151000.000+0000",
            "20260302160200.000+0000",
            "20260302160200.000+0000",
            &number,
            "",
            "Telephone call",
            "DO",
            "U",
            "AV",
            ""
        ]
    );
    assert_eq!(read.get("TXA", 9), read.get("TXA", 5));
    let nine = Uuid::from_u128(9);
    assert_eq!(
        read.get("TXA", 9),
        format!(
            "{nine}^Maja Lindqvist^^^^^Registered nurse^^CARETHREAD^D^^^RI~{nine}^Ada \\F\\Osei\\S\\^^^^^Registered nurse^^CARETHREAD^D^^^RI"
        )
    );
    let item = format!("{}^Systolic \\T\\ diastolic^L", Uuid::from_u128(3));
    assert_eq!(read.0[5], ["OBX", "1", "CE", "18776-5^Plan of care note^LN", "1", &item, "", "", "", "", "", "F"]);
    assert_eq!(read.0[6][5], "Two missed doses.\\.br\\Weekly pillbox");
    assert_eq!((read.0[6][11].as_str(), read.0[6][14].as_str()), ("F", "20260302151000.000+0000"));
}

#[test]
fn events_name_their_parent_and_an_attested_document_is_authenticated() {
    let parent = format!("{}^CARETHREAD", Uuid::from_u128(2));
    for (act, event, structure) in
        [(Act::Addendum, "T06", "T02"), (Act::Replacement, "T10", "T02"), (Act::Cancel, "T11", "T01")]
    {
        let read = Read::of(&message(&document("Text", act), &patient(), &settings(), 0));
        assert_eq!(read.get("MSH", 9), format!("MDM^{event}^MDM_{structure}"));
        assert_eq!((read.get("EVN", 1), read.get("TXA", 13)), (event, parent.as_str()));
        assert_eq!(read.0.iter().any(|fields| fields[0] == "OBX"), act != Act::Cancel);
    }
    let attested = Document {
        attested: vec![
            (person("Dr. Osei"), 1_772_467_320_000_000),
            (person("Lead | of nursing"), 1_772_467_380_000_000),
        ],
        restricted: true,
        ..document("Text", Act::Original)
    };
    let read = Read::of(&message(&attested, &patient(), &settings(), 0));
    assert_eq!((read.get("TXA", 17), read.get("TXA", 18)), ("AU", "R"));
    let signers: Vec<Vec<&str>> = read.get("TXA", 22).split('~').map(|one| one.split('^').collect()).collect();
    let signers: Vec<(&str, &str)> = signers.iter().map(|one| (one[1], one[14])).collect();
    assert_eq!(
        signers,
        [("Dr. Osei", "20260302160200.000+0000"), ("Lead \\F\\ of nursing", "20260302160300.000+0000")]
    );
}

#[test]
fn a_person_has_the_number_that_others_know() {
    let known = |system: &str| Person { number: Some((system.into(), "12|45".into())), ..person("Maja Lindqvist") };
    for (system, expected) in [
        ("http://hl7.org/fhir/sid/us-npi", "12\\F\\45^Maja Lindqvist^^^^^Registered nurse^^NPI^D^^^NPI"),
        ("urn:oid:1.2.3", "12\\F\\45^Maja Lindqvist^^^^^Registered nurse^^&1.2.3&ISO^D^^^"),
    ] {
        let document = Document {
            attested: vec![(known(system), 0)],
            authors: vec![known(system)],
            ..document("Text", Act::Original)
        };
        let read = Read::of(&message(&document, &patient(), &settings(), 0));
        assert_eq!((read.get("TXA", 5), read.get("TXA", 9)), (expected, expected));
        assert_eq!(read.get("TXA", 22).split('^').nth(14), Some("19700101000000.000+0000"));
    }
}

#[test]
fn a_site_without_mdm_gets_results() {
    let oru = Hl7v2 { message: Hl7Message::Oru, ..settings() };
    let read = Read::of(&message(&document("Text", Act::Original), &patient(), &oru, 0));
    let segments: Vec<&str> = read.0.iter().map(|fields| fields[0].as_str()).collect();
    assert_eq!(segments, ["MSH", "PID", "PV1", "OBR", "OBX", "OBX"]);
    assert_eq!((read.get("MSH", 9), read.get("OBR", 25)), ("ORU^R01^ORU_R01", "F"));
    assert_eq!(read.get("OBR", 3), format!("{}^CARETHREAD", Uuid::from_u128(1)));
    assert_eq!(read.get("OBR", 4), "34139-6^Nurse Telephone encounter Note^LN");
    let corrected = Read::of(&message(&document("Text", Act::Replacement), &patient(), &oru, 0));
    assert_eq!((corrected.get("OBR", 25), corrected.0[5][11].as_str()), ("C", "C"));
    assert_eq!(corrected.get("OBR", 3), format!("{}^CARETHREAD", Uuid::from_u128(2)), "the result it corrects");
}

/// MSH-10 of a document that is sent at some time.
fn control(document: &Document, sent: i64) -> String {
    Read::of(&message(document, &patient(), &settings(), sent)).get("MSH", 10).to_owned()
}

#[test]
fn a_control_id_is_of_what_a_message_says() {
    let one = document("Text", Act::Original);
    let attested = |at| Document { attested: vec![(person("Dr. Osei"), at)], ..document("Text", Act::Original) };
    let others = [
        document("Text", Act::Replacement),
        document("Other words", Act::Original),
        Document { version: 8, ..document("Text", Act::Original) },
        Document { id: Uuid::from_u128(5), ..document("", Act::Original) },
        attested(1),
        attested(1_000_001),
    ];
    let ids: BTreeSet<String> = others.iter().chain([&one]).map(|one| control(one, 0)).collect();
    assert_eq!(ids.len(), others.len() + 1);
    assert_eq!(control(&one, 0), control(&one, 1_772_464_200_000_000), "the same whenever it is sent");
}

#[test]
fn what_was_acknowledged_is_not_lacked() {
    let one = document("Text", Act::Original);
    let had = Acknowledged::of([(one.id, stamp(&one).as_str())].into_iter());
    assert!(had.has(one.id) && !had.has(Uuid::from_u128(5)));
    let again = |version, text: &str| Document { parent: Some(one.id), version, ..document(text, Act::Replacement) };
    for (document, partial, replaces, lacks) in [
        (document("Text", Act::Original), false, false, false),
        (again(9, "Text"), false, true, false),
        (again(8, "More text"), false, false, true),
        // A part of the same state was there before the whole of it; of the whole, a part is nothing new.
        (again(7, "More text"), false, false, true),
        (again(7, "Tex"), true, false, false),
        (again(6, "Older text"), false, false, false),
        (again(6, "Older text"), false, true, true),
        (Document { id: Uuid::from_u128(5), ..document("Text", Act::Original) }, false, false, true),
    ] {
        assert_eq!(had.lacks(&document, partial, replaces), lacks, "{} {}", document.version, document.text);
    }
}

proptest! {
    /// Whatever is written comes out as text, and cannot end a field, a segment or a frame.
    #[test]
    fn every_text_round_trips(text in "\\PC{0,200}", hostile in prop::collection::vec(prop::sample::select(vec!["\r", "\n", "|", "^", "~", "\\", "&", "\\F\\", "\\.br\\", "\u{b}", "\u{1c}", "\u{202e}", "שלום", "😀"]), 0..40)) {
        let text = format!("{}x{text}{}x", hostile.concat(), hostile.concat());
        let bytes = message(&document(&text, Act::Original), &patient(), &settings(), 0);
        prop_assert!(!bytes.contains(&0x0b) && !bytes.contains(&0x1c));
        let read = Read::of(&bytes);
        prop_assert_eq!(read.0.len(), 7);
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let expected: String = lines.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
        prop_assert_eq!(read.text(), expected.trim_end());
    }
}

async fn exported(scene: &Scene, request: ExportRequest) -> Vec<Read> {
    let (_, out) = scene.ward.export(&scene.ward.lead, request).await;
    let names: Vec<String> = out.files.keys().cloned().collect();
    let expected: Vec<String> = (1..=names.len()).map(|at| format!("{at:04}.hl7")).collect();
    assert_eq!(names, expected);
    out.files.values().map(|bytes| Read::of(bytes)).collect()
}

fn events(read: &[Read]) -> Vec<&str> {
    read.iter().map(|read| read.get("EVN", 1)).collect()
}

#[tokio::test]
async fn what_is_filed_is_added_to_replaced_and_never_sent_twice() {
    let scene = Scene::new().await;
    let form = Format::Hl7v2;
    let first = scene.says(HOSTILE, json!({})).await;
    let read = exported(&scene, scene.ward.since_last(form)).await;
    let of_item = |read: &[Read]| read.iter().position(|one| one.text().contains("|^~\\&")).expect("the day");
    let original = &read[of_item(&read)];
    assert_eq!(original.get("EVN", 1), "T02");
    assert!(original.text().contains("second line") && original.text().contains("שלום مرحبا 漢字 😀"));
    let number = original.get("TXA", 12).to_owned();
    assert!(exported(&scene, scene.ward.since_last(form)).await.is_empty());

    let held = crate::kernel::base::world::rfc3339(scene.ward.house.world.now());
    let note = json!({"channel": scene.ward.conversation, "item": scene.item, "medium": "phone", "held_at": held, "text": "Dose unchanged", "with": [{"name": "Dr. Osei"}]});
    let note = scene.run("note.log", note).await;
    let read = exported(&scene, scene.ward.since_last(form)).await;
    assert_eq!(events(&read), ["T02"], "a note is a document of its own");
    assert!(read[0].text().contains("Dose unchanged"));
    let parent = read[0].get("TXA", 12).to_owned();
    assert!(parent.starts_with(note["id"].as_str().expect("an id")));
    scene.run("note.addend", json!({"note": note["id"], "text": "From Friday on"})).await;
    let read = exported(&scene, scene.ward.since_last(form)).await;
    assert_eq!((events(&read), read[0].get("TXA", 13)), (vec!["T06"], parent.as_str()));

    scene.ward.house.run(&scene.nurse, "message.amend", json!({"message": first, "text": "AMENDED"})).await;
    let read = exported(&scene, scene.ward.since_last(form)).await;
    assert_eq!((events(&read), read[0].get("TXA", 13)), (vec!["T10"], number.as_str()));
    assert!(read[0].text().contains("AMENDED") && !read[0].text().contains("second line"));
    assert_ne!(read[0].get("TXA", 12), number, "a number of its own");
    scene.ward.house.run(&scene.nurse, "message.retract", json!({"message": first, "reason": "Wrong"})).await;
    let read = exported(&scene, scene.ward.since_last(form)).await;
    assert_eq!(events(&read), ["T10"]);
    assert!(read[0].text().contains("Retracted by author") && !read[0].text().contains("AMENDED"));
    let all = exported(&scene, scene.ward.all(form)).await;
    let ids: BTreeSet<&str> = all.iter().map(|read| read.get("MSH", 10)).collect();
    assert_eq!(ids.len(), all.len());
}
