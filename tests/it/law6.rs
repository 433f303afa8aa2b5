//! Law 6: `seq` of a channel is 1..n, everywhere, always; here with many writers at once, half of whose commands are refused, and with
//! readers who watch it grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::chance::{Chance, fresh_id};
use super::law5::whole_record;
use super::server::{Person, Server, text};
use super::ward::Ward;

const WRITERS: usize = 6;
const COMMANDS: usize = 60;

/// Something that is accepted, repeated or refused, by chance.
fn command(ward: &Ward, chance: &mut Chance, mine: &[(String, Value)], tasks: &[String]) -> (&'static str, Value) {
    let channel = *chance.one(&["staff", "shared", "named", "archived", "plan"]);
    let item = *chance.one(&["shared_goal", "shared_goal", "goal", "closed_goal", "unsorted"]);
    let post = json!({"channel": ward.id(channel), "item": ward.id(item), "text": "words", "key": fresh_id()});
    if chance.below(4) == 0 {
        return work(ward, chance, tasks, channel, item);
    }
    match (chance.below(12), mine) {
        (0, _) => {
            ("plan_item.add", json!({"patient": ward.id("patient"), "kind": "barrier", "title": "B", "shared": true}))
        }
        (1, _) => {
            ("plan_item.change", json!({"item": ward.id("shared_goal"), "rev": 1 + chance.below(4), "detail": "D"}))
        }
        (2, _) => ("channel.open", json!({"patient": ward.id("patient"), "name": "N", "audience": "shared"})),
        (3, _) => ("message.post", json!({"channel": ward.id("staff"), "text": "no item"})),
        (4, [_, ..]) => ("message.amend", json!({"message": chance.one(mine).0, "text": "better words"})),
        (5, [_, ..]) => ("message.relink", json!({"message": chance.one(mine).0, "item": ward.id("whole")})),
        (6, [_, ..]) => ("message.retract", json!({"message": chance.one(mine).0, "reason": "wrong"})),
        (7, [_, ..]) => ("message.post", chance.one(mine).1.clone()),
        (8, _) => ("message.post", json!({"channel": fresh_id(), "item": ward.id("goal"), "text": "nowhere"})),
        _ => ("message.post", post),
    }
}

/// The same of a task: half of these are about another state or number than the task has.
fn work(ward: &Ward, chance: &mut Chance, tasks: &[String], channel: &str, item: &str) -> (&'static str, Value) {
    let owner = if chance.below(2) == 0 { json!(ward.lead.id) } else { json!({"responsibility": "plan"}) };
    let new =
        json!({"channel": ward.id(channel), "item": ward.id(item), "title": "Work", "owner": owner, "key": fresh_id()});
    if tasks.is_empty() || chance.below(3) == 0 {
        return ("task.create", new);
    }
    let step = json!({"task": chance.one(tasks), "rev": 1 + chance.below(4), "key": fresh_id()});
    let with = |member: &str, value: Value| {
        let mut data = step.clone();
        data[member] = value;
        data
    };
    match chance.below(8) {
        0 => ("task.accept", step),
        1 => ("task.start", step),
        2 => ("task.complete", step),
        3 => ("task.update", with("description", json!(fresh_id()))),
        4 => ("task.assign", with("owner", owner)),
        5 => ("task.cancel", with("reason", json!("over"))),
        6 => ("task.hold", with("reason", json!("later"))),
        _ => ("task.move", with("column", json!(*chance.one(&["in-progress", "ready", "completed"])))),
    }
}

/// Sends commands; the places of those that were replied to without being repeats.
async fn write(server: Arc<Server>, ward: Arc<Ward>, by: Person, mut chance: Chance) -> Vec<(String, i64)> {
    let mut socket = server.socket(&by).await;
    let (mut places, mut mine, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        let (op, data) = command(&ward, &mut chance, &mine, &tasks);
        let answer = socket.ask(op, data.clone()).await;
        let reply = &answer["data"];
        if answer["type"] != "reply" || reply["repeat"] == true {
            continue;
        }
        places.push((text(reply, "channel"), reply["seq"].as_i64().unwrap()));
        if op == "message.post" {
            mine.push((text(reply, "id"), data));
        } else if op == "task.create" {
            tasks.push(text(reply, "id"));
        }
    }
    places
}

both!(seq_is_one_to_n_in_every_channel_for_everyone_who_reads_it);
async fn seq_is_one_to_n_in_every_channel_for_everyone_who_reads_it() {
    let mut chance = Chance::new("seq_is_one_to_n_in_every_channel_for_everyone_who_reads_it");
    let server = Arc::new(Server::new().await);
    let lead = server.person("lead").await;
    let ward = Arc::new(Ward::open(&server, lead.clone()).await);
    let mut watcher = server.socket(&lead).await;
    let before = whole_record(&server, &lead).await;
    let cursors: BTreeMap<&String, usize> = before.iter().map(|(channel, entries)| (channel, entries.len())).collect();
    watcher.run("resume", json!({"cursors": cursors})).await;
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let by = if n == 0 { lead.clone() } else { server.person(&format!("writer-{n}")).await };
        if n > 0 {
            ward.add(&server, &by, json!({"responsibilities": ["plan"]})).await;
        }
        writers.push(tokio::spawn(write(Arc::clone(&server), Arc::clone(&ward), by, chance.branch())));
    }
    let mut places = Vec::new();
    for writer in writers {
        places.extend(writer.await.unwrap());
    }
    let told: BTreeSet<&(String, i64)> = places.iter().collect();
    assert_eq!(told.len(), places.len(), "no place is given twice");
    let record = whole_record(&server, &lead).await;
    for (channel, seq) in told {
        assert!(*seq <= i64::try_from(record[channel].len()).unwrap(), "{channel} {seq} was replied and is not there");
    }
    // Who watched got each channel from where it stood, one by one, and the very frames that history gives.
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in watcher.events_so_far().await.into_iter().filter(|event| !event["seq"].is_null()) {
        if event["channel"] != "me" {
            seen.entry(text(&event, "channel")).or_default().push(event);
        }
    }
    for (channel, entries) in &record {
        let known = before.get(channel).map_or(0, Vec::len);
        assert_eq!(seen.remove(channel).unwrap_or_default(), entries[known..], "{channel} from {known}");
    }
    assert!(seen.is_empty(), "events of channels that are not there: {:?}", seen.keys());
}
