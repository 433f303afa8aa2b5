//! Messages that nobody answers, over a whole engine: who is asked again and when, and each way it ends.

use serde_json::{Value, json};

use super::{Ward, with};
use crate::features::channels::{open_ask, waiting};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, ThingId};
use crate::kernel::engine::{rebuild, sql as engine_sql};
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::id_of;

impl Ward {
    /// The nurse asks, of `more`.
    async fn asks_now(&self, channel: ChannelId, more: Value) -> ThingId {
        let data =
            json!({"channel": channel, "item": self.wound, "text": "INR?", "ask": "acknowledge", "priority": "stat"});
        id_of(&self.house.run(&self.nurse, "message.post", with(data, more)).await, "id")
    }

    /// With these responsibilities.
    async fn holder(&self, held: &[&str]) -> Subject {
        let user = self.house.person("holder", PersonKind::Practitioner).await;
        let data = json!({"patient": self.patient, "user": user.user, "role": "Nurse", "responsibilities": held});
        self.house.run(&self.lead, "team.add", data).await;
        user
    }

    async fn minutes(&self, minutes: i64) -> usize {
        self.house.advance(minutes * MINUTE);
        self.house.ring().await
    }

    async fn waits(&self, message: ThingId) -> bool {
        let mut tx = self.house.engine.shared().db.read().await.unwrap();
        open_ask(&mut tx, message).await.unwrap().is_some()
    }

    async fn kept(&self, message: ThingId) -> Value {
        let mut tx = self.house.engine.shared().db.read().await.unwrap();
        let row = waiting::sql::get(&mut tx, message).await.unwrap().unwrap();
        let steps = waiting::sql::steps(&mut tx, message).await.unwrap();
        let steps: Vec<Value> = steps.iter().map(|step| json!([step.seq, step.at, step.step, step.people])).collect();
        json!([row.item, row.item_version, row.every, row.asked, row.reached, row.rounds, row.step, row.ended, steps])
    }

    async fn told(&self, who: &Subject, event: &str) -> usize {
        let mut tx = self.house.engine.shared().db.read().await.unwrap();
        let page = engine_sql::me_page(&mut tx, who.user, 0, 1000).await.unwrap();
        page.into_iter().filter(|fact| fact.event == event).count()
    }

    async fn newest_data(&self, channel: ChannelId) -> Value {
        let event = self.newest(channel).await;
        let mut data = event["data"].clone();
        data.as_object_mut().unwrap().remove("id");
        json!([event["event"], data])
    }

    async fn next_in_line(&self) -> Value {
        let items = self.house.run(&self.lead, "plan.items", json!({"patient": self.patient})).await;
        let item = items["items"].as_array().unwrap().iter().find(|item| item["id"] == json!(self.wound)).unwrap();
        item["next"].clone()
    }
}

#[tokio::test]
async fn an_ask_climbs_from_those_asked_to_the_plan_and_the_lead() {
    let ward = Ward::open().await;
    let (asked, planner) = (ward.holder(&[]).await, ward.holder(&["plan"]).await);
    let message = ward.asks_now(ward.care_team, json!({"mentions": [asked.user]})).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["respond_minutes"], json!(5));
    assert_eq!(ward.minutes(4).await, 0);
    assert_eq!(ward.minutes(1).await, 1);
    let reminded = json!(["message.reminded", {"message": message, "to": [asked.user]}]);
    assert_eq!(ward.newest_data(ward.care_team).await, reminded);
    assert_eq!((ward.told(&asked, "reminder").await, ward.told(&planner, "escalated").await), (1, 0));
    assert_eq!(ward.minutes(5).await, 1);
    let step =
        |step: i64, to: &Subject| json!(["message.escalated", {"message": message, "step": step, "to": [to.user]}]);
    assert_eq!(ward.newest_data(ward.care_team).await, step(1, &planner));
    assert_eq!(ward.told(&planner, "escalated").await, 1);
    let next = ward.next_in_line().await;
    assert_eq!((&next["why"], &next["id"]), (&json!("ask"), &json!(message)));
    assert_eq!(ward.minutes(5).await, 1);
    assert_eq!(ward.newest_data(ward.care_team).await, step(2, &ward.lead));
    assert_eq!(ward.minutes(9).await, 0);
    assert_eq!(ward.minutes(1).await, 1);
    assert_eq!(ward.newest_data(ward.care_team).await, step(3, &ward.lead));

    let receipts = ward.house.run(&ward.lead, "receipts", json!({ "message": message })).await;
    let steps: Vec<Value> = receipts["escalation"].as_array().unwrap().iter().map(|one| one["step"].clone()).collect();
    assert_eq!(steps, [0, 1, 2, 3]);
    let before = ward.kept(message).await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.kept(message).await, before, "the entries give what was kept");
    assert_eq!(ward.house.ring().await, 0, "a rebuild rings nothing again");
    assert_eq!((ward.minutes(19).await, ward.minutes(1).await), (0, 1));
}

#[tokio::test]
async fn a_barrier_goes_to_whoever_looks_after_barriers() {
    let ward = Ward::open().await;
    let (_, barriers) = (ward.holder(&["plan"]).await, ward.holder(&["barriers"]).await);
    let data = json!({"patient": ward.patient, "kind": "barrier", "title": "No lift"});
    let item = ward.house.run(&ward.lead, "plan_item.add", data).await["id"].clone();
    let message = ward.asks_now(ward.care_team, json!({ "item": item })).await;
    ward.minutes(5).await;
    ward.minutes(5).await;
    let to = json!(["message.escalated", {"message": message, "step": 1, "to": [barriers.user]}]);
    assert_eq!(ward.newest_data(ward.care_team).await, to);
}

#[tokio::test]
async fn it_ends_when_everybody_asked_or_somebody_reached_has_answered() {
    let ward = Ward::open().await;
    let (one, two, planner) = (ward.holder(&[]).await, ward.holder(&[]).await, ward.holder(&["plan"]).await);
    let mentions = json!({"mentions": [one.user, two.user]});
    let (all, reached) =
        (ward.asks_now(ward.care_team, mentions.clone()).await, ward.asks_now(ward.care_team, mentions).await);
    let answer = async |who: &Subject, message: ThingId| {
        ward.house.run(who, "message.acknowledge", json!({ "message": message })).await;
    };
    answer(&one, all).await;
    answer(&planner, reached).await;
    assert!(ward.waits(all).await && ward.waits(reached).await, "nobody who was not asked ends it");
    assert_eq!(ward.minutes(5).await, 2);
    assert_eq!((ward.told(&one, "reminder").await, ward.told(&two, "reminder").await), (1, 2));
    answer(&two, all).await;
    assert!(!ward.waits(all).await);
    assert_eq!(ward.minutes(5).await, 1);
    // The holder of the plan has answered before: the lead is next.
    assert!(ward.waits(reached).await);
    answer(&ward.lead, reached).await;
    assert!(!ward.waits(reached).await);
    assert_eq!((ward.minutes(10_000).await, ward.next_in_line().await), (0, Value::Null));
}

#[tokio::test]
async fn what_is_taken_back_settled_moved_archived_or_closed_is_asked_no_more() {
    let ward = Ward::open().await;
    let channel = ward.channel("staff", &[]).await;
    let mut asks = Vec::new();
    for _ in 0..3 {
        asks.push(ward.asks_now(ward.care_team, json!({})).await);
    }
    let (archived, closed) = (ward.asks_now(channel, json!({})).await, ward.asks_now(ward.care_team, json!({})).await);
    assert_eq!(ward.minutes(5).await, 5);
    ward.house.run(&ward.nurse, "message.retract", json!({"message": asks[0], "reason": "Wrong"})).await;
    let settle = json!({"message": asks[1], "reason": "Said by phone"});
    let daughter = ward.house.code(&ward.daughter, "message.settle", settle.clone()).await;
    assert_eq!(daughter, Code::NotFound);
    ward.house.run(&ward.nurse, "message.settle", settle.clone()).await;
    assert_eq!(
        ward.newest_data(ward.care_team).await,
        json!(["message.settled", {"message": asks[1], "reason": "Said by phone"}])
    );
    assert_eq!(ward.house.code(&ward.nurse, "message.settle", settle).await, Code::Conflict);
    let other = ward.house.run(&ward.nurse, "patient.register", json!({"name": "Ada Okafor"})).await;
    let there: ChannelId = id_of(&other, "care_team");
    let data = json!({"message": asks[2], "channel": there, "item": other["items"]["whole"], "reason": "Her sister"});
    let moved: ThingId = id_of(&ward.house.run(&ward.nurse, "message.move", data).await, "id");
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": channel })).await;
    for message in [asks[0], asks[1], asks[2], archived] {
        assert!(!ward.waits(message).await);
    }
    assert!(ward.waits(closed).await && ward.waits(moved).await);
    ward.house.run(&ward.lead, "patient.close", json!({"patient": ward.patient, "reason": "Moved"})).await;
    assert!(!ward.waits(closed).await);
    let before = ward.kept(closed).await;
    // What was moved asks there, where nobody but its author is: it says so and ends.
    assert_eq!(ward.minutes(6).await, 1);
    assert!(!ward.waits(moved).await);
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((ward.kept(closed).await, ward.minutes(10_000).await), (before, 0));
}

#[tokio::test]
async fn it_ends_when_whoever_has_not_answered_leaves() {
    let ward = Ward::open().await;
    let (one, two) = (ward.holder(&[]).await, ward.holder(&[]).await);
    let message = ward.asks_now(ward.care_team, json!({"mentions": [one.user, two.user]})).await;
    ward.house.run(&one, "message.acknowledge", json!({ "message": message })).await;
    ward.leave(&two).await;
    assert_eq!(ward.minutes(5).await, 1);
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["message"]), (&json!("message.settled"), &json!(message)));
    assert!(!ward.waits(message).await);
    assert_eq!(ward.minutes(10_000).await, 0);
}
