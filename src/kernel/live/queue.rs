//! What waits for one session, and the flags that end it or make it decide again.
//! Does not know who reads it. Invariant: bounded in frames and bytes; offering never waits.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::kernel::base::limits::{CURSORS_MAX, QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};
use crate::kernel::base::{ChannelId, Micros, SessionId, UserId};
use crate::kernel::wire::Frame;

/// The person's channel `me`, which has no id of its own: the zero id names no real channel.
pub(super) const ME: ChannelId = ChannelId::ZERO;

/// No subscription was decided under this epoch: epochs begin at 1.
const NOT_FOLLOWED: i64 = -1;

/// A frame on its way to one session.
pub(super) struct Queued {
    pub(super) channel: ChannelId,
    /// None for what is not kept.
    pub(super) seq: Option<i64>,
    pub(super) frame: Frame,
}

/// What a subscription rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The person's `authz_epoch` it was decided under.
    pub(super) epoch: i64,
    /// When the membership ends by itself.
    pub(super) until: Option<Micros>,
}

#[derive(Default)]
struct Held {
    frames: VecDeque<Queued>,
    bytes: usize,
    /// For channels that may have become readable just now: the first entry of the commit that did it.
    fresh: HashMap<ChannelId, i64>,
}

/// The queue of one session. The hub fills it, the session empties it.
pub(super) struct Queue {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    /// Shared with policy: raised by whatever changes what the person may do.
    epoch: Arc<AtomicI64>,
    held: Mutex<Held>,
    wake: Notify,
    /// The epoch channel `me` is followed under.
    me: AtomicI64,
    following: AtomicBool,
    overflowing: AtomicBool,
    ended: AtomicBool,
    recheck: AtomicBool,
}

impl Queue {
    pub(super) fn new(user: UserId, session: SessionId, epoch: Arc<AtomicI64>) -> Self {
        Self {
            user,
            session,
            epoch,
            held: Mutex::default(),
            wake: Notify::new(),
            me: AtomicI64::new(NOT_FOLLOWED),
            following: AtomicBool::new(false),
            overflowing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            recheck: AtomicBool::new(false),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person's epoch now.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Takes a frame if `standing` still holds; otherwise the session has to decide again first.
    pub(super) fn offer(&self, queued: Queued, standing: Standing, now: Micros) {
        if standing.epoch != self.epoch() || standing.until.is_some_and(|until| now >= until) {
            self.ask_recheck();
            return;
        }
        if self.is_overflowing() {
            return;
        }
        let size = queued.frame.len();
        let mut held = self.held();
        let frames = held.frames.len();
        // What is not kept is not worth ending a session for.
        if queued.seq.is_none() && frames >= QUEUE_FRAMES_MAX / 2 {
            return;
        }
        if frames >= QUEUE_FRAMES_MAX || (frames > 0 && held.bytes + size > QUEUE_BYTES_MAX) {
            self.overflowing.store(true, Ordering::Release);
            *held = Held::default();
        } else {
            held.bytes += size;
            held.frames.push_back(queued);
        }
        drop(held);
        self.wake.notify_one();
    }

    /// As [`Queue::offer`], for a fact of channel `me`, if that is followed.
    pub(super) fn offer_me(&self, seq: i64, frame: Frame, now: Micros) {
        let epoch = self.me.load(Ordering::Acquire);
        if epoch != NOT_FOLLOWED {
            self.offer(Queued { channel: ME, seq: Some(seq), frame }, Standing { epoch, until: None }, now);
        }
    }

    /// Channel `me` is followed from now, decided under `epoch`.
    pub(super) fn follow_me(&self, epoch: i64) {
        self.me.store(epoch, Ordering::Release);
    }

    pub(super) fn pop(&self) -> Option<Queued> {
        let mut held = self.held();
        let queued = held.frames.pop_front()?;
        held.bytes -= queued.frame.len();
        if held.frames.is_empty() {
            // An idle session keeps nothing of the last burst.
            held.frames.shrink_to(8);
        }
        Some(queued)
    }

    /// Waits until something is offered or a flag is set. What happened since the last wait counts.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// From here on [`Queue::note_fresh`] is kept.
    pub(super) fn set_following(&self) {
        self.following.store(true, Ordering::Release);
    }

    /// Keeps where channels of a commit begin that changed what the person may do.
    pub(super) fn note_fresh(&self, firsts: &HashMap<ChannelId, i64>) {
        if !self.following.load(Ordering::Acquire) {
            return;
        }
        let mut held = self.held();
        if held.fresh.len() + firsts.len() > CURSORS_MAX {
            held.fresh.clear();
        }
        for (channel, seq) in firsts {
            held.fresh.entry(*channel).or_insert(*seq);
        }
    }

    pub(super) fn take_fresh(&self) -> HashMap<ChannelId, i64> {
        std::mem::take(&mut self.held().fresh)
    }

    /// Has the session decide again what it may read.
    pub(super) fn ask_recheck(&self) {
        if !self.recheck.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Whether a decision is asked for; asking is over with it.
    pub(super) fn take_recheck(&self) -> bool {
        self.recheck.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_recheck_asked(&self) -> bool {
        self.recheck.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn is_overflowing(&self) -> bool {
        self.overflowing.load(Ordering::Acquire)
    }
}
