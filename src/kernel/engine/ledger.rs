//! What the commands of one batch work on: the open transaction, and an overlay of what they changed and not yet wrote.
//! Heads, things and standing are held over batches too (the committer is the only writer, unless a server was not claimed); after a failed commit all of it
//! is dropped and read again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::outlet::{News, Personal};
use super::roll::Said;
use super::{Data, Job, Shared, sql};
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, SessionId, ThingId, UserId};
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::log::{self, Fact, Head, Thing, ThingKind, Vault};
use crate::kernel::policy::{self, Access};
use crate::kernel::store::Tx;
use crate::kernel::store::append::{self, EntryRow, HeadRow, ThingRow};
use crate::kernel::wire;

/// Things and heads kept between batches before the cache is dropped.
const KEPT_MAX: usize = 200_000;

/// The working state of the committer. Features see it in `project`, and inside a [`super::Write`].
pub struct Ledger {
    pub(super) shared: Arc<Shared>,
    pub(super) tx: Option<Tx>,
    heads: HashMap<ChannelId, Head>,
    things: HashMap<ThingId, Thing>,
    pub(super) access: HashMap<PatientId, Arc<Access>>,
    me_heads: HashMap<UserId, i64>,
    // Of this batch only:
    touched: HashSet<ChannelId>,
    /// Patients whose rows this batch holds.
    locked: HashSet<PatientId>,
    pub(super) changed: HashSet<PatientId>,
    pub(super) entries: Vec<EntryRow>,
    new_things: Vec<ThingId>,
    pub(super) news: News,
    pub(super) persons: Vec<UserId>,
    said: Vec<(UserId, Said)>,
    /// As the batch leaves them, read before its commit.
    person_rows: Vec<policy::sql::PersonRow>,
    /// Counts what was changed, so that a refusal after a write is found out.
    pub(super) changes: usize,
    /// Set while the projections are rebuilt from the log: nothing is raised, told or appended then.
    pub(super) rebuilding: bool,
}

impl Ledger {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tx: None,
            heads: HashMap::new(),
            things: HashMap::new(),
            access: HashMap::new(),
            me_heads: HashMap::new(),
            touched: HashSet::new(),
            locked: HashSet::new(),
            changed: HashSet::new(),
            entries: Vec::new(),
            new_things: Vec::new(),
            news: News::default(),
            persons: Vec::new(),
            said: Vec::new(),
            person_rows: Vec::new(),
            changes: 0,
            rebuilding: false,
        }
    }

    pub(super) fn begin(&mut self, tx: Tx) {
        self.tx = Some(tx);
        self.touched.clear();
        self.locked.clear();
        self.changed.clear();
        self.entries.clear();
        self.new_things.clear();
        self.news = News::default();
        self.persons.clear();
        self.said.clear();
        self.person_rows.clear();
        let alone = self.tx.as_ref().is_some_and(Tx::is_only_writer);
        if !alone || self.heads.len() + self.things.len() > KEPT_MAX {
            self.heads.clear();
            self.things.clear();
            self.me_heads.clear();
        }
        self.access.clear();
        self.changes = 0;
    }

    pub(super) fn take_tx(&mut self) -> Result<Tx, Fault> {
        self.tx.take().ok_or(Fault::Defect("no transaction is open"))
    }

    /// After a failed commit nothing held in memory is to be believed.
    pub(super) fn forget(&mut self) {
        self.tx = None;
        self.heads.clear();
        self.things.clear();
        self.access.clear();
        self.me_heads.clear();
        self.shared.book.forget_patients();
    }

    /// Writes what the batch gathered, all but the audit rows.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        let entries = std::mem::take(&mut self.entries);
        let things: Vec<ThingRow> =
            std::mem::take(&mut self.new_things).iter().filter_map(|id| self.things.get(id)).map(row).collect();
        let heads: Vec<HeadRow> = self
            .touched
            .iter()
            .filter_map(|id| self.heads.get(id))
            .map(|head| HeadRow { n: head.n, seq: head.seq, head: head.head, at: head.at })
            .collect();
        let tx = self.tx.as_mut().ok_or(Fault::Defect("no transaction is open"))?;
        append::entries(tx, &entries).await?;
        append::things(tx, &things).await?;
        append::heads(tx, &heads).await?;
        if self.rebuilding && self.things.len() > KEPT_MAX {
            self.things.clear();
        }
        let mut persons = std::mem::take(&mut self.persons);
        persons.sort_unstable();
        persons.dedup();
        for user in persons {
            let row = policy::sql::person(tx, user).await?;
            self.person_rows.push(row.ok_or(Fault::Integrity("a person that is not there was changed"))?);
        }
        Ok(())
    }

    /// After the commit: what was decided is what policy now holds; gives the news.
    pub(super) fn committed(&mut self) -> News {
        for patient in std::mem::take(&mut self.changed) {
            if let Some(access) = self.access.get(&patient) {
                self.shared.book.put_committed(access.clone());
            }
        }
        // What was only read stood under the locks of this batch: the next one need not read it again.
        let book = &self.shared.book;
        let generation = book.generation();
        for access in
            self.access.iter().filter(|(patient, _)| book.access(**patient).is_none()).map(|(_, access)| access)
        {
            book.put_loaded(access.clone(), generation);
        }
        let mut news = std::mem::take(&mut self.news);
        for session in &news.ended {
            self.shared.book.end_session(*session);
        }
        for (user, said) in std::mem::take(&mut self.said) {
            self.shared.roll.say(user, said);
        }
        for row in std::mem::take(&mut self.person_rows) {
            if let Some(kind) = policy::PersonKind::from_number(row.kind) {
                self.shared.book.put_person(row.id, kind, policy::Roles(row.roles), row.active, row.epoch);
                news.raised.push(row.id);
            }
        }
        news
    }

    /// The open transaction, for the feature's own tables.
    ///
    /// # Panics
    /// Outside a batch, where no feature is called.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx.as_mut().expect("features are called inside a batch")
    }

    /// As [`Ledger::tx`], telling that something is written by it.
    ///
    /// # Panics
    /// As [`Ledger::tx`].
    pub fn change(&mut self) -> &mut Tx {
        self.changes += 1;
        self.tx()
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

    /// Seals a column of a projection.
    ///
    /// # Errors
    /// Sealed, or the key database fails.
    pub async fn seal_view(
        &self,
        patient: PatientId,
        row: Uuid,
        revision: i64,
        value: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        self.shared.vault.seal_view(patient, Purpose::View, row, revision, value).await
    }

    /// Opens what [`Ledger::seal_view`] sealed.
    ///
    /// # Errors
    /// It does not open: an integrity fault.
    pub async fn open_view(
        &self,
        patient: PatientId,
        row: Uuid,
        revision: i64,
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
        self.shared.vault.open_view(patient, Purpose::View, row, revision, sealed).await
    }

    pub(super) fn begin_rebuild(&mut self, tx: Tx) {
        self.forget();
        self.begin(tx);
        self.rebuilding = true;
    }

    /// Locks the patients that the batch is known to be about, all at once: their channels are written in no other transaction until
    /// it ends. Those that turn up later are locked then.
    pub(super) async fn lock_ahead(&mut self, jobs: &[Option<Job>]) -> Result<(), Fault> {
        if !self.tx().locks_patients() || !self.tx().is_only_writer() {
            return Ok(());
        }
        let commands = jobs.iter().flatten().filter_map(|job| match job {
            Job::Command(command) => Some(&command.data),
            Job::Audit { .. } | Job::Stop => None,
        });
        let channels = commands.filter_map(|data| data.get("channel")?.as_str()?.parse().ok());
        let patients: HashSet<PatientId> =
            channels.filter_map(|id: ChannelId| self.heads.get(&id).map(|head| head.patient)).collect();
        let ids: Vec<Uuid> = patients.iter().map(|patient| patient.0).collect();
        if !ids.is_empty() {
            self.tx().lock_patients(&ids).await?;
        }
        self.locked = patients;
        Ok(())
    }

    async fn lock(&mut self, patient: PatientId) -> Result<(), Fault> {
        if self.tx().locks_patients() && self.locked.insert(patient) {
            self.tx().lock_patients(&[patient.0]).await?;
        }
        Ok(())
    }

    /// The standing at a patient as this batch has it; none if there is no such patient.
    ///
    /// # Errors
    /// The database's.
    pub async fn access(&mut self, patient: PatientId) -> Result<Option<Arc<Access>>, Fault> {
        if let Some(access) = self.access.get(&patient) {
            return Ok(Some(access.clone()));
        }
        let mut held = self.shared.book.access(patient);
        self.lock(patient).await?;
        if !self.tx().is_only_writer() {
            // "The item is open", "the author is a member" cannot race. What was read before the lock may be old.
            let version = policy::sql::version_of(self.tx(), patient).await?;
            held = held.filter(|access| Some(access.version) == version);
            self.heads.retain(|_, head| head.patient != patient);
            self.things.retain(|_, thing| thing.patient != patient);
        }
        let access = match held {
            Some(access) => Some(access),
            None => policy::sql::load(self.tx(), patient).await?,
        };
        if let Some(access) = &access {
            self.access.insert(patient, access.clone());
        }
        Ok(access)
    }

    /// Where a channel stands, with its patient locked against other nodes.
    pub(super) async fn locked_head(&mut self, channel: ChannelId) -> Result<Option<Head>, Fault> {
        let head = self.head(channel).await?;
        match head {
            Some(head) if !self.tx().is_only_writer() && !self.access.contains_key(&head.patient) => {
                self.access(head.patient).await?;
                self.head(channel).await
            }
            Some(head) => {
                self.lock(head.patient).await?;
                Ok(Some(head))
            }
            None => Ok(None),
        }
    }

    /// The row of a person this batch changed; none if it did not.
    pub(super) async fn changed_person(&mut self, user: UserId) -> Result<Option<policy::sql::PersonRow>, Fault> {
        if !self.persons.contains(&user) {
            return Ok(None);
        }
        Ok(policy::sql::person(self.tx(), user).await?)
    }

    /// The patient a channel belongs to.
    ///
    /// # Errors
    /// The database's.
    pub async fn patient_of(&mut self, channel: ChannelId) -> Result<Option<PatientId>, Fault> {
        if let Some(head) = self.heads.get(&channel) {
            return Ok(Some(head.patient));
        }
        Ok(self.head(channel).await?.map(|head| head.patient))
    }

    /// Where a channel stands in this batch.
    ///
    /// # Errors
    /// The database's.
    pub async fn head(&mut self, channel: ChannelId) -> Result<Option<Head>, Fault> {
        if let Some(head) = self.heads.get(&channel) {
            return Ok(Some(head.clone()));
        }
        let head = log::sql::head_to_append(self.tx(), channel).await?;
        if let Some(head) = &head {
            self.heads.insert(channel, head.clone());
        }
        Ok(head)
    }

    pub(super) fn put_head(&mut self, head: Head) {
        self.touched.insert(head.channel);
        self.heads.insert(head.channel, head);
    }

    /// What an id names; none if nothing, or nothing any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn thing(&mut self, id: ThingId) -> Result<Option<Thing>, Fault> {
        if let Some(thing) = self.things.get(&id) {
            return Ok(Some(thing.clone()));
        }
        let thing = log::sql::thing(self.tx(), id).await?;
        if let Some(thing) = &thing {
            self.things.insert(id, thing.clone());
        }
        Ok(thing)
    }

    /// Notes, tasks and handoffs of a patient that are open in this batch.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_work(&mut self, patient: PatientId) -> Result<Vec<Thing>, Fault> {
        let found = log::open::sql::open_work(self.tx(), patient).await?;
        let work = |thing: &Thing| matches!(thing.kind, ThingKind::Note | ThingKind::Task | ThingKind::Handoff);
        Ok(self.overlaid(found, |thing| thing.patient == patient && work(thing)))
    }

    /// Open things that are linked to an item in this batch, at most `limit` and those of this batch.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_about(&mut self, item: ItemId, limit: i64) -> Result<Vec<Thing>, Fault> {
        let found = log::open::sql::open_about(self.tx(), item, limit).await?;
        Ok(self.overlaid(found, |thing| thing.item == Some(item)))
    }

    /// What was read of the table, as this batch has it, with what this batch made.
    fn overlaid(&self, found: Vec<Thing>, wanted: impl Fn(&Thing) -> bool) -> Vec<Thing> {
        let mut things: Vec<Thing> =
            found.into_iter().map(|thing| self.things.get(&thing.id).cloned().unwrap_or(thing)).collect();
        things.extend(self.new_things.iter().filter_map(|id| self.things.get(id)).cloned());
        things.retain(|thing| thing.open && wanted(thing));
        things
    }

    /// Names a new thing. Called from `project`.
    pub fn name_thing(&mut self, thing: Thing) {
        self.changes += 1;
        self.new_things.push(thing.id);
        self.things.insert(thing.id, thing);
    }

    /// Changes what may change of a thing: item, open, shared, state. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_thing(&mut self, thing: Thing) -> Result<(), Fault> {
        self.changes += 1;
        if !self.new_things.contains(&thing.id) {
            log::sql::set_thing(self.tx(), &thing).await?;
        }
        self.things.insert(thing.id, thing);
        Ok(())
    }

    /// From here on these entries of a channel are read without their content. Called from `project`.
    ///
    /// # Errors
    /// The database's, or no such channel.
    pub async fn withhold(&mut self, channel: ChannelId, seqs: &[i64], reason: &str) -> Result<(), Fault> {
        let head = self.head(channel).await?.ok_or(Fault::Integrity("an entry of a channel that is not there"))?;
        for seq in seqs {
            log::sql::withhold(self.change(), head.n, *seq, reason).await?;
        }
        Ok(())
    }

    /// With the commit, every socket and request of this session ends.
    pub fn end_session(&mut self, session: SessionId) {
        self.changes += 1;
        self.news.ended.push(session);
    }

    /// With the commit, the roll shows what somebody said of themselves.
    pub fn say(&mut self, user: UserId, said: Said) {
        self.changes += 1;
        self.said.push((user, said));
    }

    /// Puts a fact on a person's channel `me`: outside the record, ids only.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell(&mut self, user: UserId, event: &'static str, at: Micros, data: &Data) -> Result<(), Fault> {
        if self.rebuilding {
            return Ok(());
        }
        let newest = match self.me_heads.get(&user) {
            Some(newest) => *newest,
            None => sql::me_head(self.tx(), user).await?,
        };
        let seq = newest + 1;
        let body = raw(data)?;
        sql::add_me(self.change(), user, seq, at, event, body.get()).await?;
        self.me_heads.insert(user, seq);
        let frame = wire::event_bytes(event, Some("me"), Some(seq), at, None, &body);
        self.news.personal.push(Personal { user, seq, frame });
        Ok(())
    }

    /// Projects an entry by the feature whose event it is.
    pub(super) async fn project(&mut self, fact: &Fact) -> Result<(), Fault> {
        let feature =
            self.shared.registry.of_event(&fact.event).ok_or(Fault::Integrity("an event that no feature knows"))?;
        feature.project(self, fact).await
    }
}

/// JSON text of a body, built once: sealed, sent and exported as these bytes.
pub(super) fn raw<T: Serialize>(body: &T) -> Result<Box<RawValue>, Fault> {
    serde_json::value::to_raw_value(body).map_err(|_| Fault::Defect("a body is not JSON"))
}

fn row(thing: &Thing) -> ThingRow {
    ThingRow {
        id: thing.id.0,
        kind: thing.kind.number(),
        patient: thing.patient.0,
        channel: thing.channel.0,
        item: thing.item.map(|item| item.0),
        author: thing.author.0,
        seq: thing.seq,
        open: thing.open,
        shared: thing.shared,
        state: thing.state,
        entry: thing.entry.0,
    }
}
