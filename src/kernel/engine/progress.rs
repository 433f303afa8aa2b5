//! How far a long answer is, and whether it is still wanted: shared by the op that works on it and whoever waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

/// See the head of this file. Short answers never touch it.
#[derive(Default, Debug)]
pub struct Progress {
    scanned: AtomicU64,
    of: AtomicU64,
    cancelled: CancellationToken,
}

impl Progress {
    /// There is so much to go over.
    pub fn begin(&self, of: u64) {
        self.of.store(of, Ordering::Relaxed);
    }

    /// So much more has been gone over.
    pub fn advance(&self, count: u64) {
        self.scanned.fetch_add(count, Ordering::Relaxed);
    }

    /// How much has been gone over, of how much; none where nobody counts.
    #[must_use]
    pub fn told(&self) -> Option<(u64, u64)> {
        let of = self.of.load(Ordering::Relaxed);
        (of > 0).then(|| (self.scanned.load(Ordering::Relaxed).min(of), of))
    }

    /// The answer is to be what there is by now.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Whether it is.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until it is.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}
