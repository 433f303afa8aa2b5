//! Counts durations in buckets that widen with them: 2 % of resolution from a microsecond to an hour in 16 KiB.

use std::sync::atomic::{AtomicU64, Ordering};

/// Each power of two is cut into this many buckets.
const STEPS: u64 = 64;
/// Powers of two counted: 2^32 microseconds are more than an hour; what is longer falls into the last bucket.
const POWERS: u64 = 33;

/// Durations in microseconds, added from many tasks at once.
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    longest_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: (0..STEPS * POWERS).map(|_| AtomicU64::new(0)).collect(), longest_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&self, us: u64) {
        self.counts[bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.longest_us.fetch_max(us, Ordering::Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn longest_us(&self) -> u64 {
        self.longest_us.load(Ordering::Relaxed)
    }

    /// The duration that `share` (0 to 1) of all do not exceed, in microseconds; 0 when nothing was counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn quantile_us(&self, share: f64) -> u64 {
        let rank = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= rank {
                return upper(index as u64).min(self.longest_us());
            }
        }
        self.longest_us()
    }
}

/// Values below [`STEPS`] have a bucket each; above, the top six bits below the leading one choose the step.
fn bucket(us: u64) -> usize {
    let index = if us < STEPS {
        us
    } else {
        let power = u64::from(us.ilog2());
        let step = (us >> (power - 6)) - STEPS;
        (power - 5) * STEPS + step
    };
    usize::try_from(index.min(STEPS * POWERS - 1)).expect("a bucket's number is small")
}

/// The largest value of a bucket.
const fn upper(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let power = index / STEPS + 5;
    ((index % STEPS + STEPS + 1) << (power - 6)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_told_within_two_percent() {
        for us in (0..200_000).chain([1 << 20, (1 << 31) - 1, 3_600_000_000]) {
            let told = upper(bucket(us) as u64);
            assert!(told >= us && told <= us + us / 50, "{us} is told as {told}");
        }
        let all = Histogram::default();
        all.add(u64::MAX);
        assert_eq!(all.quantile_us(0.5), upper(STEPS * POWERS - 1));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let all = Histogram::default();
        assert_eq!(all.quantile_us(0.5), 0);
        (1..=1000).for_each(|us| all.add(us));
        assert_eq!((all.count(), all.longest_us()), (1000, 1000));
        assert!(all.quantile_us(0.5).abs_diff(500) <= 10);
        assert!(all.quantile_us(0.99).abs_diff(990) <= 20);
        assert_eq!(all.quantile_us(1.0), 1000);
    }
}
