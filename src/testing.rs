//! A whole engine over a temporary folder, for tests of features: keys, both databases, the registry, nobody listening.
//! Compiled for tests only. Does not know: sockets, HTTP, the command line.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::features::{FEATURES, identity};
use crate::kernel::base::config::Config;
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{Code, Micros, Refusal, World};
use crate::kernel::crypto::keyring::{self, Keyring};
use crate::kernel::crypto::provider::create_key_file;
use crate::kernel::crypto::{FileProvider, KeyOwner};
use crate::kernel::engine::{Data, Engine, Outlet, Registry, Roll, Shared, Silent, alarm};
use crate::kernel::log::Vault;
use crate::kernel::policy::{self, PersonKind, Roles, Subject};
use crate::kernel::store::{Db, Files, Keys, Location, Schema};

/// A server's inside: the folder is removed when it is dropped.
pub struct House {
    /// The engine, as a server has it.
    pub engine: Engine,
    /// Its clock: `world.advance(..)` moves it.
    pub world: World,
    /// The data folder.
    pub folder: TempDir,
}

impl House {
    /// With the built-in settings and nobody listening.
    pub async fn new() -> Self {
        Self::with(settings(), Arc::new(Silent)).await
    }

    /// With settings and an outlet of one's own.
    pub async fn with(config: Config, outlet: Arc<dyn Outlet>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::system();
        create_key_file(&world, &folder.path().join("kek")).expect("a key file");
        let deployment = DeploymentId(world.id());
        let keys = Keys::open(&Location::File(folder.path().join("keys.db"))).await.expect("keys.db");
        let provider = Arc::new(FileProvider::open(&folder.path().join("kek"), 1).expect("the key file opens"));
        let fresh = |owner| keyring::new_key(&world, &*provider, deployment, owner, 1).expect("wraps");
        let (system, signer) = (fresh(KeyOwner::System), fresh(KeyOwner::Signer));
        let ring = Keyring::sealed();
        ring.unseal(provider.clone(), deployment, "record.example", &[system], &signer).expect("unseals");
        let db = Db::open(&Location::File(folder.path().join("record.db")), Schema::Record).await.expect("record.db");
        let vault = Vault::new(ring, keys, deployment, world.clone());
        let engine = start(folder.path(), db, vault, world.clone(), config, outlet).await;
        identity::found(&engine, Some("Riverside Clinic")).await.expect("a new house is founded");
        Self { engine, world, folder }
    }

    /// The same data behind a new engine: what a restart finds. Settings are the built-in ones again.
    pub async fn restarted(self) -> Self {
        let Self { engine, world, folder } = self;
        let vault = engine.shared().vault.clone();
        engine.stop().await;
        let db = Db::open(&Location::File(folder.path().join("record.db")), Schema::Record).await.expect("record.db");
        let engine = start(folder.path(), db, vault, world.clone(), settings(), Arc::new(Silent)).await;
        Self { engine, world, folder }
    }

    /// Moves the clock.
    pub fn advance(&self, by: Micros) {
        self.world.advance(by);
    }

    /// Does all that is due by the clock, and gives how much that was.
    pub async fn ring(&self) -> usize {
        alarm::ring_due(&self.engine, &self.command_line().await).await.expect("what is due can be looked up")
    }

    /// A person of that kind, with no roles.
    pub async fn person(&self, handle: &str, kind: PersonKind) -> Subject {
        self.person_with(handle, kind, Roles::default()).await
    }

    /// A person of that kind with server roles, always a new one: a handle that is taken gets a number. The handle is their name, too.
    pub async fn person_with(&self, handle: &str, kind: PersonKind, roles: Roles) -> Subject {
        let (mut free, mut number) = (handle.to_owned(), 1);
        while identity::find(&self.engine, &free).await.expect("the accounts can be read").is_some() {
            number += 1;
            free = format!("{handle}-{number}");
        }
        let data = serde_json::json!({
            "handle": free, "name": handle, "kind": kind.text(), "roles": role_names(roles),
        });
        let added = self.run(&self.command_line().await, "user.add", data).await;
        self.engine.subject(id_of(&added, "id")).expect("an active account")
    }

    /// The command line of the host, as the built-in user.
    pub async fn command_line(&self) -> Subject {
        identity::operator(&self.engine, None).await.expect("made with the house")
    }

    /// Runs an op, public or internal, that is to succeed.
    pub async fn run(&self, subject: &Subject, op: &str, data: Value) -> Value {
        match self.try_run(subject, op, data).await {
            Ok(answer) => answer,
            Err(refusal) => panic!("{op} was refused: {refusal:?}"),
        }
    }

    /// Runs an op, public or internal, that is to be refused.
    pub async fn refused(&self, subject: &Subject, op: &str, data: Value) -> Refusal {
        match self.try_run(subject, op, data).await {
            Ok(answer) => panic!("{op} was not refused: {answer}"),
            Err(refusal) => refusal,
        }
    }

    /// The code with which an op is refused.
    pub async fn code(&self, subject: &Subject, op: &str, data: Value) -> Code {
        self.refused(subject, op, data).await.code
    }

    /// Runs an op, public or internal.
    pub async fn try_run(&self, subject: &Subject, op: &str, data: Value) -> Result<Value, Refusal> {
        let data: Data = data.as_object().cloned().expect("data is an object");
        self.engine.run_internal(subject.clone(), op, data).await
    }
}

/// The built-in ones, but that the disk of the machine may be fuller.
fn settings() -> Config {
    let mut config = Config::default();
    config.files.disk_percent_max = 100;
    config
}

async fn start(folder: &Path, db: Db, vault: Vault, world: World, config: Config, outlet: Arc<dyn Outlet>) -> Engine {
    let (book, registry, roll) = (policy::Book::default(), Registry::new(FEATURES), Roll::default());
    let files = Files::at(folder.join("files"));
    let shared = Shared { db, vault, book, registry, world, config, roll, files };
    Engine::start(shared, outlet).await.expect("the engine starts")
}

/// The id at `name` of an answer.
pub fn id_of<T: std::str::FromStr>(answer: &Value, name: &str) -> T {
    let text = answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}"));
    text.parse().unwrap_or_else(|_| panic!("{name} is no id in {answer}"))
}

fn role_names(roles: Roles) -> Vec<&'static str> {
    Roles::NAMES.iter().filter(|(_, role)| roles.has(*role)).map(|(name, _)| *name).collect()
}

/// A fresh key for a command.
pub fn key(world: &World) -> Uuid {
    world.id()
}

#[tokio::test]
async fn a_house_opens_and_opens_again() {
    let house = House::new().await;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    assert_eq!(house.code(&nurse, "no.such", serde_json::json!({})).await, Code::UnknownOp);
    let house = house.restarted().await;
    assert_eq!(house.engine.subject(nurse.user).map(|subject| subject.kind), Some(PersonKind::Practitioner));
}
