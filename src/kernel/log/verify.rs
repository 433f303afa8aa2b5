//! Walks of the record: every body opened, commitment, chain, head, counters; audit streams. Names the first bad place of each channel.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::kernel::base::{ChannelId, Fault};
use crate::kernel::crypto::chain::{self, Walk};
use crate::kernel::log::{Fact, Head, Vault, sql};
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

/// Walks one channel from its first entry.
///
/// # Errors
/// The database's; what is wrong with the record is in [`Walked::flaw`].
pub async fn channel(tx: &mut Tx, vault: &Vault, head: &Head, known: &Known) -> Result<Walked, Fault> {
    const PAGE: i64 = 500;
    let mut walk = Walk::from_start(vault.deployment(), head.patient, head.channel);
    let mut seq = 0;
    let flaw = |seq, reason| Some(Flaw { channel: head.channel, seq, reason });
    loop {
        let rows = sql::forward(tx, head.n, seq, i64::MAX, PAGE).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let wanted = seq + 1;
            if row.seq != wanted {
                return Ok(Walked { head: head.clone(), entries: seq, flaw: flaw(wanted, "the entry is missing") });
            }
            let fact = match super::page::open_rows(vault, head, vec![row]).await {
                Ok(mut facts) => facts.remove(0),
                Err(Fault::Integrity(reason)) => {
                    return Ok(Walked { head: head.clone(), entries: seq, flaw: flaw(wanted, reason) });
                }
                Err(other) => return Err(other),
            };
            let signed = known.signed.get(&wanted).is_none_or(|signed| *signed == fact.head);
            let unsigned = (!signed).then_some("a head was signed over another entry");
            if let Some(reason) = check(&mut walk, &fact).or(unsigned) {
                return Ok(Walked { head: head.clone(), entries: seq, flaw: flaw(wanted, reason) });
            }
            seq = wanted;
        }
    }
    let flaw = if seq < head.seq {
        flaw(seq + 1, "the entry is missing at the end of the channel")
    } else if seq > head.seq {
        flaw(head.seq + 1, "the channel's counter does not know this entry")
    } else if walk.head() != &head.head {
        flaw(seq, "the channel's head is not that of its chain")
    } else if known.signed.last_key_value().is_some_and(|(size, _)| *size > seq) {
        flaw(seq + 1, "a head was signed over an entry that is not there")
    } else if known.reached > seq {
        flaw(seq + 1, "the audit names an entry that is not there")
    } else {
        None
    };
    Ok(Walked { head: head.clone(), entries: seq, flaw })
}

/// Commitment, place in the chain, stored head of one entry.
fn check(walk: &mut Walk, fact: &Fact) -> Option<&'static str> {
    if chain::commit(&fact.r, fact.body.get().as_bytes()) != fact.commitment {
        return Some("the body is not what was committed to");
    }
    match walk.step(&leaf_of(fact).to_bytes()) {
        Err(Fault::Integrity(reason)) => Some(reason),
        Err(_) => Some("the entry does not follow"),
        Ok(_) if walk.head() != &fact.head => Some("the chain does not hold"),
        Ok(_) => None,
    }
}

/// The newest entry of every channel against its row: what a start and a reopened handle check.
///
/// # Errors
/// [`Fault::Integrity`] if one does not hold; sealed, or the database's, if that cannot be told.
pub async fn newest(tx: &mut Tx, vault: &Vault) -> Result<(), Fault> {
    for head in sql::all_heads(tx).await? {
        let rows = sql::forward(tx, head.n, head.seq - 1, i64::MAX, 2).await?;
        let follows = match rows.as_slice() {
            [] => head.seq == 0,
            [row] => row.seq == head.seq && row.head == head.head,
            _ => false,
        };
        let holds = match super::page::open_rows(vault, &head, rows).await {
            Ok(_) => follows,
            Err(Fault::Integrity(_)) => false,
            // Sealed, or the database does not answer: nothing is known of the record then.
            Err(other) => return Err(other),
        };
        if !holds {
            tracing::error!(channel.id = %head.channel, "The newest entry of a channel does not hold");
            return Err(Fault::Integrity("the newest entry of a channel does not hold"));
        }
    }
    Ok(())
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

/// Walks every audit stream from its first row.
///
/// # Errors
/// The database's.
pub async fn audit(tx: &mut Tx) -> Result<Audited, Fault> {
    const PAGE: i64 = 1000;
    let mut audited = Audited::default();
    for stream in sql::audit_streams(tx).await? {
        let mut n = 0;
        let mut head = chain::AUDIT_GENESIS;
        'stream: loop {
            let rows = sql::audit_page(tx, stream, n, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                n += 1;
                head = chain::audit_next(&head, row.line.as_bytes());
                let reason = if row.n != n {
                    Some("the row is missing")
                } else if row.head != head {
                    Some("the chain does not hold")
                } else {
                    None
                };
                if let Some(reason) = reason {
                    audited.flaws.push(AuditFlaw { stream, n, reason });
                    break 'stream;
                }
                audited.add(&row.line);
            }
        }
    }
    Ok(audited)
}
