//! The plan over a whole engine: who changes it, who sees what of it, and that the log alone gives it again.

use serde_json::{Value, json};

use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code as Refused, ItemId, PatientId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::{House, id_of, key};

pub(super) struct Ward {
    pub house: House,
    pub lead: Subject,
    pub patient: PatientId,
    pub care_team: ChannelId,
    pub unsorted: ItemId,
    pub whole: ItemId,
}

impl Ward {
    pub async fn open() -> Self {
        let house = House::new().await;
        let lead = house.person("lead", PersonKind::Practitioner).await;
        let answer = house.run(&lead, "patient.register", json!({"name": "Ruth Okafor"})).await;
        Self {
            patient: id_of(&answer, "id"),
            care_team: id_of(&answer, "care_team"),
            unsorted: id_of(&answer["items"], "unsorted"),
            whole: id_of(&answer["items"], "whole"),
            lead,
            house,
        }
    }

    pub async fn member(&self, kind: PersonKind, held: Value) -> Subject {
        let user = self.house.person(&format!("member-{}", self.house.world.id()), kind).await;
        let data = json!({"patient": self.patient, "user": user.user, "role": "Member", "responsibilities": held});
        self.house.run(&self.lead, "team.add", data).await;
        user
    }

    pub async fn shared_channel(&self) -> ChannelId {
        let data = json!({"patient": self.patient, "name": "Family", "audience": "shared"});
        id_of(&self.house.run(&self.lead, "channel.open", data).await, "id")
    }

    pub async fn add(&self, more: Value) -> Value {
        let mut data = json!({"patient": self.patient, "kind": "goal", "title": "Walk"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.house.run(&self.lead, "plan_item.add", data).await
    }

    pub async fn items(&self, who: &Subject) -> Vec<Value> {
        let answer = self.house.run(who, "plan.items", json!({"patient": self.patient, "closed": true})).await;
        answer["items"].as_array().unwrap().clone()
    }

    pub async fn events(&self, who: &Subject, channel: ChannelId) -> Vec<Value> {
        let answer = self.house.run(who, "history", json!({"channel": channel, "limit": 200})).await;
        answer["events"].as_array().unwrap().clone()
    }

    pub async fn post(&self, who: &Subject, channel: ChannelId, item: ItemId) {
        self.house.run(who, "message.post", json!({"channel": channel, "item": item, "text": "words"})).await;
    }
}

fn named<'v>(items: &'v [Value], title: &str) -> Option<&'v Value> {
    items.iter().find(|item| item["title"] == title)
}

#[tokio::test]
async fn every_plan_has_two_items_that_nobody_changes() {
    let ward = Ward::open().await;
    let items = ward.items(&ward.lead).await;
    let standing: Vec<&Value> = items.iter().map(|item| &item["standing"]).collect();
    assert_eq!(standing, [&json!("whole"), &json!("unsorted")]);
    assert!(items.iter().all(|item| item["kind"] == Value::Null && item["shared"] == true && item["rev"] == 1));
    for item in [ward.whole, ward.unsorted] {
        let change = json!({"item": item, "rev": 1, "title": "Mine"});
        assert_eq!(ward.house.code(&ward.lead, "plan_item.change", change).await, Refused::Forbidden);
        let close = json!({"item": item, "rev": 1});
        assert_eq!(ward.house.code(&ward.lead, "plan_item.close", close).await, Refused::Forbidden);
    }
    ward.post(&ward.lead, ward.care_team, ward.unsorted).await;
}

#[tokio::test]
async fn an_item_is_added_changed_and_closed_once() {
    let ward = Ward::open().await;
    let added = ward.add(json!({"detail": "daily", "addresses": [ward.whole], "owner": ward.lead.user})).await;
    assert_eq!((&added["rev"], &added["status"]), (&json!(1), &json!("active")));
    let item: ItemId = id_of(&added, "id");
    let change = json!({"item": item, "rev": 1, "title": "Run", "key": key(&ward.house.world)});
    let changed = ward.house.run(&ward.lead, "plan_item.change", change.clone()).await;
    assert_eq!((&changed["id"], &changed["rev"]), (&json!(item), &json!(2)));
    let repeated = ward.house.run(&ward.lead, "plan_item.change", change).await;
    assert_eq!((&repeated["seq"], &repeated["rev"], &repeated["repeat"]), (&changed["seq"], &json!(2), &json!(true)));
    let stale = json!({"item": item, "rev": 1, "title": "Swim"});
    let refusal = ward.house.refused(&ward.lead, "plan_item.change", stale).await;
    assert_eq!(refusal.code, Refused::Conflict);
    let items = ward.items(&ward.lead).await;
    assert_eq!(refusal.more.get("current"), named(&items, "Run"));
    let shown = named(&items, "Run").unwrap();
    assert_eq!(
        (&shown["detail"], &shown["addresses"], &shown["version"]),
        (&json!("daily"), &json!([ward.whole]), &json!(2))
    );
    let closed = ward.house.run(&ward.lead, "plan_item.close", json!({"item": item, "rev": 2})).await;
    assert_eq!((&closed["rev"], &closed["status"]), (&json!(3), &json!("completed")));
    let again = json!({"item": item, "rev": 3, "title": "Swim"});
    assert_eq!(ward.house.code(&ward.lead, "plan_item.change", again).await, Refused::PlanItemClosed);
    let post = json!({"channel": ward.care_team, "item": item, "text": "words"});
    assert_eq!(ward.house.code(&ward.lead, "message.post", post).await, Refused::PlanItemClosed);
    let open = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
    assert_eq!(open["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_an_item_names_must_be_there() {
    let ward = Ward::open().await;
    let other = ward.house.run(&ward.lead, "patient.register", json!({"name": "Other"})).await;
    let of_other: ItemId = id_of(&other["items"], "whole");
    let stranger = ward.house.person("s", PersonKind::Practitioner).await;
    let cases = [("addresses", json!([of_other])), ("owner", json!(stranger.user))];
    for (field, value) in cases {
        let mut data = json!({"patient": ward.patient, "kind": "goal", "title": "Walk"});
        data[field] = value;
        let refusal = ward.house.refused(&ward.lead, "plan_item.add", data).await;
        assert_eq!((refusal.code, refusal.field), (Refused::NotFound, Some(field)));
    }
}

#[tokio::test]
async fn the_plan_is_for_its_holders_and_barriers_for_theirs() {
    let ward = Ward::open().await;
    let planner = ward.member(PersonKind::Practitioner, json!(["plan"])).await;
    let helper = ward.member(PersonKind::Practitioner, json!(["barriers"])).await;
    let nurse = ward.member(PersonKind::Practitioner, json!([])).await;
    let add = |kind: &str| json!({"patient": ward.patient, "kind": kind, "title": format!("A {kind}")});
    let goal: ItemId = id_of(&ward.house.run(&planner, "plan_item.add", add("goal")).await, "id");
    let barrier: ItemId = id_of(&ward.house.run(&helper, "plan_item.add", add("barrier")).await, "id");
    assert_eq!(ward.house.code(&helper, "plan_item.add", add("goal")).await, Refused::Forbidden);
    assert_eq!(ward.house.code(&nurse, "plan_item.add", add("barrier")).await, Refused::Forbidden);
    let change = |item: ItemId| json!({"item": item, "rev": 1, "title": "Else"});
    assert_eq!(ward.house.code(&helper, "plan_item.change", change(goal)).await, Refused::Forbidden);
    ward.house.run(&helper, "plan_item.change", change(barrier)).await;
    let outsider = ward.house.person("o", PersonKind::Practitioner).await;
    let here = ward.house.refused(&outsider, "plan_item.change", change(goal)).await;
    let never = ward.house.refused(&outsider, "plan_item.change", change(ItemId(ward.house.world.id()))).await;
    assert_eq!((here.to_json(), here.field), (never.to_json(), Some("item")));
}

#[tokio::test]
async fn family_sees_what_is_shared_and_hears_of_it() {
    let ward = Ward::open().await;
    let daughter = ward.member(PersonKind::RelatedPerson, json!([])).await;
    let family = ward.shared_channel().await;
    let secret: ItemId = id_of(&ward.add(json!({"title": "Secret"})).await, "id");
    let item: ItemId = id_of(&ward.add(json!({"title": "Walk", "addresses": [secret]})).await, "id");
    assert_eq!(ward.items(&daughter).await.len(), 2, "the standing items");
    let change = |rev: i64, shared: bool| json!({"item": item, "rev": rev, "shared": shared});
    ward.house.run(&ward.lead, "plan_item.change", change(1, true)).await;
    let seen = ward.items(&daughter).await;
    assert_eq!(named(&seen, "Walk").unwrap()["addresses"], json!([]), "not the item they do not see");
    let told = ward.events(&daughter, family).await;
    let whole = &told.last().unwrap()["data"];
    assert_eq!((&whole["title"], &whole["addresses"], &whole["rev"]), (&json!("Walk"), &json!([]), &json!(2)));
    ward.house.run(&ward.lead, "plan_item.change", change(2, false)).await;
    let told = ward.events(&daughter, family).await;
    assert_eq!(told.last().unwrap()["data"], json!({"item": item, "shared": false, "rev": 3}));
    let entries = told.len();
    ward.house.run(&ward.lead, "plan_item.change", json!({"item": item, "rev": 3, "title": "Hidden"})).await;
    assert_eq!(ward.events(&daughter, family).await.len(), entries);
    // For family an item they do not see is one that never was; one they see they do not change.
    let hidden = ward.house.refused(&daughter, "plan_item.change", change(4, true)).await;
    assert_eq!((hidden.code, hidden.field), (Refused::NotFound, Some("item")));
    let shared = json!({"item": ward.whole, "rev": 1});
    assert_eq!(ward.house.code(&daughter, "plan_item.close", shared).await, Refused::Forbidden);
}

#[tokio::test]
async fn counts_go_over_what_the_caller_reads() {
    let ward = Ward::open().await;
    let daughter = ward.member(PersonKind::RelatedPerson, json!([])).await;
    let nurse = ward.member(PersonKind::Practitioner, json!([])).await;
    let family = ward.shared_channel().await;
    ward.post(&ward.lead, ward.care_team, ward.unsorted).await;
    ward.post(&daughter, family, ward.unsorted).await;
    let away = json!({"patient": ward.patient, "user": nurse.user});
    ward.house.run(&ward.lead, "team.remove", away).await;
    ward.house.advance(25 * 60 * MINUTE);
    ward.post(&ward.lead, ward.care_team, ward.unsorted).await;
    let back = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", back).await;
    let count = async |who: &Subject| {
        ward.house.run(who, "plan.items", json!({"patient": ward.patient})).await["unsorted"].clone()
    };
    assert_eq!(count(&ward.lead).await, json!({"count": 3, "overdue": 2}));
    assert_eq!(count(&daughter).await, json!({"count": 1, "overdue": 1}));
    assert_eq!(count(&nurse).await, json!({"count": 2, "overdue": 2}), "not what was said while they were away");
}

#[tokio::test]
async fn the_log_alone_gives_the_same_plan() {
    let ward = Ward::open().await;
    ward.shared_channel().await;
    let item: ItemId = id_of(&ward.add(json!({"shared": true, "codes": [{"code": "1"}]})).await, "id");
    ward.house
        .run(&ward.lead, "plan_item.change", json!({"item": item, "rev": 1, "due": "2027-01-01", "codes": []}))
        .await;
    ward.house.run(&ward.lead, "plan_item.close", json!({"item": item, "rev": 2, "status": "resolved"})).await;
    ward.add(json!({"title": "Swim", "addresses": [item]})).await;
    ward.post(&ward.lead, ward.care_team, ward.unsorted).await;
    let before = ward.items(&ward.lead).await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.items(&ward.lead).await, before);
    let restarted = ward.house.restarted().await;
    let after = restarted.run(&ward.lead, "plan.items", json!({"patient": ward.patient, "closed": true})).await;
    assert_eq!(after["items"], json!(before));
}
