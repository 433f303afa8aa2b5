//! Threads of tasks, and mentions of whoever holds a responsibility.

use serde_json::{Value, json};

use super::{Ward, with};
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Code, ItemId, ThingId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::id_of;

impl Ward {
    async fn task(&self, channel: ChannelId, item: ItemId) -> ThingId {
        let data = json!({"channel": channel, "item": item, "title": "Change the dressing"});
        id_of(&self.house.run(&self.nurse, "task.create", data).await, "id")
    }

    async fn says(&self, who: &Subject, channel: ChannelId, more: Value) -> ThingId {
        let data = with(json!({"channel": channel, "text": "It is dry"}), more);
        id_of(&self.house.run(who, "message.post", data).await, "id")
    }

    /// How many messages a task has for somebody.
    async fn counted(&self, who: &Subject, task: ThingId) -> Value {
        self.house.run(who, "task.get", json!({ "task": task })).await["task"]["messages"].clone()
    }
}

#[tokio::test]
async fn a_message_about_a_task_inherits_its_item_and_is_counted() {
    let ward = Ward::open().await;
    let task = ward.task(ward.care_team, ward.wound).await;
    let first = ward.says(&ward.nurse, ward.care_team, json!({ "task": task })).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["data"]["task"], &event["data"]["item"]), (&json!(task), &json!(ward.wound)));
    ward.says(&ward.lead, ward.care_team, json!({"task": task, "item": ward.unsorted})).await;
    assert_eq!(ward.counted(&ward.lead, task).await, json!(2));
    ward.house.run(&ward.nurse, "message.retract", json!({"message": first, "reason": "Wrong"})).await;
    assert_eq!(ward.counted(&ward.lead, task).await, json!(1), "what was taken back is in no thread");
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.counted(&ward.lead, task).await, json!(1));
}

#[tokio::test]
async fn a_count_is_of_what_the_caller_may_read() {
    let ward = Ward::open().await;
    let task = ward.task(ward.care_team, ward.wound).await;
    ward.says(&ward.lead, ward.care_team, json!({ "task": task })).await;
    ward.leave(&ward.nurse).await;
    ward.says(&ward.lead, ward.care_team, json!({ "task": task })).await;
    ward.join(&ward.nurse).await;
    assert_eq!(ward.counted(&ward.nurse, task).await, json!(1));
    assert_eq!(ward.counted(&ward.lead, task).await, json!(2));
}

#[tokio::test]
async fn a_task_of_another_channel_or_out_of_sight_is_missing() {
    let ward = Ward::open().await;
    let other = ward.channel("staff", &[]).await;
    let elsewhere = ward.task(other, ward.wound).await;
    ward.leave(&ward.nurse).await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "title": "Change the dressing"});
    let unseen: ThingId = id_of(&ward.house.run(&ward.lead, "task.create", data).await, "id");
    ward.join(&ward.nurse).await;
    let message = ward.post(&ward.lead, ward.care_team, "a").await;
    for task in [elsewhere, unseen, message, ThingId(ward.house.world.id())] {
        let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "a", "task": task});
        let refused = ward.house.refused(&ward.nurse, "message.post", data).await;
        assert_eq!((refused.code, refused.field), (Code::NotFound, Some("task")));
    }
}

#[tokio::test]
async fn a_mention_of_a_responsibility_reaches_whoever_holds_it() {
    let ward = Ward::open().await;
    let post = |responsibility: &str| json!({"channel": ward.care_team, "item": ward.wound, "text": "a", "mentions": [{"responsibility": responsibility}]});
    let refused = ward.house.refused(&ward.nurse, "message.post", post("barriers")).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("mentions")), "nobody holds it");
    let planner = ward.house.person("planner", PersonKind::Practitioner).await;
    let data = json!({"patient": ward.patient, "user": planner.user, "role": "Nurse", "responsibilities": ["plan"]});
    ward.house.run(&ward.lead, "team.add", data).await;
    let mentioned = async || {
        ward.house.run(&ward.lead, "message.post", post("plan")).await;
        let event = ward.newest(ward.care_team).await;
        assert_eq!(event["data"]["mentioned_responsibilities"], json!(["plan"]));
        event["data"]["mentions"].clone()
    };
    assert_eq!(mentioned().await, json!([planner.user]));
    let until = rfc3339(ward.house.world.now() + 60 * MINUTE);
    let data = json!({"patient": ward.patient, "responsibility": "plan", "user": ward.nurse.user, "until": until});
    ward.house.run(&planner, "team.cover", data).await;
    assert_eq!(mentioned().await, json!([ward.nurse.user]), "whoever stands in");
}
