//! Mails over a whole engine: what becomes a note, what waits, who sees it, and that nothing is taken twice.

use serde_json::{Value, json};

use super::{Delivered, deliver, note};
use crate::features::channels::{Ward, with};
use crate::kernel::base::{ChannelId, Code};
use crate::kernel::policy::{PersonKind, Roles, Subject};

fn sample(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail");
    std::fs::read(folder.join(name)).unwrap()
}

const INLINE: &str = "forwarded-inline-qp.eml";

async fn address(ward: &Ward, channel: ChannelId, more: Value) -> String {
    let data = with(json!({ "channel": channel }), more);
    ward.house.run(&ward.nurse, "channel.mail_address", data).await["address"].as_str().unwrap().to_owned()
}

async fn register(ward: &Ward, who: &Subject, address: &str) {
    let host = ward.house.command_line().await;
    let users = ward.house.run(&host, "user.list", json!({})).await["users"].clone();
    let found = users.as_array().unwrap().iter().find(|user| user["id"] == json!(who.user)).unwrap();
    ward.house.run(&host, "user.email", json!({"handle": found["handle"], "add": address})).await;
}

async fn delivered(ward: &Ward, address: &str, raw: &[u8]) -> Result<Delivered, Code> {
    let host = ward.house.command_line().await;
    deliver(&ward.house.engine, &host, address, raw).await.map_err(|refusal| refusal.code)
}

async fn mails(ward: &Ward, who: &Subject) -> Vec<Value> {
    ward.house.run(who, "intake.list", json!({})).await["mails"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_mail_brought_in_is_a_note_once() {
    let ward = Ward::open().await;
    let bring = async |raw: &[u8], item| note(&ward.house.engine, ward.nurse.clone(), raw, ward.care_team, item).await;
    let reply = bring(&sample(INLINE), None).await.unwrap();
    assert_eq!(reply["late"], json!(true));
    let event = ward.newest(ward.care_team).await;
    let data = &event["data"];
    assert_eq!(
        (&event["event"], &event["by"], &data["id"]),
        (&json!("note.logged"), &json!(ward.nurse.user), &reply["id"])
    );
    assert_eq!((&data["medium"], &data["item"]), (&json!("email"), &json!(ward.unsorted)));
    assert!(data["held_at"].as_str().unwrap().starts_with("2005-05-08T18:17:00"));
    assert_eq!(data.get("held_at_guessed"), None);
    assert_eq!(data["with"][0], json!({"name": "xxxxx xxxxxx", "role": "from"}));
    assert!(data["text"].as_str().unwrap().starts_with("Fwd: Signed email causes file attachments\n\nWe should not"));
    assert_eq!(data["files"].as_array().map(Vec::len), Some(2));
    let info = json!({"channel": ward.care_team, "files": data["files"]});
    let info = ward.house.run(&ward.lead, "file.info", info).await;
    assert_eq!(info["files"][1]["name"], json!("original.eml"), "{info}");
    assert_eq!(info["files"][1]["size"], json!(sample(INLINE).len()));
    assert_eq!(data["mail"]["message_id"], json!("e85734b90505081209eaaa17b@mail.gmail.com"));
    let again =
        note(&ward.house.engine, ward.lead.clone(), &sample(INLINE), ward.care_team, Some(ward.wound)).await.unwrap();
    assert_eq!(again, with(reply, json!({"repeat": true})));
    let other = bring(b"From: a@x.example\n\nhere", Some(ward.wound)).await.unwrap();
    assert_eq!(other["late"], json!(false));
    let data = ward.newest(ward.care_team).await["data"].clone();
    assert_eq!((&data["held_at_guessed"], &data["item"]), (&json!(true), &json!(ward.wound)));
    assert_eq!(bring(b"no mail", None).await.unwrap_err().code, Code::Invalid);
    for who in [&ward.daughter, &ward.outsider] {
        let refused = note(&ward.house.engine, who.clone(), &sample(INLINE), ward.care_team, None).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
    }
    let long = format!("From: a@x.example\nSubject: s\n\n{}", "a".repeat(9000));
    bring(long.as_bytes(), None).await.unwrap();
    let data = ward.newest(ward.care_team).await["data"].clone();
    assert_eq!((&data["text_cut"], data["text"].as_str().unwrap().len()), (&json!(true), 8000));
}

#[tokio::test]
async fn a_channel_has_one_address_that_nobody_guesses() {
    let ward = Ward::open().await;
    let one = address(&ward, ward.care_team, json!({})).await;
    assert_eq!(one, address(&ward, ward.care_team, json!({})).await);
    let (local, domain) = one.split_once('@').unwrap();
    assert!(local.starts_with("p-") && local.len() == 18 && domain == "localhost", "{one}");
    let about = address(&ward, ward.care_team, json!({"item": ward.wound})).await;
    assert!(about.starts_with(&format!("{local}+")) && about.split('@').next().unwrap().len() <= 64);
    let code = async |who, channel| ward.house.code(who, "channel.mail_address", json!({ "channel": channel })).await;
    assert_eq!(code(&ward.outsider, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.daughter, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.nurse, ward.plan).await, Code::Forbidden);
}

#[tokio::test]
async fn a_known_sender_documents_and_others_wait() {
    let ward = Ward::open().await;
    register(&ward, &ward.nurse, "Nurse@clinic.example").await;
    let about = address(&ward, ward.care_team, json!({"item": ward.wound})).await;
    let mail = |id: &str, from: &str| {
        format!("From: Mia <{from}>\nTo: Dr. Osei <osei@x.example>\nCc: {about}\nMessage-ID: <{id}>\nSubject: Dose\n\nUnchanged").into_bytes()
    };
    assert_eq!(delivered(&ward, &about, &mail("1", "nurse@clinic.example")).await, Ok(Delivered::Noted));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["by"], &event["data"]["item"]), (&json!(ward.nurse.user), &json!(ward.wound)));
    let names: Vec<&Value> = event["data"]["with"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("Mia"), &json!("Dr. Osei")]);
    assert_eq!(event["data"]["with"][0]["user"], json!(ward.nurse.user));
    // Handed over again: the same note.
    assert_eq!(delivered(&ward, &about, &mail("1", "nurse@clinic.example")).await, Ok(Delivered::Noted));
    assert_eq!(ward.newest(ward.care_team).await["seq"], event["seq"]);

    assert_eq!(delivered(&ward, &about, &mail("2", "stranger@x.example")).await, Ok(Delivered::Waits));
    assert_eq!(delivered(&ward, &about, &mail("2", "stranger@x.example")).await, Ok(Delivered::Waits));
    let automatic = [b"Auto-Submitted: auto-replied\n".to_vec(), mail("3", "nurse@clinic.example")].concat();
    assert_eq!(delivered(&ward, &about, &automatic).await, Ok(Delivered::Waits));
    let circle = [b"X-Carethread-Loop: 1\n".to_vec(), mail("4", "nurse@clinic.example")].concat();
    assert_eq!(delivered(&ward, &about, &circle).await, Err(Code::Conflict));
    assert_eq!(delivered(&ward, &about, b"nothing").await, Err(Code::Invalid));
    let waiting = mails(&ward, &ward.lead).await;
    let reasons: Vec<&Value> = waiting.iter().map(|one| &one["reason"]).collect();
    assert_eq!(reasons, [&json!("unknown_sender"), &json!("automatic")]);
    assert_eq!(
        (&waiting[0]["domain"], &waiting[0]["content"]["text"]),
        (&json!("x.example"), &json!("Dose\n\nUnchanged"))
    );
    assert!(mails(&ward, &ward.daughter).await.is_empty() && mails(&ward, &ward.outsider).await.is_empty());

    let file = json!({"mail": waiting[0]["id"], "channel": ward.care_team, "item": ward.wound});
    assert_eq!(ward.house.code(&ward.outsider, "intake.file", file.clone()).await, Code::NotFound);
    let filed = ward.house.run(&ward.lead, "intake.file", file.clone()).await;
    assert_eq!(ward.newest(ward.care_team).await["seq"], filed["seq"]);
    assert_eq!(ward.house.code(&ward.lead, "intake.file", file).await, Code::NotFound);
    let discard = |reason: Value| json!({"mail": waiting[1]["id"], "reason": reason});
    assert_eq!(ward.house.code(&ward.outsider, "intake.discard", discard(json!("an answer"))).await, Code::NotFound);
    assert_eq!(ward.house.code(&ward.lead, "intake.discard", discard(json!(""))).await, Code::ReasonRequired);
    ward.house.run(&ward.lead, "intake.discard", discard(json!("an automatic answer"))).await;
    assert!(mails(&ward, &ward.lead).await.is_empty());
}

#[tokio::test]
async fn a_mail_to_no_channel_waits_for_its_sender_and_officers_see_its_outside() {
    let ward = Ward::open().await;
    register(&ward, &ward.nurse, "nurse@clinic.example").await;
    let officer = ward.house.person_with("officer", PersonKind::Practitioner, Roles::PRIVACY_OFFICER).await;
    let raw = b"From: nurse@clinic.example\nSubject: Dose\n\nUnchanged";
    assert_eq!(delivered(&ward, "p-abcdefghijklmnop@localhost", raw).await, Ok(Delivered::Waits));
    let own = mails(&ward, &ward.nurse).await;
    assert_eq!((&own[0]["reason"], &own[0]["content"]["subject"]), (&json!("unknown_address"), &json!("Dose")));
    assert!(mails(&ward, &ward.lead).await.is_empty());
    let outside = mails(&ward, &officer).await;
    assert_eq!(
        (outside[0].get("content"), outside[0].get("sender"), &outside[0]["domain"]),
        (None, None, &json!("clinic.example"))
    );
    let file = json!({"mail": own[0]["id"], "channel": ward.care_team});
    assert_eq!(ward.house.code(&ward.lead, "intake.file", file.clone()).await, Code::NotFound);
    ward.house.run(&ward.nurse, "intake.file", file).await;
    assert!(mails(&ward, &officer).await.is_empty());
}

#[tokio::test]
async fn what_the_site_calls_forged_and_what_the_sender_may_not_do_waits() {
    let ward = Ward::open().await;
    register(&ward, &ward.outsider, "outsider@clinic.example").await;
    let at = address(&ward, ward.care_team, json!({})).await;
    let mail = b"From: outsider@clinic.example\nSubject: Dose\n\nUnchanged";
    assert_eq!(delivered(&ward, &at, mail).await, Ok(Delivered::Waits));
    assert_eq!(mails(&ward, &ward.lead).await[0]["reason"], json!("refused"));
    assert!(mails(&ward, &ward.outsider).await.is_empty());
}

#[tokio::test]
async fn every_sample_ends_as_a_note() {
    let ward = Ward::open().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail");
    let mut count = 0;
    for file in std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|end| end == "eml"))
    {
        let raw = std::fs::read(file.path()).unwrap();
        note(&ward.house.engine, ward.nurse.clone(), &raw, ward.care_team, None).await.unwrap();
        count += 1;
    }
    assert_eq!(count, 6);
}
