//! A server of the real program in a temporary folder, the command line beside it, and the people who use it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::database::{Base, Database};
use super::http::{Answer, Connection};
use super::socket::Socket;

/// Limits out of the way, for tests that are about something else.
pub const ROOMY: &str = "[files]\ndisk_percent_max = 100\n[limits]\ncommands_per_second = 100000\ncommands_burst = 100000\nsockets_per_user = 500\n\
                         sockets_per_address = 1000\n";
/// Longer than any start takes on a machine that does other things too.
const START: Duration = Duration::from_secs(60);

/// Shorter than any server keeps a connection that nobody uses.
const IDLE: Duration = Duration::from_secs(3);

/// A data folder with everything around it. Nothing serves it yet.
pub struct House {
    root: TempDir,
    /// Where the record is kept on PostgreSQL.
    base: Option<Base>,
    environment: Vec<(String, String)>,
}

/// What a command of the command line gave.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Somebody with an account and a token.
#[derive(Clone, Debug)]
pub struct Person {
    pub handle: String,
    pub id: String,
    pub token: String,
}

/// A house that is served. Killed when dropped.
pub struct Server {
    pub house: House,
    pub address: SocketAddr,
    pub tls: Arc<ClientConfig>,
    child: Child,
    idle: Mutex<Vec<(tokio::time::Instant, Connection)>>,
}

impl Done {
    /// The one object of `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not one JSON object: {}", self.stdout))
    }
}

impl House {
    /// Makes a data folder with the given configuration (TOML), on the database that the test runs on.
    pub async fn new(config: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = match Database::chosen() {
            Database::Sqlite => None,
            Database::Postgres => Some(Base::new()),
        };
        let house = Self { root, base, environment: Vec::new() };
        std::fs::create_dir(house.path("tmp")).unwrap();
        std::fs::write(house.path("config.toml"), config).unwrap();
        house.cli(&["init"]).await.json();
        house
    }

    /// A variable of the environment for everything started later.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Where the record is kept on PostgreSQL; on SQLite, in the data folder, there is none.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// A file beside the data folder; `server.log` is what servers wrote to standard error, `tmp` their temporary folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The program with the folder's arguments.
    pub fn command(&self, program: &[&str]) -> Command {
        let program = if program.is_empty() { &[env!("CARGO_BIN_EXE_carethread")][..] } else { program };
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg("--data").arg(self.data()).arg("--config").arg(self.path("config.toml"));
        command.env("TMPDIR", self.path("tmp")).stdin(Stdio::null()).kill_on_drop(true);
        command.env_remove("CARETHREAD_DATABASE_URL");
        if let Some(base) = &self.base {
            command.env("CARETHREAD_DATABASE_URL", &base.url);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command with `--json`.
    pub async fn cli(&self, arguments: &[&str]) -> Done {
        self.cli_with(&[&["--json"], arguments].concat(), "").await
    }

    /// Runs a command as it is, with something to read.
    pub async fn cli_with(&self, arguments: &[&str], stdin: &str) -> Done {
        let mut command = self.command(&[]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // A command that reads nothing may be gone already.
        let _ = input.write_all(stdin.as_bytes()).await;
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Serves the folder; panics when that does not come about.
    pub async fn serve(self) -> Server {
        self.serve_under(&[]).await
    }

    /// Serves under another program, such as one that injects faults: its words go before ours.
    pub async fn serve_under(self, wrapper: &[&str]) -> Server {
        let program = [wrapper, &[env!("CARGO_BIN_EXE_carethread")]].concat();
        let log = std::fs::File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut command = self.command(&program);
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(START, lines.next_line()).await.unwrap().unwrap();
        let Some(line) = line else { panic!("no server:\n{}", self.log()) };
        let port = line.strip_prefix("listening on https://127.0.0.1:").unwrap_or_else(|| panic!("{line}"));
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let certificate = CertificateDer::from_pem_file(self.data().join("tls/cert.pem")).unwrap();
        let tls = carethread::interfaces::pin::client(certificate).unwrap();
        Server { house: self, address, tls, child, idle: Mutex::default() }
    }

    /// Another house with the data as it is at this moment, whatever a server is doing to it: files as they are on the disk, and what
    /// PostgreSQL gives whoever reads now.
    pub async fn copied(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        let copy =
            Command::new("cp").arg("-a").arg(self.root.path().join(".")).arg(root.path()).status().await.unwrap();
        assert!(copy.success());
        let _ = std::fs::remove_file(root.path().join("data/control.sock"));
        let base = match &self.base {
            Some(base) => Some(base.copied().await),
            None => None,
        };
        Self { root, base, environment: self.environment.clone() }
    }

    /// Everything servers of this house wrote to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }
}

impl Server {
    /// A new house, served, with limits out of the way.
    pub async fn new() -> Self {
        Self::with(ROOMY).await
    }

    /// A new house with a configuration of its own, served.
    pub async fn with(config: &str) -> Self {
        House::new(config).await.serve().await
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal by name.
    pub async fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the process; its exit code, none after a signal.
    pub async fn ended(mut self) -> (House, Option<i32>) {
        let status = tokio::time::timeout(START, self.child.wait()).await.expect("the server ends").unwrap();
        (self.take(), status.code())
    }

    /// Ends the process as a power loss would: nothing is said, nothing is finished.
    pub async fn kill(mut self) -> House {
        self.child.kill().await.unwrap();
        self.take()
    }

    fn take(&mut self) -> House {
        // The house moves out; what stays behind is dropped with the rest.
        let spare = House { root: tempfile::tempdir().unwrap(), base: None, environment: Vec::new() };
        std::mem::replace(&mut self.house, spare)
    }

    /// Runs a command with `--json`; the running server executes it.
    pub async fn cli(&self, arguments: &[&str]) -> Value {
        self.house.cli(arguments).await.json()
    }

    /// An account with a token: a practitioner unless further arguments of `user add` say otherwise.
    pub async fn person_with(&self, handle: &str, arguments: &[&str]) -> Person {
        let name = format!("{handle} Example");
        let made = self.cli(&[&["user", "add", "--handle", handle, "--name", &name], arguments].concat()).await;
        let issued = self.cli(&["token", "issue", "--user", handle]).await;
        Person { handle: handle.into(), id: text(&made, "id"), token: text(&issued, "token") }
    }

    /// A practitioner.
    pub async fn person(&self, handle: &str) -> Person {
        self.person_with(handle, &[]).await
    }

    /// A request over a kept connection, or a new one.
    pub async fn request(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        self.try_request(line, headers, body).await.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// As [`Server::request`], for servers that may go away.
    pub async fn try_request(&self, line: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let kept = self.idle.lock().unwrap().pop();
        // The server closes what was idle for long, and a request may be on its way just then.
        let kept = kept.filter(|(since, _)| since.elapsed() < IDLE).map(|(_, connection)| connection);
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address, &self.tls).await?,
        };
        let answer = connection.ask(line, headers, body).await?;
        if answer.header("connection") != "close" {
            self.idle.lock().unwrap().push((tokio::time::Instant::now(), connection));
        }
        Ok(answer)
    }

    /// An op over HTTP, by somebody.
    pub async fn ask(&self, person: &Person, op: &str, data: Value) -> Answer {
        self.try_ask(person, op, data).await.unwrap_or_else(|error| panic!("{op}: {error}"))
    }

    /// As [`Server::ask`], for servers that may go away.
    pub async fn try_ask(&self, person: &Person, op: &str, data: Value) -> std::io::Result<Answer> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", person.token);
        self.try_request("POST /v1/ops", &headers, json!({"op": op, "data": data}).to_string().as_bytes()).await
    }

    /// An op that is to succeed: the reply's data.
    pub async fn run(&self, person: &Person, op: &str, data: Value) -> Value {
        let answer = self.ask(person, op, data).await;
        assert_eq!(answer.status, 200, "{op} by {}: {}", person.handle, answer.text);
        answer.json()["data"].clone()
    }

    /// An op that is to be refused: the error's code.
    pub async fn code(&self, person: &Person, op: &str, data: Value) -> String {
        let answer = self.ask(person, op, data).await;
        let code = answer.json()["error"]["code"].as_str().map(str::to_owned);
        code.unwrap_or_else(|| panic!("{op} by {} was not refused: {}", person.handle, answer.text))
    }

    /// A socket of somebody, signed in by the header.
    pub async fn socket(&self, person: &Person) -> Socket {
        Socket::open(self, &format!("Authorization: Bearer {}\r\n", person.token)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before its database is taken away under it.
        let _ = self.child.start_kill();
        if std::thread::panicking() {
            let log = self.house.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the server's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// A member that is text.
#[track_caller]
pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}")).to_owned()
}

/// The ids at `name` in a list.
#[track_caller]
pub fn list<'a>(object: &'a Value, name: &str) -> &'a Vec<Value> {
    object[name].as_array().unwrap_or_else(|| panic!("no list {name} in {object}"))
}

/// A file of the sample data.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fhir").join(name)
}
