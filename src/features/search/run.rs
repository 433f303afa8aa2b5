//! One search from question to answer: slices of the channels in the order of their times, each opened away from the threads that serve
//! others while the next one is read, until the newest hits are certain, or nothing is left, or nobody wants more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::ground::Grounds;
use super::hits::{Hit, Hits, judge};
use super::lanes;
use super::look::{Found, Look};
use super::query::{Place, Query};
use super::shapes;
use super::track::{Slice, Track};
use crate::kernel::base::{ChannelId, Fault, PatientId, Stop, ThingId};
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::scan::{self, DataKeys};
use crate::kernel::log::{self, Thing};
use crate::kernel::policy::audit::Draft;

/// A search that takes longer answers with what it has: less than any request may take.
const TIME_MAX: Duration = Duration::from_secs(20);

/// `search`
pub async fn search(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let query = Arc::new(Query::parse(data)?);
    let begun = Instant::now();
    let _entered = lanes::enter(cx.subject().user)?;
    let grounds = Grounds::survey(cx, &query).await?;
    cx.progress().begin(grounds.open.values().map(|ground| ground.head.seq.unsigned_abs()).sum());
    let turn = take_turn(cx).await?;
    let hits = Hits::new(query.limit);
    let mut run = Run {
        cx,
        query,
        grounds,
        tracks: BTreeMap::new(),
        hits,
        keys: HashMap::new(),
        turn,
        turn_began: Instant::now(),
        begun,
    };
    run.still_holds().await?;
    run.lay_out().await?;
    let early = run.go().await?;
    run.answer(early).await
}

/// Waits for a turn, without a snapshot; none when the search is cancelled meanwhile.
async fn take_turn(cx: &mut Read) -> Result<Option<SemaphorePermit<'static>>, Stop> {
    let progress = cx.progress().clone();
    let turn = async {
        tokio::select! {
            turn = lanes::turn() => Some(turn),
            () = progress.cancelled() => None,
        }
    };
    cx.renew(turn).await
}

/// A slice that is being looked at.
struct Looking {
    channel: ChannelId,
    reaches: Place,
    passed: u64,
    task: JoinHandle<Result<Found, Fault>>,
}

struct Run<'c> {
    cx: &'c mut Read,
    query: Arc<Query>,
    grounds: Grounds,
    tracks: BTreeMap<ChannelId, Track>,
    hits: Hits,
    keys: HashMap<PatientId, DataKeys>,
    turn: Option<SemaphorePermit<'static>>,
    turn_began: Instant,
    begun: Instant,
}

impl Run<'_> {
    async fn lay_out(&mut self) -> Result<(), Stop> {
        for ground in self.grounds.open.values() {
            let track = Track::new(self.cx, Arc::new(ground.clone()), &self.query).await?;
            self.tracks.insert(ground.head.channel, track);
        }
        self.cx.progress().begin(self.tracks.values().map(Track::left).sum());
        Ok(())
    }

    /// Searches; whether it was ended early.
    async fn go(&mut self) -> Result<bool, Stop> {
        let mut looking: Option<Looking> = None;
        loop {
            if self.cx.progress().is_cancelled() || self.begun.elapsed() >= TIME_MAX {
                return Ok(true);
            }
            self.keep_turns().await?;
            if self.turn.is_none() {
                continue;
            }
            let slice = match self.next() {
                Some(channel) => Some((channel, self.fetch(channel).await?)),
                None => None,
            };
            if let Some(looking) = looking.take() {
                self.take_in(looking).await?;
                if self.frontier().is_some_and(|frontier| self.hits.are_settled_above(frontier)) {
                    return Ok(false);
                }
            }
            match slice {
                Some((channel, slice)) => looking = self.look(channel, slice),
                None => return Ok(false),
            }
        }
    }

    /// The highest place that may hold a hit not looked at yet; none when all was.
    fn frontier(&self) -> Option<Place> {
        self.tracks.values().filter(|track| !track.is_done()).map(|track| track.looked).max()
    }

    /// The channel to go on with.
    fn next(&self) -> Option<ChannelId> {
        let places = self.tracks.iter().filter_map(|(channel, track)| Some((track.next_place()?, *channel)));
        places.max().map(|(_, channel)| channel)
    }

    /// Lets others have their turn when this one is over, and decides again when rights have moved.
    async fn keep_turns(&mut self) -> Result<(), Stop> {
        if self.turn_began.elapsed() < lanes::TURN {
            return Ok(());
        }
        self.turn = None;
        self.turn = take_turn(self.cx).await?;
        self.turn_began = Instant::now();
        self.still_holds().await
    }

    /// What was decided holds, or is decided again: what may not be read any more is dropped.
    async fn still_holds(&mut self) -> Result<(), Stop> {
        if self.grounds.hold(self.cx) {
            return Ok(());
        }
        self.grounds = Grounds::survey(self.cx, &self.query).await?;
        let Self { grounds, tracks, hits, .. } = self;
        tracks.retain(|channel, track| match grounds.open.get(channel) {
            Some(ground) => {
                track.ground = Arc::new(ground.clone());
                true
            }
            None => false,
        });
        hits.retain(|hit| may_read(grounds, hit));
        Ok(())
    }

    async fn fetch(&mut self, channel: ChannelId) -> Result<Slice, Stop> {
        let Self { cx, tracks, keys, .. } = self;
        let track = tracks.get_mut(&channel).ok_or(Fault::Defect("a track that is not there"))?;
        let (tx, vault) = cx.log();
        let slice = track.fetch(tx).await?;
        // From here until it was looked at.
        track.busy = true;
        let head = &track.ground.head;
        scan::fetch_keys(vault, head, &slice.lines, keys.entry(head.patient).or_default()).await?;
        Ok(slice)
    }

    /// Starts to look at a slice; none if its channel was lost meanwhile.
    fn look(&mut self, channel: ChannelId, slice: Slice) -> Option<Looking> {
        let track = self.tracks.get_mut(&channel)?;
        let later = std::mem::take(&mut track.later);
        let (shared, ground, query) = (self.cx.shared().clone(), track.ground.clone(), self.query.clone());
        let keys = self.keys.get(&ground.head.patient).cloned().unwrap_or_default();
        let Slice { lines, reaches, passed } = slice;
        let task = spawn_blocking(move || {
            Look { shared: &shared, keys: &keys, ground: &ground, query: &query }.over(lines, later)
        });
        Some(Looking { channel, reaches, passed, task })
    }

    async fn take_in(&mut self, looking: Looking) -> Result<(), Stop> {
        let Looking { channel, reaches, passed, task } = looking;
        let found = task.await.map_err(|_| Fault::Defect("a look at entries panicked"))??;
        self.cx.progress().advance(passed);
        let Some(track) = self.tracks.get_mut(&channel) else { return Ok(()) };
        track.later = found.later;
        track.busy = false;
        track.looked = reaches;
        let mut candidates = found.candidates;
        candidates.retain(|candidate| candidate.told || self.hits.has_room_for(candidate));
        let things = self.things(candidates.iter().map(|candidate| candidate.of).collect()).await?;
        for candidate in candidates {
            let Some(thing) = things.get(&candidate.of) else { continue };
            match judge(&candidate, thing, &self.grounds, self.query.item) {
                Some(_) if candidate.told => self.hits.pass_over(candidate.of),
                Some(item) => self.hits.take(Hit { found: candidate, patient: thing.patient, item }),
                None => {}
            }
        }
        Ok(())
    }

    async fn things(&mut self, ids: Vec<ThingId>) -> Result<HashMap<ThingId, Thing>, Fault> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let things = log::sql::things(self.cx.tx(), &ids).await?;
        Ok(things.into_iter().map(|thing| (thing.id, thing)).collect())
    }

    async fn answer(mut self, early: bool) -> Result<Value, Stop> {
        let stopped_at = self.frontier().filter(|_| early);
        if let Some(frontier) = stopped_at {
            // Below it others may still be missing: they are found again from there.
            self.hits.retain(|hit| hit.found.place >= frontier);
        }
        if self.turn_began.elapsed() >= lanes::TURN || !self.grounds.hold(self.cx) {
            self.confirm().await?;
        }
        let Self { cx, query, grounds, hits, turn, .. } = self;
        drop(turn);
        let (hits, more) = hits.into_newest();
        account(cx, &grounds, &hits);
        let next = if more { hits.last().map(|hit| hit.found.place) } else { stopped_at };
        let more = more || stopped_at.is_some();
        let cancelled = (stopped_at.is_some() && cx.progress().is_cancelled()).then_some(true);
        // Finding the place of a hit in a long text is work for the processor alone, too.
        let shown = spawn_blocking(move || {
            let hits = hits.into_iter().map(|hit| hit.shown(&query.needle)).collect();
            serde_json::to_value(shapes::Found { hits, more, next: next.map(|next| next.text()), cancelled })
        });
        let shown = shown.await.map_err(|_| Fault::Defect("an excerpt panicked"))?;
        Ok(shown.map_err(|_| Fault::Defect("hits are not JSON"))?)
    }

    /// Before the answer leaves: what was taken back, hidden or lost while the search went on is no hit.
    async fn confirm(&mut self) -> Result<(), Stop> {
        self.turn = None;
        self.cx.renew(std::future::ready(())).await?;
        self.still_holds().await?;
        let things = self.things(self.hits.things()).await?;
        let Self { hits, grounds, query, .. } = self;
        hits.retain(|hit| {
            let thing = things.get(&hit.found.of);
            may_read(grounds, hit) && thing.is_some_and(|thing| judge(&hit.found, thing, grounds, query.item).is_some())
        });
        Ok(())
    }
}

fn may_read(grounds: &Grounds, hit: &Hit) -> bool {
    let place = hit.found.place;
    grounds.open.get(&place.channel).is_some_and(|ground| ground.shows(place.seq))
}

/// Puts into the audit trail what leaves: by patient, the first and last `seq` of each channel.
fn account(cx: &mut Read, grounds: &Grounds, hits: &[Hit]) {
    let mut read: BTreeMap<PatientId, BTreeMap<ChannelId, [i64; 2]>> = BTreeMap::new();
    for hit in hits {
        let Place { channel, seq, .. } = hit.found.place;
        let range = read.entry(hit.patient).or_default().entry(channel).or_insert([seq, seq]);
        *range = [range[0].min(seq), range[1].max(seq)];
    }
    let row = |patient: PatientId, channels: BTreeMap<ChannelId, [i64; 2]>, like: &Draft| Draft {
        patient: Some(patient),
        basis: grounds.basis.get(&patient).copied(),
        ranges: channels.into_iter().map(|(channel, [first, last])| (channel, first, last)).collect(),
        ..like.clone()
    };
    let mut rows = read.into_iter().map(|(patient, channels)| row(patient, channels, &cx.audit)).collect::<Vec<_>>();
    if !rows.is_empty() {
        cx.audit = rows.remove(0);
        cx.further = rows;
    }
}
