//! Amending, retracting, re-linking: by whom, to what, and what stays.

use serde_json::json;

use super::Ward;
use crate::kernel::base::{Code, ItemId, ThingId};
use crate::testing::key;

#[tokio::test]
async fn an_amendment_is_an_entry_and_the_original_stays() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "8 mg").await;
    let amend = json!({"message": message, "text": "6 mg", "key": key(&ward.house.world)});
    let reply = ward.house.run(&ward.nurse, "message.amend", amend.clone()).await;
    let page = ward.history(&ward.lead, ward.care_team, json!({"limit": 2})).await;
    assert_eq!(page["events"][0]["data"]["text"], json!("8 mg"));
    assert_eq!(page["events"][1]["event"], json!("message.amended"));
    assert_eq!(page["events"][1]["data"], json!({"id": reply["id"], "message": message, "text": "6 mg"}));
    assert_eq!(ward.house.run(&ward.nurse, "message.amend", amend).await["repeat"], json!(true));
}

#[tokio::test]
async fn only_the_author_amends_and_in_the_same_form() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let text = json!({"message": message, "text": "b"});
    assert_eq!(ward.house.code(&ward.lead, "message.amend", text.clone()).await, Code::Forbidden);
    let sbar = json!({"message": message, "sbar": {"situation": "b"}});
    let refused = ward.house.refused(&ward.nurse, "message.amend", sbar).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("sbar")));
    ward.house.run(&ward.nurse, "message.retract", json!({"message": message, "reason": "Wrong patient"})).await;
    assert_eq!(ward.house.code(&ward.nurse, "message.amend", text).await, Code::Conflict);
}

#[tokio::test]
async fn author_or_lead_retract_once_and_say_why() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let other = ward.house.person("o", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&other).await;
    let retract = json!({"message": message, "reason": "Wrong patient"});
    assert_eq!(ward.house.code(&other, "message.retract", retract.clone()).await, Code::Forbidden);
    for reason in [json!(null), json!(" ")] {
        let without = json!({"message": message, "reason": reason});
        assert_eq!(ward.house.code(&ward.lead, "message.retract", without).await, Code::ReasonRequired);
    }
    let reply = ward.house.run(&ward.lead, "message.retract", retract.clone()).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!(event["event"], json!("message.retracted"));
    assert_eq!(event["data"], json!({"id": reply["id"], "message": message, "reason": "Wrong patient"}));
    assert_eq!(ward.house.code(&ward.nurse, "message.retract", retract).await, Code::Conflict);
}

#[tokio::test]
async fn a_relink_moves_the_message_and_carries_its_new_item() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let relink = |item: ItemId| json!({"message": message, "item": item});
    let none = json!({ "message": message });
    assert_eq!(ward.house.code(&ward.nurse, "message.relink", none).await, Code::PlanItemRequired);
    ward.close(ward.wound).await;
    let reply = ward.house.run(&ward.nurse, "message.relink", relink(ward.wound)).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!(event["data"], json!({"id": reply["id"], "message": message, "item": ward.wound}));
    assert_eq!(ward.house.code(&ward.nurse, "message.relink", relink(ward.wound)).await, Code::Conflict);

    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    assert_eq!(reader.thing(message).await.unwrap().unwrap().item, Some(ward.wound));

    // What is said of it from now on is about the item it is linked to now.
    ward.house.run(&ward.nurse, "message.amend", json!({"message": message, "text": "b"})).await;
    let never = ItemId(ward.house.world.id());
    let refused = ward.house.refused(&ward.nurse, "message.relink", relink(never)).await;
    assert_eq!((refused.code, refused.field), (Code::NotFound, Some("item")));
    ward.house.run(&ward.nurse, "message.retract", json!({"message": message, "reason": "a"})).await;
    assert_eq!(ward.house.code(&ward.lead, "message.relink", relink(ward.unsorted)).await, Code::Conflict);
}

#[tokio::test]
async fn family_amends_its_own_and_nothing_else() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    let own = ward.post(&ward.daughter, family, "a").await;
    let nurses = ward.post(&ward.nurse, family, "a").await;
    ward.house.run(&ward.daughter, "message.amend", json!({"message": own, "text": "b"})).await;
    for (op, data) in [
        ("message.amend", json!({"message": nurses, "text": "b"})),
        ("message.retract", json!({"message": own, "reason": "b"})),
        ("message.relink", json!({"message": own, "item": ward.unsorted})),
        ("channel.archive", json!({"channel": family})),
        ("channel.change", json!({"channel": family, "name": "b"})),
        ("channel.open", json!({"patient": ward.patient, "name": "b"})),
    ] {
        assert_eq!(ward.house.code(&ward.daughter, op, data).await, Code::Forbidden, "{op}");
    }
    // The lead may take back what family wrote; re-linking keeps to what the channel may name.
    let refused = ward.house.refused(&ward.lead, "message.relink", json!({"message": own, "item": ward.wound})).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("item")));
    ward.house.run(&ward.lead, "message.retract", json!({"message": own, "reason": "b"})).await;
}

#[tokio::test]
async fn what_was_said_while_away_cannot_be_named() {
    let ward = Ward::open().await;
    ward.leave(&ward.nurse).await;
    let missed = ward.post(&ward.lead, ward.care_team, "a").await;
    ward.join(&ward.nurse).await;
    let never = ThingId(ward.house.world.id());
    for (op, data) in [
        ("message.amend", json!({"text": "b"})),
        ("message.retract", json!({"reason": "b"})),
        ("message.relink", json!({"item": ward.wound})),
    ] {
        let naming = |id: ThingId| super::with(data.clone(), json!({ "message": id }));
        ward.same_as_missing(&ward.nurse, op, naming(missed), naming(never)).await;
    }
    let reply = |to: ThingId| json!({"channel": ward.care_team, "item": ward.unsorted, "text": "b", "reply_to": to});
    ward.same_as_missing(&ward.nurse, "message.post", reply(missed), reply(never)).await;
}
