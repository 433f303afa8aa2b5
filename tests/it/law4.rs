//! Law 4: nothing about a patient reaches someone without standing. Here as a matrix: every kind of person, in every state of
//! membership, sends every op about everything there is, and must get byte for byte the answer for an id that never existed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::chance::{Chance, fresh_id};
use super::server::{Person, ROOMY, Server};
use super::ward::Ward;

/// A receiver that exports are drafted for; none of them is filed.
const TARGET: &str = "\n[targets.drop]\nkind = \"folder\"\npath = \"/nonexistent\"\n";

/// What sort of account somebody has, and what they hold on the team.
#[derive(Clone, Copy)]
struct Role {
    name: &'static str,
    account: &'static [&'static str],
    responsibility: Option<&'static str>,
    family: bool,
}

const fn role(
    name: &'static str,
    account: &'static [&'static str],
    responsibility: Option<&'static str>,
    family: bool,
) -> Role {
    Role { name, account, responsibility, family }
}

const ROLES: [Role; 10] = [
    role("nurse", &[], None, false),
    role("planner", &[], Some("plan"), false),
    role("barrier-worker", &[], Some("barriers"), false),
    role("family-by-flag", &[], None, true),
    role("relative", &["--kind", "related-person"], None, true),
    role("the-patient", &["--kind", "patient"], None, true),
    role("integration", &["--kind", "service"], None, false),
    role("administrator", &["--role", "administrator"], None, false),
    role("privacy-officer", &["--role", "privacy_officer"], None, false),
    role("record-officer", &["--role", "record_officer"], None, false),
];

/// When somebody was on the team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interval {
    Never,
    Member,
    Removed,
    Returned,
}

const INTERVALS: [Interval; 4] = [Interval::Never, Interval::Member, Interval::Removed, Interval::Returned];

/// Everything that can be asked, with a slot `@name` wherever an id of the patient's record goes.
fn questions() -> Vec<(&'static str, Value)> {
    let words = |channel: &str, item: &str| json!({"channel": channel, "item": item, "text": "probe"});
    let note = json!({"channel": "@CHANNEL", "item": "@ITEM", "medium": "phone", "held_at": "2026-01-02T03:04:05Z",
                      "with": [{"name": "A. Other"}], "text": "probe"});
    let mut all = vec![
        ("patient.get", json!({"patient": "@patient"})),
        ("team.list", json!({"patient": "@patient"})),
        ("team.add", json!({"patient": "@patient", "user": "@lead", "role": "Probe"})),
        ("team.change", json!({"patient": "@patient", "user": "@lead", "role": "Probe"})),
        ("team.remove", json!({"patient": "@patient", "user": "@lead"})),
        ("team.remove", json!({"patient": "@patient", "user": "@me"})),
        ("plan.items", json!({"patient": "@patient"})),
        ("plan.items", json!({"patient": "@patient", "closed": true})),
        ("plan.conflicts", json!({"patient": "@patient"})),
        ("plan.conflict.settle", json!({"conflict": "@ITEM", "keep": "ours"})),
        ("plan_item.add", json!({"patient": "@patient", "kind": "barrier", "title": "Probe"})),
        ("plan_item.add", json!({"patient": "@patient", "kind": "goal", "title": "Probe", "addresses": ["@ITEM"]})),
        ("plan_item.change", json!({"item": "@ITEM", "rev": 1, "title": "Probe"})),
        ("plan_item.change", json!({"item": "@ITEM", "rev": 99, "title": "Probe"})),
        ("plan_item.close", json!({"item": "@ITEM", "rev": 99})),
        ("channel.open", json!({"patient": "@patient", "name": "Probe"})),
        ("channel.change", json!({"channel": "@CHANNEL", "name": "Probe"})),
        ("channel.change", json!({"channel": "@CHANNEL", "audience": "shared"})),
        ("channel.archive", json!({"channel": "@CHANNEL"})),
        ("history", json!({"channel": "@CHANNEL"})),
        ("history", json!({"channel": "@CHANNEL", "after": 0, "limit": 200})),
        ("history", json!({"channel": "@CHANNEL", "before": 3})),
        ("history", json!({"channel": "@CHANNEL", "limit": 201})),
        ("read", json!({"channel": "@CHANNEL", "seq": 1})),
        ("typing", json!({"channel": "@CHANNEL"})),
        ("receipts", json!({"message": "@MESSAGE"})),
        ("receipts", json!({"channel": "@CHANNEL", "seq": 1})),
        ("presence", json!({"channel": "@CHANNEL"})),
        ("presence.set", json!({"state": "available"})),
        ("channel.mute", json!({"channel": "@CHANNEL", "muted": true})),
        ("channel.mute", json!({"channel": "@CHANNEL", "muted": false, "until": "2000-01-01T00:00:00Z"})),
        ("message.post", words("@CHANNEL", "@ITEM")),
        ("message.post", words("@CHANNEL", "@ITEM")),
        ("message.post", json!({"channel": "@CHANNEL", "text": "probe"})),
        ("message.post", json!({"channel": "@CHANNEL", "item": "@ITEM", "text": " "})),
        ("message.post", json!({"channel": "@CHANNEL", "reply_to": "@MESSAGE", "text": "probe"})),
        ("message.post", json!({"channel": "@CHANNEL", "item": "@ITEM", "text": "probe", "mentions": ["@lead"]})),
        ("message.amend", json!({"message": "@MESSAGE", "text": "probe"})),
        ("message.amend", json!({"message": "@MESSAGE", "sbar": {"situation": "probe"}})),
        ("message.retract", json!({"message": "@MESSAGE", "reason": "probe"})),
        ("message.retract", json!({"message": "@MESSAGE"})),
        ("message.relink", json!({"message": "@MESSAGE", "item": "@ITEM"})),
        ("message.post", json!({"channel": "@CHANNEL", "item": "@ITEM", "text": "probe", "ask": "check_back"})),
        ("message.acknowledge", json!({"message": "@MESSAGE"})),
        ("message.check_back", json!({"message": "@MESSAGE", "text": "probe"})),
        ("message.check_back", json!({"message": "@MESSAGE"})),
        ("message.confirm", json!({"message": "@MESSAGE"})),
        ("message.move", json!({"message": "@MESSAGE", "channel": "@CHANNEL", "item": "@ITEM", "reason": "probe"})),
        ("message.move", json!({"message": "@own", "channel": "@CHANNEL", "item": "@ITEM", "reason": "probe"})),
        ("message.confirm", json!({"message": "@MESSAGE", "check_back": "@MESSAGE"})),
        ("note.log", note),
        ("note.confirm", json!({"note": "@MESSAGE"})),
        ("note.dispute", json!({"note": "@MESSAGE", "reason": "probe"})),
        ("note.open", json!({"channel": "@CHANNEL", "item": "@ITEM", "medium": "phone"})),
        ("note.dismiss", json!({"note": "@MESSAGE", "reason": "probe"})),
        ("note.addend", json!({"note": "@MESSAGE", "text": "probe"})),
        ("note.get", json!({"note": "@MESSAGE"})),
        ("search", json!({"text": "said", "patient": "@patient"})),
        ("search", json!({"text": "said", "channel": "@CHANNEL"})),
        ("search", json!({"text": "said", "item": "@ITEM"})),
        ("search", json!({"text": "goal", "patient": "@patient", "channel": "@CHANNEL", "item": "@ITEM"})),
        ("search", json!({"text": "said", "patient": "@patient", "author": "@lead", "limit": 1})),
        ("board.get", json!({"patient": "@patient"})),
        ("board.get", json!({"patient": "@patient", "item": "@ITEM", "owner": "@lead"})),
        ("session.end", json!({"session": "@patient"})),
        ("user.find", json!({"query": "lead"})),
    ];
    all.extend(of_work());
    for op in ["channel.list", "patient.list", "session.list", "ping", "wrong_patient.list", "site.get"] {
        all.push((op, json!({})));
    }
    all
}

/// What can be asked about work, talks elsewhere and the end of care.
fn of_work() -> Vec<(&'static str, Value)> {
    let new = json!({"channel": "@CHANNEL", "item": "@ITEM", "title": "Probe"});
    let with = |mut data: Value, more: Value| {
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let thing = |more: Value| with(json!({"task": "@THING", "rev": 99}), more);
    let ipass = json!({"illness_severity": "stable", "patient_summary": "probe", "action_list": "probe", "situation_awareness": "probe"});
    vec![
        ("team.cover", json!({"patient": "@patient", "responsibility": "plan", "absent": "@lead"})),
        ("team.cover", json!({"patient": "@patient", "responsibility": "plan"})),
        ("disclosure.list", json!({"patient": "@patient"})),
        ("patient.close", json!({"patient": "@patient"})),
        ("patient.reopen", json!({"patient": "@patient", "reason": "probe"})),
        ("task.create", new.clone()),
        ("task.create", with(new.clone(), json!({"owner": "@lead"}))),
        ("task.create", with(new, json!({"from_message": "@MESSAGE"}))),
        ("task.get", json!({"task": "@THING"})),
        ("task.made_from", json!({"message": "@MESSAGE"})),
        ("task.update", thing(json!({"title": "probe"}))),
        ("task.assign", thing(json!({"owner": "@lead"}))),
        ("task.accept", thing(json!({}))),
        ("task.decline", thing(json!({"reason": "probe"}))),
        ("task.start", thing(json!({}))),
        ("task.hold", thing(json!({"reason": "probe"}))),
        ("task.complete", thing(json!({}))),
        ("task.fail", thing(json!({"reason": "probe"}))),
        ("task.cancel", thing(json!({"reason": "probe"}))),
        ("task.move", thing(json!({"column": "on-hold", "after": "@THING", "reason": "probe"}))),
        ("drift.list", json!({"patient": "@patient"})),
        ("drift.settle", json!({"thing": "@THING", "action": "keep", "reason": "probe"})),
        ("message.post", json!({"channel": "@CHANNEL", "task": "@THING", "text": "probe"})),
        ("message.post", json!({"channel": "@CHANNEL", "item": "@ITEM", "text": "probe", "hold": "checkin"})),
        ("message.post", json!({"channel": "@CHANNEL", "item": "@ITEM", "text": "probe", "files": ["@THING"]})),
        ("message.held", json!({"channel": "@CHANNEL"})),
        ("message.unhold", json!({"message": "@THING"})),
        ("message.settle", json!({"message": "@MESSAGE", "reason": "probe"})),
        (
            "note.open",
            json!({"channel": "@CHANNEL", "item": "@ITEM", "medium": "phone", "with": [{"name": "A. Other"}]}),
        ),
        ("note.get", json!({"note": "@THING"})),
        ("note.dismiss", json!({"note": "@THING", "reason": "probe"})),
        ("note.confirm", json!({"note": "@THING"})),
        ("note.dispute", json!({"note": "@THING", "reason": "probe"})),
        ("note.addend", json!({"note": "@THING", "text": "probe"})),
        ("handoff.offer", json!({"patient": "@patient", "to": "@lead", "ipass": ipass, "tasks": ["@THING"]})),
        ("handoff.accept", json!({"handoff": "@THING", "synthesis": "probe"})),
        ("handoff.decline", json!({"handoff": "@THING", "reason": "probe"})),
        ("handoff.withdraw", json!({"handoff": "@THING", "reason": "probe"})),
        ("handoff.get", json!({"handoff": "@THING"})),
        ("handoff.list", json!({"patient": "@patient"})),
        ("checkin.schedule", json!({"channel": "@CHANNEL", "rrule": null})),
        ("checkin.get", json!({"channel": "@CHANNEL"})),
        ("checkin.answer", json!({"checkin": "@THING", "item": "@ITEM", "answers": ["probe", "probe"]})),
        ("file.info", json!({"channel": "@CHANNEL", "files": ["@THING"]})),
        ("channel.mail_address", json!({"channel": "@CHANNEL"})),
        ("intake.list", json!({"patient": "@patient"})),
        ("intake.list", json!({"channel": "@CHANNEL"})),
        ("intake.file", json!({"mail": "@THING", "channel": "@CHANNEL", "item": "@ITEM"})),
        ("intake.discard", json!({"mail": "@THING", "reason": "probe"})),
        ("export.draft", json!({"patient": "@patient", "target": "drop", "channels": ["@CHANNEL"]})),
        ("export.draft", json!({"patient": "@patient", "target": "drop", "entries": ["@MESSAGE"]})),
        ("export.change", json!({"export": "@export", "rev": 99})),
        ("export.preview", json!({"export": "@export"})),
        ("export.attest", json!({"export": "@export", "rev": 99, "statement": "probe"})),
        ("export.withdraw", json!({"export": "@THING", "reason": "probe"})),
        ("export.retry", json!({"export": "@export"})),
        ("export.get", json!({"export": "@export"})),
        ("export.list", json!({"patient": "@patient"})),
        ("chart.status", json!({"patient": "@patient"})),
    ]
}

/// Ops that a matrix cannot ask: they open the record rather than read in it, or change the account that asks.
const ELSEWHERE: [&str; 4] = ["login", "resume", "patient.register", "password.change"];
const CHANNELS: [&str; 5] = ["plan", "staff", "shared", "named", "archived"];
const ITEMS: [&str; 5] = ["whole", "unsorted", "goal", "shared_goal", "closed_goal"];
const THINGS: [&str; 4] = ["task_staff", "task_shared", "marker_staff", "handoff"];
const MESSAGES: [&str; 9] = [
    "message_staff",
    "message_unsorted",
    "message_shared",
    "message_named",
    "message_archived",
    "note_staff",
    "gap_staff",
    "gap_shared",
    "own",
];

/// The questions with every choice of channel, item and message: one choice a slot, the others moving along with it.
fn spelled_out() -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&str, Value)> = Vec::new();
    for (op, data) in questions() {
        let text = data.to_string();
        let choices = |slot: &str, names: &'static [&'static str]| if text.contains(slot) { names.len() } else { 1 };
        let count = choices("@CHANNEL", &CHANNELS)
            .max(choices("@ITEM", &ITEMS))
            .max(choices("@MESSAGE", &MESSAGES))
            .max(choices("@THING", &THINGS));
        for at in 0..count {
            let pick = |names: &[&str]| format!("@{}", names[at % names.len()]);
            let text = text
                .replace("@CHANNEL", &pick(&CHANNELS))
                .replace("@ITEM", &pick(&ITEMS))
                .replace("@MESSAGE", &pick(&MESSAGES))
                .replace("@THING", &pick(&THINGS));
            all.push((op, serde_json::from_str(&text).unwrap()));
        }
    }
    all.sort_by_key(|(op, data)| (*op, data.to_string()));
    all.dedup();
    all
}

/// One who asks.
struct Asker {
    person: Person,
    role: Role,
    interval: Interval,
    /// A message of their own, from the time they were on the team.
    own: Option<String>,
}

impl Asker {
    /// What the rules say, told a second time and as plainly as can be.
    fn sees(&self, name: &str) -> bool {
        let on_team = matches!(self.interval, Interval::Member | Interval::Returned);
        match name {
            "lead" | "me" => true,
            _ if !on_team => false,
            "patient" => true,
            "whole" | "unsorted" | "shared_goal" | "shared" => true,
            "message_shared" => true,
            "gap_shared" | "task_shared" => self.interval == Interval::Member,
            "own" => self.own.is_some(),
            _ if self.role.family => false,
            "named" | "message_named" => false,
            "gap_staff" | "task_staff" | "marker_staff" | "handoff" => self.interval == Interval::Member,
            _ => true,
        }
    }

    /// The question with ids in it; ids that this asker may not see are replaced by ids that never existed when `ghost` is set.
    fn fill(&self, ward: &Ward, data: &Value, ghost: bool) -> Value {
        let mut text = data.to_string();
        for name in slots(data) {
            let real = match name.as_str() {
                "lead" => ward.lead.id.clone(),
                "me" => self.person.id.clone(),
                "own" => self.own.clone().unwrap_or_else(fresh_id),
                name => ward.id(name).to_owned(),
            };
            let id = if ghost && !self.sees(&name) { fresh_id() } else { real };
            text = text.replace(&format!("\"@{name}\""), &format!("\"{id}\""));
        }
        serde_json::from_str(&text).unwrap()
    }
}

/// The slots of a question.
fn slots(data: &Value) -> BTreeSet<String> {
    let text = data.to_string();
    text.split('"').filter_map(|part| part.strip_prefix('@')).map(str::to_owned).collect()
}

/// Everyone: each role in each interval. What was said while some were away is named `gap_staff` and `gap_shared`.
async fn everyone(server: &Server, ward: &mut Ward) -> Vec<Asker> {
    let cells: Vec<(Role, Interval)> =
        ROLES.iter().flat_map(|role| INTERVALS.map(|interval| (*role, interval))).collect();
    let mut askers: Vec<Asker> = stream::iter(cells)
        .map(|(role, interval)| async move {
            let handle = format!("{}-{interval:?}", role.name).to_lowercase();
            Asker { person: server.person_with(&handle, role.account).await, role, interval, own: None }
        })
        .buffered(2)
        .collect()
        .await;
    let terms = |asker: &Asker| match asker.role.responsibility {
        Some(held) => json!({"responsibilities": [held]}),
        None => json!({"family": asker.role.family}),
    };
    for asker in askers.iter_mut().filter(|asker| asker.interval != Interval::Never) {
        ward.add(server, &asker.person, terms(asker)).await;
        let data = json!({"channel": ward.id("shared"), "item": ward.id("shared_goal"), "text": "my own words"});
        asker.own = Some(super::server::text(&server.run(&asker.person, "message.post", data).await, "id"));
    }
    for asker in askers.iter().filter(|asker| matches!(asker.interval, Interval::Removed | Interval::Returned)) {
        ward.remove(server, &asker.person).await;
    }
    for (name, channel, item) in [("task_staff", "staff", "goal"), ("task_shared", "shared", "shared_goal")] {
        let data = json!({"channel": ward.id(channel), "item": ward.id(item), "title": "said as a task"});
        ward.make(server, name, "task.create", data).await;
    }
    let calling = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    ward.make(server, "marker_staff", "note.open", calling).await;
    let colleague = server.person("colleague").await;
    ward.add(server, &colleague, json!({})).await;
    let ipass = json!({"illness_severity": "stable", "patient_summary": "said", "action_list": "said", "situation_awareness": "said"});
    let offer = json!({"patient": ward.id("patient"), "to": colleague.id, "ipass": ipass, "responsibilities": []});
    ward.make(server, "handoff", "handoff.offer", offer).await;
    let drafted = json!({"patient": ward.id("patient"), "target": "drop"});
    let drafted = server.run(&ward.lead, "export.draft", drafted).await;
    ward.put("export", super::server::text(&drafted, "export"));
    ward.says(server, "gap_staff", "staff", "goal").await;
    ward.says(server, "gap_shared", "shared", "shared_goal").await;
    for asker in askers.iter().filter(|asker| asker.interval == Interval::Returned) {
        ward.add(server, &asker.person, terms(asker)).await;
    }
    askers
}

/// Asks a question as it is and with ids that never existed; says what differs.
async fn compare(server: &Server, ward: &Ward, asker: &Asker, op: &str, data: &Value) -> Option<String> {
    let hidden: Vec<String> = slots(data).into_iter().filter(|name| !asker.sees(name)).collect();
    // Where a record went is theirs to know at every patient; a record officer exports without membership, and sees that much.
    let exports = op.starts_with("export.") || op == "chart.status";
    let officer = (op == "disclosure.list" && asker.role.name.ends_with("officer"))
        || (exports && asker.role.name == "record-officer");
    if hidden.is_empty() || officer {
        return None;
    }
    let real = server.ask(&asker.person, op, asker.fill(ward, data, false)).await;
    let ghost = server.ask(&asker.person, op, asker.fill(ward, data, true)).await;
    let dated = |headers: &[(String, String)]| -> Vec<(String, String)> {
        headers.iter().filter(|(name, _)| name != "date").cloned().collect()
    };
    let same = real.text == ghost.text && real.status == ghost.status && dated(&real.headers) == dated(&ghost.headers);
    let who = &asker.person.handle;
    if !same {
        return Some(format!("{who}: {op} {data}\n    there: {}\n    never: {}", real.text, ghost.text));
    }
    // A board that is narrowed to what one may not see is empty, as for what never was: that is what was compared.
    let empty_board = op == "board.get" && asker.sees("patient");
    (real.status == 200 && !empty_board)
        .then(|| format!("{who}: {op} {data} was answered, though {hidden:?} is hidden: {}", real.text))
}

both!(what_one_may_not_see_is_answered_as_if_it_had_never_existed);
async fn what_one_may_not_see_is_answered_as_if_it_had_never_existed() {
    let server = Server::with(&format!("{ROOMY}{TARGET}")).await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    let askers = everyone(&server, &mut ward).await;
    let questions = spelled_out();
    let mut findings = Vec::new();
    let mut asked = 0;
    for asker in &askers {
        for (op, data) in &questions {
            asked += 1;
            findings.extend(compare(&server, &ward, asker, op, data).await);
        }
    }
    println!("{asked} questions of {} people", askers.len());
    assert!(findings.is_empty(), "{} differ:\n  {}", findings.len(), findings.join("\n  "));
}

both!(who_may_see_gets_an_answer);
async fn who_may_see_gets_an_answer() {
    // Without this, a server that refuses everything would keep law 4.
    let server = Server::with(&format!("{ROOMY}{TARGET}")).await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    let askers = everyone(&server, &mut ward).await;
    let reads = [
        "patient.get",
        "team.list",
        "plan.items",
        "history",
        "channel.list",
        "patient.list",
        "receipts",
        "presence",
        "search",
    ];
    let questions: Vec<(&str, Value)> = spelled_out()
        .into_iter()
        .filter(|(op, data)| reads.contains(op) && !data.to_string().contains("201"))
        .collect();
    for asker in &askers {
        for (op, data) in questions.iter().filter(|(_, data)| slots(data).iter().all(|name| asker.sees(name))) {
            let answer = server.ask(&asker.person, op, asker.fill(&ward, data, false)).await;
            assert_eq!(answer.status, 200, "{}: {op} {data}: {}", asker.person.handle, answer.text);
        }
    }
}

both!(lists_hold_what_one_sees_and_nothing_else);
async fn lists_hold_what_one_sees_and_nothing_else() {
    let server = Server::with(&format!("{ROOMY}{TARGET}")).await;
    let mut ward = Ward::open(&server, server.person("lead").await).await;
    let askers = everyone(&server, &mut ward).await;
    for asker in &askers {
        let channels = server.run(&asker.person, "channel.list", json!({})).await;
        let listed: BTreeSet<&str> =
            channels["channels"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        let expected: BTreeSet<&str> = CHANNELS.iter().filter(|one| asker.sees(one)).map(|one| ward.id(one)).collect();
        assert_eq!(listed, expected, "channels of {}", asker.person.handle);
        let patients = server.run(&asker.person, "patient.list", json!({})).await;
        assert_eq!(patients["patients"].as_array().unwrap().len(), usize::from(asker.sees("patient")));
        if !asker.sees("patient") {
            continue;
        }
        let items =
            server.run(&asker.person, "plan.items", json!({"patient": ward.id("patient"), "closed": true})).await;
        let listed: BTreeMap<&str, i64> = items["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["id"].as_str().unwrap(), item["messages"].as_i64().unwrap()))
            .collect();
        let expected: BTreeSet<&str> = ITEMS.iter().filter(|one| asker.sees(one)).map(|one| ward.id(one)).collect();
        assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), expected, "items of {}", asker.person.handle);
        let unsorted = i64::from(asker.sees("message_unsorted"));
        assert_eq!((listed[ward.id("unsorted")], &items["unsorted"]["count"]), (unsorted, &json!(unsorted)));
    }
}

#[test]
fn the_matrix_knows_every_op_of_the_protocol() {
    let page = include_str!("../../docs/protocol.md");
    let asked: BTreeSet<&str> = questions().into_iter().map(|(op, _)| op).chain(ELSEWHERE).collect();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let ops = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.len() == 2 && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    });
    let missing: Vec<&str> = ops.filter(|op| !asked.contains(op)).filter(|op| !op.contains(".sock")).collect();
    assert!(missing.is_empty(), "not asked: {missing:?}");
}

both!(noise_is_answered_without_looking);
async fn noise_is_answered_without_looking() {
    // Ids of the wrong kind in the right place: a channel's id where a patient's goes, and so on, by somebody who sees all of it.
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let outsider = server.person("outsider").await;
    let mut chance = Chance::new("noise_is_answered_without_looking");
    let ids: Vec<String> = ward.ids.values().cloned().collect();
    for (op, data) in spelled_out().into_iter().filter(|(_, data)| !slots(data).is_empty()) {
        let (mut there, mut never) = (data.to_string(), data.to_string());
        for slot in slots(&data) {
            there = there.replace(&format!("\"@{slot}\""), &format!("\"{}\"", chance.one(&ids)));
            never = never.replace(&format!("\"@{slot}\""), &format!("\"{}\"", chance.id()));
        }
        let there = server.ask(&outsider, op, serde_json::from_str(&there).unwrap()).await;
        let never = server.ask(&outsider, op, serde_json::from_str(&never).unwrap()).await;
        assert_eq!((there.status, &there.text), (never.status, &never.text), "{op} {data}");
    }
}
