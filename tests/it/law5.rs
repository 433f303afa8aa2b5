//! Law 5: every replied write is present exactly once after `kill -9`, in order, and its key gives the first answer again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::chance::{Chance, fresh_id};
use super::server::{House, Person, Server, list, text};
use super::socket::Socket;
use super::ward::Ward;

const KILLS: usize = 50;
const WRITERS: usize = 4;

/// A write as its author keeps it.
struct Kept {
    op: &'static str,
    data: Value,
    /// None: the outcome is unknown, as the connection ended first.
    reply: Option<Value>,
}

/// Tasks of one writer, as its replies say they stand.
#[derive(Default)]
struct Tasks(Vec<Value>);

impl Tasks {
    /// A step that one of them can take: nobody else touches it.
    fn step(&self, chance: &mut Chance) -> Option<(&'static str, Value)> {
        let open: Vec<&Value> = self.0.iter().filter(|task| task["state"] != "completed").collect();
        let task = *open.get(chance.below(open.len() + 1))?;
        let known = json!({"task": task["task"], "rev": task["rev"], "key": fresh_id()});
        let with = |member: &str| {
            let mut data = known.clone();
            data[member] = json!(fresh_id());
            data
        };
        Some(match (chance.below(4), task["state"].as_str().unwrap()) {
            (0, _) => ("task.update", with("title")),
            (1, "ready" | "in-progress") => ("task.complete", with("reason")),
            (_, "in-progress") => ("task.hold", with("reason")),
            _ => ("task.start", with("reason")),
        })
    }

    /// Keeps what was replied.
    fn replied(&mut self, op: &str, data: &Value, reply: &Value) {
        let id = if op == "task.create" { &reply["id"] } else { &data["task"] };
        self.0.retain(|task| task["task"] != *id);
        self.0.push(json!({"task": id, "rev": reply["rev"], "state": reply["state"]}));
    }
}

/// Writes until the server goes, by socket or by HTTP.
async fn write_until_killed(server: Arc<Server>, ward: Arc<Ward>, by: Person, mut chance: Chance) -> Vec<Kept> {
    let (mut kept, mut tasks) = (Vec::new(), Tasks::default());
    let mut socket = None;
    if chance.below(2) == 0 {
        let Ok(opened) = Socket::try_open(&server, &format!("Authorization: Bearer {}\r\n", by.token)).await else {
            return kept;
        };
        socket = Some(opened);
    }
    loop {
        let channel = *chance.one(&["staff", "shared"]);
        let words =
            json!({"channel": ward.id(channel), "item": ward.id("shared_goal"), "text": fresh_id(), "key": fresh_id()});
        let goal = json!({"patient": ward.id("patient"), "kind": "goal", "title": fresh_id(), "shared": true, "key": fresh_id()});
        let aside = json!({"patient": ward.id("patient"), "name": fresh_id(), "key": fresh_id()});
        let task = json!({"channel": ward.id(channel), "item": ward.id("shared_goal"), "title": fresh_id(), "key": fresh_id()});
        let (op, data) = match chance.below(24) {
            // Channels are the lead's to open.
            0 if by.id == ward.lead.id => ("channel.open", aside),
            1..=3 => ("plan_item.add", goal),
            4 | 5 => ("task.create", task),
            6..=9 => tasks.step(&mut chance).unwrap_or(("task.create", task)),
            _ => ("message.post", words),
        };
        let answer = match &mut socket {
            Some(socket) => {
                let id = socket.send(op, data.clone()).await;
                socket.answer(id).await
            }
            None => server.try_ask(&by, op, data.clone()).await.ok().map(|answer| answer.json()),
        };
        let unknown = |frame: &Value| ["internal", "busy"].map(Value::from).contains(&frame["error"]["code"]);
        let Some(frame) = answer.filter(|frame| !unknown(frame)) else {
            kept.push(Kept { op, data, reply: None });
            return kept;
        };
        assert_eq!(frame["type"], "reply", "{op}: {frame}");
        assert_eq!(frame["data"]["repeat"], Value::Null, "a first write is no repeat");
        if op.starts_with("task.") {
            tasks.replied(op, &data, &frame["data"]);
        }
        kept.push(Kept { op, data, reply: Some(frame["data"].clone()) });
    }
}

/// Every entry of every channel somebody reads, by channel; `seq` is checked on the way.
pub async fn whole_record(server: &Server, person: &Person) -> HashMap<String, Vec<Value>> {
    let channels = server.run(person, "channel.list", json!({})).await;
    let mut record = HashMap::new();
    for channel in list(&channels, "channels") {
        let id = text(channel, "id");
        let mut entries: Vec<Value> = Vec::new();
        loop {
            let page =
                server.run(person, "history", json!({"channel": id, "after": entries.len(), "limit": 200})).await;
            entries.extend(list(&page, "events").clone());
            if page["more"] == false {
                break;
            }
        }
        let seqs: Vec<i64> = entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..=i64::try_from(entries.len()).unwrap()).collect::<Vec<_>>(), "seq of {id} is 1..n");
        let times: Vec<&str> = entries.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "times of {id} never decrease");
        assert_eq!(channel["last_seq"], seqs.len(), "last_seq of {id}");
        record.insert(id, entries);
    }
    record
}

/// Where a command has the words that tell it from all others.
const MARKED: [&str; 4] = ["text", "title", "name", "reason"];

/// How often each of those words stands in the record, and where.
fn marks(record: &HashMap<String, Vec<Value>>) -> HashMap<String, Vec<(String, i64)>> {
    let mut marks: HashMap<String, Vec<(String, i64)>> = HashMap::new();
    for (channel, entries) in record {
        for entry in entries {
            // What a task said before stands in its next entry, too: that is no second time.
            let said =
                MARKED.map(|member| &entry["data"][member]).into_iter().chain([&entry["data"]["after"]["title"]]);
            for mark in said {
                if let Some(mark) = mark.as_str() {
                    marks.entry(mark.into()).or_default().push((channel.clone(), entry["seq"].as_i64().unwrap()));
                }
            }
        }
    }
    marks
}

/// At most once in each channel: a shared item is an entry of the shared channels too.
fn once(places: &[(String, i64)]) -> bool {
    let channels: HashSet<&String> = places.iter().map(|(channel, _)| channel).collect();
    channels.len() == places.len()
}

fn mark(kept: &Kept) -> String {
    MARKED.iter().find_map(|member| kept.data[member].as_str()).unwrap().to_owned()
}

/// After a restart: what was replied to stands where the reply said; keys give first answers; what was unknown can be repeated.
async fn check(server: &Server, by: &Person, kept: &mut [Kept], record: &HashMap<String, Vec<Value>>) {
    let marks = marks(record);
    let mut last: HashMap<String, i64> = HashMap::new();
    for one in kept {
        let found = marks.get(&mark(one));
        if let Some(reply) = &one.reply {
            let (channel, seq) = (text(reply, "channel"), reply["seq"].as_i64().unwrap());
            let there = found.is_some_and(|found| found.contains(&(channel.clone(), seq)));
            assert!(there, "replied, then lost: {} {reply}, found at {found:?}", one.op);
            let before = last.insert(channel.clone(), seq).unwrap_or(0);
            assert!(before < seq, "{} wrote {seq} after {before} in {channel}", by.handle);
        }
        assert!(found.is_none_or(|found| once(found)), "written twice: {found:?}");
        let again = server.run(by, one.op, one.data.clone()).await;
        match &one.reply {
            Some(reply) => {
                let mut first = reply.clone();
                first["repeat"] = json!(true);
                assert_eq!(again, first, "the first answer again");
            }
            None => {
                assert_eq!(again["repeat"] == true, found.is_some(), "unknown outcome, {found:?}: {again}");
                let mut reply = again;
                reply.as_object_mut().unwrap().remove("repeat");
                one.reply = Some(reply);
            }
        }
    }
}

/// The end of a server's life: written to, killed. What its writers kept.
async fn end_of_life(
    server: Server,
    ward: &Arc<Ward>,
    people: &[Person],
    chance: &mut Chance,
) -> (House, Vec<(Person, Vec<Kept>)>) {
    let server = Arc::new(server);
    let writers: Vec<_> = people
        .iter()
        .map(|by| {
            let write = write_until_killed(Arc::clone(&server), Arc::clone(ward), by.clone(), chance.branch());
            (by.clone(), tokio::spawn(write))
        })
        .collect();
    let until = Duration::from_millis(u64::try_from(50 + chance.below(350)).unwrap());
    tokio::time::sleep(until).await;
    server.signal("KILL").await;
    let mut kept = Vec::new();
    for (by, writer) in writers {
        kept.push((by, writer.await.unwrap()));
    }
    let server = Arc::into_inner(server).expect("the writers have ended");
    (server.kill().await, kept)
}

both!(every_replied_write_is_present_exactly_once_after_fifty_kills);
async fn every_replied_write_is_present_exactly_once_after_fifty_kills() {
    let mut chance = Chance::new("every_replied_write_is_present_exactly_once_after_fifty_kills");
    let mut server = Server::new().await;
    let lead = server.person("lead").await;
    let ward = Arc::new(Ward::open(&server, lead.clone()).await);
    let mut people = vec![lead.clone()];
    for n in 1..WRITERS {
        let person = server.person(&format!("writer-{n}")).await;
        ward.add(&server, &person, json!({"responsibilities": ["plan"]})).await;
        people.push(person);
    }

    let mut journal: Vec<(Person, Vec<Kept>)> = Vec::new();
    for _ in 0..KILLS {
        let (house, mut kept) = end_of_life(server, &ward, &people, &mut chance).await;
        server = house.serve().await;
        let record = whole_record(&server, &lead).await;
        for (by, kept) in &mut kept {
            check(&server, by, kept, &record).await;
        }
        journal.extend(kept);
    }
    let record = whole_record(&server, &lead).await;
    let marks = marks(&record);
    let mut written = 0;
    for (by, kept) in &mut journal {
        for one in kept.iter() {
            let reply = one.reply.as_ref().unwrap();
            let at = (text(reply, "channel"), reply["seq"].as_i64().unwrap());
            assert!(marks[&mark(one)].contains(&at), "{} lost {reply}", by.handle);
        }
        assert!(kept.iter().all(|one| once(&marks[&mark(one)])), "{} wrote something twice", by.handle);
        written += kept.len();
    }
    println!("{written} replied writes over {KILLS} kills");
    assert!(written > KILLS, "the server was written to");
    server.signal("TERM").await;
    let (house, _) = server.ended().await;
    let verified = house.cli(&["verify", "--record"]).await;
    assert_eq!((verified.code, &verified.json()["ok"]), (0, &json!(true)), "{}", verified.stdout);
}
