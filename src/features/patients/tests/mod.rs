//! Teams over a whole engine: who may, who reads what from where, and that the log alone gives it again.

mod cover;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Code, UserId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{Access, Interval, PersonKind, Roles, Subject};
use crate::testing::{House, id_of, key};

struct Ward {
    house: House,
    lead: Subject,
    patient: PatientId,
    plan: ChannelId,
}

impl Ward {
    async fn open() -> Self {
        let house = House::new().await;
        let lead = house.person("lead", PersonKind::Practitioner).await;
        let answer =
            house.run(&lead, "patient.register", json!({"name": "Ruth Okafor", "birth_date": "1951-08-14"})).await;
        Self { lead, patient: id_of(&answer, "id"), plan: id_of(&answer, "channel"), house }
    }

    async fn nurse(&self) -> Subject {
        let handle = format!("nurse-{}", self.house.world.id());
        self.house.person(&handle, PersonKind::Practitioner).await
    }

    fn about(&self, user: &Subject, more: Value) -> Value {
        let mut data = json!({"patient": self.patient, "user": user.user});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    }

    async fn add(&self, user: &Subject, more: Value) -> Value {
        let mut data = self.about(user, json!({"role": "Nurse"}));
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.house.run(&self.lead, "team.add", data).await
    }

    async fn access(&self) -> std::sync::Arc<Access> {
        let mut reader = self.house.engine.reader(self.lead.clone()).await.unwrap();
        reader.access(self.patient).await.unwrap().unwrap()
    }

    async fn spans(&self, user: &Subject) -> Vec<Interval> {
        self.access().await.channels[&self.plan].readers.get(&user.user).cloned().unwrap_or_default()
    }

    async fn leads(&self) -> Vec<UserId> {
        self.access().await.members.iter().filter(|(_, member)| member.lead).map(|(user, _)| *user).collect()
    }
}

#[tokio::test]
async fn whoever_registers_leads_and_sees() {
    let ward = Ward::open().await;
    let shown = ward.house.run(&ward.lead, "patient.get", json!({"patient": ward.patient})).await;
    assert_eq!((&shown["name"], &shown["birth_date"]), (&json!("Ruth Okafor"), &json!("1951-08-14")));
    assert_eq!((&shown["channel"], &shown["lead"]), (&json!(ward.plan), &json!(ward.lead.user)));
    let listed = ward.house.run(&ward.lead, "patient.list", json!({})).await;
    assert_eq!(listed["patients"], json!([shown]));
    let team = ward.house.run(&ward.lead, "team.list", json!({"patient": ward.patient})).await;
    assert_eq!(team["members"][0]["responsibilities"], json!(["lead"]));
    assert_eq!(ward.spans(&ward.lead).await, [Interval { from: 1, to: None }]);
}

#[tokio::test]
async fn a_stranger_gets_the_answer_of_a_patient_that_never_was() {
    let ward = Ward::open().await;
    let outsider = ward.nurse().await;
    let never = PatientId(ward.house.world.id());
    for op in ["patient.get", "team.list"] {
        let here = ward.house.refused(&outsider, op, json!({"patient": ward.patient})).await;
        let there = ward.house.refused(&outsider, op, json!({"patient": never})).await;
        assert_eq!((here.to_json(), here.code), (there.to_json(), Code::NotFound));
    }
    assert_eq!(ward.house.run(&outsider, "patient.list", json!({})).await["patients"], json!([]));
    let data = ward.about(&outsider, json!({"role": "Nurse"}));
    assert_eq!(ward.house.code(&outsider, "team.add", data).await, Code::NotFound);
}

#[tokio::test]
async fn administrators_and_family_do_not_register() {
    let house = House::new().await;
    let administrator = house.person_with("a", PersonKind::Practitioner, Roles::ADMINISTRATOR).await;
    let daughter = house.person("d", PersonKind::RelatedPerson).await;
    for who in [administrator, daughter] {
        assert_eq!(house.code(&who, "patient.register", json!({"name": "R"})).await, Code::Forbidden);
    }
}

#[tokio::test]
async fn from_the_command_line_there_is_no_lead_until_one_is_named() {
    let house = House::new().await;
    let (operator, nurse) = (house.command_line().await, house.person("n", PersonKind::Practitioner).await);
    let other = house.person("o", PersonKind::Practitioner).await;
    let patient: PatientId = id_of(&house.run(&operator, "patient.register", json!({"name": "R"})).await, "id");
    let add = |user: &Subject, held: Value| json!({"patient": patient, "user": user.user, "role": "Nurse", "responsibilities": held});
    house.run(&operator, "team.add", add(&nurse, json!([]))).await;
    // Without a lead any member of staff may; with one, only the lead.
    house.run(&nurse, "team.add", add(&other, json!(["lead"]))).await;
    let third = house.person("t", PersonKind::Practitioner).await;
    assert_eq!(house.code(&nurse, "team.add", add(&third, json!([]))).await, Code::Forbidden);
    house.run(&other, "team.add", add(&third, json!([]))).await;
}

#[tokio::test]
async fn the_lead_moves_in_one_commit_and_is_never_lost() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    ward.add(&nurse, json!({"responsibilities": ["plan"]})).await;
    let leaving = ward.about(&ward.lead, json!({}));
    assert_eq!(ward.house.code(&ward.lead, "team.remove", leaving.clone()).await, Code::Conflict);
    let plain = ward.about(&ward.lead, json!({"responsibilities": []}));
    assert_eq!(ward.house.code(&ward.lead, "team.change", plain).await, Code::Conflict);
    let naming = ward.about(&nurse, json!({"responsibilities": ["lead", "plan"]}));
    ward.house.run(&ward.lead, "team.change", naming).await;
    assert_eq!(ward.leads().await, [nurse.user]);
    assert_eq!(
        ward.house.code(&ward.lead, "team.change", ward.about(&nurse, json!({"role": "X"}))).await,
        Code::Forbidden
    );
    // Who led before may go of themself.
    ward.house.run(&ward.lead, "team.remove", leaving).await;
    let gone = ward.house.refused(&ward.lead, "patient.get", json!({"patient": ward.patient})).await;
    assert_eq!(gone.code, Code::NotFound);
    let team = ward.house.run(&nurse, "team.list", json!({"patient": ward.patient})).await;
    assert_eq!((team["members"].as_array().unwrap().len(), team["past"].as_array().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn family_stands_on_what_is_shared_only() {
    let ward = Ward::open().await;
    let daughter = ward.house.person("d", PersonKind::RelatedPerson).await;
    let reply = ward.add(&daughter, json!({})).await;
    assert_eq!(reply["channel"], json!(ward.plan), "the reply names the plan channel's entry");
    assert_eq!(ward.spans(&daughter).await, []);
    let shown = ward.house.run(&daughter, "patient.get", json!({"patient": ward.patient})).await;
    assert_eq!((&shown["name"], shown.get("channel")), (&json!("Ruth Okafor"), None));
    let nurse = ward.nurse().await;
    let data = ward.about(&nurse, json!({"role": "Nurse"}));
    assert_eq!(ward.house.code(&daughter, "team.add", data).await, Code::Forbidden);
    let held = ward.about(&nurse, json!({"role": "Son", "family": true, "responsibilities": ["plan"]}));
    assert_eq!(ward.house.refused(&ward.lead, "team.add", held).await.field, Some("responsibilities"));
}

#[tokio::test]
async fn each_channel_one_reads_hears_of_it_and_family_not_why() {
    let ward = Ward::open().await;
    let open = json!({"patient": ward.patient, "name": "Family", "audience": "shared"});
    let shared: ChannelId = id_of(&ward.house.run(&ward.lead, "channel.open", open).await, "id");
    let nurse = ward.nurse().await;
    ward.add(&nurse, json!({"reason": "why"})).await;
    ward.house.run(&ward.lead, "team.remove", ward.about(&nurse, json!({"reason": "why"}))).await;
    let channels: Vec<ChannelId> = ward.access().await.channels.keys().copied().collect();
    assert_eq!(channels.len(), 3);
    for channel in channels {
        let answer = ward.house.run(&ward.lead, "history", json!({"channel": channel})).await;
        let events = answer["events"].as_array().unwrap();
        for name in ["team.joined", "team.left"] {
            let entry =
                events.iter().find(|event| event["event"] == name && event["data"]["user"] == json!(nurse.user));
            let reason = entry.unwrap_or_else(|| panic!("no {name}"))["data"].get("reason");
            assert_eq!(reason.is_none(), channel == shared);
        }
    }
}

#[tokio::test]
async fn nobody_is_added_who_is_not_or_is_there() {
    let ward = Ward::open().await;
    let nobody = json!({"patient": ward.patient, "user": ward.house.world.id(), "role": "Nurse"});
    let refusal = ward.house.refused(&ward.lead, "team.add", nobody).await;
    assert_eq!((refusal.code, refusal.field), (Code::NotFound, Some("user")));
    let nurse = ward.nurse().await;
    ward.add(&nurse, json!({})).await;
    let again = ward.about(&nurse, json!({"role": "Nurse"}));
    assert_eq!(ward.house.code(&ward.lead, "team.add", again).await, Code::Conflict);
}

#[tokio::test]
async fn who_comes_back_does_not_read_what_they_were_away_for() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    ward.add(&nurse, json!({})).await;
    assert_eq!(ward.spans(&nurse).await, [Interval { from: 1, to: None }], "from the first entry");
    let left = ward.house.run(&ward.lead, "team.remove", ward.about(&nurse, json!({"reason": "moved"}))).await;
    ward.add(&ward.nurse().await, json!({})).await;
    let back = ward.add(&nurse, json!({})).await;
    let (left, back) = (left["seq"].as_i64().unwrap(), back["seq"].as_i64().unwrap());
    assert_eq!(ward.spans(&nurse).await, [Interval { from: 1, to: Some(left) }, Interval { from: back, to: None }]);
    assert!(back > left + 1);
}

#[tokio::test]
async fn a_timed_membership_ends_at_its_minute_and_then_by_an_entry() {
    let ward = Ward::open().await;
    let locum = ward.nurse().await;
    let until = rfc3339(ward.house.world.now() + MINUTE);
    let joined = ward.add(&locum, json!({"until": until})).await["seq"].as_i64().unwrap();
    ward.house.run(&locum, "patient.get", json!({"patient": ward.patient})).await;
    ward.house.advance(2 * MINUTE);
    assert_eq!(ward.house.code(&locum, "patient.get", json!({"patient": ward.patient})).await, Code::NotFound);
    // Entries from after the minute and before the job.
    ward.add(&ward.nurse().await, json!({})).await;
    let operator = ward.house.command_line().await;
    assert_eq!(expire_due(&ward.house.engine, &operator).await.unwrap(), 1);
    assert_eq!(expire_due(&ward.house.engine, &operator).await.unwrap(), 0);
    assert_eq!(ward.spans(&locum).await, [Interval { from: 1, to: Some(joined) }]);
}

#[tokio::test]
async fn the_same_key_gives_the_same_patient() {
    let ward = Ward::open().await;
    let data = json!({"name": "Second", "key": key(&ward.house.world)});
    let first = ward.house.run(&ward.lead, "patient.register", data.clone()).await;
    let mut again = ward.house.run(&ward.lead, "patient.register", data).await;
    assert_eq!(again.as_object_mut().unwrap().remove("repeat"), Some(json!(true)));
    assert_eq!(again, first);
    let listed = ward.house.run(&ward.lead, "patient.list", json!({})).await;
    assert_eq!(listed["patients"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_log_alone_gives_the_same_patients_teams_and_readers() {
    let ward = Ward::open().await;
    let (nurse, daughter) = (ward.nurse().await, ward.house.person("d", PersonKind::Patient).await);
    ward.add(&nurse, json!({"responsibilities": ["lead"]})).await;
    ward.house.run(&nurse, "team.add", ward.about(&daughter, json!({"role": "Herself"}))).await;
    ward.house.run(&nurse, "team.remove", ward.about(&ward.lead, json!({}))).await;
    ward.house.run(&nurse, "team.add", ward.about(&ward.lead, json!({"role": "Physician"}))).await;
    ward.house.run(&nurse, "team.change", ward.about(&ward.lead, json!({"role": "Surgeon"}))).await;
    let questions = [("patient.list", json!({})), ("team.list", json!({"patient": ward.patient}))];
    let mut before = BTreeMap::new();
    for (op, data) in &questions {
        before.insert(*op, ward.house.run(&nurse, op, data.clone()).await);
    }
    let access = ward.access().await;
    assert!(rebuild(ward.house.engine.shared()).await.unwrap() >= 6);
    for (op, data) in &questions {
        assert_eq!(ward.house.run(&nurse, op, data.clone()).await, before[op]);
    }
    let again = ward.access().await;
    assert_eq!(again.members, access.members);
    for (id, channel) in &access.channels {
        assert_eq!(again.channels[id].readers, channel.readers);
    }
}
