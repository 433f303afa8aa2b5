//! What one connection is sent: it resumes, catches up page by page, then goes on live, and decides again whenever rights move.
//! Does not know what carries the frames; it is asked for the next one, so a slow peer fetches slowly and holds nothing meanwhile.
//! Invariants: nothing before `resume`; events of a channel in order of `seq`, none twice unless a cursor is moved back; no frame leaves
//! under an epoch that has passed; the database is read in tasks of their own, so that a stalled peer keeps no snapshot open.

mod work;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::hub::{Full, Hub, Place};
use super::pages::{Caller, Page, Survey};
use super::queue::ME;
use super::resume::{Answer, Asked, Plan};
use crate::kernel::base::{ChannelId, Code, Fault, Micros, PatientId, Refusal, SessionId, Stop, UserId};
use crate::kernel::engine::roll::delivered::Unflushed;
use crate::kernel::engine::{Attendance, Data, Engine};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{Right, SessionState, Subject};
use crate::kernel::wire::{self, Frame};

/// The epoch moves a moment before the hub says which commit did it; without word by then the session decides again all the same.
const WORD_WAIT: Duration = Duration::from_millis(250);
/// A mark is given after this even if events never cease: whoever waits for it wants to know that somebody is there.
const MARK_WAIT: Duration = Duration::from_secs(5);
/// Category of the audit rows about delivery.
const CATEGORY: &str = "message";

/// What comes next.
#[derive(Debug)]
pub enum Delivery {
    /// An event.
    Event(Frame),
    /// The answer to a `resume`, once everything it owes was given.
    Resumed {
        /// The frame it answers.
        id: Value,
        /// `sent`, `reset`, `gaps`.
        answer: Result<Value, Refusal>,
    },
    /// What [`Session::mark`] was called with, behind everything that was owed then.
    Marked(Value),
    /// Nothing comes any more.
    End(End),
}

/// Why nothing comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The session expired or was ended, or the account may not be used.
    Ended,
    /// The queue was full.
    TooSlow,
    /// The key is gone.
    Sealed,
    /// We failed; nothing is skipped in silence.
    Failed,
}

struct Position {
    /// Everything up to here was sent, or lies in a gap.
    sent: i64,
    /// Newest `seq` heard of.
    known: i64,
    /// Listed in `behind`.
    behind: bool,
    /// Found readable here, before the hub told by which commit: when it does, what that commit brought is still owed.
    found: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resume,
    Recheck,
    Heads,
    Page,
}

enum Done {
    Resume(Survey, Plan),
    Recheck(Survey),
    Heads(Vec<(ChannelId, i64)>),
    Page(ChannelId, Option<Page>),
}

type Work = AbortOnDropHandle<Result<Done, Stop>>;

/// A `resume` under way.
struct Resuming {
    id: Value,
    asked: Asked,
    answer: Answer,
    starts: HashSet<ChannelId>,
}

/// One signed-in connection. Dropping it ends its subscriptions.
pub struct Session {
    caller: Caller,
    place: Place,
    /// The epoch that what is followed was decided under; none before the first `resume`.
    epoch: Option<i64>,
    /// The earliest end of a membership that what is followed rests on.
    until: Option<Micros>,
    followed: HashMap<ChannelId, Position>,
    /// Readable when last decided.
    seen: HashSet<ChannelId>,
    patients: Vec<PatientId>,
    /// No `resume` narrowed it: what becomes readable is followed.
    follows_all: bool,
    behind: VecDeque<ChannelId>,
    page: Option<Page>,
    /// Whose turn it is: what waits in the queue must not starve what is caught up, nor the other way round.
    page_next: bool,
    working: Option<(Kind, Work)>,
    asked: VecDeque<(Value, Asked)>,
    resuming: Option<Box<Resuming>>,
    ready: VecDeque<Delivery>,
    marks: VecDeque<(Value, Instant)>,
    stale_since: Option<Instant>,
    /// Where the commits began that the decision under way was asked for by.
    fresh: HashMap<ChannelId, i64>,
    delivered: BTreeMap<ChannelId, [i64; 2]>,
    /// The channel of the last event that has a `seq`.
    moved: Option<ChannelId>,
    /// Handed over to be written, and not flushed yet.
    unflushed: Unflushed,
    _attendance: Attendance,
}

impl Session {
    /// Takes a place in the hub for a session that is signed in.
    ///
    /// # Errors
    /// `rate_limited` when the person has as many connections as one may have, `unauthenticated` for an account that may not be used.
    pub fn open(
        engine: &Engine,
        hub: &Arc<Hub>,
        session: SessionId,
        state: Arc<SessionState>,
        address: Option<IpAddr>,
    ) -> Result<Self, Refusal> {
        let user: UserId = state.user;
        let person = engine.book().person(user).filter(|person| person.active);
        let epoch = person.ok_or_else(|| Refusal::new(Code::Unauthenticated))?.epoch;
        let most = usize::try_from(engine.shared().config.limits.sockets_per_user).unwrap_or(usize::MAX);
        let place = hub.enter(user, session, epoch, most).map_err(|Full| {
            Refusal::new(Code::RateLimited)
                .detail("This account has as many connections as it may have. Close one first.")
                .retry_after_ms(10_000)
        })?;
        Ok(Self {
            caller: Caller { engine: engine.clone(), user, session, address, state },
            place,
            epoch: None,
            until: None,
            followed: HashMap::new(),
            seen: HashSet::new(),
            patients: Vec::new(),
            follows_all: false,
            behind: VecDeque::new(),
            page: None,
            page_next: false,
            working: None,
            asked: VecDeque::new(),
            resuming: None,
            ready: VecDeque::new(),
            marks: VecDeque::new(),
            stale_since: None,
            fresh: HashMap::new(),
            delivered: BTreeMap::new(),
            moved: None,
            unflushed: Unflushed::default(),
            _attendance: Attendance::new(engine.shared(), user),
        })
    }

    /// The person as policy sees them now; none if the account may not be used.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        self.caller.subject()
    }

    /// The session as every holder of it sees it.
    #[must_use]
    pub fn state(&self) -> &Arc<SessionState> {
        &self.caller.state
    }

    /// Begins a `resume`; its events and its answer come by [`Session::next`]. Several are done one after the other.
    ///
    /// # Errors
    /// `invalid` with the field.
    pub fn resume(&mut self, id: Value, data: &Data) -> Result<(), Refusal> {
        self.asked.push_back((id, Asked::read(data)?));
        Ok(())
    }

    /// Has `id` come back by [`Session::next`] behind every event that was published before, also those that are still to be read.
    pub fn mark(&mut self, id: Value) {
        self.marks.push_back((id, Instant::now()));
    }

    /// Tells the others in a channel that the person writes. Not kept.
    ///
    /// # Errors
    /// As for a message there: `not_found`, `forbidden`, `archived`.
    pub fn typing(&self, channel: ChannelId) -> impl Future<Output = Result<(), Refusal>> + Send + 'static + use<> {
        let (caller, hub) = (self.caller.clone(), self.place.hub());
        async move {
            let asked = async {
                let (mut read, _) = caller.reader().await?;
                read.permit_channel(Right::Post, channel).await?;
                Ok::<_, Stop>(())
            };
            if let Err(stop) = asked.await {
                let refusal = work::failed(&stop);
                let draft = Draft { actor: Some(caller.user), session: Some(caller.session), ..Draft::default() };
                let draft = Draft { address: caller.address, action: "typing".into(), ..draft };
                caller.engine.audit(vec![Draft { outcome: refusal.code.text(), ..draft }]).await?;
                return Err(refusal);
            }
            let at = caller.engine.world().now();
            let empty = RawValue::from_string("{}".into()).map_err(|_| Refusal::new(Code::Internal))?;
            let frame = wire::event_bytes("typing", Some(&channel.to_string()), None, at, Some(caller.user), &empty);
            hub.typing(channel, caller.user, &frame);
            Ok(())
        }
    }

    /// The next thing to send. Nothing is lost when this is dropped before it is ready.
    pub async fn next(&mut self) -> Delivery {
        loop {
            if let Some(delivery) = self.at_hand() {
                return delivery;
            }
            self.wait().await;
        }
    }

    /// Where this connection is in each channel it follows: everything up to that `seq` was given by [`Session::next`], or lies in a gap.
    #[must_use]
    pub fn cursors(&self) -> Vec<(ChannelId, i64)> {
        self.followed.iter().map(|(channel, position)| (*channel, position.sent)).collect()
    }

    /// The channel of the event given last, if it has a `seq` and was not asked for before.
    pub fn take_moved(&mut self) -> Option<ChannelId> {
        self.moved.take()
    }

    /// Waits for what ends the session while something is written; [`Session::next`] tells it all the same.
    pub async fn stopped(&self) -> End {
        loop {
            if let Some(end) = self.over() {
                return end;
            }
            self.place.queue.changed().await;
        }
    }

    /// Why nothing may be sent or begun any more; none while the session holds.
    #[must_use]
    pub fn over(&self) -> Option<End> {
        let queue = &self.place.queue;
        if queue.is_ended() || !self.caller.state.holds(self.now()) {
            Some(End::Ended)
        } else {
            queue.is_overflowing().then_some(End::TooSlow)
        }
    }

    /// What was delivered since the last call, as a row for the audit trail; none if nothing was.
    pub fn take_delivered(&mut self) -> Option<Draft> {
        if self.delivered.is_empty() {
            return None;
        }
        let delivered = std::mem::take(&mut self.delivered);
        Some(Draft {
            actor: Some(self.caller.user),
            session: Some(self.caller.session),
            address: self.caller.address,
            action: "deliver".into(),
            category: CATEGORY,
            ranges: delivered.into_iter().map(|(channel, [first, last])| (channel, first, last)).collect(),
            outcome: "done",
            ..Draft::default()
        })
    }

    /// Takes back what could not be put on record: it is part of the next row.
    pub fn keep_delivered(&mut self, draft: Draft) {
        for (channel, first, last) in draft.ranges {
            let range = self.delivered.entry(channel).or_insert([first, last]);
            *range = [range[0].min(first), range[1].max(last)];
        }
    }

    fn now(&self) -> Micros {
        let engine = &self.caller.engine;
        engine.book().latest(engine.world().now())
    }

    fn at_hand(&mut self) -> Option<Delivery> {
        if let Some(end) = self.over() {
            return Some(Delivery::End(end));
        }
        if let Some(delivery) = self.ready.pop_front() {
            return Some(delivery);
        }
        if self.is_decided() {
            self.stale_since = None;
            if let Some(frame) = self.frame() {
                return Some(Delivery::Event(frame));
            }
        }
        self.work();
        let delivery = self.ready.pop_front();
        if delivery.is_some() {
            return delivery;
        }
        let settled = self.working.is_none() && (self.epoch.is_none() || self.is_decided());
        let (_, since) = self.marks.front()?;
        if settled || since.elapsed() >= MARK_WAIT {
            return self.marks.pop_front().map(|(id, _)| Delivery::Marked(id));
        }
        None
    }

    /// Whether what is followed was decided under the rights of this moment.
    fn is_decided(&self) -> bool {
        let queue = &self.place.queue;
        self.epoch.is_some_and(|epoch| epoch == queue.epoch())
            && !queue.is_recheck_asked()
            && self.until.is_none_or(|until| self.now() < until)
    }

    fn frame(&mut self) -> Option<Frame> {
        self.page_next = !self.page_next;
        if self.page_next {
            self.frame_of_page().or_else(|| self.frame_of_queue())
        } else {
            self.frame_of_queue().or_else(|| self.frame_of_page())
        }
    }

    fn frame_of_page(&mut self) -> Option<Frame> {
        let page = self.page.as_mut()?;
        // Read under rights that have moved since, or of a channel that is left: it is read again, or not at all.
        let position = self.followed.get_mut(&page.channel).filter(|_| Some(page.epoch) == self.epoch);
        let Some(position) = position else {
            self.page = None;
            return None;
        };
        let channel = page.channel;
        let Some((seq, frame)) = page.frames.pop_front() else {
            position.sent = position.sent.max(page.through);
            self.page = None;
            return None;
        };
        position.sent = seq;
        self.note(channel, seq);
        Some(frame)
    }

    fn frame_of_queue(&mut self) -> Option<Frame> {
        while let Some(queued) = self.place.queue.pop() {
            let Some(position) = self.followed.get_mut(&queued.channel) else { continue };
            let Some(seq) = queued.seq else { return Some(queued.frame) };
            if seq <= position.sent {
                continue;
            }
            if seq == position.sent + 1 && !position.behind {
                position.sent = seq;
                self.note(queued.channel, seq);
                return Some(queued.frame);
            }
            position.hear(seq, queued.channel, &mut self.behind);
        }
        None
    }

    fn note(&mut self, channel: ChannelId, seq: i64) {
        self.moved = Some(channel);
        if let Some(resuming) = self.resuming.as_mut().filter(|resuming| resuming.starts.contains(&channel)) {
            resuming.answer.count(channel);
        }
        if channel != ME {
            let range = self.delivered.entry(channel).or_insert([seq, seq]);
            *range = [range[0].min(seq), range[1].max(seq)];
            self.unflushed.note(channel, seq);
        }
    }

    /// An entry is on its way to the peer inside an answer, such as a page of `history`.
    pub fn handed_over(&mut self, channel: ChannelId, seq: i64) {
        self.unflushed.note(channel, seq);
    }

    /// Whatever carries the frames has written out all that it was given: those entries are delivered.
    pub fn flushed(&mut self) {
        let shared = self.caller.engine.shared();
        shared.roll.delivered.flushed(self.caller.user, &mut self.unflushed, shared.world.now());
    }

    async fn wait(&mut self) {
        let queue = self.place.queue.clone();
        let word = self.stale_since.map(|since| since + WORD_WAIT);
        let working = self.working.as_mut();
        let done = async {
            match working {
                Some((kind, work)) => (*kind, work.await),
                None => std::future::pending().await,
            }
        };
        let worded = async {
            match word {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = queue.changed() => {}
            () = worded => {}
            (kind, done) = done => {
                self.working = None;
                let done = done.unwrap_or(Err(Stop::Failed(Fault::Defect("a task of a session ended in a panic"))));
                self.finish(kind, done);
            }
        }
    }
}

impl Position {
    /// There is something up to `seq` that has to be read.
    fn hear(&mut self, seq: i64, channel: ChannelId, behind: &mut VecDeque<ChannelId>) {
        self.known = self.known.max(seq);
        if !self.behind {
            self.behind = true;
            behind.push_back(channel);
        }
    }
}
