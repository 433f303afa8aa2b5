//! Which entries were written out to whom, until a job has put it into the database. A flushed frame costs a step in a list of the
//! connection's own; a flush costs one short lock of one shard in many.
//! Invariant: bounded; what does not fit is left out, so that a receipt may say less than was delivered and never more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernel::base::{ChannelId, Micros, UserId};

/// Locks that people are spread over.
const SHARDS: usize = 64;
/// Times are told in milliseconds, rounded up: nothing is delivered before it is there.
const TICK: Micros = 1_000;
/// Spans of one person and channel that each keep a time of their own. Beyond that ...
const SPANS_EXACT: usize = 4;
/// ... entries that follow one another within one of these are one span, under the latest time in it.
const SPAN_LENGTH: Micros = 1_000_000;
/// Spans of a shard that wait to be written down: some 16 MiB over all shards.
const SPANS_MAX: usize = 4096;
/// Parts of a connection's list between two flushes; no more channels than that are flushed at once.
const UNFLUSHED_MAX: usize = 256;

/// Entries `first..=last` of a channel, written out to somebody by `at`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First `seq`.
    pub first: i64,
    /// Last `seq`.
    pub last: i64,
    /// No later than this.
    pub at: Micros,
}

/// What one connection handed over to be written, and has not flushed yet.
#[derive(Default)]
pub struct Unflushed(Vec<(ChannelId, i64, i64)>);

impl Unflushed {
    /// An entry is handed over.
    pub fn note(&mut self, channel: ChannelId, seq: i64) {
        let full = self.0.len() >= UNFLUSHED_MAX;
        match self.0.last_mut() {
            Some((last, _, to)) if *last == channel && *to + 1 == seq => *to = seq,
            _ if full => {}
            _ => self.0.push((channel, seq, seq)),
        }
    }
}

/// The spans of one person in one channel.
type Spans = HashMap<(UserId, ChannelId), Vec<Span>>;

#[derive(Default)]
struct Shard {
    spans: Spans,
    count: usize,
}

/// What was written out, and not yet written down.
pub struct Delivered([Mutex<Shard>; SHARDS]);

impl Default for Delivered {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Delivered {
    fn shard(&self, user: UserId) -> MutexGuard<'_, Shard> {
        self.0[usize::from(user.bytes()[15]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was handed over has gone out to `user`.
    pub fn flushed(&self, user: UserId, unflushed: &mut Unflushed, at: Micros) {
        if unflushed.0.is_empty() {
            return;
        }
        let at = at.div_euclid(TICK) * TICK + if at.rem_euclid(TICK) > 0 { TICK } else { 0 };
        let mut shard = self.shard(user);
        for (channel, first, last) in unflushed.0.drain(..) {
            shard.add(user, channel, Span { first, last, at });
        }
    }

    /// When an entry had gone out to `user`, as far as it is not written down.
    #[must_use]
    pub fn at(&self, user: UserId, channel: ChannelId, seq: i64) -> Option<Micros> {
        let shard = self.shard(user);
        let spans = shard.spans.get(&(user, channel))?;
        spans.iter().filter(|span| (span.first..=span.last).contains(&seq)).map(|span| span.at).min()
    }

    /// Every span that waits to be written down. They stay until [`Delivered::settle`].
    #[must_use]
    pub fn waiting(&self) -> Vec<(UserId, ChannelId, Span)> {
        let mut waiting = Vec::new();
        for shard in &self.0 {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for ((user, channel), spans) in &shard.spans {
                waiting.extend(spans.iter().map(|span| (*user, *channel, *span)));
            }
        }
        waiting
    }

    /// These are written down.
    pub fn settle(&self, written: &[(UserId, ChannelId, Span)]) {
        for (user, channel, done) in written {
            self.shard(*user).settle((*user, *channel), *done);
        }
    }
}

impl Shard {
    fn add(&mut self, user: UserId, channel: ChannelId, mut span: Span) {
        let spans = self.spans.entry((user, channel)).or_default();
        let crowded = spans.len() >= SPANS_EXACT;
        if let Some(last) = spans.last_mut() {
            // The same entries by another connection: the first one counts.
            if (last.first..=last.last).contains(&span.first) {
                span.first = last.last + 1;
            }
            if span.first > span.last {
                return;
            }
            let length = if crowded { SPAN_LENGTH } else { TICK };
            let together = span.at.div_euclid(length) == last.at.div_euclid(length);
            if together && last.last + 1 == span.first {
                (last.last, last.at) = (span.last, span.at.max(last.at));
                return;
            }
        }
        if self.count >= SPANS_MAX {
            metrics::counter!("carethread_receipts_left_out_total").increment(1);
            if spans.is_empty() {
                self.spans.remove(&(user, channel));
            }
            return;
        }
        self.count += 1;
        spans.push(span);
    }

    fn settle(&mut self, pair: (UserId, ChannelId), done: Span) {
        let Some(spans) = self.spans.get_mut(&pair) else { return };
        if let Some(at) = spans.iter().position(|span| span.first == done.first) {
            if spans[at].last <= done.last {
                spans.remove(at);
                self.count -= 1;
            } else {
                // It grew meanwhile.
                spans[at].first = done.last + 1;
            }
        }
        if spans.is_empty() {
            self.spans.remove(&pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    fn channel(number: u8) -> ChannelId {
        ChannelId::from_bytes([number; 16])
    }

    fn flush(delivered: &Delivered, seqs: impl IntoIterator<Item = i64>, at: Micros) {
        let mut unflushed = Unflushed::default();
        seqs.into_iter().for_each(|seq| unflushed.note(channel(1), seq));
        delivered.flushed(user(1), &mut unflushed, at);
        assert!(unflushed.0.is_empty());
    }

    #[test]
    fn what_is_not_flushed_is_not_delivered() {
        let (delivered, mut unflushed) = (Delivered::default(), Unflushed::default());
        unflushed.note(channel(1), 1);
        assert_eq!(delivered.at(user(1), channel(1), 1), None);
        delivered.flushed(user(1), &mut unflushed, 5);
        assert_eq!(delivered.at(user(1), channel(1), 1), Some(TICK), "rounded up");
        assert_eq!(delivered.at(user(2), channel(1), 1), None);
        assert_eq!(delivered.at(user(1), channel(2), 1), None);
    }

    #[test]
    fn what_grew_while_it_was_written_down_stays() {
        let delivered = Delivered::default();
        flush(&delivered, 1..=3, 0);
        let waiting = delivered.waiting();
        assert_eq!(waiting, [(user(1), channel(1), Span { first: 1, last: 3, at: 0 })]);
        flush(&delivered, 4..=5, 0);
        flush(&delivered, [9], 2 * SECOND);
        delivered.settle(&waiting);
        assert_eq!(delivered.at(user(1), channel(1), 3), None);
        assert_eq!(delivered.at(user(1), channel(1), 4), Some(0));
        delivered.settle(&delivered.waiting());
        assert!(delivered.waiting().is_empty());
        assert_eq!(delivered.shard(user(1)).count, 0);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_stays_bounded() {
        let delivered = Delivered::default();
        for seq in 0..2 * SPANS_MAX as i64 {
            flush(&delivered, [2 * seq], 0);
        }
        assert_eq!(delivered.waiting().len(), SPANS_MAX);
        let mut unflushed = Unflushed::default();
        (0..10_000).for_each(|seq| unflushed.note(channel(1), 2 * seq));
        assert_eq!(unflushed.0.len(), UNFLUSHED_MAX);
    }

    proptest! {
        /// Against a plain map: whatever is flushed in whatever order, each entry has a time no earlier than its first flush and less
        /// than a span later, also while parts are settled.
        #[test]
        fn a_receipt_is_never_early(flushes in prop::collection::vec((1_i64..30, 0_i64..4, 0_i64..400_000), 1..40), settled in 0_usize..40) {
            let delivered = Delivered::default();
            let mut plain: HashMap<i64, Micros> = HashMap::new();
            let mut written: HashMap<i64, Micros> = HashMap::new();
            let mut now = 0;
            for (turn, (first, more, pause)) in flushes.into_iter().enumerate() {
                now += pause;
                flush(&delivered, first..=first + more, now);
                for seq in first..=first + more {
                    plain.entry(seq).or_insert(now);
                }
                if turn == settled {
                    let waiting = delivered.waiting();
                    for (_, _, span) in &waiting {
                        for seq in span.first..=span.last {
                            let at = written.entry(seq).or_insert(span.at);
                            *at = span.at.min(*at);
                        }
                    }
                    delivered.settle(&waiting);
                }
            }
            for seq in 1..40 {
                let kept = written.get(&seq).copied();
                let held = delivered.at(user(1), channel(1), seq);
                let found = [kept, held].into_iter().flatten().min();
                match plain.get(&seq) {
                    None => prop_assert_eq!(found, None),
                    Some(at) => {
                        let found = found.unwrap();
                        prop_assert!(found >= *at, "seq {}: {} before {}", seq, found, at);
                        prop_assert!(found < at + SPAN_LENGTH + TICK, "seq {}: {} long after {}", seq, found, at);
                    }
                }
            }
        }
    }
}
