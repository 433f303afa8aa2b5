//! One reading command: a snapshot, decisions at the time of use, and an audit row committed before the first byte leaves.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Data, Engine, Feature, Op, Shared, execution};
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, Refusal, Stop, ThingId};
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::log::{self, Head, Thing, Vault};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{self, Access, Object, Permit, Right, Subject};
use crate::kernel::store::Tx;

/// The context of one reading command.
pub struct Read {
    shared: Arc<Shared>,
    subject: Subject,
    now: Micros,
    tx: Tx,
    /// Of the book before the snapshot was opened: a standing read from it is not put into a book that was emptied since.
    generation: i64,
    /// What the audit row says; features fill in patient, channel, range.
    pub audit: Draft,
}

impl Read {
    pub(super) async fn begin(shared: Arc<Shared>, subject: Subject) -> Result<Self, Fault> {
        let generation = shared.book.generation();
        let tx = shared.db.read().await?;
        let audit = Draft::of(&subject, "");
        let now = shared.book.latest(shared.world.now());
        Ok(Self { shared, subject, now, tx, generation, audit })
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
        &mut self.tx
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
        (&mut self.tx, &self.shared.vault)
    }

    /// The standing at a patient; none if there is no such patient.
    ///
    /// # Errors
    /// The database's.
    pub async fn access(&mut self, patient: PatientId) -> Result<Option<Arc<Access>>, Fault> {
        // The snapshot may hold a commit that the book is not told of yet. Decided by the older standing, a page would show what came
        // after a removal.
        let Some(version) = policy::sql::version_of(&mut self.tx, patient).await? else { return Ok(None) };
        if let Some(access) = self.shared.book.access(patient).filter(|access| access.version >= version) {
            return Ok(Some(access));
        }
        // From this snapshot, which may be older than the newest commit: the book keeps whichever version is higher.
        let loaded = policy::sql::load(&mut self.tx, patient).await?;
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
        let access = match policy::sql::patient_of(&mut self.tx, channel).await? {
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
        let ids = if self.subject.command_line {
            policy::sql::all_patients(&mut self.tx).await?
        } else {
            policy::sql::patients_of(&mut self.tx, self.subject.user).await?
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
        log::sql::head(&mut self.tx, channel).await
    }

    /// What an id names.
    ///
    /// # Errors
    /// The database's.
    pub async fn thing(&mut self, id: ThingId) -> Result<Option<Thing>, Fault> {
        log::sql::thing(&mut self.tx, id).await
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

/// Runs a reading op and audits it before the answer leaves.
pub(super) async fn run(
    engine: &Engine,
    subject: Subject,
    feature: &'static dyn Feature,
    op: Op,
    data: Data,
) -> Result<Value, Refusal> {
    let (answer, audit) = answer(engine, &subject, feature, op, &data).await;
    let answer = answer.map_err(|stop| execution::refusal_of(&stop, op.name));
    let outcome = answer.as_ref().map_or_else(|refusal| refusal.code.text(), |_| "done");
    let audit = Draft { action: op.name.to_owned(), category: op.category, outcome, ..audit };
    engine.audit(vec![audit]).await?;
    answer
}

/// The snapshot ends with this, before its audit row is waited for.
async fn answer(
    engine: &Engine,
    subject: &Subject,
    feature: &'static dyn Feature,
    op: Op,
    data: &Data,
) -> (Result<Value, Stop>, Draft) {
    let mut cx = match Read::begin(engine.shared.clone(), subject.clone()).await {
        Ok(cx) => cx,
        Err(fault) => return (Err(Stop::Failed(fault)), Draft::of(subject, op.name)),
    };
    match execution::current(&engine.shared, subject, cx.now) {
        Ok(subject) => cx.subject = subject,
        Err(refusal) => return (Err(refusal.into()), cx.audit),
    }
    let answer = execution::guarded(feature.read(&mut cx, op.name, data)).await;
    (answer, cx.audit)
}
