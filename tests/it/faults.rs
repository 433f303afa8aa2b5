//! A disk that fails and a server that is told to go: what was replied to stays, what was not can be repeated.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::chance::fresh_id;
use super::law5::whole_record;
use super::server::{House, Person, Server, list, text};
use super::ward::Ward;

const WRITERS: usize = 3;

/// A write, and its reply if one came.
struct Kept {
    data: Value,
    reply: Option<Value>,
}

async fn house_with(people: usize) -> (House, Ward, Vec<Person>) {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let ward = Ward::open(&server, lead.clone()).await;
    let mut all = vec![lead];
    for n in 1..people {
        let person = server.person(&format!("writer-{n}")).await;
        ward.add(&server, &person, json!({})).await;
        all.push(person);
    }
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    (house, ward, all)
}

fn post(ward: &Ward) -> Value {
    json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": fresh_id(), "key": fresh_id()})
}

/// Posts `count` messages one after the other, going on after `internal` and `busy`, ending when the server is gone.
async fn write(server: Arc<Server>, ward: Arc<Ward>, by: Person, count: usize) -> (Vec<Kept>, usize) {
    let (mut kept, mut internal) = (Vec::new(), 0);
    for _ in 0..count {
        let data = post(&ward);
        let Ok(answer) = server.try_ask(&by, "message.post", data.clone()).await else {
            kept.push(Kept { data, reply: None });
            break;
        };
        let frame = answer.json();
        if frame["type"] == "reply" {
            kept.push(Kept { data, reply: Some(frame["data"].clone()) });
        } else {
            let code = &frame["error"]["code"];
            assert!(["internal", "busy"].map(Value::from).contains(code), "{frame}");
            internal += usize::from(code == "internal");
            kept.push(Kept { data, reply: None });
        }
    }
    (kept, internal)
}

/// Nothing replied is lost, everything can be repeated and is there once then, and the record verifies.
async fn nothing_is_lost(house: House, ward: &Ward, kept: &[(Person, Vec<Kept>)]) {
    let server = house.serve().await;
    for (by, kept) in kept {
        for one in kept {
            let again = server.run(by, "message.post", one.data.clone()).await;
            if let Some(reply) = &one.reply {
                let mut first = reply.clone();
                first["repeat"] = json!(true);
                assert_eq!(again, first, "a replied write gives its first answer");
            }
        }
    }
    let record = whole_record(&server, &ward.lead).await;
    let staff = &record[ward.id("staff")];
    for one in kept.iter().flat_map(|(_, kept)| kept) {
        let found = staff.iter().filter(|entry| entry["data"]["text"] == one.data["text"]).count();
        assert_eq!(found, 1, "{}", one.data);
    }
    let verified = server.house.cli(&["verify", "--record"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

/// Serves under `strace`, which makes the syncs that `when` names fail with EIO.
async fn serve_with_failing_sync(house: House, when: &str) -> Server {
    let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}");
    let quiet = house.path("strace.log").display().to_string();
    // The tracer is a grandchild: the process that is waited for and killed is the server.
    house.serve_under(&["strace", "-D", "-f", "-qq", "-o", &quiet, "-e", "trace=fdatasync,fsync", "-e", &inject]).await
}

sqlite_only!(after_a_failed_sync_no_reply_rests_on_it, "The server itself syncs files only on SQLite.");
async fn after_a_failed_sync_no_reply_rests_on_it() {
    let (mut house, ward, people) = house_with(WRITERS).await;
    let ward = Arc::new(ward);
    let mut refused = 0;
    for when in ["4", "17", "30..32"] {
        let server = Arc::new(serve_with_failing_sync(house, when).await);
        let writers: Vec<_> = people
            .iter()
            .map(|by| (by.clone(), tokio::spawn(write(Arc::clone(&server), Arc::clone(&ward), by.clone(), 25))))
            .collect();
        let mut kept = Vec::new();
        for (by, writer) in writers {
            let (written, internal) = writer.await.unwrap();
            refused += internal;
            kept.push((by, written));
        }
        let server = Arc::into_inner(server).unwrap();
        assert!(kept.iter().any(|(_, kept)| kept.iter().any(|one| one.reply.is_none())), "sync {when} did not fail");
        // Whatever it did about it, it is ended as by a power loss: what counts is on the disk.
        let left = server.kill().await;
        let copy = left.copied().await;
        nothing_is_lost(copy, &ward, &kept).await;
        house = left;
    }
    assert!(refused > 0, "nobody was told `internal`");
}

/// Makes every sync of a running server fail with EIO until the tracer that is given back is told to end.
async fn disk_fails(server: &Server) -> Child {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO", "-p"]);
    command.arg(server.pid().to_string()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut tracer = command.spawn().unwrap();
    let mut lines = BufReader::new(tracer.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("attached") {
            // What it says later is read on, so that it never waits for a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return tracer;
        }
    }
    panic!("strace did not attach");
}

sqlite_only!(a_disk_that_fails_gives_no_reply_to_a_write, "The server itself syncs files only on SQLite.");
async fn a_disk_that_fails_gives_no_reply_to_a_write() {
    let (house, ward, people) = house_with(1).await;
    let (ward, by) = (Arc::new(ward), people[0].clone());
    let server = Arc::new(house.serve().await);
    let mut journal = Vec::new();
    for _ in 0..2 {
        let (kept, _) = write(Arc::clone(&server), Arc::clone(&ward), by.clone(), 5).await;
        assert!(kept.iter().all(|one| one.reply.is_some()), "a healthy disk takes everything");
        journal.push((by.clone(), kept));
        let mut tracer = disk_fails(&server).await;
        let (kept, internal) = write(Arc::clone(&server), Arc::clone(&ward), by.clone(), 10).await;
        assert!(kept.iter().all(|one| one.reply.is_none()), "a reply while the disk fails");
        assert!(internal > 0 || kept.len() < 10, "told, or gone");
        journal.push((by.clone(), kept));
        let detached = Command::new("kill").args(["-s", "INT", &tracer.id().unwrap().to_string()]).status().await;
        assert!(detached.unwrap().success());
        tracer.wait().await.unwrap();
        // Whoever stays must serve again; whoever goes must say that something is wrong.
        let data = post(&ward);
        match server.try_ask(&by, "message.post", data.clone()).await {
            Ok(answer) if answer.status == 200 => {
                journal.push((by.clone(), vec![Kept { data, reply: Some(answer.json()["data"].clone()) }]));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let house = Arc::into_inner(server).unwrap().kill().await;
    nothing_is_lost(house, &ward, &journal).await;
}

both!(a_server_told_to_end_finishes_what_it_replies_to_and_sends_clients_back);
async fn a_server_told_to_end_finishes_what_it_replies_to_and_sends_clients_back() {
    let (house, ward, people) = house_with(WRITERS).await;
    let ward = Arc::new(ward);
    let server = Arc::new(house.serve().await);
    let mut watcher = server.socket(&people[0]).await;
    watcher.run("resume", json!({})).await;
    let writers: Vec<_> = people
        .iter()
        .map(|by| (by.clone(), tokio::spawn(write(Arc::clone(&server), Arc::clone(&ward), by.clone(), 100_000))))
        .collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    server.signal("TERM").await;
    let mut notices = Vec::new();
    let mut seen = Vec::new();
    while let Some(frame) = watcher.text().await {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        match frame["type"].as_str() {
            Some("notice") => notices.push(text(&frame, "code")),
            _ => seen.push(frame),
        }
    }
    assert_eq!(watcher.closed().await, 4503);
    assert_eq!(notices, ["draining"]);
    let mut kept = Vec::new();
    for (by, writer) in writers {
        kept.push((by, writer.await.unwrap().0));
    }
    assert!(kept.iter().all(|(_, kept)| kept.iter().any(|one| one.reply.is_some())), "each wrote something");
    let (house, code) = Arc::into_inner(server).unwrap().ended().await;
    assert_eq!(code, Some(0));
    assert!(!house.data().join("control.sock").exists(), "nothing is left that looks like a running server");
    nothing_is_lost(house, &ward, &kept).await;
}

both!(a_copy_of_the_files_taken_at_any_moment_holds_every_reply_before_it);
async fn a_copy_of_the_files_taken_at_any_moment_holds_every_reply_before_it() {
    // What a power loss leaves: files as they are between two writes of the server, opened elsewhere.
    let (house, ward, people) = house_with(2).await;
    let ward = Arc::new(ward);
    let server = Arc::new(house.serve().await);
    for round in 0..6_u64 {
        let by = people[1].clone();
        let (kept, _) =
            write(Arc::clone(&server), Arc::clone(&ward), by.clone(), 5 + usize::try_from(round).unwrap()).await;
        let noise = tokio::spawn(write(Arc::clone(&server), Arc::clone(&ward), people[0].clone(), 40));
        tokio::time::sleep(Duration::from_millis(3 + 11 * round)).await;
        // Held still meanwhile: a disk is cut at one moment, not file by file.
        server.signal("STOP").await;
        let copy = server.house.copied().await;
        server.signal("CONT").await;
        noise.await.unwrap();
        assert!(kept.iter().all(|one| one.reply.is_some()));
        nothing_is_lost(copy, &ward, &[(by, kept)]).await;
    }
}

both!(a_reply_can_be_fetched_again_after_any_end);
async fn a_reply_can_be_fetched_again_after_any_end() {
    let (house, ward, people) = house_with(1).await;
    let server = house.serve().await;
    let data = post(&ward);
    let first = server.run(&people[0], "message.post", data.clone()).await;
    let house = server.kill().await;
    let server = house.serve().await;
    let again = server.run(&people[0], "message.post", data.clone()).await;
    assert_eq!((&again["repeat"], &again["seq"], &again["head"]), (&json!(true), &first["seq"], &first["head"]));
    // The same key for other words is told apart, after a restart as before it.
    let mut other = data;
    other["text"] = json!("other words");
    assert_eq!(server.code(&people[0], "message.post", other).await, "conflict");
    let page = server.run(&people[0], "history", json!({"channel": ward.id("staff"), "limit": 200})).await;
    assert_eq!(list(&page, "events").last().unwrap()["seq"], first["seq"]);
}
