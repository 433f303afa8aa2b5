//! The commands of one connection that are under way. Begun in order, answered as they finish.
//! Does not know the socket. Writes wait in the committer's queue from the moment they are begun; reads run in tasks of their own, a few
//! at a time, so that a peer that takes no answers keeps no snapshot open and only a few pages in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::features::identity::Door;
use crate::kernel::base::{Code, Refusal};
use crate::kernel::engine::{Boxed, Data, Effect, Progress};
use crate::kernel::policy::Subject;

/// The op that is answered with a page of entries.
const PAGE_OP: &str = "history";
/// Reads of one connection that run, or whose answer waits to be sent.
const READS_MAX: usize = 4;
/// A read that takes longer than this says how far it is, and again after as long.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

type Answered = Result<Value, Refusal>;

/// One answer.
pub(super) struct Answer {
    pub(super) id: Value,
    pub(super) answered: Answered,
    /// It tells what stands in the record, where the others tell what was done.
    pub(super) read: bool,
    /// Its number among the reads.
    number: u64,
    /// It is a page of entries, as they were sent live.
    pub(super) page: bool,
}

/// A read that waits for its turn.
struct Waiting {
    id: Value,
    subject: Subject,
    op: String,
    data: Data,
    number: u64,
    progress: Arc<Progress>,
}

/// A read that is not answered yet.
struct Watched {
    id: Value,
    progress: Arc<Progress>,
    /// When it began, or last said how far it is.
    told: Instant,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Answers {
    running: FuturesUnordered<Boxed<'static, Answer>>,
    reads: usize,
    waiting: VecDeque<Waiting>,
    watched: BTreeMap<u64, Watched>,
    last: u64,
}

impl Answers {
    /// Commands not answered yet.
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Of these, those that are no reads.
    pub(super) fn writes(&self) -> usize {
        self.running.len() - self.reads
    }

    /// Begins an op of the registry. Whether it is something that a person does is told for the sake of idle log-off.
    pub(super) fn begin(&mut self, door: &Door, id: Value, subject: Subject, op: String, data: Data) -> bool {
        let known = door.engine().shared().registry.op(&op).map(|(_, op)| op).filter(|op| op.public);
        if known.is_some_and(|op| op.effect == Effect::Read) {
            self.last += 1;
            let (number, progress) = (self.last, Arc::new(Progress::default()));
            let watched = Watched { id: id.clone(), progress: progress.clone(), told: Instant::now() };
            self.watched.insert(number, watched);
            self.waiting.push_back(Waiting { id, subject, op, data, number, progress });
            self.start_reads(door);
        } else {
            // Queued here, before anything waits.
            let answered = door.run(subject, &op, data);
            self.push(id, answered);
        }
        known.is_some_and(|op| op.activity)
    }

    /// Begins what is no op of the registry.
    pub(super) fn push(&mut self, id: Value, answered: impl Future<Output = Answered> + Send + 'static) {
        self.running.push(Box::pin(async move {
            Answer { id, answered: answered.await, read: false, number: 0, page: false }
        }));
    }

    fn start_reads(&mut self, door: &Door) {
        while self.reads < READS_MAX
            && let Some(Waiting { id, subject, op, data, number, progress }) = self.waiting.pop_front()
        {
            self.reads += 1;
            let page = op == PAGE_OP;
            let task = AbortOnDropHandle::new(tokio::spawn(door.run_watched(subject, &op, data, progress)));
            self.running.push(Box::pin(async move {
                let answered = task.await.unwrap_or_else(|_| Err(Refusal::new(Code::Internal)));
                Answer { id, answered, read: true, number, page }
            }));
        }
    }

    /// The next answer; waits for ever while nothing is under way. Nothing is lost when this is dropped before it is ready.
    pub(super) async fn next(&mut self, door: &Door) -> Answer {
        if self.running.is_empty() {
            return std::future::pending().await;
        }
        let Some(answer) = self.running.next().await else { return std::future::pending().await };
        if answer.read {
            self.reads -= 1;
            self.watched.remove(&answer.number);
            self.start_reads(door);
        }
        answer
    }

    /// As [`Answers::next`], if one is there already.
    pub(super) fn ready(&mut self, door: &Door) -> Option<Answer> {
        self.next(door).now_or_never()
    }

    /// Has a read answer with what it has; whether there is one of that id. A short one does not heed it.
    pub(super) fn cancel(&self, id: &Value) -> bool {
        let mut of_id = self.watched.values().filter(|watched| watched.id == *id).peekable();
        let found = of_id.peek().is_some();
        of_id.for_each(|watched| watched.progress.cancel());
        found
    }

    /// When to look next how far the reads are.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.watched.values().map(|watched| watched.told + PROGRESS_EVERY).min()
    }

    /// The reads whose progress is to be told now: the id of each, how much of how much.
    pub(super) fn take_progress(&mut self, now: Instant) -> Vec<(Value, u64, u64)> {
        let due = self.watched.values_mut().filter(|watched| now >= watched.told + PROGRESS_EVERY);
        due.filter_map(|watched| {
            watched.told = now;
            let (scanned, of) = watched.progress.told()?;
            Some((watched.id.clone(), scanned, of))
        })
        .collect()
    }
}
