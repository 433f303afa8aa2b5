//! Fills a record with many entries in little time, for `bench growth`: sealed, chained and audited as any other, but in large transactions
//! and past the committer, which must stand still meanwhile. What comes of it verifies.

use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use super::growth::Ward;
use crate::kernel::base::{Fault, Micros, UserId};
use crate::kernel::crypto::chain::{self, kind};
use crate::kernel::crypto::seal::DataKey;
use crate::kernel::engine::Shared;
use crate::kernel::log::{self, Head, NewFact, Vault};
use crate::kernel::policy::audit::Draft;
use crate::kernel::store::append::{self, AuditRow, EntryRow, HeadRow, ThingRow};

/// Entries of one transaction.
const CHUNK: u64 = 20_000;
/// Entries in a row of one channel: a conversation moves on, and what a channel holds lies scattered as it does after years of use.
const RUN: u64 = 4;
/// The stream of the committer.
const STREAM: i64 = 1;

/// Where the next entry goes.
struct Pen {
    head: Head,
    key: Arc<DataKey>,
    ward: Ward,
}

/// What is made apart from the database, while the chunk before is written.
struct Chunk {
    entries: Vec<EntryRow>,
    things: Vec<ThingRow>,
    audit: Vec<AuditRow>,
    heads: Vec<HeadRow>,
}

struct Filler {
    vault: Vault,
    nurse: UserId,
    pens: Vec<Pen>,
    at: usize,
    audit: (i64, [u8; 32]),
    now: Micros,
}

/// Adds `count` messages by `nurse`, spread over the wards' care team channels.
///
/// # Errors
/// The database's, or a ward that is not there.
pub async fn fill(shared: &Shared, nurse: UserId, wards: &[Ward], count: u64) -> anyhow::Result<()> {
    let mut tx = shared.db.read().await?;
    let mut pens = Vec::with_capacity(wards.len());
    for ward in wards {
        let head = log::sql::head(&mut tx, ward.channel).await?.context("a ward has a channel")?;
        let key = shared.vault.patient(ward.patient).await?;
        pens.push(Pen { head, key, ward: ward.clone() });
    }
    let audit = log::sql::audit_newest(&mut tx, STREAM).await?.context("an account was made")?;
    drop(tx);
    let head = audit.1.try_into().map_err(|_| Fault::Integrity("an audit head is not 32 bytes"))?;
    let now = shared.world.now();
    let mut filler = Filler { vault: shared.vault.clone(), nurse, pens, at: 0, audit: (audit.0, head), now };
    let mut left = count;
    let mut next = None;
    while left > 0 || next.is_some() {
        let size = left.min(CHUNK);
        left -= size;
        let making = tokio::task::spawn_blocking(move || {
            let chunk = (size > 0).then(|| filler.chunk(size)).transpose();
            (filler, chunk)
        });
        if let Some(chunk) = next.take() {
            write(shared, &chunk).await?;
        }
        let (back, chunk) = making.await?;
        filler = back;
        next = chunk?;
    }
    Ok(())
}

async fn write(shared: &Shared, chunk: &Chunk) -> anyhow::Result<()> {
    let mut tx = shared.db.write().await?;
    append::entries(&mut tx, &chunk.entries).await?;
    append::things(&mut tx, &chunk.things).await?;
    append::audit(&mut tx, &chunk.audit).await?;
    append::heads(&mut tx, &chunk.heads).await?;
    Ok(tx.commit().await?)
}

impl Filler {
    fn chunk(&mut self, size: u64) -> Result<Chunk, Fault> {
        let (mut entries, mut things, mut audit) = (Vec::new(), Vec::new(), Vec::new());
        let mut touched = std::collections::BTreeSet::new();
        for number in 0..size {
            if number % RUN == 0 {
                self.at = (self.at + 1) % self.pens.len();
            }
            touched.insert(self.at);
            // A millisecond an entry, as ids need that begin with the time.
            self.now += 1_000;
            let (thing, entry) = self.entry()?;
            audit.push(self.row(&thing));
            things.push(thing);
            entries.push(entry);
        }
        let heads = touched.into_iter().map(|at| &self.pens[at].head);
        let heads = heads.map(|head| HeadRow { n: head.n, seq: head.seq, head: head.head, at: head.at }).collect();
        Ok(Chunk { entries, things, audit, heads })
    }

    fn entry(&mut self) -> Result<(ThingRow, EntryRow), Fault> {
        let Pen { head, key, ward } = &mut self.pens[self.at];
        let id = self.vault.world().id();
        let body =
            json!({"id": id, "item": ward.item, "text": "Systolic 148 at home, took the first dose with breakfast."});
        let body = serde_json::value::to_raw_value(&body).map_err(|_| Fault::Defect("a body is JSON"))?;
        let (event, kind) = ("message.posted", kind::MESSAGE);
        let (item, by) = (Some(ward.item), self.nurse);
        let new = NewFact {
            id: crate::kernel::base::EntryId(id),
            event,
            kind,
            item,
            body,
            files: [0; 32],
            by,
            now: head.at.max(self.now),
        };
        let made = log::append(&self.vault, key, head, new)?;
        let thing = ThingRow {
            id,
            kind: log::ThingKind::Message.number(),
            patient: ward.patient.0,
            channel: ward.channel.0,
            item: Some(ward.item.0),
            author: by.0,
            seq: made.fact.seq,
            open: true,
            shared: false,
            state: 0,
            entry: id,
        };
        Ok((thing, made.row))
    }

    fn row(&mut self, thing: &ThingRow) -> AuditRow {
        let Pen { ward, head, .. } = &self.pens[self.at];
        let draft = Draft {
            actor: Some(self.nurse),
            action: "message.post".into(),
            category: "message",
            patient: Some(ward.patient),
            channel: Some(ward.channel),
            object: Some(crate::kernel::base::ThingId(thing.id)),
            seq: Some([thing.seq, thing.seq]),
            outcome: "done",
            ..Draft::default()
        };
        let (n, before) = self.audit;
        let line = draft.line(STREAM, n + 1, head.at);
        self.audit = (n + 1, chain::audit_next(&before, line.as_bytes()));
        AuditRow { stream: STREAM, n: n + 1, at: head.at, line, head: self.audit.1 }
    }
}

/// What an object says at `name`, as an id.
///
/// # Errors
/// There is none.
pub fn id_at<T: std::str::FromStr>(object: &Value, name: &str) -> anyhow::Result<T> {
    let id = object[name].as_str().and_then(|text| text.parse().ok());
    id.with_context(|| format!("the answer names {name}"))
}
