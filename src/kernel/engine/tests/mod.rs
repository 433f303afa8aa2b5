//! The engine under a toy feature: order, exactly once, audit before answer, news after commit, and what is left after each kind of
//! failure. On a record of its own in a temporary folder; the law of gapless channels on PostgreSQL too.

mod alarm;
mod audit;
mod failures;
mod heads;
mod keys;
mod law;
mod me;
mod order;
mod standing;
mod toy;

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::toy::{TABLES, Toy};
use super::{Engine, News, Outlet, Registry, Shared};
use crate::kernel::base::config::Config;
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, Refusal, UserId, World};
use crate::kernel::crypto::keyring::{self, Keyring, WrappedKey};
use crate::kernel::crypto::provider::create_key_file;
use crate::kernel::crypto::{FileProvider, KeyOwner, KeyProvider};
use crate::kernel::log::{self, Fact, Vault};
use crate::kernel::policy::{self, Book, PersonKind, Roles, Subject};
use crate::kernel::store::{Db, Keys, Location, Schema, Tx};
use crate::on_db;

/// Keeps what was told.
#[derive(Default)]
pub struct Recorder {
    pub told: Mutex<Vec<News>>,
    /// The next news make it panic.
    pub panics: std::sync::atomic::AtomicBool,
}

impl Outlet for Recorder {
    fn publish(&self, news: News) {
        assert!(!self.panics.swap(false, std::sync::atomic::Ordering::Relaxed), "as asked");
        self.told.lock().expect("no test panics while it holds this").push(news);
    }
}

/// An engine of toys.
pub struct Ground {
    pub engine: Engine,
    pub world: World,
    pub outlet: Arc<Recorder>,
    folder: TempDir,
    record: Location,
    provider: Arc<dyn KeyProvider>,
    system: Vec<WrappedKey>,
    signer: WrappedKey,
    deployment: DeploymentId,
}

impl Ground {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let record = Location::File(folder.path().join("record.db"));
        Self::on(folder, record).await
    }

    /// With the record elsewhere.
    pub async fn on(folder: TempDir, record: Location) -> Self {
        let world = World::system();
        create_key_file(&world, &folder.path().join("kek")).expect("a key file");
        let provider: Arc<dyn KeyProvider> =
            Arc::new(FileProvider::open(&folder.path().join("kek"), 1).expect("the key file opens"));
        let deployment = DeploymentId(world.id());
        let fresh = |owner| keyring::new_key(&world, &*provider, deployment, owner, 1).expect("wraps");
        let (system, signer) = (vec![fresh(KeyOwner::System)], fresh(KeyOwner::Signer));
        let db = Db::open(&record, Schema::Record).await.expect("the record opens");
        let mut tx = db.write().await.expect("a transaction");
        for table in TABLES {
            on_db!(tx, |c| sqlx::query(*table).execute(c).await.map(drop)).expect("a table");
        }
        tx.commit().await.expect("committed");
        let outlet = Arc::new(Recorder::default());
        let keys = (&provider, &system, &signer);
        let engine = start(&folder, db, &world, deployment, keys, outlet.clone()).await;
        Self { engine, world, outlet, folder, record, provider, system, signer, deployment }
    }

    /// What a restart finds.
    pub async fn restarted(self) -> Self {
        let Self { engine, world, folder, record, provider, system, signer, deployment, .. } = self;
        engine.stop().await;
        let db = Db::open(&record, Schema::Record).await.expect("the record opens");
        let outlet = Arc::new(Recorder::default());
        let engine = start(&folder, db, &world, deployment, (&provider, &system, &signer), outlet.clone()).await;
        Self { engine, world, outlet, folder, record, provider, system, signer, deployment }
    }

    /// Another engine on the same record and keys, as a second node is.
    pub async fn second_node(&self) -> Engine {
        let db = Db::open(&self.record, Schema::Record).await.expect("the record opens");
        let keys = (&self.provider, &self.system, &self.signer);
        start(&self.folder, db, &self.world, self.deployment, keys, Arc::new(Recorder::default())).await
    }

    /// From now on another version of the system key seals and makes MACs.
    pub fn rotate_system_key(&mut self) {
        let version = self.system.len() as u32 + 1;
        let key = keyring::new_key(&self.world, &*self.provider, self.deployment, KeyOwner::System, version);
        self.system.push(key.expect("wraps"));
        let ring = self.engine.shared().vault.keyring();
        ring.unseal(self.provider.clone(), self.deployment, "record.example", &self.system, &self.signer)
            .expect("unseals");
    }

    pub async fn person(&self, kind: PersonKind, roles: Roles) -> Subject {
        let user = UserId(self.world.id());
        let mut tx = self.write().await;
        policy::sql::add_person(&mut tx, user, kind.number(), roles.0, true).await.expect("a row");
        tx.commit().await.expect("committed");
        self.engine.book().put_person(user, kind, roles, true, 1);
        self.engine.subject(user).expect("the person was just added")
    }

    pub async fn nurse(&self) -> Subject {
        self.person(PersonKind::Practitioner, Roles::default()).await
    }

    /// A channel of a patient of its own that `subject` reads and leads.
    pub async fn channel(&self, subject: &Subject) -> ChannelId {
        let answer = self.run(subject, "toy.open", json!({})).await.expect("opens");
        answer["channel"].as_str().expect("a channel").parse().expect("an id")
    }

    pub async fn run(&self, subject: &Subject, op: &str, data: Value) -> Result<Value, Refusal> {
        self.engine.run(subject.clone(), op, data.as_object().cloned().expect("an object")).await
    }

    /// Queues all of them before the committer runs: one batch, as long as the test has one thread.
    pub async fn together(&self, jobs: &[(&Subject, &str, Value)]) -> Vec<Result<Value, Refusal>> {
        let begun = jobs.iter().map(|(subject, op, data)| {
            self.engine.run((*subject).clone(), op, data.as_object().cloned().expect("an object"))
        });
        join_all(begun.collect::<Vec<_>>()).await
    }

    pub async fn write(&self) -> Tx {
        self.engine.shared().db.write().await.expect("a transaction")
    }

    pub async fn read(&self) -> Tx {
        self.engine.shared().db.read().await.expect("a transaction")
    }

    /// Runs SQL beside the engine.
    pub async fn sql(&self, text: &'static str) {
        let mut tx = self.write().await;
        on_db!(tx, |c| sqlx::query(text).execute(c).await.map(drop)).expect("runs");
        tx.commit().await.expect("committed");
    }

    /// Every channel and audit stream holds; gives the entries of `channel`.
    pub async fn entries(&self, channel: ChannelId) -> Vec<Fact> {
        let mut tx = self.read().await;
        let vault = &self.engine.shared().vault;
        for head in log::sql::all_heads(&mut tx).await.expect("heads") {
            let walked = log::verify::channel(&mut tx, vault, &head, &Default::default()).await.expect("walks");
            assert_eq!(walked.flaw, None);
        }
        assert_eq!(log::verify::audit(&mut tx).await.expect("walks").flaws, vec![]);
        let head = log::sql::head(&mut tx, channel).await.expect("reads").expect("a channel");
        log::since(&mut tx, vault, &head, 0, head.seq, i64::MAX).await.expect("unbroken")
    }

    /// The lines of the audit, as JSON.
    pub async fn audited(&self) -> Vec<Value> {
        let mut tx = self.read().await;
        let rows = log::sql::audit_page(&mut tx, 1, 0, i64::MAX).await.expect("reads");
        rows.iter().map(|row| serde_json::from_str(&row.line).expect("JSON")).collect()
    }

    /// Audit lines of one action, as outcomes.
    pub async fn outcomes(&self, action: &str) -> Vec<String> {
        let lines = self.audited().await;
        let of_action = lines.iter().filter(|line| line["action"] == action);
        of_action.map(|line| line["outcome"].as_str().expect("a word").to_owned()).collect()
    }

    /// What the outlet was told of a channel, in order.
    pub fn told(&self, channel: ChannelId) -> Vec<i64> {
        let told = self.outlet.told.lock().expect("no test panics while it holds this");
        told.iter().flat_map(|news| &news.facts).filter(|fact| fact.channel == channel).map(|fact| fact.seq).collect()
    }
}

async fn start(
    folder: &TempDir,
    db: Db,
    world: &World,
    deployment: DeploymentId,
    (provider, system, signer): (&Arc<dyn KeyProvider>, &Vec<WrappedKey>, &WrappedKey),
    outlet: Arc<Recorder>,
) -> Engine {
    let keys = Keys::open(&Location::File(folder.path().join("keys.db"))).await.expect("keys.db");
    let ring = Keyring::sealed();
    ring.unseal(provider.clone(), deployment, "record.example", system, signer).expect("unseals");
    let vault = Vault::new(ring, keys, deployment, world.clone());
    let (book, registry, config) = (Book::default(), Registry::new(&[&Toy]), Config::default());
    let roll = super::Roll::default();
    let files = crate::kernel::store::Files::at(folder.path().join("files"));
    let shared = Shared { db, vault, book, registry, world: world.clone(), config, roll, files };
    Engine::start(shared, outlet).await.expect("the engine starts")
}

/// `data` of a command to a channel.
pub fn to(channel: ChannelId, text: &str) -> Value {
    json!({ "channel": channel, "text": text })
}

/// The same with a key.
pub fn keyed(channel: ChannelId, text: &str, key: uuid::Uuid) -> Value {
    json!({ "channel": channel, "text": text, "key": key })
}
