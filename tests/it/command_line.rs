//! The command line: what each command answers, with which exit code, alone and beside a running server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::http::Connection;
use super::server::{Done, House, Server, list, sample, text};

/// Refused: exit 1, one sentence on standard error, nothing on standard output.
#[track_caller]
fn refused(done: &Done, word: &str) {
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(done.stderr.contains(word), "{}", done.stderr);
}

/// The names of an object's members.
#[track_caller]
fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The files of a house at rest, with what is in them.
fn whole(house: &House) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = ["kek", "tls/cert.pem", "tls/key.pem", "record.db", "keys.db"].map(PathBuf::from);
    names.into_iter().filter_map(|name| Some((name.clone(), std::fs::read(house.data().join(name)).ok()?))).collect()
}

both!(init_makes_a_folder_and_touches_none_that_is_there);
async fn init_makes_a_folder_and_touches_none_that_is_there() {
    let house = House::new("").await;
    let mode = |name: &str| std::fs::metadata(house.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("kek"), mode("tls/key.pem")), (0o700, 0o400, 0o600));
    for name in ["files", "tls/cert.pem"] {
        assert!(house.data().join(name).exists(), "{name}");
    }
    for name in ["record.db", "keys.db"] {
        assert_eq!(house.data().join(name).exists(), house.base().is_none(), "{name}");
    }
    let users = house.cli(&["user", "list"]).await.stdout;
    let before = whole(&house);
    refused(&house.cli(&["init"]).await, "nothing was changed");
    assert!(whole(&house) == before, "a second init changed a file");
    assert_eq!(house.cli(&["user", "list"]).await.stdout, users);
    let mut other = tokio::process::Command::new(env!("CARGO_BIN_EXE_carethread"));
    other.args(["init", "--json", "--organization", "Riverside Clinic", "--data"]).arg(house.path("other"));
    let made = other.output().await.unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(members(&made), ["certificate", "certificate_sha256", "data", "deployment"]);
    assert_eq!(text(&made, "certificate_sha256").len(), 64);
}

both!(accounts_and_tokens_answer_alike_alone_and_beside_a_server);
async fn accounts_and_tokens_answer_alike_alone_and_beside_a_server() {
    let house = House::new("").await;
    everything(&house, "alone").await;
    let server = house.serve().await;
    everything(&server.house, "beside").await;
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    let users = house.cli(&["user", "list"]).await.json();
    let handles: Vec<String> = list(&users, "users").iter().map(|user| text(user, "handle")).collect();
    assert_eq!(handles, ["alone", "beside", "operator"]);
}

async fn everything(house: &House, handle: &str) {
    let add = ["--json", "user", "add", "--handle", handle, "--name", "Maja Lindqvist", "--password-stdin"];
    let made = house.cli_with(&add, "quiet harbor 91 willows\n").await.json();
    assert_eq!((members(&made), text(&made, "handle").as_str()), (vec!["handle", "id"], handle));
    refused(&house.cli(&["user", "add", "--handle", &handle.to_uppercase(), "--name", "Other"]).await, "taken");
    let weak = ["--json", "user", "add", "--handle", "weak", "--name", "Weak", "--password-stdin"];
    refused(&house.cli_with(&weak, "password1234").await, "password");
    refused(&house.cli_with(&weak, "").await, "stdin");
    let issued = house.cli(&["token", "issue", "--user", handle, "--label", "laptop", "--days", "3"]).await.json();
    assert_eq!(members(&issued), ["expires_at", "id", "token"]);
    assert!(text(&issued, "token").starts_with("ct_pat_"));
    refused(&house.cli(&["token", "issue", "--user", "nobody"]).await, "handle");
    refused(&house.cli(&["token", "issue", "--user", handle, "--days", "366"]).await, "365");
    let tokens = house.cli(&["token", "list", "--user", handle]).await.json();
    assert_eq!(list(&tokens, "tokens").len(), 1);
    assert!(!tokens.to_string().contains(&text(&issued, "token")));
    house.cli(&["token", "revoke", &text(&issued, "id")]).await.json();
    refused(&house.cli(&["token", "revoke", &text(&issued, "id")]).await, "token");
    house.cli(&["user", "suspend", "--handle", handle]).await.json();
    house.cli(&["user", "restore", "--handle", handle]).await.json();
    let password = ["--json", "user", "password", "--handle", handle];
    house.cli_with(&password, "another meadow 17 lantern\n").await.json();
    let by = house.cli(&["user", "list", "--by", "nobody"]).await;
    refused(&by, "by");
}

both!(wrong_usage_is_2_and_a_folder_that_is_none_is_1);
async fn wrong_usage_is_2_and_a_folder_that_is_none_is_1() {
    let house = House::new("").await;
    for line in ["", "nothing", "user add", "user add --handle a", "export --patient p --format odd --out o", "verify"]
    {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let done = house.cli_with(&arguments, "").await;
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{line}: {}", done.stderr);
    }
    for arguments in [&["user", "list"][..], &["serve"], &["verify", "--record"]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carethread"));
        command.args(arguments).arg("--data").arg(house.path("none"));
        let output = command.output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("carethread init"), "{said}");
    }
}

both!(a_record_is_taken_out_and_checked_and_a_changed_byte_is_named);
async fn a_record_is_taken_out_and_checked_and_a_changed_byte_is_named() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let data = json!({"name": "Ruth Okafor", "identifiers": [{"system": "urn:a|b", "value": "7"}]});
    let patient = text(&server.run(&nurse, "patient.register", data).await, "patient");
    let listed = server.cli(&["patient", "list"]).await;
    assert_eq!(members(&list(&listed, "patients")[0]), ["id", "identifiers", "name"]);
    let other = server.person("other").await;
    let add = ["team", "add", "--patient", "urn:a|b|7", "--user", "other", "--role", "Physician", "--by", "nurse"];
    let joined = server.cli(&add).await;
    assert_eq!(joined, json!({"patient": patient, "user": other.id, "seq": joined["seq"]}));
    refused(&server.house.cli(&["team", "add", "--patient", "x|y", "--user", "other", "--role", "R"]).await, "patient");

    let (lines, proof) = (server.house.path("record.ndjson"), server.house.path("proof"));
    let export = |format: &'static str, out: &std::path::Path| {
        let out = out.to_str().unwrap().to_owned();
        let house = &server.house;
        async move { house.cli(&["export", "--patient", "urn:a|b|7", "--format", format, "--out", &out]).await }
    };
    let done = export("ndjson", &lines).await.json();
    assert_eq!(members(&done), ["channels", "entries", "path"]);
    let written = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(Some(written.lines().count() as u64), done["entries"].as_u64());
    refused(&export("ndjson", &lines).await, "exists");
    export("proof", &proof).await.json();

    let alone = House::new("").await;
    let verify = |path: &str| {
        let (path, alone) = (server.house.path(path).to_str().unwrap().to_owned(), &alone);
        async move { alone.cli_with(&["verify", &path], "").await }
    };
    let clean = verify("proof").await;
    assert_eq!((clean.code, clean.stdout.lines().count()), (0, 1), "{}", clean.stderr);
    assert!(clean.stdout.contains("complete and unaltered up to") && clean.stdout.trim_end().ends_with("not pinned"));
    let signer = text(&server.cli(&["keys", "status"]).await, "signer");
    let path = proof.to_str().unwrap();
    let pinned = alone.cli(&["verify", path, "--key", &signer]).await.json();
    assert_eq!((&pinned["ok"], &pinned["pinned"]), (&json!(true), &json!(true)));
    flip_a_body(&proof);
    let changed = verify("proof").await;
    assert_eq!(changed.code, 1);
    assert!(changed.stdout.contains(" seq "), "{}", changed.stdout);
}

/// Changes one byte of the first disclosed body.
fn flip_a_body(proof: &std::path::Path) {
    let channel = std::fs::read_dir(proof.join("channels")).unwrap().next().unwrap().unwrap().path();
    let path = channel.join("entries.ndjson");
    let before = std::fs::read_to_string(&path).unwrap();
    let at = before.find("\"body\":\"").unwrap() + 20;
    let sign = if before.as_bytes()[at] == b'A' { "B" } else { "A" };
    std::fs::write(&path, format!("{}{sign}{}", &before[..at], &before[at + 1..])).unwrap();
}

both!(the_record_itself_is_walked);
async fn the_record_itself_is_walked() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    server.run(&nurse, "patient.register", json!({"name": "Ruth Okafor"})).await;
    let walked = server.cli(&["verify", "--record"]).await;
    assert_eq!((&walked["ok"], list(&walked, "faults").len(), list(&walked, "channels").len()), (&json!(true), 0, 2));
    assert_eq!(members(&list(&walked, "channels")[0]), ["channel", "head", "size"]);
    let said = server.house.cli_with(&["verify", "--record"], "").await;
    assert_eq!((said.code, said.stdout.lines().count()), (0, 1), "{}", said.stderr);
    let doctor = server.cli(&["doctor"]).await;
    assert_eq!(doctor["ok"], json!(true), "{doctor}");
}

both!(the_configuration_is_checked_and_shown);
async fn the_configuration_is_checked_and_shown() {
    let mut house = House::new("[limits]\nidle_minutes = 7\n").await;
    assert_eq!(house.cli(&["config", "check"]).await.json()["ok"], json!(true));
    assert_eq!(house.cli(&["config", "print"]).await.json()["limits"]["idle_minutes"], json!(7));
    house.set("CARETHREAD_LIMITS_IDLE_MINUTES", "9");
    assert_eq!(house.cli(&["config", "print"]).await.json()["limits"]["idle_minutes"], json!(9));
    std::fs::write(house.path("config.toml"), "[limits]\nidle_minute = 7\n").unwrap();
    refused_by_line(&house.cli(&["config", "check"]).await);
    refused_by_line(&house.cli(&["serve"]).await);
}

#[track_caller]
fn refused_by_line(done: &Done) {
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("line 2, column 1"), "{}", done.stderr);
}

both!(files_of_other_systems_come_in_once);
async fn files_of_other_systems_come_in_once() {
    let server = Server::new().await;
    let nurse = server.person("nurse").await;
    let family = server.person_with("family", &["--kind", "related_person"]).await;
    let file = |name: &str| sample(name).to_str().unwrap().to_owned();
    let import = ["patient", "import", &file("eltss-careplan.json")].map(str::to_owned);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    let first = server.cli(&import).await;
    assert_eq!(members(&first), ["not_understood", "patients"]);
    assert_eq!(members(&list(&first, "patients")[0]), ["created", "id", "items", "name"]);
    assert_eq!(list(&first, "patients")[0]["created"], json!(true));
    let again = server.cli(&import).await;
    assert_eq!(again["patients"][0]["created"], json!(false));
    assert_eq!(again["patients"][0]["id"], first["patients"][0]["id"]);
    let nothing = server.house.path("nothing.json");
    std::fs::write(&nothing, "[1, 2]").unwrap();
    let done = server.house.cli(&["patient", "import", nothing.to_str().unwrap()]).await;
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert!(!list(&serde_json::from_str(&done.stdout).unwrap(), "not_understood").is_empty());
    let body = std::fs::read(sample("synthea-2019-milan.json")).unwrap();
    let by = |person: &super::server::Person| format!("Authorization: Bearer {}\r\n", person.token);
    let refused = server.request("POST /v1/imports", &by(&family), b"{}").await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("forbidden")));
    let brought = server.request("POST /v1/imports", &by(&nurse), &body).await;
    assert_eq!((brought.status, &brought.json()["patients"][0]["created"]), (200, &json!(true)), "{}", brought.text);
    assert_eq!(list(&server.run(&nurse, "patient.list", json!({})).await, "patients").len(), 1);
}

both!(the_demo_can_be_used_as_printed);
async fn the_demo_can_be_used_as_printed() {
    let house = House::new("").await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carethread"));
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", house.path("tmp"));
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while printed.last().is_none_or(|line: &String| !line.starts_with("All of it")) {
        printed.push(lines.next_line().await.unwrap().expect("the demo goes on"));
    }
    let port = printed[0].strip_prefix("listening on https://127.0.0.1:").unwrap();
    for line in &printed[1..7] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.len() == 3 && words[1].len() >= 12 && words[2].starts_with("ct_pat_"), "{line}");
    }
    let post = printed.iter().find(|line| line.starts_with("curl") && line.contains("message.post")).unwrap();
    let (token, body) = (between(post, "Bearer ", "'"), between(post, "-d '", "'"));
    let data = std::fs::read_dir(house.path("tmp")).unwrap().next().unwrap().unwrap().path().join("data");
    let certificate = CertificateDer::from_pem_file(data.join("tls/cert.pem")).unwrap();
    let tls = carethread::interfaces::pin::client(certificate).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let mut connection = Connection::open(address, &tls).await.unwrap();
    let headers = format!("Authorization: Bearer {token}\r\n");
    let answer = connection.ask("POST /v1/ops", &headers, body.as_bytes()).await.unwrap();
    assert_eq!((answer.status, &answer.json()["type"]), (200, &json!("reply")), "{}", answer.text);
    let told = tokio::process::Command::new("kill").arg(child.id().unwrap().to_string()).status().await.unwrap();
    assert!(told.success() && child.wait().await.unwrap().success());
    assert_eq!(std::fs::read_dir(house.path("tmp")).unwrap().count(), 0, "the demo leaves nothing behind");
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}
