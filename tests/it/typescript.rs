//! The package `clients/typescript`: its types are made from what the server says of itself, and its own tests hold against this
//! program. `tests/run` installs what it needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::foreign::program;
use super::server::Server;

/// Its tests kill and restart servers, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(900);
const COPY: &str = "schemas/asyncapi.json";

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/typescript")
}

/// What the types are made from: the messages and schemas, without what is about one release or one host.
async fn said_by(server: &Server) -> Value {
    let answer = server.request("GET /v1/asyncapi.json", "", b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let components = answer.json()["components"].take();
    json!({"components": {"messages": components["messages"], "schemas": components["schemas"]}})
}

/// One message or schema a line, so that a difference can be read.
fn lines(copy: &Value) -> String {
    let mut text = String::from("{\"components\":{");
    for (at, name) in ["messages", "schemas"].into_iter().enumerate() {
        let of = copy["components"][name].as_object().unwrap();
        let entries: Vec<String> = of.iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
        write!(text, "{}\"{name}\":{{\n{}\n}}", if at == 0 { "" } else { ",\n" }, entries.join(",\n")).unwrap();
    }
    text + "}}\n"
}

/// A command in the package's folder that is to succeed.
async fn succeeds(command: &mut Command) {
    let output = command.current_dir(package()).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

both!(the_types_are_made_from_what_the_server_says);
async fn the_types_are_made_from_what_the_server_says() {
    let said = said_by(&Server::new().await).await;
    if std::env::var_os("CARETHREAD_BLESS").is_some() {
        std::fs::write(package().join(COPY), lines(&said)).unwrap();
        succeeds(Command::new(program("node")).arg("scripts/generate.mjs")).await;
    }
    let copy: Value = serde_json::from_str(&std::fs::read_to_string(package().join(COPY)).unwrap()).unwrap();
    for part in ["messages", "schemas"] {
        let (copy, said) = (&copy["components"][part], &said["components"][part]);
        let differ = |name: &&String| copy.get(name) != said.get(name);
        let all = copy.as_object().unwrap().keys().chain(said.as_object().unwrap().keys());
        let differing: Vec<&String> = all.filter(differ).collect();
        assert!(
            differing.is_empty(),
            "{COPY} is not what the server says of {differing:?}: CARETHREAD_BLESS=1 cargo test --test it typescript"
        );
    }
    succeeds(Command::new(program("node")).args(["scripts/generate.mjs", "--check"])).await;
}

sqlite_only!(the_package_holds_against_this_program, "The package's tests start servers of their own.");
async fn the_package_holds_against_this_program() {
    let modules = package().join("node_modules");
    assert!(modules.is_dir(), "clients/typescript/node_modules is missing: tests/run makes it (npm ci)");
    succeeds(Command::new(program("npm")).arg("test").env("CARETHREAD_BIN", env!("CARGO_BIN_EXE_carethread"))).await;
}
