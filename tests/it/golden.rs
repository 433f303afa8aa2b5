//! The golden frames of `clients/contract`: one file for each op, event, error and notice, made by a real server that plays one script,
//! and read by every client's tests. What the server says is held against its published documents on the way.
//! `CARETHREAD_BLESS=1` writes the files anew. A new op or event: add a line at the end of the script in `golden/script.rs`.

mod normal;
mod script;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use carethread::features::FEATURES;
use carethread::kernel::base::{Code, Refusal};
use carethread::kernel::wire::{self, close};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::chance::fresh_id;
use super::clock::Clock;
use super::document::{Document, pascal};
use super::server::{House, Person, ROOMY, Server, text};
use super::socket::Socket;
use normal::Normal;

/// The folder of golden frames.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/contract")
}

/// Somebody with a socket that follows everything.
struct Actor {
    person: Person,
    socket: Socket,
}

/// A script being played, and the files it makes.
pub struct Play {
    server: Server,
    clock: Clock,
    actors: BTreeMap<&'static str, Actor>,
    names: BTreeMap<String, String>,
    files: BTreeMap<String, Value>,
    sockets: Document,
    http: Document,
}

impl Play {
    /// A server with four people, none of whom knows a patient: `lead`, `nurse`, `doctor` and `kin`.
    async fn begin() -> Self {
        let mut house = House::new(ROOMY).await;
        let clock = Clock::of(&mut house);
        let place = format!("unix:{}", house.path("lmtp").display());
        house.set("CARETHREAD_MAIL_LMTP", &place);
        house.set("CARETHREAD_FILES_DISK_PERCENT_MAX", "100");
        let drop = house.path("drop");
        std::fs::create_dir(&drop).unwrap();
        let target = |name: &str, path: &Path| {
            format!("\n[targets.{name}]\nkind = \"folder\"\npath = \"{}\"\nformat = \"ndjson\"\n", path.display())
        };
        let targets = target("drop", &drop) + &target("gone", &house.path("gone"));
        std::fs::write(house.path("config.toml"), format!("{ROOMY}{targets}")).unwrap();
        let server = house.serve().await;
        let (sockets, http) = (Document::fetch(&server, "asyncapi").await, Document::fetch(&server, "openapi").await);
        let (actors, names, files) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut play = Self { server, clock, actors, names, files, sockets, http };
        for (handle, kind) in [("lead", ""), ("nurse", ""), ("doctor", ""), ("kin", "related_person")] {
            let kind = if kind.is_empty() { vec![] } else { vec!["--kind", kind] };
            let person = play.server.person_with(handle, &kind).await;
            play.name(handle, &person.id);
            let socket = play.server.socket(&person).await;
            play.sockets.demand_frame("", &socket.hello);
            play.keep("hello/signed_in.json", &json!({"frame": socket.hello}));
            play.actors.insert(handle, Actor { person, socket });
        }
        play
    }

    /// Gives an id a name: files then number it alike wherever it comes first.
    fn name(&mut self, name: &str, id: &str) {
        self.names.insert(id.to_owned(), name.to_owned());
    }

    /// The id behind a name.
    #[track_caller]
    pub fn id(&self, name: &str) -> String {
        let found = self.names.iter().find(|(_, known)| *known == name);
        found.unwrap_or_else(|| panic!("nothing is called {name}")).0.clone()
    }

    /// Keeps a file, unless it is there: the first of its kind is the golden one.
    fn keep(&mut self, path: &str, content: &Value) {
        let normal = Normal::new(&self.names);
        self.files.entry(path.to_owned()).or_insert_with(|| normal.of(content));
    }

    /// Somebody runs an op that is to succeed; its frames, and every event that comes of it, are checked and kept. Gives the reply's data.
    pub async fn run(&mut self, who: &'static str, op: &'static str, data: Value) -> Value {
        let (request, answer, events) = self.ask(who, op, data).await;
        assert_eq!(answer["type"], "reply", "{op} by {who}: {answer}");
        let data = answer["data"].clone();
        self.sockets.demand(&format!("{}Command", pascal(op)), &json!({"op": op, "data": request["data"]}));
        self.keep(&format!("ops/{op}.json"), &json!({"request": request, "reply": answer, "events": events}));
        data
    }

    /// As [`Play::run`], for a write: what it made gets a name, and the same command is repeated over HTTP under its key.
    pub async fn make(&mut self, name: &str, who: &'static str, op: &'static str, mut data: Value) -> String {
        let key = fresh_id();
        data["key"] = key.into();
        let made = self.run(who, op, data.clone()).await;
        let id = text(&made, "id");
        self.name(name, &id);
        let person = self.actors[who].person.clone();
        self.http.demand("Command", &json!({"op": op, "data": data}));
        let again = self.server.ask(&person, op, data).await.json();
        self.http.demand(&format!("{}Reply", pascal(op)), &again["data"]);
        assert_eq!((&again["data"]["id"], &again["data"]["repeat"]), (&made["id"], &json!(true)), "{op}: {again}");
        id
    }

    /// Hands a mail over for an address, as the site's mail server does.
    pub async fn hand_over(&self, address: &str, mail: &str) {
        let mut peer = UnixStream::connect(self.server.house.path("lmtp")).await.unwrap();
        let said = format!(
            "LHLO mx\r\nMAIL FROM:<mx@clinic.example>\r\nRCPT TO:<{address}>\r\nDATA\r\n{mail}\r\n.\r\nQUIT\r\n"
        );
        peer.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).await.unwrap();
        assert!(heard.contains("250 2.0.0 Taken"), "{heard}");
    }

    /// As [`Play::run`], for what is to be refused; kept by its code.
    pub async fn refuse(&mut self, who: &'static str, code: &str, op: &'static str, data: Value) {
        let (request, answer, _) = self.ask(who, op, data).await;
        assert_eq!(answer["error"]["code"], code, "{op} by {who}: {answer}");
        // What was too large need not stand in a file.
        let request = if code == "too_large" { Value::Null } else { request };
        self.keep_error(code, &request, &answer);
    }

    fn keep_error(&mut self, code: &str, request: &Value, answer: &Value) {
        self.sockets.demand_frame("", answer);
        let known = Code::ALL.iter().find(|known| known.text() == code).expect("a code of the protocol");
        let file = json!({"code": code, "http_status": known.status(), "request": request, "frame": answer});
        self.keep(&format!("errors/{code}.json"), &file);
    }

    /// Sends a command; the frames of it, with the events its author got.
    async fn ask(&mut self, who: &'static str, op: &str, data: Value) -> (Value, Value, Vec<Value>) {
        let actor = self.actors.get_mut(who).unwrap();
        let mut request = json!({"id": 1, "op": op, "data": data});
        if data.as_object().is_some_and(serde_json::Map::is_empty) {
            request.as_object_mut().unwrap().remove("data");
        }
        let mut answer = actor.socket.ask(op, data).await;
        self.sockets.demand_frame(op, &answer);
        answer["id"] = 1.into();
        let mut events = self.events().await.remove(who).unwrap_or_default();
        // What the server does of itself comes when the clock says, which may be beside any step.
        events.retain(|event| event["by"].as_str().is_none_or(|author| self.names.contains_key(author)));
        (request, answer, events)
    }

    /// Every event that came until now, by whose it is, checked and kept.
    async fn events(&mut self) -> BTreeMap<&'static str, Vec<Value>> {
        let mut all = BTreeMap::new();
        for (who, actor) in &mut self.actors {
            let mut events = actor.socket.events_so_far().await;
            // Signed when the clock was moved far enough, which is between any two steps.
            events.retain(|event| event["event"] != "head");
            all.insert(*who, events);
        }
        for events in all.values_mut() {
            self.in_order(events);
            for event in &*events {
                self.sockets.demand_frame("", event);
                let me = if event["channel"] == "me" { "me." } else { "" };
                self.keep(&format!("events/{me}{}.json", text(event, "event")), &json!({ "frame": event }));
            }
        }
        all
    }

    /// Waits until the clock has brought about what a file is made of.
    async fn until(&mut self, path: &str) {
        let waiting = async {
            while !self.files.contains_key(path) {
                self.events().await;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("no {path}"));
    }

    /// Events of one channel are in order; between channels there is none, so the names decide, or what a channel begins with here.
    fn in_order(&self, events: &mut [Value]) {
        let mut begins: BTreeMap<String, (Option<i64>, String)> = BTreeMap::new();
        for event in &*events {
            let first = (event["seq"].as_i64(), text(event, "event"));
            let held = begins.entry(event["channel"].to_string()).or_insert_with(|| first.clone());
            *held = first.min(held.clone());
        }
        let place = |event: &Value| {
            let channel = event["channel"].as_str().unwrap_or_default();
            let begin = || begins[&event["channel"].to_string()].1.clone();
            (self.names.get(channel).cloned().unwrap_or_else(begin), event["seq"].as_i64())
        };
        events.sort_by_key(place);
    }
}

/// What stands in every contract, whatever is played.
fn tables(files: &mut BTreeMap<String, Value>) {
    for code in Code::ALL {
        let frame = wire::error(&json!(1), &Refusal::new(*code));
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let file = json!({"code": code.text(), "http_status": code.status(), "frame": frame});
        files.entry(format!("errors/{}.json", code.text())).or_insert(file);
    }
    let codes = close::ALL.iter().map(|(code, why)| {
        let come_back = !(4400..4500).contains(code) && *code != close::NORMAL;
        json!({"code": code, "meaning": why, "come_back": come_back})
    });
    files.insert("close_codes.json".into(), codes.collect());
}

/// Ops and events of the registry, and those of the connection, that have no file.
fn missing(files: &BTreeMap<String, Value>) -> Vec<String> {
    let mut wanted: BTreeSet<String> =
        ["login", "ping", "resume", "typing", "cancel"].map(|op| format!("ops/{op}.json")).into_iter().collect();
    wanted.extend(["typing", "presence"].map(|event| format!("events/{event}.json")));
    for feature in FEATURES {
        let face = feature.face();
        wanted.extend(face.ops.iter().filter(|op| op.public).map(|op| format!("ops/{}.json", op.name)));
        wanted.extend(face.events.iter().map(|event| {
            let me = if event.personal { "me." } else { "" };
            format!("events/{me}{}.json", event.name)
        }));
    }
    wanted.into_iter().filter(|path| !files.contains_key(path)).collect()
}

/// Compares with what is committed, or writes it.
fn settle(files: &BTreeMap<String, Value>) {
    let folder = folder();
    let text = |content: &Value| serde_json::to_string_pretty(content).unwrap() + "\n";
    if std::env::var_os("CARETHREAD_BLESS").is_some() {
        for (path, content) in files {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), text(content)).unwrap();
        }
        return;
    }
    let other: Vec<String> = files
        .iter()
        .filter(|(path, content)| std::fs::read_to_string(folder.join(path)).ok().as_ref() != Some(&text(content)))
        .map(|(path, content)| format!("{path} is to be:\n{}", text(content)))
        .collect();
    assert!(
        other.is_empty(),
        "{} golden frames of clients/contract differ (CARETHREAD_BLESS=1 writes them anew; a frame that was published may gain \
         members and lose none):\n{}",
        other.len(),
        other.join("\n")
    );
}

/// Every file that is committed and was not made.
fn left_over(files: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for shelf in ["ops", "events", "errors", "notices", "hello"] {
        for entry in std::fs::read_dir(folder().join(shelf)).unwrap() {
            let path = format!("{shelf}/{}", entry.unwrap().file_name().to_string_lossy());
            if !files.contains_key(&path) {
                found.push(path);
            }
        }
    }
    found
}

both!(the_server_speaks_as_its_documents_and_golden_frames_say);
async fn the_server_speaks_as_its_documents_and_golden_frames_say() {
    let mut play = Play::begin().await;
    script::play(&mut play).await;
    notices(&mut play).await;
    let Play { mut files, .. } = play;
    tables(&mut files);
    let missing = missing(&files);
    assert!(missing.is_empty(), "no golden frame; add a step at the end of golden/script.rs: {missing:?}");
    settle(&files);
    assert_eq!(left_over(&files), [""; 0], "nobody makes these any more");
}

/// A search that takes longer, and a server that is about to log somebody off, and then goes down.
async fn notices(play: &mut Play) {
    let told = [("id".to_owned(), json!(7)), ("scanned".into(), json!(20_480)), ("of".into(), json!(50_000))];
    let frame = wire::notice("progress", "This takes longer.", told.into_iter().collect());
    let frame: Value = serde_json::from_str(&frame).unwrap();
    play.sockets.demand_frame("", &frame);
    play.keep("notices/progress.json", &json!({ "frame": frame }));
    let server = Server::with(&ROOMY.replace("[limits]\n", "[limits]\nidle_minutes = 2\n")).await;
    let token = signed_in(&server).await;
    let mut socket = Socket::open(&server, &format!("Authorization: Bearer {token}\r\n")).await;
    for code in ["session_expiring", "draining"] {
        if code == "draining" {
            server.signal("TERM").await;
        }
        let frame: Value = serde_json::from_str(&socket.text().await.expect("a notice")).unwrap();
        assert_eq!(frame["code"], code);
        play.sockets.demand_frame("", &frame);
        play.keep(&format!("notices/{code}.json"), &json!({ "frame": frame }));
    }
}

/// A session opened by password.
async fn signed_in(server: &Server) -> String {
    const PASSWORD: &str = "slow rivers carry stones";
    let add = ["--json", "user", "add", "--handle", "sleeper", "--name", "S Leeper", "--password-stdin"];
    let done = server.house.cli_with(&add, &format!("{PASSWORD}\n")).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let body = json!({"handle": "sleeper", "password": PASSWORD}).to_string();
    let answer = server.request("POST /v1/sessions", "Content-Type: application/json\r\n", body.as_bytes()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    text(&answer.json(), "token")
}
