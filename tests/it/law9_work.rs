//! Law 9, the words of work: tasks, talks elsewhere, handoffs, check-ins, files and mail, each of them a marker.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::clock::Clock;
use super::law9::Session;
use super::server::{Person, list, text};

const DAY: i64 = 24 * 60;

/// Says all there is to say about work at a patient; gives the channel it was said in.
pub async fn work(
    session: &mut Session,
    clock: &mut Clock,
    lead: &Person,
    [patient, goal, ..]: &[String; 4],
) -> String {
    let (nurse, _) = session.person("nurse", &[]).await;
    let member = json!({"patient": patient, "user": nurse.id, "role": "Nurse", "responsibilities": ["plan"]});
    session.run(lead, "team.add", member).await;
    let channels = session.run(lead, "channel.list", json!({"patient": patient})).await;
    let care_team = list(&channels, "channels").iter().find(|one| one["name"] == "Care team");
    let care_team = text(care_team.expect("every patient has one"), "id");
    check_in(session, clock, [lead, &nurse], &care_team, goal).await;
    tasks(session, lead, &nurse, &care_team, goal).await;
    notes(session, lead, &nurse, &care_team, goal).await;
    handoffs(session, clock, lead, &nurse, patient).await;
    file(session, lead, &care_team, goal).await;
    care_team
}

async fn tasks(session: &mut Session, lead: &Person, nurse: &Person, channel: &str, item: &str) {
    let mut word = |place| session.canaries.plant(place);
    let new = json!({"channel": channel, "item": item, "title": word("title of a task"), "owner": nurse.id,
                     "description": word("description of a task"), "checklist": [word("step of a task"),
                     {"text": word("step that is done"), "done": true}], "priority": "urgent"});
    let [title, description, step] =
        [word("new title of a task"), word("new description of a task"), word("new step of a task")];
    let reasons = ["hold", "decline", "fail", "cancel"].map(|_| word("reason of a step"));
    let [assigned, settled, thread, refused] = [
        word("reason of an assignment"),
        word("reason about drift"),
        word("text of a thread"),
        word("refused of a task"),
    ];
    let drifted = word("title that means something else");
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(text(&session.run(lead, "task.create", new.clone()).await, "id"));
    }
    let [held, declined, failed, cancelled] = [&made[0], &made[1], &made[2], &made[3]];
    let changed = json!({"task": held, "rev": 1, "title": title, "description": description, "checklist": [step]});
    session.run(lead, "task.update", changed).await;
    session.run(nurse, "task.accept", json!({"task": held, "rev": 2})).await;
    session.run(nurse, "task.hold", json!({"task": held, "rev": 3, "reason": reasons[0]})).await;
    session.run(nurse, "task.decline", json!({"task": declined, "rev": 1, "reason": reasons[1]})).await;
    let again = json!({"task": declined, "rev": 2, "owner": lead.id, "reason": assigned});
    session.run(lead, "task.assign", again).await;
    session.run(nurse, "task.accept", json!({"task": failed, "rev": 1})).await;
    session.run(nurse, "task.fail", json!({"task": failed, "rev": 2, "reason": reasons[2]})).await;
    session.run(lead, "task.cancel", json!({"task": cancelled, "rev": 1, "reason": reasons[3]})).await;
    session.run(nurse, "message.post", json!({"channel": channel, "task": held, "text": thread})).await;
    let meant = json!({"item": item, "rev": 2, "title": drifted});
    session.run(lead, "plan_item.change", meant).await;
    session.run(lead, "drift.settle", json!({"thing": held, "action": "keep", "reason": settled})).await;
    for data in [
        json!({"channel": channel, "item": item, "title": refused, "owner": refused}),
        json!({"channel": channel, "item": item, "title": refused.repeat(200)}),
        json!({"channel": channel, "item": item, "title": refused, "due": refused}),
        json!({"channel": channel, "item": item, "title": refused, "priority": refused, "checklist": [{"a": refused}]}),
        json!({"channel": channel, "item": item, "title": refused, "due": "2099-01-02", "repeat": {"rrule": refused, "zone": refused}}),
        json!({"channel": channel, "title": refused}),
    ] {
        session.ask(lead, "task.create", data).await;
    }
    session.ask(lead, "task.update", json!({"task": held, "rev": 1, "title": refused})).await;
    session.ask(lead, "task.move", json!({"task": held, "rev": 4, "column": refused, "reason": refused})).await;
    session.ask(lead, "task.complete", json!({"task": cancelled, "rev": 2, "reason": refused})).await;
}

async fn notes(session: &mut Session, lead: &Person, nurse: &Person, channel: &str, item: &str) {
    let mut word = |place| session.canaries.plant(place);
    let mut marker = || {
        json!({"channel": channel, "item": item, "medium": "phone",
               "with": [{"name": word("name in a marker"), "role": word("role in a marker")}]})
    };
    let markers = [marker(), marker(), marker()];
    let [dismissed, disputed, addendum, refused] =
        [word("reason of a dismissal"), word("reason of a dispute"), word("addendum"), word("refused of a note")];
    let logged = json!({"channel": channel, "item": item, "medium": "phone", "held_at": "2026-01-02T03:04:05Z",
        "with": [{"name": "Nurse", "user": nurse.id}], "text": word("text of a documented marker"),
        "decisions": [word("decision of a talk")],
        "tasks": [{"title": word("title of a decided task"), "description": word("description of a decided task")}]});
    let mut made = Vec::new();
    for data in markers {
        made.push(text(&session.run(lead, "note.open", data).await, "id"));
    }
    session.run(lead, "note.dismiss", json!({"note": made[0], "reason": dismissed})).await;
    let mut note = logged;
    note["note"] = json!(made[1]);
    session.run(lead, "note.log", note.clone()).await;
    session.run(nurse, "note.dispute", json!({"note": made[1], "reason": disputed})).await;
    session.run(lead, "note.addend", json!({"note": made[1], "text": addendum})).await;
    note["text"] = json!(refused);
    for (member, value) in
        [("medium", json!(refused)), ("with", json!([{"nobody": refused}])), ("held_at", json!(refused))]
    {
        let mut wrong = note.clone();
        wrong[member] = value;
        session.ask(lead, "note.log", wrong).await;
    }
    session.ask(lead, "note.log", note).await;
    session.ask(lead, "note.confirm", json!({"note": made[1], "reason": refused})).await;
    session.ask(lead, "note.dismiss", json!({"note": made[1], "reason": refused})).await;
}

async fn handoffs(session: &mut Session, clock: &Clock, lead: &Person, nurse: &Person, patient: &str) {
    let mut word = |place| session.canaries.plant(place);
    let mut offer = |to: &Person| {
        json!({"patient": patient, "to": to.id, "responsibilities": [], "ipass": {
            "illness_severity": "watcher", "patient_summary": word("summary of a handoff"),
            "action_list": [word("action of a handoff")], "situation_awareness": word("situation of a handoff")}})
    };
    let offers = [offer(nurse), offer(nurse), offer(nurse), offer(nurse)];
    let [synthesis, declined, withdrawn, covered, refused] = [
        word("synthesis"),
        word("reason of declining a handoff"),
        word("reason of withdrawing a handoff"),
        word("reason of a cover"),
        word("refused of a handoff"),
    ];
    let mut made = Vec::new();
    for data in offers {
        made.push(text(&session.run(lead, "handoff.offer", data).await, "id"));
    }
    session.ask(lead, "handoff.accept", json!({"handoff": made[0], "synthesis": refused})).await;
    session.run(nurse, "handoff.accept", json!({"handoff": made[0], "synthesis": synthesis})).await;
    session.ask(nurse, "handoff.accept", json!({"handoff": made[0], "synthesis": refused})).await;
    session.run(nurse, "handoff.decline", json!({"handoff": made[1], "reason": declined})).await;
    session.run(lead, "handoff.withdraw", json!({"handoff": made[2], "reason": withdrawn})).await;
    let wrong =
        json!({"patient": patient, "to": refused, "ipass": {"illness_severity": refused, "patient_summary": refused}});
    session.ask(lead, "handoff.offer", wrong).await;
    let cover = json!({"patient": patient, "responsibility": "plan", "absent": nurse.id, "user": lead.id,
                       "until": clock.at(DAY), "reason": covered});
    session.run(nurse, "team.cover", cover).await;
}

async fn check_in(session: &mut Session, clock: &mut Clock, [lead, nurse]: [&Person; 2], channel: &str, item: &str) {
    let mut word = |place| session.canaries.plant(place);
    let schedule = json!({"channel": channel, "rrule": "FREQ=DAILY", "zone": "UTC", "close_minutes": 600,
                          "questions": [word("question"), word("question")]});
    let [held, later, refused] =
        [word("text that is held"), word("text that goes on waiting"), word("refused of a check-in")];
    let answers = [word("answer"), word("answer")];
    session.run(lead, "checkin.schedule", schedule).await;
    let wait = |text: &str| json!({"channel": channel, "item": item, "text": text, "hold": "checkin"});
    session.run(nurse, "message.post", wait(&held)).await;
    clock.advance(DAY + 1);
    let checkin = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let checkin = session.server.run(nurse, "checkin.get", json!({"channel": channel})).await;
            if let Some(id) = checkin["open"]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let checkin = checkin.await.expect("a check-in opens");
    session.ask(nurse, "checkin.answer", json!({"checkin": checkin, "item": item, "answers": [refused]})).await;
    session.run(nurse, "checkin.answer", json!({"checkin": checkin, "item": item, "answers": answers})).await;
    session
        .ask(nurse, "checkin.answer", json!({"checkin": checkin, "item": item, "answers": [refused, refused]}))
        .await;
    session.run(nurse, "message.post", wait(&later)).await;
    let wrong = json!({"channel": channel, "rrule": refused, "zone": refused, "questions": [refused]});
    session.ask(lead, "checkin.schedule", wrong).await;
}

async fn file(session: &mut Session, lead: &Person, channel: &str, item: &str) {
    let mut word = |place| session.canaries.plant(place);
    let [name, other, said] =
        [word("name of a file"), word("name of a file that nobody names"), word("text with a file")];
    // Longer than any buffer between the network and the disk.
    let content = format!("{} ", word("content of a file")).repeat(20_000);
    let refused = word("refused of a file");
    let mut stored = Vec::new();
    for name in [&name, &other] {
        let headers =
            format!("Authorization: Bearer {}\r\nContent-Type: text/plain\r\nX-File-Name: {name}.txt\r\n", lead.token);
        let line = format!("POST /v1/channels/{channel}/files");
        let answer = session.server.request(&line, &headers, content.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        stored.push(text(&answer.json(), "id"));
    }
    let post = json!({"channel": channel, "item": item, "text": said, "files": [stored[0]]});
    session.run(lead, "message.post", post).await;
    let headers =
        format!("Authorization: Bearer {}\r\nContent-Type: {refused}\r\nX-File-Name: %{refused}\r\n", lead.token);
    for line in [format!("POST /v1/channels/{channel}/files"), format!("POST /v1/channels/{refused}/files")] {
        session.errors.push(session.server.request(&line, &headers, refused.as_bytes()).await.text);
    }
    let headers = format!("Authorization: Bearer {}\r\n", lead.token);
    let line = format!("GET /v1/channels/{channel}/files/{}", stored[0]);
    assert_eq!(session.server.request(&line, &headers, b"").await.text, content);
}

/// Mail by both ways in: it becomes a note, or waits for a person as nobody knows its sender.
pub async fn mail(session: &mut Session, lmtp: &Path, lead: &Person, channel: &str, item: &str) {
    let mut word = |place| session.canaries.plant(place);
    let mut letter = || {
        format!(
            "From: {} <{}@{}.example>\r\nTo: {} <team@clinic.example>\r\nSubject: {}\r\nMessage-ID: <{}@clinic.example>\r\n\
             Date: Fri, 02 Jan 2026 03:04:05 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain; name={name}.txt\r\n\
             Content-Disposition: attachment; filename={name}.txt\r\n\r\n{}\r\n--b--\r\n",
            word("sender of a mail"),
            word("address of a sender"),
            word("domain of a sender"),
            word("receiver of a mail"),
            word("subject of a mail"),
            word("message id of a mail"),
            word("text of a mail"),
            word("content of an attachment"),
            name = word("name of an attachment"),
        )
    };
    let letters = [letter(), letter()];
    let refused = word("refused of a mail");
    let headers = format!("Authorization: Bearer {}\r\nContent-Type: message/rfc822\r\n", lead.token);
    let line = format!("POST /v1/intake/email?channel={channel}&item={item}");
    for status in [201, 201] {
        let answer = session.server.request(&line, &headers, letters[0].as_bytes()).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    session.errors.push(session.server.request(&line, &headers, refused.as_bytes()).await.text);
    let address = session.run(lead, "channel.mail_address", json!({"channel": channel, "item": item})).await;
    let address = text(&address, "address");
    hand_over(session, lmtp, &refused, &address, &letters[1]).await;
    let waiting = session.run(lead, "intake.list", json!({"channel": channel})).await;
    let mails = list(&waiting, "mails");
    assert_eq!(mails.len(), 1, "nobody knows the sender");
    session.ask(lead, "intake.discard", json!({"mail": refused, "reason": refused})).await;
}

/// Speaks LMTP as a mail server does: once as it should be, once to somebody who is not there.
async fn hand_over(session: &mut Session, lmtp: &Path, stranger: &str, to: &str, letter: &str) {
    let mut peer = BufReader::new(UnixStream::connect(lmtp).await.unwrap());
    let dialogue = [
        String::new(),
        "LHLO mx.clinic.example".into(),
        format!("MAIL FROM:<{stranger}@clinic.example>"),
        format!("RCPT TO:<{stranger}@clinic.example>"),
        format!("RCPT TO:<{to}>"),
        "DATA".into(),
        format!("{letter}."),
        format!("{stranger} {stranger}"),
        "QUIT".into(),
    ];
    for said in dialogue {
        if !said.is_empty() {
            peer.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
        }
        let answer = loop {
            let mut line = String::new();
            peer.read_line(&mut line).await.unwrap();
            // The last line of an answer has a space after its code.
            if line.as_bytes().get(3) != Some(&b'-') {
                break line;
            }
        };
        let expected: Value = json!(said.starts_with(&format!("RCPT TO:<{stranger}")) || said.starts_with(stranger));
        assert_eq!(json!(answer.starts_with('5')), expected, "{answer}");
        session.errors.push(answer);
    }
}
