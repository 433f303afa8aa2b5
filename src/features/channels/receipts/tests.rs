//! Receipts over a whole engine: what the roll holds stands for sockets.

use serde_json::{Value, json};

use super::*;
use crate::features::channels::{Ward, with};
use crate::kernel::base::Code;
use crate::kernel::engine::roll::delivered::Unflushed;
use crate::kernel::policy::Subject;

/// As a socket of `who` does when it has flushed these entries.
fn flush(ward: &Ward, who: &Subject, channel: ChannelId, seqs: impl IntoIterator<Item = i64>) {
    let (shared, mut unflushed) = (ward.house.engine.shared(), Unflushed::default());
    seqs.into_iter().for_each(|seq| unflushed.note(channel, seq));
    shared.roll.delivered.flushed(who.user, &mut unflushed, ward.house.world.now());
}

async fn receipt(ward: &Ward, asker: &Subject, message: ThingId, of: &Subject) -> Value {
    let answer = ward.house.run(asker, "receipts", json!({ "message": message })).await;
    let found = answer["receipts"].as_array().unwrap().iter().find(|one| one["user"] == json!(of.user));
    found.cloned().unwrap_or(Value::Null)
}

async fn newest(ward: &Ward, channel: ChannelId) -> i64 {
    ward.listed(&ward.lead, channel).await["last_seq"].as_i64().unwrap()
}

#[tokio::test]
async fn delivered_and_read_are_told_with_their_first_time_also_once_written_down() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.lead, ward.care_team, "Glucose 9.1").await;
    let seq = newest(&ward, ward.care_team).await;
    let none = receipt(&ward, &ward.lead, message, &ward.nurse).await;
    assert_eq!((&none["delivered_at"], &none["read_at"], &none["alert"]), (&Value::Null, &Value::Null, &json!("rang")));
    flush(&ward, &ward.nurse, ward.care_team, 1..=seq);
    let held = receipt(&ward, &ward.lead, message, &ward.nurse).await;
    assert!(held["delivered_at"].is_string() && held["read_at"].is_null());
    let by = ward.house.command_line().await;
    settle(&ward.house.engine, &by).await;
    assert!(ward.house.engine.shared().roll.delivered.waiting().is_empty());
    let kept = receipt(&ward, &ward.lead, message, &ward.nurse).await;
    assert_eq!(held, kept);
    // Another device, later: the first time stands.
    ward.house.advance(60_000_000);
    flush(&ward, &ward.nurse, ward.care_team, 1..=seq);
    settle(&ward.house.engine, &by).await;
    assert_eq!(receipt(&ward, &ward.lead, message, &ward.nurse).await, kept);
    ward.house.run(&ward.nurse, "read", json!({"channel": ward.care_team, "seq": seq})).await;
    let read = receipt(&ward, &ward.nurse, message, &ward.nurse).await;
    assert!(read["read_at"].as_str() > read["delivered_at"].as_str());
    ward.post(&ward.lead, ward.care_team, "more").await;
    ward.house.advance(60_000_000);
    ward.house.run(&ward.nurse, "read", json!({"channel": ward.care_team, "seq": seq + 1})).await;
    assert_eq!(receipt(&ward, &ward.lead, message, &ward.nurse).await, read, "read at the first time it was passed");
}

#[tokio::test]
async fn a_position_that_jumps_reads_what_it_passes() {
    let ward = Ward::open().await;
    let first = ward.post(&ward.lead, ward.care_team, "a").await;
    let second = ward.post(&ward.lead, ward.care_team, "b").await;
    let third = ward.post(&ward.lead, ward.care_team, "c").await;
    let seq = newest(&ward, ward.care_team).await;
    ward.house.run(&ward.nurse, "read", json!({"channel": ward.care_team, "seq": seq - 1})).await;
    let times: Vec<Value> = [
        receipt(&ward, &ward.lead, first, &ward.nurse).await,
        receipt(&ward, &ward.lead, second, &ward.nurse).await,
        receipt(&ward, &ward.lead, third, &ward.nurse).await,
    ]
    .map(|one| one["read_at"].clone())
    .into();
    assert!(times[0].is_string() && times[0] == times[1] && times[2].is_null(), "{times:?}");
}

#[tokio::test]
async fn who_is_listed_may_read_it_now_and_could_then_or_met_it_later() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.lead, ward.care_team, "a").await;
    let seq = newest(&ward, ward.care_team).await;
    let users = async |asker: &Subject| -> Vec<Value> {
        let answer = ward.house.run(asker, "receipts", json!({ "message": message })).await;
        answer["receipts"].as_array().unwrap().iter().map(|one| one["user"].clone()).collect()
    };
    let mut team = vec![json!(ward.lead.user), json!(ward.nurse.user)];
    team.sort_by_key(ToString::to_string);
    assert_eq!(users(&ward.lead).await, team, "staff, and no family in a staff channel");
    ward.house.advance(1_000_000);
    ward.join(&ward.outsider).await;
    assert_eq!(users(&ward.lead).await, team, "came later and has not met it");
    ward.house.run(&ward.outsider, "read", json!({"channel": ward.care_team, "seq": seq})).await;
    assert!(users(&ward.lead).await.contains(&json!(ward.outsider.user)));
    assert!(receipt(&ward, &ward.lead, message, &ward.outsider).await.get("alert").is_none());
    flush(&ward, &ward.nurse, ward.care_team, [seq]);
    ward.leave(&ward.nurse).await;
    assert!(!users(&ward.lead).await.contains(&json!(ward.nurse.user)));
    // Who was sent it, for those who have to know, does not end with the membership.
    let engine = &ward.house.engine;
    let mut tx = engine.shared().db.read().await.unwrap();
    let all = of_entry(&mut tx, &engine.shared().roll.delivered, ward.care_team, seq, [ward.nurse.user]).await.unwrap();
    assert!(all[&ward.nurse.user].delivered_at.is_some() && all.contains_key(&ward.outsider.user));
}

#[tokio::test]
async fn an_entry_is_named_by_its_place_too() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.lead, ward.care_team, "a").await;
    let seq = newest(&ward, ward.care_team).await;
    let run = async |data: Value| ward.house.run(&ward.nurse, "receipts", data).await;
    assert_eq!(run(json!({ "message": message })).await, run(json!({"channel": ward.care_team, "seq": seq})).await);
    let plan = run(json!({"channel": ward.plan, "seq": 1})).await;
    assert!(plan.get("message").is_none());
    assert!(plan["receipts"].as_array().unwrap().iter().all(|one| one.get("alert").is_none()), "{plan}");
    for data in [json!({}), json!({"channel": ward.care_team})] {
        assert_eq!(ward.house.code(&ward.nurse, "receipts", data).await, Code::Invalid);
    }
    for seq in [0, -1, seq + 1, i64::MAX, i64::MIN] {
        let data = json!({"channel": ward.care_team, "seq": seq});
        assert_eq!(ward.house.code(&ward.nurse, "receipts", data).await, Code::NotFound, "{seq}");
    }
}

#[tokio::test]
async fn what_one_may_not_read_has_no_receipts() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.lead, ward.care_team, "a").await;
    for who in [&ward.outsider, &ward.daughter] {
        let missing = json!({"message": ThingId::ZERO});
        ward.same_as_missing(who, "receipts", json!({ "message": message }), missing).await;
        let missing = json!({"channel": ChannelId(uuid::Uuid::from_u128(9)), "seq": 1});
        ward.same_as_missing(who, "receipts", json!({"channel": ward.care_team, "seq": 1}), missing.clone()).await;
        let hidden = json!({"channel": ward.care_team, "muted": true});
        ward.same_as_missing(who, "channel.mute", hidden, with(missing.clone(), json!({"muted": true}))).await;
        ward.same_as_missing(who, "presence", json!({"channel": ward.care_team}), missing).await;
    }
    let shared = ward.channel("shared", &[]).await;
    let message = ward.post(&ward.daughter, shared, "b").await;
    assert!(receipt(&ward, &ward.daughter, message, &ward.nurse).await["alert"] == "rang");
}

#[tokio::test]
async fn a_message_is_quiet_as_things_stood_when_it_was_posted() {
    let ward = Ward::open().await;
    let post = async |priority: &str| -> ThingId {
        let data = json!({"channel": ward.care_team, "item": ward.unsorted, "text": "x", "priority": priority,
                          "mentions": [ward.nurse.user]});
        crate::testing::id_of(&ward.house.run(&ward.lead, "message.post", data).await, "id")
    };
    let alert = async |message| receipt(&ward, &ward.lead, message, &ward.nurse).await["alert"].clone();
    let before = post("routine").await;
    ward.house.advance(1_000);
    ward.house.run(&ward.nurse, "channel.mute", json!({"channel": ward.care_team, "muted": true})).await;
    assert_eq!(ward.listed(&ward.nurse, ward.care_team).await["muted"], true);
    assert_eq!(ward.listed(&ward.lead, ward.care_team).await["muted"], false);
    let (muted, urgent, stat) = (post("routine").await, post("urgent").await, post("stat").await);
    ward.house.run(&ward.nurse, "channel.mute", json!({"channel": ward.care_team, "muted": false})).await;
    let until = rfc3339(ward.house.world.now() + 3_600_000_000);
    ward.house.run(&ward.nurse, "presence.set", json!({"state": "do_not_disturb", "until": until})).await;
    let disturbed = post("routine").await;
    ward.house.advance(3_600_000_000);
    let after = post("routine").await;
    let found = [before, muted, urgent, stat, disturbed, after].map(async |message| alert(message).await);
    let mut alerts = Vec::new();
    for one in found {
        alerts.push(one.await);
    }
    assert_eq!(alerts, ["rang", "quiet", "rang", "rang", "quiet", "rang"]);
    // The receiver's own channel says the same.
    let me = ward.house.run(&ward.nurse, "history", json!({"channel": "me"})).await;
    let mentioned: Vec<bool> = me["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == "mentioned")
        .map(|event| event["data"]["quiet"] == true)
        .collect();
    assert_eq!(mentioned, [false, true, false, false, true, false]);
}

#[tokio::test]
async fn what_people_say_outlives_a_restart() {
    let mut ward = Ward::open().await;
    ward.house.run(&ward.nurse, "presence.set", json!({"state": "do_not_disturb"})).await;
    ward.house.run(&ward.nurse, "channel.mute", json!({"channel": ward.care_team, "muted": true})).await;
    let shown = async |ward: &Ward| -> Value {
        let answer = ward.house.run(&ward.lead, "presence", json!({"channel": ward.care_team})).await;
        answer["members"].as_array().unwrap().iter().find(|one| one["user"] == json!(ward.nurse.user)).unwrap().clone()
    };
    let before = shown(&ward).await;
    let expected = json!({"user": ward.nurse.user, "state": "offline", "do_not_disturb": true, "muted": true});
    assert_eq!(before, expected);
    ward.house = ward.house.restarted().await;
    crate::features::channels::recall(&ward.house.engine).await.unwrap();
    assert_eq!(shown(&ward).await, expected);
    ward.house.run(&ward.nurse, "presence.set", json!({"state": "available"})).await;
    assert_eq!(shown(&ward).await["do_not_disturb"], false);
    let house = &ward.house;
    let past = rfc3339(house.world.now() - 1);
    for data in [
        json!({}),
        json!({"state": "asleep"}),
        json!({"state": "away", "until": past}),
        json!({"state": "available", "until": rfc3339(house.world.now() + 60_000_000)}),
        json!({"state": "away", "until": "soon"}),
    ] {
        assert_eq!(house.code(&ward.nurse, "presence.set", data).await, Code::Invalid);
    }
    assert_eq!(house.code(&ward.nurse, "channel.mute", json!({"channel": ward.care_team})).await, Code::Invalid);
}
