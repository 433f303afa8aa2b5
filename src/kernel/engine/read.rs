//! One reading command: a snapshot, decisions at the time of use, and an audit row committed before the first byte leaves.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use tokio::time::{Duration, Instant};

use super::{Data, Engine, Feature, Op, Progress, Shared, execution};
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, Refusal, Stop, ThingId};
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::log::{self, Head, Thing, Vault};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{self, Access, Object, Permit, Right, Subject};
use crate::kernel::store::Tx;

/// How soon a read must have failed to be done again.
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// The context of one reading command.
pub struct Read {
    shared: Arc<Shared>,
    subject: Subject,
    now: Micros,
    /// None only while [`Read::renew`] waits.
    tx: Option<Tx>,
    /// Of the book before the snapshot was opened: a standing read from it is not put into a book that was emptied since.
    generation: i64,
    /// What the audit row says; features fill in patient, channel, range.
    pub audit: Draft,
    /// More rows for the audit trail, where one does not hold it: what was read of each further patient.
    pub further: Vec<Draft>,
    progress: Arc<Progress>,
}

const BETWEEN_SNAPSHOTS: &str = "there is a snapshot but while `renew` waits";

impl Read {
    pub(super) async fn begin(shared: Arc<Shared>, subject: Subject) -> Result<Self, Fault> {
        let generation = shared.book.generation();
        let tx = Some(shared.db.read().await?);
        let audit = Draft::of(&subject, "");
        let now = shared.book.latest(shared.world.now());
        Ok(Self { shared, subject, now, tx, generation, audit, further: Vec::new(), progress: Arc::default() })
    }

    /// Who asks.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Wall time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The snapshot.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx.as_mut().expect(BETWEEN_SNAPSHOTS)
    }

    /// Lets go of the snapshot, waits for `between`, and goes on with a new one if account and session still hold: what takes long keeps
    /// no snapshot for longer than a moment, or the write-ahead log would grow meanwhile.
    ///
    /// # Errors
    /// `unauthenticated`, or the database's.
    pub async fn renew<T>(&mut self, between: impl Future<Output = T>) -> Result<T, Stop> {
        self.tx = None;
        let waited = between.await;
        self.now = self.shared.book.latest(self.shared.world.now());
        self.subject = execution::current(&self.shared, &self.subject, self.now)?;
        self.generation = self.shared.book.generation();
        self.tx = Some(self.shared.db.read().await?);
        Ok(waited)
    }

    /// The caller's `authz_epoch` now: while it stays, what they may do has not changed but by time.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        let person = self.shared.book.person(self.subject.user);
        person.map_or(0, |person| person.epoch.load(std::sync::atomic::Ordering::Acquire))
    }

    /// How far this is, for whoever waits.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Keys.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// What the engine shares.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Snapshot and keys at once, for pages of the log.
    pub fn log(&mut self) -> (&mut Tx, &Vault) {
        (self.tx.as_mut().expect(BETWEEN_SNAPSHOTS), &self.shared.vault)
    }

    /// The standing at a patient; none if there is no such patient.
    ///
    /// # Errors
    /// The database's.
    pub async fn access(&mut self, patient: PatientId) -> Result<Option<Arc<Access>>, Fault> {
        // The snapshot may hold a commit that the book is not told of yet. Decided by the older standing, a page would show what came
        // after a removal.
        let Some(version) = policy::sql::version_of(self.tx(), patient).await? else { return Ok(None) };
        if let Some(access) = self.shared.book.access(patient).filter(|access| access.version >= version) {
            return Ok(Some(access));
        }
        // From this snapshot, which may be older than the newest commit: the book keeps whichever version is higher.
        let loaded = policy::sql::load(self.tx(), patient).await?;
        Ok(loaded.map(|access| self.shared.book.put_loaded(access, self.generation)))
    }

    /// Asks policy about the server.
    ///
    /// # Errors
    /// The refusal.
    pub fn permit_server(&mut self, right: Right) -> Result<Permit, Stop> {
        let permit = policy::decide(&self.subject, right, Object::Server, self.now)?;
        self.audit.basis = Some(permit.basis().text());
        Ok(permit)
    }

    /// Asks policy about a patient.
    ///
    /// # Errors
    /// The refusal, or the database's.
    pub async fn permit_patient(&mut self, right: Right, patient: PatientId) -> Result<(Permit, Arc<Access>), Stop> {
        let access = self.access(patient).await?;
        // Refusals name the patient too, but no id that never existed: there would be no end of those.
        self.audit.patient = access.as_ref().map(|access| access.patient);
        let permit = policy::decide(&self.subject, right, Object::Patient(access.as_deref()), self.now)?;
        self.audit.basis = Some(permit.basis().text());
        Ok((permit, access.ok_or_else(Refusal::not_found)?))
    }

    /// Asks policy about a channel.
    ///
    /// # Errors
    /// The refusal, or the database's.
    pub async fn permit_channel(&mut self, right: Right, channel: ChannelId) -> Result<(Permit, Arc<Access>), Stop> {
        let access = match policy::sql::patient_of(self.tx(), channel).await? {
            Some(patient) => self.access(patient).await?,
            None => None,
        };
        let object = access.as_deref().map(|access| (access, channel));
        self.audit.patient = access.as_ref().map(|access| access.patient);
        self.audit.channel = access.as_ref().map(|_| channel);
        let permit = policy::decide(&self.subject, right, Object::Channel(object), self.now)?;
        self.audit.basis = Some(permit.basis().text());
        Ok((permit, access.ok_or_else(Refusal::not_found)?))
    }

    /// The patients the caller stands at now, with the standing: what lists and counts go over.
    ///
    /// # Errors
    /// The database's.
    pub async fn patients(&mut self) -> Result<Vec<(Permit, Arc<Access>)>, Fault> {
        let user = self.subject.user;
        let ids = if self.subject.command_line {
            policy::sql::all_patients(self.tx()).await?
        } else {
            policy::sql::patients_of(self.tx(), user).await?
        };
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let access = self.access(id).await?;
            if let Ok(permit) =
                policy::decide(&self.subject, Right::SeePatient, Object::Patient(access.as_deref()), self.now)
                && let Some(access) = access
            {
                found.push((permit, access));
            }
        }
        Ok(found)
    }

    /// The channels of a patient the caller may read now.
    #[must_use]
    pub fn readable(&self, access: &Access) -> Vec<ChannelId> {
        access
            .channels
            .keys()
            .copied()
            .filter(|id| {
                policy::decide(&self.subject, Right::Read, Object::Channel(Some((access, *id))), self.now).is_ok()
            })
            .collect()
    }

    /// The people who may read a channel now, as policy decides for each of them. For a caller who may read it too.
    #[must_use]
    pub fn readers(&self, access: &Access, channel: ChannelId) -> Vec<Subject> {
        let Some(held) = access.channels.get(&channel) else { return Vec::new() };
        let mut readers: Vec<Subject> = held
            .readers
            .keys()
            .filter_map(|user| Some(self.shared.book.person(*user)?.subject(*user)))
            .filter(|one| policy::decide(one, Right::Read, Object::Channel(Some((access, channel))), self.now).is_ok())
            .collect();
        readers.sort_unstable_by_key(|one| one.user);
        readers
    }

    /// Where a channel stands.
    ///
    /// # Errors
    /// The database's.
    pub async fn head(&mut self, channel: ChannelId) -> Result<Option<Head>, Fault> {
        log::sql::head(self.tx(), channel).await
    }

    /// What an id names.
    ///
    /// # Errors
    /// The database's.
    pub async fn thing(&mut self, id: ThingId) -> Result<Option<Thing>, Fault> {
        log::sql::thing(self.tx(), id).await
    }

    /// Opens a sealed column of a projection.
    ///
    /// # Errors
    /// It does not open: an integrity fault.
    pub async fn open_view(
        &self,
        patient: PatientId,
        row: Uuid,
        revision: i64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.shared.vault.open_view(patient, Purpose::View, row, revision, sealed).await
    }
}

/// A reading command.
pub(super) struct Question {
    pub(super) subject: Subject,
    pub(super) feature: &'static dyn Feature,
    pub(super) op: Op,
    pub(super) data: Data,
    pub(super) progress: Arc<Progress>,
}

/// Runs a reading op and audits it before the answer leaves.
pub(super) async fn run(engine: &Engine, question: Question) -> Result<Value, Refusal> {
    let (op, begun) = (question.op, Instant::now());
    let mut done = answer(engine, &question).await;
    // A connection that was kept too long, or a server that went away and came back: once more, unless it took long to say so.
    if matches!(&done.0, Err(Stop::Failed(fault)) if fault.is_away()) && begun.elapsed() < AGAIN_WITHIN {
        done = answer(engine, &question).await;
    }
    let (answer, audits) = done;
    let answer = answer.map_err(|stop| execution::refusal_of(&stop, op.name));
    let outcome = answer.as_ref().map_or_else(|refusal| refusal.code.text(), |_| "done");
    let rows =
        audits.into_iter().map(|row| Draft { action: op.name.to_owned(), category: op.category, outcome, ..row });
    engine.audit(rows.collect()).await?;
    answer
}

/// The snapshot ends with this, before its audit row is waited for.
async fn answer(engine: &Engine, question: &Question) -> (Result<Value, Stop>, Vec<Draft>) {
    let Question { subject, feature, op, data, progress } = question;
    let mut cx = match Read::begin(engine.shared.clone(), subject.clone()).await {
        Ok(cx) => cx,
        Err(fault) => return (Err(Stop::Failed(fault)), vec![Draft::of(subject, op.name)]),
    };
    cx.progress = progress.clone();
    match execution::current(&engine.shared, subject, cx.now) {
        Ok(subject) => cx.subject = subject,
        Err(refusal) => return (Err(refusal.into()), vec![cx.audit]),
    }
    let answer = execution::guarded(feature.read(&mut cx, op.name, data)).await;
    let further = if answer.is_ok() { cx.further } else { Vec::new() };
    (answer, std::iter::once(cx.audit).chain(further).collect())
}
