//! `export` and `verify` as somebody meets them who knows the help only: each option does what it says, and each mistake gets a sentence and
//! leaves nothing behind.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::server::{Done, House, Person, ROOMY, Server, list, text};
use super::ward::Ward;

/// A record with something to choose from.
struct Desk {
    server: Server,
    ward: Ward,
    officer: Person,
}

impl Desk {
    async fn new(config: &str) -> Self {
        let server = House::new(config).await.serve().await;
        let lead = server.person("lead").await;
        let ward = Ward::open(&server, lead).await;
        let mut officer = server.person_with("officer", &["--role", "record_officer"]).await;
        let issued = server.cli(&["token", "issue", "--user", "officer", "--allow", "export"]).await;
        officer.token = text(&issued, "token");
        Self { server, ward, officer }
    }

    fn typed<'a>(&'a self, format: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["export", "--patient", self.ward.id("patient"), "--format", format, "--out", out], more].concat()
    }

    /// The lines of an export of entries.
    async fn lines(&self, more: &[&str]) -> Vec<Value> {
        let out = self.fresh();
        let done = self.server.cli(&self.typed("ndjson", out.to_str().unwrap(), more)).await;
        let written = std::fs::read_to_string(&out).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(done["entries"], lines.len(), "{done}");
        lines
    }

    /// A name that nothing has.
    fn fresh(&self) -> PathBuf {
        (0..).map(|n| self.server.house.path(&format!("out-{n}"))).find(|path| !path.exists()).unwrap()
    }

    fn ids(&self, names: &[&str]) -> Vec<Value> {
        names.iter().map(|name| json!(self.ward.id(name))).collect()
    }
}

/// The ids of lines that somebody said.
fn said(lines: &[Value]) -> Vec<Value> {
    let spoken = |line: &&Value| line["event"] == "message.posted" || line["event"] == "note.logged";
    lines.iter().filter(spoken).map(|line| line["id"].clone()).collect()
}

#[track_caller]
fn alike(mut found: Vec<Value>, mut wanted: Vec<Value>) {
    let key = |id: &Value| id.as_str().unwrap_or_default().to_owned();
    found.sort_by_key(key);
    wanted.sort_by_key(key);
    assert_eq!(found, wanted);
}

both!(what_is_chosen_is_what_leaves);
async fn what_is_chosen_is_what_leaves() {
    let mut desk = Desk::new("").await;
    let [goal, shared_goal] = ["goal", "shared_goal"].map(|name| desk.ward.id(name).to_owned());

    alike(
        said(&desk.lines(&["--item", &goal]).await),
        desk.ids(&["message_archived", "message_staff", "message_named", "note_staff"]),
    );
    let both = desk.lines(&["--item", &goal, "--item", &shared_goal]).await;
    assert!(said(&both).contains(&json!(desk.ward.id("message_shared"))));
    // What a message is about now counts, not what it was about.
    let linked = json!({"message": desk.ward.id("message_unsorted"), "item": goal});
    desk.server.run(&desk.ward.lead, "message.relink", linked).await;
    assert!(said(&desk.lines(&["--item", &goal]).await).contains(&json!(desk.ward.id("message_unsorted"))));

    let [shared, named] = ["shared", "named"].map(|name| desk.ward.id(name).to_owned());
    let of_two = desk.lines(&["--channel", &shared, "--channel", &named]).await;
    alike(said(&of_two), desk.ids(&["message_shared", "message_named"]));
    assert!(of_two.iter().all(|line| line["channel"] == shared || line["channel"] == named));

    let [one, other] = ["message_staff", "message_shared"].map(|name| desk.ward.id(name).to_owned());
    let chosen = desk.lines(&["--entry", &one, "--entry", &other]).await;
    alike(chosen.iter().map(|line| line["id"].clone()).collect(), vec![json!(one), json!(other)]);

    let lift = json!({"channel": desk.ward.id("staff"), "item": goal, "text": "Lift booked", "class": "operational"});
    desk.ward.make(&desk.server, "lift", "message.post", lift).await;
    alike(said(&desk.lines(&["--class", "operational"]).await), desk.ids(&["lift"]));
    let rest = desk.lines(&["--class", "care_record", "--class", "coordination"]).await;
    assert!(!said(&rest).contains(&json!(desk.ward.id("lift"))) && said(&rest).len() == 6);

    // Of two things that were asked for, both have to hold.
    assert!(said(&desk.lines(&["--item", &shared_goal, "--channel", &named]).await).is_empty());
}

both!(times_narrow_and_what_was_had_does_not_come_again);
async fn times_narrow_and_what_was_had_does_not_come_again() {
    let mut desk = Desk::new("").await;
    let all = desk.lines(&[]).await;
    let at = |id: &str| text(all.iter().find(|line| line["id"] == id).unwrap(), "at");
    let (first, last) = (at(desk.ward.id("message_archived")), at(desk.ward.id("message_named")));
    let between = desk.lines(&["--from", &first, "--to", &last]).await;
    let wanted = all.iter().filter(|line| (first.as_str()..=last.as_str()).contains(&line["at"].as_str().unwrap()));
    let wanted: Vec<Value> = wanted.map(|line| line["id"].clone()).collect();
    assert!(wanted.len() >= 5 && wanted.len() < all.len());
    alike(between.iter().map(|line| line["id"].clone()).collect(), wanted);
    assert_eq!(desk.lines(&["--to", "2000-01-01T00:00:00Z"]).await, [Value::Null; 0]);

    // The whole was had by this form; what was picked since is not remembered.
    assert_eq!(desk.lines(&["--since", "last"]).await, [Value::Null; 0]);
    desk.ward.says(&desk.server, "new", "staff", "goal").await;
    let goal = desk.ward.id("goal").to_owned();
    assert!(said(&desk.lines(&["--item", &goal]).await).contains(&json!(desk.ward.id("new"))));
    alike(said(&desk.lines(&["--since", "last"]).await), desk.ids(&["new"]));
    assert_eq!(desk.lines(&["--since", "last"]).await, [Value::Null; 0]);
    let out = desk.fresh();
    let html = desk.server.cli(&desk.typed("html", out.to_str().unwrap(), &["--since", "last"])).await;
    assert!(html["entries"].as_u64().unwrap() > 5, "another form has had nothing: {html}");

    desk.lines(&["--purpose", "Asked for by the patient"]).await;
    let told = desk.server.cli(&["report", "disclosures", "--patient", desk.ward.id("patient")]).await;
    assert!(told.to_string().contains("Asked for by the patient"), "{told}");
}

both!(each_mistake_gets_a_sentence_and_leaves_nothing);
async fn each_mistake_gets_a_sentence_and_leaves_nothing() {
    let desk = Desk::new("").await;
    let house = &desk.server.house;
    std::fs::write(house.path("taken"), "mine").unwrap();
    std::fs::create_dir(house.path("full")).unwrap();
    std::fs::write(house.path("full/a"), "mine").unwrap();
    let path = |name: &str| house.path(name).to_str().unwrap().to_owned();
    let (out, taken, full, nowhere) = (path("out"), path("taken"), path("full"), path("no/such/folder/out"));
    let unknown = "01890000-0000-7000-8000-000000000000";
    let listed = |path: PathBuf| -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = listed(house.path(""));
    let ndjson = |more: &[&'static str]| [&["--format", "ndjson", "--out", "OUT"], more].concat();
    let table: Vec<(Vec<&str>, i32, &str)> = vec![
        (
            vec!["--format", "odd", "--out", "OUT"],
            2,
            "ndjson, fhir-transaction, fhir-document, html, pdf, hl7v2, proof",
        ),
        (vec![], 2, "--format"),
        (vec!["--format", "ndjson"], 2, "--out"),
        (ndjson(&["--since", "first"]), 2, "last"),
        (ndjson(&["--attest", "Complete"]), 2, "--attest"),
        (ndjson(&["--dry-run"]), 2, "--dry-run"),
        (ndjson(&["--target", "drop"]), 2, "--target"),
        (vec!["--target", "drop"], 2, "--attest"),
        (vec!["--target", "drop", "--attest", "Complete", "--dry-run"], 2, "--dry-run"),
        (vec!["--target", "drop", "--dry-run", "--with-patient"], 2, "--with-patient"),
        (vec!["--target", "drop", "--dry-run"], 1, "target: No target of that name is configured."),
        (vec!["--format", "ndjson", "--out", &taken], 1, "exists"),
        (vec!["--format", "proof", "--out", &full], 1, "exists"),
        (vec!["--format", "ndjson", "--out", &nowhere], 1, "cannot be written"),
        (ndjson(&["--channel", "staff"]), 1, "channel: A channel is named by its id."),
        (ndjson(&["--channel", unknown]), 1, "channel"),
        (ndjson(&["--item", "goal"]), 1, "item: This is named by its id."),
        (ndjson(&["--item", unknown]), 1, "item"),
        (ndjson(&["--entry", "first"]), 1, "entry: This is named by its id."),
        (ndjson(&["--entry", unknown]), 1, "entr"),
        (ndjson(&["--class", "gossip"]), 1, "class: A class is care_record, coordination or operational."),
        (ndjson(&["--from", "yesterday"]), 1, "from: A time is written as RFC 3339"),
        (ndjson(&["--to", "2026-13-01T00:00:00Z"]), 1, "to: A time is written as RFC 3339"),
        (ndjson(&["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"]), 1, "from: `from` is after `to`."),
    ];
    for (more, code, words) in table {
        let more: Vec<&str> = more.into_iter().map(|word| if word == "OUT" { out.as_str() } else { word }).collect();
        let typed = [&["export", "--patient", desk.ward.id("patient")], &more[..]].concat();
        let done = house.cli_with(&typed, "").await;
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{more:?}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{more:?}: {}", done.stderr);
        assert!(code == 2 || done.stderr.lines().count() == 1, "{more:?}: {}", done.stderr);
        assert_eq!(listed(house.path("")), before, "{more:?}");
    }
    let patients =
        [("urn:a|nobody", "patient: No patient"), (unknown, "no such thing"), ("Ruth", "patient: A patient")];
    for (patient, words) in patients {
        let done = house.cli(&["export", "--patient", patient, "--format", "ndjson", "--out", &out]).await;
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
    assert_eq!(std::fs::read(house.path("taken")).unwrap(), b"mine");
    // What was refused is no export: the record does not say that something left.
    assert!(desk.lines(&[]).await.iter().all(|line| line["event"] != "export.filed"));
}

both!(a_target_is_filed_to_by_whoever_attests_and_a_dry_run_files_nothing);
async fn a_target_is_filed_to_by_whoever_attests_and_a_dry_run_files_nothing() {
    let place = tempfile::tempdir().unwrap();
    let drop = place.path().display();
    let config = format!("{ROOMY}\n[targets.drop]\nkind = \"folder\"\npath = \"{drop}\"\nformat = \"ndjson\"\n");
    let mut desk = Desk::new(&config).await;
    let filed = || std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let export = async |desk: &Desk, more: &[&str]| -> Done {
        let typed = [&["export", "--patient", desk.ward.id("patient"), "--target", "drop"], more].concat();
        desk.server.house.cli(&typed).await
    };
    let dry = export(&desk, &["--dry-run"]).await;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.json()["entries"].as_u64().unwrap() > 5, "{}", dry.stdout);
    assert!(filed().is_empty());
    assert!(desk.lines(&["--class", "care_record"]).await.iter().all(|line| line["data"]["target"] != "drop"));

    let item = desk.ward.id("shared_goal").to_owned();
    let attest = ["--attest", "Complete and correct", "--by", "officer", "--purpose", "Transfer"];
    let some = export(&desk, &[&attest[..], &["--item", &item]].concat()).await;
    assert_eq!(some.code, 0, "{}", some.stderr);
    assert_eq!(some.json()["state"], "filed", "{}", some.stdout);
    let files = filed();
    assert_eq!(files.len(), 1, "{files:?}");
    let words = std::fs::read_to_string(&files[0]).unwrap();
    assert!(words.contains("said as message_shared") && !words.contains("said as message_staff"), "{words}");

    desk.ward.says(&desk.server, "new", "staff", "goal").await;
    let all = export(&desk, &attest).await.json();
    assert_eq!(all["state"], "filed", "{all}");
    let lines = desk.lines(&[]).await;
    let told: Vec<&Value> =
        lines.iter().filter(|line| line["event"] == "export.filed" && line["data"]["target"] == "drop").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line["data"]["purpose"] == "Transfer" && line["by"] == desk.officer.id), "{told:?}");

    let wrong = export(&desk, &[&attest[..], &["--channel", "01890000-0000-7000-8000-000000000000"]].concat()).await;
    assert_eq!(wrong.code, 1, "{}", wrong.stdout);
    let wrong = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"];
    let wrong = export(&desk, &[&attest[..], &wrong].concat()).await;
    assert_eq!((wrong.code, wrong.stderr.contains("`from` is after `to`")), (1, true), "{}", wrong.stderr);
}

both!(what_people_attested_is_taken_out_on_the_command_line);
async fn what_people_attested_is_taken_out_on_the_command_line() {
    let desk = Desk::new("").await;
    let (patient, out) = (desk.ward.id("patient"), desk.fresh());
    let data = json!({"patient": patient, "format": "fhir-transaction", "purpose": "Second opinion"});
    let export = text(&desk.server.run(&desk.officer, "export.draft", data).await, "export");
    let make = async |format: &str, more: &[&str]| {
        let typed = desk.typed(format, out.to_str().unwrap(), &[&["--export", &export], more].concat());
        desk.server.house.cli(&typed.iter().map(|word| &**word).collect::<Vec<_>>()).await
    };
    let early = make("fhir-transaction", &[]).await;
    assert_eq!((early.code, out.exists()), (1, false), "{}", early.stderr);
    assert!(early.stderr.contains("once everybody attested it"), "{}", early.stderr);
    let attest = json!({"export": export, "rev": 1, "statement": "Complete and correct"});
    desk.server.run(&desk.officer, "export.attest", attest).await;
    for (format, more, code, words) in [
        ("html", &[][..], 1, "format: This export was drafted as fhir-transaction."),
        ("fhir-transaction", &["--item", desk.ward.id("goal")], 2, "--item"),
        ("fhir-transaction", &["--since", "last"], 2, "--since"),
    ] {
        let done = make(format, more).await;
        assert_eq!((done.code, done.stderr.contains(words), out.exists()), (code, true, false), "{}", done.stderr);
    }
    let done = make("fhir-transaction", &[]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let bundle: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    super::filing_forms::attested(&bundle, &["officer Example"]);
    super::chart::judged(&[&out]).await;
    // Lines are entries: the first attestation is one of them.
    let data = json!({"patient": patient, "format": "ndjson"});
    let export = text(&desk.server.run(&desk.officer, "export.draft", data).await, "export");
    let attest = json!({"export": export, "rev": 1, "statement": "Complete and correct"});
    desk.server.run(&desk.officer, "export.attest", attest).await;
    let lines = desk.lines(&["--export", &export]).await;
    let own = |line: &&Value| line["event"] == "export.attested" && line["data"]["export"] == export.as_str();
    assert_eq!(lines.iter().filter(own).count(), 1);
}

/// Runs a command on a terminal; gives all that stood on it.
async fn on_a_terminal(house: &House, typed: &[&str]) -> String {
    const SCRIPT: &str = "import os, pty, sys\n\
        status = pty.spawn(sys.argv[1:])\n\
        sys.exit(os.waitstatus_to_exitcode(status))";
    let python =
        std::env::var("CARETHREAD_TEST_PYTHON").expect("CARETHREAD_TEST_PYTHON names a Python: tests/run makes one");
    let mut command = house.command(&[&python, "-c", SCRIPT, env!("CARGO_BIN_EXE_carethread")]);
    command.env("TERM", "xterm").args(typed);
    let output = command.output().await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    shown
}

both!(a_terminal_shows_how_far_an_export_is_and_a_pipe_does_not);
async fn a_terminal_shows_how_far_an_export_is_and_a_pipe_does_not() {
    let desk = Desk::new("").await;
    let patient = desk.ward.id("patient").to_owned();
    let outs = ["a", "b", "c", "d"].map(|name| desk.server.house.path(name).to_str().unwrap().to_owned());
    let export = |out| ["export", "--patient", &patient, "--format", "html", "--out", out];
    let shows = |shown: &str| {
        let answer = shown.lines().find(|line| line.contains(" entries of ")).unwrap_or_else(|| panic!("{shown}"));
        let entries = answer.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        assert!(shown.contains(&format!("] {entries} of {entries} entries, ")), "{shown}");
    };
    // Beside a server, which says how far it is.
    shows(&on_a_terminal(&desk.server.house, &export(&outs[0])).await);
    let json = on_a_terminal(&desk.server.house, &[&["--json"], &export(&outs[1])[..]].concat()).await;
    assert!(serde_json::from_str::<Value>(&json).is_ok(), "{json}");
    let done = desk.server.house.cli_with(&export(&outs[2]), "").await;
    assert_eq!((done.code, done.stderr.as_str(), done.stdout.lines().count()), (0, "", 1), "{}", done.stdout);

    desk.server.signal("TERM").await;
    let (house, _) = desk.server.ended().await;
    shows(&on_a_terminal(&house, &export(&outs[3])).await);
}

both!(an_export_is_promised_and_says_how_far_it_is_until_it_is_made);
async fn an_export_is_promised_and_says_how_far_it_is_until_it_is_made() {
    let desk = Desk::new("").await;
    let path = format!("/v1/patients/{}/exports", desk.ward.id("patient"));
    let headers =
        |person: &Person| format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", person.token);
    let server = &desk.server;
    let post = async |person: &Person, path: &str, body: Value| {
        server.request(&format!("POST {path}"), &headers(person), body.to_string().as_bytes()).await
    };
    for format in ["ndjson", "fhir-transaction", "fhir-document", "html", "pdf", "hl7v2", "proof"] {
        let promised = post(&desk.officer, &path, json!({"format": format, "wait": false})).await;
        assert_eq!(promised.status, 202, "{format}: {}", promised.text);
        let promised = promised.json();
        let (url, total) = (text(&promised, "url"), promised["entries_total"].as_u64().unwrap());
        assert_eq!((&promised["state"], url.rsplit('/').next()), (&json!("making"), promised["id"].as_str()));
        assert!(total > 10, "{format}: {promised}");
        let other = server.request(&format!("GET {url}"), &headers(&desk.ward.lead), b"").await;
        assert_eq!(other.status, 404, "{format}");
        let mut before = promised["entries_done"].as_u64().unwrap();
        let made = loop {
            let answer = server.request(&format!("GET {url}"), &headers(&desk.officer), b"").await;
            if answer.status != 202 {
                break answer;
            }
            let (shown, now) = (answer.json(), answer.json()["entries_done"].as_u64().unwrap());
            assert!(before <= now && now <= total && shown["entries_total"] == total, "{format}: {shown}");
            assert_eq!(
                (&shown["state"], &shown["id"], answer.header("retry-after")),
                (&json!("making"), &promised["id"], "1")
            );
            before = now;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!(made.status, 200, "{format}: {}", made.text);
        if format == "ndjson" {
            assert_eq!(made.text.lines().count() as u64, total);
        }
    }
    // Whoever may not, and what is wrong, is told at once.
    let unstepped = post(&desk.ward.lead, &path, json!({"format": "ndjson", "wait": false})).await;
    assert_eq!(unstepped.status, 403, "{}", unstepped.text);
    let nobody = "/v1/patients/01890000-0000-7000-8000-000000000000/exports";
    assert_eq!(post(&desk.officer, nobody, json!({"format": "ndjson", "wait": false})).await.status, 404);
    let never =
        json!({"format": "ndjson", "wait": false, "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"});
    let never = post(&desk.officer, &path, never).await;
    assert_eq!((never.status, &never.json()["code"]), (400, &json!("invalid")), "{}", never.text);
    let waited = post(&desk.officer, &path, json!({"format": "ndjson", "wait": true})).await;
    assert_eq!(waited.status, 201, "{}", waited.text);
}

both!(verify_names_the_first_bad_entry);
async fn verify_names_the_first_bad_entry() {
    let desk = Desk::new("").await;
    let path = |name: &str| desk.server.house.path(name);
    for (format, name) in [("ndjson", "record.ndjson"), ("fhir-document", "record.json"), ("proof", "proof")] {
        desk.server.cli(&desk.typed(format, path(name).to_str().unwrap(), &[])).await;
    }
    let verify =
        async |name: &str| -> Done { desk.server.house.cli_with(&["verify", path(name).to_str().unwrap()], "").await };
    let clean = verify("record.ndjson").await;
    assert_eq!(clean.code, 0, "{}", clean.stderr);
    let signed = "complete and unaltered up to";
    assert!(clean.stdout.contains(signed) && clean.stdout.contains("signed by "), "{}", clean.stdout);
    // The record knows what the file was when it left.
    let digest = |said: &str| said.split("SHA-256 ").nth(1).and_then(|rest| rest.split(':').next()).unwrap().to_owned();
    let record = desk.lines(&[]).await;
    let filed: Vec<&Value> = record.iter().filter(|line| line["event"] == "export.filed").collect();
    assert!(filed.iter().any(|line| line["data"]["sha256"] == digest(&clean.stdout)), "{}: {filed:?}", clean.stdout);
    let written = std::fs::read_to_string(path("record.ndjson")).unwrap();
    std::fs::write(path("word.ndjson"), written.replacen("said as message_staff", "said as somebody", 1)).unwrap();
    let word = verify("word.ndjson").await;
    let changed = written.lines().find(|line| line.contains("said as message_staff")).unwrap();
    let changed: Value = serde_json::from_str(changed).unwrap();
    let place = format!("channel {} seq {}: ", text(&changed, "channel"), changed["seq"]);
    let wanted = format!("{place}the content is not what was committed to");
    assert_eq!((word.code, word.stdout.lines().next()), (1, Some(wanted.as_str())), "{}", word.stderr);
    let cut: Vec<&str> = written.lines().collect();
    std::fs::write(path("cut.ndjson"), cut[..cut.len() - 1].join("\n")).unwrap();
    assert_eq!(verify("cut.ndjson").await.code, 1, "an end that was cut off");
    // A choice is no whole, and a later export that goes to the end is.
    desk.server.cli(&desk.typed("ndjson", path("last.ndjson").to_str().unwrap(), &["--since", "last"])).await;
    let last = verify("last.ndjson").await;
    assert_eq!(last.code, 0, "{}{}", last.stdout, last.stderr);

    let mut lines: Vec<&str> = written.lines().collect();
    let of_staff = |line: &&str| line.contains(desk.ward.id("staff")) && line.contains("said as message_staff");
    let at = lines.iter().position(of_staff).unwrap();
    let gone: Value = serde_json::from_str(lines.remove(at)).unwrap();
    std::fs::write(path("gap.ndjson"), lines.join("\n")).unwrap();
    let gap = verify("gap.ndjson").await;
    let (channel, seq) = (text(&gone, "channel"), gone["seq"].as_u64().unwrap());
    let wanted = format!("channel {channel} seq {}: the entries {seq} to {seq} are not in this file", seq + 1);
    assert_eq!((gap.code, gap.stdout.lines().next()), (1, Some(wanted.as_str())), "{}", gap.stderr);

    let document = std::fs::read_to_string(path("record.json")).unwrap();
    assert_eq!(verify("record.json").await.code, 0);
    let bundle: Value = serde_json::from_str(&document).unwrap();
    let holds = |entry: &Value| {
        entry["resource"]["resourceType"] == "Communication" && entry.to_string().contains("said as message_staff")
    };
    let at = list(&bundle, "entry").iter().position(holds).unwrap();
    let mut changed = bundle.clone();
    changed["entry"][at]["resource"]["payload"][0]["contentString"] = json!("said as somebody");
    std::fs::write(path("changed.json"), changed.to_string()).unwrap();
    let done = verify("changed.json").await;
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stdout.contains(&format!("entry {} (", at + 1)), "{}", done.stdout);

    let entries = path("proof").join("channels").join(desk.ward.id("staff")).join("entries.ndjson");
    let content = std::fs::read_to_string(&entries).unwrap();
    let mut shown: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = shown.iter().position(|line| line["seq"] == seq).unwrap();
    let other = shown[at - 1]["body"].clone();
    shown[at]["body"] = other;
    let text: Vec<String> = shown.iter().map(Value::to_string).collect();
    std::fs::write(&entries, text.join("\n") + "\n").unwrap();
    let done = verify("proof").await;
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stdout.contains(&format!("channel {channel} seq {seq}: ")), "{}", done.stdout);
}
