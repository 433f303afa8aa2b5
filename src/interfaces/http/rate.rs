//! How fast one credential may go over HTTP: a bucket of commands each, refilled with time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::kernel::base::limits::Limits;
use crate::kernel::base::{Code, Micros, Refusal, SessionId};

/// Buckets held before full ones are forgotten: a forgotten full bucket is a fresh full bucket.
const BUCKETS_SWEPT_AT: usize = 10_000;
/// One second in [`Micros`].
const SECOND: Micros = 1_000_000;

/// Buckets by session or token.
pub struct Rates {
    buckets: Mutex<HashMap<SessionId, Bucket>>,
    per_second: i64,
    burst: i64,
    swept_at: usize,
}

/// Millionths of a command left, as of a time.
#[derive(Clone, Copy)]
struct Bucket {
    left: i64,
    at: Micros,
}

impl Rates {
    /// Empty, with the site's limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            buckets: Mutex::default(),
            per_second: i64::from(limits.commands_per_second),
            burst: i64::from(limits.commands_burst) * SECOND,
            swept_at: BUCKETS_SWEPT_AT,
        }
    }

    /// Takes one command out of the bucket.
    ///
    /// # Errors
    /// `rate_limited` with the time until there is one again.
    pub fn take(&self, whose: SessionId, now: Micros) -> Result<(), Refusal> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.swept_at {
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.burst);
        }
        let bucket = buckets.entry(whose).or_insert(Bucket { left: self.burst, at: now });
        *bucket = Bucket { left: self.refilled(*bucket, now), at: now.max(bucket.at) };
        if bucket.left < SECOND {
            let wait = (SECOND - bucket.left) / self.per_second.max(1) / 1000 + 1;
            let ms = u64::try_from(wait).unwrap_or(1000);
            return Err(Refusal::new(Code::RateLimited)
                .detail("Too many commands. Wait, then repeat with the same key.")
                .retry_after_ms(ms));
        }
        bucket.left -= SECOND;
        Ok(())
    }

    fn refilled(&self, bucket: Bucket, now: Micros) -> i64 {
        let passed = now.saturating_sub(bucket.at).max(0);
        bucket.left.saturating_add(passed.saturating_mul(self.per_second)).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone(number: u8) -> SessionId {
        SessionId::from_bytes([number; 16])
    }

    #[test]
    fn a_burst_then_a_rate() {
        let rates = Rates::new(&Limits { commands_per_second: 20, commands_burst: 60, ..Limits::default() });
        let taken = (0..100).filter(|_| rates.take(someone(1), 0).is_ok()).count();
        assert_eq!(taken, 60);
        let refused = rates.take(someone(1), 0).unwrap_err();
        assert!((1..=51).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
        assert!(rates.take(someone(2), 0).is_ok());
        let taken = (0..100).filter(|_| rates.take(someone(1), SECOND).is_ok()).count();
        assert_eq!(taken, 20);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let rates = Rates::new(&Limits { commands_per_second: 1, commands_burst: 1, ..Limits::default() });
        assert!(rates.take(someone(1), 10 * SECOND).is_ok());
        assert!(rates.take(someone(1), 0).is_err() && rates.take(someone(1), 10 * SECOND).is_err());
        assert!(rates.take(someone(1), 11 * SECOND).is_ok());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut rates = Rates::new(&Limits::default());
        rates.swept_at = 3;
        for number in 0..9 {
            assert!(rates.take(someone(number), Micros::from(number) * SECOND).is_ok());
        }
        assert!(rates.buckets.lock().unwrap().len() <= 3);
    }
}
