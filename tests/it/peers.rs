//! Receivers that others wrote, as charts have them: a FHIR server (`foreign/fhir_server.mjs`) and an HL7 v2 interface
//! (`foreign/mllp_peer.py`). Each listens on a port of its own, keeps what it received, and breaks when it is told to. They end with the
//! test that started them. `tests/run` installs what they need.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use super::foreign::{folder, node, python};

/// Longer than the definitions of FHIR take to be read on a machine that does other things too.
const START: Duration = Duration::from_secs(90);

/// A process that is told what to do a line at a time.
struct Peer {
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    /// Killed when dropped.
    _child: Child,
}

/// Certificates that a peer speaks TLS with.
pub struct Certificates<'a> {
    /// PEM.
    pub certificate: &'a Path,
    /// PEM.
    pub key: &'a Path,
    /// Who signs the certificates that clients must show; none asks for none.
    pub clients: Option<&'a Path>,
}

/// A FHIR server that keeps everything in its memory.
pub struct FhirServer {
    peer: Peer,
    /// `http://127.0.0.1:PORT/fhir`.
    pub base: String,
}

/// A receiver of HL7 v2 over MLLP.
pub struct MllpPeer {
    peer: Peer,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Peer {
    /// Starts it; also what it listens on.
    async fn start(mut command: Command, tls: Option<Certificates<'_>>) -> (Self, String) {
        if let Some(tls) = tls {
            command.arg(tls.certificate).arg(tls.key).args(tls.clients);
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = spawned.unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(START, lines.next_line()).await.expect("the peer starts").unwrap();
        let line = line.expect("the peer says where it listens");
        let place = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        (Self { talk: Mutex::new((input, lines)), _child: child }, place)
    }

    async fn tell(&self, command: Value) -> Value {
        let (input, lines) = &mut *self.talk.lock().await;
        input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let line = lines.next_line().await.unwrap().expect("the peer answers");
        serde_json::from_str(&line).unwrap()
    }

    async fn list(&self, command: Value) -> Vec<Value> {
        match self.tell(command).await {
            Value::Array(list) => list,
            other => panic!("{other}"),
        }
    }
}

impl FhirServer {
    /// An empty one, without sign-in, that takes transactions and refuses what FHIR's definitions do not take.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One behind TLS.
    pub async fn start_with(tls: Option<Certificates<'_>>) -> Self {
        let mut command = node();
        command.arg(folder().join("fhir_server.mjs"));
        let (peer, place) = Peer::start(command, tls).await;
        Self { peer, base: format!("{place}/fhir") }
    }

    /// Changes settings: `transactions`, `batch`, `validate`, `auth`, `token`, `client`, `jwks`, `expires_in`, `statement`,
    /// `bytes_max`, `algorithms` that assertions are signed with.
    pub async fn set(&self, settings: Value) {
        self.peer.tell(json!({"settings": settings})).await;
    }

    /// Replaces the faults that wait for a request: see the head of `fhir_server.mjs`.
    pub async fn faults(&self, faults: Value) {
        self.peer.tell(json!({"faults": faults})).await;
    }

    /// Puts resources there, with the ids they have.
    pub async fn seed(&self, resources: Value) {
        self.peer.tell(json!({"seed": resources})).await;
    }

    /// Every request so far: `method`, `url`, `headers`, `body`, `status` it was answered with, `fault` it met.
    pub async fn received(&self) -> Vec<Value> {
        self.peer.list(json!({"received": true})).await
    }

    /// Every resource it holds, or those of one type.
    pub async fn stored(&self, kind: Option<&str>) -> Vec<Value> {
        self.peer.list(json!({"stored": kind.map_or(json!(true), Value::from)})).await
    }

    /// Forgets resources, requests, faults and settings.
    pub async fn reset(&self) {
        self.peer.tell(json!({"reset": true})).await;
    }
}

impl MllpPeer {
    /// One that accepts everything.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One behind TLS.
    pub async fn start_with(tls: Option<Certificates<'_>>) -> Self {
        let mut command = python();
        command.arg(folder().join("mllp_peer.py"));
        let (peer, port) = Peer::start(command, tls).await;
        Self { peer, address: format!("127.0.0.1:{port}") }
    }

    /// Replaces the faults that wait for a message: see the head of `mllp_peer.py`.
    pub async fn faults(&self, faults: Value) {
        self.peer.tell(json!({"faults": faults})).await;
    }

    /// Every message so far: `raw`, `type`, `control_id`, `answer`, `fields`, `observed`, `problem` the parser has with it.
    pub async fn received(&self) -> Vec<Value> {
        self.peer.list(json!({"received": true})).await
    }
}

both!(peers_keep_what_they_receive_and_break_when_told);
async fn peers_keep_what_they_receive_and_break_when_told() {
    use tokio::io::AsyncReadExt;
    let (fhir, mllp) = (FhirServer::start().await, MllpPeer::start().await);
    fhir.seed(json!([{"resourceType": "Patient", "id": "p1", "gender": "female"}])).await;
    fhir.faults(json!([{"kind": "status", "status": 503, "headers": {"retry-after": "2"}}])).await;
    let address = fhir.base.trim_start_matches("http://").trim_end_matches("/fhir").to_owned();
    for expected in ["503", "200", "401"] {
        let mut line = tokio::net::TcpStream::connect(&address).await.unwrap();
        line.write_all(b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
        if expected == "200" {
            fhir.set(json!({"auth": "bearer", "token": "known"})).await;
        }
    }
    let statuses: Vec<Value> = fhir.received().await.iter().map(|one| one["status"].clone()).collect();
    assert_eq!((statuses, fhir.stored(Some("Patient")).await.len()), (vec![json!(503), json!(200), json!(401)], 1));
    fhir.reset().await;
    assert!(fhir.stored(None).await.is_empty() && fhir.received().await.is_empty());
    mllp.faults(json!([{"kind": "AE", "error": "207", "text": "busy"}])).await;
    let mut line = tokio::net::TcpStream::connect(&mllp.address).await.unwrap();
    let message = "MSH|^~\\&|A|B|C|D|20260302170001+0000||MDM^T02^MDM_T02|ID1|P|2.5.1\rEVN|T02|20260302170001+0000\r";
    for expected in ["MSA|AE|ID1\rERR|||207^", "MSA|AA|ID1\r"] {
        line.write_all(format!("\x0b{message}\x1c\r").as_bytes()).await.unwrap();
        let mut answer = vec![0; 1000];
        let length = line.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains(expected), "{answer}");
    }
    assert_eq!(mllp.received().await.len(), 2);
}
