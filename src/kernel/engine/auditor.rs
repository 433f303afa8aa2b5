//! The audit stream of the committer: numbered, chained, written in the transaction of what it is about.

use std::collections::HashMap;

use crate::kernel::base::{Fault, Micros};
use crate::kernel::crypto::chain;
use crate::kernel::log;
use crate::kernel::policy::audit::Draft;
use crate::kernel::store::Tx;
use crate::kernel::store::append::{self, AuditRow};

/// One stream per committer; this node has one.
const STREAM: i64 = 1;
/// Identical refusals within this time are counted in one row.
const WINDOW: Micros = 10_000_000;
/// Different refusals counted at once; beyond that each gets its row.
const COUNTED_MAX: usize = 10_000;

/// What makes two refusals identical: who or from where, what, and the answer.
type Repeat = (String, String, &'static str);

pub(super) struct Auditor {
    n: i64,
    head: [u8; 32],
    pending: Vec<Draft>,
    counted: HashMap<Repeat, (Micros, Draft)>,
}

impl Auditor {
    pub(super) async fn open(tx: &mut Tx) -> Result<Self, Fault> {
        let newest = log::sql::audit_newest(tx, STREAM).await?;
        let (n, head) = match newest {
            None => (0, [0; 32]),
            Some((n, head)) => (n, head.try_into().map_err(|_| Fault::Integrity("an audit head is not 32 bytes"))?),
        };
        Ok(Self { n, head, pending: Vec::new(), counted: HashMap::new() })
    }

    /// Takes a row for the next flush.
    pub(super) fn add(&mut self, draft: Draft) {
        self.pending.push(draft);
    }

    /// Takes a refusal: a row for the first, a count for the same again within the window.
    pub(super) fn refused(&mut self, draft: Draft, now: Micros) {
        self.settle(now);
        let who = draft.actor.map_or_else(
            || draft.address.map_or_else(String::new, |address| address.to_string()),
            |actor| actor.to_string(),
        );
        let repeat = (who, draft.action.clone(), draft.outcome);
        if let Some((_, counted)) = self.counted.get_mut(&repeat) {
            counted.count = Some(counted.count.unwrap_or(0) + 1);
            return;
        }
        if self.counted.len() < COUNTED_MAX {
            self.counted.insert(repeat, (now, Draft { count: None, ..draft.clone() }));
        }
        self.pending.push(draft);
    }

    /// Turns counts whose window is over into rows.
    pub(super) fn settle(&mut self, now: Micros) {
        let pending = &mut self.pending;
        self.counted.retain(|_, (since, draft)| {
            let open = now - *since < WINDOW;
            if !open && draft.count.is_some() {
                pending.push(draft.clone());
            }
            open
        });
    }

    /// Whether a flush would write.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Drops what is not written: the transaction it belonged to is gone.
    pub(super) fn drop_pending(&mut self) {
        self.pending.clear();
        // Their first rows went with it: the next of the same writes a row again.
        self.counted.retain(|_, (_, draft)| draft.count.is_some());
    }

    /// Writes the rows. The chain moves on only by [`Auditor::committed`].
    pub(super) async fn flush(&mut self, tx: &mut Tx, now: Micros) -> Result<Flushed, Fault> {
        let mut n = self.n;
        let mut head = self.head;
        let rows: Vec<AuditRow> = self
            .pending
            .drain(..)
            .map(|draft| {
                n += 1;
                let line = draft.line(STREAM, n, now);
                head = chain::audit_next(&head, line.as_bytes());
                AuditRow { stream: STREAM, n, at: now, line, head }
            })
            .collect();
        append::audit(tx, &rows).await?;
        Ok(Flushed { n, head })
    }

    /// The flush is on disk.
    pub(super) fn committed(&mut self, flushed: Flushed) {
        self.n = flushed.n;
        self.head = flushed.head;
    }
}

/// Where the stream stands once the commit is done.
pub(super) struct Flushed {
    n: i64,
    head: [u8; 32],
}
