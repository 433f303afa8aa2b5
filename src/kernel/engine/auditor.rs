//! The audit stream of the committer: numbered, chained, written in the transaction of what it is about.
//! Does not know: what an action means, or who may.
//! Invariant: a transaction that is rolled back leaves no trace here; rows about what is past outlive it until one is committed.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, UserId};
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
/// Rows that wait for a database that takes them again; beyond that they are told to the log as a number only.
const OWED_MAX: usize = 20_000;

/// What makes two refusals identical. Strangers count by address, those of IPv6 by the network a subscriber is given.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Repeat {
    actor: Option<UserId>,
    address: Option<IpAddr>,
    action: String,
    outcome: &'static str,
    patient: Option<PatientId>,
    channel: Option<ChannelId>,
}

impl Repeat {
    fn of(draft: &Draft) -> Self {
        let address = if draft.actor.is_some() { None } else { draft.address.map(network) };
        Self {
            actor: draft.actor,
            address,
            action: draft.action.clone(),
            outcome: draft.outcome,
            patient: draft.patient,
            channel: draft.channel,
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

pub(super) struct Auditor {
    n: i64,
    head: [u8; 32],
    /// Where the stream stands must be read again: a transaction failed.
    stale: bool,
    /// Rows of the open transaction.
    pending: Vec<Draft>,
    /// Rows about what is past: failed commands, counts whose window is over.
    owed: Vec<Draft>,
    counted: HashMap<Repeat, (Micros, Draft)>,
    /// What `counted` held before the open transaction changed it.
    before: Vec<(Repeat, Option<(Micros, Draft)>)>,
}

impl Auditor {
    pub(super) async fn open(tx: &mut Tx) -> Result<Self, Fault> {
        let (n, head) = newest(tx).await?;
        let (pending, owed, before) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { n, head, stale: false, pending, owed, counted: HashMap::new(), before })
    }

    /// At the start of a transaction. After one that failed, what became of its rows is found out first.
    pub(super) async fn begin(&mut self, tx: &mut Tx) -> Result<(), Fault> {
        if self.stale {
            (self.n, self.head) = newest(tx).await?;
            self.stale = false;
        }
        Ok(())
    }

    /// What was committed is still there.
    ///
    /// # Errors
    /// An integrity fault when it is not: the database went back behind what was replied.
    pub(super) async fn check(&self, tx: &mut Tx) -> Result<(), Fault> {
        let (n, head) = newest(tx).await?;
        if n < self.n || (n == self.n && head != self.head) {
            return Err(Fault::Integrity("the database has lost rows that it had committed"));
        }
        Ok(())
    }

    /// Takes a row for the next flush.
    pub(super) fn add(&mut self, draft: Draft) {
        self.pending.push(draft);
    }

    /// Takes a refusal of the open transaction: a row for the first, a count for the same again within the window.
    pub(super) fn refused(&mut self, draft: Draft, now: Micros) {
        let repeat = Repeat::of(&draft);
        self.before.push((repeat.clone(), self.counted.get(&repeat).cloned()));
        if let Some(row) = self.count(repeat, draft, now) {
            self.pending.push(row);
        }
    }

    /// As [`Auditor::refused`], for a command whose transaction is over.
    pub(super) fn failed(&mut self, draft: Draft, now: Micros) {
        if let Some(row) = self.count(Repeat::of(&draft), draft, now) {
            self.owe(row);
        }
    }

    /// The row of a first refusal; none if it was counted.
    fn count(&mut self, repeat: Repeat, draft: Draft, now: Micros) -> Option<Draft> {
        if let Some((_, counted)) = self.counted.get_mut(&repeat) {
            counted.count = Some(counted.count.unwrap_or(0) + 1);
            return None;
        }
        if self.counted.len() < COUNTED_MAX {
            self.counted.insert(repeat, (now, Draft { count: None, ..draft.clone() }));
        }
        Some(draft)
    }

    fn owe(&mut self, row: Draft) {
        if self.owed.len() < OWED_MAX {
            self.owed.push(row);
        } else {
            metrics::counter!("carethread_audit_rows_lost_total").increment(1);
            tracing::error!(action = row.action, outcome = row.outcome, "An audit row of a failed command is lost");
        }
    }

    /// Turns counts whose window is over into rows. Not called inside a transaction.
    pub(super) fn settle(&mut self, now: Micros) {
        let mut over = Vec::new();
        self.counted.retain(|_, (since, draft)| {
            let open = now - *since < WINDOW;
            if !open && draft.count.is_some() {
                over.push(draft.clone());
            }
            open
        });
        over.into_iter().for_each(|row| self.owe(row));
    }

    /// Whether a flush would write.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.owed.is_empty()
    }

    /// The open transaction is gone, and its rows and counts with it.
    pub(super) fn rolled_back(&mut self) {
        self.stale = true;
        self.pending.clear();
        for (repeat, held) in self.before.drain(..).rev() {
            match held {
                Some(held) => drop(self.counted.insert(repeat, held)),
                None => drop(self.counted.remove(&repeat)),
            }
        }
    }

    /// Writes the rows. The chain moves on only by [`Auditor::committed`].
    pub(super) async fn flush(&mut self, tx: &mut Tx, now: Micros) -> Result<Flushed, Fault> {
        let mut flushed = Flushed { n: self.n, head: self.head, owed: self.owed.len() };
        let rows: Vec<AuditRow> = self
            .owed
            .iter()
            .chain(&self.pending)
            .map(|draft| {
                flushed.n += 1;
                let line = draft.line(STREAM, flushed.n, now);
                flushed.head = chain::audit_next(&flushed.head, line.as_bytes());
                AuditRow { stream: STREAM, n: flushed.n, at: now, line, head: flushed.head }
            })
            .collect();
        append::audit(tx, &rows).await?;
        Ok(flushed)
    }

    /// The flush is on disk.
    pub(super) fn committed(&mut self, flushed: &Flushed) {
        self.n = flushed.n;
        self.head = flushed.head;
        self.owed.drain(..flushed.owed);
        self.pending.clear();
        self.before.clear();
    }
}

/// Where the stream stands.
pub(super) async fn newest(tx: &mut Tx) -> Result<(i64, [u8; 32]), Fault> {
    match log::sql::audit_newest(tx, STREAM).await? {
        None => Ok((0, chain::AUDIT_GENESIS)),
        Some((n, head)) => Ok((n, head.try_into().map_err(|_| Fault::Integrity("an audit head is not 32 bytes"))?)),
    }
}

/// Where the stream stands once the commit is done.
pub(super) struct Flushed {
    n: i64,
    head: [u8; 32],
    /// How many rows about what is past went with it.
    owed: usize,
}

impl Flushed {
    /// Whether a stream that stands at `n` and `head` has these rows; none if it went on, which one committer alone does not see.
    pub(super) fn found_at(&self, n: i64, head: &[u8; 32]) -> Option<bool> {
        match n.cmp(&self.n) {
            Ordering::Less => Some(false),
            Ordering::Equal => Some(*head == self.head),
            Ordering::Greater => None,
        }
    }
}
