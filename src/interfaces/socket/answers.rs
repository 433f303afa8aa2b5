//! The commands of one connection that are under way. Begun in order, answered as they finish.
//! Does not know the socket. Writes wait in the committer's queue from the moment they are begun; reads run in tasks of their own, a few
//! at a time, so that a peer that takes no answers keeps no snapshot open and only a few pages in memory.

use std::collections::VecDeque;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::features::identity::Door;
use crate::kernel::base::{Code, Refusal};
use crate::kernel::engine::{Boxed, Data, Effect};
use crate::kernel::policy::Subject;

/// The op that is answered with a page of entries.
const PAGE_OP: &str = "history";
/// Reads of one connection that run, or whose answer waits to be sent.
const READS_MAX: usize = 4;

type Answered = Result<Value, Refusal>;

/// One answer.
pub(super) struct Answer {
    pub(super) id: Value,
    pub(super) answered: Answered,
    /// It tells what stands in the record, where the others tell what was done.
    pub(super) read: bool,
    /// It is a page of entries, as they were sent live.
    pub(super) page: bool,
}

/// A read that waits for its turn.
struct Waiting {
    id: Value,
    subject: Subject,
    op: String,
    data: Data,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Answers {
    running: FuturesUnordered<Boxed<'static, Answer>>,
    reads: usize,
    waiting: VecDeque<Waiting>,
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
            self.waiting.push_back(Waiting { id, subject, op, data });
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
        self.running.push(Box::pin(async move { Answer { id, answered: answered.await, read: false, page: false } }));
    }

    fn start_reads(&mut self, door: &Door) {
        while self.reads < READS_MAX
            && let Some(Waiting { id, subject, op, data }) = self.waiting.pop_front()
        {
            self.reads += 1;
            let page = op == PAGE_OP;
            let task = AbortOnDropHandle::new(tokio::spawn(door.run(subject, &op, data)));
            self.running.push(Box::pin(async move {
                let answered = task.await.unwrap_or_else(|_| Err(Refusal::new(Code::Internal)));
                Answer { id, answered, read: true, page }
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
            self.start_reads(door);
        }
        answer
    }

    /// As [`Answers::next`], if one is there already.
    pub(super) fn ready(&mut self, door: &Door) -> Option<Answer> {
        self.next(door).now_or_never()
    }
}
