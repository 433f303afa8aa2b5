//! One writing command in the committer: permit, key, entries.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::ledger::{Ledger, raw};
use super::{Command, CommandKey, Data, execution};
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, Stop, ThingId, UserId};
use crate::kernel::base::{Code, Refusal};
use crate::kernel::crypto::chain::files_hash;
use crate::kernel::crypto::{self, Hash};
use crate::kernel::log::{self, Fact, NewFact};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{self, Object, Permit, Right, Subject};
use crate::kernel::store::append::KeyColumns;

/// How a write is answered.
pub enum Reply {
    /// From the first entry it recorded.
    Recorded,
    /// From the first entry it recorded, with more members.
    RecordedWith(Data),
    /// No entry: this is the whole answer.
    Plain(Data),
    /// Done before under the same key: the first answer.
    Repeated(Data),
}

/// A key that was used before, with where its first entry stands.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) mac: Vec<u8>,
    pub(super) mac_version: u32,
    pub(super) channel: ChannelId,
    pub(super) seq: i64,
}

/// Keys known in this batch: `(author, key, scope)`, scope being the channel or zero.
pub(super) type SeenKeys = HashMap<(UserId, Uuid, ChannelId), Seen>;

/// The context of one writing command.
pub struct Write<'a> {
    ledger: &'a mut Ledger,
    subject: &'a Subject,
    command: &'a Command,
    /// Wall time of the batch.
    now: Micros,
    /// The scope the key was checked in; the first entry carries both.
    scope: Option<ChannelId>,
    seen: &'a mut SeenKeys,
    /// The channel was archived after this command was done: it may be answered again, and nothing else.
    only_again: bool,
    first: Option<Fact>,
    last: Option<Fact>,
    pub(super) audit: Draft,
    depth: usize,
}

impl<'a> Write<'a> {
    pub(super) fn new(
        ledger: &'a mut Ledger,
        subject: &'a Subject,
        command: &'a Command,
        now: Micros,
        seen: &'a mut SeenKeys,
        audit: Draft,
    ) -> Self {
        ledger.changes = 0;
        let (scope, only_again, depth) = (None, false, 0);
        Self { ledger, subject, command, now, scope, seen, only_again, first: None, last: None, audit, depth }
    }

    /// Who asks.
    #[must_use]
    pub fn subject(&self) -> &'a Subject {
        self.subject
    }

    /// Wall time of the batch.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// A fresh id.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.ledger.shared().world.id()
    }

    /// The transaction and what it holds.
    pub fn ledger(&mut self) -> &mut Ledger {
        self.ledger
    }

    /// Leaves the object of the command in its audit row.
    pub fn about(&mut self, object: ThingId) {
        self.audit.object = Some(object);
    }

    /// What its audit row calls it, and what it came to, where that is not what its caller asked for.
    pub fn audit_as(&mut self, action: &str, outcome: &'static str) {
        action.clone_into(&mut self.audit.action);
        self.audit.outcome = outcome;
    }

    /// Asks policy about the server.
    ///
    /// # Errors
    /// The refusal.
    pub fn permit_server(&mut self, right: Right) -> Result<Permit, Stop> {
        let permit = policy::decide(self.subject, right, Object::Server, self.now)?;
        self.audit.basis = Some(permit.basis().text());
        Ok(permit)
    }

    /// Asks policy about a patient.
    ///
    /// # Errors
    /// The refusal, or the database's.
    pub async fn permit_patient(&mut self, right: Right, patient: PatientId) -> Result<Permit, Stop> {
        let access = self.ledger.access(patient).await?;
        // Refusals name the patient too, but no id that never existed: there would be no end of those.
        self.audit.patient = access.as_ref().map(|access| access.patient);
        let permit = policy::decide(self.subject, right, Object::Patient(access.as_deref()), self.now)?;
        self.audit.basis = Some(permit.basis().text());
        Ok(permit)
    }

    /// Asks policy about a channel.
    ///
    /// # Errors
    /// The refusal, or the database's.
    pub async fn permit_channel(&mut self, right: Right, channel: ChannelId) -> Result<Permit, Stop> {
        let access = match self.ledger.patient_of(channel).await? {
            Some(patient) => self.ledger.access(patient).await?,
            None => None,
        };
        let object = Object::Channel(access.as_deref().map(|access| (access, channel)));
        self.audit.patient = access.as_ref().map(|access| access.patient);
        self.audit.channel = access.as_ref().map(|_| channel);
        let permit = match policy::decide(self.subject, right, object, self.now) {
            Err(refusal) if refusal.code == Code::Archived && self.was_done(channel) => {
                self.only_again = true;
                policy::decide(self.subject, Right::Read, object, self.now)?
            }
            decided => decided?,
        };
        self.audit.basis = Some(permit.basis().text());
        Ok(permit)
    }

    /// Whether the command's key was used in that channel before.
    fn was_done(&self, channel: ChannelId) -> bool {
        self.command.key.is_some_and(|key| self.seen.contains_key(&(self.subject.user, key.key, channel)))
    }

    /// Checks the command's key, to be called after the permit and before anything else is refused or written. `scope` is the channel
    /// the command writes to, or [`ChannelId::ZERO`] where the write makes the channel.
    ///
    /// # Errors
    /// `conflict` if the key belongs to another command.
    pub async fn repeated(&mut self, scope: ChannelId) -> Result<Option<Reply>, Stop> {
        self.scope = Some(scope);
        let Some(key) = self.command.key else { return Ok(None) };
        let Some(seen) = self.seen.get(&(self.subject.user, key.key, scope)).cloned() else { return Ok(None) };
        self.same_command(key, &seen.mac, seen.mac_version)?;
        let fact = self.fact(seen.channel, seen.seq).await?;
        let mut reply = reply_of(self.ledger, &fact)?;
        reply.insert("repeat".into(), true.into());
        Ok(Some(Reply::Repeated(reply)))
    }

    fn same_command(&self, key: CommandKey, mac: &[u8], mac_version: u32) -> Result<(), Stop> {
        // A MAC of an older key version cannot be compared with one of the newer; it is made again under the old key.
        let own = if mac_version == key.mac_version {
            key.mac
        } else {
            execution::mac_at(self.ledger.shared(), mac_version, self.command)?
        };
        let same: bool = subtle::ConstantTimeEq::ct_eq(mac, own.as_slice()).into();
        if !same {
            return Err(Refusal::new(Code::Conflict)
                .field("key")
                .detail("This key belongs to another command. Draw a new one.")
                .into());
        }
        Ok(())
    }

    /// The command's key with the MAC of what it says and the version of that, for a feature that keeps what is no entry yet and has
    /// to know a repeat of it. None where the command has no key.
    #[must_use]
    pub fn key(&self) -> Option<(Uuid, Vec<u8>, u32)> {
        self.command.key.map(|key| (key.key, key.mac.to_vec(), key.mac_version))
    }

    /// That what was kept under the command's key was this command.
    ///
    /// # Errors
    /// `conflict`, field `key`: it was another one.
    pub fn demand_same(&self, mac: &[u8], mac_version: u32) -> Result<(), Stop> {
        let key = self.command.key.ok_or(Fault::Defect("compared a key that the command does not have"))?;
        self.same_command(key, mac, mac_version)
    }

    async fn fact(&mut self, channel: ChannelId, seq: i64) -> Result<Fact, Stop> {
        if let Some(fact) = self.ledger.news.facts.iter().find(|fact| fact.channel == channel && fact.seq == seq) {
            return Ok(fact.clone());
        }
        let head =
            self.ledger.head(channel).await?.ok_or(Fault::Integrity("a key names a channel that is not there"))?;
        let vault = self.ledger.vault().clone();
        let facts = log::since(self.ledger.tx(), &vault, &head, seq - 1, seq, 1).await?;
        facts.into_iter().next().ok_or_else(|| Fault::Integrity("a key names an entry that is not there").into())
    }

    /// An entry of the past, for features that correct one.
    ///
    /// # Errors
    /// The database's, or it does not open.
    pub async fn entry(&mut self, channel: ChannelId, seq: i64) -> Result<Fact, Stop> {
        self.fact(channel, seq).await
    }

    /// Amendments and answers of a channel after `after` that are wanted, ascending, those of this batch included.
    ///
    /// # Errors
    /// The database's, or one does not open.
    pub async fn sequels(
        &mut self,
        channel: ChannelId,
        after: i64,
        wanted: impl Fn(&Fact) -> bool + Sync,
    ) -> Result<Vec<Fact>, Stop> {
        let head = self.ledger.head(channel).await?.ok_or(Fault::Defect("looked into a channel that is not there"))?;
        let vault = self.ledger.vault().clone();
        let mut found = log::sequels(self.ledger.tx(), &vault, &head, after, &wanted).await?;
        let fresh = self.ledger.news.facts.iter().filter(|fact| fact.channel == channel && fact.seq > after);
        found.extend(fresh.filter(|fact| wanted(fact)).cloned());
        Ok(found)
    }

    /// Records an entry: appends, projects, lets others react. The first one of a command carries its key and makes its answer.
    /// `id` is that of the thing it makes, or a fresh one.
    ///
    /// # Errors
    /// The database's, or a fault of a projection: then the whole command is undone.
    pub async fn record<T: Serialize + Sync>(
        &mut self,
        channel: ChannelId,
        event: &'static str,
        kind: u8,
        item: Option<ItemId>,
        id: Uuid,
        body: &T,
    ) -> Result<Fact, Stop> {
        self.record_for(self.subject.user, channel, event, kind, item, id, body, &[]).await
    }

    /// As [`Write::record`], for an entry that carries files: its leaf holds their commitments, in this order.
    ///
    /// # Errors
    /// As [`Write::record`].
    #[expect(clippy::too_many_arguments, reason = "what an entry is made of")]
    pub async fn record_with<T: Serialize + Sync>(
        &mut self,
        channel: ChannelId,
        event: &'static str,
        kind: u8,
        item: Option<ItemId>,
        id: Uuid,
        body: &T,
        files: &[Hash],
    ) -> Result<Fact, Stop> {
        self.record_for(self.subject.user, channel, event, kind, item, id, body, files).await
    }

    /// As [`Write::record_with`], in the name of the person whose words they are: what was accepted of them before, and kept until now.
    ///
    /// # Errors
    /// As [`Write::record`].
    #[expect(clippy::too_many_arguments, reason = "what an entry is made of, and the author")]
    pub async fn record_for<T: Serialize + Sync>(
        &mut self,
        author: UserId,
        channel: ChannelId,
        event: &'static str,
        kind: u8,
        item: Option<ItemId>,
        id: Uuid,
        body: &T,
        files: &[Hash],
    ) -> Result<Fact, Stop> {
        let (body, files, now) = (raw(body)?, files_hash(files), self.now);
        self.append(channel, NewFact { id: EntryId(id), event, kind, item, body, files, by: author, now }).await
    }

    async fn append(&mut self, channel: ChannelId, new: NewFact) -> Result<Fact, Stop> {
        if self.ledger.shared().book.is_held(channel) {
            let detail = "This channel's record did not hold when it was checked. Nothing is written to it until an administrator has looked.";
            return Err(Refusal::new(Code::Busy).detail(detail).into());
        }
        let mut head =
            self.ledger.locked_head(channel).await?.ok_or(Fault::Defect("recorded in a channel that is not there"))?;
        if self.first.is_none() && self.scope.is_some_and(|scope| scope != ChannelId::ZERO && scope != channel) {
            // A repeat would not be found there and be done again.
            return Err(Fault::Defect("the first entry goes to another channel than the key was checked in").into());
        }
        let vault = self.ledger.vault().clone();
        let key = vault.patient(head.patient).await?;
        let mut appended = log::append(&vault, &key, &mut head, new)?;
        if self.first.is_none()
            && let Some(key) = self.command.key
        {
            let scope = self.scope.ok_or(Fault::Defect("recorded before the key was checked"))?;
            let number = if scope == ChannelId::ZERO { 0 } else { head.n };
            appended.row.key = Some(KeyColumns {
                key: key.key,
                scope: number,
                mac: key.mac.to_vec(),
                mac_version: i32::try_from(key.mac_version).unwrap_or(i32::MAX),
            });
            let seen = Seen { mac: key.mac.to_vec(), mac_version: key.mac_version, channel, seq: head.seq };
            self.seen.insert((self.subject.user, key.key, scope), seen);
        }
        let fact = appended.fact;
        self.ledger.changes += 1;
        self.ledger.put_head(head);
        self.ledger.entries.push(appended.row);
        self.ledger.news.facts.push(fact.clone());
        if self.first.is_none() {
            self.first = Some(fact.clone());
        }
        self.last = Some(fact.clone());
        self.ledger.project(&fact).await?;
        self.react(&fact).await?;
        Ok(fact)
    }

    async fn react(&mut self, fact: &Fact) -> Result<(), Stop> {
        // Reactions may record and so cause reactions; no chain of features is longer than this.
        const DEPTH_MAX: usize = 8;
        let shared = self.ledger.shared().clone();
        for at in shared.registry.reactions(&fact.event) {
            if self.depth >= DEPTH_MAX {
                return Err(Fault::Defect("reactions go round in a circle").into());
            }
            self.depth += 1;
            shared.registry.features()[*at].react(self, fact).await?;
            self.depth -= 1;
        }
        Ok(())
    }

    /// Puts a fact on a person's channel `me`.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell(&mut self, user: UserId, event: &'static str, data: &Data) -> Result<(), Stop> {
        let now = self.now;
        Ok(self.ledger.tell(user, event, now, data).await?)
    }

    /// The answer of a command that went through; its audit row is then complete.
    pub(super) fn finish(&mut self, reply: Reply) -> Result<Value, Fault> {
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            self.audit.channel = Some(first.channel);
            self.audit.patient = Some(first.patient);
            self.audit.object.get_or_insert(ThingId(first.id.0));
            // Entries in other channels of the same command are named by the range of the first one's channel only.
            let end = if last.channel == first.channel { last.seq } else { first.seq };
            self.audit.seq = Some([first.seq, end]);
        }
        let answer = match (reply, &self.first) {
            (Reply::Repeated(_), _) if self.changed() => {
                return Err(Fault::Defect("answered as done before, but something was written"));
            }
            (Reply::Repeated(data), _) => data,
            _ if self.only_again => return Err(Fault::Defect("wrote to an archived channel")),
            (Reply::Recorded, Some(first)) => reply_of(self.ledger, first)?,
            (Reply::RecordedWith(more), Some(first)) => {
                let mut reply = reply_of(self.ledger, first)?;
                reply.extend(more);
                reply
            }
            (Reply::Recorded | Reply::RecordedWith(_), None) => {
                return Err(Fault::Defect("answered from an entry, but none was recorded"));
            }
            (Reply::Plain(data), _) => data,
        };
        Ok(Value::Object(answer))
    }

    /// Whether anything was changed: after that a refusal would be a defect.
    pub(super) fn changed(&self) -> bool {
        self.ledger.changes > 0
    }
}

/// `id, channel, seq, at, head` and what the feature adds, from the first entry alone.
fn reply_of(ledger: &Ledger, fact: &Fact) -> Result<Data, Fault> {
    let feature =
        ledger.shared().registry.of_event(&fact.event).ok_or(Fault::Integrity("an event that no feature knows"))?;
    let mut reply = Data::new();
    reply.insert("id".into(), fact.id.to_string().into());
    reply.insert("channel".into(), fact.channel.to_string().into());
    reply.insert("seq".into(), fact.seq.into());
    reply.insert("at".into(), crate::kernel::base::world::rfc3339(fact.at).into());
    reply.insert("head".into(), crypto::base64(&fact.head).into());
    reply.extend(feature.reply(fact));
    Ok(reply)
}
