//! Signed heads: every so often where each channel stands that was written to since, and each audit stream, is signed, appended to the
//! site log and told to who follows the channel; the site log's checkpoint is signed behind it. Does not know: entries beyond their
//! heads. Invariants: the cost is that of what changed; nothing here is between a command and its reply; what could not be signed is
//! signed by the next round, and what was lost with the process by the walk of the whole ([`super::patrol`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::outlet::{News, Outlet, Passing};
use super::{Engine, Shared};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Fault, Micros};
use crate::kernel::crypto::base64;
use crate::kernel::crypto::head::{AuditHead, HeadNote};
use crate::kernel::log::site::{self, Note};
use crate::kernel::log::{self, Fact, Head, Vault, recent};
use crate::kernel::wire;

/// Heads of one transaction: it holds the writers up for milliseconds.
const SLICE: usize = 256;
/// Between two of them, so that commits come between.
const PAUSE: Duration = Duration::from_millis(20);
/// Heads signed before others have a turn on this thread.
const SIGNED_AT_ONCE: usize = 16;
/// How often it looks what is due; also the least time between two checkpoints.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint is signed at least this often.
const CHECKPOINT_EVERY: Micros = 60 * MINUTE;

/// What waits to be signed, and where it is told. Stands between the committer and whoever listens to it.
pub struct Attest {
    vault: Vault,
    outlet: Arc<dyn Outlet>,
    changed: Mutex<HashMap<ChannelId, HeadNote>>,
    /// One round at a time; the newest entry that the round before saw when it began.
    round: tokio::sync::Mutex<Option<i64>>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// Heads of channels.
    pub channels: usize,
    /// Heads of audit streams.
    pub streams: usize,
}

/// Where a channel stands, signed. Whoever keeps it can hold any later copy of the record against it.
#[derive(Serialize, JsonSchema)]
pub struct HeadTold {
    /// How many entries the channel has.
    size: u64,
    /// Its chain after the last of them, base64.
    head: String,
    /// The signed note: text, empty line, signature lines.
    note: String,
}

impl Outlet for Attest {
    fn publish(&self, news: News) {
        let mut changed = self.changed();
        for fact in &news.facts {
            changed.insert(fact.channel, self.note_of(fact));
        }
        drop(changed);
        self.outlet.publish(news);
    }
}

impl Attest {
    pub(super) fn new(vault: Vault, outlet: Arc<dyn Outlet>) -> Self {
        Self { vault, outlet, changed: Mutex::default(), round: tokio::sync::Mutex::default() }
    }

    fn changed(&self) -> MutexGuard<'_, HashMap<ChannelId, HeadNote>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_of(&self, fact: &Fact) -> HeadNote {
        HeadNote {
            deployment: self.vault.deployment(),
            patient: fact.patient,
            channel: fact.channel,
            epoch: fact.epoch,
            size: fact.seq.unsigned_abs(),
            head: fact.head,
            at: fact.at,
        }
    }

    /// Has the next round sign where these channels stand.
    pub fn ask(&self, heads: &[Head]) {
        let mut changed = self.changed();
        for head in heads.iter().filter(|head| head.seq > 0) {
            let note = site::head_note(&self.vault, head, head.at);
            let held = changed.entry(head.channel).or_insert(note);
            if held.size < note.size {
                *held = note;
            }
        }
    }

    /// Signs what changed since the last round.
    ///
    /// # Errors
    /// Sealed, or the database's; what was not signed waits for the next round.
    pub async fn round(&self, shared: &Shared) -> Result<Signed, Fault> {
        let mut seen = self.round.lock().await;
        let newest = log::sql::newest_entry(&mut shared.db.read().await?).await?;
        let mut left: Vec<HeadNote> = std::mem::take(&mut *self.changed()).into_values().collect();
        let mut signed = Signed::default();
        while !left.is_empty() {
            let slice = left.split_off(left.len().saturating_sub(SLICE));
            match self.slice(shared, &slice).await {
                Ok(count) => signed.channels += count,
                Err(fault) => {
                    self.put_back(slice.into_iter().chain(left));
                    return Err(fault);
                }
            }
            if !left.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        signed.streams = streams(shared).await?;
        // What the round before saw has been told here since, also what was committed but not yet published then.
        if let Some(attested) = seen.replace(newest) {
            let mut tx = shared.db.write().await?;
            recent::put_attested(&mut tx, attested).await?;
            tx.commit().await?;
        }
        metrics::counter!("carethread_heads_signed_total").increment((signed.channels + signed.streams) as u64);
        Ok(signed)
    }

    fn put_back(&self, notes: impl Iterator<Item = HeadNote>) {
        let mut changed = self.changed();
        for note in notes {
            changed.entry(note.channel).or_insert(note);
        }
    }

    async fn slice(&self, shared: &Shared, notes: &[HeadNote]) -> Result<usize, Fault> {
        let ids: Vec<ChannelId> = notes.iter().map(|note| note.channel).collect();
        let known = site::sql::signed_of(&mut shared.db.read().await?, &ids).await?;
        let known: HashMap<ChannelId, i64> = known.into_iter().collect();
        let signer = self.vault.keyring().signer()?;
        let now = shared.book.latest(shared.world.now());
        let mut leaves = Vec::with_capacity(notes.len());
        for (count, note) in notes.iter().enumerate() {
            if known.get(&note.channel).is_some_and(|size| size.unsigned_abs() >= note.size) {
                continue;
            }
            // A head is never signed before its last entry, whatever the clock does.
            let note = HeadNote { at: now.max(note.at), ..*note };
            leaves.push((Note::Channel(note), note.sign(&signer)));
            if count % SIGNED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        if leaves.is_empty() {
            return Ok(0);
        }
        let mut tx = shared.db.write().await?;
        site::append(&mut tx, &leaves).await?;
        tx.commit().await?;
        self.tell(&leaves);
        Ok(leaves.len())
    }

    /// The event `head`, to who follows the channel.
    fn tell(&self, leaves: &[(Note, String)]) {
        let passing = leaves.iter().filter_map(|(note, text)| {
            let Note::Channel(head) = note else { return None };
            let body = HeadTold { size: head.size, head: base64(&head.head), note: text.clone() };
            let body = serde_json::value::to_raw_value(&body).ok()?;
            let frame = wire::event_bytes("head", Some(&head.channel.to_string()), None, head.at, None, &body);
            Some(Passing { channel: head.channel, frame })
        });
        self.outlet.publish(News { passing: passing.collect(), ..News::default() });
    }
}

/// Signs where each audit stream stands that has grown.
async fn streams(shared: &Shared) -> Result<usize, Fault> {
    let signer = shared.vault.keyring().signer()?;
    let at = shared.book.latest(shared.world.now());
    let mut leaves = Vec::new();
    let mut tx = shared.db.read().await?;
    for stream in log::sql::audit_streams(&mut tx).await? {
        let Some((n, head)) = log::sql::audit_newest(&mut tx, stream).await? else { continue };
        let signed = site::sql::signed_stream(&mut tx, stream).await?;
        if signed.is_some_and(|(size, _)| size >= n) {
            continue;
        }
        let head = head.try_into().map_err(|_| Fault::Integrity("an audit head is not 32 bytes"))?;
        let (deployment, stream) = (shared.vault.deployment(), stream.unsigned_abs());
        let note = Note::Audit(AuditHead { deployment, stream, size: n.unsigned_abs(), head, at });
        leaves.push((note, note.sign(&signer)));
    }
    drop(tx);
    if !leaves.is_empty() {
        let mut tx = shared.db.write().await?;
        site::append(&mut tx, &leaves).await?;
        tx.commit().await?;
    }
    Ok(leaves.len())
}

/// Signs the site log's checkpoint if it has grown since the one that `last` names, or that one is an hour old.
///
/// # Errors
/// Sealed, or the database's.
pub async fn checkpoint(shared: &Shared, last: &mut Option<(u64, Micros)>) -> Result<bool, Fault> {
    let now = shared.world.now();
    let mut tx = shared.db.read().await?;
    if last.is_none() {
        let kept = site::kept_checkpoint(&mut tx, &shared.vault).await?;
        *last = kept.map(|(checkpoint, at)| (checkpoint.size, at));
    }
    let size = site::sql::size(&mut tx).await?.unsigned_abs();
    drop(tx);
    let due = last.map_or(size > 0, |(kept, at)| size > kept || !(0..CHECKPOINT_EVERY).contains(&(now - at)));
    if due {
        let mut tx = shared.db.write().await?;
        let checkpoint = site::keep_checkpoint(&mut tx, &shared.vault, now).await?;
        tx.commit().await?;
        *last = Some((checkpoint.size, now));
    }
    Ok(due)
}

/// The last round and checkpoint of a server that stops: what was written is under a signature then.
pub async fn finish(engine: &Engine) {
    let shared = engine.shared();
    let done = async {
        engine.attest().round(shared).await?;
        checkpoint(shared, &mut None).await
    };
    if let Err(fault) = done.await {
        told(&fault);
    }
}

/// Signs heads and checkpoints for as long as it runs. Start once a server.
pub async fn keep(engine: Engine) {
    let shared = engine.shared().clone();
    let every = Micros::from(shared.config.heads.sign_seconds) * 1_000_000;
    let (mut began, mut last): (Option<Micros>, _) = (None, None);
    loop {
        let now = shared.world.now();
        // A clock that stepped back is no reason to wait longer.
        if began.is_none_or(|began| !(0..every).contains(&(now - began))) {
            began = Some(now);
            if let Err(fault) = engine.attest().round(&shared).await {
                told(&fault);
            }
        }
        if let Err(fault) = checkpoint(&shared, &mut last).await {
            told(&fault);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn told(fault: &Fault) {
    match fault {
        Fault::Sealed => tracing::debug!("No head is signed while sealed"),
        // The text of a database error may quote a value.
        Fault::Database(_) => tracing::warn!("Heads were not signed: the database failed"),
        other => tracing::error!(error = %other, "Heads were not signed"),
    }
}
