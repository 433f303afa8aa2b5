//! Signed documents of a whole engine: that everything is reached, that the text alone says it all, that no byte can be changed.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{entries, of};
use crate::features::chart::fhir::refer::full_url;
use crate::features::chart::fhir::sink::{GATHERED_ENTRIES_MAX, bounded};
use crate::features::chart::tests::Ward;
use crate::features::chart::{ExportRequest, ExportSummary, Format, verify_document};
use crate::kernel::base::{Code, Micros};
use crate::kernel::crypto::canonical;
use crate::kernel::log;

impl Ward {
    async fn signs(&self) {
        let shared = self.house.engine.shared();
        log::document::make_key(&shared.db, &shared.vault).await.expect("a key");
    }

    async fn document(&self, request: ExportRequest) -> Vec<u8> {
        let (_, out) = self.export(&self.lead, request).await;
        out.files["document.json"].clone()
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        _ => {}
    }
}

/// The text of a section, markup taken out.
fn section(bundle: &Value, title: &str) -> String {
    let sections = bundle["entry"][0]["resource"]["section"].as_array().expect("sections");
    let section = sections.iter().find(|section| section["title"] == title).expect("the section");
    let div = section["text"]["div"].as_str().expect("a text");
    let (mut text, mut inside) = (String::new(), false);
    for c in div.replace("<br/>", "\n").chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[tokio::test]
async fn a_document_is_whole_signed_and_readable() {
    let ward = Ward::new().await;
    ward.signs().await;
    let goal = ward.lives("a <b>word</b> & \"more\"").await;
    let changed = ward.says(&goal, "FIRST-WORDS", json!({})).await;
    ward.changes("message.amend", &changed, "text", "second words").await;
    let gone = ward.says(&goal, "GONE-WORDS", json!({})).await;
    ward.changes("message.retract", &gone, "reason", "Said too much").await;
    let bytes = ward.document(ward.all(Format::FhirDocument)).await;
    let bundle: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!((&bundle["type"], &bundle["resourceType"]), (&json!("document"), &json!("Bundle")));
    assert_eq!(bundle["entry"][0]["resource"]["resourceType"], "Composition");
    assert_eq!(bundle["entry"][1]["resource"]["resourceType"], "Patient");
    assert!(bundle["entry"][0]["resource"]["attester"].is_null(), "nobody has attested it");

    // Everything points to something that is there, and is pointed at, but for what says where something comes from.
    let mut pointed = BTreeSet::new();
    references(&bundle["entry"], &mut pointed);
    let urls: BTreeSet<String> =
        entries(&bundle).iter().map(|entry| entry["fullUrl"].as_str().expect("a fullUrl").to_owned()).collect();
    assert!(pointed.is_subset(&urls), "{:?}", pointed.difference(&urls));
    assert_eq!(urls.difference(&pointed).count(), 1, "the Composition alone is not pointed at");
    assert!(of(&bundle, "Goal", &goal).is_some());
    assert!(urls.contains(&full_url(ward.patient.0)));

    let messages = section(&bundle, "Messages");
    for part in [
        "a <b>word</b> & \"more\"",
        "second words",
        "Retracted by author",
        "Below 140",
        "UTC",
        "scan.txt, 6 bytes",
        "SHA-256",
    ] {
        assert!(messages.contains(part), "{part} in {messages}");
    }
    assert!(!bundle.to_string().contains("GONE-WORDS") && !messages.contains("FIRST-WORDS"));
    let changes = section(&bundle, "Changes and retractions");
    assert!(changes.contains("FIRST-WORDS") && changes.contains("Said too much"), "{changes}");
    assert!(section(&bundle, "Discussions outside the channel").contains("Also a <b>word</b>"));
    assert!(section(&bundle, "Tasks").contains("Call a <b>word</b>"));
    assert!(section(&bundle, "Participants and receipts").contains("Night nurse"));

    let verdict = verify_document(&bytes, None).expect("signed");
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.entries, entries(&bundle).len());
    let pinned = verify_document(&bytes, Some(&verdict.key)).expect("signed");
    assert!(pinned.is_clean() && pinned.pinned);
    assert!(!verify_document(&bytes, Some("another")).expect("signed").is_clean());
    let spread = serde_json::to_vec_pretty(&bundle).expect("JSON");
    assert!(verify_document(&spread, None).expect("signed").is_clean(), "the same document in another hand");
}

#[tokio::test]
async fn what_was_changed_dropped_or_added_is_named() {
    let ward = Ward::new().await;
    ward.signs().await;
    let goal = ward.adds("goal", "One", json!({})).await;
    let said = ward.says(&goal, "said", json!({})).await;
    let bytes = ward.document(ward.all(Format::FhirDocument)).await;
    let bundle: Value = serde_json::from_slice(&bytes).expect("JSON");
    let faults = |bundle: &Value| verify_document(&canonical(bundle), None).expect("signed").faults;
    let at = entries(&bundle).iter().position(|entry| entry["resource"]["identifier"][0]["value"] == said.as_str());
    let at = at.expect("there");
    let mut changed = bundle.clone();
    changed["entry"][at]["resource"]["payload"][0]["contentString"] = "other".into();
    assert_eq!(faults(&changed), [format!("entry {} (Communication): changed after it was signed", at + 1)]);
    let mut dropped = bundle.clone();
    dropped["entry"].as_array_mut().expect("entries").pop();
    let count = entries(&bundle).len();
    assert_eq!(faults(&dropped), [format!("{count} entries were signed, {} are here", count - 1)]);
    let mut later = bundle.clone();
    later["signature"]["when"] = "2030-01-01T00:00:00.000Z".into();
    assert_eq!(faults(&later).len(), 1);
    let mut renamed = bundle.clone();
    renamed["identifier"]["value"] = "another".into();
    assert_eq!(faults(&renamed), ["the signature does not hold for this document"]);
    let text = String::from_utf8(bytes).expect("text");
    let doubled = text.replacen("\"type\":\"document\"", "\"type\":\"document\",\"type\":\"document\"", 1);
    assert_eq!(
        verify_document(doubled.as_bytes(), None).expect("signed").faults,
        ["a member stands twice in an object"]
    );
    let mut unsigned = bundle.clone();
    unsigned.as_object_mut().expect("members").remove("signature");
    assert!(verify_document(&canonical(&unsigned), None).is_err());
}

#[tokio::test]
async fn what_is_left_out_is_said() {
    let ward = Ward::new().await;
    ward.signs().await;
    let goal = ward.adds("goal", "One", json!({})).await;
    ward.says(&goal, "early", json!({})).await;
    ward.house.advance(60_000_000);
    let from: Micros = ward.house.world.now();
    ward.says(&goal, "late", json!({})).await;
    let request = ExportRequest { from: Some(from), ..ward.all(Format::FhirDocument) };
    let bundle: Value = serde_json::from_slice(&ward.document(request).await).expect("JSON");
    let gaps = section(&bundle, "Gaps");
    assert!(gaps.contains("Care team: ") && gaps.contains("not asked for."), "{gaps}");
    assert!(!bundle.to_string().contains("early"));
    let sections = bundle["entry"][0]["resource"]["section"].as_array().expect("sections");
    for section in sections {
        assert_eq!(section["entry"].is_null(), section["emptyReason"].is_object(), "{section}");
    }
    let whole: Value = serde_json::from_slice(&ward.document(ward.all(Format::FhirDocument)).await).expect("JSON");
    assert_eq!(section(&whole, "Gaps"), "Nothing is left out.");
}

#[test]
fn more_than_memory_takes_is_refused() {
    let counted = |entries| bounded(ExportSummary { entries, channels: 1 });
    assert!(counted(GATHERED_ENTRIES_MAX).is_ok());
    let refusal = counted(GATHERED_ENTRIES_MAX + 1).expect_err("refused");
    assert_eq!((refusal.code, refusal.field), (Code::TooLarge, Some("from")));
    let detail = refusal.detail.expect("a sentence");
    assert!(detail.contains("--from") && detail.contains("--to"), "{detail}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Whatever is written comes through as text, in both forms; and of a document no byte can be changed unseen.
    #[test]
    fn hostile_words_are_words(
        words in "[a<>&\"'\u{0}\u{7}\u{85}\u{202e}\u{2028}\u{feff}\u{ffff}|^~\\\\é🦷\n\r\t ]{1,60}[a-z]",
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let ward = Ward::new().await;
            ward.signs().await;
            let goal = ward.adds("goal", "One", json!({})).await;
            let said = ward.says(&goal, &words, json!({})).await;
            let expected = crate::features::channels::chart_text(&words);
            let transaction = ward.bundle(ward.all(Format::FhirTransaction)).await.1;
            let bytes = ward.document(ward.all(Format::FhirDocument)).await;
            let document: Value = serde_json::from_slice(&bytes).expect("JSON");
            for bundle in [&transaction, &document] {
                let message = &of(bundle, "Communication", &said).expect("there")["resource"];
                assert_eq!(message["payload"][0]["contentString"], json!(expected));
            }
            assert!(section(&document, "Messages").contains(&expected.replace("\r\n", "\n").replace('\r', "\n")));
            for (at, bit) in flips {
                let mut flipped = bytes.clone();
                flipped[at.index(bytes.len() - 1)] ^= 1 << bit;
                let clean = verify_document(&flipped, None).is_ok_and(|verdict| verdict.is_clean());
                assert!(!clean, "byte {} bit {bit}", at.index(bytes.len() - 1));
            }
        });
    }
}
