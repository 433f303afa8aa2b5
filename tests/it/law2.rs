//! Law 2: a snapshot with the events that came later equals a later snapshot. The reducer below is what any client can do with the
//! page of the protocol in hand; it is tried for a member of staff and for family, who see different things.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::chance::{Chance, fresh_id};
use super::law2_board::{self as board, Made, Place};
use super::law5::whole_record;
use super::server::{Person, Server, list, text};
use super::ward::Ward;

const PARTS: usize = 5;
/// Steps between two looks at everything.
const STEPS: usize = 160;
/// What has to come about before the law counts as tried; chance decides in which part.
const TOLD: [&str; 6] =
    ["task.created", "task.changed", "note.opened", "note.dismissed", "handoff.offered", "handoff.declined"];

/// What somebody sees of a patient.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sight {
    channels: BTreeMap<String, Map<String, Value>>,
    items: BTreeMap<String, Map<String, Value>>,
    members: BTreeMap<String, Map<String, Value>>,
    history: BTreeMap<String, Vec<Value>>,
    reads: BTreeMap<String, Value>,
    board: BTreeMap<String, Value>,
}

/// Whose sight it is.
#[derive(Clone, Copy)]
struct Watcher<'a> {
    person: &'a Person,
    family: bool,
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn keyed(list: &[Value], by: &str, without: &[&str]) -> BTreeMap<String, Map<String, Value>> {
    let entry = |value: &Value| {
        let mut members = object(value);
        without.iter().for_each(|name| drop(members.remove(*name)));
        (text(value, by), members)
    };
    list.iter().map(entry).collect()
}

impl Watcher<'_> {
    /// Reads everything there is to read.
    async fn sees(&self, server: &Server, ward: &Ward) -> Sight {
        let patient = json!({"patient": ward.id("patient")});
        let channels = server.run(self.person, "channel.list", patient.clone()).await;
        let team = server.run(self.person, "team.list", patient.clone()).await;
        let board = server.run(self.person, "board.get", patient).await;
        let asked = json!({"patient": ward.id("patient"), "closed": true});
        let plan = server.run(self.person, "plan.items", asked).await;
        let unsorted = list(&plan, "items").iter().find(|item| item["standing"] == "unsorted").unwrap();
        assert_eq!(plan["unsorted"]["count"], unsorted["messages"], "what is unsorted is counted once");
        Sight {
            channels: keyed(list(&channels, "channels"), "id", &["muted", "muted_until"]),
            items: keyed(list(&plan, "items"), "id", &[]),
            // Names are not events of the patient's: they are looked up.
            members: keyed(list(&team, "members"), "user", &["name", "handle"]),
            history: whole_record(server, self.person).await.into_iter().collect(),
            reads: BTreeMap::new(),
            board: board::shown(&board),
        }
    }
}

impl Sight {
    /// What each message and note that stands is about.
    fn links(&self) -> BTreeMap<String, String> {
        let mut links = BTreeMap::new();
        for event in self.history.values().flatten() {
            let data = &event["data"];
            match event["event"].as_str().unwrap() {
                "message.posted" | "note.opened" | "note.logged" => {
                    links.insert(text(data, "id"), text(data, "item"));
                }
                "note.dismissed" => drop(links.remove(data["note"].as_str().unwrap())),
                "message.relinked" => drop(links.insert(text(data, "message"), text(data, "item"))),
                "message.retracted" => drop(links.remove(data["message"].as_str().unwrap())),
                _ => {}
            }
        }
        links
    }

    /// Lays an event over it.
    fn apply(&mut self, watcher: Watcher<'_>, event: &Value) {
        let (name, data) = (event["event"].as_str().unwrap(), &event["data"]);
        let channel = text(event, "channel");
        if channel == "me" {
            // Channels are not in order among each other: this may come before the entry that opens the channel.
            if name == "read" {
                self.reads.insert(text(data, "channel"), data["seq"].clone());
            }
            return;
        }
        let history = self.history.entry(channel.clone()).or_default();
        assert_eq!(event["seq"], history.len() + 1, "no hole in {channel}");
        history.push(event.clone());
        match name {
            "channel.opened" => {
                let mut opened = object(data);
                opened.remove("members");
                for (name, value) in
                    [("kind", json!("conversation")), ("archived", json!(false)), ("read_seq", json!(0))]
                {
                    opened.insert(name.into(), value);
                }
                opened.entry("purpose").or_insert(Value::Null);
                self.channels.insert(channel, opened);
            }
            "channel.changed" => {
                let changed = self.channels.get_mut(&channel).unwrap();
                let named = ["name", "purpose", "audience"].into_iter().filter(|name| data.get(*name).is_some());
                named.for_each(|name| drop(changed.insert(name.into(), data[name].clone())));
            }
            "channel.archived" => drop(self.channels.get_mut(&channel).unwrap().insert("archived".into(), json!(true))),
            "team.joined" | "team.changed" | "team.left" => self.team(name, event),
            // Staff read the plan where it stands; what shared channels say of it is for family.
            _ if name.starts_with("plan_item.") && (watcher.family || self.channels[&channel]["kind"] == "plan") => {
                self.plan(watcher, name, data);
            }
            _ => {}
        }
    }

    /// The same fact stands in every channel the person reads: laid over twice, it changes nothing.
    fn team(&mut self, name: &str, event: &Value) {
        let data = &event["data"];
        let user = text(data, "user");
        if name == "team.left" {
            self.members.remove(&user);
            return;
        }
        let joined = json!({"user": user, "family": false, "since": event["at"], "until": null});
        let member = self.members.entry(user).or_insert_with(|| object(&joined));
        for (name, value) in object(data) {
            if ["role", "responsibilities", "family", "until"].contains(&name.as_str()) {
                member.insert(name, value);
            }
        }
        if let Some(cover) = data.get("cover") {
            // People stand in for the nurse alone, and for one responsibility.
            match cover["user"].is_null() {
                false => drop(member.insert("covers".into(), json!([cover]))),
                true => drop(member.remove("covers")),
            }
        }
        let leads = member["responsibilities"].as_array().unwrap().contains(&json!("lead"));
        member.insert("lead".into(), json!(leads));
    }

    fn plan(&mut self, watcher: Watcher<'_>, name: &str, data: &Value) {
        let id = text(data, if name == "plan_item.added" { "id" } else { "item" });
        let rev = data.get("rev").cloned().unwrap_or(json!(1));
        if self.items.get(&id).is_some_and(|item| item["rev"].as_i64() >= rev.as_i64()) {
            return;
        }
        if watcher.family && data.get("shared") == Some(&json!(false)) {
            self.items.remove(&id);
            for other in self.items.values_mut() {
                other["addresses"].as_array_mut().unwrap().retain(|addressed| *addressed != id.as_str());
            }
            return;
        }
        let empty = json!({"id": id, "kind": null, "detail": null, "codes": [], "owner": null, "due": null,
                           "addresses": [], "open_tasks": 0, "next": null});
        let item = self.items.entry(id).or_insert_with(|| object(&empty));
        for (name, value) in object(data) {
            if !["item", "patient", "reason", "closed"].contains(&name.as_str()) {
                item.insert(name, value);
            }
        }
        item.insert("rev".into(), rev.clone());
        item.insert("version".into(), rev);
    }

    /// What follows from the rest is reckoned at the end: counts, and how far each channel goes.
    fn reckoned(mut self, watcher: Watcher<'_>, patient: &str) -> Self {
        let links = self.links();
        let work = board::Work::of(self.history.values().flatten(), patient);
        let standing = |which: &str| self.items.iter().find(|(_, item)| item.get("standing") == Some(&json!(which)));
        let (whole, unsorted) = (standing("whole").unwrap().0.clone(), standing("unsorted").unwrap().0.clone());
        let waiting = links.values().filter(|item| **item == unsorted).count();
        let claims = work.claims(&whole);
        self.board = work.board(|channel| self.channels[channel]["archived"] == true);
        self.board.insert("unsorted".into(), json!({"count": waiting, "overdue": 0}));
        for (id, item) in &mut self.items {
            item.insert("messages".into(), json!(links.values().filter(|item| *item == id).count()));
            item.insert("open_tasks".into(), json!(work.open_tasks(id)));
            let claimed = claims.iter().filter(|claim| claim.item == *id).find_map(|claim| {
                let mut next = party(&self.members, &claim.holder)?;
                (next["due"], next["why"], next["id"]) = (claim.due.clone(), json!(claim.why), json!(claim.id));
                Some(next)
            });
            let owned = || {
                let mut next = party(&self.members, Some(&item["owner"]).filter(|owner| !owner.is_null())?)?;
                (next["due"], next["why"]) = (item["due"].clone(), json!("owner"));
                Some(next)
            };
            let next = if item["status"] == "active" { claimed.or_else(owned) } else { None };
            let next = next.unwrap_or(Value::Null);
            item.insert("next".into(), next);
        }
        for (id, channel) in &mut self.channels {
            let entries = &self.history[id];
            if let Some(read) = self.reads.get(id) {
                channel.insert("read_seq".into(), read.clone());
            }
            let read = channel["read_seq"].as_i64().unwrap();
            let unread = entries.iter().filter(|event| {
                ["message.posted", "note.logged"].map(Value::from).contains(&event["event"])
                    && event["seq"].as_i64().unwrap() > read
                    && event["by"] != watcher.person.id.as_str()
            });
            channel.insert("unread".into(), json!(unread.count()));
            channel.insert("last_seq".into(), json!(entries.len()));
        }
        self
    }
}

/// Who stands for an owner: they themselves while they are there, else whoever leads.
fn party(members: &BTreeMap<String, Map<String, Value>>, owner: &Value) -> Option<Value> {
    let held = |one: &Value| {
        let holds = |member: &Map<String, Value>| {
            member["family"] == false && member["responsibilities"].as_array().is_some_and(|held| held.contains(one))
        };
        members.values().any(holds)
    };
    match owner {
        Value::String(user) if members.contains_key(user) => return Some(json!({"user": user})),
        Value::Object(_) if held(&owner["responsibility"]) => return Some(owner.clone()),
        _ => {}
    }
    held(&json!("lead")).then(|| json!({"responsibility": "lead"}))
}

/// Steps of people at work, some of them refused.
struct Work<'a> {
    server: &'a Server,
    ward: &'a Ward,
    staff: [&'a Person; 2],
    family: &'a Person,
    temporary: Vec<Person>,
    items: Vec<String>,
    channels: Vec<String>,
    messages: Vec<String>,
    made: Made,
}

impl Work<'_> {
    async fn step(&mut self, chance: &mut Chance) {
        let by = if chance.below(4) == 0 { self.family } else { *chance.one(&self.staff) };
        let (op, data) = if chance.below(3) == 0 { self.work(chance).await } else { self.talk(chance) };
        let answer = self.server.ask(by, op, data.clone()).await;
        if answer.status != 200 {
            let code = answer.json()["error"]["code"].clone();
            assert!(code != "internal" && code != "bad_frame" && code != "unknown_op", "{op} {data}: {}", answer.text);
            return;
        }
        let id = answer.json()["data"]["id"].as_str().map(str::to_owned);
        match op {
            "plan_item.add" => self.items.extend(id),
            "channel.open" => self.channels.extend(id),
            "message.post" => self.messages.extend(id),
            _ => id.into_iter().for_each(|id| self.made.keep(op, id)),
        }
    }

    async fn work(&self, chance: &mut Chance) -> (&'static str, Value) {
        let place = Place {
            patient: self.ward.id("patient"),
            channel: chance.one(&self.channels[..]).as_str(),
            item: chance.one(&self.items[..]).as_str(),
            lead: self.staff[0],
            nurse: self.staff[1],
            visitor: &chance.one(&self.temporary).id,
        };
        self.made.step(self.server, chance, &place).await
    }

    fn talk(&self, chance: &mut Chance) -> (&'static str, Value) {
        let (item, other) = (chance.one(&self.items).clone(), chance.one(&self.items).clone());
        let channel = chance.one(&self.channels).clone();
        let message = chance.one(&self.messages).clone();
        let patient = self.ward.id("patient").to_owned();
        let rev = 1 + chance.below(4);
        let temporary = chance.one(&self.temporary).id.clone();
        let shared = chance.below(2) == 0;
        match chance.below(20) {
            0 => (
                "plan_item.add",
                json!({"patient": patient, "kind": "goal", "title": "New", "shared": shared, "addresses": [other]}),
            ),
            1 => (
                "plan_item.change",
                json!({"item": item, "rev": rev, "title": format!("Changed {rev}"), "detail": "More"}),
            ),
            2 => ("plan_item.change", json!({"item": item, "rev": rev, "shared": shared})),
            3 => (
                "plan_item.change",
                json!({"item": item, "rev": rev, "detail": null, "due": "2027-01-02", "addresses": [other]}),
            ),
            4 => (
                "plan_item.change",
                json!({"item": item, "rev": rev, "owner": {"responsibility": "plan"},
                                             "codes": [{"code": "c", "display": "D"}]}),
            ),
            5 if chance.below(3) == 0 => {
                ("plan_item.close", json!({"item": item, "rev": rev, "status": "stopped", "reason": "over"}))
            }
            6 => (
                "channel.open",
                json!({"patient": patient, "name": "Aside", "audience": if shared { "shared" } else { "staff" }}),
            ),
            7 => ("channel.change", json!({"channel": channel, "name": format!("Name {rev}"), "purpose": "Talk"})),
            8 if chance.below(4) == 0 => ("channel.archive", json!({"channel": channel})),
            9 => ("team.add", json!({"patient": patient, "user": temporary, "role": "Visitor", "family": shared})),
            10 => (
                "team.change",
                json!({"patient": patient, "user": temporary, "role": format!("Visitor {rev}"),
                                         "responsibilities": if shared { json!(["barriers"]) } else { json!([]) }}),
            ),
            11 => ("team.remove", json!({"patient": patient, "user": temporary})),
            12 => ("message.amend", json!({"message": message, "text": "Better"})),
            13 => ("message.retract", json!({"message": message, "reason": "wrong"})),
            14 => ("message.relink", json!({"message": message, "item": item})),
            15 => (
                "note.log",
                json!({"channel": channel, "item": item, "medium": "phone", "text": "By phone",
                                      "held_at": "2026-01-02T03:04:05Z", "with": [{"name": "Dr. Osei"}]}),
            ),
            16 => ("read", json!({"channel": channel, "seq": rev})),
            _ => ("message.post", json!({"channel": channel, "item": item, "text": "Words", "key": fresh_id()})),
        }
    }
}

/// Fails with the first place where two sights differ.
#[track_caller]
fn same(person: &Person, reduced: &Sight, later: &Sight) {
    let who = &person.handle;
    assert_eq!(reduced.history.keys().collect::<BTreeSet<_>>(), later.history.keys().collect::<BTreeSet<_>>(), "{who}");
    for (name, reduced, later) in [
        ("channels", &reduced.channels, &later.channels),
        ("items", &reduced.items, &later.items),
        ("members", &reduced.members, &later.members),
    ] {
        assert_eq!(reduced.keys().collect::<Vec<_>>(), later.keys().collect::<Vec<_>>(), "{name} of {who}");
        for (id, members) in reduced {
            assert_eq!(members, &later[id], "{name} of {who}");
        }
    }
    for (name, part) in &reduced.board {
        assert_eq!(part, &later.board[name], "{name} on the board of {who}");
    }
    for (channel, events) in &reduced.history {
        assert_eq!(events, &later.history[channel], "{channel} as {who} reads it");
    }
}

both!(a_snapshot_with_later_events_is_a_later_snapshot);
async fn a_snapshot_with_later_events_is_a_later_snapshot() {
    let mut chance = Chance::new("a_snapshot_with_later_events_is_a_later_snapshot");
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let ward = Ward::open(&server, lead.clone()).await;
    let (nurse, relative) =
        (server.person("nurse").await, server.person_with("relative", &["--kind", "patient"]).await);
    ward.add(&server, &nurse, json!({"responsibilities": ["plan"]})).await;
    ward.add(&server, &relative, json!({})).await;
    let mut work = Work {
        server: &server,
        ward: &ward,
        staff: [&lead, &nurse],
        family: &relative,
        temporary: vec![server.person("visitor-1").await, server.person("visitor-2").await],
        items: ["goal", "shared_goal", "whole", "unsorted"].map(|name| ward.id(name).to_owned()).into(),
        channels: ["staff", "shared", "named"].map(|name| ward.id(name).to_owned()).into(),
        messages: ["message_staff", "message_shared"].map(|name| ward.id(name).to_owned()).into(),
        made: Made::default(),
    };
    for _ in 0..40 {
        work.step(&mut chance).await;
    }
    let watchers = [Watcher { person: &nurse, family: false }, Watcher { person: &relative, family: true }];
    let (mut sights, mut sockets) = (Vec::new(), Vec::new());
    for watcher in watchers {
        let sight = watcher.sees(&server, &ward).await;
        let mut socket = server.socket(watcher.person).await;
        let cursors: BTreeMap<&String, usize> = sight.history.iter().map(|(id, entries)| (id, entries.len())).collect();
        let resumed = socket.run("resume", json!({"cursors": cursors})).await;
        assert_eq!(resumed["reset"], json!([]));
        assert_eq!(
            sight.clone().reckoned(watcher, ward.id("patient")),
            sight,
            "what is reckoned is what the server reckons"
        );
        sights.push(sight);
        sockets.push(socket);
    }
    for part in 0.. {
        for _ in 0..STEPS {
            work.step(&mut chance).await;
        }
        for ((watcher, sight), socket) in watchers.into_iter().zip(&mut sights).zip(&mut sockets) {
            let events = socket.events_so_far().await;
            for event in events.iter().filter(|event| !event["seq"].is_null()) {
                sight.apply(watcher, event);
            }
            *sight = sight.clone().reckoned(watcher, ward.id("patient"));
            println!("part {part}: {} events for {}", events.len(), watcher.person.handle);
            same(watcher.person, sight, &watcher.sees(&server, &ward).await);
        }
        // Without this, work that is always refused would keep the law.
        let told: BTreeSet<&str> =
            sights[0].history.values().flatten().map(|event| event["event"].as_str().unwrap()).collect();
        let missing: Vec<_> = TOLD.into_iter().filter(|name| !told.contains(name)).collect();
        if part >= PARTS - 1 && missing.is_empty() {
            return;
        }
        assert!(part < 4 * PARTS, "{missing:?} never came about");
    }
}
