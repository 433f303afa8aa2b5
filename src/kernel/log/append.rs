//! One entry, made: commitment, leaf, chain, seal. Writing the rows is the batched append of `store`.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::fact::Fact;
use super::vault::Vault;
use crate::kernel::base::{ChannelId, EntryId, ItemId, Micros, PatientId, UserId};
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
#[must_use]
pub fn append(vault: &Vault, key: &DataKey, head: &mut Head, new: NewFact) -> Appended {
    let world = vault.world();
    let seq = head.seq + 1;
    // Order never depends on a clock: a step back leaves the time where it was.
    let at = new.now.max(head.at);
    let r = world.bytes::<32>();
    let body = new.body.get().as_bytes();
    let commitment = chain::commit(&r, body);
    let leaf = Leaf {
        kind: new.kind,
        flags: 0,
        epoch: head.epoch,
        patient: head.patient,
        channel: head.channel,
        seq: seq.unsigned_abs(),
        entry: new.id,
        author: new.by,
        at,
        item: new.item.unwrap_or(ItemId::ZERO),
        commit: commitment,
        files: [0; 32],
    };
    debug_assert!(new.item.is_some() || chain::legal_without_item(new.kind), "{} needs a plan item", new.event);
    head.head = chain::next(&head.head, &leaf.to_bytes());
    head.seq = seq;
    head.at = at;
    let place = Place {
        deployment: vault.deployment(),
        patient: head.patient,
        channel: head.channel,
        row: *new.id.bytes(),
        seq: seq.unsigned_abs(),
    };
    let sealed = seal::seal_body(world, key, &place, &r, body);
    let row = EntryRow {
        channel: head.n,
        seq,
        id: new.id.0,
        kind: i16::from(new.kind),
        flags: 0,
        event: new.event,
        author: new.by.0,
        at,
        item: new.item.map(|item| item.0),
        body: sealed,
        commitment,
        files: None,
        head: head.head,
        epoch: i16::try_from(head.epoch).unwrap_or(i16::MAX),
        key: None,
    };
    let fact = Fact {
        id: new.id,
        event: Arc::from(new.event),
        kind: new.kind,
        flags: 0,
        epoch: head.epoch,
        patient: head.patient,
        channel: head.channel,
        seq,
        at,
        by: new.by,
        item: new.item,
        body: Arc::from(new.body),
        r,
        commitment,
        files: [0; 32],
        head: head.head,
    };
    Appended { fact, row }
}
