//! How fast a connection may go: a bucket of commands, and counts of what only a broken or hostile client does.
//! Does not know frames. Pure: time is handed in.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::base::limits::{BAD_FRAMES_MAX, Limits};

/// Unreadable frames are counted over this time.
const BAD_FRAMES_WITHIN: Duration = Duration::from_secs(60);
/// Refused commands are counted over this time.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
/// So many bursts refused in that time are no mistake in pacing.
const REFUSED_BURSTS_MAX: u32 = 10;

/// Whether a command may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It may.
    Yes,
    /// After so many milliseconds.
    Later(u64),
    /// The connection is to be closed.
    Flood,
}

/// The pace of one connection.
pub(super) struct Pace {
    /// Nanoseconds of time credit; a command costs `cost`.
    credit: u64,
    cost: u64,
    most: u64,
    at: Instant,
    refused: u32,
    refused_max: u32,
    refused_since: Instant,
    bad: VecDeque<Instant>,
}

impl Pace {
    /// With a full bucket.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let cost = 1_000_000_000 / u64::from(limits.commands_per_second.max(1));
        let most = cost * u64::from(limits.commands_burst.max(1));
        let refused_max = limits.commands_burst.saturating_mul(REFUSED_BURSTS_MAX);
        Self { credit: most, cost, most, at: now, refused: 0, refused_max, refused_since: now, bad: VecDeque::new() }
    }

    /// Takes one command.
    pub(super) fn take(&mut self, now: Instant) -> Taken {
        let passed = u64::try_from((now - self.at).as_nanos()).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_add(passed).min(self.most);
        self.at = now;
        if self.credit >= self.cost {
            self.credit -= self.cost;
            return Taken::Yes;
        }
        if now - self.refused_since > REFUSED_WITHIN {
            (self.refused, self.refused_since) = (0, now);
        }
        self.refused += 1;
        if self.refused >= self.refused_max {
            return Taken::Flood;
        }
        Taken::Later((self.cost - self.credit).div_ceil(1_000_000))
    }

    /// Counts a frame that cannot be read; tells whether it is one too many.
    pub(super) fn bad(&mut self, now: Instant) -> bool {
        self.bad.retain(|at| now - *at < BAD_FRAMES_WITHIN);
        self.bad.push_back(now);
        self.bad.len() >= BAD_FRAMES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_rate_then_the_end() {
        let mut now = Instant::now();
        let mut pace = Pace::new(&Limits::default(), now);
        assert_eq!((0..60).filter(|_| pace.take(now) == Taken::Yes).count(), 60);
        assert_eq!(pace.take(now), Taken::Later(50));
        now += Duration::from_secs(1);
        assert_eq!((0..30).filter(|_| pace.take(now) == Taken::Yes).count(), 20);
        now += Duration::from_secs(20);
        assert_eq!((0..100).filter(|_| pace.take(now) == Taken::Yes).count(), 60);
        assert!((0..700).any(|_| pace.take(now) == Taken::Flood));
    }

    #[test]
    fn the_tenth_unreadable_frame_within_a_minute_is_one_too_many() {
        let now = Instant::now();
        let mut pace = Pace::new(&Limits::default(), now);
        assert!((0..9).all(|_| !pace.bad(now)));
        let later = now + Duration::from_secs(61);
        assert!((0..9).all(|_| !pace.bad(later)));
        assert!(pace.bad(later));
    }
}
