//! A message that went to the wrong patient, seen from everywhere: sockets, pages, exports, proofs and reports of both records.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::server::{Person, Server, list, text};
use super::socket::Socket;
use super::ward::Ward;

/// Words that no id or key holds by chance.
const WORDS: &str = "INR zebra 5.1 at noon";
const READ_BACK: &str = "zebra at five point one";
const REASON: &str = "Mistaken for giraffe, her sister";

/// Two patients of one lead, each with a nurse of its own.
struct Two {
    server: Server,
    wrong: Ward,
    right: Ward,
    here: Person,
    there: Person,
    officer: Person,
}

impl Two {
    async fn new() -> Self {
        let server = Server::new().await;
        let lead = server.person("lead").await;
        let (wrong, right) = (Ward::open(&server, lead.clone()).await, Ward::open(&server, lead).await);
        let (here, there) = (server.person("here").await, server.person("there").await);
        wrong.add(&server, &here, json!({})).await;
        right.add(&server, &there, json!({})).await;
        let officer = server.person_with("officer", &["--role", "privacy_officer"]).await;
        Self { server, wrong, right, here, there, officer }
    }

    /// The lead writes it where it does not belong, amends it, and it is read back. Its id.
    async fn mistake(&self) -> String {
        let data = json!({"channel": self.wrong.id("staff"), "item": self.wrong.id("goal"), "text": "zebra", "ask": "check_back"});
        let message = text(&self.server.run(&self.wrong.lead, "message.post", data).await, "id");
        self.server.run(&self.wrong.lead, "message.amend", json!({"message": message, "text": WORDS})).await;
        self.server.run(&self.here, "message.check_back", json!({"message": message, "text": READ_BACK})).await;
        message
    }

    fn command(&self, message: &str) -> Value {
        json!({"message": message, "channel": self.right.id("staff"), "item": self.right.id("goal"), "reason": REASON,
               "key": super::chance::fresh_id()})
    }

    async fn events(&self, who: &Person, channel: &str) -> Vec<Value> {
        let page = self.server.run(who, "history", json!({"channel": channel, "limit": 200})).await;
        list(&page, "events").clone()
    }

    /// An export by the command line; the path.
    async fn export(&self, ward: &Ward, name: &str, format: &str, more: &[&str]) -> std::path::PathBuf {
        let out = self.server.house.path(name);
        let path = out.display().to_string();
        let typed = ["export", "--patient", ward.id("patient"), "--format", format, "--out", &path];
        self.server.cli(&[&typed, more].concat()).await;
        out
    }
}

/// Every id of a ward.
fn ids(ward: &Ward) -> BTreeSet<&str> {
    ward.ids.values().map(String::as_str).collect()
}

fn names_none(what: &str, ids: &BTreeSet<&str>) {
    for id in ids {
        assert!(!what.contains(id), "{id} in {what}");
    }
}

async fn follow(server: &Server, person: &Person) -> Socket {
    let mut socket = server.socket(person).await;
    socket.run("resume", json!({})).await;
    socket
}

both!(nobody_learns_of_one_record_from_the_other);
async fn nobody_learns_of_one_record_from_the_other() {
    let two = Two::new().await;
    let message = two.mistake().await;
    let (mut here, mut there) = (follow(&two.server, &two.here).await, follow(&two.server, &two.there).await);
    let command = two.command(&message);
    let reply = two.server.run(&two.wrong.lead, "message.move", command.clone()).await;
    let again = two.server.run(&two.wrong.lead, "message.move", command.clone()).await;
    assert_eq!((&again["repeat"], &again["exposed"], &again["id"]), (&json!(true), &reply["exposed"], &reply["id"]));

    // Live, and later: one entry each, and neither names anything of the other.
    let (gone, new) = (here.events_so_far().await, there.events_so_far().await);
    let ([gone], [new]) = (&gone[..], &new[..]) else { panic!("{gone:?} {new:?}") };
    assert_eq!((&gone["event"], &new["event"]), (&json!("message.retracted"), &json!("message.posted")));
    assert_eq!(new["data"]["text"], WORDS);
    assert_eq!(gone["data"]["withholds"].as_array().unwrap().len(), 3);
    let (mut of_wrong, mut of_right) = (ids(&two.wrong), ids(&two.right));
    of_wrong.insert(&message);
    of_wrong.insert(gone["data"]["id"].as_str().unwrap());
    of_right.insert(reply["id"].as_str().unwrap());
    let key = text(&command, "key");
    for all in [&mut of_wrong, &mut of_right] {
        all.insert(&key);
        all.insert("giraffe");
    }
    let there = json!([new, two.events(&two.there, two.right.id("staff")).await]).to_string();
    names_none(&there, &of_wrong);
    let here_later = two.events(&two.here, two.wrong.id("staff")).await;
    let here = json!([gone, here_later]).to_string();
    names_none(&here, &of_right);
    assert!(!here.contains("zebra"));

    // Whoever comes back with a cursor gets what a page shows.
    let mut back = two.server.socket(&two.here).await;
    back.run("resume", json!({"cursors": {two.wrong.id("staff"): 0}, "follow": [two.wrong.id("staff")]})).await;
    assert_eq!(back.events_so_far().await, here_later);
    // The files of either record name nothing of the other.
    for (ward, other, name) in [(&two.wrong, &of_right, "wrong"), (&two.right, &of_wrong, "right")] {
        let lines = two.export(ward, &format!("{name}.ndjson"), "ndjson", &[]).await;
        let lines = std::fs::read_to_string(lines).unwrap();
        names_none(&lines, other);
        assert_eq!(lines.contains(WORDS), name == "right");
    }
}

both!(exports_and_proofs_hold_without_the_words);
async fn exports_and_proofs_hold_without_the_words() {
    let two = Two::new().await;
    let message = two.mistake().await;
    let first = two.export(&two.wrong, "first.json", "fhir-transaction", &[]).await;
    assert!(std::fs::read_to_string(first).unwrap().contains(READ_BACK));
    let reply = two.server.run(&two.wrong.lead, "message.move", two.command(&message)).await;

    // The chart hears that message and read-back are in error, and gets neither again.
    let later = two.export(&two.wrong, "later.json", "fhir-transaction", &["--since", "last"]).await;
    let later = std::fs::read_to_string(later).unwrap();
    assert!(!later.contains("zebra"), "{later}");
    let bundle: Value = serde_json::from_str(&later).unwrap();
    let said = list(&bundle, "entry").iter().filter(|entry| entry["resource"]["payload"].is_array());
    let said: Vec<&Value> = said.collect();
    assert_eq!(said.len(), 2, "{later}");
    for entry in said {
        assert_eq!(entry["request"]["method"], "PUT");
        assert_eq!(entry["resource"]["status"], "entered-in-error");
        assert_eq!(entry["resource"]["statusReason"]["text"], "Wrong patient");
        assert!(entry["resource"]["about"][0]["reference"].is_string(), "law 7");
    }
    let whole = two.export(&two.right, "right.json", "fhir-transaction", &[]).await;
    assert!(std::fs::read_to_string(whole).unwrap().contains(WORDS));

    // The proof keeps the leaves, and neither the words nor what a guess at them could be tried with.
    let proof = two.export(&two.wrong, "proof", "proof", &[]).await;
    let channel = two.wrong.id("staff");
    let entries = std::fs::read_to_string(proof.join(format!("channels/{channel}/entries.ndjson"))).unwrap();
    let gone = two.events(&two.here, channel).await.pop().unwrap();
    let withheld: BTreeSet<u64> = list(&gone["data"], "withholds").iter().map(|seq| seq.as_u64().unwrap()).collect();
    let disclosed: BTreeSet<u64> =
        entries.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect();
    let all: BTreeSet<u64> = (1..=gone["seq"].as_u64().unwrap()).collect();
    assert_eq!(disclosed, all.difference(&withheld).copied().collect());
    let verified = two.server.house.cli_with(&["verify", proof.to_str().unwrap()], "").await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let verified = two.server.house.cli_with(&["verify", "--record"], "").await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert_eq!(reply["channel"], two.right.id("staff"));
}

both!(the_report_outlives_a_rebuild_and_a_restart);
async fn the_report_outlives_a_rebuild_and_a_restart() {
    let two = Two::new().await;
    let message = two.mistake().await;
    let seq = two.events(&two.here, two.wrong.id("staff")).await.len();
    two.server.run(&two.here, "read", json!({"channel": two.wrong.id("staff"), "seq": seq})).await;
    let reply = two.server.run(&two.wrong.lead, "message.move", two.command(&message)).await;
    let exposed = list(&reply, "exposed");
    assert_eq!((exposed.len(), &exposed[0]["user"], &exposed[0]["read"]), (1, &json!(two.here.id), &json!(true)));

    let shown = two.server.run(&two.officer, "wrong_patient.list", json!({})).await;
    let typed = two.server.cli(&["report", "wrong-patient"]).await;
    assert_eq!(typed["messages"], shown["messages"]);
    let one = &shown["messages"][0];
    assert_eq!((text(one, "message"), text(one, "reason")), (message.clone(), REASON.to_owned()));
    assert_eq!(
        (&one["patient"], &one["to_patient"]),
        (&json!(two.wrong.id("patient")), &json!(two.right.id("patient")))
    );
    assert_eq!(
        (&one["exposed"][0]["name"], &one["moved_by"]["name"]),
        (&json!("here Example"), &json!("lead Example"))
    );
    assert!(!shown.to_string().contains("zebra"));
    let lines = two.server.house.cli_with(&["report", "wrong-patient", "--patient", two.wrong.id("patient")], "").await;
    assert!(lines.stdout.contains(&two.here.id) && lines.stdout.contains("giraffe"), "{}", lines.stdout);
    let nobody = Ward::open(&two.server, two.wrong.lead.clone()).await;
    let none = two.server.cli(&["report", "wrong-patient", "--patient", nobody.id("patient")]).await;
    assert_eq!(none["messages"], json!([]));
    for who in [&two.here, &two.wrong.lead] {
        assert_eq!(two.server.code(who, "wrong_patient.list", json!({})).await, "forbidden");
    }

    let before = two.events(&two.here, two.wrong.id("staff")).await;
    let Two { server, wrong, right: _, here, there: _, officer } = two;
    server.signal("TERM").await;
    let (house, _) = server.ended().await;
    let done = house.cli(&["doctor", "--rebuild"]).await;
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let server = house.serve().await;
    assert_eq!(server.run(&officer, "wrong_patient.list", json!({})).await, shown);
    let page = server.run(&here, "history", json!({"channel": wrong.id("staff"), "limit": 200})).await;
    assert_eq!(list(&page, "events"), &before);
    assert_eq!(
        server.code(&wrong.lead, "message.retract", json!({"message": message, "reason": "again"})).await,
        "conflict"
    );
}

both!(what_was_taken_back_before_is_moved_all_the_same_and_once);
async fn what_was_taken_back_before_is_moved_all_the_same_and_once() {
    let two = Two::new().await;
    let message = two.mistake().await;
    let channel = two.wrong.id("staff");
    two.server.run(&two.wrong.lead, "message.retract", json!({"message": message, "reason": "not hers"})).await;
    assert!(json!(two.events(&two.here, channel).await).to_string().contains(WORDS));
    two.server.run(&two.wrong.lead, "message.move", two.command(&message)).await;
    assert_eq!(two.server.code(&two.wrong.lead, "message.move", two.command(&message)).await, "conflict");
    let left = json!(two.events(&two.here, channel).await).to_string();
    assert!(!left.contains(WORDS) && !left.contains(READ_BACK) && !left.contains("zebra"), "{left}");
    assert!(json!(two.events(&two.there, two.right.id("staff")).await).to_string().contains(WORDS));
    for (ward, format) in [(&two.wrong, "ndjson"), (&two.wrong, "fhir-transaction"), (&two.right, "fhir-transaction")] {
        let name = format!("{}-{format}", ward.id("patient"));
        let text = std::fs::read_to_string(two.export(ward, &name, format, &[]).await).unwrap();
        assert_eq!(text.contains(WORDS), ward.id("patient") == two.right.id("patient"), "{format}");
    }
    let verified = two.server.house.cli_with(&["verify", "--record"], "").await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}
