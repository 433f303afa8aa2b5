//! Law 2, the board: what a client makes of the events about work, talks elsewhere and handoffs. All of it follows from the entries of
//! the channels somebody reads.

use std::collections::BTreeMap;

use carethread::kernel::base::world::{parse_rfc3339, rfc3339};
use serde_json::{Map, Value, json};

use super::chance::{Chance, fresh_id};
use super::server::{Person, Server, list, text};

const STATES: [&str; 9] =
    ["requested", "ready", "accepted", "in-progress", "on-hold", "completed", "rejected", "cancelled", "failed"];
const MINUTE: i64 = 60_000_000;
/// Tasks that are over and stand in their column still.
const ENDED_SHOWN: usize = 50;

type Things = BTreeMap<String, Map<String, Value>>;

/// Work at a patient, as the entries say.
#[derive(Default)]
pub struct Work {
    tasks: Things,
    /// When each task that is over ended.
    ended: BTreeMap<String, String>,
    markers: Things,
    handoffs: Things,
    /// Which message belongs to the thread of which task.
    threads: BTreeMap<String, String>,
}

/// Something waits on an item for somebody.
pub struct Claim {
    order: (usize, bool, String, String),
    pub item: String,
    pub holder: Value,
    pub due: Value,
    pub why: &'static str,
    pub id: String,
}

fn is_final(state: &Value) -> bool {
    ["completed", "cancelled", "failed"].map(Value::from).contains(state)
}

/// The same instant, so many minutes later, as the server writes it.
fn later(time: &Value, minutes: i64) -> Value {
    json!(rfc3339(parse_rfc3339(time.as_str().unwrap()).unwrap() + minutes * MINUTE))
}

impl Work {
    /// What these entries add up to.
    pub fn of<'a>(events: impl Iterator<Item = &'a Value>, patient: &str) -> Self {
        let mut work = Self::default();
        for event in events {
            let (name, data) = (event["event"].as_str().unwrap(), &event["data"]);
            let made = || json!({"id": data["id"], "patient": patient, "channel": event["channel"], "by": event["by"], "at": event["at"]});
            match name.split_once('.').unwrap() {
                ("task", what) => work.task(what, event, made),
                ("note", what) => work.note(what, event, made),
                ("handoff", what) => work.handoff(what, event, made),
                ("message", "posted") if data.get("task").is_some() => {
                    work.threads.insert(text(data, "id"), text(data, "task"));
                }
                ("message", "retracted") => drop(work.threads.remove(data["message"].as_str().unwrap())),
                _ => {}
            }
        }
        work
    }

    fn task(&mut self, what: &str, event: &Value, made: impl Fn() -> Value) {
        let data = &event["data"];
        if what == "created" {
            let mut task = made().as_object().unwrap().clone();
            let id = text(data, "id");
            let first = json!({"description": null, "due": null, "priority": "routine", "checklist": [], "rev": 1,
                               "overdue": false, "place": id.replace('-', "")});
            task.extend(first.as_object().unwrap().clone());
            task.extend(data.as_object().unwrap().clone());
            self.tasks.insert(id, task);
            return;
        }
        let id = text(data, "task");
        let task = self.tasks.get_mut(&id).unwrap();
        for (name, value) in data["after"].as_object().unwrap() {
            let kept = ["description", "due"].contains(&name.as_str());
            match value {
                Value::Null if name == "priority" => drop(task.insert(name.clone(), json!("routine"))),
                Value::Null if !kept => drop(task.remove(name)),
                _ => drop(task.insert(name.clone(), value.clone())),
            }
        }
        task.insert("rev".into(), data["rev"].clone());
        assert_eq!(task["state"], data["state"], "{event}");
        if is_final(&task["state"]) {
            self.ended.insert(id, text(event, "at"));
        }
    }

    fn note(&mut self, what: &str, event: &Value, made: impl Fn() -> Value) {
        let data = &event["data"];
        match what {
            "opened" => {
                let mut marker = made().as_object().unwrap().clone();
                marker.insert("with".into(), json!([]));
                marker.insert("seq".into(), event["seq"].clone());
                marker.extend(data.as_object().unwrap().clone());
                self.markers.insert(text(data, "id"), marker);
            }
            "logged" | "dismissed" => {
                data["note"].as_str().map(|note| self.markers.remove(note));
            }
            _ => {}
        }
    }

    fn handoff(&mut self, what: &str, event: &Value, made: impl Fn() -> Value) {
        let data = &event["data"];
        if what == "offered" {
            for former in data.get("replaces").and_then(Value::as_array).into_iter().flatten() {
                self.handoffs.remove(former.as_str().unwrap());
            }
            let mut offered = made().as_object().unwrap().clone();
            offered.insert("left".into(), json!([]));
            offered.extend(data.as_object().unwrap().clone());
            offered.remove("replaces");
            let so = json!({"seq": event["seq"], "state": "offered", "since": event["at"], "escalated": 0});
            offered.extend(so.as_object().unwrap().clone());
            self.handoffs.insert(text(data, "id"), offered);
            return;
        }
        let id = text(data, "handoff");
        let Some(handoff) = self.handoffs.get_mut(&id) else { return };
        match what {
            "declined" => {
                let so = json!({"state": "declined", "since": event["at"], "escalated": 0, "declined": data["reason"]});
                handoff.extend(so.as_object().unwrap().clone());
            }
            "escalated" => drop(handoff.insert("escalated".into(), data["step"].clone())),
            _ => drop(self.handoffs.remove(&id)),
        }
    }

    /// How many tasks of an item are not over.
    pub fn open_tasks(&self, item: &str) -> usize {
        self.tasks.values().filter(|task| task["item"] == item && !is_final(&task["state"])).count()
    }

    /// The columns, the markers and the handoffs of `board.get`; in these channels nothing is written any more.
    pub fn board(&self, archived: impl Fn(&str) -> bool) -> BTreeMap<String, Value> {
        let mut board: BTreeMap<String, Value> = STATES.map(|state| (state.to_owned(), self.column(state))).into();
        let mut markers = self.markers.clone();
        markers.retain(|_, marker| !archived(marker["channel"].as_str().unwrap()));
        markers.values_mut().for_each(|marker| drop(marker.remove("remind_minutes")));
        let mut handoffs = self.handoffs.clone();
        for handoff in handoffs.values_mut() {
            let minutes = handoff.remove("respond_minutes").unwrap();
            handoff.insert("respond_by".into(), later(&handoff["since"], minutes.as_i64().unwrap()));
        }
        board.insert("notes".into(), json!(markers));
        board.insert("handoffs".into(), json!(handoffs));
        board
    }

    fn column(&self, state: &str) -> Value {
        let mut column: Vec<Map<String, Value>> =
            self.tasks.values().filter(|task| task["state"] == state).cloned().collect();
        let at = |task: &Map<String, Value>| self.ended[task["id"].as_str().unwrap()].clone();
        if is_final(&json!(state)) {
            column.sort_by_key(at);
            column.drain(..column.len().saturating_sub(ENDED_SHOWN));
        }
        for task in &mut column {
            let messages = self.threads.values().filter(|of| task["id"] == of.as_str()).count();
            task.insert("messages".into(), json!(messages));
        }
        column.sort_by_key(|task| task["place"].to_string());
        json!(column)
    }

    /// What waits, in the order it is to be acted on; a handoff is about the plan as a whole.
    pub fn claims(&self, whole: &str) -> Vec<Claim> {
        let weight = |word: &Value| match word.as_str().unwrap() {
            "stat" | "unstable" => 0,
            "urgent" | "watcher" => 1,
            _ => 2,
        };
        let claim = |id: &str, item: &str, holder: &Value, due: Value, weight: usize, why: &'static str| {
            let order = (weight, due.is_null(), due.to_string(), id.to_owned());
            Claim { order, item: item.to_owned(), holder: holder.clone(), due, why, id: id.to_owned() }
        };
        let mut claims = Vec::new();
        for (id, task) in self.tasks.iter().filter(|(_, task)| !is_final(&task["state"])) {
            let holder = if task["state"] == "rejected" { &task["by"] } else { &task["owner"] };
            let due = if task["due"].is_null() { Value::Null } else { later(&task["due"], 0) };
            claims.push(claim(id, task["item"].as_str().unwrap(), holder, due, weight(&task["priority"]), "task"));
        }
        for (id, marker) in &self.markers {
            let due = later(&marker["at"], marker["remind_minutes"].as_i64().unwrap());
            claims.push(claim(id, marker["item"].as_str().unwrap(), &marker["by"], due, 2, "note"));
        }
        for (id, handoff) in &self.handoffs {
            let due = later(&handoff["since"], handoff["respond_minutes"].as_i64().unwrap());
            let holder = if handoff["state"] == "declined" { &handoff["by"] } else { &handoff["to"] };
            let severity = weight(&handoff["ipass"]["illness_severity"]);
            claims.push(claim(id, whole, holder, due, severity, "handoff"));
        }
        claims.sort_by(|a, b| a.order.cmp(&b.order));
        claims
    }
}

/// The board as the server shows it, by column.
pub fn shown(board: &Value) -> BTreeMap<String, Value> {
    let mut by_name: BTreeMap<String, Value> =
        list(board, "columns").iter().map(|column| (text(column, "state"), column["tasks"].clone())).collect();
    for name in ["notes", "handoffs"] {
        let keyed: BTreeMap<String, &Value> = list(board, name).iter().map(|one| (text(one, "id"), one)).collect();
        by_name.insert(name.into(), json!(keyed));
    }
    by_name.insert("unsorted".into(), board["unsorted"].clone());
    by_name
}

/// What people at work have made so far.
#[derive(Default)]
pub struct Made {
    tasks: Vec<String>,
    notes: Vec<String>,
    handoffs: Vec<String>,
}

/// Where a step is taken and who else is about.
pub struct Place<'a> {
    pub patient: &'a str,
    pub channel: &'a str,
    pub item: &'a str,
    pub lead: &'a Person,
    pub nurse: &'a Person,
    pub visitor: &'a str,
}

impl Made {
    /// Keeps what a step made.
    pub fn keep(&mut self, op: &str, id: String) {
        match op {
            "task.create" => self.tasks.push(id),
            "note.open" => self.notes.push(id),
            "handoff.offer" => self.handoffs.push(id),
            _ => {}
        }
    }

    /// A step about work; much of it is refused.
    pub async fn step(&self, server: &Server, chance: &mut Chance, place: &Place<'_>) -> (&'static str, Value) {
        let Place { patient, channel, item, lead, nurse, visitor } = *place;
        let one = |chance: &mut Chance, of: &[String]| {
            if of.is_empty() { fresh_id() } else { chance.one(of).clone() }
        };
        let person = *chance.one(&[lead.id.as_str(), nurse.id.as_str(), visitor]);
        let (note, handoff) = (one(chance, &self.notes), one(chance, &self.handoffs));
        let note_log = json!({"channel": channel, "note": note, "medium": "phone", "text": "By phone", "item": item,
            "held_at": "2026-01-02T03:04:05Z", "with": [{"name": "Dr. Osei"}], "tasks": [{"title": "So decided"}]});
        let ipass = json!({"illness_severity": *chance.one(&["stable", "watcher", "unstable"]), "patient_summary": "So",
                           "action_list": ["Do"], "situation_awareness": "If"});
        match chance.below(18) {
            0..=2 => {
                let owner = chance.one(&[json!(null), json!(person), json!({"responsibility": "barriers"})]).clone();
                let (priority, due) = (*chance.one(&["routine", "urgent", "stat"]), chance.below(2));
                let due = [json!(null), json!("2099-01-02T03:04:05Z")][due].clone();
                let data = json!({"channel": channel, "item": item, "title": "Do", "owner": owner, "priority": priority,
                                  "due": due, "checklist": ["This", {"text": "That", "done": true}]});
                ("task.create", data)
            }
            3 => {
                let task = one(chance, &self.tasks);
                let channel =
                    server.ask(lead, "task.get", json!({"task": task})).await.json()["data"]["task"]["channel"].clone();
                ("message.post", json!({"channel": channel, "task": task, "text": "Words about it"}))
            }
            4 => {
                let with = json!([{"name": "Dr. Osei", "role": "nephrologist"}]);
                ("note.open", json!({"channel": channel, "item": item, "medium": "phone", "with": with}))
            }
            5 => ("note.dismiss", json!({"note": note, "reason": "It never took place"})),
            6 => ("note.log", note_log),
            7 => ("handoff.offer", json!({"patient": patient, "to": person, "ipass": ipass, "responsibilities": []})),
            8 => ("handoff.decline", json!({"handoff": handoff, "reason": "Not today"})),
            9 if chance.below(2) == 0 => ("handoff.accept", json!({"handoff": handoff, "synthesis": "I do that"})),
            9 => ("handoff.withdraw", json!({"handoff": handoff, "reason": "Done"})),
            10 => {
                let cover = json!({"patient": patient, "responsibility": "plan", "absent": nurse.id, "user": person,
                                   "until": "2026-12-31T00:00:00Z"});
                let ends = json!({"patient": patient, "responsibility": "plan", "absent": nurse.id});
                ("team.cover", [cover, ends][chance.below(2)].clone())
            }
            _ => self.task(server, chance, place, person).await,
        }
    }

    /// A step of a task.
    async fn task(
        &self,
        server: &Server,
        chance: &mut Chance,
        place: &Place<'_>,
        person: &str,
    ) -> (&'static str, Value) {
        let task = if self.tasks.is_empty() { fresh_id() } else { chance.one(&self.tasks).clone() };
        let known = server.ask(place.lead, "task.get", json!({"task": task})).await.json();
        let rev = known["data"]["task"]["rev"].as_i64().unwrap_or(1) - i64::from(chance.below(8) == 0);
        let with = |more: Value| {
            let mut data = json!({"task": task, "rev": rev});
            data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            data
        };
        let other = if self.tasks.is_empty() { fresh_id() } else { chance.one(&self.tasks).clone() };
        let steps = [
            ("task.accept", json!({})),
            ("task.accept", json!({})),
            ("task.start", json!({})),
            ("task.start", json!({})),
            ("task.complete", json!({})),
            ("task.decline", json!({"reason": "Not mine"})),
            ("task.hold", json!({"reason": "No bed"})),
            ("task.fail", json!({"reason": "No bed at all"})),
            ("task.cancel", json!({"reason": "Over"})),
            ("task.assign", json!({"owner": person})),
            ("task.assign", json!({"owner": {"responsibility": "plan"}})),
            ("task.update", json!({"title": "Do more", "description": "So", "due": "2099-05-06T07:08:09Z"})),
            ("task.update", json!({"item": place.item, "due": null, "priority": null, "checklist": []})),
            ("task.move", json!({"column": "in-progress", "after": null})),
            ("task.move", json!({"column": *chance.one(&["requested", "ready", "completed"]), "after": other})),
        ];
        let (op, more) = chance.one(&steps).clone();
        (op, with(more))
    }
}
