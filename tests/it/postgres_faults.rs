//! PostgreSQL restarts, dies, hangs, and loses a connection in the middle of a COMMIT: what was replied to is there once and in order,
//! everything else can be repeated, and the same Carethread process goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::chance::fresh_id;
use super::cut::{At, Cutter};
use super::law5::whole_record;
use super::own::Own;
use super::server::{House, Person, ROOMY, Server, list};
use super::ward::Ward;

const WRITERS: usize = 4;
/// Law: service goes on so soon after the database is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// A write, and its reply if one came.
struct Kept {
    data: Value,
    reply: Option<Value>,
}

/// A server whose record is on a cluster of the test, and people who write.
struct Scene {
    server: Arc<Server>,
    ward: Arc<Ward>,
    people: Vec<Person>,
    stop: Arc<AtomicBool>,
}

impl Scene {
    async fn on(url: &str) -> Self {
        let house = House::new(&format!("{ROOMY}[database]\nurl = \"{url}\"\n")).await;
        let server = house.serve().await;
        let lead = server.person("lead").await;
        let ward = Ward::open(&server, lead.clone()).await;
        let mut people = vec![lead];
        for n in 1..WRITERS {
            let person = server.person(&format!("writer-{n}")).await;
            ward.add(&server, &person, json!({})).await;
            people.push(person);
        }
        Self { server: Arc::new(server), ward: Arc::new(ward), people, stop: Arc::default() }
    }

    /// Everybody writes until [`Scene::stopped`].
    fn write(&self) -> Vec<tokio::task::JoinHandle<Vec<Kept>>> {
        self.stop.store(false, Ordering::SeqCst);
        let writers = self.people.iter().map(|by| {
            tokio::spawn(write(Arc::clone(&self.server), Arc::clone(&self.ward), by.clone(), Arc::clone(&self.stop)))
        });
        writers.collect()
    }

    async fn stopped(&self, writers: Vec<tokio::task::JoinHandle<Vec<Kept>>>) -> Vec<Vec<Kept>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut kept = Vec::new();
        for writer in writers {
            kept.push(writer.await.unwrap());
        }
        kept
    }

    /// Waits until a write is taken again; how long that took.
    async fn back(&self) -> Duration {
        let since = Instant::now();
        loop {
            // A connection that rested for too long may be closed under the request.
            let answer = self.server.try_ask(&self.people[0], "message.post", post(&self.ward)).await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return since.elapsed();
            }
            let told = answer.map(|answer| answer.text);
            assert!(since.elapsed() < Duration::from_secs(40), "it does not come back: {told:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing replied is lost, everything else can be repeated and is there once then, and the record verifies.
    async fn nothing_is_lost(&self, kept: &[Vec<Kept>]) {
        for (by, kept) in self.people.iter().zip(kept) {
            assert!(kept.iter().filter(|one| one.reply.is_some()).count() > 1, "{} wrote something", by.handle);
            for one in kept {
                let again = self.server.run(by, "message.post", one.data.clone()).await;
                if let Some(reply) = &one.reply {
                    let mut first = reply.clone();
                    first["repeat"] = json!(true);
                    assert_eq!(again, first, "a replied write gives its first answer");
                }
            }
        }
        let record = whole_record(&self.server, &self.ward.lead).await;
        let staff = &record[self.ward.id("staff")];
        let mut texts: Vec<&str> = staff.iter().filter_map(|entry| entry["data"]["text"].as_str()).collect();
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), all, "an entry is there twice");
        for one in kept.iter().flatten() {
            assert!(texts.binary_search(&one.data["text"].as_str().unwrap()).is_ok(), "{} is missing", one.data);
        }
        // In the order of the replies: whoever waited for one answer before the next finds them so.
        for kept in kept {
            let seqs: Vec<i64> = kept.iter().filter_map(|one| one.reply.as_ref()?["seq"].as_i64()).collect();
            assert!(seqs.is_sorted());
        }
        let verified = self.server.house.cli(&["verify", "--record"]).await;
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    }
}

fn post(ward: &Ward) -> Value {
    json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": fresh_id(), "key": fresh_id()})
}

async fn write(server: Arc<Server>, ward: Arc<Ward>, by: Person, stop: Arc<AtomicBool>) -> Vec<Kept> {
    let mut kept = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let data = post(&ward);
        let Ok(answer) = server.try_ask(&by, "message.post", data.clone()).await else {
            // A connection that rested for too long was closed under the request.
            kept.push(Kept { data, reply: None });
            continue;
        };
        let frame = answer.json();
        if frame["type"] == "reply" {
            kept.push(Kept { data, reply: Some(frame["data"].clone()) });
            continue;
        }
        // Refused by the route, before it is a command, or by the committer.
        let code = frame["error"]["code"].as_str().or_else(|| frame["code"].as_str()).unwrap_or_default();
        assert!(["internal", "busy"].contains(&code), "{}", answer.text);
        kept.push(Kept { data, reply: None });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kept
}

/// Everything that came over a socket, in channel `staff`.
async fn heard(scene: &Scene, mut socket: super::socket::Socket) -> Vec<i64> {
    let last = scene.server.run(&scene.people[0], "message.post", post(&scene.ward)).await["seq"].as_i64().unwrap();
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        let event = socket.event().await;
        if event["channel"] == scene.ward.id("staff") && event["seq"].is_i64() {
            seqs.push(event["seq"].as_i64().unwrap());
        }
    }
    seqs
}

/// Under load, `hurt` is done to the cluster `rounds` times; it returns when the cluster answers again.
async fn outlives(rounds: usize, hurt: impl AsyncFn(&Own)) {
    let own = Own::new();
    let scene = Scene::on(&own.url(own.port)).await;
    let pid = scene.server.pid();
    let mut socket = scene.server.socket(&scene.people[1]).await;
    socket.run("resume", json!({})).await;
    let mut writers = scene.write();
    let mut journal: Vec<Vec<Kept>> = (0..WRITERS).map(|_| Vec::new()).collect();
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(700)).await;
        hurt(&own).await;
        let took = scene.back().await;
        assert!(took < BACK_WITHIN, "round {round}: back after {took:?}");
        for (all, some) in journal.iter_mut().zip(scene.stopped(writers).await) {
            all.extend(some);
        }
        writers = scene.write();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (all, some) in journal.iter_mut().zip(scene.stopped(writers).await) {
        all.extend(some);
    }
    let seqs = heard(&scene, socket).await;
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a socket that stayed hears everything once, in order");
    scene.nothing_is_lost(&journal).await;
    assert_eq!(scene.server.pid(), pid);
    assert_eq!(scene.server.request("GET /readyz", "", b"").await.status, 200);
}

placed!(a_database_that_restarts_under_load_loses_nothing);
async fn a_database_that_restarts_under_load_loses_nothing() {
    outlives(4, async |own| {
        own.stop();
        own.start();
    })
    .await;
}

placed!(a_database_that_is_killed_under_load_loses_nothing);
async fn a_database_that_is_killed_under_load_loses_nothing() {
    outlives(3, async |own| {
        own.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        own.start();
    })
    .await;
}

placed!(a_database_that_hangs_makes_nobody_wait_for_ever);
async fn a_database_that_hangs_makes_nobody_wait_for_ever() {
    let own = Own::new();
    let scene = Scene::on(&own.url(own.port)).await;
    let mut socket = scene.server.socket(&scene.people[1]).await;
    socket.run("resume", json!({})).await;
    let writers = scene.write();
    tokio::time::sleep(Duration::from_millis(500)).await;
    own.pause();
    let paused = Instant::now();
    // Whoever writes, reads or asks whether it is ready is told, and soon.
    for (op, data) in
        [("message.post", post(&scene.ward)), ("channel.list", json!({})), ("message.post", post(&scene.ward))]
    {
        let since = Instant::now();
        let answer = scene.server.ask(&scene.people[0], op, data).await;
        assert!(since.elapsed() < Duration::from_secs(20), "{op} took {:?}", since.elapsed());
        assert!([503, 500].contains(&answer.status), "{op}: {}", answer.text);
    }
    assert_eq!(scene.server.request("GET /readyz", "", b"").await.status, 503);
    assert_eq!(scene.server.request("GET /livez", "", b"").await.status, 200);
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(paused.elapsed())).await;
    own.resume();
    let took = scene.back().await;
    assert!(took < BACK_WITHIN, "back after {took:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let journal = scene.stopped(writers).await;
    assert!(journal.iter().flatten().any(|one| one.reply.is_none()));
    let seqs = heard(&scene, socket).await;
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a socket that stayed hears everything once, in order");
    scene.nothing_is_lost(&journal).await;
}

placed!(a_database_that_stays_away_is_waited_for);
async fn a_database_that_stays_away_is_waited_for() {
    let own = Own::new();
    let scene = Scene::on(&own.url(own.port)).await;
    own.stop();
    let data = post(&scene.ward);
    assert_eq!(scene.server.code(&scene.people[0], "message.post", data.clone()).await, "busy");
    // At once now: nobody waits for what is known to be away.
    let since = Instant::now();
    assert_eq!(scene.server.code(&scene.people[0], "message.post", data.clone()).await, "busy");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(scene.server.request("GET /readyz", "", b"").await.status, 503);
    tokio::time::sleep(Duration::from_secs(3)).await;
    own.start();
    assert!(scene.back().await < BACK_WITHIN);
    let done = scene.server.run(&scene.people[0], "message.post", data).await;
    assert!(done.get("repeat").is_none(), "what was refused as busy was not done: {done}");
}

placed!(a_connection_cut_at_commit_is_resolved);
async fn a_connection_cut_at_commit_is_resolved() {
    let own = Own::new();
    let cutter = Cutter::new(own.port).await;
    let scene = Scene::on(&own.url(cutter.port)).await;
    let mut socket = scene.server.socket(&scene.people[1]).await;
    socket.run("resume", json!({})).await;
    let by = &scene.people[0];
    // Alone, so that it is this one's commit that is cut: replied to all the same, and done once.
    for (n, at) in [At::Before, At::Sent, At::Answered].into_iter().cycle().take(12).enumerate() {
        let data = post(&scene.ward);
        cutter.arm(at);
        let reply = scene.server.run(by, "message.post", data.clone()).await;
        assert_eq!(cutter.cuts(), n + 1, "{at:?}: nothing was cut");
        assert!(reply.get("repeat").is_none(), "{at:?}: {reply}");
        let mut again = scene.server.run(by, "message.post", data).await;
        assert_eq!(again["repeat"], true, "{at:?}: {again}");
        again.as_object_mut().unwrap().remove("repeat");
        assert_eq!(again, reply, "{at:?}");
        // Without a key nobody could find out later: it must be done once all the same.
        let mut data = post(&scene.ward);
        data.as_object_mut().unwrap().remove("key");
        let before = reply["seq"].as_i64().unwrap();
        let reply = scene.server.run(by, "message.post", data).await;
        assert_eq!(reply["seq"], before + 1, "{at:?}");
    }
    // Under load.
    let writers = scene.write();
    for at in [At::Sent, At::Before, At::Answered, At::Sent, At::Late, At::Sent] {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let before = cutter.cuts();
        cutter.arm(at);
        while cutter.cuts() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(9)).await;
    scene.back().await;
    let journal = scene.stopped(writers).await;
    let seqs = heard(&scene, socket).await;
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a socket that stayed hears everything once, in order");
    scene.nothing_is_lost(&journal).await;
}

placed!(a_commit_that_arrives_late_is_known_for_what_it_is);
async fn a_commit_that_arrives_late_is_known_for_what_it_is() {
    let own = Own::new();
    let cutter = Cutter::new(own.port).await;
    let scene = Scene::on(&own.url(cutter.port)).await;
    for _ in 0..2 {
        let data = post(&scene.ward);
        cutter.arm(At::Late);
        // The former connection is ended on the server before anything else is written, so that a late COMMIT finds nobody.
        let answer = scene.server.ask(&scene.people[0], "message.post", data.clone()).await;
        let after = scene.server.run(&scene.people[1], "message.post", post(&scene.ward)).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let again = scene.server.run(&scene.people[0], "message.post", data.clone()).await;
        if answer.status == 200 {
            assert_eq!(again["seq"], answer.json()["data"]["seq"]);
        }
        let page = scene.server.run(&scene.ward.lead, "history", json!({"channel": scene.ward.id("staff")})).await;
        let found = list(&page, "events").iter().filter(|event| event["data"]["text"] == data["text"]).count();
        assert_eq!(found, 1);
        assert!(list(&page, "events").iter().any(|event| event["seq"] == after["seq"]));
    }
    let verified = scene.server.house.cli(&["verify", "--record"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

placed!(an_unfit_server_is_refused_at_every_connect);
async fn an_unfit_server_is_refused_at_every_connect() {
    let own = Own::new();
    let scene = Scene::on(&own.url(own.port)).await;
    for (name, unfit) in
        [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off"), ("data_sync_retry", "on")]
    {
        own.run(&format!("ALTER SYSTEM SET {name} = {unfit}"));
        own.stop();
        own.start();
        // A server that runs refuses to go on there, and says why.
        assert_eq!(scene.server.code(&scene.people[0], "message.post", post(&scene.ward)).await, "busy", "{name}");
        let told = format!("PostgreSQL runs with {name} = {unfit}");
        let since = Instant::now();
        while !scene.server.house.log().contains(&told) {
            assert!(since.elapsed() < Duration::from_secs(5), "{told} is not in the log");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // One that is to start does not.
        let other = House::new("").await;
        let new = other.path("new").display().to_string();
        let done = other.cli(&["init", "--data", &new, "--database", &own.url(own.port)]).await;
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains(&told), "{}", done.stderr);
        own.run(&format!("ALTER SYSTEM RESET {name}"));
        own.stop();
        own.start();
        assert!(scene.back().await < BACK_WITHIN, "{name}");
    }
}
