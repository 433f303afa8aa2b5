//! Handoffs over a whole engine: what moves and when, who is told, who sees nothing of it, and that the log alone gives it again.

use serde_json::{Value, json};

use crate::features::channels::{Ward, with};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, ThingId, UserId};
use crate::kernel::engine::{rebuild, sql};
use crate::kernel::policy::Subject;
use crate::testing::{House, id_of, key};

/// The nurse's work, offered to somebody.
fn shift(ward: &Ward, to: &Subject, more: Value) -> Value {
    let ipass = json!({"illness_severity": "watcher", "patient_summary": "Day 3 after surgery",
        "action_list": ["Recheck at 22:00"], "situation_awareness": "May need oxygen"});
    with(json!({"patient": ward.patient, "to": to.user, "ipass": ipass}), more)
}

async fn offer(ward: &Ward, who: &Subject, to: &Subject, more: Value) -> ThingId {
    id_of(&ward.house.run(who, "handoff.offer", shift(ward, to, more)).await, "id")
}

async fn get(ward: &Ward, handoff: ThingId) -> Value {
    ward.house.run(&ward.lead, "handoff.get", json!({ "handoff": handoff })).await
}

async fn open(ward: &Ward) -> Vec<Value> {
    let list = ward.house.run(&ward.lead, "handoff.list", json!({"patient": ward.patient})).await;
    list["handoffs"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect()
}

async fn accept(ward: &Ward, who: &Subject, handoff: ThingId) -> Value {
    let data = json!({"handoff": handoff, "synthesis": "Recheck tonight, watch the oxygen"});
    ward.house.run(who, "handoff.accept", data).await
}

async fn task(ward: &Ward, who: &Subject, channel: ChannelId) -> ThingId {
    let data = json!({"channel": channel, "item": ward.unsorted, "title": "Change the dressing"});
    id_of(&ward.house.run(who, "task.create", data).await, "id")
}

async fn owner(ward: &Ward, task: ThingId) -> Value {
    ward.house.run(&ward.lead, "task.get", json!({ "task": task })).await["task"]["owner"].clone()
}

/// A colleague of the nurse on the team.
async fn colleague(ward: &Ward) -> Subject {
    let colleague = ward.house.person("b", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&colleague).await;
    colleague
}

async fn hold(ward: &Ward, who: &Subject, held: Value) {
    let data = json!({"patient": ward.patient, "user": who.user, "responsibilities": held});
    ward.house.run(&ward.lead, "team.change", data).await;
}

/// The people who hold it, as the lead reads the team.
async fn holders(ward: &Ward, responsibility: &str) -> Vec<Value> {
    let team = ward.house.run(&ward.lead, "team.list", json!({"patient": ward.patient})).await;
    let holds = |one: &&Value| one["responsibilities"].as_array().unwrap().contains(&json!(responsibility));
    team["members"].as_array().unwrap().iter().filter(holds).map(|one| one["user"].clone()).collect()
}

/// What a person was told of handoffs on channel `me`: the event, and why.
async fn told(house: &House, who: &Subject) -> Vec<(String, Value)> {
    let mut tx = house.engine.shared().db.read().await.unwrap();
    let page = sql::me_page(&mut tx, who.user, 0, 100).await.unwrap();
    let facts = page.into_iter().map(|fact| (fact.event, serde_json::from_str::<Value>(&fact.body).unwrap()));
    facts.filter(|(_, data)| data.get("handoff").is_some()).map(|(event, data)| (event, data["why"].clone())).collect()
}

fn reminder() -> (String, Value) {
    ("reminder".to_owned(), json!("handoff"))
}

fn escalated() -> (String, Value) {
    ("escalated".to_owned(), Value::Null)
}

#[tokio::test]
async fn work_moves_when_the_receiver_has_said_it_back_and_not_before() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    hold(&ward, &ward.nurse, json!(["plan", "barriers"])).await;
    let (first, second) =
        (task(&ward, &ward.nurse, ward.care_team).await, task(&ward, &ward.nurse, ward.care_team).await);
    let other = task(&ward, &ward.lead, ward.care_team).await;
    let reply = ward.house.run(&ward.nurse, "handoff.offer", shift(&ward, &night, json!({}))).await;
    let handoff: ThingId = id_of(&reply, "id");
    assert_eq!((&reply["channel"], &reply["handoff"]), (&json!(ward.plan), &json!(handoff)));
    assert_eq!(reply["state"], json!("offered"));
    let event = ward.newest(ward.plan).await;
    assert_eq!((&event["event"], &event["data"]["tasks"]), (&json!("handoff.offered"), &json!([first, second])));
    assert_eq!(event["data"]["responsibilities"], json!(["plan", "barriers"]));
    assert_eq!(told(&ward.house, &night).await, [reminder()]);
    assert_eq!(owner(&ward, first).await, json!(ward.nurse.user), "nothing moves before");
    assert_eq!((open(&ward).await, holders(&ward, "plan").await), (vec![json!(handoff)], vec![json!(ward.nurse.user)]));

    let silent = json!({"handoff": handoff, "synthesis": " "});
    let refused = ward.house.refused(&night, "handoff.accept", silent).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("synthesis")));
    let done = json!({"task": second, "rev": 1});
    ward.house.run(&ward.nurse, "task.complete", done).await;
    let reply = accept(&ward, &night, handoff).await;
    assert_eq!((&reply["channel"], &reply["state"]), (&json!(ward.plan), &json!("accepted")));
    let shown = get(&ward, handoff).await;
    assert_eq!((&shown["tasks"], &shown["left"]), (&json!([first]), &json!([second])));
    assert_eq!((&shown["state"], &shown["respond_by"]), (&json!("accepted"), &Value::Null));
    assert_eq!(shown["synthesis"], json!("Recheck tonight, watch the oxygen"));
    assert_eq!((owner(&ward, first).await, owner(&ward, other).await), (json!(night.user), json!(ward.lead.user)));
    for responsibility in ["plan", "barriers"] {
        assert_eq!(holders(&ward, responsibility).await, [json!(night.user)]);
    }
    // In the plan channel the acceptance stands before all that it moves.
    let seq = reply["seq"].as_i64().unwrap();
    let after = ward.history(&ward.lead, ward.plan, json!({"after": seq - 1})).await;
    let names: Vec<_> = after["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["handoff.accepted", "team.changed", "team.changed"]);
    assert!(open(&ward).await.is_empty());
    ward.house.advance(600 * MINUTE);
    ward.house.ring().await;
    assert_eq!(told(&ward.house, &night).await, [reminder()], "what is answered rings no more");
}

#[tokio::test]
async fn the_lead_goes_over_and_is_never_two_or_none() {
    let ward = Ward::open().await;
    let handoff = offer(&ward, &ward.lead, &ward.nurse, json!({})).await;
    assert_eq!(holders(&ward, "lead").await, [json!(ward.lead.user)]);
    accept(&ward, &ward.nurse, handoff).await;
    assert_eq!(holders(&ward, "lead").await, [json!(ward.nurse.user)]);
    let until = crate::kernel::base::world::rfc3339(ward.house.world.now() + 60 * MINUTE);
    let timed = json!({"patient": ward.patient, "user": ward.lead.user, "until": until});
    ward.house.run(&ward.nurse, "team.change", timed).await;
    let refused = ward.house.refused(&ward.nurse, "handoff.offer", shift(&ward, &ward.lead, json!({}))).await;
    assert_eq!((refused.code, refused.field), (Code::Conflict, Some("responsibilities")));
}

#[tokio::test]
async fn only_the_receiver_answers_and_an_answer_is_final() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    let handoff = offer(&ward, &ward.nurse, &night, json!({})).await;
    let answer = json!({"handoff": handoff, "synthesis": "a", "reason": "b"});
    for who in [&ward.nurse, &ward.lead] {
        for op in ["handoff.accept", "handoff.decline"] {
            assert_eq!(ward.house.code(who, op, answer.clone()).await, Code::Forbidden, "{op}");
        }
    }
    assert_eq!(ward.house.code(&night, "handoff.withdraw", answer.clone()).await, Code::Forbidden);
    let mute = json!({ "handoff": handoff });
    assert_eq!(ward.house.code(&night, "handoff.decline", mute).await, Code::ReasonRequired);
    let keyed = with(answer.clone(), json!({"key": key(&ward.house.world)}));
    let first = ward.house.run(&night, "handoff.accept", keyed.clone()).await;
    let again = ward.house.run(&night, "handoff.accept", keyed).await;
    assert_eq!(again, with(first, json!({"repeat": true})));
    for (who, op) in [(&night, "handoff.accept"), (&night, "handoff.decline"), (&ward.nurse, "handoff.withdraw")] {
        assert_eq!(ward.house.code(who, op, answer.clone()).await, Code::BadTransition, "{op}");
    }
}

#[tokio::test]
async fn what_is_declined_waits_for_the_offerer_and_then_for_the_lead() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    let kept = task(&ward, &ward.nurse, ward.care_team).await;
    let handoff = offer(&ward, &ward.nurse, &night, json!({})).await;
    let no = json!({"handoff": handoff, "reason": "Two admissions at once"});
    ward.house.run(&night, "handoff.decline", no.clone()).await;
    assert_eq!((told(&ward.house, &ward.nurse).await, open(&ward).await), (vec![reminder()], vec![json!(handoff)]));
    assert_eq!(
        (get(&ward, handoff).await["state"].clone(), owner(&ward, kept).await),
        (json!("declined"), json!(ward.nurse.user))
    );
    ward.house.advance(30 * MINUTE);
    ward.house.ring().await;
    assert_eq!(told(&ward.house, &ward.lead).await, [escalated()]);
    assert_eq!(ward.newest(ward.plan).await["data"]["cause"], json!("declined"));
    // Offered anew, it stands no more; what was taken back does not either.
    let anew = offer(&ward, &ward.nurse, &ward.lead, json!({})).await;
    let shown = get(&ward, handoff).await;
    assert_eq!((&shown["state"], &shown["replaced_by"]), (&json!("replaced"), &json!(anew)));
    assert_eq!(open(&ward).await, [json!(anew)]);
    assert_eq!(
        ward.house.code(&night, "handoff.accept", with(no, json!({"synthesis": "a"}))).await,
        Code::BadTransition
    );
    let back = json!({"handoff": anew, "reason": "I stay"});
    ward.house.run(&ward.nurse, "handoff.withdraw", back).await;
    assert!(open(&ward).await.is_empty());
    let all = ward.house.run(&ward.lead, "handoff.list", json!({"patient": ward.patient, "closed": true})).await;
    let states: Vec<_> = all["handoffs"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["withdrawn", "replaced"]);
}

#[tokio::test]
async fn what_nobody_answers_reaches_the_receiver_then_the_lead_and_goes_on() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    let handoff = offer(&ward, &ward.nurse, &night, json!({"respond_minutes": 10})).await;
    ward.house.advance(9 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
    ward.house.advance(MINUTE);
    assert_eq!(ward.house.ring().await, 1);
    assert_eq!(told(&ward.house, &night).await, [reminder(), reminder()]);
    assert!(told(&ward.house, &ward.lead).await.is_empty());
    ward.house.advance(10 * MINUTE);
    ward.house.ring().await;
    assert_eq!(told(&ward.house, &ward.lead).await, [escalated()]);
    let event = ward.newest(ward.plan).await;
    assert_eq!((&event["event"], &event["data"]["step"]), (&json!("handoff.escalated"), &json!(2)));
    assert_eq!((&event["data"]["to"], &event["data"]["cause"]), (&json!([ward.lead.user]), &json!("unanswered")));
    for pause in [20, 40] {
        ward.house.advance((pause - 1) * MINUTE);
        assert_eq!(ward.house.ring().await, 0);
        ward.house.advance(MINUTE);
        assert_eq!(ward.house.ring().await, 1);
    }
    assert_eq!(
        (told(&ward.house, &ward.lead).await.len(), get(&ward, handoff).await["escalated"].clone()),
        (3, json!(4))
    );
    let alarms_before = ward.house.ring().await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((alarms_before, ward.house.ring().await), (0, 0), "a rebuild rings nothing again");
    accept(&ward, &night, handoff).await;
}

#[tokio::test]
async fn who_leaves_leaves_no_offer_unseen() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    let handoff = offer(&ward, &ward.nurse, &night, json!({})).await;
    ward.leave(&night).await;
    assert_eq!(told(&ward.house, &ward.lead).await, [escalated()]);
    assert_eq!(get(&ward, handoff).await["escalated"], json!(1));
    assert_eq!(ward.house.code(&night, "handoff.get", json!({ "handoff": handoff })).await, Code::NotFound);
    let second = offer(&ward, &ward.nurse, &ward.lead, json!({})).await;
    ward.leave(&ward.nurse).await;
    assert_eq!(told(&ward.house, &ward.lead).await, [escalated(), reminder(), escalated(), escalated()]);
    accept(&ward, &ward.lead, second).await;
    let back = json!({"handoff": handoff, "reason": "Nobody left to take it"});
    ward.house.run(&ward.lead, "handoff.withdraw", back).await;
    assert!(open(&ward).await.is_empty());
}

#[tokio::test]
async fn an_offer_names_staff_and_ones_own_work() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    let refused = async |to: UserId, more: Value| {
        let data = with(shift(&ward, &night, json!({ "to": to })), more);
        let refusal = ward.house.refused(&ward.nurse, "handoff.offer", data).await;
        (refusal.code, refusal.field)
    };
    for to in [ward.daughter.user, ward.outsider.user, UserId(ward.house.world.id())] {
        assert_eq!(refused(to, json!({})).await, (Code::NotFound, Some("to")));
    }
    assert_eq!(refused(ward.nurse.user, json!({})).await, (Code::Invalid, Some("to")));
    let of_lead = task(&ward, &ward.lead, ward.care_team).await;
    for foreign in [of_lead, ThingId(ward.house.world.id())] {
        assert_eq!(refused(night.user, json!({"tasks": [foreign]})).await, (Code::NotFound, Some("tasks")));
    }
    assert_eq!(
        refused(night.user, json!({"responsibilities": ["lead"]})).await,
        (Code::Invalid, Some("responsibilities"))
    );
    let narrow = ward.channel("named", &[&ward.nurse]).await;
    let unread = task(&ward, &ward.nurse, narrow).await;
    assert_eq!(refused(night.user, json!({"tasks": [unread]})).await, (Code::Invalid, Some("tasks")));
    let handoff = offer(&ward, &ward.nurse, &night, json!({})).await;
    let shown = get(&ward, handoff).await;
    assert_eq!((&shown["tasks"], &shown["left"]), (&json!([]), &json!([unread])));
    let operator = ward.house.command_line().await;
    assert_eq!(ward.house.code(&operator, "handoff.offer", shift(&ward, &night, json!({}))).await, Code::Forbidden);
}

#[tokio::test]
async fn family_and_strangers_get_the_answer_of_a_handoff_that_never_was() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    hold(&ward, &ward.nurse, json!(["plan"])).await;
    let handoff = offer(&ward, &ward.nurse, &ward.lead, json!({})).await;
    let never = ThingId(ward.house.world.id());
    for who in [&ward.daughter, &ward.outsider] {
        for op in ["handoff.get", "handoff.accept", "handoff.decline", "handoff.withdraw"] {
            let about = |id: ThingId| json!({"handoff": id, "synthesis": "a", "reason": "b"});
            ward.same_as_missing(who, op, about(handoff), about(never)).await;
        }
        let nobody = json!({"patient": ward.house.world.id()});
        ward.same_as_missing(who, "handoff.list", json!({"patient": ward.patient}), nobody).await;
    }
    let from_family = shift(&ward, &ward.lead, json!({}));
    assert_eq!(ward.house.code(&ward.daughter, "handoff.offer", from_family).await, Code::Forbidden);
    accept(&ward, &ward.lead, handoff).await;
    let page = ward.history(&ward.daughter, family, json!({})).await.to_string();
    let hits = ward.house.run(&ward.daughter, "search", json!({"text": "oxygen"})).await;
    assert_eq!(hits["hits"], json!([]));
    for trace in ["handoff", "Handoff", "oxygen", &handoff.to_string()] {
        assert!(!page.contains(trace), "{trace} in {page}");
    }
    assert!(told(&ward.house, &ward.daughter).await.is_empty());
    for (text, of) in [("OXYGEN", "handoff.accepted"), ("surgery", "handoff.offered")] {
        let found = ward.house.run(&ward.lead, "search", json!({ "text": text })).await;
        let hits = found["hits"].as_array().unwrap();
        assert_eq!((hits.len(), &hits[0]["event"], &hits[0]["id"]), (1, &json!(of), &json!(handoff)));
    }
}

#[tokio::test]
async fn the_log_alone_gives_the_same_handoffs_and_the_same_next_in_line() {
    let ward = Ward::open().await;
    let night = colleague(&ward).await;
    task(&ward, &ward.nurse, ward.care_team).await;
    let next = async || {
        let plan = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
        let items = plan["items"].as_array().unwrap();
        items.iter().find(|item| item["standing"] == "whole").unwrap()["next"].clone()
    };
    let offered = offer(&ward, &ward.nurse, &night, json!({})).await;
    let waits = next().await;
    assert_eq!((&waits["user"], &waits["why"], &waits["id"]), (&json!(night.user), &json!("handoff"), &json!(offered)));
    ward.house.run(&night, "handoff.decline", json!({"handoff": offered, "reason": "Full"})).await;
    assert_eq!(next().await["user"], json!(ward.nurse.user));
    let anew = offer(&ward, &ward.nurse, &ward.lead, json!({})).await;
    ward.house.advance(31 * MINUTE);
    ward.house.ring().await;
    accept(&ward, &ward.lead, anew).await;
    let last = offer(&ward, &night, &ward.nurse, json!({})).await;
    ward.house.advance(31 * MINUTE);
    ward.house.ring().await;
    let all = json!({"patient": ward.patient, "closed": true});
    let before = (ward.house.run(&ward.lead, "handoff.list", all.clone()).await, next().await);
    assert_eq!(before.1["id"], json!(last));
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((ward.house.run(&ward.lead, "handoff.list", all).await, next().await), before);
    assert_eq!(open(&ward).await, [json!(last)]);
}
