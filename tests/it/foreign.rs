//! Any WebSocket client will do: clients that others wrote, in four languages, do what a client has to do. Their sources, in
//! `foreign/`, are small and can be read as examples to docs/protocol.md; `tests/run` installs what they need.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::server::{Person, Server, text};
use super::ward::Ward;

/// A client does its part within this, also on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "slow rivers carry stones";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign")
}

/// A program on the path, or the panic that says who installs it.
pub fn program(name: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name} on the PATH: tests/run installs it"))
}

/// Node with the libraries of `foreign/package.json`.
fn node() -> Command {
    let modules = folder().join("node_modules/ws");
    assert!(modules.is_dir(), "tests/it/foreign/node_modules is missing: tests/run makes it (npm ci)");
    Command::new(program("node"))
}

/// The Python that `tests/run` makes.
pub fn python() -> Command {
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON");
    Command::new(python.expect("CARETHREAD_TEST_PYTHON names a Python with websockets: tests/run makes one"))
}

/// A server, a patient, somebody on the team for the client to be, and somebody who answers it.
pub struct Scene {
    pub server: Server,
    pub ward: Ward,
    client: Person,
}

impl Scene {
    pub async fn new() -> Self {
        let server = Server::new().await;
        let ward = Ward::open(&server, server.person("lead").await).await;
        let add = ["--json", "user", "add", "--handle", "client", "--name", "C", "--password-stdin"];
        let made = server.house.cli_with(&add, &format!("{PASSWORD}\n")).await.json();
        let issued = server.cli(&["token", "issue", "--user", "client"]).await;
        let client = Person { handle: "client".into(), id: text(&made, "id"), token: text(&issued, "token") };
        ward.add(&server, &client, json!({})).await;
        Self { server, ward, client }
    }

    /// What the client signs in by: the body of `POST /v1/sessions`.
    pub fn sign_in(&self) -> String {
        json!({"handle": self.client.handle, "password": PASSWORD}).to_string()
    }

    /// Port, certificate, token, channel, item: the arguments of every client.
    pub fn arguments(&self) -> [String; 5] {
        let certificate = self.server.house.data().join("tls/cert.pem").display().to_string();
        let (channel, item) = (self.ward.id("staff").to_owned(), self.ward.id("goal").to_owned());
        [self.server.address.port().to_string(), certificate, self.client.token.clone(), channel, item]
    }

    /// Runs a client to its end, with somebody on the other side; its messages stand in the record then.
    async fn play(&self, name: &str, command: &mut Command) {
        command.stdin(Stdio::null()).kill_on_drop(true);
        let played = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                output = command.output() => output.unwrap(),
                () = self.answer() => unreachable!("the other side stays"),
            }
        });
        let output = played.await.unwrap_or_else(|_| panic!("{name} came to no end"));
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{name}: {}{}", said(&output.stdout), said(&output.stderr));
        assert!(said(&output.stdout).contains("spoken with"), "{name}: {}", said(&output.stdout));
        let page = json!({"channel": self.ward.id("staff"), "limit": 200});
        let page = self.server.run(&self.ward.lead, "history", page).await;
        let by_client: Vec<&Value> =
            page["events"].as_array().unwrap().iter().filter(|event| event["by"] == self.client.id).collect();
        assert_eq!(by_client.len(), 2, "{name}: one message each, once: {by_client:?}");
        assert!(by_client.iter().all(|event| event["data"]["item"] == self.ward.id("goal")), "linked to the item");
    }

    /// Another client: answers, and talks on while the first one is away.
    async fn answer(&self) {
        let mut socket = self.server.socket(&self.ward.lead).await;
        socket.run("resume", json!({})).await;
        loop {
            let event = socket.event().await;
            let words = event["data"]["text"].as_str().unwrap_or_default().to_owned();
            let answers: Vec<String> = if let Some(name) = words.strip_suffix(" was here") {
                vec![format!("seen, {name}")]
            } else if let Some(name) = words.strip_suffix(" is away") {
                (1..=3).map(|n| format!("{name} missed this {n}")).collect()
            } else {
                continue;
            };
            for text in answers {
                let data = json!({"channel": self.ward.id("staff"), "item": self.ward.id("goal"), "text": text});
                self.server.run(&self.ward.lead, "message.post", data).await;
            }
        }
    }
}

both!(node_with_the_library_ws);
async fn node_with_the_library_ws() {
    let scene = Scene::new().await;
    scene.play("node", node().arg(folder().join("client.mjs")).args(scene.arguments())).await;
}

both!(java_with_what_it_brings);
async fn java_with_what_it_brings() {
    let scene = Scene::new().await;
    let mut java = Command::new(program("java"));
    scene.play("java", java.arg(folder().join("Client.java")).args(scene.arguments())).await;
}

both!(chromium_by_password_and_ticket);
async fn chromium_by_password_and_ticket() {
    let scene = Scene::new().await;
    let [port, _, _, channel, item] = scene.arguments();
    let profile = tempfile::tempdir().unwrap();
    let mut browser = node();
    browser.arg(folder().join("chromium.mjs")).arg(program("chromium")).arg(port).arg(profile.path());
    scene.play("chromium", browser.args([scene.client.handle.as_str(), PASSWORD, &channel, &item])).await;
}

both!(python_signs_in_in_every_way_and_is_heard);
async fn python_signs_in_in_every_way_and_is_heard() {
    let scene = Scene::new().await;
    let (server, ward) = (&scene.server, &scene.ward);
    let headers = format!("Authorization: Bearer {}\r\n", ward.lead.token);
    let issued = server.request("POST /v1/ws-tickets", &headers, b"").await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let [port, certificate, ..] = scene.arguments();
    let mut command = python();
    command.arg(folder().join("every_way.py")).args([port, certificate]);
    command.args([&ward.lead.token, &text(&issued.json(), "ticket")]).args([ward.id("staff"), ward.id("goal")]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = server.run(&ward.lead, "history", json!({"channel": ward.id("staff"), "limit": 1})).await;
    assert!(text(&page["events"][0]["data"], "text").starts_with("Blåbär \u{1f489} \0 x"), "byte for byte");
}
