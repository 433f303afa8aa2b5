//! The script goes on: work that is asked for and handed over, talks elsewhere and mails, check-ins, files, absence, and the end of care.

use serde_json::{Value, json};

use super::Play;
use crate::server::text;

/// Plays it.
pub async fn play(play: &mut Play) {
    threads(play).await;
    columns_and_drift(play).await;
    reminded(play).await;
    handoffs(play).await;
    unanswered(play).await;
    checkins(play).await;
    absence(play).await;
    the_end(play).await;
    filing(play).await;
    sources(play).await;
}

async fn threads(play: &mut Play) {
    let (staff, task) = (play.id("care team"), play.id("task"));
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

/// A talk elsewhere that nobody documents.
async fn reminded(play: &mut Play) {
    let (staff, goal) = (play.id("care team"), play.id("goal"));
    let calling = json!({"channel": staff, "item": goal, "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    let missed = play.make("missed call", "lead", "note.open", calling).await;
    play.clock.advance(45);
    play.until("events/note.reminded.json").await;
    play.run("lead", "note.dismiss", json!({"note": missed, "reason": "No answer"})).await;
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
    let schedule = json!({"channel": staff, "rrule": "FREQ=DAILY", "zone": "Europe/Berlin",
                          "questions": ["What has changed?", "What worries you?"], "close_minutes": 60});
    play.make("schedule", "lead", "checkin.schedule", schedule).await;
    let held = json!({"channel": staff, "item": goal, "text": "For the huddle", "hold": "checkin"});
    for _ in 0..2 {
        play.run("nurse", "message.post", held.clone()).await;
    }
    let waiting = play.run("nurse", "message.held", json!({ "channel": staff })).await;
    let one = text(&waiting["held"][0], "id");
    play.run("nurse", "message.unhold", json!({ "message": one })).await;
    play.clock.advance(24 * 60 + 1);
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

/// A goal of another system changes there and here.
async fn sources(play: &mut Play) {
    let (path, lead) = (play.server.house.path("plan.json"), play.actors["lead"].person.clone());
    let place = path.display().to_string();
    let mut patient = String::new();
    for words in ["Climbs the stairs", "Climbs the stairs to the second floor"] {
        let subject = json!({"reference": "Patient/p1"});
        let entries = json!([
            {"resource": {"resourceType": "Patient", "id": "p1", "name": [{"text": "Marta Lind"}]}},
            {"resource": {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": subject,
                          "description": {"text": words}}}]);
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        std::fs::write(&path, bundle.to_string()).unwrap();
        let report = play.server.cli(&["patient", "import", &place]).await;
        if !patient.is_empty() {
            break;
        }
        patient = text(&report["patients"][0], "id");
        play.server.cli(&["team", "add", "--patient", &patient, "--user", "lead", "--role", "Lead", "--lead"]).await;
        let plan = play.server.run(&lead, "plan.items", json!({ "patient": patient })).await;
        let goal = plan["items"].as_array().unwrap().iter().find(|item| item["kind"] == "goal").unwrap();
        play.name("imported goal", &text(goal, "id"));
        let change = json!({"item": goal["id"], "rev": 1, "title": "Climbs the stairs with help"});
        play.server.run(&lead, "plan_item.change", change).await;
    }
    play.name("imported patient", &patient);
    play.events().await;
    let listed = play.run("lead", "plan.conflicts", json!({ "patient": patient })).await;
    let conflict = text(&listed["conflicts"][0], "id");
    play.name("conflict", &conflict);
    let settled = json!({"conflict": conflict, "keep": "theirs"});
    play.make("imported goal", "lead", "plan.conflict.settle", settled).await;
}

/// Drafted, attested, filed, superseded; taken back; tried again where the receiver is not there, and given up where it refuses.
async fn filing(play: &mut Play) {
    let (patient, goal, lead) = (play.id("patient"), play.id("goal"), play.id("lead"));
    let mut charter = play.server.person("charter").await;
    let issued = play.server.cli(&["token", "issue", "--user", "charter", "--allow", "export"]).await;
    charter.token = text(&issued, "token");
    play.name("charter", &charter.id);
    let socket = play.server.socket(&charter).await;
    play.run("lead", "team.add", json!({"patient": patient, "user": charter.id, "role": "Medical records"})).await;
    play.actors.insert("charter", super::Actor { person: charter, socket });
    let first = drafted(play, json!({"patient": patient, "target": "drop", "purpose": "Weekly filing"})).await;
    let summaries = json!([{"item": goal, "text": "Weight is back to normal"}]);
    let changed = play
        .run("charter", "export.change", json!({"export": first, "rev": 1, "items": [goal], "summaries": summaries}))
        .await;
    play.run("charter", "export.preview", json!({ "export": first })).await;
    let attest = json!({"export": first, "rev": changed["rev"], "statement": "Complete and correct"});
    play.make("attestation", "charter", "export.attest", attest).await;
    until_filed(play, &first).await;
    play.run("charter", "export.get", json!({ "export": first })).await;
    play.run("charter", "chart.status", json!({"patient": patient, "target": "drop"})).await;
    let second = drafted(play, json!({"patient": patient, "target": "drop", "supersedes": first})).await;
    play.run("charter", "export.attest", json!({"export": second, "rev": 1, "statement": "Complete and correct"}))
        .await;
    play.until("events/export.superseded.json").await;
    let third = drafted(play, json!({"patient": patient, "target": "drop", "attesters": [lead]})).await;
    play.run("charter", "export.attest", json!({"export": third, "rev": 1, "statement": "Complete and correct"})).await;
    play.run("charter", "export.withdraw", json!({"export": third, "reason": "Not needed"})).await;
    play.run("charter", "export.list", json!({ "patient": patient })).await;
    let fourth = drafted(play, json!({"patient": patient, "target": "gone"})).await;
    play.run("charter", "export.attest", json!({"export": fourth, "rev": 1, "statement": "Complete and correct"}))
        .await;
    until(play, &fourth, |export| export["attempts"] != 0).await;
    play.run("charter", "export.retry", json!({ "export": fourth })).await;
    // Then the folder comes, with a file of that name in it which is another.
    let coming = play.server.house.path("coming");
    std::fs::create_dir(&coming).unwrap();
    std::fs::write(coming.join(format!("{fourth}-record.ndjson")), "of somebody else").unwrap();
    std::fs::rename(coming, play.server.house.path("gone")).unwrap();
    play.until("events/export.failed.json").await;
}

async fn drafted(play: &mut Play, data: Value) -> String {
    text(&play.run("charter", "export.draft", data).await, "export")
}

async fn until_filed(play: &mut Play, export: &str) {
    until(play, export, |export| export["state"] == "filed").await;
}

async fn until(play: &mut Play, export: &str, come: impl Fn(&Value) -> bool) {
    let person = &play.actors["charter"].person;
    let looking = async {
        while !come(&play.server.run(person, "export.get", json!({ "export": export })).await) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), looking).await.expect("the export comes that far");
}
