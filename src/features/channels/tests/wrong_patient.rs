//! Messages that went to the wrong patient: what is moved, what is left, who is told of it.

use serde_json::{Value, json};

use super::{Ward, with};
use crate::kernel::base::{ChannelId, Code, ItemId, PatientId, ThingId};
use crate::kernel::engine;
use crate::kernel::log::verify::{self, Known};
use crate::kernel::policy::{PersonKind, Roles, Subject};
use crate::testing::{id_of, key};

/// Another patient of the same lead, in the same house.
struct Right {
    patient: PatientId,
    channel: ChannelId,
    item: ItemId,
}

impl Ward {
    async fn right(&self, lead: &Subject) -> Right {
        let answer = self.house.run(lead, "patient.register", json!({"name": "Ada Okafor"})).await;
        let (patient, channel) = (id_of(&answer, "id"), id_of(&answer, "care_team"));
        Right { patient, channel, item: id_of(&answer["items"], "whole") }
    }

    fn moved(&self, message: ThingId, to: &Right) -> Value {
        json!({"message": message, "channel": to.channel, "item": to.item, "reason": "Taken for her sister"})
    }

    async fn events(&self, who: &Subject, channel: ChannelId) -> Vec<Value> {
        self.history(who, channel, json!({"limit": 200})).await["events"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn the_words_go_to_the_right_record_and_are_read_no_more_in_the_wrong_one() {
    let ward = Ward::open().await;
    let right = ward.right(&ward.nurse).await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "INR 5.1 at noon", "priority": "urgent",
                      "ask": "check_back", "mentions": [ward.lead.user]});
    let message: ThingId = id_of(&ward.house.run(&ward.nurse, "message.post", data).await, "id");
    ward.house.run(&ward.nurse, "message.amend", json!({"message": message, "text": "INR 5.2 at noon"})).await;
    ward.house.run(&ward.lead, "message.check_back", json!({"message": message, "text": "five point two"})).await;
    let other = ward.post(&ward.nurse, ward.care_team, "something else").await;
    let before = ward.events(&ward.lead, ward.care_team).await;
    let reply = ward.house.run(&ward.nurse, "message.move", ward.moved(message, &right)).await;

    let there = ward.events(&ward.nurse, right.channel).await;
    let new = there.last().unwrap();
    assert_eq!(
        (&new["event"], &new["by"], &new["seq"]),
        (&json!("message.posted"), &json!(ward.nurse.user), &reply["seq"])
    );
    let said = json!({"id": reply["id"], "item": right.item, "text": "INR 5.2 at noon", "priority": "urgent", "ask": "check_back", "respond_minutes": 30});
    assert_eq!(new["data"], said);
    let text = json!(there).to_string();
    for id in [json!(message), json!(ward.patient), json!(ward.care_team), json!(ward.wound)] {
        assert!(!text.contains(id.as_str().unwrap()), "{id}");
    }

    let here = ward.events(&ward.lead, ward.care_team).await;
    let retracted = here.last().unwrap();
    assert_eq!(retracted["event"], json!("message.retracted"));
    assert_eq!(reply["retracted"], json!({"channel": ward.care_team, "seq": retracted["seq"]}));
    let held: Vec<Value> = before
        .iter()
        .filter(|event| event["data"].to_string().contains("5.") || event["event"] == "message.checked_back")
        .map(|event| event["seq"].clone())
        .collect();
    assert_eq!(held.len(), 3);
    assert_eq!(retracted["data"]["withholds"], json!(held));
    assert_eq!(
        (&retracted["data"]["reason"], &retracted["data"]["message"]),
        (&json!("wrong_patient"), &json!(message))
    );
    let text = json!(here).to_string();
    for id in [&reply["id"], &json!(right.patient), &json!(right.channel), &json!(right.item)] {
        assert!(!text.contains(id.as_str().unwrap()), "{id}");
    }
    assert!(!text.contains("INR") && !text.contains("five point"));
    for (was, is) in before.iter().zip(&here) {
        if held.contains(&was["seq"]) {
            let mut stub = json!({"withheld": "wrong_patient"});
            for name in ["id", "item", "message"] {
                if let Some(kept) = was["data"].get(name) {
                    stub[name] = kept.clone();
                }
            }
            assert_eq!(is, &with(was.clone(), json!({"data": stub})));
        } else {
            assert_eq!(is, was);
        }
    }
    assert!(text.contains("something else") && text.contains(&other.to_string()));
    for (op, more) in
        [("message.move", ward.moved(message, &right)), ("message.amend", json!({"message": message, "text": "a"}))]
    {
        assert_eq!(ward.house.code(&ward.nurse, op, more).await, Code::Conflict, "{op}");
    }
}

#[tokio::test]
async fn the_chain_holds_and_a_rebuild_withholds_the_same() {
    let ward = Ward::open().await;
    let right = ward.right(&ward.nurse).await;
    let sbar = json!({"channel": ward.care_team, "item": ward.wound, "sbar": {"situation": "Fever 39.9"}});
    let message: ThingId = id_of(&ward.house.run(&ward.nurse, "message.post", sbar).await, "id");
    // The same word, typed by somebody: content stays where nothing was moved.
    let typed = ward.post(&ward.nurse, ward.care_team, "readable").await;
    ward.house.run(&ward.nurse, "message.retract", json!({"message": typed, "reason": "wrong_patient"})).await;
    let reply = ward.house.run(&ward.nurse, "message.move", ward.moved(message, &right)).await;
    let new = ward.events(&ward.nurse, right.channel).await.pop().unwrap();
    assert_eq!(new["data"]["sbar"], json!({"situation": "Fever 39.9"}));
    let before = ward.events(&ward.lead, ward.care_team).await;
    assert!(json!(before).to_string().contains("readable"));

    let shared = ward.house.engine.shared();
    engine::rebuild(shared).await.unwrap();
    assert_eq!(ward.events(&ward.lead, ward.care_team).await, before);
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let head = reader.head(ward.care_team).await.unwrap().unwrap();
    let (tx, vault) = reader.log();
    let walked = verify::channel(tx, vault, &head, &Known::default()).await.unwrap();
    assert_eq!((walked.flaw, walked.entries), (None, head.seq));
    // Nothing that is handed out lets a guess at the words be tried.
    let facts = crate::kernel::log::since(tx, vault, &head, 0, head.seq, 500).await.unwrap();
    let stub = facts.iter().find(|fact| fact.id.0 == message.0).unwrap();
    assert!(stub.withheld && stub.r == [0; 32] && !stub.body.get().contains("Fever"));
    drop(reader);
    let thing = ward.house.engine.reader(ward.lead.clone()).await.unwrap().thing(id_of(&reply, "id")).await.unwrap();
    assert_eq!(thing.unwrap().patient, right.patient);
}

#[tokio::test]
async fn only_who_may_retract_there_and_post_here_moves_a_message() {
    let ward = Ward::open().await;
    let (own, leads) = (ward.right(&ward.nurse).await, ward.right(&ward.lead).await);
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let of_lead = ward.post(&ward.lead, ward.care_team, "a").await;
    let refused = async |who: &Subject, data: Value| {
        let refusal = ward.house.refused(who, "message.move", data).await;
        (refusal.code, refusal.field)
    };
    let to = |message: ThingId, to: &Right| ward.moved(message, to);
    // Without standing where it goes: as if that channel were not there.
    let hidden = to(message, &leads);
    let never = with(hidden.clone(), json!({"channel": ThingId(ward.house.world.id())}));
    ward.same_as_missing(&ward.nurse, "message.move", hidden.clone(), never).await;
    assert_eq!(refused(&ward.nurse, hidden).await, (Code::NotFound, Some("channel")));
    // Without standing where it is.
    let never = to(ThingId(ward.house.world.id()), &own);
    ward.same_as_missing(&ward.outsider, "message.move", to(message, &own), never).await;
    assert_eq!(refused(&ward.nurse, to(of_lead, &own)).await, (Code::Forbidden, None));
    let same = with(to(message, &own), json!({"channel": ward.care_team, "item": ward.wound}));
    assert_eq!(refused(&ward.nurse, same).await, (Code::Invalid, Some("channel")));
    let item = with(to(message, &own), json!({"item": ward.wound}));
    assert_eq!(refused(&ward.nurse, item).await, (Code::NotFound, Some("item")));
    let item = with(to(message, &own), json!({"item": null}));
    assert_eq!(refused(&ward.nurse, item).await, (Code::PlanItemRequired, Some("item")));
    let reason = with(to(message, &own), json!({"reason": " "}));
    assert_eq!(refused(&ward.nurse, reason).await, (Code::ReasonRequired, Some("reason")));
    ward.house.run(&ward.nurse, "channel.archive", json!({"channel": own.channel})).await;
    assert_eq!(refused(&ward.nurse, to(message, &own)).await, (Code::Archived, Some("channel")));

    // The lead takes away what somebody else wrote, and writes it where it belongs.
    let reply = ward.house.run(&ward.lead, "message.move", to(message, &leads)).await;
    let new = ward.events(&ward.lead, leads.channel).await.pop().unwrap();
    assert_eq!((&new["by"], &new["data"]["id"]), (&json!(ward.lead.user), &reply["id"]));
    let shared = ward.channel("shared", &[]).await;
    let family = ward.post(&ward.daughter, shared, "a").await;
    assert_eq!(refused(&ward.daughter, to(family, &leads)).await, (Code::NotFound, Some("channel")));
}

#[tokio::test]
async fn a_repeat_is_told_the_same() {
    let ward = Ward::open().await;
    let right = ward.right(&ward.nurse).await;
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let seq = ward.newest(ward.care_team).await["seq"].clone();
    ward.house.run(&ward.lead, "read", json!({"channel": ward.care_team, "seq": seq})).await;
    let data = with(ward.moved(message, &right), json!({"key": key(&ward.house.world)}));
    let first = ward.house.run(&ward.nurse, "message.move", data.clone()).await;
    let exposed = first["exposed"].as_array().unwrap();
    assert_eq!(exposed.len(), 1);
    assert_eq!((&exposed[0]["user"], &exposed[0]["read"]), (&json!(ward.lead.user), &json!(true)));
    let count = ward.events(&ward.lead, ward.care_team).await.len();
    // Even when nothing more is written in either channel.
    ward.house.run(&ward.nurse, "channel.archive", json!({"channel": right.channel})).await;
    ward.house.run(&ward.lead, "channel.archive", json!({"channel": ward.care_team})).await;
    let again = ward.house.run(&ward.nurse, "message.move", data).await;
    assert_eq!(again, with(first, json!({"repeat": true})));
    assert_eq!(ward.events(&ward.lead, ward.care_team).await.len(), count + 1);
}

#[tokio::test]
async fn a_message_of_the_same_batch_is_moved_as_it_stands() {
    let ward = Ward::open().await;
    let right = ward.right(&ward.nurse).await;
    let message = ward.post(&ward.nurse, ward.care_team, "one").await;
    let engine = &ward.house.engine;
    let run = |op: &str, data: Value| engine.run(ward.nurse.clone(), op, data.as_object().unwrap().clone());
    // Queued together: committed together.
    let amended = run("message.amend", json!({"message": message, "text": "two"}));
    let moved = run("message.move", ward.moved(message, &right));
    let (amended, moved) = tokio::join!(amended, moved);
    assert!(amended.is_ok() && moved.is_ok());
    assert_eq!(ward.events(&ward.nurse, right.channel).await.pop().unwrap()["data"]["text"], json!("two"));
    let text = json!(ward.events(&ward.lead, ward.care_team).await).to_string();
    assert!(!text.contains("\"one\"") && !text.contains("\"two\""));
}

#[tokio::test]
async fn the_privacy_officer_is_shown_who_had_it_and_nothing_of_what_it_said() {
    let ward = Ward::open().await;
    let (right, other) = (ward.right(&ward.nurse).await, ward.right(&ward.nurse).await);
    let officer = ward.house.person_with("officer", PersonKind::Practitioner, Roles::PRIVACY_OFFICER).await;
    let mut moved = Vec::new();
    for (text, to) in [("INR 5.1", &right), ("INR 5.2", &other), ("INR 5.3", &other)] {
        let message = ward.post(&ward.nurse, ward.care_team, text).await;
        let seq = ward.newest(ward.care_team).await["seq"].clone();
        ward.house.run(&ward.lead, "read", json!({"channel": ward.care_team, "seq": seq})).await;
        moved.push((message, ward.house.run(&ward.nurse, "message.move", ward.moved(message, to)).await));
        ward.house.advance(1_000);
    }
    for who in [&ward.lead, &ward.nurse, &ward.daughter, &ward.outsider] {
        assert_eq!(ward.house.code(who, "wrong_patient.list", json!({})).await, Code::Forbidden);
    }
    let list = async |data: Value| ward.house.run(&officer, "wrong_patient.list", data).await;
    let all = list(json!({})).await;
    let ids = |list: &Value| -> Vec<Value> {
        list["messages"].as_array().unwrap().iter().map(|one| one["message"].clone()).collect()
    };
    let newest_first: Vec<Value> = moved.iter().rev().map(|(message, _)| json!(message)).collect();
    assert_eq!((ids(&all), &all["more"]), (newest_first.clone(), &json!(false)));
    let (message, reply) = &moved[0];
    let one = &all["messages"][2];
    assert_eq!((&one["patient"], &one["channel"]), (&json!(ward.patient), &json!(ward.care_team)));
    assert_eq!((&one["to_message"], &one["to_patient"]), (&reply["id"], &json!(right.patient)));
    assert_eq!((&one["moved_by"]["user"], &one["reason"]), (&json!(ward.nurse.user), &json!("Taken for her sister")));
    assert_eq!((&one["retracted"], &one["message"]), (&reply["retracted"], &json!(message)));
    assert_eq!(one["exposed"][0]["user"], json!(ward.lead.user));
    assert!(one["exposed"][0]["name"].is_string(), "staff are named");
    assert!(!all.to_string().contains("INR"));
    assert_eq!(ids(&list(json!({"patient": right.patient})).await), newest_first[2..]);
    assert_eq!(ids(&list(json!({"patient": ward.patient})).await), newest_first);
    let page = list(json!({"limit": 2})).await;
    assert_eq!((ids(&page), &page["more"]), (newest_first[..2].to_vec(), &json!(true)));
    assert_eq!(ids(&list(json!({"limit": 2, "before": newest_first[1]})).await), newest_first[2..]);
    assert_eq!(ward.house.code(&officer, "wrong_patient.list", json!({"limit": 0})).await, Code::Invalid);
    assert_eq!(ward.house.code(&officer, "history", json!({"channel": ward.care_team})).await, Code::NotFound);
    // A rebuild leaves it alone.
    engine::rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(list(json!({})).await, all);
}
