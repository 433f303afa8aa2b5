//! docs/protocol.md against the program: nothing that can be sent or heard is missing from the page, its examples have the members
//! that real frames have, and the client it prints is a client.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use carethread::features::FEATURES;
use carethread::interfaces::documents::Documents;
use carethread::kernel::base::Code;
use carethread::kernel::base::limits::Limits;
use carethread::kernel::engine::Registry;
use carethread::kernel::wire::close;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::ChildStdout;
use tokio::sync::watch;

use super::foreign::{Scene, python};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/protocol.md")).unwrap()
}

#[test]
fn every_op_member_code_and_limit_stands_on_the_page() {
    let page = page();
    let words: BTreeSet<&str> = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).collect();
    let words: BTreeSet<&str> = words.into_iter().map(|word| word.trim_matches('.')).collect();
    let registry = Registry::new(FEATURES);
    let openapi: Value = serde_json::from_str(&Documents::of(&registry, &Limits::default()).openapi.text).unwrap();
    let mut wanted: Vec<String> = ["login", "resume", "typing", "ping"].map(str::to_owned).into();
    for op in FEATURES.iter().flat_map(|feature| feature.face().ops).filter(|op| op.public) {
        wanted.push(op.name.to_owned());
        for ending in ["Data", "Reply"] {
            let name = format!("{}{ending}", super::document::pascal(op.name));
            let members = openapi["components"]["schemas"][&name]["properties"].as_object().into_iter().flatten();
            wanted.extend(members.map(|(member, _)| member.clone()));
        }
    }
    wanted.extend(FEATURES.iter().flat_map(|feature| feature.face().events).map(|event| event.name.to_owned()));
    wanted.extend(Code::ALL.iter().map(|code| code.text().to_owned()));
    wanted.extend(close::ALL.iter().map(|(code, _)| code.to_string()));
    wanted.extend(Limits::default().to_json().as_object().unwrap().keys().cloned());
    let routes = openapi["paths"].as_object().unwrap().keys().filter(|path| *path != "/");
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|word| !words.contains(word)).collect();
    assert!(missing.is_empty(), "docs/protocol.md does not say: {missing:?}");
    for route in routes {
        assert!(page.contains(route.split("/{").next().unwrap()), "docs/protocol.md does not name {route}");
    }
}

/// Every member of a frame, by its path; what lists hold counts once.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            found.insert(format!("{at}.{name}"));
            paths(value, &format!("{at}.{name}"), found);
        }),
        Value::Array(list) => list.iter().for_each(|value| paths(value, &format!("{at}[]"), found)),
        _ => {}
    }
}

#[test]
fn every_event_has_an_example_with_the_members_of_a_real_one() {
    let page = page();
    let examples: Vec<Value> = page.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |value: &Value| {
        let mut found = BTreeSet::new();
        paths(value, "", &mut found);
        found
    };
    for entry in std::fs::read_dir(root().join("clients/contract/events")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let golden: Value = serde_json::from_str(&text).unwrap();
        let golden = &golden["frame"];
        let alike =
            |one: &&Value| one["event"] == golden["event"] && (one["channel"] == "me") == (golden["channel"] == "me");
        let example = examples.iter().filter(alike).any(|example| of(example) == of(golden));
        assert!(example, "docs/protocol.md, section 9, has no line with the members of\n{golden}");
    }
}

/// The program between "```python" and "```".
fn printed_client() -> String {
    let page = page();
    let (_, rest) = page.split_once("```python\n").expect("the page prints a client");
    rest.split_once("```").unwrap().0.to_owned()
}

/// Passes connections on to the server, and cuts them on demand.
async fn line(server: std::net::SocketAddr) -> (u16, watch::Sender<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, cuts) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (port, cut)
}

async fn until(lines: &mut Lines<BufReader<ChildStdout>>, words: &str) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let line =
            tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.expect("the client says more");
        heard.push(line.unwrap().unwrap_or_else(|| panic!("the client ended after {heard:?}")));
        if heard.last().unwrap().contains(words) {
            return heard;
        }
    }
}

both!(the_client_on_the_page_misses_nothing);
async fn the_client_on_the_page_misses_nothing() {
    let scene = Scene::new().await;
    let (server, ward) = (&scene.server, &scene.ward);
    let program = server.house.path("client.py");
    std::fs::write(&program, printed_client()).unwrap();
    let (port, cut) = line(server.address).await;
    let [_, certificate, token, channel, item] = scene.arguments();
    let mut client = python();
    client.arg(&program).arg(format!("wss://localhost:{port}/v1/ws")).args([certificate, token, channel, item]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut client = client.spawn().unwrap();
    let mut typed = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let says = async |text: &str| {
        let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": text});
        server.run(&ward.lead, "message.post", data).await;
    };
    let mut heard = until(&mut lines, "message_unsorted").await;
    typed.write_all(b"from the page\n").await.unwrap();
    heard.extend(until(&mut lines, "from the page").await);
    says("by another").await;
    heard.extend(until(&mut lines, "by another").await);
    cut.send(1).unwrap();
    for n in 0..3 {
        says(&format!("missed {n}")).await;
    }
    typed.write_all(b"typed while away\n").await.unwrap();
    says("last").await;
    heard.extend(until(&mut lines, "missed 2").await);
    while !heard.iter().any(|line| line.contains("typed while away"))
        || !heard.iter().any(|line| line.contains(" last"))
    {
        heard.extend(until(&mut lines, "message.posted").await);
    }
    let seqs: Vec<u64> = heard.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    let whole: Vec<u64> = (1..=seqs.len() as u64).collect();
    assert_eq!(seqs, whole, "each entry once, in order: {heard:?}");
}
