//! Where a load runs: the limit server, a Carethread of this binary filled for the purpose, or one that is given.
//!
//! Carethread is filled as a site would fill it, by the command line and over its socket; nothing here touches the database.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::SinkExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Carethread, Fixture, LimitDialect, Person, Team};
use super::load::{Target, Wire};
use super::process::{self, Child};
use super::scenario::Ground;
use crate::interfaces::tls::Files;
use crate::kernel::base::World;

/// Over the default limits, which hold back one person and not a load: commands a second of one socket, sockets of one address.
const CONFIGURATION: &str = "[limits]\ncommands_per_second = 1000000\ncommands_burst = 1000000\nsockets_per_user = 100\n\
    sockets_per_address = 20000\n";

/// Which teams a load needs.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Sizes of the large teams, one of each.
    pub large: Vec<usize>,
    /// How many small teams.
    pub teams: usize,
    /// People in each small team.
    pub members: usize,
}

impl Layout {
    /// The size of every team.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        self.large.iter().copied().chain(std::iter::repeat_n(self.members, self.teams)).collect()
    }

    /// Who is in which team: indexes of people. Small teams share nobody; the large ones take everyone from the first on.
    fn people(&self) -> Vec<Vec<usize>> {
        let small = (0..self.teams).map(|team| (team * self.members..(team + 1) * self.members).collect());
        self.large.iter().map(|size| (0..*size).collect()).chain(small).collect()
    }

    /// How many people that takes.
    fn count(&self) -> usize {
        self.large.iter().copied().max().unwrap_or(0).max(self.teams * self.members)
    }
}

/// Starts the limit server as a child, its file in `folder`.
///
/// # Errors
/// When it does not start.
pub async fn limit(folder: &Path, layout: &Layout) -> anyhow::Result<(Ground, Child)> {
    let child = process::start(vec!["bench".into(), "limit".into(), "--data".into(), folder.into()]).await?;
    let target = Target::new("limit", child.address, certificate(folder)?, Some(child.pid))?;
    Ok((Ground { target, dialect: Arc::new(LimitDialect { sizes: layout.sizes() }) }, child))
}

/// Makes a data folder, starts Carethread on it as a child, and fills it.
///
/// # Errors
/// When a step is refused; the sentence of the command is part of the error.
pub async fn carethread(folder: &Path, layout: &Layout, world: &World) -> anyhow::Result<(Ground, Child)> {
    let data = folder.join("carethread");
    command(&data, &["init"]).await?;
    let configuration = folder.join("bench.toml");
    std::fs::write(&configuration, CONFIGURATION)?;
    let mut arguments: Vec<OsString> = vec!["serve".into(), "--listen".into(), "127.0.0.1:0".into()];
    arguments.extend(["--data".into(), data.clone().into(), "--config".into(), configuration.into()]);
    let child = process::start(arguments).await?;
    let target = Target::new("carethread", child.address, certificate(&data)?, Some(child.pid))?;
    let fixture = fill(&target, &data, layout).await?;
    keep(&folder.join("fixture.json"), &fixture)?;
    Ok((Ground { target, dialect: Arc::new(Carethread::new(fixture, world)) }, child))
}

/// A server that runs already, filled before (`fixture.json` of a former run).
#[derive(Clone, Debug)]
pub struct Given {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its process, if it is on this machine.
    pub pid: Option<u32>,
    /// Its people and teams.
    pub fixture: PathBuf,
}

impl Given {
    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn ground(&self, world: &World) -> anyhow::Result<Ground> {
        let certificate = CertificateDer::from_pem_file(&self.certificate).context("the certificate is not PEM")?;
        let fixture: Fixture = serde_json::from_slice(&std::fs::read(&self.fixture)?).context("the fixture")?;
        let target = Target::new("carethread", self.address, certificate, self.pid)?;
        Ok(Ground { target, dialect: Arc::new(Carethread::new(fixture, world)) })
    }
}

fn certificate(folder: &Path) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(Files::of_folder(folder).certificate).context("the child made a certificate")
}

/// Keeps the fixture for a later run; it holds tokens, so nobody else may read it.
fn keep(path: &Path, fixture: &Fixture) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(serde_json::to_writer(file, fixture)?)
}

/// Runs a command of this binary on `data` and reads its object.
async fn command(data: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).arg("--json").arg("--data").arg(data).stdin(Stdio::null()).kill_on_drop(true);
    super::process::in_its_folder(&mut command);
    let output = command.output().await?;
    let words = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    ensure!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("{words} answers with an object"))
}

/// Makes people by the command line, teams over the socket.
async fn fill(target: &Target, data: &Path, layout: &Layout) -> anyhow::Result<Fixture> {
    let making = (0..layout.count()).map(|number| async move {
        let handle = format!("bench-{number}");
        let made = command(data, &["user", "add", "--handle", &handle, "--name", &handle]).await?;
        let issued = command(data, &["token", "issue", "--user", &handle]).await?;
        anyhow::Ok(Person { user: member(&made, "id")?, token: member(&issued, "token")? })
    });
    let people: Vec<Person> = stream::iter(making).buffered(4).try_collect().await?;
    let mut teams = Vec::new();
    for (number, team) in layout.people().into_iter().enumerate() {
        let lead = team.first().and_then(|lead| people.get(*lead)).context("a team has a lead")?;
        let mut desk = Desk { wire: target.connect("/v1/ws", Some(&lead.token)).await?, id: 0 };
        let made = desk.ask("patient.register", json!({ "name": format!("Bench patient {number}") })).await?;
        let patient = member(&made, if made["patient"].is_string() { "patient" } else { "id" })?;
        for person in team.iter().skip(1).filter_map(|person| people.get(*person)) {
            desk.ask("team.add", json!({ "patient": patient, "user": person.user, "role": "nurse" })).await?;
        }
        let channels = desk.ask("channel.list", json!({})).await?;
        let channel = find(&channels["channels"], |channel| {
            channel["patient"] == patient.as_str() && channel["name"] == "Care team"
        })?;
        let items = desk.ask("plan.items", json!({ "patient": patient })).await?;
        let item = find(&items["items"], |item| item["standing"] == "whole")?;
        let _ = desk.wire.close(None).await;
        teams.push(Team { patient, channel, item, people: team });
    }
    Ok(Fixture { people, teams })
}

fn member(object: &Value, name: &str) -> anyhow::Result<String> {
    Ok(object[name].as_str().with_context(|| format!("the answer has `{name}`"))?.to_owned())
}

/// The `id` of the one that fits.
fn find(list: &Value, fits: impl Fn(&Value) -> bool) -> anyhow::Result<String> {
    let one = list.as_array().and_then(|list| list.iter().find(|one| fits(one)));
    member(one.context("what every patient has is not listed")?, "id")
}

/// One person's socket, for one command at a time.
struct Desk {
    wire: Wire,
    id: u64,
}

impl Desk {
    /// The `data` of the reply; waits and repeats when told to.
    async fn ask(&mut self, op: &str, data: Value) -> anyhow::Result<Value> {
        loop {
            self.id += 1;
            let frame = json!({ "id": self.id, "op": op, "data": data });
            self.wire.send(Message::text(frame.to_string())).await?;
            let mut answer = self.answer().await?;
            if answer["type"] == "reply" {
                return Ok(answer["data"].take());
            }
            match answer["error"]["retry_after_ms"].as_u64() {
                Some(wait_ms) => sleep(Duration::from_millis(wait_ms)).await,
                None => bail!("{op}: {}", answer["error"]["code"].as_str().unwrap_or("refused")),
            }
        }
    }

    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            let Message::Text(frame) = self.wire.next().await.context("the server closed")?? else {
                continue;
            };
            let frame: Value = serde_json::from_str(&frame)?;
            if frame["id"].as_u64() == Some(self.id) {
                return Ok(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_gives_each_team_its_people() {
        let layout = Layout { large: vec![3, 20], teams: 2, members: 8 };
        assert_eq!((layout.sizes(), layout.count()), (vec![3, 20, 8, 8], 20));
        let people = layout.people();
        assert_eq!(people.iter().map(Vec::len).collect::<Vec<_>>(), layout.sizes());
        assert_eq!((people[3][0], people[3][7]), (8, 15));
        assert!(people.iter().flatten().all(|person| *person < layout.count()));
    }
}
