//! Transcripts of a whole engine, read as a person reads them.

use serde_json::{Value, json};

use crate::features::chart::tests::Ward;
use crate::features::chart::{ExportRequest, Format};
use crate::features::files;
use crate::kernel::base::{Code, ItemId, Micros};
use crate::kernel::policy::{PersonKind, Roles, Subject};
use crate::testing::id_of;

/// Hostile content of every sort that must come out as text.
pub const HOSTILE: &str = "<script>alert(1)</script> & \"q\" 'a' |^~\\& \u{202e}evil\u{202c} \u{1}\u{1b}[31m שלום مرحبا 漢字 😀 ]]> -->\nsecond line";

/// The page without its markup.
fn text_of(page: &str) -> String {
    let body = page.split_once("</head>").expect("a head").1.replace("<br/>", "\n");
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (entity, c)| text.replace(entity, c))
}

/// A patient with a lead and a nurse.
pub struct Scene {
    pub ward: Ward,
    pub nurse: Subject,
    pub item: Value,
}

impl Scene {
    pub async fn new() -> Self {
        let ward = Ward::new().await;
        let nurse = ward.house.person("maja", PersonKind::Practitioner).await;
        let join = json!({"patient": ward.patient, "user": nurse.user, "role": "Charge <nurse>"});
        ward.house.run(&ward.lead, "team.add", join).await;
        let items = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
        let item = items["items"][0]["id"].clone();
        Self { nurse: Subject { stepped_up_until: Micros::MAX, ..nurse }, ward, item }
    }

    pub async fn says(&self, text: &str, more: Value) -> Value {
        let mut data = json!({"channel": self.ward.conversation, "item": self.item, "text": text});
        data.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        if more.get("sbar").is_some() {
            data.as_object_mut().expect("members").remove("text");
        }
        self.ward.house.run(&self.nurse, "message.post", data).await["id"].clone()
    }

    pub async fn run(&self, op: &str, data: Value) -> Value {
        self.ward.house.run(&self.ward.lead, op, data).await
    }

    async fn page(&self, subject: &Subject, request: ExportRequest) -> (u64, String) {
        let (summary, out) = self.ward.export(subject, request).await;
        let bytes = out.files.into_values().next().expect("one file");
        (summary.entries, String::from_utf8(bytes).expect("UTF-8"))
    }

    async fn html(&self) -> String {
        self.page(&self.ward.lead, self.ward.all(Format::Html)).await.1
    }
}

/// From a chapter's heading to the next.
fn chapter<'p>(page: &'p str, anchor: &str) -> &'p str {
    let from = page.split_once(&format!("<section id=\"{anchor}\"")).expect("the chapter").1;
    from.split_once("</section>").expect("its end").0
}

#[tokio::test]
async fn what_was_said_is_text_whatever_it_is() {
    let scene = Scene::new().await;
    scene.says(HOSTILE, json!({"priority": "urgent", "ask": "acknowledge"})).await;
    let long = "x".repeat(8000);
    scene.says(&long, json!({})).await;
    scene
        .says(
            "",
            json!({"sbar": {"situation": "Fell", "background": "", "assessment": "Bruise", "recommendation": "X-ray"}}),
        )
        .await;
    let page = scene.html().await;
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && page.ends_with("</html>\n"));
    assert!(!page.contains("<script") && !page.contains("http-equiv=\"refresh\"") && !page.contains("src="));
    let text = text_of(&page);
    let shown: String = HOSTILE.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    assert!(text.contains(&shown), "every character, controls as U+FFFD");
    assert!(text.contains(&long) && text.contains("Situation:\nFell\n\nAssessment:\nBruise\n\nRecommendation:\nX-ray"));
    for part in [
        "Ruth Okafor",
        "MRN 4711",
        "1951-08-14",
        "Riverside Clinic",
        "Urgent",
        "Asks every reader to acknowledge",
        "maja , Charge <nurse>",
        "Care plan item: Plan as a whole",
        " UTC",
        "carethread head v1",
    ] {
        assert!(
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(&part.split_whitespace().collect::<Vec<_>>().join(" ")),
            "{part}"
        );
    }
    // Well formed: each element that opens closes, in order.
    let mut open: Vec<String> = Vec::new();
    for tag in page.split('<').skip(2).map(|rest| rest.split_once('>').expect("closed").0) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().expect("a name").to_owned()),
        }
    }
    assert!(open.is_empty());
}

#[tokio::test]
async fn current_text_stands_in_the_conversation_and_older_versions_under_changes() {
    let scene = Scene::new().await;
    let amended = scene.says("FIRST-VERSION", json!({})).await;
    scene.ward.house.run(&scene.nurse, "message.amend", json!({"message": amended, "text": "SECOND-VERSION"})).await;
    let gone = scene.says("TAKEN-BACK", json!({})).await;
    scene.ward.house.run(&scene.nurse, "message.amend", json!({"message": gone, "text": "TAKEN-BACK-TOO"})).await;
    scene.run("message.retract", json!({"message": gone, "reason": "Not of this patient <b>"})).await;
    let added =
        scene.run("plan_item.add", json!({"patient": scene.ward.patient, "kind": "goal", "title": "Walk alone"})).await;
    scene.run("message.relink", json!({"message": amended, "item": added["id"]})).await;
    let page = scene.html().await;
    let conversation = chapter(&page, &format!("c-{}", scene.ward.conversation));
    assert!(conversation.contains("SECOND-VERSION") && !conversation.contains("FIRST-VERSION"));
    assert!(conversation.contains("Retracted by author") && conversation.contains("Not of this patient &lt;b&gt;"));
    assert!(conversation.contains("Care plan item: <bdi>Walk alone</bdi>"));
    assert!(!page.contains("TAKEN-BACK"), "not in superseded versions either");
    let changes = chapter(&page, "changes");
    assert!(changes.contains("FIRST-VERSION") && changes.contains("SECOND-VERSION") && changes.contains("Walk alone"));
    let items = text_of(&format!("</head>{}", chapter(&page, "items")));
    let row = items.split("Walk alone").nth(1).expect("a row").split_whitespace().take(3).collect::<Vec<_>>();
    assert_eq!(row, ["goal", "active", "1"].map(|cell| cell), "{items}");
}

#[tokio::test]
async fn notes_receipts_files_tasks_and_handoffs_are_told() {
    let scene = Scene::new().await;
    let stored = files::store(
        &scene.ward.house.engine,
        &scene.nurse,
        scene.ward.conversation,
        "scan <1>.txt",
        Some("text/plain"),
        b"first scan".as_slice(),
    );
    let stored = stored.await.expect("there is room");
    let asked = scene.says("Please look", json!({"ask": "check_back", "files": [stored.id]})).await;
    scene.run("message.check_back", json!({"message": asked, "text": "I look at noon"})).await;
    scene.ward.house.run(&scene.nurse, "message.confirm", json!({"message": asked})).await;
    let now = scene.ward.house.world.now();
    let held = crate::kernel::base::world::rfc3339(now - 3 * 3_600_000_000);
    let note = json!({"channel": scene.ward.conversation, "item": scene.item, "medium": "phone", "held_at": held, "text": "Dose unchanged",
        "with": [{"name": "Dr. Osei", "role": "nephrologist"}, {"name": "Lead", "user": scene.ward.lead.user}], "decisions": ["Blood count"]});
    let note = scene.ward.house.run(&scene.nurse, "note.log", note).await;
    scene.run("note.dispute", json!({"note": note["id"], "reason": "Halved until Friday"})).await;
    let task = json!({"channel": scene.ward.conversation, "item": scene.item, "title": "Order a frame", "owner": scene.nurse.user});
    let task = scene.run("task.create", task).await;
    scene.ward.house.run(&scene.nurse, "task.accept", json!({"task": task["id"], "rev": 1})).await;
    let offer = json!({"patient": scene.ward.patient, "to": scene.nurse.user, "ipass": {"illness_severity": "watcher", "patient_summary": "Up since Monday",
        "action_list": ["The walking frame"], "situation_awareness": "Dizzy in the morning"}});
    let offer = scene.run("handoff.offer", offer).await;
    scene
        .ward
        .house
        .run(&scene.nurse, "handoff.accept", json!({"handoff": offer["id"], "synthesis": "I see to the frame"}))
        .await;
    let page = scene.html().await;
    let text = text_of(&page).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        format!("scan <1>.txt , 10 bytes, text/plain , SHA-256 {}", stored.sha256).as_str(),
        "I look at noon",
        "checked back",
        "Check-back confirmed by the author: No.",
        "Telephone call, documented here",
        "Late entry: documented 3 hours after the discussion",
        "Dr. Osei , nephrologist",
        "Blood count",
        "Disputed by a participant",
        "Halved until Friday",
        "Task: Order a frame",
        "Task accepted: Order a frame",
        "Illness severity: watcher",
        "Dizzy in the morning",
        "Synthesis by the receiver I see to the frame",
        "State: accepted",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let tasks = chapter(&page, "tasks");
    assert!(tasks.contains("Order a frame") && tasks.contains("accepted"));
}

#[tokio::test]
async fn what_is_left_out_is_named_with_counts() {
    let scene = Scene::new().await;
    scene.ward.opens("SECRET-CHANNEL", json!({"audience": "named", "members": []})).await;
    scene.says("About the plan", json!({})).await;
    let added =
        scene.run("plan_item.add", json!({"patient": scene.ward.patient, "kind": "goal", "title": "Walk alone"})).await;
    scene.says("About walking", json!({"item": added["id"]})).await;
    let (_, page) = scene.page(&scene.nurse, scene.ward.all(Format::Html)).await;
    assert!(!page.contains("SECRET-CHANNEL"));
    assert!(chapter(&page, "gaps").contains("1 channel of this patient that whoever exported this may not read."));
    let item: ItemId = id_of(&added, "id");
    let request = ExportRequest { items: Some(vec![item]), ..scene.ward.all(Format::Html) };
    let (entries, page) = scene.page(&scene.nurse, request).await;
    assert!(page.contains("About walking") && !page.contains("About the plan"));
    assert!(chapter(&page, "gaps").contains("not asked for."));
    // The item's own entry and the message about it.
    assert_eq!(entries, 2);
    let request = ExportRequest { channels: Some(vec![scene.ward.conversation]), ..scene.ward.all(Format::Html) };
    let (_, page) = scene.page(&scene.nurse, request).await;
    assert!(chapter(&page, "gaps").contains("1 channel of this patient that were not asked for."));
    assert_eq!(super::chapters::missing(&[[2, 3], [6, 6]], 8), [[1, 1], [4, 5], [7, 8]]);
    assert!(super::chapters::missing(&[[1, 8]], 8).is_empty());
}

#[tokio::test]
async fn a_message_that_was_another_patients_shows_none_of_its_words() {
    let scene = Scene::new().await;
    let house = &scene.ward.house;
    let other = house.run(&scene.ward.lead, "patient.register", json!({"name": "Other Patient"})).await;
    let channels = house.run(&scene.ward.lead, "channel.list", json!({})).await;
    let channels = channels["channels"].as_array().expect("a list").clone();
    let there = channels.iter().find(|one| one["patient"] == other["id"] && one["name"] == "Care team").expect("there")
        ["id"]
        .clone();
    let items = house.run(&scene.ward.lead, "plan.items", json!({"patient": other["id"]})).await;
    let item = &items["items"][0]["id"];
    let message = house
        .run(
            &scene.ward.lead,
            "message.post",
            json!({"channel": scene.ward.conversation, "item": scene.item, "text": "MISDIRECTED"}),
        )
        .await;
    house
        .run(
            &scene.ward.lead,
            "message.move",
            json!({"message": message["id"], "channel": there, "item": item, "reason": "The wrong chart was open"}),
        )
        .await;
    let page = scene.html().await;
    assert!(!page.contains("MISDIRECTED") && !page.contains("The wrong chart was open"));
    assert!(page.contains("Withheld: it went to the wrong patient"));
    assert!(chapter(&page, "gaps").contains("is withheld, because it went to the wrong patient"));
}

#[tokio::test]
async fn a_record_officer_takes_out_all_of_it_and_nothing_new_is_an_empty_file() {
    let scene = Scene::new().await;
    scene.says("Once", json!({})).await;
    let officer = scene.ward.house.person_with("officer", PersonKind::Practitioner, Roles::RECORD_OFFICER).await;
    let officer = Subject { stepped_up_until: Micros::MAX, ..officer };
    let (entries, page) = scene.page(&officer, scene.ward.since_last(Format::Html)).await;
    assert!(entries > 0 && page.contains("Once"));
    let (entries, page) = scene.page(&officer, scene.ward.since_last(Format::Html)).await;
    assert!(entries == 0 && page.is_empty(), "{page}");
    let stranger = scene.ward.house.person("stranger", PersonKind::Practitioner).await;
    let stranger = Subject { stepped_up_until: Micros::MAX, ..stranger };
    assert_eq!(scene.ward.refusal(&stranger, scene.ward.all(Format::Html)).await.code, Code::NotFound);
}

#[test]
fn more_than_a_paper_takes_is_refused() {
    let most = super::pdf::ENTRIES_MAX;
    assert!(super::bounded("PDF", most).is_ok());
    let refusal = super::bounded("PDF", most + 1).expect_err("refused");
    assert_eq!((refusal.code, refusal.field), (Code::TooLarge, Some("from")));
    let detail = refusal.detail.expect("a sentence");
    assert!(detail.contains("--from") && detail.contains("--to") && detail.contains("10001"), "{detail}");
}
