//! What a start, and a handle that was opened again, check before anything is built upon the record: its end. The cost does not grow
//! with the record: heads that were signed stand for what is before them, and the walk of the whole is a job beside the work.
//! Does not know: who runs the job, what happens to a record that does not hold.

use std::collections::HashMap;

use super::append::Head;
use super::site::{self, Note};
use super::verify::{self, AuditWalk, Audited};
use super::{Vault, sql};
use crate::kernel::base::{ChannelId, Fault};
use crate::kernel::crypto::chain::{self, Walk};
use crate::kernel::store::{Tx, setting};

/// Newest entries that are looked at even if their heads were signed.
const ENTRIES_LEAST: i64 = 1_000;
/// Newest entries that are looked at at most: half a second. What is older and not signed is for the walk of the whole.
const ENTRIES_MOST: i64 = 20_000;
/// The same of audit rows.
const AUDIT_LEAST: i64 = 500;
const AUDIT_MOST: i64 = 5_000;
/// Rows of one page.
const PAGE: i64 = 500;
/// Ids of one look-up.
const IDS: usize = 500;

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Entries opened and chained.
    pub entries: i64,
    /// Channels whose newest entries are not under a signed head.
    pub unsigned: Vec<Head>,
    /// More was written since the last signed heads than was looked at.
    pub more: bool,
}

/// What does not hold, logged here with its place.
fn wrong(channel: ChannelId, seq: i64, reason: &'static str) -> Fault {
    tracing::error!(channel.id = %channel, seq, reason, "The record does not hold");
    Fault::Integrity(reason)
}

/// Checks the end of the site log, of the audit streams and of the log.
///
/// # Errors
/// [`Fault::Integrity`] if something does not hold; sealed, or the database's, if that cannot be told.
pub async fn check(tx: &mut Tx, vault: &Vault) -> Result<Recent, Fault> {
    let notes = site::check_end(tx, vault).await.inspect_err(|fault| {
        tracing::error!(error = %fault, "The site log does not hold");
    })?;
    signed_heads(tx, &notes).await?;
    audit_ends(tx, vault).await?;
    let newest = sql::newest_entry(tx).await?;
    let attested = attested(tx).await?;
    let from = attested.min(newest - ENTRIES_LEAST).max(newest - ENTRIES_MOST).max(0);
    let mut end = End::default();
    let entries = end.walk(tx, vault, from).await?;
    let unsigned = end.finish(tx).await?;
    Ok(Recent { entries, unsigned, more: attested < from })
}

/// `entry.n` up to which every entry is under a signed head.
///
/// # Errors
/// The database's.
pub async fn attested(tx: &mut Tx) -> Result<i64, Fault> {
    let kept = setting::get(tx, setting::ATTESTED).await?;
    Ok(kept.and_then(|kept| <[u8; 8]>::try_from(kept).ok()).map_or(0, i64::from_be_bytes))
}

/// Keeps [`attested`].
///
/// # Errors
/// The database's.
pub async fn put_attested(tx: &mut Tx, n: i64) -> Result<(), Fault> {
    Ok(setting::put(tx, setting::ATTESTED, &n.to_be_bytes()).await?)
}

/// The newest signed heads are those of entries that are there.
async fn signed_heads(tx: &mut Tx, notes: &[Note]) -> Result<(), Fault> {
    let mut newest: HashMap<ChannelId, (i64, [u8; 32])> = HashMap::new();
    for note in notes {
        if let Note::Channel(head) = note {
            let size = i64::try_from(head.size).map_err(|_| Fault::Integrity("a signed size is out of range"))?;
            newest.insert(head.channel, (size, head.head));
        }
    }
    for (channel, (size, signed)) in newest {
        let head = sql::head(tx, channel).await?.ok_or_else(|| wrong(channel, 1, "the channel is missing"))?;
        if size == 0 {
            continue;
        }
        let entry = if size > head.seq { None } else { sql::link(tx, head.n, size).await? };
        let (_, entry) =
            entry.ok_or_else(|| wrong(channel, size, "a head was signed over an entry that is not there"))?;
        if entry != signed {
            return Err(wrong(channel, size, "a head was signed over another entry"));
        }
    }
    Ok(())
}

/// The newest rows of each audit stream follow on its signed head, and the entries they name are there.
async fn audit_ends(tx: &mut Tx, vault: &Vault) -> Result<(), Fault> {
    let mut audited = Audited::default();
    for stream in sql::audit_streams(tx).await? {
        let (newest, _) = sql::audit_newest(tx, stream).await?.unwrap_or((0, Vec::new()));
        let signed = site::signed_stream(tx, vault, stream).await?;
        let (size, head) = signed.unwrap_or((0, chain::AUDIT_GENESIS));
        if size > newest {
            tracing::error!(stream, n = newest + 1, "The audit is shorter than what was signed of it");
            return Err(Fault::Integrity("the audit is shorter than what was signed of it"));
        }
        let from = size.min(newest - AUDIT_LEAST).max(newest - AUDIT_MOST).max(0);
        let base = if from == size { head } else { audit_head(tx, stream, from).await? };
        let mut walk = AuditWalk::from_head(stream, from, base);
        while !walk.slice(tx, &mut audited, PAGE).await? {}
        if from < size && audit_head(tx, stream, size).await? != head {
            return Err(Fault::Integrity("a head was signed over another row of the audit"));
        }
    }
    if let Some(flaw) = audited.flaws.first() {
        tracing::error!(stream = flaw.stream, n = flaw.n, reason = flaw.reason, "The audit does not hold");
        return Err(Fault::Integrity("the audit does not hold"));
    }
    let reached: Vec<(ChannelId, i64)> = audited.reached.into_iter().filter(|(_, seq)| *seq > 0).collect();
    for chunk in reached.chunks(IDS) {
        let ids: Vec<ChannelId> = chunk.iter().map(|(id, _)| *id).collect();
        let sizes: HashMap<ChannelId, i64> = sql::sizes(tx, &ids).await?.into_iter().collect();
        for (channel, seq) in chunk {
            let size = sizes.get(channel).copied().unwrap_or(0);
            if size < *seq {
                return Err(wrong(*channel, size + 1, "the audit names an entry that is not there"));
            }
        }
    }
    Ok(())
}

async fn audit_head(tx: &mut Tx, stream: i64, n: i64) -> Result<[u8; 32], Fault> {
    if n == 0 {
        return Ok(chain::AUDIT_GENESIS);
    }
    let row = sql::audit_page(tx, stream, n - 1, 1).await?.into_iter().next().filter(|row| row.n == n);
    row.and_then(|row| row.head.try_into().ok()).ok_or(Fault::Integrity("a row of the audit is missing"))
}

/// The channels that were written to lately, each walked from before its first entry of the part that is looked at.
#[derive(Default)]
struct End {
    channels: HashMap<i64, (Head, Walk)>,
}

impl End {
    /// Walks everything after entry number `from`, in the order of writing.
    async fn walk(&mut self, tx: &mut Tx, vault: &Vault, from: i64) -> Result<i64, Fault> {
        let (mut after, mut entries) = (from, 0);
        loop {
            let page = sql::written(tx, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(entries) };
            after = last.n;
            for written in page {
                let seq = written.row.seq;
                let (head, mut walk) = match self.channels.remove(&written.channel) {
                    Some(held) => held,
                    None => Self::begin(tx, vault, written.channel, seq).await?,
                };
                if let Some(reason) = verify::step(tx, vault, &head, written.row, &mut walk).await? {
                    return Err(wrong(head.channel, seq, reason));
                }
                self.channels.insert(written.channel, (head, walk));
                entries += 1;
            }
        }
    }

    /// Before entry `seq` of a channel, on the head its row says: signed, or looked at by the walk of the whole.
    async fn begin(tx: &mut Tx, vault: &Vault, number: i64, seq: i64) -> Result<(Head, Walk), Fault> {
        let head = sql::head_of_number(tx, number).await?;
        let head = head.ok_or_else(|| wrong(ChannelId::ZERO, seq, "the entry is of a channel that is not there"))?;
        if seq <= 1 {
            let walk = Walk::from_start(vault.deployment(), head.patient, head.channel);
            return Ok((head, walk));
        }
        let before = sql::link(tx, number, seq - 1).await?.and_then(|(_, hash)| <[u8; 32]>::try_from(hash).ok());
        let before = before.ok_or_else(|| wrong(head.channel, seq - 1, "the entry is missing"))?;
        let walk = Walk::from_head(head.patient, head.channel, (seq - 1).unsigned_abs(), before);
        Ok((head, walk))
    }

    /// Each walk ends where its channel does. Gives the channels that are not under a signed head.
    async fn finish(self, tx: &mut Tx) -> Result<Vec<Head>, Fault> {
        let mut heads = Vec::with_capacity(self.channels.len());
        for (head, walk) in self.channels.into_values() {
            let seq = i64::try_from(walk.size()).unwrap_or(i64::MAX);
            if seq != head.seq {
                let first = seq.min(head.seq) + 1;
                return Err(wrong(head.channel, first, "the channel's counter is not that of its entries"));
            }
            if walk.head() != &head.head {
                return Err(wrong(head.channel, seq, "the channel's head is not that of its chain"));
            }
            heads.push(head);
        }
        let mut unsigned = Vec::new();
        for chunk in heads.chunks(IDS) {
            let ids: Vec<ChannelId> = chunk.iter().map(|head| head.channel).collect();
            let signed: HashMap<ChannelId, i64> = site::sql::signed_of(tx, &ids).await?.into_iter().collect();
            for head in chunk {
                let size = signed.get(&head.channel).copied().unwrap_or(0);
                if size > head.seq {
                    return Err(wrong(head.channel, head.seq + 1, "a head was signed over an entry that is not there"));
                }
                if size < head.seq {
                    unsigned.push(head.clone());
                }
            }
        }
        Ok(unsigned)
    }
}
