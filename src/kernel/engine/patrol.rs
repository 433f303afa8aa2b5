//! The walk of the whole record, beside the work: once a day every entry is opened and chained, every audit row and the site log are
//! gone over, slowly, each slice on a snapshot of its own. A channel that does not hold is held: nothing is written to it until it is
//! whole again. Does not know: what an entry says. Invariant: what is found is logged with its place and without content.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Engine;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Fault, Micros};
use crate::kernel::log::site::{self, Note};
use crate::kernel::log::verify::{AuditWalk, Audited, ChannelWalk, Flaw, Known};
use crate::kernel::log::{self, Head};
use crate::kernel::store::setting;

/// Between the beginnings of two walks.
const EVERY: Micros = 24 * 60 * MINUTE;
/// How often it looks whether one is due; also the pause after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Entries or rows of one slice: ten milliseconds or so.
const SLICE: i64 = 500;
/// Pause after a slice as a multiple of what the slice took: a tenth of one core at most.
const REST: u32 = 9;
/// How often the place is kept, so that a restart goes on from there.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// A walk whose place was not kept for so long has nobody who walks it: another node may take it over.
const ABANDONED: Micros = 10 * MINUTE;

/// How far the walk has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Place {
    began: Micros,
    /// When this was kept.
    at: Micros,
    /// Every channel up to this number was walked.
    channel: i64,
    done: bool,
}

/// What a walk came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that hold.
    pub entries: i64,
    /// The first flaw of each channel.
    pub channels: Vec<Flaw>,
    /// Flaws of audit, site log, and entries without a channel.
    pub others: Vec<&'static str>,
}

/// Walks the record once a day for as long as it runs. Start once a server.
pub async fn keep(engine: Engine) {
    loop {
        match due(&engine).await {
            Ok(Some(place)) => {
                if let Err(fault) = walk(&engine, place, REST).await {
                    told(&fault);
                }
            }
            Ok(None) => {}
            Err(fault) => told(&fault),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn told(fault: &Fault) {
    match fault {
        Fault::Sealed => tracing::debug!("The record is not walked while sealed"),
        Fault::Database(_) => tracing::warn!("The walk of the record stopped: the database failed"),
        other => tracing::error!(error = %other, "The walk of the record stopped"),
    }
}

/// Walks the whole record now, without pauses.
///
/// # Errors
/// The database's, or sealed; what does not hold is in what it gives, and held.
pub async fn once(engine: &Engine) -> Result<Found, Fault> {
    walk(engine, Place { began: engine.world().now(), ..Place::default() }, 0).await
}

/// Where to go on from, if a walk is due.
async fn due(engine: &Engine) -> Result<Option<Place>, Fault> {
    let now = engine.world().now();
    let kept = setting::get(&mut engine.shared().db.read().await?, setting::PATROL).await?;
    let place: Option<Place> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    Ok(match place {
        Some(place) if place.done => {
            let rested = !(0..EVERY).contains(&(now - place.began));
            rested.then(|| Place { began: now, ..Place::default() })
        }
        Some(place) => (!(0..ABANDONED).contains(&(now - place.at))).then_some(place),
        None => Some(Place { began: now, ..Place::default() }),
    })
}

/// Whether the next look begins a walk, or goes on with one.
///
/// # Errors
/// The database's.
pub async fn is_due(engine: &Engine) -> Result<bool, Fault> {
    Ok(due(engine).await?.is_some())
}

/// The next look begins a walk of the whole: a start found more than it could look at.
///
/// # Errors
/// The database's.
pub async fn demand(engine: &Engine) -> Result<(), Fault> {
    let place = Place { began: 0, at: 0, channel: i64::MAX, done: true };
    keep_place(engine, place).await
}

async fn keep_place(engine: &Engine, place: Place) -> Result<(), Fault> {
    let text = serde_json::to_vec(&place).map_err(|_| Fault::Defect("a place is JSON"))?;
    let mut tx = engine.shared().db.write().await?;
    setting::put(&mut tx, setting::PATROL, &text).await?;
    Ok(tx.commit().await?)
}

struct Walk<'e> {
    engine: &'e Engine,
    rest: u32,
    place: Place,
    kept: Instant,
    slice: Instant,
    found: Found,
    /// The newest `seq` of each channel that the audit names, where this walk has read it.
    reached: HashMap<ChannelId, i64>,
}

async fn walk(engine: &Engine, place: Place, rest: u32) -> Result<Found, Fault> {
    let now = Instant::now();
    let (found, reached) = (Found::default(), HashMap::new());
    let mut walk = Walk { engine, rest, place, kept: now, slice: now, found, reached };
    walk.keep().await?;
    let from_the_start = place.channel == 0;
    if from_the_start {
        walk.held().await?;
        walk.audit().await?;
        walk.site().await?;
    }
    walk.channels().await?;
    walk.missing().await?;
    walk.place.done = true;
    walk.keep().await?;
    let found = walk.found;
    if from_the_start && found.others.is_empty() {
        engine.book().set_suspect(false);
    }
    alarm(engine);
    metrics::gauge!("carethread_record_walked_timestamp_seconds").set((engine.world().now() / 1_000_000) as f64);
    tracing::info!(
        entries = found.entries,
        flaws = found.channels.len() + found.others.len(),
        "The record was walked from end to end"
    );
    Ok(found)
}

/// What is known to be broken, for whoever watches.
fn alarm(engine: &Engine) {
    metrics::gauge!("carethread_channels_held").set(engine.book().held_channels() as f64);
    metrics::gauge!("carethread_record_suspect").set(if engine.book().is_suspect() { 1.0 } else { 0.0 });
}

impl Walk<'_> {
    /// After a slice: others go first.
    async fn rest(&mut self) -> Result<(), Fault> {
        let took = self.slice.elapsed();
        if self.rest > 0 {
            tokio::time::sleep(took * self.rest).await;
        }
        self.slice = Instant::now();
        if self.kept.elapsed() >= KEEP_EVERY { self.keep().await } else { Ok(()) }
    }

    async fn keep(&mut self) -> Result<(), Fault> {
        self.kept = Instant::now();
        self.place.at = self.engine.world().now();
        keep_place(self.engine, self.place).await
    }

    fn wrong(&mut self, reason: &'static str) {
        metrics::counter!("carethread_record_flaws_total").increment(1);
        self.engine.book().set_suspect(true);
        alarm(self.engine);
        self.found.others.push(reason);
    }

    /// Channels that are held, first: whoever put one right need not wait.
    async fn held(&mut self) -> Result<(), Fault> {
        let shared = self.engine.shared();
        let held = site::sql::held(&mut shared.db.read().await?).await?;
        for row in held {
            let head = log::sql::head(&mut shared.db.read().await?, row.channel).await?;
            if let Some(head) = head {
                self.channel(&head).await?;
            }
        }
        Ok(())
    }

    async fn audit(&mut self) -> Result<(), Fault> {
        let shared = self.engine.shared();
        let mut audited = Audited::default();
        let streams = log::sql::audit_streams(&mut shared.db.read().await?).await?;
        for stream in streams {
            let signed = site::signed_stream(&mut shared.db.read().await?, &shared.vault, stream).await;
            let mut walk = AuditWalk::begin(stream);
            while !walk.slice(&mut shared.db.read().await?, &mut audited, SLICE).await? {
                self.rest().await?;
            }
            match signed {
                Ok(Some((n, _))) if n > walk.rows() => {
                    tracing::error!(stream, n = walk.rows() + 1, "The audit is shorter than what was signed of it");
                    self.wrong("the audit is shorter than what was signed of it");
                }
                Err(Fault::Integrity(reason)) => self.wrong(reason),
                Ok(_) => {}
                Err(other) => return Err(other),
            }
        }
        for flaw in audited.flaws {
            tracing::error!(stream = flaw.stream, n = flaw.n, reason = flaw.reason, "The audit does not hold");
            self.wrong("the audit does not hold");
        }
        self.reached = audited.reached;
        self.reached.retain(|_, seq| *seq > 0);
        Ok(())
    }

    /// The site log; of each audit stream the signed heads are held against its rows.
    async fn site(&mut self) -> Result<(), Fault> {
        let shared = self.engine.shared();
        let walked = async {
            let mut walk = site::Walk::begin(&mut shared.db.read().await?, &shared.vault).await?;
            loop {
                let mut heads = Vec::new();
                let mut tx = shared.db.read().await?;
                let keep = |note| heads.extend(if let Note::Audit(head) = note { Some(head) } else { None });
                if !walk.page(&mut tx, &shared.vault, keep).await? {
                    return Ok::<_, Fault>(());
                }
                for head in heads {
                    let (stream, n) = (head.stream.cast_signed(), head.size.cast_signed());
                    let row = log::sql::audit_page(&mut tx, stream, n - 1, 1).await?.into_iter().next();
                    if !row.is_some_and(|row| row.n == n && row.head == head.head) {
                        return Err(Fault::Integrity("a head was signed over another row of the audit"));
                    }
                }
                drop(tx);
                self.rest().await?;
            }
        };
        match walked.await {
            Err(Fault::Integrity(reason)) => {
                tracing::error!(reason, "The site log does not hold");
                self.wrong(reason);
                Ok(())
            }
            other => other,
        }
    }

    async fn channels(&mut self) -> Result<(), Fault> {
        let shared = self.engine.shared();
        loop {
            let mut tx = shared.db.read().await?;
            let head = log::sql::heads_after(&mut tx, self.place.channel, 1).await?.into_iter().next();
            let written = log::sql::number_after(&mut tx, self.place.channel).await?;
            drop(tx);
            let number = head.as_ref().map_or(i64::MAX, |head| head.n);
            if let Some(stray) = written.filter(|written| *written < number) {
                tracing::error!(number = stray, "Entries are of a channel that is not there");
                self.wrong("entries are of a channel that is not there");
                self.place.channel = stray;
                continue;
            }
            let Some(head) = head else { return Ok(()) };
            self.channel(&head).await?;
            self.place.channel = head.n;
            self.rest().await?;
        }
    }

    async fn channel(&mut self, head: &Head) -> Result<(), Fault> {
        let shared = self.engine.shared();
        let mut known = Known { reached: self.reached.get(&head.channel).copied().unwrap_or(0), ..Known::default() };
        let signed = site::signed_head(&mut shared.db.read().await?, &shared.vault, head.channel).await;
        let size = match signed {
            Ok(Some((size, hash))) => {
                known.signed.insert(size, hash);
                size
            }
            Ok(None) => 0,
            Err(Fault::Integrity(reason)) => {
                let flaw = Flaw { channel: head.channel, seq: 1, reason };
                return self.hold(flaw).await;
            }
            Err(other) => return Err(other),
        };
        let mut walk = ChannelWalk::begin(&shared.vault, head);
        let walked = loop {
            if let Some(walked) = walk.slice(&mut shared.db.read().await?, &shared.vault, &known, SLICE).await? {
                break walked;
            }
            self.rest().await?;
        };
        self.found.entries += walked.entries;
        if let Some(flaw) = walked.flaw {
            return self.hold(flaw).await;
        }
        if self.engine.book().is_held(head.channel) {
            self.release(head.channel).await?;
        }
        if size < walked.head.seq {
            self.engine.attest().ask(&[walked.head]);
        }
        Ok(())
    }

    async fn hold(&mut self, flaw: Flaw) -> Result<(), Fault> {
        let shared = self.engine.shared();
        tracing::error!(
            channel.id = %flaw.channel, seq = flaw.seq, reason = flaw.reason,
            "The record of a channel does not hold: nothing is written to it any more"
        );
        metrics::counter!("carethread_record_flaws_total").increment(1);
        // In memory first: the database may be what is broken.
        shared.book.hold(flaw.channel);
        alarm(self.engine);
        let mut tx = shared.db.write().await?;
        site::sql::hold(&mut tx, flaw.channel, flaw.seq, flaw.reason, shared.world.now()).await?;
        tx.commit().await?;
        if !self.found.channels.contains(&flaw) {
            self.found.channels.push(flaw);
        }
        Ok(())
    }

    async fn release(&mut self, channel: ChannelId) -> Result<(), Fault> {
        let shared = self.engine.shared();
        let mut tx = shared.db.write().await?;
        site::sql::release(&mut tx, channel).await?;
        tx.commit().await?;
        shared.book.release(channel);
        alarm(self.engine);
        tracing::warn!(channel.id = %channel, "The record of a channel holds again: it is written to as before");
        Ok(())
    }

    /// Channels that the audit names and that are not there.
    async fn missing(&mut self) -> Result<(), Fault> {
        let named: Vec<ChannelId> = std::mem::take(&mut self.reached).into_keys().collect();
        for chunk in named.chunks(500) {
            let mut tx = self.engine.shared().db.read().await?;
            let there: HashSet<ChannelId> =
                log::sql::sizes(&mut tx, chunk).await?.into_iter().map(|(id, _)| id).collect();
            drop(tx);
            for channel in chunk.iter().filter(|channel| !there.contains(channel)) {
                tracing::error!(channel.id = %channel, "A channel that the audit names is missing");
                self.wrong("a channel that the audit names is missing");
            }
            self.rest().await?;
        }
        Ok(())
    }
}
