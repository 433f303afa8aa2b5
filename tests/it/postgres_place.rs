//! The record on PostgreSQL by one line of configuration: what `init` makes, what a folder remembers, what is refused.

use serde_json::{Value, json};

use super::postgres::Cluster;
use super::server::{House, list, text};

fn with(url: &str) -> String {
    format!("[database]\nurl = \"{url}\"\n")
}

/// Everything the program writes for a person.
async fn said(house: &House, arguments: &[&str]) -> (i32, String) {
    let done = house.cli_with(arguments, "").await;
    (done.code, format!("{}{}", done.stdout, done.stderr))
}

placed!(one_line_of_configuration_is_enough);
async fn one_line_of_configuration_is_enough() {
    let url = Cluster::shared().database();
    let house = House::new(&with(&url)).await;
    for absent in ["record.db", "keys.db"] {
        assert!(!house.data().join(absent).exists(), "{absent} is made beside a database");
    }
    for there in ["kek", "tls/cert.pem", "files", "database"] {
        assert!(house.data().join(there).exists(), "{there} is missing");
    }
    // Alone, then by the server, then alone again.
    house.cli(&["user", "add", "--handle", "anna", "--name", "Anna"]).await.json();
    let server = house.serve().await;
    let bo = server.person("bo").await;
    let made = server.run(&bo, "patient.register", json!({"name": "Sven Example"})).await;
    let patient = text(&made, "id");
    server.cli(&["team", "add", "--patient", &patient, "--user", "anna", "--role", "Nurse", "--lead"]).await;
    let answer = server.request("GET /readyz", "", b"").await;
    assert_eq!(answer.status, 200);
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0), "{}", house.log());
    let listed = house.cli(&["user", "list"]).await.json();
    assert_eq!(
        list(&listed, "users").iter().filter(|user| ["anna", "bo"].contains(&user["handle"].as_str().unwrap())).count(),
        2
    );
    let out = house.path("out.ndjson").display().to_string();
    let exported = house.cli(&["export", "--patient", &patient, "--format", "ndjson", "--out", &out]).await.json();
    assert!(exported["entries"].as_i64().unwrap() > 3, "{exported}");
    let verified = house.cli(&["verify", "--record"]).await.json();
    assert_eq!(verified["ok"], true, "{verified}");
    let (code, found) = said(&house, &["doctor"]).await;
    assert_eq!(code, 0, "{found}");
    let server = house.serve().await;
    let again = server.run(&bo, "patient.list", json!({})).await;
    assert_eq!(list(&again, "patients").len(), 1, "{again}");
}

placed!(a_database_is_taken_once);
async fn a_database_is_taken_once() {
    let url = Cluster::shared().database();
    let first = House::new(&with(&url)).await;
    let second = House::new("").await;
    let before = first.cli(&["user", "list"]).await.json();
    std::fs::write(second.path("config.toml"), with(&url)).unwrap();
    let (code, told) = said(&second, &["init", "--data", &second.path("other").display().to_string()]).await;
    assert_eq!(code, 1);
    assert!(told.contains("holds a deployment already; nothing was changed"), "{told}");
    assert!(!second.path("other").exists());
    assert_eq!(first.cli(&["user", "list"]).await.json(), before);
    // A folder that holds its record itself, and one of another deployment.
    let (code, told) = said(&second, &["user", "list"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("holds its record itself"), "{told}");
    let other = House::new(&with(&Cluster::shared().database())).await;
    std::fs::write(other.path("config.toml"), with(&url)).unwrap();
    let (code, told) = said(&other, &["user", "list"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("belongs to deployment"), "{told}");
    // Without the line, the folder says what is missing.
    std::fs::write(first.path("config.toml"), "").unwrap();
    for command in [&["user", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let (code, told) = said(&first, command).await;
        assert_eq!(code, 1);
        assert!(told.contains("CARETHREAD_DATABASE_URL"), "{told}");
    }
    // A flag is as good as a line.
    let listed = first.cli(&["user", "list", "--database", &url]).await.json();
    assert_eq!(listed, before);
}

placed!(an_init_that_fails_leaves_the_database_as_it_was);
async fn an_init_that_fails_leaves_the_database_as_it_was() {
    let url = Cluster::shared().database();
    let house = House::new("").await;
    std::fs::write(house.path("config.toml"), with(&url)).unwrap();
    let new = house.path("new").display().to_string();
    let (code, told) = said(&house, &["init", "--data", &new, "--organization", ""]).await;
    assert!(code == 1 && told.contains("organization"), "{told}");
    assert!(!house.path("new").exists());
    let made = house.cli(&["init", "--data", &new, "--organization", "Riverside Clinic"]).await.json();
    assert_eq!(made["data"], new);
}

placed!(one_server_at_a_time_has_a_database);
async fn one_server_at_a_time_has_a_database() {
    let url = Cluster::shared().database();
    let server = House::new(&with(&url)).await.serve().await;
    // The same deployment in another folder, as after a move or a restore.
    let copy = server.house.copied().await;
    let (code, told) = said(&copy, &["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("another carethread process uses the database"), "{told}");
    let house = server.kill().await;
    // A kill leaves nothing behind that keeps the next one out.
    let server = house.serve().await;
    server.signal("TERM").await;
    let (_house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    copy.serve().await;
}

placed!(keys_have_a_database_of_their_own_if_it_is_named);
async fn keys_have_a_database_of_their_own_if_it_is_named() {
    let (url, keys) = (Cluster::shared().database(), Cluster::shared().database());
    let house = House::new(&format!("{}keys_url = \"{keys}\"\n", with(&url))).await;
    house.cli(&["user", "add", "--handle", "anna", "--name", "Anna"]).await.json();
    // Without it nothing opens: no key lies beside the record.
    std::fs::write(house.path("config.toml"), with(&url)).unwrap();
    let (code, told) = said(&house, &["user", "list"]).await;
    assert_eq!(code, 1, "{told}");
    let other = House::new("").await;
    let free = Cluster::shared().database();
    std::fs::write(other.path("config.toml"), format!("{}keys_url = \"{keys}\"\n", with(&free))).unwrap();
    let (code, told) = said(&other, &["init", "--data", &other.path("new").display().to_string()]).await;
    assert_eq!(code, 1);
    assert!(told.contains("holds the keys of a deployment already"), "{told}");
}

placed!(a_password_is_printed_nowhere);
async fn a_password_is_printed_nowhere() {
    let house = House::new("").await;
    let url = "postgres://someone:hunter2@127.0.0.1:1/none";
    std::fs::write(house.path("config.toml"), with(url)).unwrap();
    let new = house.path("new").display().to_string();
    let typed = ["--database", "mysql://someone:hunter2@127.0.0.1:1/none"];
    for arguments in [
        &["config", "print"][..],
        &["config", "print", "--json"],
        &["config", "check"],
        &["user", "list"],
        &["doctor"],
        &["init", "--data", &new],
        &["init", "--data", &new, "--log", "trace"],
        &["user", "list", typed[0], typed[1]],
        &["user", "nonsense", typed[0], typed[1]],
    ] {
        let (_, told) = said(&house, arguments).await;
        assert!(!told.contains("hunter"), "{arguments:?}: {told}");
        assert!(!told.is_empty());
    }
    std::fs::write(house.path("config.toml"), "[database]\nurl = postgres://someone:hunter2@h/d\n").unwrap();
    let (code, told) = said(&house, &["config", "check"]).await;
    assert!(code == 1 && told.contains("line 2") && !told.contains("hunter"), "{told}");
    let shown: Value = serde_json::from_str(&{
        std::fs::write(house.path("config.toml"), with(url)).unwrap();
        house.cli(&["config", "print"]).await.stdout
    })
    .unwrap();
    assert_eq!(shown["database"]["url"], "postgres://...");
}
