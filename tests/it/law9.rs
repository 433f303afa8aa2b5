//! Law 9: nothing that people wrote is found where it does not belong. A broad session in which every word is a marker, logged at the
//! finest level; then everything the server left is searched: logs, metrics, errors, databases, write-ahead log, temporary files.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::Connection;

use super::chance::{Chance, fresh_id};
use super::clock::Clock;
use super::database::Base;
use super::law9_work::{mail, work};
use super::server::{House, Person, ROOMY, Server, text};

/// Words that stand nowhere else, and what they were planted as.
pub struct Canaries {
    chance: Chance,
    planted: Vec<(&'static str, String)>,
}

impl Canaries {
    /// A new marker. It looks like words: letters only, so that no escaping hides it.
    pub fn plant(&mut self, place: &'static str) -> String {
        let letters = (0..20).map(|_| char::from(b'a' + u8::try_from(self.chance.below(26)).unwrap()));
        let marker: String = letters.collect();
        self.planted.push((place, marker.clone()));
        marker
    }

    /// Where in these bytes a marker stands: plain, in UTF-16, or in base64 at any of its three alignments.
    fn found(&self, bytes: &[u8]) -> BTreeSet<&'static str> {
        let mut needles: HashMap<[u8; 8], Vec<(&'static str, Vec<u8>)>> = HashMap::new();
        // Most places of most files are passed over by two bytes: a cluster's files are many megabytes.
        let mut begins = vec![false; 1 << 16];
        let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        for (place, marker) in &self.planted {
            let wide = marker.encode_utf16().flat_map(u16::to_le_bytes).collect();
            // Whole groups of three bytes come out alike wherever the word begins.
            let coded = (0..3).map(|skip| carethread::kernel::crypto::base64(&marker.as_bytes()[skip..skip + 15]));
            let all = coded.map(String::into_bytes).chain([marker.clone().into_bytes(), wide]);
            for needle in all {
                begins[pair(&needle)] = true;
                needles.entry(needle[..8].try_into().unwrap()).or_default().push((place, needle));
            }
        }
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(8).enumerate().filter(|(_, window)| begins[pair(window)]) {
            let here = needles.get(window).into_iter().flatten();
            found.extend(here.filter(|(_, needle)| bytes[at..].starts_with(needle)).map(|(place, _)| *place));
        }
        found
    }
}

/// Every file under a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            found.push(path);
        }
    }
}

/// A session under way, with the errors it met.
pub struct Session {
    pub server: Server,
    pub canaries: Canaries,
    pub errors: Vec<String>,
}

impl Session {
    async fn cli(&mut self, arguments: &[&str], stdin: &str) -> Value {
        let done = self.server.house.cli_with(&[&["--json", "--log", "trace"], arguments].concat(), stdin).await;
        self.errors.push(done.stderr.clone());
        serde_json::from_str(&done.stdout).unwrap_or(Value::Null)
    }

    pub async fn person(&mut self, handle: &str, more: &[&str]) -> (Person, String) {
        let (name, password) = (self.canaries.plant("name of a user"), self.canaries.plant("password"));
        let add = ["user", "add", "--handle", handle, "--name", &name, "--password-stdin"];
        let made = self.cli(&[&add, more].concat(), &format!("{password}\n")).await;
        let issued = self.cli(&["token", "issue", "--user", handle], "").await;
        let token = text(&issued, "token");
        self.canaries.planted.push(("token", token.clone()));
        (Person { handle: handle.into(), id: text(&made, "id"), token }, password)
    }

    /// An op that may succeed or not; errors are kept.
    pub async fn ask(&mut self, by: &Person, op: &str, data: Value) -> Value {
        let answer = self.server.ask(by, op, data).await;
        if answer.status != 200 {
            let mut frame = answer.json();
            // A conflict carries the item as it is, to whoever may see it.
            frame["error"].as_object_mut().unwrap().remove("current");
            self.errors.push(frame.to_string());
        }
        answer.json()["data"].clone()
    }

    /// An op that is to succeed, so that its words are really stored.
    pub async fn run(&mut self, by: &Person, op: &str, data: Value) -> Value {
        self.server.run(by, op, data).await
    }
}

async fn people_and_sign_in(session: &mut Session) -> (Person, Person) {
    let (lead, password) = session.person("lead", &[]).await;
    let (relative, _) = session.person("relative", &["--kind", "related-person"]).await;
    let wrong = session.canaries.plant("wrong password");
    for word in [&password, &wrong] {
        let body = json!({"handle": "lead", "password": word}).to_string();
        let answer =
            session.server.request("POST /v1/sessions", "Content-Type: application/json\r\n", body.as_bytes()).await;
        if answer.status == 201 {
            session.canaries.planted.push(("token of a session", text(&answer.json(), "token")));
        } else {
            session.errors.push(answer.text);
        }
    }
    let next = session.canaries.plant("new password");
    session.ask(&lead, "password.change", json!({"old": wrong, "new": next})).await;
    session.run(&lead, "password.change", json!({"old": password, "new": next})).await;
    let mut stranger = super::socket::Socket::open(&session.server, "").await;
    let answer = stranger.ask("login", json!({"handle": "lead", "password": wrong})).await;
    session.errors.push(answer.to_string());
    let headers = format!("Authorization: Bearer ct_pat_{wrong}\r\n");
    session.errors.push(session.server.request("POST /v1/ops", &headers, b"{}").await.text);
    (lead, relative)
}

/// A patient with a plan and channels; gives their ids.
async fn a_record(session: &mut Session, lead: &Person, relative: &Person) -> [String; 4] {
    let mut word = |place| session.canaries.plant(place);
    let patient = json!({"name": word("name of a patient"), "birth_date": "1931-02-03", "language": "sv",
                         "identifiers": [{"system": format!("urn:{}", word("system of an identifier")), "value": word("identifier")}]});
    let [role, reason] = [word("role"), word("reason of a membership")];
    let goal = json!({"kind": "goal", "title": word("title"), "detail": word("detail"), "shared": true,
                      "codes": [{"system": word("code system"), "code": word("code"), "display": word("display")}]});
    let [title, closing] = [word("new title"), word("reason of closing")];
    let channel = json!({"name": word("name of a channel"), "purpose": word("purpose"), "audience": "shared"});
    let renamed = word("new name of a channel");

    let registered = session.run(lead, "patient.register", patient).await;
    let patient = text(&registered, "patient");
    let of_patient = |mut data: Value| {
        data["patient"] = json!(patient);
        data
    };
    session.run(lead, "team.add", of_patient(json!({"user": relative.id, "role": role, "reason": reason}))).await;
    session
        .run(
            lead,
            "team.change",
            of_patient(json!({"user": relative.id, "role": role.chars().rev().collect::<String>()})),
        )
        .await;
    let goal = text(&session.run(lead, "plan_item.add", of_patient(goal.clone())).await, "id");
    session.run(lead, "plan_item.change", json!({"item": goal, "rev": 1, "title": title})).await;
    let closed =
        text(&session.run(lead, "plan_item.add", of_patient(json!({"kind": "barrier", "title": title}))).await, "id");
    session.run(lead, "plan_item.close", json!({"item": closed, "rev": 1, "reason": closing})).await;
    let shared = text(&session.run(lead, "channel.open", of_patient(channel)).await, "id");
    session.run(lead, "channel.change", json!({"channel": shared, "name": renamed})).await;
    [patient, goal, closed, shared]
}

async fn words(session: &mut Session, lead: &Person, relative: &Person, [_, goal, closed, shared]: &[String; 4]) {
    let mut word = |place| session.canaries.plant(place);
    let post = |text: &str| json!({"channel": shared, "item": goal, "text": text, "key": fresh_id()});
    let sbar = json!({"situation": word("situation"), "background": word("background"),
                      "assessment": word("assessment"), "recommendation": word("recommendation")});
    let note = json!({"channel": shared, "item": goal, "medium": "phone", "held_at": "2026-01-02T03:04:05Z",
                      "with": [{"name": word("name of an outsider"), "role": word("role of an outsider")}],
                      "text": word("text of a note"), "decisions": [word("decision"), word("decision")]});
    let [first, second, better, reason, refused] = [
        word("text"),
        word("text"),
        word("amended text"),
        word("reason of a retraction"),
        word("text that was refused"),
    ];
    let keyed = post(&first);
    let message = text(&session.run(relative, "message.post", keyed.clone()).await, "id");
    session.run(lead, "message.post", json!({"channel": shared, "item": goal, "sbar": sbar})).await;
    session.run(relative, "message.amend", json!({"message": message, "text": better})).await;
    let other = text(&session.run(relative, "message.post", post(&second)).await, "id");
    session.run(lead, "message.retract", json!({"message": other, "reason": reason})).await;
    session.run(lead, "note.log", note).await;
    // Refused in every way there is, each with words in it.
    let mut again = keyed;
    again["text"] = json!(refused);
    for data in [
        again,
        post(&refused.repeat(500)),
        json!({"channel": shared, "text": refused}),
        json!({"channel": fresh_id(), "item": goal, "text": refused}),
        json!({"channel": shared, "item": closed, "text": refused}),
        json!({"channel": refused, "item": goal, "text": refused}),
        json!({"channel": shared, "item": refused, "text": refused}),
        json!({"channel": shared, "item": goal, "text": refused, "priority": refused}),
        json!({"channel": shared, "item": goal, "text": {"a": refused}}),
        json!({"channel": shared, "item": goal, "text": refused, "mentions": [refused]}),
        json!({"channel": shared, "item": goal, "text": refused, "sbar": {"situation": refused}}),
        json!({"channel": shared, "item": goal, "text": refused, "key": refused}),
    ] {
        session.ask(relative, "message.post", data).await;
    }
    session.ask(lead, "plan_item.change", json!({"item": goal, "rev": 1, "title": refused})).await;
    session.ask(lead, &format!("{refused}.post"), json!({})).await;
    session.ask(lead, "patient.get", json!({"patient": refused})).await;
    let mut socket = session.server.socket(relative).await;
    socket.run("resume", json!({"cursors": {shared.clone(): 0}})).await;
    for frame in [format!("{refused}{{"), format!(r#"{{"id":1,"op":"ping","{refused}":1,"{refused}":2}}"#)] {
        let answer = socket.ask_raw(&frame).await;
        session.errors.push(answer);
    }
    socket.run("history", json!({"channel": shared})).await;
}

async fn files_in_and_out(session: &mut Session, patient: &str) {
    let mut word = |place| session.canaries.plant(place);
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient", "id": "p1", "name": [{"family": word("imported name")}],
                      "identifier": [{"system": "urn:x", "value": word("imported identifier")}]}},
        {"resource": {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": {"reference": "Patient/p1"},
                      "description": {"text": word("imported goal")}, "note": [{"text": word("imported note")}]}},
        {"resource": {"resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": "Patient/p1"},
                      "code": {"text": word("imported observation")}, "valueString": word("imported value")}},
        {"resource": {"resourceType": "Goal", "id": "g2", "description": {"text": word("goal of nobody")}}},
    ]});
    let path = session.server.house.path("incoming.json");
    std::fs::write(&path, bundle.to_string()).unwrap();
    let path = path.display().to_string();
    for _ in 0..2 {
        let done = session.cli(&["patient", "import", &path], "").await;
        assert_eq!(done["patients"].as_array().map(Vec::len), Some(1), "{done}");
        session.errors.push(done["not_understood"].to_string());
    }
    let broken = format!("{{\"resourceType\":\"Patient\",\"id\":\"{}\"", word_of(session, "broken import"));
    std::fs::write(&path, broken).unwrap();
    let told = session.cli(&["patient", "import", &path], "").await;
    session.errors.push(told["not_understood"].to_string());
    for format in ["ndjson", "proof", "fhir-transaction"] {
        let out = session.server.house.path(&format!("outgoing-{format}")).display().to_string();
        let done = session.cli(&["export", "--patient", patient, "--format", format, "--out", &out], "").await;
        assert!(done["entries"].as_i64().is_some_and(|entries| entries > 0), "{format}: {done}");
    }
    session.cli(&["verify", "--record"], "").await;
    session.cli(&["doctor"], "").await;
}

fn word_of(session: &mut Session, place: &'static str) -> String {
    session.canaries.plant(place)
}

/// Searches what the house holds: the data folder, the log, the temporary folder, and what PostgreSQL keeps for it.
async fn search(house: &House, canaries: &Canaries, findings: &mut Vec<String>) -> usize {
    let mut files = vec![house.path("server.log")];
    walk(&house.data(), &mut files);
    walk(&house.path("tmp"), &mut files);
    if let Some(base) = house.base() {
        files.extend(files_of(base).await);
    }
    for file in &files {
        // Another test's database may go at any time.
        let Ok(bytes) = std::fs::read(file) else { continue };
        findings.extend(canaries.found(&bytes).into_iter().map(|place| format!("{place} in {}", file.display())));
    }
    files.len()
}

/// The files of the cluster that may hold something of a database: its own, those all share, the write-ahead log, the server's log.
async fn files_of(base: &Base) -> Vec<PathBuf> {
    let mut connection = sqlx::PgConnection::connect(&base.url).await.unwrap();
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await.unwrap();
    let place = "SELECT current_setting('data_directory'), \
                 (SELECT CAST(oid AS TEXT) FROM pg_database WHERE datname = current_database())";
    let (folder, own): (String, String) = sqlx::query_as(place).fetch_one(&mut connection).await.unwrap();
    let folder = Path::new(&folder);
    let mut files = vec![folder.with_file_name("log")];
    for part in ["base", "global", "pg_wal", "pg_stat_tmp", "pg_replslot"] {
        walk(&folder.join(part), &mut files);
    }
    let bases = folder.join("base");
    files.retain(|file| !file.starts_with(&bases) || file.starts_with(bases.join(&own)));
    let has = |part: &Path| files.iter().any(|file| file.starts_with(part));
    assert!(has(&bases) && has(&folder.join("pg_wal")), "tables and write-ahead log are searched: {files:?}");
    files
}

both!(no_word_of_anybody_is_found_where_it_does_not_belong);
async fn no_word_of_anybody_is_found_where_it_does_not_belong() {
    let mut house = House::new(&format!("{ROOMY}[mail]\ndomain = \"mail.clinic.example\"\n")).await;
    for name in ["CARETHREAD_LOG", "RUST_LOG"] {
        house.set(name, "trace");
    }
    let mut clock = Clock::of(&mut house);
    let lmtp = house.path("lmtp");
    house.set("CARETHREAD_MAIL_LMTP", &format!("unix:{}", lmtp.display()));
    let canaries = Canaries { chance: Chance::new("no_word_of_anybody"), planted: Vec::new() };
    let mut session = Session { server: house.serve().await, canaries, errors: Vec::new() };
    let (lead, relative) = people_and_sign_in(&mut session).await;
    let ids = a_record(&mut session, &lead, &relative).await;
    words(&mut session, &lead, &relative, &ids).await;
    let care_team = work(&mut session, &mut clock, &lead, &ids).await;
    mail(&mut session, &lmtp, &lead, &care_team, &ids[1]).await;
    files_in_and_out(&mut session, &ids[0]).await;
    let metrics = session.server.request("GET /metrics", "", b"").await;
    assert_eq!(metrics.status, 200, "{}", metrics.text);
    let Session { server, canaries, errors } = session;

    let mut findings = Vec::new();
    // Whoever reads the record finds every word: the markers were really there.
    let page = server.run(&lead, "history", json!({"channel": ids[3], "limit": 200})).await.to_string();
    assert!(canaries.found(page.as_bytes()).len() >= 12, "the markers are in the record");
    let page = server.run(&lead, "history", json!({"channel": care_team, "limit": 200})).await.to_string();
    let there = canaries.found(page.as_bytes());
    for word in ["title of a task", "step of a task", "addendum", "question", "answer", "subject of a mail"] {
        assert!(there.contains(word), "{word} is in the record");
    }
    let kinds = canaries.planted.len();
    findings.extend(canaries.found(metrics.text.as_bytes()).into_iter().map(|place| format!("{place} in the metrics")));
    for error in &errors {
        findings.extend(
            canaries.found(error.as_bytes()).into_iter().map(|place| format!("{place} in an error: {error:.300}")),
        );
    }
    search(&server.house, &canaries, &mut findings).await;
    let log = server.house.data().join("record.db-wal");
    assert!(server.house.base().is_some() || log.exists(), "the write-ahead log was searched as well");
    let house = server.kill().await;
    let server = house.serve().await;
    server.signal("TERM").await;
    let (house, _) = server.ended().await;
    let files = search(&house, &canaries, &mut findings).await;
    findings.sort();
    findings.dedup();
    println!("{kinds} markers, {} errors, {files} files, {} bytes of log", errors.len(), house.log().len());
    assert!(house.log().matches("Listening").count() == 2, "the log was written where it was searched");
    assert!(findings.is_empty(), "{} markers leaked:\n  {}", findings.len(), findings.join("\n  "));
}
