//! A day in the life of a care team, from outside: an imported patient is to go home. A barrier is found, a call is documented late, a
//! task comes of it and is accepted, the shift ends with a handoff, a check-in closes with one silent member, and the record is closed
//! once everything is settled. Staff see every step; the daughter sees the shared channel and shared items, and nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::Clock;
use super::law5::whole_record;
use super::server::{House, Person, ROOMY, Server, list, sample, text};
use super::socket::Socket;

/// Everybody of the day.
struct Team {
    server: Server,
    clock: Clock,
    coordinator: Person,
    nurse: Person,
    night: Person,
    pharmacist: Person,
    daughter: Person,
    patient: String,
}

impl Team {
    async fn open() -> Self {
        let mut house = House::new(ROOMY).await;
        let clock = Clock::of(&mut house);
        let server = house.serve().await;
        let mut staff = Vec::new();
        for handle in ["coordinator", "nurse", "night", "pharmacist"] {
            staff.push(server.person(handle).await);
        }
        let daughter = server.person_with("daughter", &["--kind", "related-person"]).await;
        let files: Vec<PathBuf> =
            std::fs::read_dir(sample("ckd-betsy")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let files: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
        let imported = server.cli(&[&["patient", "import"], &files[..]].concat()).await;
        let patient = text(&imported["patients"][0], "id");
        for (handle, role, more) in [
            ("coordinator", "Care coordinator", &["--lead"][..]),
            ("nurse", "Ward nurse", &["--responsibility", "plan", "--responsibility", "barriers"]),
            ("night", "Night nurse", &[]),
            ("pharmacist", "Pharmacist", &[]),
            ("daughter", "Daughter", &["--family"]),
        ] {
            let add = ["team", "add", "--patient", &patient, "--user", handle, "--role", role];
            server.cli(&[&add, more].concat()).await;
        }
        let mut staff = staff.into_iter();
        let mut next = || staff.next().unwrap();
        let (coordinator, nurse, night, pharmacist) = (next(), next(), next(), next());
        Self { server, clock, coordinator, nurse, night, pharmacist, daughter, patient }
    }

    async fn run(&self, by: &Person, op: &str, data: Value) -> Value {
        self.server.run(by, op, data).await
    }

    async fn plan(&self, by: &Person) -> Vec<Value> {
        list(&self.run(by, "plan.items", json!({"patient": self.patient})).await, "items").clone()
    }

    /// Follows everything there is from now on.
    async fn follows(&self, who: &Person) -> Socket {
        let mut socket = self.server.socket(who).await;
        socket.run("resume", json!({"cursors": {"me": 0}})).await;
        socket
    }
}

/// Waits for an event of that name; what came before it is given too.
async fn until(socket: &mut Socket, name: &str) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let event = socket.event().await;
            if event["event"] == name {
                return event;
            }
            before.push(event);
        }
    });
    let event = waited.await.unwrap_or_else(|_| panic!("no {name}"));
    (before, event)
}

both!(a_day_with_a_patient_who_goes_home);
async fn a_day_with_a_patient_who_goes_home() {
    let mut team = Team::open().await;
    let channels = team.run(&team.nurse, "channel.list", json!({"patient": team.patient})).await;
    let care_team = text(list(&channels, "channels").iter().find(|one| one["name"] == "Care team").unwrap(), "id");
    let family = json!({"patient": team.patient, "name": "Family", "audience": "shared"});
    let family = text(&team.run(&team.coordinator, "channel.open", family).await, "id");
    let mut nurse = team.follows(&team.nurse).await;
    let mut daughter = team.follows(&team.daughter).await;

    // Rounds: she is to go home, the goal is shared with the family, and the daughter is told.
    let goal = json!({"patient": team.patient, "kind": "goal", "title": "At home with a walking frame by Friday", "shared": true});
    let goal = text(&team.run(&team.nurse, "plan_item.add", goal).await, "id");
    let told = json!({"channel": family, "item": goal, "text": "Your mother can go home on Friday."});
    team.run(&team.nurse, "message.post", told).await;
    let answer = json!({"channel": family, "item": goal, "text": "I work on Fridays. Who brings her?"});
    let question = text(&team.run(&team.daughter, "message.post", answer).await, "id");

    // A barrier is found; what stands in the way is no shared item.
    let barrier =
        json!({"patient": team.patient, "kind": "barrier", "title": "Nobody to bring her home", "addresses": [goal]});
    let barrier = text(&team.run(&team.nurse, "plan_item.add", barrier).await, "id");
    let plan = team.plan(&team.nurse).await;
    let next = |plan: &[Value], id: &str| plan.iter().find(|item| item["id"] == id).unwrap()["next"].clone();
    assert_eq!(next(&plan, &barrier), Value::Null, "nobody has it yet: a flag");

    // "I am calling": a marker on the board, that reminds; the call is documented late, and the delay is shown.
    let calling =
        json!({"channel": care_team, "item": barrier, "medium": "phone", "with": [{"name": "Transport desk"}]});
    let marker = text(&team.run(&team.nurse, "note.open", calling).await, "id");
    let board = team.run(&team.coordinator, "board.get", json!({"patient": team.patient})).await;
    assert_eq!(list(&board, "notes").iter().map(|note| &note["id"]).collect::<Vec<_>>(), [&json!(marker)]);
    let (called, ended) = (team.clock.at(0), team.clock.at(10));
    team.clock.advance(100);
    let (_, reminder) = until(&mut nurse, "reminder").await;
    assert_eq!((&reminder["channel"], &reminder["data"]["note"]), (&json!("me"), &json!(marker)));
    let documented = json!({
        "channel": care_team, "item": barrier, "note": marker, "medium": "phone", "held_at": called, "ended_at": ended,
        "with": [{"name": "Mr. Lang", "role": "Transport desk"}, {"name": "Pharmacist", "user": team.pharmacist.id}],
        "text": "A car can come on Friday at 10 if the order is in today.", "decisions": ["Order the car"],
        "tasks": [{"title": "Order the car for Friday at 10", "owner": team.pharmacist.id, "due": team.clock.at(120)}],
    });
    let logged = team.run(&team.nurse, "note.log", documented).await;
    assert_eq!((&logged["id"], &logged["late"]), (&json!(marker), &json!(true)));
    let (_, event) = until(&mut nurse, "note.logged").await;
    let late = event["data"]["late_minutes"].as_i64().unwrap();
    assert!((89..=95).contains(&late), "documented {late} minutes after the call ended");
    team.run(&team.pharmacist, "note.confirm", json!({"note": marker})).await;

    // The decision became a task: asked for, next in line, accepted, begun; overdue is said by the clock.
    let (_, created) = until(&mut nurse, "task.created").await;
    let task = text(&created["data"], "id");
    assert_eq!((&created["data"]["state"], &created["data"]["item"]), (&json!("requested"), &json!(barrier)));
    assert_eq!(next(&team.plan(&team.nurse).await, &barrier)["user"], json!(team.pharmacist.id));
    let refused = team.server.code(&team.nurse, "task.accept", json!({"task": task, "rev": 1})).await;
    assert_eq!(refused, "forbidden");
    team.run(&team.pharmacist, "task.accept", json!({"task": task, "rev": 1})).await;
    team.run(&team.pharmacist, "task.start", json!({"task": task, "rev": 2})).await;
    team.run(&team.nurse, "message.post", json!({"channel": care_team, "task": task, "text": "They close at five."}))
        .await;
    team.clock.advance(180);
    let (_, overdue) = loop {
        let (before, event) = until(&mut nurse, "task.changed").await;
        if event["data"]["change"] == "overdue" {
            break (before, event);
        }
    };
    assert_eq!(overdue["data"]["task"], json!(task));

    // Shift end: the pharmacist's work goes to the night nurse, when she has said in her words what she takes over.
    let ipass = json!({"illness_severity": "stable", "patient_summary": "Goes home on Friday", "action_list": "The car",
                       "situation_awareness": "The desk closes at five"});
    let offer = json!({"patient": team.patient, "to": team.night.id, "ipass": ipass});
    let handoff = text(&team.run(&team.pharmacist, "handoff.offer", offer).await, "id");
    let board = team.run(&team.coordinator, "board.get", json!({"patient": team.patient})).await;
    assert_eq!(list(&board, "handoffs").iter().map(|one| &one["id"]).collect::<Vec<_>>(), [&json!(handoff)]);
    let silent = json!({"handoff": handoff, "synthesis": " "});
    assert_eq!(team.server.code(&team.night, "handoff.accept", silent).await, "invalid");
    let taken = json!({"handoff": handoff, "synthesis": "I order the car before five."});
    team.run(&team.night, "handoff.accept", taken).await;
    let mine = team.run(&team.night, "board.get", json!({"mine": true})).await;
    let column = |board: &Value, state: &str| {
        let column = list(board, "columns").iter().find(|column| column["state"] == state).unwrap().clone();
        list(&column, "tasks").iter().map(|task| text(task, "id")).collect::<Vec<_>>()
    };
    assert_eq!(column(&mine, "in-progress"), std::slice::from_ref(&task), "the owner changes, the state stays");
    let rev = team.run(&team.night, "task.get", json!({"task": task})).await["task"]["rev"].clone();
    team.run(&team.night, "task.complete", json!({"task": task, "rev": rev})).await;

    // The check-in of the evening: everybody but one answers, and the close says who did not.
    let schedule = json!({"channel": care_team, "rrule": team.clock.daily(30), "zone": "UTC",
                          "questions": ["What has changed?", "What worries you?"], "close_minutes": 60});
    team.run(&team.coordinator, "checkin.schedule", schedule).await;
    team.clock.advance(31);
    let (_, opened) = until(&mut nurse, "checkin.opened").await;
    let checkin = text(&opened["data"], "id");
    for who in [&team.coordinator, &team.nurse, &team.night] {
        let answer = json!({"checkin": checkin, "item": goal, "answers": ["The car is ordered", "Nothing"]});
        team.run(who, "checkin.answer", answer).await;
    }
    // Whoever is silent has it on their own board; nobody else, the family least of all.
    let due = async |who: &Person| {
        let board = team.run(who, "board.get", json!({"mine": true})).await;
        list(&board, "checkins").iter().map(|one| (text(one, "id"), one["silent"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(due(&team.pharmacist).await, [(checkin.clone(), json!([team.pharmacist.id]))]);
    for who in [&team.nurse, &team.daughter] {
        assert!(due(who).await.is_empty());
    }
    team.clock.advance(61);
    let (_, closed) = until(&mut nurse, "checkin.closed").await;
    assert_eq!(closed["data"]["silent"], json!([team.pharmacist.id]));

    // Everything is settled, so the record can be closed.
    let close = json!({"patient": team.patient, "reason": "Discharged home"});
    assert_eq!(team.server.code(&team.nurse, "patient.close", close.clone()).await, "forbidden");
    team.run(&team.coordinator, "plan_item.close", json!({"item": barrier, "rev": 1, "status": "resolved"})).await;
    team.run(&team.coordinator, "patient.close", close).await;
    let late = json!({"channel": care_team, "item": goal, "text": "One more thing"});
    assert_eq!(team.server.code(&team.nurse, "message.post", late).await, "archived");

    // Staff read every step, in order.
    let record = whole_record(&team.server, &team.nurse).await;
    let names: BTreeSet<&str> = record.values().flatten().map(|event| event["event"].as_str().unwrap()).collect();
    for name in [
        "note.opened",
        "note.logged",
        "note.confirmed",
        "task.created",
        "task.changed",
        "handoff.offered",
        "handoff.accepted",
        "checkin.scheduled",
        "checkin.opened",
        "checkin.answered",
        "checkin.closed",
        "patient.changed",
    ] {
        assert!(names.contains(name), "{name} is not in the record");
    }

    // The daughter saw the shared channel and shared items: nothing of the barrier, the call, the task, the handoff, the check-in.
    let seen = whole_record(&team.server, &team.daughter).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&family]);
    assert!(list(&team.run(&team.daughter, "search", json!({"text": "car"})).await, "hits").is_empty());
    let told = daughter.events_so_far().await;
    for word in [&barrier, &task, &marker, &handoff, &checkin, &care_team] {
        let leaks = seen.values().flatten().chain(&told).filter(|event| event.to_string().contains(word.as_str()));
        assert_eq!(leaks.count(), 0, "the daughter was told of {word}");
    }
    assert!(told.iter().any(|event| event["data"]["id"] == json!(question)), "her own words come back to her");
    let plan = team.plan(&team.daughter).await;
    assert!(plan.iter().all(|item| item["shared"] == true) && plan.iter().any(|item| item["id"] == json!(goal)));
    let board = team.run(&team.daughter, "board.get", json!({"patient": team.patient})).await;
    assert!(list(&board, "columns").iter().all(|column| list(column, "tasks").is_empty()));
    assert!(list(&board, "notes").is_empty() && list(&board, "handoffs").is_empty());
}
