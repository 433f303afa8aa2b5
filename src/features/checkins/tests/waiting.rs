//! Messages that wait for the next check-in: seen by nobody before, posted in order by their authors, or dropped and counted.

use serde_json::{Value, json};

use super::{DAY, after, events, schedule};
use crate::features::channels::{Ward, with};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, ThingId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::Subject;
use crate::testing::{id_of, key};

/// Says something that can wait.
async fn hold(ward: &Ward, who: &Subject, text: &str) -> Value {
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": text, "hold": "checkin"});
    ward.house.run(who, "message.post", data).await
}

async fn held(ward: &Ward, who: &Subject) -> Vec<Value> {
    let list = ward.house.run(who, "message.held", json!({"channel": ward.care_team})).await;
    list["held"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_waits_is_posted_in_order_when_the_check_in_opens() {
    let ward = Ward::open().await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Swab taken", "hold": "checkin"});
    let refusal = ward.house.refused(&ward.nurse, "message.post", data.clone()).await;
    assert_eq!((refusal.code, refusal.field), (Code::Invalid, Some("hold")), "there is nothing to wait for");
    schedule(&ward, ward.care_team, json!({})).await;
    let before = ward.newest(ward.care_team).await;
    let first = hold(&ward, &ward.nurse, "Swab taken").await;
    assert_eq!(
        (&first["held"], &first["channel"], first["seq"].is_null()),
        (&json!(true), &json!(ward.care_team), true)
    );
    ward.house.advance(MINUTE);
    hold(&ward, &ward.lead, "Ask about the lift").await;
    assert_eq!(ward.newest(ward.care_team).await, before, "nothing is in the record yet");
    let own = held(&ward, &ward.nurse).await;
    assert_eq!((own.len(), &own[0]["id"], &own[0]["text"]), (1, &first["id"], &json!("Swab taken")));
    let at = own[0]["at"].clone();
    after(&ward, DAY).await;
    let page = ward.history(&ward.nurse, ward.care_team, json!({"limit": 3})).await;
    let told: Vec<(&Value, &Value, &Value)> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["event"], &one["by"], &one["data"]["text"]))
        .collect();
    assert_eq!((told[0].0, told[1].0), (&json!("checkin.opened"), &json!("message.posted")));
    assert_eq!((told[1].1, told[1].2), (&json!(ward.nurse.user), &json!("Swab taken")));
    assert_eq!((told[2].1, told[2].2), (&json!(ward.lead.user), &json!("Ask about the lift")));
    let posted = &page["events"][1]["data"];
    assert_eq!((&posted["id"], &posted["held_since"]), (&first["id"], &at));
    assert!(held(&ward, &ward.nurse).await.is_empty());
    ward.house.run(&ward.lead, "message.retract", json!({"message": posted["id"], "reason": "Said twice"})).await;
}

#[tokio::test]
async fn a_repeat_waits_once_and_another_command_under_its_key_is_refused() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Swab taken", "hold": "checkin", "key": key(&ward.house.world)});
    let first = ward.house.run(&ward.nurse, "message.post", data.clone()).await;
    for _ in 0..2 {
        let again = ward.house.run(&ward.nurse, "message.post", data.clone()).await;
        assert_eq!((&again["id"], &again["until"], &again["repeat"]), (&first["id"], &first["until"], &json!(true)));
        let other = ward.house.refused(&ward.nurse, "message.post", with(data.clone(), json!({"text": "Other"}))).await;
        assert_eq!((other.code, other.field), (Code::Conflict, Some("key")));
        after(&ward, DAY).await;
    }
    assert_eq!(events(&ward, ward.care_team, "message.posted").await.len(), 1);
}

#[tokio::test]
async fn ones_own_can_be_withdrawn_and_nobody_elses() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    let id: ThingId = id_of(&hold(&ward, &ward.nurse, "Swab taken").await, "id");
    let missing = ThingId(ward.house.world.id());
    for who in [&ward.lead, &ward.outsider, &ward.daughter] {
        ward.same_as_missing(who, "message.unhold", json!({"message": id}), json!({"message": missing})).await;
    }
    assert!(held(&ward, &ward.lead).await.is_empty(), "nobody else sees it");
    assert_eq!(
        ward.house.code(&ward.outsider, "message.held", json!({"channel": ward.care_team})).await,
        Code::NotFound
    );
    for _ in 0..2 {
        let done = ward.house.run(&ward.nurse, "message.unhold", json!({"message": id})).await;
        assert_eq!((&done["id"], &done["channel"]), (&json!(id), &json!(ward.care_team)));
    }
    after(&ward, DAY).await;
    assert!(events(&ward, ward.care_team, "message.posted").await.is_empty());
    assert!(events(&ward, ward.care_team, "checkin.opened").await[0]["dropped"].is_null(), "withdrawn is not dropped");
}

#[tokio::test]
async fn who_left_says_nothing_any_more_and_that_is_counted() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Ask Maja", "hold": "checkin", "mentions": [ward.nurse.user]});
    ward.house.run(&ward.lead, "message.post", data).await;
    hold(&ward, &ward.nurse, "Swab taken").await;
    ward.close(ward.wound).await;
    ward.leave(&ward.nurse).await;
    after(&ward, DAY).await;
    assert_eq!(events(&ward, ward.care_team, "checkin.opened").await[0]["dropped"], json!(1));
    let posted = events(&ward, ward.care_team, "message.posted").await;
    assert_eq!((posted.len(), &posted[0]["text"]), (1, &json!("Ask Maja")), "on an item that was closed meanwhile");
    assert!(posted[0]["mentions"].is_null(), "who left is not mentioned");
}

#[tokio::test]
async fn with_the_schedule_ends_the_waiting() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    hold(&ward, &ward.nurse, "Swab taken").await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(held(&ward, &ward.nurse).await.len(), 1, "what waits outlasts a rebuild");
    ward.house.run(&ward.lead, "checkin.schedule", json!({"channel": ward.care_team, "rrule": null})).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["text"], "Swab taken");
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "More", "hold": "checkin"});
    assert_eq!(ward.house.refused(&ward.nurse, "message.post", data).await.field, Some("hold"));
}
