//! Walks of the record: every body opened, commitment, chain, head, counters; audit streams. Names the first bad place of each channel.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::sql::{self, Row};
use crate::kernel::base::{ChannelId, Fault, ItemId};
use crate::kernel::crypto::chain::{self, Leaf, Walk, kind};
use crate::kernel::crypto::seal;
use crate::kernel::log::{Fact, Head, Vault};
use crate::kernel::store::Tx;

pub use super::append::leaf_of;

/// What a walk found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// In which channel.
    pub channel: ChannelId,
    /// At which entry.
    pub seq: i64,
    /// A sentence without content.
    pub reason: &'static str,
}

/// What a walk of one channel gave.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The channel as its row says.
    pub head: Head,
    /// Entries that hold.
    pub entries: i64,
    /// The first flaw, if any.
    pub flaw: Option<Flaw>,
}

/// What is known of a channel from elsewhere than its own rows: what a rewritten or shortened chain is held against.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Heads that were signed, by size.
    pub signed: BTreeMap<i64, [u8; 32]>,
    /// The newest `seq` that the audit names as written, read or delivered.
    pub reached: i64,
}

/// A walk of one channel that goes on over several snapshots, so that a long one holds none for long. The channel may grow meanwhile.
pub struct ChannelWalk {
    n: i64,
    walk: Walk,
}

impl ChannelWalk {
    /// From the first entry.
    #[must_use]
    pub fn begin(vault: &Vault, head: &Head) -> Self {
        Self { n: head.n, walk: Walk::from_start(vault.deployment(), head.patient, head.channel) }
    }

    /// At most `limit` entries more; gives what the walk came to once it is over.
    ///
    /// # Errors
    /// The database's, or sealed; what is wrong with the record is in [`Walked::flaw`].
    pub async fn slice(
        &mut self,
        tx: &mut Tx,
        vault: &Vault,
        known: &Known,
        limit: i64,
    ) -> Result<Option<Walked>, Fault> {
        let head = sql::head_of_number(tx, self.n).await?.ok_or(Fault::Integrity("a channel is gone"))?;
        let seq = self.seq();
        let rows = sql::forward(tx, head.n, seq, i64::MAX, limit).await?;
        let over = (rows.len() as i64) < limit;
        for row in rows {
            let (wanted, entry_head) = (self.seq() + 1, row.head.clone());
            if row.seq != wanted {
                return Ok(Some(self.ended(head, wanted, "the entry is missing")));
            }
            if let Some(reason) = step(tx, vault, &head, row, &mut self.walk).await? {
                return Ok(Some(self.at(head, wanted, reason)));
            }
            if known.signed.get(&wanted).is_some_and(|signed| signed.as_slice() != entry_head.as_slice()) {
                return Ok(Some(self.at(head, wanted, "a head was signed over another entry")));
            }
        }
        Ok(over.then(|| self.end(head, known)))
    }

    fn seq(&self) -> i64 {
        i64::try_from(self.walk.size()).unwrap_or(i64::MAX)
    }

    fn ended(&self, head: Head, seq: i64, reason: &'static str) -> Walked {
        let flaw = Some(Flaw { channel: head.channel, seq, reason });
        Walked { entries: self.seq(), head, flaw }
    }

    /// A flaw of the entry that was just walked over or could not be.
    fn at(&self, head: Head, seq: i64, reason: &'static str) -> Walked {
        Walked { entries: seq - 1, ..self.ended(head, seq, reason) }
    }

    /// Every entry holds: do the counters, and what is known from elsewhere?
    fn end(&self, head: Head, known: &Known) -> Walked {
        let seq = self.seq();
        let flaw = if seq < head.seq {
            Some((seq + 1, "the entry is missing at the end of the channel"))
        } else if seq > head.seq {
            Some((head.seq + 1, "the channel's counter does not know this entry"))
        } else if self.walk.head() != &head.head {
            Some((seq, "the channel's head is not that of its chain"))
        } else if known.signed.last_key_value().is_some_and(|(size, _)| *size > seq) {
            Some((seq + 1, "a head was signed over an entry that is not there"))
        } else if known.reached > seq {
            Some((seq + 1, "the audit names an entry that is not there"))
        } else {
            None
        };
        let flaw = flaw.map(|(seq, reason)| Flaw { channel: head.channel, seq, reason });
        Walked { head, entries: seq, flaw }
    }
}

/// Walks one channel from its first entry, in one snapshot.
///
/// # Errors
/// The database's; what is wrong with the record is in [`Walked::flaw`].
pub async fn channel(tx: &mut Tx, vault: &Vault, head: &Head, known: &Known) -> Result<Walked, Fault> {
    const PAGE: i64 = 500;
    let mut walk = ChannelWalk::begin(vault, head);
    loop {
        if let Some(walked) = walk.slice(tx, vault, known, PAGE).await? {
            return Ok(walked);
        }
    }
}

/// Takes one entry on: it opens, is what was committed to, follows, and its row says the head that follows. Gives what is wrong. Of a
/// patient who was shredded nothing can be opened any more; what the chain is over stays checked.
///
/// # Errors
/// The database's, or sealed.
pub(super) async fn step(
    tx: &mut Tx,
    vault: &Vault,
    head: &Head,
    row: Row,
    walk: &mut Walk,
) -> Result<Option<&'static str>, Fault> {
    if is_shredded(tx, vault, head, &row).await? {
        let stored: Option<[u8; 32]> = row.head.as_slice().try_into().ok();
        let leaf = match leaf_of_row(head, &row) {
            Ok(leaf) => leaf,
            Err(reason) => return Ok(Some(reason)),
        };
        return Ok(follow(walk, &leaf, stored.unwrap_or_default()));
    }
    match super::page::open_rows(vault, head, vec![row]).await {
        Ok(facts) => Ok(facts.first().and_then(|fact| check(walk, fact))),
        Err(Fault::Integrity(reason)) => Ok(Some(reason)),
        Err(other) => Err(other),
    }
}

/// Whether the key of this row is gone because its patient was shredded: the last entry of each of their channels says so.
async fn is_shredded(tx: &mut Tx, vault: &Vault, head: &Head, row: &Row) -> Result<bool, Fault> {
    let Some(version) = seal::key_version_of(&row.body) else { return Ok(false) };
    if vault.has_key(head.patient, version).await? {
        return Ok(false);
    }
    let last = sql::link(tx, head.n, head.seq).await?;
    Ok(last.is_some_and(|(last, _)| last == i16::from(kind::SHRED)))
}

/// The leaf of a row that cannot be opened.
fn leaf_of_row(head: &Head, row: &Row) -> Result<Leaf, &'static str> {
    const RANGE: &str = "a leaf field is out of range";
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| "a hash is not 32 bytes");
    if i16::from(chain::event_tag(&row.event)) != row.flags {
        return Err("the event is not the one that was recorded");
    }
    Ok(Leaf {
        kind: u8::try_from(row.kind).map_err(|_| RANGE)?,
        flags: u8::try_from(row.flags).map_err(|_| RANGE)?,
        epoch: u16::try_from(row.epoch).map_err(|_| RANGE)?,
        patient: head.patient,
        channel: head.channel,
        seq: row.seq.unsigned_abs(),
        entry: row.id,
        author: row.author,
        at: row.at,
        item: row.item.unwrap_or(ItemId::ZERO),
        commit: hash(&row.commitment)?,
        files: row.files.as_deref().map_or(Ok([0; 32]), hash)?,
    })
}

/// Commitment, place in the chain, stored head of one entry.
fn check(walk: &mut Walk, fact: &Fact) -> Option<&'static str> {
    if chain::commit(&fact.r, fact.body.get().as_bytes()) != fact.commitment {
        return Some("the body is not what was committed to");
    }
    follow(walk, &leaf_of(fact), fact.head)
}

fn follow(walk: &mut Walk, leaf: &Leaf, stored: [u8; 32]) -> Option<&'static str> {
    match walk.step(&leaf.to_bytes()) {
        Err(Fault::Integrity(reason)) => Some(reason),
        Err(_) => Some("the entry does not follow"),
        Ok(_) if walk.head() != &stored => Some("the chain does not hold"),
        Ok(_) => None,
    }
}

/// What is wrong with an audit stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFlaw {
    /// Which stream.
    pub stream: i64,
    /// At which row.
    pub n: i64,
    /// A sentence.
    pub reason: &'static str,
}

/// What a walk of the audit gave.
#[derive(Clone, Debug, Default)]
pub struct Audited {
    /// Rows that hold.
    pub rows: i64,
    /// The first flaw of each stream.
    pub flaws: Vec<AuditFlaw>,
    /// The newest `seq` of each channel that a row names.
    pub reached: HashMap<ChannelId, i64>,
}

/// What of an audit line says which entries there are.
#[derive(Deserialize)]
struct Touched {
    channel: Option<ChannelId>,
    seq: Option<[i64; 2]>,
    #[serde(default)]
    ranges: Vec<(ChannelId, i64, i64)>,
}

impl Audited {
    fn add(&mut self, line: &str) {
        self.rows += 1;
        // Whether a line is what was written is for the chain to say.
        let Ok(Touched { channel, seq, ranges }) = serde_json::from_str(line) else { return };
        let one = channel.zip(seq).map(|(channel, [_, last])| (channel, last));
        for (channel, last) in ranges.into_iter().map(|(channel, _, last)| (channel, last)).chain(one) {
            let reached = self.reached.entry(channel).or_default();
            *reached = last.max(*reached);
        }
    }
}

/// A walk of one audit stream that goes on over several snapshots.
pub struct AuditWalk {
    stream: i64,
    n: i64,
    head: [u8; 32],
}

impl AuditWalk {
    /// From the first row.
    #[must_use]
    pub const fn begin(stream: i64) -> Self {
        Self::from_head(stream, 0, chain::AUDIT_GENESIS)
    }

    /// From after row `n`, whose head is already trusted.
    #[must_use]
    pub const fn from_head(stream: i64, n: i64, head: [u8; 32]) -> Self {
        Self { stream, n, head }
    }

    /// Rows that were walked over.
    #[must_use]
    pub const fn rows(&self) -> i64 {
        self.n
    }

    /// At most `limit` rows more, added to `audited`; true once the walk is over, at the end or at a flaw.
    ///
    /// # Errors
    /// The database's.
    pub async fn slice(&mut self, tx: &mut Tx, audited: &mut Audited, limit: i64) -> Result<bool, Fault> {
        let rows = sql::audit_page(tx, self.stream, self.n, limit).await?;
        let over = (rows.len() as i64) < limit;
        for row in rows {
            self.n += 1;
            self.head = chain::audit_next(&self.head, row.line.as_bytes());
            let reason = if row.n != self.n {
                Some("the row is missing")
            } else if row.head != self.head {
                Some("the chain does not hold")
            } else {
                None
            };
            if let Some(reason) = reason {
                audited.flaws.push(AuditFlaw { stream: self.stream, n: self.n, reason });
                return Ok(true);
            }
            audited.add(&row.line);
        }
        Ok(over)
    }
}

/// Walks every audit stream from its first row.
///
/// # Errors
/// The database's.
pub async fn audit(tx: &mut Tx) -> Result<Audited, Fault> {
    const PAGE: i64 = 1000;
    let mut audited = Audited::default();
    for stream in sql::audit_streams(tx).await? {
        let mut walk = AuditWalk::begin(stream);
        while !walk.slice(tx, &mut audited, PAGE).await? {}
    }
    Ok(audited)
}
