//! Tasks over a whole engine: who makes and changes them, what is said of them, and to whom.

mod clock;
mod hands;
mod law;

use serde_json::{Value, json};

use crate::features::channels::{Ward, with};
use crate::kernel::base::{ChannelId, Code, ThingId};
use crate::kernel::engine::sql;
use crate::kernel::policy::Subject;
use crate::testing::{House, id_of, key};

/// A task about the wound in the staff channel.
fn work(ward: &Ward, more: Value) -> Value {
    with(json!({"channel": ward.care_team, "item": ward.wound, "title": "Change the dressing"}), more)
}

async fn make(ward: &Ward, who: &Subject, more: Value) -> ThingId {
    id_of(&ward.house.run(who, "task.create", work(ward, more)).await, "id")
}

async fn get(ward: &Ward, task: ThingId) -> Value {
    ward.house.run(&ward.lead, "task.get", json!({ "task": task })).await["task"].clone()
}

/// Does something to a task as it stands now.
async fn done(ward: &Ward, who: &Subject, op: &str, task: ThingId, more: Value) -> Value {
    let rev = get(ward, task).await["rev"].clone();
    ward.house.run(who, op, with(json!({"task": task, "rev": rev}), more)).await
}

async fn refused(ward: &Ward, who: &Subject, op: &str, task: ThingId, more: Value) -> crate::kernel::base::Refusal {
    let rev = get(ward, task).await["rev"].clone();
    ward.house.refused(who, op, with(json!({"task": task, "rev": rev}), more)).await
}

/// What a person was told on channel `me`, in order: the event and what it says.
async fn told(house: &House, who: &Subject) -> Vec<(String, Value)> {
    let mut tx = house.engine.shared().db.read().await.unwrap();
    let page = sql::me_page(&mut tx, who.user, 0, 100).await.unwrap();
    let facts = page.into_iter().map(|fact| (fact.event, serde_json::from_str(&fact.body).unwrap()));
    facts.filter(|(event, _)| event != "invited").collect()
}

#[tokio::test]
async fn a_task_goes_from_hand_to_hand_and_each_step_is_an_entry() {
    let ward = Ward::open().await;
    let more = json!({"owner": ward.nurse.user, "due": "2099-12-01", "due_zone": "Europe/Berlin", "priority": "urgent",
                      "checklist": ["Saline", {"text": "Gauze", "done": true}], "description": "Twice a day"});
    let reply = ward.house.run(&ward.lead, "task.create", work(&ward, more.clone())).await;
    let task: ThingId = id_of(&reply, "id");
    assert_eq!((&reply["rev"], &reply["state"]), (&json!(1), &json!("requested")));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["id"]), (&json!("task.created"), &json!(task)));
    assert_eq!((&event["data"]["item_version"], &event["data"]["state"]), (&json!(1), &json!("requested")));
    let about = json!({"task": task, "channel": ward.care_team, "patient": ward.patient});
    assert_eq!(told(&ward.house, &ward.nurse).await, [("assigned".to_owned(), about)]);
    assert!(told(&ward.house, &ward.lead).await.is_empty());

    let reply = done(&ward, &ward.nurse, "task.accept", task, json!({})).await;
    assert_eq!((&reply["id"], &reply["rev"], &reply["state"]), (&json!(task), &json!(2), &json!("accepted")));
    let event = ward.newest(ward.care_team).await;
    let said = &event["data"];
    assert_eq!(
        (&event["event"], &said["task"], &said["change"]),
        (&json!("task.changed"), &json!(task), &json!("accept"))
    );
    assert_eq!((&said["before"], &said["after"]), (&json!({"state": "requested"}), &json!({"state": "accepted"})));
    assert_eq!((&said["rev"], said.get("reason")), (&json!(2), None));

    done(&ward, &ward.nurse, "task.start", task, json!({})).await;
    done(&ward, &ward.lead, "task.hold", task, json!({"reason": "Waits for saline"})).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["reason"], json!("Waits for saline"));
    done(&ward, &ward.nurse, "task.start", task, json!({})).await;
    done(
        &ward,
        &ward.nurse,
        "task.update",
        task,
        json!({"checklist": [{"text": "Saline", "done": true}, {"text": "Gauze", "done": true}], "due": null}),
    )
    .await;
    done(&ward, &ward.nurse, "task.complete", task, json!({})).await;
    let held = get(&ward, task).await;
    let (by, of_lead) = (json!(ward.nurse.user), json!(ward.lead.user));
    assert_eq!((&held["state"], &held["rev"], &held["due"]), (&json!("completed"), &json!(7), &Value::Null));
    assert_eq!((&held["checklist"][0]["by"], &held["checklist"][1]["by"]), (&by, &of_lead));
    assert_eq!((&held["messages"], &held["priority"], &held["by"]), (&json!(0), &json!("urgent"), &of_lead));
    let refusal = refused(&ward, &ward.nurse, "task.start", task, json!({})).await;
    assert_eq!((refusal.code, &refusal.more["allowed"]), (Code::BadTransition, &json!([])));
}

#[tokio::test]
async fn what_is_made_for_oneself_is_ready_and_a_repeat_is_answered_alike() {
    let ward = Ward::open().await;
    let data = work(&ward, json!({"key": key(&ward.house.world)}));
    let first = ward.house.run(&ward.nurse, "task.create", data.clone()).await;
    assert_eq!(first["state"], json!("ready"));
    let task: ThingId = id_of(&first, "id");
    assert_eq!(get(&ward, task).await["owner"], json!(ward.nurse.user));
    done(&ward, &ward.nurse, "task.complete", task, json!({})).await;
    assert_eq!(ward.house.run(&ward.nurse, "task.create", data).await, with(first, json!({"repeat": true})));
    let again = json!({"task": task, "rev": 2, "key": key(&ward.house.world), "reason": "a"});
    assert_eq!(ward.house.code(&ward.nurse, "task.cancel", again).await, Code::BadTransition);
    let plan = json!({"owner": {"responsibility": "plan"}});
    let of_plan = make(&ward, &ward.nurse, plan).await;
    assert_eq!(get(&ward, of_plan).await["state"], json!("requested"));
    // Nobody holds the plan, so it is the lead who is asked.
    assert_eq!(told(&ward.house, &ward.lead).await.len(), 1);
}

#[tokio::test]
async fn a_stale_change_is_told_how_the_task_stands() {
    let ward = Ward::open().await;
    let task = make(&ward, &ward.nurse, json!({})).await;
    done(&ward, &ward.lead, "task.update", task, json!({"title": "Change it at noon"})).await;
    let stale = json!({"task": task, "rev": 1, "title": "Change it at one"});
    let refusal = ward.house.refused(&ward.nurse, "task.update", stale).await;
    assert_eq!((refusal.code, refusal.field), (Code::Conflict, Some("rev")));
    assert_eq!(refusal.more["current"], get(&ward, task).await);
    let nothing = refused(&ward, &ward.nurse, "task.update", task, json!({"title": "Change it at noon"})).await;
    assert_eq!(nothing.code, Code::Invalid);
    for (op, more) in [("task.cancel", json!({})), ("task.cancel", json!({"reason": " "}))] {
        assert_eq!(refused(&ward, &ward.nurse, op, task, more).await.code, Code::ReasonRequired);
    }
    let refusal = refused(&ward, &ward.nurse, "task.accept", task, json!({})).await;
    assert_eq!(refusal.code, Code::BadTransition);
    assert_eq!(refusal.more["allowed"], json!(["requested", "accepted", "in-progress", "completed", "cancelled"]));
}

#[tokio::test]
async fn staff_work_where_they_read_and_owners_answer_for_themselves() {
    let ward = Ward::open().await;
    let shared = ward.channel("shared", &[]).await;
    let about = |channel: ChannelId| json!({"channel": channel, "item": ward.unsorted, "title": "Bring the frame"});
    let code = async |who, channel| ward.house.code(who, "task.create", about(channel)).await;
    assert_eq!(code(&ward.daughter, shared).await, Code::Forbidden);
    assert_eq!(code(&ward.daughter, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.outsider, ward.care_team).await, Code::NotFound);
    assert_eq!(code(&ward.lead, ward.plan).await, Code::Forbidden);
    for owner in [ward.daughter.user, ward.outsider.user] {
        let data = with(about(shared), json!({ "owner": owner }));
        let refusal = ward.house.refused(&ward.nurse, "task.create", data).await;
        assert_eq!((refusal.code, refusal.field), (Code::NotFound, Some("owner")));
    }
    let open = ward.house.run(&ward.nurse, "task.create", with(about(shared), json!({"owner": ward.lead.user}))).await;
    let task: ThingId = id_of(&open, "id");
    let step = json!({"task": task, "rev": 1});
    assert_eq!(ward.house.code(&ward.nurse, "task.accept", step.clone()).await, Code::Forbidden);
    assert_eq!(ward.house.code(&ward.daughter, "task.accept", step.clone()).await, Code::Forbidden);
    // Family sees what is done in the channel they read.
    let seen = ward.house.run(&ward.daughter, "task.get", json!({ "task": task })).await;
    assert_eq!(seen["task"]["title"], json!("Bring the frame"));
    let hidden = make(&ward, &ward.lead, json!({})).await;
    let missing = ward.house.world.id();
    for who in [&ward.daughter, &ward.outsider] {
        ward.same_as_missing(who, "task.get", json!({ "task": hidden }), json!({ "task": missing })).await;
        let (here, there) = (json!({"task": hidden, "rev": 1}), json!({"task": missing, "rev": 1}));
        ward.same_as_missing(who, "task.start", here, there).await;
    }
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": shared })).await;
    assert_eq!(ward.house.code(&ward.lead, "task.accept", step).await, Code::Archived);
}

#[tokio::test]
async fn a_task_is_for_an_open_item_and_can_be_made_from_a_message() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "The dressing is wet").await;
    let task = make(&ward, &ward.lead, json!({"from_message": message})).await;
    assert_eq!(get(&ward, task).await["from_message"], json!(message));
    let made = ward.house.run(&ward.nurse, "task.made_from", json!({ "message": message })).await;
    assert_eq!(made["tasks"][0]["id"], json!(task));
    let of = |id| json!({ "message": id });
    ward.same_as_missing(&ward.daughter, "task.made_from", of(message), of(ThingId(ward.house.world.id()))).await;
    let elsewhere = ward.channel("staff", &[]).await;
    let data = with(work(&ward, json!({"from_message": message})), json!({ "channel": elsewhere }));
    let refusal = ward.house.refused(&ward.lead, "task.create", data).await;
    assert_eq!((refusal.code, refusal.field), (Code::NotFound, Some("from_message")));

    let refusal = ward.house.refused(&ward.lead, "task.create", work(&ward, json!({"item": null}))).await;
    assert_eq!(refusal.code, Code::PlanItemRequired);
    let other = ward.item(false).await;
    done(&ward, &ward.nurse, "task.update", task, json!({ "item": other })).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["after"]["item"], json!(other));
    ward.close(ward.wound).await;
    assert_eq!(
        refused(&ward, &ward.nurse, "task.update", task, json!({"item": ward.wound})).await.code,
        Code::PlanItemClosed
    );
    assert_eq!(ward.house.code(&ward.lead, "task.create", work(&ward, json!({}))).await, Code::PlanItemClosed);
}

#[tokio::test]
async fn what_a_task_must_say_is_refused_by_field() {
    let ward = Ward::open().await;
    let field = async |more: Value| {
        let refusal = ward.house.refused(&ward.nurse, "task.create", work(&ward, more)).await;
        assert_eq!(refusal.code, Code::Invalid);
        refusal.field
    };
    assert_eq!(field(json!({"title": " "})).await, Some("title"));
    assert_eq!(field(json!({"due": "tomorrow"})).await, Some("due"));
    assert_eq!(field(json!({"due_zone": "Mars/Olympus"})).await, Some("due_zone"));
    assert_eq!(field(json!({"owner": "nobody"})).await, Some("owner"));
    assert_eq!(field(json!({"priority": "asap"})).await, Some("priority"));
    assert_eq!(field(json!({"checklist": [{"done": true}]})).await, Some("checklist"));
    assert_eq!(field(json!({"checklist": "Gauze"})).await, Some("checklist"));
    assert_eq!(field(json!({"remind_minutes": -1})).await, Some("remind_minutes"));
    assert_eq!(field(json!({"repeat": {"rrule": "FREQ=SECONDLY"}})).await, Some("repeat"));
}

#[tokio::test]
async fn a_column_keeps_the_order_it_is_given() {
    let ward = Ward::open().await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(make(&ward, &ward.nurse, json!({})).await);
    }
    let place = async |task: ThingId| get(&ward, task).await["place"].as_str().unwrap().to_owned();
    let order = async || {
        let mut places = Vec::new();
        for (n, task) in tasks.iter().enumerate() {
            places.push((place(*task).await, n));
        }
        places.sort();
        places.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
    };
    assert_eq!(order().await, [0, 1, 2]);
    done(&ward, &ward.lead, "task.move", tasks[2], json!({"column": "ready", "after": tasks[0]})).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!(event["data"]["change"], json!("move"));
    assert_eq!(event["data"]["after"].as_object().unwrap().keys().collect::<Vec<_>>(), ["place"]);
    assert_eq!(order().await, [0, 2, 1]);
    done(&ward, &ward.lead, "task.move", tasks[1], json!({"column": "ready", "after": null})).await;
    assert_eq!(order().await, [1, 0, 2]);
    // A move to a column is the command that leads there, with its refusals.
    done(&ward, &ward.nurse, "task.move", tasks[0], json!({"column": "in-progress"})).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["change"], json!("start"));
    assert_eq!(
        refused(&ward, &ward.nurse, "task.move", tasks[0], json!({"column": "failed"})).await.code,
        Code::ReasonRequired
    );
    assert_eq!(
        refused(&ward, &ward.nurse, "task.move", tasks[1], json!({"column": "ready", "after": tasks[0]})).await.field,
        Some("after")
    );
    let done_one = done(&ward, &ward.nurse, "task.move", tasks[0], json!({"column": "completed", "after": null})).await;
    assert_eq!(done_one["state"], json!("completed"));
    assert_eq!(
        refused(&ward, &ward.nurse, "task.move", tasks[0], json!({"column": "ready"})).await.code,
        Code::BadTransition
    );
}
