//! Posting: what an entry holds, which item it may name, whom it may mention, whom it answers.

use serde_json::json;

use super::{Ward, with};
use crate::kernel::base::{ChannelId, Code, ItemId, ThingId};
use crate::kernel::policy::PersonKind;
use crate::testing::{id_of, key};

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent() {
    let ward = Ward::open().await;
    let text = "  Glucose 9.1\u{a0}after lunch\n";
    let key = key(&ward.house.world);
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": text, "priority": "urgent", "key": key});
    let reply = ward.house.run(&ward.nurse, "message.post", data.clone()).await;
    assert_eq!(reply["channel"], json!(ward.care_team));
    let event = ward.newest(ward.care_team).await;
    assert_eq!(
        (&event["event"], &event["seq"], &event["at"], &event["by"]),
        (&json!("message.posted"), &reply["seq"], &reply["at"], &json!(ward.nurse.user))
    );
    assert_eq!(event["data"], json!({"id": reply["id"], "item": ward.wound, "text": text, "priority": "urgent"}));

    let again = ward.house.run(&ward.nurse, "message.post", data.clone()).await;
    assert_eq!(again, with(reply, json!({"repeat": true})));
    let other = with(data, json!({"text": "b"}));
    assert_eq!(ward.house.code(&ward.nurse, "message.post", other).await, Code::Conflict);
}

#[tokio::test]
async fn sbar_keeps_its_parts() {
    let ward = Ward::open().await;
    let sbar = json!({"situation": "Fever", "background": "", "assessment": "Sepsis?", "recommendation": "Cultures"});
    let data = json!({"channel": ward.care_team, "item": ward.wound, "sbar": sbar});
    ward.house.run(&ward.nurse, "message.post", data).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["sbar"], sbar);
}

#[tokio::test]
async fn every_message_names_an_open_item_of_its_patient() {
    let (ward, other) = (Ward::open().await, Ward::open().await);
    let post = |item| json!({"channel": ward.care_team, "item": item, "text": "a"});
    let none = json!({"channel": ward.care_team, "text": "a"});
    assert_eq!(ward.house.code(&ward.nurse, "message.post", none).await, Code::PlanItemRequired);

    let elsewhere =
        id_of::<ItemId>(&ward.house.run(&ward.lead, "patient.register", json!({"name": "B"})).await["items"], "whole");
    let foreign = ward.house.refused(&ward.lead, "message.post", post(elsewhere)).await;
    let never = ward.house.refused(&ward.lead, "message.post", post(other.wound)).await;
    assert_eq!((foreign.code, foreign.field), (Code::NotFound, Some("item")));
    assert_eq!(foreign.to_json(), never.to_json());

    ward.close(ward.wound).await;
    let closed = ward.house.refused(&ward.nurse, "message.post", post(ward.wound)).await;
    assert_eq!((closed.code, closed.field), (Code::PlanItemClosed, Some("item")));
}

#[tokio::test]
async fn in_a_shared_channel_only_shared_items_are_named() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    let shared = ward.item(true).await;
    let post = |item: ItemId| json!({"channel": family, "item": item, "text": "a"});
    for who in [&ward.nurse, &ward.daughter] {
        ward.house.run(who, "message.post", post(shared)).await;
        ward.house.run(who, "message.post", post(ward.unsorted)).await;
    }
    let staff = ward.house.refused(&ward.nurse, "message.post", post(ward.wound)).await;
    assert_eq!((staff.code, staff.field), (Code::Invalid, Some("item")));
    let never = ItemId(ward.house.world.id());
    ward.same_as_missing(&ward.daughter, "message.post", post(ward.wound), post(never)).await;
}

#[tokio::test]
async fn a_reply_inherits_the_item_and_answers_what_its_author_can_read() {
    let ward = Ward::open().await;
    let first = json!({"channel": ward.care_team, "item": ward.wound, "text": "a"});
    let first: ThingId = id_of(&ward.house.run(&ward.nurse, "message.post", first).await, "id");
    let reply = |channel: ChannelId, to: ThingId| json!({"channel": channel, "text": "b", "reply_to": to});
    ward.house.run(&ward.lead, "message.post", reply(ward.care_team, first)).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["data"]["item"], &event["data"]["reply_to"]), (&json!(ward.wound), &json!(first)));

    // Naming another one is allowed.
    let other = with(reply(ward.care_team, first), json!({"item": ward.unsorted}));
    ward.house.run(&ward.lead, "message.post", other).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["item"], json!(ward.unsorted));

    let elsewhere = ward.channel("staff", &[]).await;
    let never = ThingId(ward.house.world.id());
    ward.same_as_missing(&ward.lead, "message.post", reply(elsewhere, first), reply(elsewhere, never)).await;
    let refused = ward.house.refused(&ward.lead, "message.post", reply(elsewhere, first)).await;
    assert_eq!(refused.field, Some("reply_to"));

    ward.close(ward.wound).await;
    let code = ward.house.code(&ward.lead, "message.post", reply(ward.care_team, first)).await;
    assert_eq!(code, Code::PlanItemClosed, "an inherited item is an item all the same");
}

#[tokio::test]
async fn mentions_are_of_people_who_read_the_channel() {
    let ward = Ward::open().await;
    let mention = |channel: ChannelId, users: serde_json::Value| json!({"channel": channel, "item": ward.unsorted, "text": "a", "mentions": users});
    let never = ward.house.world.id();
    for users in
        [json!([ward.daughter.user]), json!([ward.outsider.user]), json!([never]), json!([ward.lead.user, never])]
    {
        let refused = ward.house.refused(&ward.nurse, "message.post", mention(ward.care_team, users)).await;
        assert_eq!((refused.code, refused.field), (Code::Invalid, Some("mentions")));
    }
    let me = json!({"channel": "me", "limit": 200});
    let before = ward.house.run(&ward.daughter, "history", me.clone()).await;
    let family = ward.channel("shared", &[]).await;
    let twice = json!([ward.daughter.user, ward.daughter.user]);
    let reply = ward.house.run(&ward.nurse, "message.post", mention(family, twice)).await;
    assert_eq!(ward.newest(family).await["data"]["mentions"], json!([ward.daughter.user]));
    let told = ward.house.run(&ward.daughter, "history", me).await;
    let told = told["events"].as_array().unwrap();
    assert_eq!(told.len(), before["events"].as_array().unwrap().len() + 1);
    let last = told.last().unwrap();
    assert_eq!((&last["event"], &last["channel"]), (&json!("mentioned"), &json!("me")));
    assert_eq!(last["data"], json!({"channel": family, "seq": reply["seq"], "message": reply["id"]}));
}

#[tokio::test]
async fn the_plan_channel_and_archived_channels_take_no_messages() {
    let ward = Ward::open().await;
    let post = |channel: ChannelId| json!({"channel": channel, "item": ward.unsorted, "text": "a"});
    assert_eq!(ward.house.code(&ward.lead, "message.post", post(ward.plan)).await, Code::Forbidden);
    let channel = ward.channel("staff", &[]).await;
    let message = ward.post(&ward.nurse, channel, "a").await;
    ward.house.run(&ward.lead, "channel.archive", json!({"channel": channel, "reason": "Healed"})).await;
    assert_eq!(ward.house.code(&ward.nurse, "message.post", post(channel)).await, Code::Archived);
    let amend = json!({"message": message, "text": "b"});
    assert_eq!(ward.house.code(&ward.nurse, "message.amend", amend).await, Code::Archived);
    let relink = json!({"message": message, "item": ward.wound});
    assert_eq!(ward.house.code(&ward.lead, "message.relink", relink).await, Code::Archived);
    let page = ward.history(&ward.nurse, channel, json!({})).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 3, "an archived channel stays readable");
}

#[tokio::test]
async fn strangers_are_answered_as_if_nothing_were_there() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "a").await;
    let (channel, thing) = (ChannelId(ward.house.world.id()), ThingId(ward.house.world.id()));
    let hidden_from = [ward.outsider.clone(), ward.daughter.clone()];
    for who in &hidden_from {
        for (op, data) in [
            ("message.post", json!({"item": ward.unsorted, "text": "a"})),
            ("history", json!({})),
            ("read", json!({"seq": 1})),
            ("channel.archive", json!({})),
            ("channel.change", json!({"name": "a"})),
        ] {
            let hidden = with(data.clone(), json!({ "channel": ward.care_team }));
            ward.same_as_missing(who, op, hidden, with(data, json!({ "channel": channel }))).await;
        }
        for (op, data) in [
            ("message.amend", json!({"text": "b"})),
            ("message.retract", json!({"reason": "b"})),
            ("message.relink", json!({"item": ward.wound})),
        ] {
            let hidden = with(data.clone(), json!({ "message": message }));
            ward.same_as_missing(who, op, hidden, with(data, json!({ "message": thing }))).await;
        }
    }
    let stranger = ward.house.person("s", PersonKind::Practitioner).await;
    assert_eq!(ward.house.run(&stranger, "channel.list", json!({})).await["channels"], json!([]));
    let list = json!({"patient": ward.patient});
    ward.same_as_missing(&stranger, "channel.list", list, json!({"patient": ward.house.world.id()})).await;
}
