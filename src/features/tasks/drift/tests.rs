//! Drift over a whole engine: nothing drifts silently, and whoever answers for the plan settles it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::features::channels::{Ward, with};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, ItemId, ThingId};
use crate::kernel::engine::{rebuild, sql as engine_sql};
use crate::kernel::policy::Subject;
use crate::testing::id_of;

async fn make(ward: &Ward, item: ItemId) -> ThingId {
    let data = json!({"channel": ward.care_team, "item": item, "title": "Change the dressing"});
    id_of(&ward.house.run(&ward.nurse, "task.create", data).await, "id")
}

async fn task(ward: &Ward, task: ThingId) -> Value {
    ward.house.run(&ward.lead, "task.get", json!({ "task": task })).await["task"].clone()
}

async fn drifts(ward: &Ward, who: &Subject) -> Vec<Value> {
    let answer = ward.house.run(who, "drift.list", json!({ "patient": ward.patient })).await;
    answer["drifts"].as_array().unwrap().clone()
}

async fn reminders(ward: &Ward, who: &Subject) -> Vec<Value> {
    let mut tx = ward.house.engine.shared().db.read().await.unwrap();
    let page = engine_sql::me_page(&mut tx, who.user, 0, 1000).await.unwrap();
    let told = page.into_iter().filter(|fact| fact.event == "reminder");
    told.map(|fact| serde_json::from_str(&fact.body).unwrap()).collect()
}

async fn change(ward: &Ward, item: ItemId, rev: i64, more: Value) {
    ward.house.run(&ward.lead, "plan_item.change", with(json!({"item": item, "rev": rev}), more)).await;
}

fn settle(thing: ThingId, action: &str) -> Value {
    json!({"thing": thing, "action": action, "reason": "Looked at"})
}

#[tokio::test]
async fn a_task_drifts_when_its_item_means_something_else_and_not_before() {
    let ward = Ward::open().await;
    let made = make(&ward, ward.wound).await;
    change(&ward, ward.wound, 1, json!({"owner": ward.nurse.user, "due": "2099-01-01"})).await;
    change(&ward, ward.wound, 2, json!({"title": "Wound", "shared": true})).await;
    assert!(drifts(&ward, &ward.lead).await.is_empty(), "another owner, another day, the same words");
    assert!(reminders(&ward, &ward.lead).await.is_empty());
    ward.house.advance(MINUTE);
    change(&ward, ward.wound, 3, json!({"detail": "It is infected"})).await;
    let since = ward.newest(ward.plan).await["at"].clone();
    ward.house.advance(MINUTE);
    change(&ward, ward.wound, 4, json!({"codes": [{"code": "76844004"}]})).await;
    let drift = json!({"kind": "task", "thing": made, "patient": ward.patient, "channel": ward.care_team, "item": ward.wound,
                       "item_version_then": 1, "item_version_now": 5, "item_status": "active", "since": since});
    assert_eq!(drifts(&ward, &ward.lead).await, [drift]);
    let told = json!({"why": "drift", "patient": ward.patient, "item": ward.wound});
    assert_eq!(reminders(&ward, &ward.lead).await, [told.clone(), told]);
    assert!(drifts(&ward, &ward.nurse).await.is_empty() && reminders(&ward, &ward.nurse).await.is_empty());
    let everywhere = ward.house.run(&ward.lead, "drift.list", json!({})).await;
    assert_eq!(everywhere["drifts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_drifts_is_kept_cancelled_or_replaced() {
    let ward = Ward::open().await;
    let (kept, cancelled, replaced) =
        (make(&ward, ward.wound).await, make(&ward, ward.wound).await, make(&ward, ward.wound).await);
    let other = ward.item(false).await;
    ward.close(ward.wound).await;
    assert_eq!(drifts(&ward, &ward.lead).await.len(), 3);
    let reply = ward.house.run(&ward.lead, "drift.settle", settle(kept, "keep")).await;
    assert_eq!((&reply["id"], &reply["rev"], &reply["state"]), (&json!(kept), &json!(2), &json!("ready")));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["change"]), (&json!("task.changed"), &json!("drift")));
    assert_eq!(
        (&event["data"]["before"], &event["data"]["after"]),
        (&json!({"item_version": 1}), &json!({"item_version": 2}))
    );
    assert_eq!(event["data"]["reason"], "Looked at");
    let reply = ward.house.run(&ward.lead, "drift.settle", settle(cancelled, "cancel")).await;
    assert_eq!(reply["state"], "cancelled");
    let to = with(settle(replaced, "replace"), json!({"item": other}));
    ward.house.run(&ward.lead, "drift.settle", to).await;
    let after = task(&ward, replaced).await;
    assert_eq!((&after["item"], &after["item_version"], &after["rev"]), (&json!(other), &json!(1), &json!(2)));
    assert!(drifts(&ward, &ward.lead).await.is_empty());
    let refused = async |data: Value| {
        let refusal = ward.house.refused(&ward.lead, "drift.settle", data).await;
        (refusal.code, refusal.field)
    };
    assert_eq!(refused(settle(kept, "keep")).await, (Code::Conflict, None), "it does not drift");
    assert_eq!(refused(settle(cancelled, "keep")).await, (Code::BadTransition, None));
    let again = ward.house.refused(&ward.lead, "drift.settle", settle(kept, "keep")).await;
    assert_eq!(again.more["current"], task(&ward, kept).await);
}

#[tokio::test]
async fn a_decision_names_what_it_decides() {
    let ward = Ward::open().await;
    let made = make(&ward, ward.wound).await;
    change(&ward, ward.wound, 1, json!({"title": "Infected wound"})).await;
    let refused = async |who: &Subject, data: Value| {
        let refusal = ward.house.refused(who, "drift.settle", data).await;
        (refusal.code, refusal.field)
    };
    let lead = &ward.lead;
    assert_eq!(refused(lead, json!({"thing": made, "action": "keep"})).await, (Code::ReasonRequired, Some("reason")));
    assert_eq!(refused(lead, settle(made, "forget")).await, (Code::Invalid, Some("action")));
    assert_eq!(refused(lead, json!({"thing": made, "reason": "a"})).await, (Code::Invalid, Some("action")));
    assert_eq!(refused(lead, settle(made, "replace")).await, (Code::PlanItemRequired, Some("item")));
    let to = |item: ItemId, action: &str| with(settle(made, action), json!({ "item": item }));
    assert_eq!(refused(lead, to(ward.unsorted, "keep")).await, (Code::Invalid, Some("item")));
    assert_eq!(refused(lead, to(ward.wound, "replace")).await, (Code::Invalid, Some("item")));
    assert_eq!(refused(lead, to(ItemId(ward.house.world.id()), "replace")).await, (Code::NotFound, Some("item")));
    let closed = ward.item(false).await;
    ward.close(closed).await;
    assert_eq!(refused(lead, to(closed, "replace")).await, (Code::PlanItemClosed, Some("item")));
    assert_eq!(refused(&ward.nurse, settle(made, "keep")).await, (Code::Forbidden, None));
    let missing = settle(ThingId(ward.house.world.id()), "keep");
    for who in [&ward.daughter, &ward.outsider] {
        ward.same_as_missing(who, "drift.settle", settle(made, "keep"), missing.clone()).await;
    }
    assert_eq!(ward.house.code(&ward.daughter, "drift.list", json!({"patient": ward.patient})).await, Code::Forbidden);
    let listed = ward.house.run(&ward.daughter, "drift.list", json!({})).await;
    assert_eq!(listed["drifts"], json!([]));
    let of = |patient: uuid::Uuid| json!({ "patient": patient });
    ward.same_as_missing(&ward.outsider, "drift.list", of(ward.patient.0), of(ward.house.world.id())).await;
}

#[tokio::test]
async fn where_nobody_who_answers_for_the_plan_reads_the_staff_is_asked() {
    let ward = Ward::open().await;
    let doctor = ward.house.person("doctor", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&doctor).await;
    let named = ward.channel("named", &[&ward.nurse, &doctor]).await;
    let leads = ward.listed(&ward.lead, named).await;
    let data = json!({"channel": named, "item": ward.wound, "title": "Ask the surgeon"});
    let made: ThingId = id_of(&ward.house.run(&doctor, "task.create", data).await, "id");
    change(&ward, ward.wound, 1, json!({"title": "Infected wound"})).await;
    let reader = if leads.is_null() { &ward.nurse } else { &ward.lead };
    assert_eq!(drifts(&ward, reader).await[0]["thing"], json!(made));
    assert_eq!(reminders(&ward, reader).await.len(), 1);
    ward.house.run(reader, "drift.settle", settle(made, "keep")).await;
    assert!(drifts(&ward, reader).await.is_empty());
}

/// What is done, to which item and task, and a number to vary it.
type Step = (usize, usize, usize, i64);

/// What an item has gone through: its number, and the numbers after which it meant something else.
struct Course {
    rev: i64,
    turns: Vec<i64>,
    open: bool,
    title: String,
}

async fn holds(steps: Vec<Step>) {
    let ward = Ward::open().await;
    let items = [ward.wound, ward.item(false).await, ward.item(true).await];
    let mut courses: Vec<Course> =
        items.iter().map(|_| Course { rev: 1, turns: Vec::new(), open: true, title: "Wound".into() }).collect();
    let mut tasks = Vec::new();
    for item in items {
        tasks.push(make(&ward, item).await);
        tasks.push(make(&ward, item).await);
    }
    for (what, item, at, n) in steps {
        let told = reminders(&ward, &ward.lead).await.len();
        let course = &mut courses[item];
        let named = json!({"item": items[item], "rev": course.rev});
        let thing = tasks[at % tasks.len()];
        let mut turned = false;
        match what {
            0 | 1 => {
                let title = format!("Wound {}", n % 3);
                if ward
                    .house
                    .try_run(&ward.lead, "plan_item.change", with(named, json!({"title": title})))
                    .await
                    .is_ok()
                {
                    course.rev += 1;
                    turned = title != course.title;
                    course.title = title;
                }
            }
            2 => {
                let due = json!({"due": "2099-01-01", "owner": ward.nurse.user});
                course.rev +=
                    i64::from(ward.house.try_run(&ward.lead, "plan_item.change", with(named, due)).await.is_ok());
            }
            3 if n == 0 => {
                turned = ward.house.try_run(&ward.lead, "plan_item.close", named).await.is_ok();
                course.rev += i64::from(turned);
                course.open &= !turned;
            }
            4 if course.open => tasks.push(make(&ward, items[item]).await),
            5 => drop(ward.house.try_run(&ward.lead, "drift.settle", settle(thing, "keep")).await),
            6 => {
                let to = with(settle(thing, "replace"), json!({"item": items[item]}));
                drop(ward.house.try_run(&ward.lead, "drift.settle", to).await);
            }
            7 if n == 0 => drop(ward.house.try_run(&ward.lead, "drift.settle", settle(thing, "cancel")).await),
            _ => {
                let rev = task(&ward, thing).await["rev"].clone();
                let step = json!({"task": thing, "rev": rev, "item": items[item]});
                drop(ward.house.try_run(&ward.nurse, "task.update", step).await);
            }
        }
        if turned {
            let rev = course.rev;
            course.turns.push(rev);
        }
        let served = turned.then(|| items[item]);
        let now = expected(&ward, &tasks, &items, &courses).await;
        let more = listed(&ward, &now, served).await;
        assert_eq!(reminders(&ward, &ward.lead).await.len(), told + more, "and somebody is told");
    }
    let before = drifts(&ward, &ward.lead).await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(drifts(&ward, &ward.lead).await, before, "a rebuild changes nothing");
}

/// Holds what is listed against what is to be, and gives how many reminders of the item that turned there are to be.
async fn listed(ward: &Ward, drifting: &BTreeMap<String, i64>, turned: Option<ItemId>) -> usize {
    let version = |drift: &Value| drift["item_version_now"].as_i64().unwrap();
    let found = drifts(ward, &ward.lead).await;
    let listed: BTreeMap<String, i64> =
        found.iter().map(|drift| (drift["thing"].as_str().unwrap().to_owned(), version(drift))).collect();
    assert_eq!(listed, *drifting, "what drifts is listed, and nothing else");
    usize::from(turned.is_some_and(|item| found.iter().any(|drift| drift["item"] == item.to_string().as_str())))
}

/// The tasks that drift, with the number of their item, as the law says: not over, and their item turned after they were looked at.
async fn expected(ward: &Ward, tasks: &[ThingId], items: &[ItemId], courses: &[Course]) -> BTreeMap<String, i64> {
    let mut drifting = BTreeMap::new();
    for id in tasks {
        let task = task(ward, *id).await;
        let at = items.iter().position(|item| task["item"] == item.to_string().as_str()).unwrap();
        let seen = task["item_version"].as_i64().unwrap();
        let over = ["completed", "cancelled", "failed"].contains(&task["state"].as_str().unwrap());
        if !over && courses[at].turns.iter().any(|turn| *turn > seen) {
            drifting.insert(id.to_string(), courses[at].rev);
        }
    }
    drifting
}

#[test]
fn nothing_drifts_silently() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec((0..9_usize, 0..3_usize, 0..12_usize, 0..4_i64), 1..25);
    let held = runner.run(&steps, |steps| {
        runtime.block_on(holds(steps));
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[tokio::test]
async fn a_message_that_waits_for_an_answer_drifts_like_a_task() {
    let ward = Ward::open().await;
    let mut asks = Vec::new();
    for _ in 0..3 {
        let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Dry?", "ask": "acknowledge"});
        asks.push(id_of::<ThingId>(&ward.house.run(&ward.nurse, "message.post", data).await, "id"));
    }
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Dry."});
    let silent: ThingId = id_of(&ward.house.run(&ward.nurse, "message.post", data).await, "id");
    assert_eq!(ward.house.code(&ward.lead, "drift.settle", settle(asks[0], "keep")).await, Code::Conflict);
    change(&ward, ward.wound, 1, json!({"title": "Infected wound"})).await;
    let listed = drifts(&ward, &ward.lead).await;
    assert_eq!(listed.iter().map(|one| one["kind"].clone()).collect::<Vec<_>>(), ["message"; 3]);
    assert_eq!((&listed[0]["item_version_then"], &listed[0]["item_version_now"]), (&json!(1), &json!(2)));
    assert_eq!(reminders(&ward, &ward.lead).await.len(), 1);
    assert!(drifts(&ward, &ward.nurse).await.is_empty());
    assert_eq!(ward.house.code(&ward.nurse, "drift.settle", settle(asks[0], "keep")).await, Code::Forbidden);
    assert_eq!(ward.house.code(&ward.lead, "drift.settle", settle(silent, "keep")).await, Code::BadTransition);

    let other = ward.item(false).await;
    ward.house.run(&ward.lead, "drift.settle", settle(asks[0], "keep")).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["item"]), (&json!("message.relinked"), &json!(ward.wound)));
    assert_eq!(event["data"]["reason"], "Looked at");
    ward.house.run(&ward.lead, "drift.settle", settle(asks[1], "cancel")).await;
    assert_eq!(ward.newest(ward.care_team).await["event"], "message.settled");
    let to = with(settle(asks[2], "replace"), json!({ "item": other }));
    ward.house.run(&ward.lead, "drift.settle", to).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["item"], json!(other));
    assert!(drifts(&ward, &ward.lead).await.is_empty());
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert!(drifts(&ward, &ward.lead).await.is_empty());
    assert_eq!(ward.house.code(&ward.lead, "drift.settle", settle(asks[1], "keep")).await, Code::BadTransition);
}
