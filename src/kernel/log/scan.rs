//! Entries as a search meets them: newest first and without their proof, so that many thousands of them can be opened in a second.
//! Does not know what is looked for, or who may see it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::append::Head;
use super::page::open_place;
use super::sql;
use super::vault::Vault;
use crate::kernel::base::{EntryId, Fault, Micros, UserId};
use crate::kernel::crypto::seal::{self, DataKey};
use crate::kernel::store::Tx;

/// A row of `entry` as a search needs it, still sealed.
#[derive(sqlx::FromRow)]
pub struct SealedLine {
    /// Place in the channel.
    pub seq: i64,
    /// Entry id.
    pub id: EntryId,
    /// Leaf flags.
    pub flags: i16,
    /// Event name.
    pub event: String,
    /// Author.
    pub author: UserId,
    /// Time.
    pub at: Micros,
    /// Sealed body.
    pub body: Vec<u8>,
    /// Why its content is withheld, if it is.
    pub withheld: Option<String>,
}

/// Which entries of a part of a channel are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// Every one; a `seq` that is missing is an integrity fault.
    All,
    /// All but messages and documented notes: these make a thing and change nothing that was said before.
    Changes,
}

/// The data keys that the entries of one patient name, by version.
pub type DataKeys = HashMap<u32, Arc<DataKey>>;

/// One entry, opened.
pub struct Line {
    /// The entry; of what it made, where it made something.
    pub id: EntryId,
    /// Event name.
    pub event: String,
    /// Place in the channel.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// Author.
    pub by: UserId,
    body: String,
}

impl Line {
    /// The body as a type; members it does not name are passed over.
    ///
    /// # Errors
    /// The body is not what its event says: an integrity fault.
    pub fn read<'l, T: Deserialize<'l>>(&'l self) -> Result<T, Fault> {
        serde_json::from_str(&self.body).map_err(|_| Fault::Integrity("an entry's body is not what its event says"))
    }
}

/// The newest sealed entries with `from <= seq < before`, newest first, at most `limit`. `before` is at most one beyond the newest.
///
/// # Errors
/// The database's, or one is missing.
pub async fn backward(
    tx: &mut Tx,
    head: &Head,
    from: i64,
    before: i64,
    limit: i64,
    pick: Pick,
) -> Result<Vec<SealedLine>, Fault> {
    let rows = sql::lines(tx, head.n, from, before, limit, pick == Pick::Changes).await?;
    let unbroken = rows.iter().zip((from..before).rev()).all(|(row, seq)| row.seq == seq);
    let complete = rows.len() as i64 == limit.min(before - from).max(0);
    if pick == Pick::All && !(unbroken && complete) {
        return Err(Fault::Integrity("an entry is missing in a channel"));
    }
    Ok(rows)
}

/// Puts the keys that these entries name at hand.
///
/// # Errors
/// As [`Vault::patient_at`].
pub async fn fetch_keys(vault: &Vault, head: &Head, lines: &[SealedLine], keys: &mut DataKeys) -> Result<(), Fault> {
    for line in lines {
        let version = seal::key_version_of(&line.body).ok_or(Fault::Integrity("a sealed value has no header"))?;
        if let std::collections::hash_map::Entry::Vacant(slot) = keys.entry(version) {
            slot.insert(vault.patient_at(head.patient, version).await?);
        }
    }
    Ok(())
}

/// Opens an entry; none if its content is withheld. Work for the processor alone.
///
/// # Errors
/// It does not open, or its key is not at hand: an integrity fault.
pub fn open(vault: &Vault, head: &Head, keys: &DataKeys, line: SealedLine) -> Result<Option<Line>, Fault> {
    let SealedLine { seq, id, flags, event, author, at, body, withheld } = line;
    if withheld.is_some() {
        return Ok(None);
    }
    let version = seal::key_version_of(&body).ok_or(Fault::Integrity("a sealed value has no header"))?;
    let key = keys.get(&version).ok_or(Fault::Integrity("a sealed value names a key that is not there"))?;
    let opened = open_place(vault, key, head, id, seq, flags, &event, &body)?;
    let body = String::from_utf8(opened.body).map_err(|_| Fault::Integrity("a body is not UTF-8"))?;
    Ok(Some(Line { id, event, seq, at, by: author, body }))
}
