//! The script goes on: work that is asked for and handed over, talks elsewhere and mails, check-ins, files, absence, and the end of care.

use serde_json::{Value, json};

use super::Play;
use crate::server::text;

/// Plays it.
pub async fn play(play: &mut Play) {
    tasks(play).await;
    columns_and_drift(play).await;
    talks_elsewhere(play).await;
    handoffs(play).await;
    unanswered(play).await;
    checkins(play).await;
    absence(play).await;
    the_end(play).await;
}

/// A step of a task; gives its `rev` from there on.
async fn step(play: &mut Play, who: &'static str, op: &'static str, task: &str, more: Value) -> i64 {
    let rev = play.run(who, "task.get", json!({ "task": task })).await["task"]["rev"].clone();
    let mut data = json!({"task": task, "rev": rev});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    play.run(who, op, data).await["rev"].as_i64().unwrap()
}

async fn tasks(play: &mut Play) {
    let (staff, goal, nurse) = (play.id("care team"), play.id("goal"), play.id("nurse"));
    let order = json!({"channel": staff, "item": goal, "title": "Order the walking frame", "description": "The one with wheels",
                       "owner": nurse, "due": "2099-03-01", "due_zone": "Europe/Berlin", "priority": "urgent",
                       "checklist": ["Measure", {"text": "Ask the daughter", "done": true}],
                       "repeat": {"rrule": "FREQ=WEEKLY", "zone": "Europe/Berlin"}});
    let task = play.make("task", "lead", "task.create", order).await;
    step(play, "nurse", "task.accept", &task, json!({})).await;
    step(play, "nurse", "task.start", &task, json!({})).await;
    let ticked = json!({"checklist": [{"text": "Measure", "done": true}], "remind_minutes": 120});
    step(play, "nurse", "task.update", &task, ticked).await;
    step(play, "nurse", "task.hold", &task, json!({"reason": "The shop is closed"})).await;
    step(play, "nurse", "task.move", &task, json!({"column": "in-progress", "after": null})).await;
    play.refuse("lead", "bad_transition", "task.accept", json!({"task": task, "rev": 6})).await;
    play.refuse("lead", "conflict", "task.cancel", json!({"task": task, "rev": 1, "reason": "Stale"})).await;
    step(play, "lead", "task.assign", &task, json!({"owner": {"responsibility": "plan"}})).await;
    step(play, "nurse", "task.decline", &task, json!({"reason": "No time today"})).await;
    step(play, "lead", "task.assign", &task, json!({"owner": nurse})).await;
    step(play, "nurse", "task.accept", &task, json!({})).await;
    step(play, "nurse", "task.complete", &task, json!({})).await;
    for (name, op) in [("failed task", "task.fail"), ("cancelled task", "task.cancel")] {
        let data =
            json!({"channel": staff, "item": goal, "title": "Measure the door", "from_message": play.id("reply")});
        let task = play.make(name, "nurse", "task.create", data).await;
        step(play, "nurse", "task.start", &task, json!({})).await;
        step(play, "nurse", op, &task, json!({"reason": "The door is gone"})).await;
    }
    play.run("nurse", "task.made_from", json!({"message": play.id("reply")})).await;
    let threaded = json!({"channel": staff, "task": task, "text": "It comes on Monday"});
    play.make("thread", "nurse", "message.post", threaded).await;
}

async fn columns_and_drift(play: &mut Play) {
    let (staff, goal, patient, nurse) = (play.id("care team"), play.id("goal"), play.id("patient"), play.id("nurse"));
    let walk = json!({"channel": staff, "item": goal, "title": "Walk to the door", "owner": nurse});
    let task = play.make("walk", "lead", "task.create", walk).await;
    let plan = play.run("nurse", "plan.items", json!({ "patient": patient })).await;
    let rev = plan["items"].as_array().unwrap().iter().find(|item| item["id"] == goal).unwrap()["rev"].clone();
    play.run("nurse", "plan_item.change", json!({"item": goal, "rev": rev, "title": "Walks to the garden alone"}))
        .await;
    play.run("nurse", "drift.list", json!({ "patient": patient })).await;
    play.make("settled", "nurse", "drift.settle", json!({"thing": task, "action": "keep", "reason": "Still right"}))
        .await;
    play.run("nurse", "board.get", json!({"patient": patient})).await;
}

async fn talks_elsewhere(play: &mut Play) {
    let (staff, goal, nurse) = (play.id("care team"), play.id("goal"), play.id("nurse"));
    let calling = json!({"channel": staff, "item": goal, "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    let call = play.make("call", "lead", "note.open", calling.clone()).await;
    let log = json!({"channel": staff, "item": goal, "note": call, "medium": "phone", "held_at": "2026-01-01T14:10:00Z",
                     "with": [{"name": "Nurse Example", "user": nurse}], "text": "She may go out", "decisions": ["Out on Sunday"],
                     "tasks": [{"title": "Take her out on Sunday", "owner": nurse}]});
    play.run("lead", "note.log", log).await;
    play.make("confirmed", "nurse", "note.confirm", json!({ "note": call })).await;
    play.make("disputed", "nurse", "note.dispute", json!({"note": call, "reason": "Only with somebody beside her"}))
        .await;
    play.make("addendum", "lead", "note.addend", json!({"note": call, "text": "With somebody beside her"})).await;
    play.run("nurse", "note.get", json!({ "note": call })).await;
    let missed = play.make("missed call", "lead", "note.open", calling).await;
    play.clock.advance(45);
    play.until("events/note.reminded.json").await;
    play.make("dismissal", "lead", "note.dismiss", json!({"note": missed, "reason": "No answer"})).await;
}

async fn handoffs(play: &mut Play) {
    let (patient, nurse) = (play.id("patient"), play.id("nurse"));
    let ipass = json!({"illness_severity": "watcher", "patient_summary": "Up since Monday", "action_list": ["The walking frame"],
                       "situation_awareness": "Dizzy in the morning"});
    let offer = json!({"patient": patient, "to": nurse, "ipass": ipass, "responsibilities": [], "respond_minutes": 30});
    for (name, who, op, more) in [
        ("declined", "nurse", "handoff.decline", json!({"reason": "I am off at six"})),
        ("withdrawn", "lead", "handoff.withdraw", json!({"reason": "Not needed"})),
        ("accepted", "nurse", "handoff.accept", json!({"synthesis": "I see to the frame and her mornings"})),
    ] {
        let handoff = play.make(&format!("handoff that is {name}"), "lead", "handoff.offer", offer.clone()).await;
        play.run("nurse", "handoff.get", json!({ "handoff": handoff })).await;
        play.run("nurse", "handoff.list", json!({ "patient": patient })).await;
        let mut data = json!({ "handoff": handoff });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        if name == "withdrawn" {
            // Nobody answers.
            play.clock.advance(90);
            play.until("events/handoff.escalated.json").await;
        }
        play.run(who, op, data).await;
    }
}

async fn unanswered(play: &mut Play) {
    let (staff, goal, nurse) = (play.id("care team"), play.id("goal"), play.id("nurse"));
    let ask = json!({"channel": staff, "item": goal, "text": "Pressure 210", "priority": "stat", "ask": "acknowledge",
                     "mentions": [nurse, {"responsibility": "plan"}]});
    let message = play.make("unanswered", "lead", "message.post", ask).await;
    play.clock.advance(6);
    play.until("events/message.reminded.json").await;
    play.clock.advance(12);
    play.until("events/message.escalated.json").await;
    play.until("events/me.escalated.json").await;
    play.make(
        "answered elsewhere",
        "lead",
        "message.settle",
        json!({"message": message, "reason": "Seen at the bedside"}),
    )
    .await;
}

async fn checkins(play: &mut Play) {
    let (staff, goal) = (play.id("care team"), play.id("goal"));
    let schedule = json!({"channel": staff, "rrule": "FREQ=DAILY", "zone": "Europe/Berlin", "start": play.clock.at(30),
                          "questions": ["What has changed?", "What worries you?"], "close_minutes": 60});
    play.make("schedule", "lead", "checkin.schedule", schedule).await;
    let held = json!({"channel": staff, "item": goal, "text": "For the huddle", "hold": "checkin"});
    for _ in 0..2 {
        play.run("nurse", "message.post", held.clone()).await;
    }
    let waiting = play.run("nurse", "message.held", json!({ "channel": staff })).await;
    let one = text(&waiting["messages"][0], "id");
    play.run("nurse", "message.unhold", json!({ "message": one })).await;
    play.clock.advance(31);
    play.until("events/checkin.opened.json").await;
    let open = play.run("nurse", "checkin.get", json!({ "channel": staff })).await;
    let checkin = text(&open["open"], "id");
    play.name("check-in", &checkin);
    let answer = json!({"checkin": checkin, "item": goal, "answers": ["She walks", "The mornings"]});
    play.make("answer", "nurse", "checkin.answer", answer).await;
    play.clock.advance(61);
    play.until("events/checkin.closed.json").await;
}

async fn absence(play: &mut Play) {
    let (patient, nurse) = (play.id("patient"), play.id("nurse"));
    let cover = json!({"patient": patient, "responsibility": "lead", "user": nurse, "from": play.clock.at(5), "until": play.clock.at(600),
                       "reason": "At the dentist"});
    play.make("cover", "lead", "team.cover", cover).await;
}

async fn the_end(play: &mut Play) {
    let registered = play.run("doctor", "patient.register", json!({"name": "Emil Varga"})).await;
    let patient = text(&registered, "id");
    play.name("another patient", &patient);
    play.make("closing", "doctor", "patient.close", json!({"patient": patient, "reason": "Moved away"})).await;
    play.make("reopening", "doctor", "patient.reopen", json!({"patient": patient, "reason": "Came back"})).await;
}
