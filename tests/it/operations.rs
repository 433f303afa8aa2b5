//! What whoever runs it rests on: `doctor` names what is wrong and the mend, a supervisor is told, figures are those of the pages.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::database::Tables;
use super::server::{House, ROOMY, Server, list, text};
use super::ward::Ward;

/// What `doctor` says: the exit code and the checks.
async fn asked(house: &House) -> (i32, Vec<Value>) {
    let done = house.cli(&["doctor"]).await;
    let told: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}{}", done.stdout, done.stderr));
    let checks = list(&told, "checks").clone();
    for check in &checks {
        let members: Vec<&String> = check.as_object().unwrap().keys().collect();
        assert_eq!(members, ["found", "mend", "name", "state"], "{check}");
        assert_eq!(check["mend"].is_null(), check["state"] == "ok", "{check}");
        assert!(!text(check, "found").is_empty() && check["mend"].as_str() != Some(""), "{check}");
    }
    assert_eq!(told["ok"] == true, done.code == 0, "{told}");
    (done.code, checks)
}

/// The checks of a state, by name.
fn those(checks: &[Value], state: &str) -> BTreeSet<String> {
    checks.iter().filter(|check| check["state"] == state).map(|check| text(check, "name")).collect()
}

/// Exactly these have a problem, and the mend of the first says this word.
#[track_caller]
fn problems((code, checks): &(i32, Vec<Value>), names: &[&str], word: &str) {
    assert_eq!(
        (*code, those(checks, "problem")),
        (1, names.iter().map(|name| (*name).to_owned()).collect()),
        "{checks:?}"
    );
    let first = checks.iter().find(|check| check["name"] == names[0] && check["state"] == "problem").unwrap();
    assert!(text(first, "mend").contains(word), "{first}");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

both!(a_sound_house_has_no_problem_alone_or_served);
async fn a_sound_house_has_no_problem_alone_or_served() {
    let house = House::new(ROOMY).await;
    let (code, checks) = asked(&house).await;
    assert_eq!((code, those(&checks, "problem")), (0, BTreeSet::new()), "{checks:?}");
    let server = house.serve().await;
    let nurse = server.person("nurse").await;
    server.run(&nurse, "patient.register", json!({"name": "Ruth Okafor"})).await;
    let (code, checks) = asked(&server.house).await;
    assert_eq!((code, those(&checks, "problem")), (0, BTreeSet::new()), "{checks:?}");
    let found = |name: &str| text(checks.iter().find(|check| check["name"] == name).unwrap(), "found");
    assert!(found("server").contains(&format!("127.0.0.1:{}", server.address.port())), "{}", found("server"));
    let database = if server.house.base().is_some() { "PostgreSQL" } else { "SQLite" };
    assert!(found("database").contains(database) || those(&checks, "warning").contains("database"), "{checks:?}");
    assert!(found("clock").contains("newest entry"), "{checks:?}");
    for name in
        ["folder", "configuration", "port", "certificate", "disk", "temporary", "schema", "key", "record", "open_files"]
    {
        assert!(!found(name).is_empty(), "{name}");
    }
    let said = server.house.cli_with(&["doctor"], "").await;
    assert!(said.stdout.lines().last().unwrap().contains("problems: 0"), "{}", said.stdout);
    assert!(!said.stdout.contains("Ruth") && !said.stdout.contains("nurse"), "{}", said.stdout);
}

both!(what_is_wrong_with_the_folder_and_its_key_is_named_with_its_mend);
async fn what_is_wrong_with_the_folder_and_its_key_is_named_with_its_mend() {
    let house = House::new(ROOMY).await;
    let (data, kek) = (house.data(), house.data().join("kek"));
    set_mode(&data, 0o755);
    problems(&asked(&house).await, &["folder"], "chmod 0700");
    set_mode(&data, 0o700);
    set_mode(&kek, 0o644);
    problems(&asked(&house).await, &["key"], "chmod 0400");
    let key = std::fs::read(&kek).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::remove_file(&kek).unwrap();
        std::fs::write(&kek, bytes).unwrap();
        set_mode(&kek, 0o400);
    };
    put(&key[..20]);
    problems(&asked(&house).await, &["key"], "copy");
    let other = House::new(ROOMY).await;
    put(&std::fs::read(other.data().join("kek")).unwrap());
    problems(&asked(&house).await, &["key", "record"], "this deployment");
    std::fs::remove_file(&kek).unwrap();
    problems(&asked(&house).await, &["key"], "copy");
    let server = house.serve().await;
    problems(&asked(&server.house).await, &["key", "server"], "copy");
    let house = server.kill().await;
    std::fs::write(&kek, &key).unwrap();
    set_mode(&kek, 0o400);
    assert_eq!(asked(&house).await.0, 0, "all is mended");
    std::fs::write(house.path("config.toml"), "[limits]\nidle_minute = 7\n").unwrap();
    problems(&asked(&house).await, &["configuration"], "config check");
    let nowhere = House::new(ROOMY).await;
    std::fs::remove_dir_all(nowhere.data()).unwrap();
    problems(&asked(&nowhere).await, &["folder"], "carethread init");
}

/// Another certificate for the house.
fn certify(house: &House, names: &[&str], until: (i32, u8, u8)) {
    let mut params =
        rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(house.data().join("tls/cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(house.data().join("tls/key.pem"), key.serialize_pem()).unwrap();
}

both!(what_is_wrong_with_the_certificate_is_named_with_its_mend);
async fn what_is_wrong_with_the_certificate_is_named_with_its_mend() {
    let house = House::new(ROOMY).await;
    let key = std::fs::read(house.data().join("tls/key.pem")).unwrap();
    certify(&house, &["localhost"], (2024, 1, 1));
    problems(&asked(&house).await, &["certificate"], "Renew");
    std::fs::write(house.data().join("tls/key.pem"), key).unwrap();
    problems(&asked(&house).await, &["certificate"], "belongs to it");
    certify(&house, &["other.example.org", "127.0.0.1"], (2090, 1, 1));
    set_mode(&house.data().join("tls/key.pem"), 0o640);
    problems(&asked(&house).await, &["certificate"], "chmod 0600");
    set_mode(&house.data().join("tls/key.pem"), 0o600);
    assert_eq!(asked(&house).await.0, 0);
    certify(&house, &["other.example.org"], (2090, 1, 1));
    let server = house.serve().await;
    let (code, checks) = asked(&server.house).await;
    assert!(code == 0 && those(&checks, "warning").contains("certificate"), "another name: {checks:?}");
}

both!(what_is_wrong_with_the_database_is_named_with_its_mend);
async fn what_is_wrong_with_the_database_is_named_with_its_mend() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    server.signal("TERM").await;
    let (house, _) = server.ended().await;
    let tamper = async |sql: &str| {
        let mut tables = Tables::of(&house).await;
        tables.run(sql).await;
        tables.close().await;
    };
    tamper("UPDATE channel SET at = at + 86400000000").await;
    let told = asked(&house).await;
    assert!(those(&told.1, "problem").contains("clock"), "{told:?}");
    tamper("UPDATE channel SET at = at - 86400000000").await;
    assert_eq!(asked(&house).await.0, 0);
    tamper("INSERT INTO migration (number, name, checksum) VALUES (9999, 'later', '')").await;
    problems(&asked(&house).await, &["schema"], "newer");
    tamper("DELETE FROM migration WHERE number = 9999").await;
    assert_eq!(asked(&house).await.0, 0);
    let mut tables = Tables::of(&house).await;
    tables.disarm().await;
    let channel = ward.id("staff").replace('-', "");
    let is_channel =
        "(SELECT n FROM channel WHERE lower(replace(IDENTITY, '-', '')) = 'THIS')".replace("THIS", &channel);
    let id = if house.base().is_some() { "CAST(id AS TEXT)" } else { "hex(id)" };
    let of_staff = is_channel.replace("IDENTITY", id);
    tables.run(&format!("UPDATE entry SET body = zeroblob(99) WHERE channel = {of_staff} AND seq > 3")).await;
    tables.close().await;
    problems(&asked(&house).await, &["record"], "verify --record");
}

both!(a_supervisor_is_told_when_it_is_ready_and_when_it_ends);
async fn a_supervisor_is_told_when_it_is_ready_and_when_it_ends() {
    let mut house = House::new(ROOMY).await;
    let path = house.path("notify");
    let listener = UnixDatagram::bind(&path).unwrap();
    listener.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut bytes = [0; 400];
        let length = listener.recv(&mut bytes).expect("the supervisor is told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    house.set("NOTIFY_SOCKET", &path.display().to_string());
    let server = house.serve().await;
    assert_eq!(hear(), format!("READY=1\nSTATUS=Serving https://127.0.0.1:{}", server.address.port()));
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert!(code == Some(0) && hear().starts_with("STOPPING=1\n"));
    std::fs::remove_file(house.data().join("kek")).unwrap();
    let server = house.serve().await;
    assert!(hear().starts_with("READY=1\nSTATUS=Sealed: "), "a sealed server answers, and says why it is sealed");
    server.kill().await;
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Words that are names of figures.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    let named = words.filter(|word| {
        let process = ["process_start", "process_resident", "process_open", "process_max"];
        word.starts_with("carethread_") || process.iter().any(|begin| word.starts_with(begin))
    });
    let whole = |word: &str| {
        let cut = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        cut.unwrap_or(word).to_owned()
    };
    named.map(whole).collect()
}

/// Every figure that the source counts.
fn counted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            counted(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for call in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                found.extend(source.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
}

both!(the_dashboard_and_the_page_name_the_figures_that_are_shown);
async fn the_dashboard_and_the_page_name_the_figures_that_are_shown() {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    server.run(&ward.lead, "history", json!({"channel": ward.id("staff")})).await;
    server.socket(&ward.lead).await.run("resume", json!({})).await;
    let text = server.request("GET /metrics", "", b"").await.text;
    let shown: BTreeSet<String> =
        figures(&text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    let dashboard: Value = serde_json::from_str(&page("docs/grafana/carethread.json")).unwrap();
    let mut drawn = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        for target in list(panel, "targets") {
            drawn.extend(figures(&super::server::text(target, "expr")));
        }
    }
    assert!(drawn.len() > 20 && drawn.is_subset(&shown), "drawn, not shown: {:?}", drawn.difference(&shown));
    let operations = page("docs/operations.md");
    let table = operations.split("\n## ").find(|part| part.starts_with("Metrics")).unwrap();
    let explained: BTreeSet<String> =
        figures(&table.lines().filter(|line| line.starts_with("| `")).collect::<String>());
    assert_eq!(explained, shown, "the table of docs/operations.md and /metrics");
    let mut source = BTreeSet::new();
    counted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    assert!(source.is_subset(&explained), "counted, not explained: {:?}", source.difference(&explained));
    for line in ["carethread_ready 1", "carethread_sockets_closed_total{code=\"4513\"} 0"] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    assert!(!text.contains(ward.id("patient")) && !text.contains(&ward.lead.id), "no id is a label");
}
