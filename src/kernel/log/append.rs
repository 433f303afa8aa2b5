//! One entry, made: commitment, leaf, chain, seal. Writing the rows is the batched append of `store`.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::fact::Fact;
use super::vault::Vault;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, UserId};
use crate::kernel::crypto::chain::{self, Leaf};
use crate::kernel::crypto::seal::{self, DataKey, Place};
use crate::kernel::store::append::EntryRow;

/// Where a channel stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The channel's small number inside the database.
    pub n: i64,
    /// The channel.
    pub channel: ChannelId,
    /// Whose.
    pub patient: PatientId,
    /// Newest `seq`, 0 before the first entry.
    pub seq: i64,
    /// The chain there.
    pub head: [u8; 32],
    /// Raised by restores.
    pub epoch: u16,
    /// Time of the newest entry.
    pub at: Micros,
}

/// An entry to be.
pub struct NewFact {
    /// Its id.
    pub id: EntryId,
    /// Event name.
    pub event: &'static str,
    /// Leaf kind ([`chain::kind`]).
    pub kind: u8,
    /// Plan item.
    pub item: Option<ItemId>,
    /// The event's `data`.
    pub body: Box<RawValue>,
    /// The [`chain::files_hash`] of its files, zero without.
    pub files: [u8; 32],
    /// Author.
    pub by: UserId,
    /// Wall time.
    pub now: Micros,
}

/// What [`append`] made.
pub struct Appended {
    /// In the clear.
    pub fact: Fact,
    /// The row to be written; `key` columns empty.
    pub row: EntryRow,
}

/// Makes the next entry of a channel and moves `head` on. Nothing is written yet.
///
/// # Errors
/// A kind that must name a plan item names none: no entry is made then.
pub fn append(vault: &Vault, key: &DataKey, head: &mut Head, new: NewFact) -> Result<Appended, Fault> {
    if new.item.is_none() && !chain::legal_without_item(new.kind) {
        return Err(Fault::Defect("an entry of this kind names a plan item"));
    }
    let world = vault.world();
    let r = world.bytes::<32>();
    let mut fact = Fact {
        id: new.id,
        event: Arc::from(new.event),
        kind: new.kind,
        flags: chain::event_tag(new.event),
        epoch: head.epoch,
        patient: head.patient,
        channel: head.channel,
        seq: head.seq + 1,
        // Order never depends on a clock: a step back leaves the time where it was.
        at: new.now.max(head.at),
        by: new.by,
        item: new.item,
        commitment: chain::commit(&r, new.body.get().as_bytes()),
        body: Arc::from(new.body),
        r,
        files: new.files,
        head: [0; 32],
        withheld: false,
    };
    fact.head = chain::next(&head.head, &leaf_of(&fact).to_bytes());
    head.head = fact.head;
    head.seq = fact.seq;
    head.at = fact.at;
    let place = place(vault, head, &fact);
    let sealed = seal::seal_body(world, key, &place, &r, fact.body.get().as_bytes());
    let row = row(head.n, &fact, new.event, sealed);
    Ok(Appended { fact, row })
}

fn place(vault: &Vault, head: &Head, fact: &Fact) -> Place {
    Place {
        deployment: vault.deployment(),
        patient: head.patient,
        channel: head.channel,
        row: *fact.id.bytes(),
        seq: fact.seq.unsigned_abs(),
    }
}

fn row(channel: i64, fact: &Fact, event: &'static str, body: Vec<u8>) -> EntryRow {
    EntryRow {
        channel,
        seq: fact.seq,
        id: fact.id.0,
        kind: i16::from(fact.kind),
        flags: i16::from(fact.flags),
        event,
        author: fact.by.0,
        at: fact.at,
        item: fact.item.map(|item| item.0),
        body,
        commitment: fact.commitment,
        files: (fact.files != [0; 32]).then(|| fact.files.to_vec()),
        head: fact.head,
        epoch: i16::try_from(fact.epoch).unwrap_or(i16::MAX),
        key: None,
    }
}

/// The leaf of an entry.
#[must_use]
pub fn leaf_of(fact: &Fact) -> Leaf {
    Leaf {
        kind: fact.kind,
        flags: fact.flags,
        epoch: fact.epoch,
        patient: fact.patient,
        channel: fact.channel,
        seq: fact.seq.unsigned_abs(),
        entry: fact.id,
        author: fact.by,
        at: fact.at,
        item: fact.item.unwrap_or(ItemId::ZERO),
        commit: fact.commitment,
        files: fact.files,
    }
}
