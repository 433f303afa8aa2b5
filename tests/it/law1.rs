//! Law 1: rebuilding the projections from the log gives the projections.

use std::time::Duration;

use serde_json::{Value, json};

use super::clock::Clock;
use super::server::{House, Person, ROOMY, Server, list, text};
use super::ward::Ward;

const DAY: i64 = 24 * 60;

/// What people see of the projections: plan, team, channels, identity, and pages that rest on who may read which part.
async fn seen(server: &Server, ward: &Ward, people: &[&Person]) -> Vec<Value> {
    let patient = ward.id("patient");
    let mut answers = Vec::new();
    for person in people {
        for op in ["plan.items", "team.list", "patient.get"] {
            answers.push(server.ask(person, op, json!({"patient": patient})).await.json());
        }
        answers.push(server.ask(person, "channel.list", json!({})).await.json());
        for channel in ["staff", "shared"] {
            answers.push(server.ask(person, "history", json!({"channel": ward.id(channel)})).await.json());
        }
    }
    answers
}

async fn rebuilt(server: Server) -> Server {
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    let done = house.cli(&["doctor", "--rebuild"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("made again from"), "{}", done.stdout);
    house.serve().await
}

both!(what_is_rebuilt_from_the_log_answers_as_what_was_there);
async fn what_is_rebuilt_from_the_log_answers_as_what_was_there() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let nurse = server.person("nurse").await;
    let gone = server.person("gone").await;
    let mut ward = Ward::open(&server, lead).await;
    ward.add(&server, &nurse, json!({"responsibilities": ["plan"]})).await;
    ward.add(&server, &gone, json!({})).await;
    ward.says(&server, "m1", "staff", "goal").await;
    ward.remove(&server, &nurse).await;
    ward.says(&server, "m2", "staff", "goal").await;
    ward.add(&server, &nurse, json!({})).await;
    ward.remove(&server, &gone).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m1"), "text": "other words"})).await;
    server.run(&ward.lead, "message.relink", json!({"message": ward.id("m1"), "item": ward.id("whole")})).await;
    server.run(&ward.lead, "message.retract", json!({"message": ward.id("m2"), "reason": "wrong patient"})).await;
    let change = json!({"item": ward.id("goal"), "rev": 1, "title": "Below 130", "shared": true});
    server.run(&ward.lead, "plan_item.change", change).await;
    let before = seen(&server, &ward, &[&ward.lead, &nurse, &gone]).await;
    let server = rebuilt(server).await;
    let after = seen(&server, &ward, &[&ward.lead, &nurse, &gone]).await;
    assert_eq!(before, after);
}

/// What people see of work, of talks elsewhere, of check-ins, of files and of who stands in for whom: each question with its answer.
async fn work_seen(server: &Server, ward: &Ward, people: &[&Person]) -> Vec<(String, Value)> {
    let of = |name: &str, id: &str| json!({name: ward.id(id)});
    let questions = [
        ("board.get", of("patient", "patient")),
        ("board.get", json!({"patient": ward.id("patient"), "item": ward.id("goal"), "state": "requested"})),
        ("board.get", json!({"mine": true})),
        ("task.get", of("task", "asked")),
        ("task.get", of("task", "done")),
        ("task.get", of("task", "shared_task")),
        ("task.made_from", of("message", "message_staff")),
        ("task.made_from", of("note", "documented")),
        ("drift.list", of("patient", "patient")),
        ("note.get", of("note", "marker")),
        ("note.get", of("note", "dismissed")),
        ("note.get", of("note", "documented")),
        ("note.get", of("note", "note_staff")),
        ("handoff.list", json!({"patient": ward.id("patient"), "closed": true})),
        ("handoff.list", of("patient", "patient")),
        ("handoff.get", of("handoff", "accepted")),
        ("handoff.get", of("handoff", "offered")),
        ("checkin.get", of("channel", "staff")),
        ("message.held", of("channel", "staff")),
        ("file.info", json!({"channel": ward.id("staff"), "files": [ward.id("file")]})),
        ("plan.items", json!({"patient": ward.id("patient"), "closed": true})),
        ("team.list", of("patient", "patient")),
        ("patient.get", of("patient", "second")),
        ("board.get", of("patient", "second")),
        ("history", of("channel", "plan")),
        ("history", of("channel", "staff")),
        ("channel.list", json!({})),
        ("patient.list", json!({})),
        ("search", json!({"text": "said", "patient": ward.id("patient")})),
    ];
    let mut answers = Vec::new();
    for person in people {
        for (op, data) in &questions {
            let answer = server.ask(person, op, data.clone()).await.json();
            answers.push((format!("{op} {data} by {}", person.handle), answer));
        }
        let route = format!("GET /v1/channels/{}/files/{}", ward.id("staff"), ward.id("file"));
        let file = server.request(&route, &format!("Authorization: Bearer {}\r\n", person.token), b"").await;
        answers.push((format!("{route} by {}", person.handle), json!([file.status, file.text])));
    }
    answers
}

/// Check-ins: a schedule, one that is open with an answer, and a message that waits for the next.
async fn check_in(server: &Server, ward: &mut Ward, clock: &mut Clock, nurse: &Person) {
    let schedule = json!({"channel": ward.id("staff"), "rrule": "FREQ=DAILY", "zone": "UTC", "close_minutes": 600,
                          "questions": ["What is said?", "What worries you?"]});
    server.run(&ward.lead, "checkin.schedule", schedule).await;
    clock.advance(DAY + 1);
    let opened = async {
        loop {
            let checkin = server.run(nurse, "checkin.get", json!({"channel": ward.id("staff")})).await;
            if let Some(id) = checkin["open"]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let checkin = tokio::time::timeout(Duration::from_secs(60), opened).await.expect("a check-in opens");
    let answer = json!({"checkin": checkin, "item": ward.id("goal"), "answers": ["He is said to eat", "Nothing"]});
    server.run(nurse, "checkin.answer", answer).await;
    let held = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "said later", "hold": "checkin"});
    server.run(nurse, "message.post", held).await;
}

/// Tasks in many states, one of them about something that changed since, one out of a message, one with a thread.
async fn tasks(server: &Server, ward: &mut Ward, nurse: &Person) {
    let new = |channel: &str, item: &str, more: Value| {
        let mut data = json!({"channel": ward.id(channel), "item": ward.id(item), "title": "said as a task"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let asked = new(
        "staff",
        "goal",
        json!({"owner": nurse.id, "priority": "urgent", "due": "2099-01-02",
        "due_zone": "Europe/Stockholm", "checklist": ["said first", {"text": "said second", "done": true}]}),
    );
    let done = new("staff", "goal", json!({"from_message": ward.id("message_staff"), "description": "as said"}));
    let others = [
        ("shared_task", new("shared", "shared_goal", json!({"owner": {"responsibility": "plan"}}))),
        ("first", new("named", "goal", json!({}))),
        ("second_of_all", new("staff", "whole", json!({"due": "2099-03-04T05:06:07Z"}))),
        ("declined", new("staff", "unsorted", json!({"owner": nurse.id}))),
    ];
    for (name, data) in [("asked", asked), ("done", done)].into_iter().chain(others) {
        ward.make(server, name, "task.create", data).await;
    }
    let step = |task: &str, rev: i64, more: Value| {
        let mut data = json!({"task": ward.id(task), "rev": rev});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    server.run(nurse, "task.accept", step("asked", 1, json!({}))).await;
    server.run(nurse, "task.start", step("asked", 2, json!({}))).await;
    server
        .run(nurse, "task.update", step("asked", 3, json!({"checklist": [{"text": "said first", "done": true}]})))
        .await;
    server.run(nurse, "task.hold", step("asked", 4, json!({"reason": "said so"}))).await;
    server.run(&ward.lead, "task.complete", step("done", 1, json!({}))).await;
    let above = json!({"column": "ready", "after": null});
    server.run(&ward.lead, "task.move", step("second_of_all", 1, above)).await;
    server.run(nurse, "task.decline", step("declined", 1, json!({"reason": "not mine"}))).await;
    let thread = json!({"channel": ward.id("staff"), "task": ward.id("asked"), "text": "said in its thread"});
    server.run(nurse, "message.post", thread).await;
    let changed = json!({"item": ward.id("goal"), "rev": 1, "title": "said otherwise"});
    server.run(&ward.lead, "plan_item.change", changed).await;
}

/// A marker that waits, one that was dismissed, and talks that were documented, confirmed, disputed and added to.
async fn notes(server: &Server, ward: &mut Ward, nurse: &Person, night: &Person) {
    let calling = |item: &str| json!({"channel": ward.id("staff"), "item": ward.id(item), "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    let markers = [("marker", calling("goal")), ("dismissed", calling("whole")), ("documented", calling("unsorted"))];
    for (name, data) in markers {
        ward.make(server, name, "note.open", data).await;
    }
    server.run(&ward.lead, "note.dismiss", json!({"note": ward.id("dismissed"), "reason": "never took place"})).await;
    let with = json!([{"name": "Nurse", "user": nurse.id}, {"name": "Night nurse", "user": night.id}]);
    let documented = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "note": ward.id("documented"),
        "medium": "phone", "held_at": "2026-01-02T03:04:05Z", "with": with, "text": "said on the phone",
        "decisions": ["Order a bed"], "tasks": [{"title": "Order a bed, as said", "owner": night.id}]});
    server.run(&ward.lead, "note.log", documented).await;
    let note = ward.id("documented");
    server.run(nurse, "note.confirm", json!({"note": note})).await;
    server.run(night, "note.dispute", json!({"note": note, "reason": "I was not there"})).await;
    server.run(&ward.lead, "note.addend", json!({"note": note, "text": "She came later, it is said"})).await;
}

/// Handoffs, offered, declined and accepted, a cover, a file, and the closed record of a second patient.
async fn the_rest(server: &Server, ward: &mut Ward, clock: &Clock, nurse: &Person, night: &Person) {
    let ipass = json!({"illness_severity": "watcher", "patient_summary": "said", "action_list": ["said"],
                       "situation_awareness": "said"});
    let offer = |to: &Person, held: &[&str]| json!({"patient": ward.id("patient"), "to": to.id, "ipass": ipass, "responsibilities": held});
    let offers = [(nurse, "accepted", offer(night, &["barriers"])), (nurse, "offered", offer(&ward.lead, &[]))];
    for (by, name, data) in offers {
        let id = text(&server.run(by, "handoff.offer", data).await, "id");
        ward.put(name, id);
        let answer = json!({"handoff": ward.id(name), "synthesis": "said back"});
        if name == "accepted" {
            server.run(night, "handoff.accept", answer).await;
        }
    }
    let declined = text(
        &server
            .run(
                night,
                "handoff.offer",
                json!({"patient": ward.id("patient"), "to": nurse.id,
        "ipass": ipass, "responsibilities": []}),
            )
            .await,
        "id",
    );
    server.run(nurse, "handoff.decline", json!({"handoff": declined, "reason": "I go home"})).await;
    let cover = json!({"patient": ward.id("patient"), "responsibility": "plan", "absent": nurse.id, "user": night.id,
                       "until": clock.at(DAY)});
    server.run(&ward.lead, "team.cover", cover).await;
    let headers =
        format!("Authorization: Bearer {}\r\nContent-Type: text/plain\r\nX-File-Name: lab.txt\r\n", nurse.token);
    let route = format!("POST /v1/channels/{}/files", ward.id("staff"));
    let stored = server.request(&route, &headers, b"as it was said").await;
    assert_eq!(stored.status, 201, "{}", stored.text);
    ward.put("file", text(&stored.json(), "id"));
    let post =
        json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "said there", "files": [ward.id("file")]});
    server.run(nurse, "message.post", post).await;
    let second = text(&server.run(&ward.lead, "patient.register", json!({"name": "Abel Berg"})).await, "patient");
    let member = json!({"patient": second, "user": nurse.id, "role": "Nurse"});
    server.run(&ward.lead, "team.add", member).await;
    server.run(&ward.lead, "patient.close", json!({"patient": second, "reason": "Discharged"})).await;
    ward.put("second", second);
}

both!(work_that_is_rebuilt_from_the_log_answers_as_what_was_there);
async fn work_that_is_rebuilt_from_the_log_answers_as_what_was_there() {
    let mut house = House::new(ROOMY).await;
    let mut clock = Clock::of(&mut house);
    let server = house.serve().await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    let (nurse, night) = (server.person("nurse").await, server.person("night").await);
    let (relative, gone) = (server.person("relative").await, server.person("gone").await);
    ward.add(&server, &nurse, json!({"responsibilities": ["plan", "barriers"]})).await;
    ward.add(&server, &night, json!({})).await;
    ward.add(&server, &relative, json!({"family": true})).await;
    ward.add(&server, &gone, json!({})).await;
    check_in(&server, &mut ward, &mut clock, &nurse).await;
    tasks(&server, &mut ward, &nurse).await;
    notes(&server, &mut ward, &nurse, &night).await;
    the_rest(&server, &mut ward, &clock, &nurse, &night).await;
    let leaving =
        json!({"channel": ward.id("staff"), "item": ward.id("goal"), "title": "said and left", "owner": gone.id});
    server.run(&ward.lead, "task.create", leaving).await;
    ward.remove(&server, &gone).await;
    let people = [&ward.lead, &nurse, &night, &relative, &gone];
    let before = work_seen(&server, &ward, &people).await;
    let board = server.run(&nurse, "board.get", json!({"patient": ward.id("patient")})).await;
    assert!(["notes", "handoffs"].iter().all(|name| !list(&board, name).is_empty()), "{board}");
    let drifts = server.run(&ward.lead, "drift.list", json!({"patient": ward.id("patient")})).await;
    assert!(!list(&drifts, "drifts").is_empty(), "a task is about what changed since");
    let server = rebuilt(server).await;
    for (before, after) in before.iter().zip(work_seen(&server, &ward, &people).await) {
        assert_eq!(before, &after);
    }
}
