//! Floor 3: commands become entries. The trait a record kind implements, and the committer that runs commands in groups.
//! Does not know: sockets, HTTP, any feature by name (it is handed the registry).
//! Invariants: no reply before the commit is on disk; nothing is published that is not committed; a refusal comes before any write.

pub mod alarm;
pub mod attest;
mod auditor;
mod committer;
mod execution;
pub mod fields;
mod ledger;
mod link;
pub mod nudge;
mod outlet;
pub mod patrol;
mod progress;
mod read;
mod rebuild;
pub mod roll;
pub mod shape;
pub mod sql;
mod standing;
#[cfg(test)]
mod tests;
mod utterance;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::{future::Future, pin::Pin};

use schemars::JsonSchema;
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use alarm::Alarm;
pub use attest::Attest;
pub use execution::Outcome;
pub use ledger::Ledger;
pub use link::{Link, subject_sees_item};
pub use nudge::{Nudge, Waiting};
pub use outlet::{News, Outlet, Passing, Personal, Silent};
pub use progress::Progress;
pub use read::Read;
pub use rebuild::rebuild;
pub use roll::{Attendance, Attention, Presence, Roll, Said, Shown};
pub use utterance::{Part, Utterance};
pub use write::{Reply, Write};

pub use shape::Event;
use shape::Shape;
use standing::load_persons;

use super::base::config::Config;
use super::base::limits::{BATCH_COMMANDS_MAX, COMMIT_QUEUE_MAX};
use super::base::{Code, Fault, Refusal, Stop, World};
use super::log::scan::Line;
use super::log::{self, Fact, Vault};
use super::policy::audit::Draft;
use super::policy::{Book, Subject};
use super::store::{Db, Files};

/// A boxed future, as the object-safe trait needs.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The members of `data`.
pub type Data = Map<String, Value>;

/// What an op does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Entries or state; runs in the committer.
    Write,
    /// Nothing; runs on a snapshot, and is audited before its answer leaves.
    Read,
}

/// One op of a feature.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// `noun.verb`.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
    /// Reachable by peers; otherwise only by the program itself.
    pub public: bool,
    /// Category of its audit rows.
    pub category: &'static str,
    /// A person does it: it keeps a session from idling out. Clients ask the others by themselves.
    pub activity: bool,
    /// What it takes and answers. Every public op says so.
    pub shape: Shape,
}

impl Op {
    /// A public write.
    #[must_use]
    pub const fn write(name: &'static str, category: &'static str) -> Self {
        Self { name, effect: Effect::Write, public: true, category, shape: Shape::UNKNOWN, activity: true }
    }

    /// A public read.
    #[must_use]
    pub const fn read(name: &'static str, category: &'static str) -> Self {
        Self { name, effect: Effect::Read, public: true, category, shape: Shape::UNKNOWN, activity: true }
    }

    /// The same op, for the program itself only.
    #[must_use]
    pub const fn internal(mut self) -> Self {
        self.public = false;
        self
    }

    /// The same op, asked by clients on their own: no activity of a person.
    #[must_use]
    pub const fn polled(mut self) -> Self {
        self.activity = false;
        self
    }

    /// The same op, whose `data` is a `T`; every write takes `key` besides.
    #[must_use]
    pub const fn takes<T: JsonSchema>(mut self) -> Self {
        self.shape.data = Some(T::json_schema);
        self
    }

    /// The same op, answered with a `T` and nothing else.
    #[must_use]
    pub const fn answers<T: JsonSchema>(mut self) -> Self {
        self.shape.reply = Some(T::json_schema);
        self
    }

    /// The same op, answered from the first entry it records, with the members of `T` besides ([`shape::Nothing`] if none).
    #[must_use]
    pub const fn records<T: JsonSchema>(mut self) -> Self {
        self.shape.records = true;
        self.answers::<T>()
    }
}

/// What a feature says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// Its folder.
    pub name: &'static str,
    /// Its ops.
    pub ops: &'static [Op],
    /// The events it records and projects, and those it tells one person.
    pub events: &'static [Event],
    /// Events of others it reacts to, in the same transaction.
    pub reacts_to: &'static [&'static str],
    /// Statements that empty its projections, for a rebuild from the log.
    pub clear: &'static [&'static str],
}

/// A record kind. One folder, one registry line; the kernel never changes for it.
pub trait Feature: Send + Sync {
    /// What it is.
    fn face(&self) -> Face;

    /// Runs a writing op: ask for a permit first, refuse before anything is written, then record or change state.
    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>>;

    /// Answers a reading op.
    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>>;

    /// Brings the projections up to an entry: from the entry alone, since a rebuild runs it again.
    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>>;

    /// Members that a reply to a write adds to `id, channel, seq, at, head`, from its first entry alone: a repeat gets the same.
    /// A member named `id` replaces the entry's.
    fn reply(&self, fact: &Fact) -> Data;

    /// Follows an entry of another feature in the same transaction.
    fn react<'a>(&'a self, _cx: &'a mut Write<'_>, _fact: &'a Fact) -> Boxed<'a, Result<(), Stop>> {
        Box::pin(async { Ok(()) })
    }

    /// The entry as the chart takes it: resources of FHIR R4 as JSON, none if the kind has no place there.
    /// `context` is what the exporter offers every kind (references, names, the item).
    fn chart(&self, _fact: &Fact, _context: &Value) -> Vec<Value> {
        Vec::new()
    }

    /// What the entry says that a search goes over, and which of what was said before it stands in place of; nothing for kinds without
    /// words. From the entry alone.
    ///
    /// # Errors
    /// The body is not what its event says.
    fn words(&self, _line: &Line) -> Result<Option<Utterance>, Fault> {
        Ok(None)
    }
}

/// The features by op and by event.
pub struct Registry {
    features: &'static [&'static dyn Feature],
    ops: HashMap<&'static str, (usize, Op)>,
    events: HashMap<&'static str, usize>,
    reactions: HashMap<&'static str, Vec<usize>>,
}

impl Registry {
    /// From the list of `features/mod.rs`.
    #[must_use]
    pub fn new(features: &'static [&'static dyn Feature]) -> Self {
        let mut registry = Self { features, ops: HashMap::new(), events: HashMap::new(), reactions: HashMap::new() };
        for (at, feature) in features.iter().enumerate() {
            let face = feature.face();
            for op in face.ops {
                registry.ops.insert(op.name, (at, *op));
            }
            for event in face.events.iter().filter(|event| !event.personal) {
                registry.events.insert(event.name, at);
            }
            for event in face.reacts_to {
                registry.reactions.entry(event).or_default().push(at);
            }
        }
        registry
    }

    /// Every feature, in order.
    #[must_use]
    pub fn features(&self) -> &'static [&'static dyn Feature] {
        self.features
    }

    /// The op and whose it is.
    #[must_use]
    pub fn op(&self, name: &str) -> Option<(&'static dyn Feature, Op)> {
        self.ops.get(name).map(|(at, op)| (self.features[*at], *op))
    }

    /// Whose event it is.
    #[must_use]
    pub fn of_event(&self, event: &str) -> Option<&'static dyn Feature> {
        self.events.get(event).map(|at| self.features[*at])
    }

    /// Who reacts to an event.
    #[must_use]
    pub fn reactions(&self, event: &str) -> &[usize] {
        self.reactions.get(event).map_or(&[], Vec::as_slice)
    }
}

/// Everything a running engine shares.
pub struct Shared {
    /// The record.
    pub db: Db,
    /// Keys.
    pub vault: Vault,
    /// What policy holds in memory.
    pub book: Book,
    /// The features.
    pub registry: Registry,
    /// Clock and randomness.
    pub world: World,
    /// Settings.
    pub config: Config,
    /// Who is connected, and what reached them.
    pub roll: Roll,
    /// Where sealed files lie.
    pub files: Files,
}

/// A command on its way to the committer.
pub(crate) struct Command {
    pub(crate) subject: Subject,
    pub(crate) feature: &'static dyn Feature,
    pub(crate) op: Op,
    pub(crate) data: Data,
    pub(crate) key: Option<CommandKey>,
    pub(crate) answer: oneshot::Sender<Result<Value, Refusal>>,
}

/// The idempotency key of a command, with the MAC of what it says.
#[derive(Clone, Copy)]
pub(crate) struct CommandKey {
    pub(crate) key: Uuid,
    pub(crate) mac: [u8; 32],
    pub(crate) mac_version: u32,
}

pub(crate) enum Job {
    Command(Box<Command>),
    Audit { drafts: Vec<Draft>, answer: oneshot::Sender<Result<(), Refusal>> },
    Stop,
}

/// The engine: shared by cloning. [`Engine::stop`], or dropping every clone, stops the committer after what is queued.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    attest: Arc<Attest>,
    committing: Arc<tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>>,
}

impl Engine {
    /// Loads the persons and starts the committer.
    ///
    /// # Errors
    /// The database's.
    pub async fn start(shared: Shared, outlet: Arc<dyn Outlet>) -> Result<Self, Fault> {
        let shared = Arc::new(shared);
        load_persons(&shared).await?;
        log::site::prepare(&shared.db).await?;
        for row in log::site::sql::held(&mut shared.db.read().await?).await? {
            shared.book.hold(row.channel);
        }
        let attest = Arc::new(Attest::new(shared.vault.clone(), outlet));
        let (jobs, queue) = mpsc::channel(COMMIT_QUEUE_MAX);
        let committer = committer::Committer::open(shared.clone(), queue, attest.clone()).await?;
        let handle = tokio::spawn(committer.run(BATCH_COMMANDS_MAX));
        Ok(Self { shared, jobs, attest, committing: Arc::new(tokio::sync::Mutex::new(Some(handle))) })
    }

    /// What it stands on.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Signed heads.
    #[must_use]
    pub fn attest(&self) -> &Attest {
        &self.attest
    }

    /// Clock and randomness.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// What policy holds in memory.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.shared.book
    }

    /// Runs a public op and gives the answer of its frame. For writes that is after the commit.
    /// The command is queued before this first waits: commands begun in order are committed in order.
    ///
    /// # Errors
    /// The refusal to be told to the caller.
    pub fn run(
        &self,
        subject: Subject,
        op: &str,
        data: Data,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send + 'static + use<> {
        self.dispatch(subject, op, data, true, Arc::default())
    }

    /// As [`Engine::run`]; a long reading op tells by `progress` how far it is, and ends early when it is cancelled there.
    ///
    /// # Errors
    /// The refusal to be told to the caller.
    pub fn run_watched(
        &self,
        subject: Subject,
        op: &str,
        data: Data,
        progress: Arc<Progress>,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send + 'static + use<> {
        self.dispatch(subject, op, data, true, progress)
    }

    /// As [`Engine::run`], for ops of the program itself too.
    ///
    /// # Errors
    /// The refusal to be told to the caller.
    pub fn run_internal(
        &self,
        subject: Subject,
        op: &str,
        data: Data,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send + 'static + use<> {
        self.dispatch(subject, op, data, false, Arc::default())
    }

    fn dispatch(
        &self,
        subject: Subject,
        op: &str,
        data: Data,
        public: bool,
        progress: Arc<Progress>,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send + 'static + use<> {
        let begun = match self.shared.registry.op(op).filter(|(_, op)| op.public || !public) {
            None => Err(Refusal::new(Code::UnknownOp).field("op").detail("See docs/protocol.md for the operations.")),
            Some((_, _)) if self.shared.vault.keyring().is_sealed() => Err(Refusal::new(Code::Sealed)),
            Some((feature, op)) => match op.effect {
                Effect::Write => self.submit(subject, feature, op, data).map(Begun::Write),
                Effect::Read => {
                    let question = read::Question { subject, feature, op, data, progress };
                    Ok(Begun::Read(self.clone(), Box::new(question)))
                }
            },
        };
        let since = tokio::time::Instant::now();
        async move {
            let (kind, outcome) = match begun? {
                Begun::Write(answer) => ("write", answer.await.unwrap_or_else(|_| Err(unknown_outcome()))),
                Begun::Read(engine, question) => ("read", read::run(&engine, *question).await),
            };
            metrics::histogram!("carethread_command_seconds", "kind" => kind).record(since.elapsed());
            outcome
        }
    }

    fn submit(
        &self,
        subject: Subject,
        feature: &'static dyn Feature,
        op: Op,
        mut data: Data,
    ) -> Result<oneshot::Receiver<Result<Value, Refusal>>, Refusal> {
        let key = execution::take_key(&self.shared, op.name, &mut data)?;
        let (answer, receiver) = oneshot::channel();
        let command = Command { subject, feature, op, data, key, answer };
        self.jobs.try_send(Job::Command(Box::new(command))).map_err(|error| match error {
            TrySendError::Full(_) => busy("Too many commands wait. Repeat with the same key."),
            TrySendError::Closed(_) => stopping(),
        })?;
        Ok(receiver)
    }

    /// Writes audit rows and waits for their commit.
    ///
    /// # Errors
    /// `busy` or `internal`: then what they are about must not happen.
    pub async fn audit(&self, drafts: Vec<Draft>) -> Result<(), Refusal> {
        if drafts.is_empty() {
            return Ok(());
        }
        let (answer, receiver) = oneshot::channel();
        self.jobs.send(Job::Audit { drafts, answer }).await.map_err(|_| stopping())?;
        receiver.await.unwrap_or_else(|_| Err(Refusal::new(Code::Internal)))
    }

    /// A read context for `subject`, on one snapshot.
    ///
    /// # Errors
    /// The database's.
    pub async fn reader(&self, subject: Subject) -> Result<Read, Fault> {
        Read::begin(self.shared.clone(), subject).await
    }

    /// The subject of a person as policy sees it now; none if the account is unknown or suspended.
    #[must_use]
    pub fn subject(&self, user: crate::kernel::base::UserId) -> Option<Subject> {
        Some(self.shared.book.person(user).filter(|person| person.active)?.subject(user))
    }

    /// Stops: finishes what is queued, then closes the database. What other clones send afterwards is refused as `busy`.
    pub async fn stop(self) {
        let Self { shared, jobs, committing, .. } = self;
        let stopping = async {
            let _ = jobs.send(Job::Stop).await;
            if let Some(handle) = committing.lock().await.take() {
                let _ = handle.await;
            }
        };
        // Ten seconds is what a shutdown may take.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), stopping).await;
        shared.db.close().await;
    }
}

enum Begun {
    Write(oneshot::Receiver<Result<Value, Refusal>>),
    Read(Engine, Box<read::Question>),
}

fn busy(detail: &str) -> Refusal {
    Refusal::new(Code::Busy).detail(detail).retry_after_ms(1000)
}

fn stopping() -> Refusal {
    busy("The server is stopping. Repeat with the same key when it is back.")
}

fn unknown_outcome() -> Refusal {
    Stop::Failed(Fault::Defect("the committer is gone")).refusal()
}
