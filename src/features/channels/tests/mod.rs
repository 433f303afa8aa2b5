//! Conversations over a whole engine, with the ops of patients and plans that real teams use.

mod audiences;
mod corrections;
mod pages;
mod posts;

use serde_json::{Value, json};

use crate::kernel::base::{ChannelId, Code, ItemId, PatientId, ThingId, UserId};
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::{House, id_of};

/// A patient with a lead, a nurse and a daughter on the team, and somebody who is not.
pub(crate) struct Ward {
    pub(crate) house: House,
    pub(crate) lead: Subject,
    pub(crate) nurse: Subject,
    pub(crate) daughter: Subject,
    pub(crate) outsider: Subject,
    pub(crate) patient: PatientId,
    pub(crate) plan: ChannelId,
    pub(crate) care_team: ChannelId,
    /// The standing item that takes what has no place yet; shared.
    pub(crate) unsorted: ItemId,
    /// An item of the plan that family does not see.
    pub(crate) wound: ItemId,
}

impl Ward {
    pub(crate) async fn open() -> Self {
        let house = House::new().await;
        let person = async |kind| house.person("a", kind).await;
        let (lead, nurse) = (person(PersonKind::Practitioner).await, person(PersonKind::Practitioner).await);
        let (daughter, outsider) = (person(PersonKind::RelatedPerson).await, person(PersonKind::Practitioner).await);
        let answer = house.run(&lead, "patient.register", json!({"name": "Ruth Okafor"})).await;
        let mut ward = Self {
            lead,
            nurse,
            daughter,
            outsider,
            patient: id_of(&answer, "id"),
            plan: id_of(&answer, "channel"),
            care_team: id_of(&answer, "care_team"),
            unsorted: id_of(&answer["items"], "unsorted"),
            wound: ItemId::ZERO,
            house,
        };
        ward.join(&ward.nurse).await;
        ward.join(&ward.daughter).await;
        ward.wound = ward.item(false).await;
        ward
    }

    pub(crate) async fn join(&self, user: &Subject) {
        let data = json!({"patient": self.patient, "user": user.user, "role": "Nurse"});
        self.house.run(&self.lead, "team.add", data).await;
    }

    pub(crate) async fn leave(&self, user: &Subject) {
        let data = json!({"patient": self.patient, "user": user.user});
        self.house.run(&self.lead, "team.remove", data).await;
    }

    pub(crate) async fn item(&self, shared: bool) -> ItemId {
        let data = json!({"patient": self.patient, "kind": "problem", "title": "Wound", "shared": shared});
        id_of(&self.house.run(&self.lead, "plan_item.add", data).await, "id")
    }

    pub(crate) async fn close(&self, item: ItemId) {
        let data = json!({"item": item, "rev": 1, "reason": "Healed"});
        self.house.run(&self.lead, "plan_item.close", data).await;
    }

    pub(crate) async fn channel(&self, audience: &str, members: &[&Subject]) -> ChannelId {
        let members: Vec<UserId> = members.iter().map(|member| member.user).collect();
        let mut data = json!({"patient": self.patient, "name": "Wound care", "audience": audience});
        if audience == "named" {
            data["members"] = json!(members);
        }
        id_of(&self.house.run(&self.lead, "channel.open", data).await, "id")
    }

    /// Posts on the unsorted item.
    pub(crate) async fn post(&self, who: &Subject, channel: ChannelId, text: &str) -> ThingId {
        let data = json!({"channel": channel, "item": self.unsorted, "text": text});
        id_of(&self.house.run(who, "message.post", data).await, "id")
    }

    pub(crate) async fn history(&self, who: &Subject, channel: ChannelId, more: Value) -> Value {
        self.house.run(who, "history", with(json!({ "channel": channel }), more)).await
    }

    /// The newest event of a channel.
    pub(crate) async fn newest(&self, channel: ChannelId) -> Value {
        self.history(&self.lead, channel, json!({"limit": 1})).await["events"][0].clone()
    }

    /// How `channel.list` shows a channel; null if it does not.
    pub(crate) async fn listed(&self, who: &Subject, channel: ChannelId) -> Value {
        let list = self.house.run(who, "channel.list", json!({"patient": self.patient})).await;
        let found = list["channels"].as_array().unwrap().iter().find(|one| one["id"] == json!(channel));
        found.cloned().unwrap_or(Value::Null)
    }

    /// Both are refused as missing, in the same bytes.
    pub(crate) async fn same_as_missing(&self, who: &Subject, op: &str, hidden: Value, missing: Value) {
        let here = self.house.refused(who, op, hidden).await;
        let there = self.house.refused(who, op, missing).await;
        assert_eq!(here.code, Code::NotFound, "{op}");
        assert_eq!(here.to_json().to_string(), there.to_json().to_string(), "{op}");
    }
}

pub(crate) fn with(mut data: Value, more: Value) -> Value {
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}

/// The `seq` of each event of a page.
pub(crate) fn seqs(page: &Value) -> Vec<i64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}
