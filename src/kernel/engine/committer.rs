//! Group commit without a timer: whatever queued during the last commit is the next transaction.
//! News after the commit, then the replies. A fault rolls the batch back and runs its commands singly; a database that goes and comes
//! back is waited for (`outage`).

mod outage;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::auditor::{Auditor, Flushed};
use super::execution::{self, Outcome, log_fault};
use super::ledger::Ledger;
use super::outlet::{News, Outlet};
use super::write::{Seen, SeenKeys};
use super::{Command, Job, Shared, busy};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Fault, Micros, Refusal, Stop, UserId};
use crate::kernel::log;
use crate::kernel::policy::audit::Draft;
use crate::kernel::store::append::{self, KeyAsked};
use crate::kernel::store::{is_conflict, is_disk_full, is_storage_failure};

/// How often counts of refusals are looked at when nothing else is committed.
const SETTLE_EVERY: Duration = Duration::from_secs(10);
/// How long a database that failed may stay away before the process ends: longer than its restart takes.
const REOPEN_TRIES: u32 = 120;
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// Facts of channel `me` are kept for 30 days.
const ME_KEPT: Micros = 30 * 24 * 60 * MINUTE;
/// How often older ones are dropped.
const ME_SWEEP_EVERY: Micros = 60 * MINUTE;

pub(super) struct Committer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    ledger: Ledger,
    auditor: Auditor,
    outlet: Arc<dyn Outlet>,
    /// The latest time given to a batch: the stream of audit times does not go back.
    latest: Micros,
    /// A transaction was begun by the latest attempt: until then a failure means that nothing was done.
    begun: bool,
    /// The connection broke while the latest attempt committed.
    doubt: Option<Done>,
    /// When channels `me` were last swept.
    swept: Micros,
}

/// A transaction up to its commit.
struct Done {
    outcomes: Vec<Option<Result<Value, Refusal>>>,
    flushed: Flushed,
}

enum Answer {
    Command(oneshot::Sender<Result<Value, Refusal>>, Result<Value, Refusal>),
    Audit(oneshot::Sender<Result<(), Refusal>>),
}

impl Answer {
    fn give(self) {
        // A caller that went away is no failure.
        match self {
            Self::Command(sender, answer) => drop(sender.send(answer)),
            Self::Audit(sender) => drop(sender.send(Ok(()))),
        }
    }
}

impl Committer {
    pub(super) async fn open(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Job>,
        outlet: Arc<dyn Outlet>,
    ) -> Result<Self, Fault> {
        let mut tx = shared.db.read().await?;
        let auditor = Auditor::open(&mut tx).await?;
        drop(tx);
        let ledger = Ledger::new(shared.clone());
        let swept = shared.world.now();
        Ok(Self { shared, queue, ledger, auditor, outlet, latest: 0, begun: false, doubt: None, swept })
    }

    pub(super) async fn run(mut self, batch_max: usize) {
        let mut jobs = Vec::with_capacity(batch_max);
        loop {
            let received = tokio::time::timeout(SETTLE_EVERY, self.queue.recv_many(&mut jobs, batch_max)).await;
            match received {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    self.auditor.settle(self.now());
                    self.sweep().await;
                    if self.auditor.is_empty() {
                        continue;
                    }
                }
            }
            if jobs.iter().any(|job| matches!(job, Job::Stop)) {
                // What is queued is still done; what comes later is refused.
                self.queue.close();
                jobs.retain(|job| !matches!(job, Job::Stop));
            }
            metrics::histogram!("carethread_batch_commands").record(jobs.len() as f64);
            self.group(std::mem::take(&mut jobs)).await;
            self.sweep().await;
        }
        self.auditor.settle(Micros::MAX);
        if !self.auditor.is_empty() {
            self.group(Vec::new()).await;
        }
    }

    fn now(&self) -> Micros {
        self.shared.book.latest(self.shared.world.now()).max(self.latest)
    }

    /// Drops what is too old on channels `me`, now and then. A failure is met again by the next commit, which mends it.
    async fn sweep(&mut self) {
        let now = self.now();
        if now - self.swept < ME_SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let swept = async {
            let mut tx = self.shared.db.write().await?;
            super::sql::drop_me(&mut tx, now - ME_KEPT).await?;
            tx.commit().await
        };
        if let Err(error) = swept.await {
            log_fault(&Fault::Database(error), "me.sweep");
        }
    }

    async fn group(&mut self, jobs: Vec<Job>) {
        let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
        let since = Instant::now();
        let Err(fault) = self.attempt(&mut jobs).await else { return };
        let Err(fault) = self.over_outage(&mut jobs, fault, since).await else { return };
        self.undo().await;
        // Broken by one of several, or another node was first: what is held of the record is read anew for the next attempt.
        let again = jobs.len() > 1 || matches!(&fault, Fault::Database(error) if is_conflict(error));
        if !self.begun || !again || is_of_storage(&fault) {
            self.failed(jobs.into_iter().flatten().collect(), fault).await;
            return;
        }
        // Singly, only the faulty one fails.
        for job in jobs {
            let mut single = [job];
            let Err(fault) = self.attempt(&mut single).await else { continue };
            if let Err(fault) = self.over_outage(&mut single, fault, since).await {
                self.undo().await;
                self.failed(single.into_iter().flatten().collect(), fault).await;
            }
        }
    }

    /// The transaction is over; what was held of it is forgotten.
    async fn undo(&mut self) {
        if let Ok(tx) = self.ledger.take_tx() {
            tx.rollback().await;
        }
        self.ledger.forget();
        self.auditor.rolled_back();
    }

    /// Answers jobs whose transaction failed for good, and mends what can be mended.
    async fn failed(&mut self, jobs: Vec<Job>, fault: Fault) {
        let op = match jobs.as_slice() {
            [Job::Command(command)] => command.op.name,
            [Job::Audit { .. }] => "audit",
            _ => "commit",
        };
        log_fault(&fault, op);
        if matches!(&fault, Fault::Database(error) if is_disk_full(error)) {
            self.disk_full(jobs).await;
            return;
        }
        let storage = is_of_storage(&fault);
        let refusal =
            if self.begun { Stop::Failed(fault).refusal() } else { busy("The database does not answer. Try again.") };
        // Before the handle is mended, which may take long.
        jobs.into_iter().for_each(|job| self.refuse(job, &refusal));
        if storage {
            self.recover().await;
        }
    }

    fn refuse(&mut self, job: Job, refusal: &Refusal) {
        match job {
            Job::Command(command) => {
                let audit = Draft {
                    category: command.op.category,
                    outcome: refusal.code.text(),
                    ..Draft::of(&command.subject, command.op.name)
                };
                self.auditor.failed(audit, self.now());
                drop(command.answer.send(Err(refusal.clone())));
            }
            Job::Audit { answer, .. } => drop(answer.send(Err(refusal.clone()))),
            Job::Stop => {}
        }
    }

    /// Writes are refused; reads go on as long as their audit can be written (security: rule 8 of the reliability contract). The handle is
    /// kept: a write that found no room was not synced, so nothing on it is in doubt.
    async fn disk_full(&mut self, jobs: Vec<Job>) {
        tracing::error!("The disk is full: writes are refused until there is room");
        metrics::counter!("carethread_disk_full_total").increment(1);
        let refusal = busy("The disk is full. Nothing can be written until there is room.");
        let (audits, commands): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| matches!(job, Job::Audit { .. }));
        let beside_commands = !commands.is_empty();
        commands.into_iter().for_each(|job| self.refuse(job, &refusal));
        let mut audits: Vec<Option<Job>> = audits.into_iter().map(Some).collect();
        if beside_commands && !audits.is_empty() && self.attempt(&mut audits).await.is_err() {
            self.undo().await;
        }
        audits.into_iter().flatten().for_each(|job| self.refuse(job, &refusal));
    }

    /// After a failed sync nothing on the handle is to be trusted (security: never retry it): drop it, open anew, verify, go on or exit.
    async fn recover(&mut self) {
        if self.shared.db.is_remote() {
            return self.wait_for_database(None).await;
        }
        tracing::error!("The storage failed; the handle is dropped and opened anew");
        // Whether the commit is there is unknown. If it is, its sessions have ended: none of them goes on.
        for session in std::mem::take(&mut self.ledger.news.ended) {
            self.shared.book.end_session(session);
        }
        for _ in 0..REOPEN_TRIES {
            match self.reopen().await {
                Ok(()) => return,
                Err(Fault::Sealed) => {
                    tracing::warn!("The record was opened again while sealed, so that its heads are not verified");
                    return;
                }
                Err(Fault::Integrity(reason)) => {
                    tracing::error!(reason, "The record does not hold");
                    break;
                }
                Err(fault) => log_fault(&fault, "reopen"),
            }
            self.refuse_queued();
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
        tracing::error!("The record could not be opened again; ending so that nothing rests on it");
        std::process::exit(1);
    }

    /// Nobody waits for a database that is away.
    fn refuse_queued(&mut self) {
        let refusal = busy("The database does not answer. Try again.");
        while let Ok(job) = self.queue.try_recv() {
            if matches!(job, Job::Stop) {
                self.queue.close();
            }
            self.refuse(job, &refusal);
        }
    }

    async fn reopen(&mut self) -> Result<(), Fault> {
        self.shared.db.reopen().await.map_err(|_| Fault::Defect("the database does not open again"))?;
        super::load_persons(&self.shared).await?;
        let mut tx = self.shared.db.read().await?;
        log::recent::check(&mut tx, &self.shared.vault).await.map(drop)
    }

    /// One transaction over `jobs`. On success all are answered and taken out; on a fault all are left in.
    async fn attempt(&mut self, jobs: &mut [Option<Job>]) -> Result<(), Fault> {
        let now = self.now();
        self.latest = now;
        self.auditor.settle(now);
        (self.begun, self.doubt) = (false, None);
        let tx = self.shared.db.write().await?;
        self.begun = true;
        self.ledger.begin(tx);
        self.auditor.begin(self.ledger.tx()).await?;
        self.ledger.lock_ahead(jobs).await?;
        let mut seen = self.seen_keys(jobs).await?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs.iter().flatten() {
            match job {
                Job::Command(command) => outcomes.push(self.command(command, now, &mut seen).await?),
                Job::Audit { drafts, .. } => {
                    for draft in drafts {
                        if draft.outcome == "done" {
                            self.auditor.add(draft.clone());
                        } else {
                            self.auditor.refused(draft.clone(), now);
                        }
                    }
                    outcomes.push(None);
                }
                Job::Stop => outcomes.push(None),
            }
        }
        self.ledger.flush().await?;
        let flushed = self.auditor.flush(self.ledger.tx(), now).await?;
        let done = Done { outcomes, flushed };
        if let Err(error) = self.ledger.take_tx()?.commit().await {
            let fault = Fault::from(error);
            self.doubt =
                Some(done).filter(|_| self.shared.db.is_remote() && (fault.is_away() || is_of_storage(&fault)));
            return Err(fault);
        }
        self.conclude(jobs, done);
        Ok(())
    }

    /// The commit is done: news, then answers.
    fn conclude(&mut self, jobs: &mut [Option<Job>], done: Done) {
        self.auditor.committed(&done.flushed);
        let news = self.ledger.committed();
        // Before the answers: whoever knows of a write finds its event at hand for everybody who listens.
        self.publish(news);
        for (slot, outcome) in jobs.iter_mut().zip(done.outcomes) {
            match (slot.take(), outcome) {
                (Some(Job::Command(command)), Some(answer)) => Answer::Command(command.answer, answer).give(),
                (Some(Job::Audit { answer, .. }), _) => Answer::Audit(answer).give(),
                _ => {}
            }
        }
    }

    fn publish(&self, news: News) {
        if news.is_empty() {
            return;
        }
        metrics::counter!("carethread_entries_total").increment(news.facts.len() as u64);
        // Listeners that miss news find a hole in `seq` and resume; writers do not end with them.
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.outlet.publish(news))).is_err() {
            metrics::counter!("carethread_faults_total").increment(1);
            tracing::error!("The outlet panicked; its listeners may have missed news");
        }
    }

    async fn command(
        &mut self,
        command: &Command,
        now: Micros,
        seen: &mut SeenKeys,
    ) -> Result<Option<Result<Value, Refusal>>, Fault> {
        let (outcome, audit) = execution::run(&mut self.ledger, command, now, seen).await?;
        Ok(Some(match outcome {
            Outcome::Done(answer) => {
                self.auditor.add(audit);
                Ok(answer)
            }
            Outcome::Refused(refusal) => {
                metrics::counter!("carethread_refusals_total", "code" => refusal.code.text()).increment(1);
                self.auditor.refused(audit, now);
                Err(refusal)
            }
        }))
    }

    /// One look-up for all keys of the batch.
    async fn seen_keys(&mut self, jobs: &[Option<Job>]) -> Result<SeenKeys, Fault> {
        let asked: Vec<KeyAsked> = jobs
            .iter()
            .flatten()
            .filter_map(|job| match job {
                Job::Command(command) => {
                    command.key.map(|key| KeyAsked { author: command.subject.user.0, key: key.key })
                }
                Job::Audit { .. } | Job::Stop => None,
            })
            .collect();
        let mut seen = SeenKeys::new();
        if asked.is_empty() {
            return Ok(seen);
        }
        for row in append::keys_seen(self.ledger.tx(), &asked).await? {
            let channel = log::sql::channel_of(self.ledger.tx(), row.channel).await?;
            let scope = if row.scope == 0 { ChannelId::ZERO } else { channel };
            let mac_version =
                u32::try_from(row.mac_version).map_err(|_| Fault::Integrity("a key version is out of range"))?;
            seen.insert(
                (UserId(row.author), row.key, scope),
                Seen { mac: row.mac, mac_version, channel, seq: row.seq },
            );
        }
        Ok(seen)
    }
}

fn is_of_storage(fault: &Fault) -> bool {
    matches!(fault, Fault::Database(error) if is_storage_failure(error))
}
