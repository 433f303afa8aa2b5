//! Notes over a whole engine: who writes them, where, about what, and what is said of late ones.

mod life;
mod mail;

use serde_json::{Value, json};

use crate::features::channels::{Ward, with};
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Code, ThingId};
use crate::kernel::engine::rebuild;
use crate::testing::{id_of, key};

/// A call about the wound that ended so many minutes ago.
fn call(ward: &Ward, channel: ChannelId, minutes_ago: i64) -> Value {
    json!({
        "channel": channel,
        "item": ward.unsorted,
        "medium": "phone",
        "held_at": rfc3339(ward.house.world.now() - minutes_ago * MINUTE),
        "with": [{"name": "Dr. Osei", "role": "nephrologist"}, {"name": "Lead", "user": ward.lead.user}],
        "text": "Dose unchanged until Friday",
        "decisions": ["Recheck on Friday"],
    })
}

#[tokio::test]
async fn a_note_holds_the_discussion_and_says_whether_it_is_late() {
    let ward = Ward::open().await;
    let data = call(&ward, ward.care_team, 5);
    let reply = ward.house.run(&ward.nurse, "note.log", data.clone()).await;
    assert_eq!(reply["late"], json!(false));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["by"]), (&json!("note.logged"), &json!(ward.nurse.user)));
    let mut body = with(data, json!({"id": reply["id"], "late": false}));
    body.as_object_mut().unwrap().remove("channel");
    assert_eq!(event["data"], body);

    let late = with(call(&ward, ward.care_team, 61), json!({"key": key(&ward.house.world)}));
    let reply = ward.house.run(&ward.nurse, "note.log", late.clone()).await;
    assert_eq!((&reply["late"], &reply["late_minutes"]), (&json!(true), &json!(61)));
    assert_eq!(ward.newest(ward.care_team).await["data"]["late_minutes"], json!(61));
    // A repeat long after says what was said first.
    ward.house.advance(600 * MINUTE);
    assert_eq!(ward.house.run(&ward.nurse, "note.log", late).await, with(reply, json!({"repeat": true})));
}

#[tokio::test]
async fn staff_document_where_people_talk() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    let code = async |who, channel| ward.house.code(who, "note.log", call(&ward, channel, 5)).await;
    assert_eq!(code(&ward.daughter, family).await, Code::Forbidden);
    assert_eq!(code(&ward.daughter, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.outsider, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.lead, ward.plan).await, Code::Forbidden);
    ward.house.run(&ward.nurse, "note.log", call(&ward, family, 5)).await;
    let about = with(call(&ward, family, 5), json!({"item": ward.wound}));
    let refused = ward.house.refused(&ward.nurse, "note.log", about).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("item")));
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": family })).await;
    assert_eq!(code(&ward.nurse, family).await, Code::Archived);
}

#[tokio::test]
async fn what_a_note_must_say_is_refused_by_field() {
    let ward = Ward::open().await;
    let refused = async |more: Value| {
        let data = with(call(&ward, ward.care_team, 5), more);
        let refusal = ward.house.refused(&ward.nurse, "note.log", data).await;
        (refusal.code, refusal.field)
    };
    let ahead = rfc3339(ward.house.world.now() + 6 * MINUTE);
    assert_eq!(refused(json!({"item": null})).await, (Code::PlanItemRequired, Some("item")));
    assert_eq!(refused(json!({"held_at": ahead})).await, (Code::Invalid, Some("held_at")));
    assert_eq!(refused(json!({"with": []})).await, (Code::Invalid, Some("with")));
    let stranger = json!([{"name": "A", "user": ward.outsider.user}]);
    assert_eq!(refused(json!({ "with": stranger })).await, (Code::Invalid, Some("with")));
    assert_eq!(refused(json!({"note": ward.house.world.id()})).await, (Code::NotFound, Some("note")));
    assert_eq!(refused(json!({"text": " "})).await, (Code::Invalid, Some("text")));
}

#[tokio::test]
async fn a_note_is_unread_until_read_can_be_answered_and_is_no_message() {
    let ward = Ward::open().await;
    let reply = ward.house.run(&ward.nurse, "note.log", call(&ward, ward.care_team, 5)).await;
    assert_eq!(ward.listed(&ward.lead, ward.care_team).await["unread"], json!(1));
    let note: ThingId = id_of(&reply, "id");
    let answer = json!({"channel": ward.care_team, "text": "Thank you", "reply_to": note});
    ward.house.run(&ward.lead, "message.post", answer).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["item"], json!(ward.unsorted));
    for (op, data) in [
        ("message.amend", json!({"message": note, "text": "b"})),
        ("message.retract", json!({"message": note, "reason": "b"})),
    ] {
        assert_eq!(ward.house.code(&ward.nurse, op, data).await, Code::NotFound, "{op}");
    }

    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let before = reader.thing(note).await.unwrap().unwrap();
    drop(reader);
    rebuild(ward.house.engine.shared()).await.unwrap();
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    assert!(reader.thing(note).await.unwrap().unwrap() == before);
}

#[tokio::test]
async fn decisions_become_tasks_in_the_same_command_or_nothing_does() {
    let ward = Ward::open().await;
    let work = json!([{"title": "Blood count", "owner": ward.lead.user}, {"title": "Call Dr. Osei back"}]);
    let data = with(call(&ward, ward.care_team, 5), json!({"tasks": work, "key": key(&ward.house.world)}));
    let reply = ward.house.run(&ward.nurse, "note.log", data.clone()).await;
    assert_eq!(reply["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(ward.house.run(&ward.nurse, "note.log", data).await, with(reply.clone(), json!({"repeat": true})));
    let page = ward.history(&ward.lead, ward.care_team, json!({"limit": 3})).await;
    let events = page["events"].as_array().unwrap();
    assert_eq!((&events[0]["event"], &events[0]["data"]["tasks"]), (&json!("note.logged"), &reply["tasks"]));
    for (event, (task, state)) in
        events[1..].iter().zip(reply["tasks"].as_array().unwrap().iter().zip(["requested", "ready"]))
    {
        assert_eq!((&event["event"], &event["data"]["id"]), (&json!("task.created"), task));
        assert_eq!((&event["data"]["from_note"], &event["data"]["state"]), (&reply["id"], &json!(state)));
    }
    let before = ward.newest(ward.care_team).await;
    let strangers = json!([{"title": "Blood count"}, {"title": "Call", "owner": ward.outsider.user}]);
    for (tasks, expected) in [
        (strangers, (Code::NotFound, Some("owner"))),
        (json!([{"title": " "}]), (Code::Invalid, Some("title"))),
        (json!("Blood count"), (Code::Invalid, Some("tasks"))),
    ] {
        let data = with(call(&ward, ward.care_team, 5), json!({ "tasks": tasks }));
        let refused = ward.house.refused(&ward.nurse, "note.log", data).await;
        assert_eq!((refused.code, refused.field), expected);
    }
    assert_eq!(ward.newest(ward.care_team).await, before);
}
