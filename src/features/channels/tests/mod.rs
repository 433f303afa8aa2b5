//! Conversations over a whole engine, with the ops of patients and plans that real teams use.

mod asks;
mod audiences;
mod chart;
mod corrections;
mod files;
mod pages;
mod posts;
mod threads;
mod waiting;
mod wrong_patient;

use serde_json::{Value, json};

use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, Code, EntryId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::log::Fact;
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
        Self::of(House::new().await).await
    }

    /// In a house of one's own.
    pub(crate) async fn of(house: House) -> Self {
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

/// An entry of another time, and what an exporter offers beside it.
pub(crate) fn charted(event: &str, body: &Value, more: Value) -> (Fact, Value) {
    let uuid = |n| uuid::Uuid::from_u128(n);
    let body = serde_json::value::to_raw_value(body).unwrap();
    let fact = Fact {
        id: EntryId(uuid(7)),
        event: event.into(),
        kind: 1,
        flags: 0,
        epoch: 0,
        patient: PatientId(uuid(1)),
        channel: ChannelId(uuid(3)),
        seq: 1,
        at: parse_rfc3339("2026-03-02T16:02:00Z").unwrap(),
        by: UserId(uuid(4)),
        item: Some(ItemId(uuid(2))),
        body: body.into(),
        r: [0; 32],
        commitment: [0; 32],
        files: [0; 32],
        head: [0; 32],
        withheld: false,
    };
    let context = json!({
        "system": "urn:uuid:x",
        "subject": {"reference": "Patient/1"},
        "plan": {"reference": "CarePlan/1"},
        "header": {"reference": "Communication/3"},
        "organization": {"reference": "Organization/1"},
        "device": {"reference": "Device/1"},
        "author": {"reference": "Practitioner/a", "display": "Maja Lindqvist"},
        "profession": "",
        "family": false,
        "recipients": [{"reference": "Practitioner/a"}, {"reference": "Practitioner/b"}],
        "item": {"reference": "Goal/2", "display": "Pressure below 140"},
        "based_on": [{"reference": "CarePlan/1"}],
        "goals": [{"reference": "Goal/2"}],
        "recorded": "2026-03-02T16:02:00.000Z",
        "restricted": false,
        "update": false,
        "changes": [],
        "known": {
            uuid(4).to_string(): {"reference": "RelatedPerson/4"},
            uuid(5).to_string(): {"reference": "Communication/5"},
            uuid(6).to_string(): {"reference": "DocumentReference/6"},
        },
    });
    (fact, with(context, more))
}
