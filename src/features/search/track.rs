//! How far a search is in one channel, from the newest entry down. Parts that may be shown are read whole; of the others, which are newer
//! than what is asked for or were written while the caller was away, only what changes something said before.

use std::collections::HashMap;
use std::sync::Arc;

use super::ground::Ground;
use super::query::{Place, Query};
use crate::kernel::base::{Fault, Micros, ThingId};
use crate::kernel::engine::Read;
use crate::kernel::log;
use crate::kernel::log::scan::{Pick, SealedLine};
use crate::kernel::policy::{gaps, spans};
use crate::kernel::store::Tx;

/// Entries read at a time: little enough to be held, enough to be worth a statement.
const SLICE: i64 = 256;

/// What later entries said of a thing.
#[derive(Default)]
pub struct Later {
    /// Nothing of before stands.
    pub anew: bool,
    /// These parts were said again.
    pub parts: Vec<&'static str>,
}

/// A run of entries, `first..=last`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stretch {
    first: i64,
    last: i64,
    pick: Pick,
}

/// One channel under search.
pub struct Track {
    /// Where it stands and what may be read there.
    pub ground: Arc<Ground>,
    /// Oldest first: the end is next.
    stretches: Vec<Stretch>,
    /// Everything newer that may be shown was read.
    fetched: Place,
    /// Everything newer that may be shown was looked at, too.
    pub looked: Place,
    /// Corrections met so far, by what they correct.
    pub later: HashMap<ThingId, Later>,
    /// A slice of it was read and is not looked at yet.
    pub busy: bool,
}

/// Entries of one track, to be looked at.
pub struct Slice {
    /// Newest first.
    pub lines: Vec<SealedLine>,
    /// Everything newer that may be shown is in this slice or was before.
    pub reaches: Place,
    /// How many entries it stands for.
    pub passed: u64,
}

impl Track {
    /// Lays out the way through a channel.
    ///
    /// # Errors
    /// The database's.
    pub async fn new(cx: &mut Read, ground: Arc<Ground>, query: &Query) -> Result<Self, Fault> {
        let head = &ground.head;
        let top = query.top(head.channel, head.at);
        let newest = if top.at < head.at { newest_until(cx.tx(), head.n, head.seq, top.at).await? } else { head.seq };
        let oldest = match query.from {
            Some(from) => newest_until(cx.tx(), head.n, newest, from - 1).await? + 1,
            None => 1,
        };
        let stretches = lay_out(&ground, oldest, newest);
        Ok(Self { ground, stretches, fetched: top, looked: top, later: HashMap::new(), busy: false })
    }

    /// Entries to pass.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.stretches.iter().map(|stretch| (stretch.last - stretch.first + 1).unsigned_abs()).sum()
    }

    /// From where on the next slice is; none at the end. What lies above everything that is asked for comes before all else.
    #[must_use]
    pub fn next_place(&self) -> Option<Place> {
        let next = self.stretches.last()?;
        let above = next.pick == Pick::Changes && self.fetched.seq == i64::MAX;
        Some(if above { Place { at: Micros::MAX, ..self.fetched } } else { self.fetched })
    }

    /// Whether everything was looked at.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stretches.is_empty() && !self.busy
    }

    /// Reads the next slice.
    ///
    /// # Errors
    /// The database's, or an entry is missing.
    pub async fn fetch(&mut self, tx: &mut Tx) -> Result<Slice, Fault> {
        let Some(Stretch { first, last, pick }) = self.stretches.pop() else {
            return Ok(Slice { lines: Vec::new(), reaches: self.fetched, passed: 0 });
        };
        let lines = log::scan::backward(tx, &self.ground.head, first, last + 1, SLICE, pick).await?;
        let oldest = lines.last().filter(|_| lines.len() as i64 == SLICE).map_or(first, |line| line.seq);
        if oldest > first {
            self.stretches.push(Stretch { first, last: oldest - 1, pick });
        }
        if let Some(line) = lines.last().filter(|_| pick == Pick::All) {
            self.fetched = Place { at: line.at, channel: self.ground.head.channel, seq: line.seq };
        }
        Ok(Slice { lines, reaches: self.fetched, passed: (last - oldest + 1).unsigned_abs() })
    }
}

/// The way through a channel when `oldest..=newest` is asked for.
fn lay_out(ground: &Ground, oldest: i64, newest: i64) -> Vec<Stretch> {
    let part = |pick: Pick| move |[first, last]: [i64; 2]| Stretch { first, last, pick };
    let mut stretches: Vec<Stretch> = spans(&ground.spans, oldest, newest).into_iter().map(part(Pick::All)).collect();
    let Some(lowest) = stretches.first().map(|stretch| stretch.first) else { return Vec::new() };
    stretches.extend(gaps(&ground.spans, lowest, newest).into_iter().map(part(Pick::Changes)));
    if newest < ground.head.seq {
        stretches.push(Stretch { first: newest + 1, last: ground.head.seq, pick: Pick::Changes });
    }
    stretches.sort_by_key(|stretch| stretch.first);
    stretches
}

/// The newest `seq` of a channel at or before a time; 0 if there is none. Times never decrease within a channel.
async fn newest_until(tx: &mut Tx, n: i64, newest: i64, at: Micros) -> Result<i64, Fault> {
    let (mut low, mut high) = (0, newest);
    while low < high {
        let middle = low + (high - low + 1) / 2;
        let found = log::sql::time_of(tx, n, middle).await?;
        if found.ok_or(Fault::Integrity("an entry is missing in a channel"))? <= at {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::{ChannelId, PatientId};
    use crate::kernel::log::Head;
    use crate::kernel::policy::Interval;

    fn ground(spans: &[(i64, Option<i64>)], seq: i64) -> Ground {
        let (channel, patient) = (ChannelId::ZERO, PatientId::ZERO);
        let head = Head { n: 1, channel, patient, seq, head: [0; 32], epoch: 0, at: 0 };
        Ground {
            head,
            spans: spans.iter().map(|(from, to)| Interval { from: *from, to: *to }).collect(),
            family: false,
        }
    }

    fn laid(ground: &Ground, oldest: i64, newest: i64) -> Vec<(i64, i64, bool)> {
        let stretches = lay_out(ground, oldest, newest);
        stretches.iter().map(|one| (one.first, one.last, one.pick == Pick::All)).collect()
    }

    #[test]
    fn what_may_be_shown_is_read_whole_and_what_changes_it_is_read_too() {
        let whole = ground(&[(1, None)], 9);
        assert_eq!(laid(&whole, 1, 9), [(1, 9, true)]);
        assert_eq!(laid(&whole, 4, 6), [(4, 6, true), (7, 9, false)]);
        assert_eq!(laid(&whole, 1, 0), []);
        let away = ground(&[(1, Some(3)), (6, Some(7)), (10, None)], 12);
        let expected = [(1, 3, true), (4, 5, false), (6, 7, true), (8, 9, false), (10, 12, true)];
        assert_eq!(laid(&away, 1, 12), expected);
        assert_eq!(laid(&away, 5, 9), [(6, 7, true), (8, 9, false), (10, 12, false)]);
        assert_eq!(laid(&ground(&[], 9), 1, 9), []);
    }
}
