//! The audit trail, read backwards: who asked for a page of history that held an entry. Pages are audited before they leave, by whatever
//! way they leave; receipts know of sockets only.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sql;
use crate::kernel::base::{ChannelId, Fault, Micros, UserId};
use crate::kernel::store::Tx;

/// Rows of one page.
const PAGE: i64 = 500;
/// Newest rows that are looked at: a fifth of a second. It is asked within the committer.
const ROWS_MAX: i64 = 20_000;

/// As much of a row as tells who was given which part of a channel.
#[derive(Deserialize)]
struct Asked {
    time_us: Micros,
    action: String,
    outcome: String,
    actor: Option<UserId>,
    channel: Option<ChannelId>,
    seq: Option<[i64; 2]>,
}

impl Asked {
    fn saw(&self, channel: ChannelId, seqs: &[i64]) -> Option<UserId> {
        let [first, last] = self.seq.filter(|_| self.channel == Some(channel))?;
        let held = seqs.iter().any(|seq| (first..=last).contains(seq));
        self.actor.filter(|_| held && self.action == "history" && self.outcome == "done")
    }
}

/// Who was answered with a page that held one of `seqs` since `since`, and when first. Looks at the newest rows only: what is older than
/// some thousands of them is not found.
///
/// # Errors
/// The database's.
pub async fn asked_for(
    tx: &mut Tx,
    channel: ChannelId,
    seqs: &[i64],
    since: Micros,
) -> Result<BTreeMap<UserId, Micros>, Fault> {
    let mut found: BTreeMap<UserId, Micros> = BTreeMap::new();
    for stream in sql::audit_streams(tx).await? {
        let (mut before, mut left) = (i64::MAX, ROWS_MAX);
        while left > 0 {
            let rows = sql::audit_before(tx, stream, before, PAGE).await?;
            let Some(last) = rows.last() else { break };
            (before, left) = (last.n, left - PAGE);
            let mut older = false;
            for row in rows {
                // Whether a line is what was written is for the chain to say.
                let Ok(asked) = serde_json::from_str::<Asked>(&row.line) else { continue };
                older |= asked.time_us < since;
                if let Some(user) = asked.saw(channel, seqs).filter(|_| asked.time_us >= since) {
                    let first = found.entry(user).or_insert(asked.time_us);
                    *first = asked.time_us.min(*first);
                }
            }
            if older {
                break;
            }
        }
    }
    Ok(found)
}
