//! How far an export has come, for whoever waits for it: a number of entries that never falls, out of those that go out. Forms that read the
//! record before they write the first entry count what they read into it, so that half of the work is about half of the way.
//! Does not know: forms, who looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

/// A place where it is counted. Shared by cloning.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Entries that go out.
    entries: AtomicU64,
    /// Entries to be read first, and read.
    to_read: AtomicU64,
    read: AtomicU64,
    /// Entries to be written, and written: those that go out, as often as the form goes over them.
    to_write: AtomicU64,
    written: AtomicU64,
    known: Notify,
}

impl Progress {
    /// What is going to be done: `entries` go out, each in `passes` steps, after `to_read` were read.
    pub(super) fn begin(&self, entries: u64, passes: u64, to_read: u64) {
        self.0.to_read.store(to_read, Relaxed);
        self.0.to_write.store(entries.saturating_mul(passes), Relaxed);
        self.0.entries.store(entries, Relaxed);
        self.0.known.notify_one();
    }

    /// It is through; of what was picked, less was written than was looked at.
    pub(super) fn end(&self) {
        self.0.read.store(self.0.to_read.load(Relaxed), Relaxed);
        self.0.written.store(self.0.to_write.load(Relaxed), Relaxed);
    }

    /// Until it is known how much there is to do: whoever asked may do it. One may wait.
    pub async fn known(&self) {
        self.0.known.notified().await;
    }

    /// So many more were read.
    pub(super) fn read(&self, entries: u64) {
        self.0.read.fetch_add(entries, Relaxed);
    }

    /// So many more were written.
    pub(super) fn written(&self, entries: u64) {
        self.0.written.fetch_add(entries, Relaxed);
    }

    /// As another process says it.
    pub fn told(&self, done: u64, total: u64) {
        self.begin(total, 1, 0);
        self.0.written.store(done, Relaxed);
    }

    /// Entries done, and of how many; of none before it is known.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        let Counts { entries, to_read, read, to_write, written, .. } = &*self.0;
        let (total, to_read, to_write) = (entries.load(Relaxed), to_read.load(Relaxed), to_write.load(Relaxed));
        let steps = read.load(Relaxed).min(to_read) + written.load(Relaxed).min(to_write);
        let done = u128::from(total) * u128::from(steps) / u128::from((to_read + to_write).max(1));
        (u64::try_from(done).unwrap_or(total), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_falls_and_ends_at_the_whole() {
        let progress = Progress::default();
        assert_eq!(progress.entries(), (0, 0));
        progress.begin(10, 2, 20);
        let mut seen = vec![progress.entries().0];
        for _ in 0..3 {
            // The plan is read twice: more than was reckoned with.
            progress.read(10);
            seen.push(progress.entries().0);
        }
        for _ in 0..2 {
            progress.written(10);
            seen.push(progress.entries().0);
        }
        assert_eq!(seen, [0, 2, 5, 5, 7, 10]);
        progress.end();
        assert_eq!(progress.entries(), (10, 10));
        progress.told(3, 4);
        assert_eq!(progress.entries(), (3, 4));
    }
}
