//! Pages of a channel, opened. Every reader passes here: what is withheld leaves without its content. Which part of a channel may be asked for is the caller's [`Permit`](crate::kernel::policy::Permit).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::append::Head;
use super::fact::Fact;
use super::sql::{self, Row};
use super::vault::Vault;
use crate::kernel::base::{EntryId, Fault};
use crate::kernel::crypto::chain;
use crate::kernel::crypto::seal::{self, DataKey, Place};
use crate::kernel::store::Tx;

/// Where a page begins and in which direction it goes; both ends exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cursor {
    /// The newest entries.
    Newest,
    /// The newest of those before this `seq`.
    Before(i64),
    /// The oldest of those after this `seq`.
    After(i64),
}

fn array(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Integrity("a hash is not 32 bytes"))
}

/// Opens what is sealed at the place of an entry, and holds the event against its tag.
#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
pub(super) fn open_place(
    vault: &Vault,
    key: &DataKey,
    head: &Head,
    id: EntryId,
    seq: i64,
    flags: i16,
    event: &str,
    sealed: &[u8],
) -> Result<seal::OpenedBody, Fault> {
    let place = Place {
        deployment: vault.deployment(),
        patient: head.patient,
        channel: head.channel,
        row: *id.bytes(),
        seq: seq.unsigned_abs(),
    };
    let opened = seal::open_body(key, &place, sealed).inspect_err(|_| {
        tracing::error!(table = "entry", row.id = %id, "unseal_failed");
    })?;
    if i16::from(chain::event_tag(event)) != flags {
        return Err(Fault::Integrity("the event is not the one that was recorded"));
    }
    Ok(opened)
}

fn open(vault: &Vault, key: &DataKey, head: &Head, row: Row) -> Result<Fact, Fault> {
    let opened = open_place(vault, key, head, row.id, row.seq, row.flags, &row.event, &row.body)?;
    let body = String::from_utf8(opened.body).map_err(|_| Fault::Integrity("a body is not UTF-8"))?;
    let body = RawValue::from_string(body).map_err(|_| Fault::Integrity("a body is not JSON"))?;
    let small = |n: i16| u8::try_from(n).map_err(|_| Fault::Integrity("a leaf field is out of range"));
    Ok(Fact {
        id: row.id,
        event: Arc::from(row.event),
        kind: small(row.kind)?,
        flags: small(row.flags)?,
        epoch: u16::try_from(row.epoch).map_err(|_| Fault::Integrity("a negative epoch"))?,
        patient: head.patient,
        channel: head.channel,
        seq: row.seq,
        at: row.at,
        by: row.author,
        item: row.item,
        body: Arc::from(body),
        r: opened.r,
        commitment: array(&row.commitment)?,
        files: row.files.as_deref().map_or(Ok([0; 32]), array)?,
        head: array(&row.head)?,
        withheld: false,
    })
}

/// Opens rows of one channel, whole: for walks that hold each body against its commitment.
///
/// # Errors
/// A row does not open: nothing of the page is given then.
pub async fn open_rows(vault: &Vault, head: &Head, rows: Vec<Row>) -> Result<Vec<Fact>, Fault> {
    let mut keys: HashMap<u32, Arc<DataKey>> = HashMap::new();
    let mut facts = Vec::with_capacity(rows.len());
    for row in rows {
        let version = seal::key_version_of(&row.body).ok_or(Fault::Integrity("a sealed value has no header"))?;
        let key = match keys.get(&version) {
            Some(key) => key.clone(),
            None => {
                let key = vault.patient_at(head.patient, version).await?;
                keys.insert(version, key.clone());
                key
            }
        };
        facts.push(open(vault, &key, head, row)?);
    }
    Ok(facts)
}

/// Opens rows of one channel for somebody to read.
async fn read_rows(vault: &Vault, head: &Head, mut rows: Vec<Row>) -> Result<Vec<Fact>, Fault> {
    let reasons: Vec<Option<String>> = rows.iter_mut().map(|row| row.withheld.take()).collect();
    let mut facts = open_rows(vault, head, rows).await?;
    for (fact, reason) in facts.iter_mut().zip(reasons) {
        if let Some(reason) = reason {
            fact.withhold(&reason)?;
        }
    }
    Ok(facts)
}

/// Entries with `after < seq <= to`, ascending, at most `limit`. A `seq` that is missing inside is an integrity fault.
///
/// # Errors
/// The database's, or a row that does not open.
pub async fn since(
    tx: &mut Tx,
    vault: &Vault,
    head: &Head,
    after: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<Fact>, Fault> {
    let rows = sql::forward(tx, head.n, after, to, limit).await?;
    let unbroken = rows.iter().zip(after + 1..).all(|(row, seq)| row.seq == seq);
    let complete = rows.len() as i64 == limit.min(to - after).max(0);
    if !unbroken || !complete {
        return Err(Fault::Integrity("an entry is missing in a channel"));
    }
    read_rows(vault, head, rows).await
}

/// The newest entries with `from <= seq < before`, given in ascending order. `before` is at most one beyond the newest. A `seq` that is
/// missing inside is an integrity fault.
///
/// # Errors
/// The database's, or a row that does not open.
pub async fn newest(
    tx: &mut Tx,
    vault: &Vault,
    head: &Head,
    from: i64,
    before: i64,
    limit: i64,
) -> Result<Vec<Fact>, Fault> {
    let mut rows = sql::backward(tx, head.n, from, before, limit).await?;
    let unbroken = rows.iter().zip((from..before).rev()).all(|(row, seq)| row.seq == seq);
    let complete = rows.len() as i64 == limit.min(before - from).max(0);
    if !unbroken || !complete {
        return Err(Fault::Integrity("an entry is missing in a channel"));
    }
    rows.reverse();
    read_rows(vault, head, rows).await
}

/// One page over the readable spans of a channel (see [`crate::kernel::policy::spans`]), ascending, with whether there is more in
/// the direction asked for.
///
/// # Errors
/// The database's, or a row that does not open.
pub async fn page(
    tx: &mut Tx,
    vault: &Vault,
    head: &Head,
    readable: &[[i64; 2]],
    cursor: Cursor,
    limit: i64,
) -> Result<(Vec<Fact>, bool), Fault> {
    let mut facts: Vec<Fact> = Vec::new();
    // One more than asked for tells whether there is more.
    let want = limit + 1;
    match cursor {
        Cursor::After(after) => {
            for [first, last] in readable {
                let left = want - facts.len() as i64;
                let from = (first - 1).max(after);
                if left > 0 && from < *last {
                    facts.extend(since(tx, vault, head, from, *last, left).await?);
                }
            }
            let more = facts.len() as i64 > limit;
            facts.truncate(usize::try_from(limit).unwrap_or(0));
            Ok((facts, more))
        }
        Cursor::Newest | Cursor::Before(_) => {
            let before = if let Cursor::Before(before) = cursor { before } else { head.seq + 1 };
            let mut parts: Vec<Vec<Fact>> = Vec::new();
            let mut got = 0;
            for [first, last] in readable.iter().rev() {
                let end = (last + 1).min(before);
                if got < want && end > *first {
                    let part = newest(tx, vault, head, *first, end, want - got).await?;
                    got += part.len() as i64;
                    parts.push(part);
                }
            }
            for part in parts.into_iter().rev() {
                facts.extend(part);
            }
            let more = got > limit;
            if more {
                facts.remove(0);
            }
            Ok((facts, more))
        }
    }
}

/// The amendments and answers after `after` that are wanted, ascending.
///
/// # Errors
/// The database's, or a row that does not open.
pub async fn sequels(
    tx: &mut Tx,
    vault: &Vault,
    head: &Head,
    after: i64,
    wanted: impl Fn(&Fact) -> bool,
) -> Result<Vec<Fact>, Fault> {
    const PAGE: i64 = 500;
    let (mut found, mut at) = (Vec::new(), after);
    loop {
        let rows = sql::sequels(tx, head.n, at, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        at = last.seq;
        found.extend(read_rows(vault, head, rows).await?.into_iter().filter(&wanted));
    }
}

/// Every entry of a channel in pages, handed to `each` in order: exports and walks, in constant memory.
///
/// # Errors
/// The database's, a row that does not open, or what `each` says.
pub async fn entries<F>(tx: &mut Tx, vault: &Vault, head: &Head, after: i64, to: i64, mut each: F) -> Result<(), Fault>
where
    F: FnMut(Fact) -> Result<(), Fault>,
{
    const PAGE: i64 = 500;
    let mut at = after;
    while at < to {
        let facts = since(tx, vault, head, at, to, PAGE).await?;
        for fact in facts {
            at = fact.seq;
            each(fact)?;
        }
    }
    Ok(())
}
