//! A database that is a server of its own: it restarts, hangs, and loses connections, and comes back by itself. What becomes of the batch
//! that was open then, and of those that come meanwhile.
//! Invariants: a command is run again only when its transaction is known to be undone; nothing is answered as done that is not known to
//! be committed. The chained audit row of a transaction is the witness: it is there if and only if all of the transaction is. It is
//! looked for on a connection that has the node's lock, which it gets only when the former connection is over on the server too.

use std::time::Duration;

use tokio::time::Instant;

use super::{Committer, Done, Job};
use crate::kernel::base::Fault;
use crate::kernel::engine::auditor::{self, Flushed};
use crate::kernel::engine::execution::log_fault;
use crate::kernel::engine::outlet::News;
use crate::kernel::engine::{busy, load_persons, unknown_outcome};
use crate::kernel::store::setting;

/// How long a batch waits for the database before its commands are refused.
const BATCH_WAIT: Duration = Duration::from_secs(5);
/// Between two tries for a batch that waits.
const BATCH_PAUSE: Duration = Duration::from_millis(100);
/// Between two tries when nobody waits any more.
const PAUSE: Duration = Duration::from_millis(500);
/// Of the tries that fail, one in so many is told to the log.
const TOLD: u32 = 20;

/// What was answered as unknown and may be committed all the same: then listeners are still to be told.
pub(super) struct Untold {
    flushed: Flushed,
    news: News,
}

impl Committer {
    /// Brings a batch that met an outage to its end: everybody is answered. What was begun at `since` waits for `BATCH_WAIT`.
    ///
    /// # Errors
    /// The fault, if it is none of an outage.
    pub(super) async fn over_outage(
        &mut self,
        jobs: &mut [Option<Job>],
        mut fault: Fault,
        since: Instant,
    ) -> Result<(), Fault> {
        if !self.shared.db.is_remote() {
            return Err(fault);
        }
        let until = since + BATCH_WAIT;
        loop {
            let doubt = self.doubt.take();
            if doubt.is_none() && !fault.is_away() {
                return Err(fault);
            }
            log_fault(&fault, "commit");
            let known = match &doubt {
                Some(done) => self.outcome(&done.flushed, until).await,
                None => Some(false),
            };
            match (known, doubt) {
                (Some(true), Some(done)) => {
                    self.conclude(jobs, done);
                    return Ok(());
                }
                (None, Some(done)) => {
                    self.give_up(jobs, done).await;
                    return Ok(());
                }
                _ => {}
            }
            // Undone, and known to be.
            self.undo().await;
            if Instant::now() >= until {
                let refusal = busy("The database does not answer. Try again.");
                jobs.iter_mut().filter_map(Option::take).for_each(|job| self.refuse(job, &refusal));
                self.wait_for_database(None).await;
                return Ok(());
            }
            tokio::time::sleep(BATCH_PAUSE).await;
            match self.attempt(jobs).await {
                Ok(()) => return Ok(()),
                Err(next) => fault = next,
            }
        }
    }

    /// Whether the transaction that ends with these audit rows was committed; none if that is not known by then.
    async fn outcome(&self, flushed: &Flushed, until: Instant) -> Option<bool> {
        loop {
            match self.look(flushed).await {
                Ok(found) => return found,
                Err(fault) => log_fault(&fault, "commit.outcome"),
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }

    async fn look(&self, flushed: &Flushed) -> Result<Option<bool>, Fault> {
        let mut tx = self.shared.db.write().await?;
        let (n, head) = auditor::newest(&mut tx).await?;
        let found = flushed.found_at(n, &head);
        if found == Some(true) {
            // Visible is not yet safe: with synchronous standbys the server may not have waited for them. A commit behind it does.
            setting::put(&mut tx, setting::RESOLVED, &self.shared.world.now().to_be_bytes()).await?;
        }
        tx.commit().await?;
        Ok(found)
    }

    /// Answers a batch whose outcome nobody knows; listeners are told when it turns out that it was committed.
    async fn give_up(&mut self, jobs: &mut [Option<Job>], done: Done) {
        // Sessions that it ends go on in neither case.
        let untold = Untold { flushed: done.flushed, news: self.ledger.committed() };
        self.undo().await;
        let refusal = unknown_outcome();
        jobs.iter_mut().filter_map(Option::take).for_each(|job| self.refuse(job, &refusal));
        self.wait_for_database(Some(untold)).await;
    }

    /// Refuses everything at once until the database is back, however long that takes.
    pub(super) async fn wait_for_database(&mut self, mut untold: Option<Untold>) {
        tracing::error!("The database is away: commands are refused until it is back");
        metrics::counter!("carethread_database_outages_total").increment(1);
        let since = Instant::now();
        for n in 0_u32.. {
            match self.back(untold.as_ref()).await {
                Ok(found) => {
                    tracing::warn!(seconds = since.elapsed().as_secs(), "The database is back");
                    if let Some(untold) = untold.take().filter(|_| found) {
                        self.publish(untold.news);
                    }
                    return;
                }
                Err(Fault::Integrity(reason)) => {
                    tracing::error!(reason, "The database is not what it was; ending so that nothing rests on it");
                    std::process::exit(1);
                }
                Err(fault) if n % TOLD == 0 => log_fault(&fault, "database"),
                Err(_) => {}
            }
            if self.shared.db.is_lost() {
                tracing::error!("Another carethread process uses the database now; ending");
                std::process::exit(1);
            }
            if self.refuse_for(PAUSE).await {
                // Told to stop: what waits is answered, and nothing is open.
                return;
            }
        }
    }

    /// Tries to go on; meanwhile nobody waits. Gives whether `untold` was committed.
    async fn back(&mut self, untold: Option<&Untold>) -> Result<bool, Fault> {
        let shared = self.shared.clone();
        let mut reopening = std::pin::pin!(async move {
            shared.db.reopen().await.map_err(sqlx::Error::from)?;
            load_persons(&shared).await
        });
        loop {
            tokio::select! {
                reopened = &mut reopening => { reopened?; break }
                () = self.refuse_next() => {}
            }
        }
        self.auditor.check(&mut self.shared.db.read().await?).await?;
        match untold {
            None => Ok(false),
            Some(untold) => Ok(self.look(&untold.flushed).await? == Some(true)),
        }
    }

    /// Refuses the next command; never ends once there is none to come.
    async fn refuse_next(&mut self) {
        match self.queue.recv().await {
            Some(Job::Stop) => self.queue.close(),
            Some(job) => self.refuse(job, &busy("The database does not answer. Try again.")),
            None => std::future::pending().await,
        }
    }

    /// Refuses what comes within `time`; gives whether nothing can come any more.
    async fn refuse_for(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while tokio::time::timeout_at(until, self.refuse_next()).await.is_ok() {}
        self.queue.is_closed() && self.queue.is_empty()
    }
}
