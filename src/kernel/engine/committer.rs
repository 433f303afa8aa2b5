//! Group commit without a timer: whatever queued during the last commit is the next transaction.
//! Replies after the commit, news after the replies are free to go. A fault rolls the batch back and runs its commands singly.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::auditor::Auditor;
use super::execution::{self, Outcome, log_fault};
use super::ledger::Ledger;
use super::outlet::Outlet;
use super::write::{Seen, SeenKeys};
use super::{Command, Job, Shared};
use crate::kernel::base::{ChannelId, Code, Fault, Micros, Refusal, Stop, UserId};
use crate::kernel::log;
use crate::kernel::policy::audit::Draft;
use crate::kernel::store::append::{self, KeyAsked};
use crate::kernel::store::is_storage_failure;

/// How often counts of refusals are looked at when nothing else is committed.
const SETTLE_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) struct Committer {
    shared: Arc<Shared>,
    ledger: Ledger,
    auditor: Auditor,
    outlet: Arc<dyn Outlet>,
    /// The latest time given to a batch: the stream of audit times does not go back.
    latest: Micros,
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

fn refuse(job: Job, refusal: &Refusal) {
    match job {
        Job::Command(command) => drop(command.answer.send(Err(refusal.clone()))),
        Job::Audit { answer, .. } => drop(answer.send(Err(refusal.clone()))),
        Job::Stop => {}
    }
}

impl Committer {
    pub(super) async fn open(shared: Arc<Shared>, outlet: Arc<dyn Outlet>) -> Result<Self, Fault> {
        let mut tx = shared.db.read().await?;
        let auditor = Auditor::open(&mut tx).await?;
        drop(tx);
        let ledger = Ledger::new(shared.clone());
        Ok(Self { shared, ledger, auditor, outlet, latest: 0 })
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>, batch_max: usize) {
        let mut jobs = Vec::with_capacity(batch_max);
        loop {
            let received = tokio::time::timeout(SETTLE_EVERY, queue.recv_many(&mut jobs, batch_max)).await;
            match received {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    self.auditor.settle(self.shared.world.now());
                    if self.auditor.is_empty() {
                        continue;
                    }
                }
            }
            let received = jobs.len();
            jobs.retain(|job| !matches!(job, Job::Stop));
            let stop = jobs.len() < received;
            self.group(std::mem::take(&mut jobs)).await;
            if stop {
                break;
            }
        }
    }

    async fn group(&mut self, jobs: Vec<Job>) {
        metrics::histogram!("carethread_batch_commands").record(jobs.len() as f64);
        let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
        let Err(fault) = self.attempt(&mut jobs).await else { return };
        self.undo().await;
        if self.storage_failed(&fault).await {
            jobs.into_iter().flatten().for_each(|job| refuse(job, &Stop::Failed(Fault::Defect("storage")).refusal()));
            return;
        }
        if jobs.len() == 1 {
            self.give_up(jobs.pop().flatten(), fault).await;
            return;
        }
        // One of them broke it; singly, only that one fails.
        for job in jobs {
            let mut single = [job];
            if let Err(fault) = self.attempt(&mut single).await {
                self.undo().await;
                self.storage_failed(&fault).await;
                let [job] = single;
                self.give_up(job, fault).await;
            }
        }
    }

    /// The transaction is over; what was held of it is forgotten.
    async fn undo(&mut self) {
        if let Ok(tx) = self.ledger.take_tx() {
            tx.rollback().await;
        }
        self.ledger.forget();
        self.auditor.drop_pending();
    }

    /// After a failed fsync nothing on the handle is to be trusted (security: never retry it): drop it, open anew, verify, go on or exit.
    async fn storage_failed(&mut self, fault: &Fault) -> bool {
        let Fault::Database(error) = fault else { return false };
        if !is_storage_failure(error) {
            return false;
        }
        log_fault(fault, "commit");
        tracing::error!("The storage failed; the handle is dropped and opened anew");
        if let Err(error) = self.reopen().await {
            tracing::error!(error = %error, "The record could not be opened again; ending so that nothing rests on it");
            std::process::exit(1);
        }
        true
    }

    async fn reopen(&mut self) -> Result<(), Fault> {
        self.shared.db.reopen().await.map_err(|_| Fault::Defect("the database does not open again"))?;
        let mut tx = self.shared.db.read().await?;
        self.auditor = Auditor::open(&mut tx).await?;
        log::verify::newest(&mut tx, &self.shared.vault).await
    }

    async fn give_up(&mut self, job: Option<Job>, fault: Fault) {
        let Some(job) = job else { return };
        let op = if let Job::Command(command) = &job { command.op.name } else { "audit" };
        log_fault(&fault, op);
        let refusal = Stop::Failed(fault).refusal();
        if let Job::Command(command) = &job {
            let mut audit = Draft::of(&command.subject, command.op.name);
            audit.outcome = Code::Internal.text();
            self.auditor.add(audit);
        }
        refuse(job, &refusal);
    }

    /// One transaction over `jobs`. On success all are answered and taken out; on a fault all are left in.
    async fn attempt(&mut self, jobs: &mut [Option<Job>]) -> Result<(), Fault> {
        let now = self.shared.book.latest(self.shared.world.now()).max(self.latest);
        self.latest = now;
        self.ledger.begin(self.shared.db.write().await?);
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
        self.ledger.take_tx()?.commit().await?;
        self.auditor.committed(flushed);
        let news = self.ledger.committed();
        for (slot, outcome) in jobs.iter_mut().zip(outcomes) {
            match (slot.take(), outcome) {
                (Some(Job::Command(command)), Some(answer)) => Answer::Command(command.answer, answer).give(),
                (Some(Job::Audit { answer, .. }), _) => Answer::Audit(answer).give(),
                _ => {}
            }
        }
        if !news.is_empty() {
            metrics::counter!("carethread_entries_total").increment(news.facts.len() as u64);
            self.outlet.publish(news);
        }
        Ok(())
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
