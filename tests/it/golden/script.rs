//! The script: every op and every event once, in a story that holds together. New steps go to the end, so that the `seq` of older
//! files stay as they are.

use serde_json::{Value, json};

use super::Play;
use crate::server::text;
use crate::socket::Socket;

/// Plays it.
pub async fn play(play: &mut Play) {
    connection(play).await;
    team_and_plan(play).await;
    channels(play).await;
    messages(play).await;
    notes_and_exports(play).await;
    refusals(play).await;
    accounts(play).await;
    asks(play).await;
    attention(play).await;
    searches(play).await;
    wrong_patient(play).await;
    tasks(play).await;
    life_of_notes(play).await;
    mails(play).await;
    attachments(play).await;
    super::work::play(play).await;
}

/// `login`, and what comes before it.
async fn connection(play: &mut Play) {
    let mut stranger = Socket::open(&play.server, "").await;
    play.sockets.demand_frame("", &stranger.hello);
    play.keep("hello/sign_in_required.json", &json!({"frame": stranger.hello}));
    let asked = json!({"id": 1, "op": "ping"});
    let refused = serde_json::from_str(&stranger.ask_raw(&asked.to_string()).await).unwrap();
    play.keep_error("unauthenticated", &asked, &refused);
    let token = play.actors["lead"].person.token.clone();
    let asked = json!({"id": 1, "op": "login", "data": {"token": token}});
    play.sockets.demand("LoginCommand", &json!({"op": "login", "data": asked["data"]}));
    let reply = serde_json::from_str(&stranger.ask_raw(&asked.to_string()).await).unwrap();
    play.sockets.demand_frame("login", &reply);
    play.keep("ops/login.json", &json!({"request": asked, "reply": reply, "events": []}));
    for who in ["lead", "nurse", "doctor", "kin"] {
        play.run(who, "resume", json!({"cursors": {"me": 0}})).await;
    }
    play.run("lead", "ping", json!({})).await;
    play.run("lead", "session.list", json!({})).await;
    play.run("lead", "user.find", json!({"query": "nur"})).await;
    play.run("lead", "site.get", json!({})).await;
}

async fn team_and_plan(play: &mut Play) {
    let identity = json!({"name": "Ruth Okafor", "birth_date": "1951-08-14", "gender": "female", "language": "en",
                          "identifiers": [{"system": "https://hospital.example/mrn", "value": "004711"}]});
    let patient = play.make("patient", "lead", "patient.register", identity).await;
    let got = play.run("lead", "patient.get", json!({ "patient": patient })).await;
    play.name("plan channel", &text(&got, "channel"));
    play.run("lead", "patient.list", json!({})).await;
    let plan = play.run("lead", "plan.items", json!({ "patient": patient })).await;
    for item in plan["items"].as_array().unwrap() {
        play.name(&text(item, "title"), &text(item, "id"));
    }
    for (who, role, more) in [
        ("nurse", "Ward nurse", json!({"responsibilities": ["plan"]})),
        ("doctor", "Nephrologist", json!({"until": "2099-01-01T00:00:00Z", "reason": "For the dialysis"})),
        ("kin", "Daughter", json!({})),
    ] {
        let mut data = json!({"patient": patient, "user": play.actors[who].person.id, "role": role});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        play.make(&format!("{who}'s membership"), "lead", "team.add", data).await;
    }
    let nurse = play.actors["nurse"].person.id.clone();
    play.run("lead", "team.change", json!({"patient": patient, "user": nurse, "role": "Charge nurse"})).await;
    play.run("lead", "team.list", json!({ "patient": patient })).await;
    let goal = json!({"patient": patient, "kind": "goal", "title": "Walks to the bathroom alone", "detail": "With the frame",
                      "codes": [{"system": "http://snomed.info/sct", "code": "282144007", "display": "Able to walk"}],
                      "owner": {"responsibility": "plan"}, "due": "2027-03-01", "shared": true});
    let goal = play.make("goal", "nurse", "plan_item.add", goal).await;
    let barrier = json!({"patient": patient, "kind": "barrier", "title": "Afraid of falling", "addresses": [goal]});
    let barrier = play.make("barrier", "nurse", "plan_item.add", barrier).await;
    play.run(
        "nurse",
        "plan_item.change",
        json!({"item": goal, "rev": 1, "due": null, "owner": nurse, "reason": "Slower"}),
    )
    .await;
    play.run("nurse", "plan_item.close", json!({"item": barrier, "rev": 1, "status": "resolved", "reason": "Gone"}))
        .await;
}

async fn channels(play: &mut Play) {
    let patient = play.id("patient");
    let nurse = play.actors["nurse"].person.id.clone();
    let open = json!({"patient": patient, "name": "Dialysis", "purpose": "Times and access", "audience": "named", "members": [nurse]});
    let dialysis = play.make("dialysis", "lead", "channel.open", open).await;
    let doctor = play.actors["doctor"].person.id.clone();
    play.run(
        "lead",
        "channel.change",
        json!({"channel": dialysis, "name": "Dialysis days", "members": [nurse, doctor]}),
    )
    .await;
    play.run("lead", "channel.archive", json!({"channel": dialysis, "reason": "Ended"})).await;
    let family = json!({"patient": patient, "name": "Family", "audience": "shared"});
    play.make("family channel", "lead", "channel.open", family).await;
    let listed = play.run("nurse", "channel.list", json!({ "patient": patient })).await;
    let care_team = listed["channels"].as_array().unwrap().iter().find(|one| one["name"] == "Care team").unwrap();
    play.name("care team", &text(care_team, "id"));
}

async fn messages(play: &mut Play) {
    let (staff, goal, unsorted) = (play.id("care team"), play.id("goal"), play.id("Unsorted"));
    let nurse = play.actors["nurse"].person.id.clone();
    let post = json!({"channel": staff, "item": goal, "text": "Glucose 9.1 after lunch", "priority": "urgent", "mentions": [nurse]});
    let first = play.make("message", "doctor", "message.post", post).await;
    let sbar = json!({"channel": staff, "reply_to": first, "class": "care_record",
                      "sbar": {"situation": "Dizzy on standing", "background": "New dose since Monday", "recommendation": "Please see her"}});
    play.make("reply", "nurse", "message.post", sbar).await;
    play.run("doctor", "message.amend", json!({"message": first, "text": "Glucose 9.7 after lunch"})).await;
    play.run("doctor", "message.relink", json!({"message": first, "item": unsorted})).await;
    play.run("doctor", "message.retract", json!({"message": first, "reason": "Another patient's value"})).await;
    play.run("nurse", "typing", json!({ "channel": staff })).await;
    play.run("nurse", "read", json!({"channel": staff, "seq": 1})).await;
    play.run("nurse", "history", json!({"channel": staff, "limit": 3})).await;
}

async fn notes_and_exports(play: &mut Play) {
    let (staff, goal, patient) = (play.id("care team"), play.id("goal"), play.id("patient"));
    let nurse = play.actors["nurse"].person.id.clone();
    let note = json!({"channel": staff, "item": goal, "medium": "phone", "held_at": "2026-01-01T14:10:00Z", "ended_at": "2026-01-01T14:20:00Z",
                      "with": [{"name": "Dr. Osei", "role": "nephrologist"}, {"name": "Nurse Example", "user": nurse}],
                      "text": "Dose unchanged until Friday", "decisions": ["Blood count on Friday"]});
    play.make("note", "nurse", "note.log", note).await;
    let out = play.server.house.path("out.ndjson");
    let typed = ["export", "--patient", &patient, "--format", "ndjson", "--out", out.to_str().unwrap()];
    play.server.cli(&[&typed[..], &["--purpose", "Asked for by the patient"]].concat()).await;
    let doctor = play.actors["doctor"].person.id.clone();
    play.run("lead", "team.remove", json!({"patient": patient, "user": doctor, "reason": "Dialysis ended"})).await;
}

/// One of each refusal a client can bring about.
async fn refusals(play: &mut Play) {
    let (staff, goal, dialysis, patient) =
        (play.id("care team"), play.id("goal"), play.id("dialysis"), play.id("patient"));
    let (message, barrier) = (play.id("message"), play.id("barrier"));
    let frame = json!({"op": "ping"});
    let answer = play.actors.get_mut("lead").unwrap().socket.ask_raw(&frame.to_string()).await;
    play.keep_error("bad_frame", &frame, &serde_json::from_str(&answer).unwrap());
    play.refuse("lead", "unknown_op", "message.whisper", json!({})).await;
    play.refuse("lead", "invalid", "message.post", json!({"channel": staff, "item": goal, "text": " "})).await;
    play.refuse("lead", "plan_item_required", "message.post", json!({"channel": staff, "text": "No item"})).await;
    play.refuse("lead", "reason_required", "message.retract", json!({"message": play.id("reply")})).await;
    play.refuse("kin", "forbidden", "plan_item.add", json!({"patient": patient, "kind": "goal", "title": "No"})).await;
    play.refuse("kin", "not_found", "history", json!({ "channel": staff })).await;
    play.refuse("nurse", "conflict", "plan_item.change", json!({"item": goal, "rev": 1, "title": "Stale"})).await;
    play.refuse("lead", "archived", "message.post", json!({"channel": dialysis, "item": goal, "text": "Too late"}))
        .await;
    play.refuse(
        "lead",
        "plan_item_closed",
        "message.post",
        json!({"channel": staff, "item": barrier, "text": "Closed"}),
    )
    .await;
    play.refuse(
        "lead",
        "too_large",
        "team.remove",
        json!({"patient": patient, "user": play.id("kin"), "reason": "x".repeat(2001)}),
    )
    .await;
    play.refuse("lead", "not_found", "message.amend", json!({"message": patient, "text": message})).await;
}

async fn accounts(play: &mut Play) {
    let token = super::signed_in(&play.server).await;
    let mut socket = Socket::open(&play.server, &format!("Authorization: Bearer {token}\r\n")).await;
    let steps = [
        ("password.change", json!({"old": "slow rivers carry stones", "new": "fast rivers carry boulders"})),
        ("session.end", json!({"session": "current"})),
    ];
    for (op, data) in steps {
        let frame = json!({"id": 1, "op": op, "data": data});
        play.sockets.demand(&format!("{}Command", super::pascal(op)), &json!({"op": op, "data": data}));
        let reply = serde_json::from_str(&socket.ask_raw(&frame.to_string()).await).unwrap();
        play.sockets.demand_frame(op, &reply);
        play.keep(&format!("ops/{op}.json"), &json!({"request": frame, "reply": reply, "events": []}));
    }
}

async fn asks(play: &mut Play) {
    let (staff, goal) = (play.id("care team"), play.id("goal"));
    let order = json!({"channel": staff, "item": goal, "text": "Stop the tablets today", "ask": "check_back"});
    let order = play.make("order", "lead", "message.post", order).await;
    let heard = json!({"message": order, "text": "No tablets from today on"});
    let heard = play.make("check-back", "nurse", "message.check_back", heard).await;
    play.make("confirmation", "lead", "message.confirm", json!({"message": order, "check_back": heard})).await;
    let seen = json!({"channel": staff, "item": goal, "text": "New plan from Monday", "ask": "acknowledge"});
    let seen = play.make("announcement", "lead", "message.post", seen).await;
    play.make("acknowledgement", "nurse", "message.acknowledge", json!({ "message": seen })).await;
    play.refuse("nurse", "bad_transition", "message.acknowledge", json!({ "message": seen })).await;
}

async fn attention(play: &mut Play) {
    let (staff, seen, nurse) = (play.id("care team"), play.id("announcement"), play.id("nurse"));
    play.run("nurse", "channel.mute", json!({"channel": staff, "muted": true, "until": "2099-01-01T00:00:00Z"})).await;
    let quiet = json!({"state": "do_not_disturb", "until": "2099-01-01T00:00:00Z"});
    play.run("nurse", "presence.set", quiet).await;
    play.run("lead", "presence", json!({ "channel": staff })).await;
    let listed = play.run("nurse", "channel.list", json!({})).await;
    let newest =
        listed["channels"].as_array().unwrap().iter().find(|one| one["id"] == staff).unwrap()["last_seq"].clone();
    play.run("nurse", "read", json!({"channel": staff, "seq": newest})).await;
    play.run("lead", "receipts", json!({ "message": seen })).await;
    // Told within a few seconds, whatever was told of her before.
    let event = loop {
        play.events().await;
        let told = &play.actors["lead"].socket.presences;
        let of_nurse = |event: &&Value| event["by"] == nurse.as_str() && event["channel"] == staff.as_str();
        if let Some(event) = told.iter().filter(of_nurse).find(|event| event["data"]["do_not_disturb"] == true) {
            break event.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    play.sockets.demand_frame("", &event);
    play.keep("events/presence.json", &json!({ "frame": event }));
}

async fn searches(play: &mut Play) {
    let asked = json!({"text": "PLAN from", "patient": play.id("patient"), "channel": play.id("care team"), "item": play.id("goal"),
                       "author": play.id("lead"), "from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "limit": 5});
    play.run("nurse", "search", asked).await;
    play.run("nurse", "cancel", json!({"id": 7})).await;
}

async fn wrong_patient(play: &mut Play) {
    let data =
        json!({"channel": play.id("care team"), "item": play.id("goal"), "text": "Potassium 6.1, call the ward"});
    let mistaken = play.make("mistaken message", "nurse", "message.post", data).await;
    let other = play.run("nurse", "patient.register", json!({"name": "Ada Brandt"})).await;
    let data = json!({"message": mistaken, "channel": other["care_team"], "item": other["items"]["unsorted"],
                      "reason": "Two charts were open"});
    play.make("moved message", "nurse", "message.move", data).await;
    // What is left of it in a page of the past.
    play.run("lead", "history", json!({"channel": play.id("care team"), "limit": 2})).await;
    let officer = play.server.person_with("officer", &["--role", "privacy_officer"]).await;
    play.name("officer", &officer.id);
    let socket = play.server.socket(&officer).await;
    play.actors.insert("officer", super::Actor { person: officer, socket });
    play.run("officer", "wrong_patient.list", json!({})).await;
    play.run("officer", "disclosure.list", json!({"patient": play.id("patient"), "limit": 1})).await;
}

async fn tasks(play: &mut Play) {
    let (staff, goal, announcement) = (play.id("care team"), play.id("goal"), play.id("announcement"));
    let work = json!({"channel": staff, "item": goal, "title": "Order the frame", "description": "Height 82 cm", "owner": play.id("nurse"),
                      "due": "2099-03-01", "due_zone": "Europe/Berlin", "remind_minutes": 120, "priority": "urgent",
                      "checklist": ["Measure", {"text": "Call the supplier", "done": true}],
                      "repeat": {"rrule": "FREQ=WEEKLY", "zone": "Europe/Berlin"}, "from_message": announcement});
    let task = play.make("task", "lead", "task.create", work).await;
    let of = |rev: i64, more: Value| {
        let mut data = json!({"task": task, "rev": rev});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    play.run("nurse", "task.update", of(1, json!({"title": "Order a frame", "repeat": null}))).await;
    play.run("nurse", "task.accept", of(2, json!({}))).await;
    play.run("nurse", "task.start", of(3, json!({}))).await;
    play.run("nurse", "task.hold", of(4, json!({"reason": "The supplier is closed"}))).await;
    play.run("nurse", "task.move", of(5, json!({"column": "in-progress", "after": null}))).await;
    play.run("lead", "task.assign", of(6, json!({"owner": {"responsibility": "plan"}, "reason": "Out of office"})))
        .await;
    play.run("nurse", "task.decline", of(7, json!({"reason": "Not ours"}))).await;
    play.run("lead", "task.assign", of(8, json!({"owner": play.id("lead")}))).await;
    play.run("lead", "task.complete", of(9, json!({}))).await;
    play.run("lead", "task.get", json!({ "task": task })).await;
    play.run("lead", "task.made_from", json!({ "message": announcement })).await;
    for (op, name) in [("task.cancel", "given up"), ("task.fail", "failed")] {
        let other = json!({"channel": staff, "item": goal, "title": "Fetch the frame", "owner": play.id("lead")});
        let other = play.make(name, "lead", "task.create", other).await;
        play.run("lead", "task.start", json!({"task": other, "rev": 1})).await;
        play.run("lead", op, json!({"task": other, "rev": 2, "reason": "It was delivered"})).await;
    }
    let late = json!({"channel": staff, "item": goal, "title": "Fetch the frame", "owner": play.id("nurse"), "due": "2026-01-01T09:00:00Z"});
    play.make("late task", "lead", "task.create", late).await;
    // The clock marks it within a few seconds.
    while !play.files.contains_key("events/me.reminder.json") {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        play.events().await;
    }
}

async fn life_of_notes(play: &mut Play) {
    let (staff, goal, nurse) = (play.id("care team"), play.id("goal"), play.id("nurse"));
    let open = json!({"channel": staff, "item": goal, "medium": "phone", "with": [{"name": "Dr. Osei", "role": "nephrologist"}]});
    let marker = play.make("marker", "lead", "note.open", open.clone()).await;
    let log = json!({"channel": staff, "note": marker, "medium": "phone", "held_at": "2026-01-02T09:00:00Z", "text": "Dialysis stays on Mondays",
                     "with": [{"name": "Dr. Osei"}, {"name": "Nurse Example", "user": nurse}],
                     "tasks": [{"title": "Tell the family", "owner": nurse}]});
    play.run("lead", "note.log", log).await;
    play.make("verdict", "nurse", "note.confirm", json!({ "note": marker })).await;
    let dispute = json!({"note": marker, "reason": "From next week on only"});
    play.make("objection", "nurse", "note.dispute", dispute).await;
    let addend = json!({"note": marker, "text": "From 9 March on"});
    play.make("addendum", "lead", "note.addend", addend).await;
    play.run("nurse", "note.get", json!({ "note": marker })).await;
    let vain = play.make("vain marker", "nurse", "note.open", open).await;
    play.make("dismissal", "nurse", "note.dismiss", json!({"note": vain, "reason": "Nobody answered"})).await;
}

/// Two mails by strangers, of which one becomes a note.
async fn mails(play: &mut Play) {
    let staff = play.id("care team");
    let given = play.run("nurse", "channel.mail_address", json!({ "channel": staff })).await;
    for (id, words) in [("a", "Dose unchanged until Friday"), ("b", "Ten days of holiday, all included")] {
        let mail = format!(
            "From: Dr. Osei <osei@clinic.example>\r\nDate: Thu, 1 Jan 2026 14:10:00 +0000\r\nMessage-ID: <{id}@clinic.example>\r\nSubject: Dose\r\n\r\n{words}"
        );
        play.hand_over(&text(&given, "address"), &mail).await;
    }
    let waiting = play.run("nurse", "intake.list", json!({ "channel": staff })).await;
    let mail = |at: usize| waiting["mails"][at]["id"].clone();
    let file = json!({"mail": mail(0), "channel": staff, "item": play.id("goal")});
    play.make("note of a mail", "nurse", "intake.file", file).await;
    play.run("nurse", "intake.discard", json!({"mail": mail(1), "reason": "Advertising"})).await;
}

/// A file, uploaded and asked for.
async fn attachments(play: &mut Play) {
    let (staff, lead) = (play.id("care team"), play.actors["lead"].person.clone());
    let headers = format!("Authorization: Bearer {}\r\nX-File-Name: a.txt\r\nContent-Type: text/plain\r\n", lead.token);
    let line = format!("POST /v1/channels/{staff}/files");
    let uploaded = play.server.request(&line, &headers, b"Blood count").await;
    let file = text(&uploaded.json(), "id");
    play.name("file", &file);
    play.run("lead", "file.info", json!({"channel": staff, "files": [file]})).await;
}
