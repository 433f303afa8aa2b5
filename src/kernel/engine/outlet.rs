//! Where committed news goes. The committer calls it and knows no more of who listens.

use crate::kernel::base::{ChannelId, SessionId, UserId};
use crate::kernel::log::Fact;
use crate::kernel::wire::Frame;

/// A fact of channel `me`: for one person, outside the record, ids only.
#[derive(Clone, Debug)]
pub struct Personal {
    /// Whose.
    pub user: UserId,
    /// Its place in the person's channel `me`.
    pub seq: i64,
    /// The event frame.
    pub frame: Frame,
}

/// An event of a channel that is not kept: it has no `seq`.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Where.
    pub channel: ChannelId,
    /// The event frame.
    pub frame: Frame,
}

/// What one commit brought.
#[derive(Default)]
pub struct News {
    /// Entries, in the order they were committed.
    pub facts: Vec<Fact>,
    /// Facts of channels `me`.
    pub personal: Vec<Personal>,
    /// Events that are not kept, to who follows the channel.
    pub passing: Vec<Passing>,
    /// People whose rights changed: what was decided for them before is decided again.
    pub raised: Vec<UserId>,
    /// Sessions that ended: their sockets close.
    pub ended: Vec<SessionId>,
}

impl News {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
            && self.passing.is_empty()
            && self.personal.is_empty()
            && self.raised.is_empty()
            && self.ended.is_empty()
    }
}

/// Takes news after their commit. Must not block: the next commit waits for it.
pub trait Outlet: Send + Sync {
    /// Tells everyone who listens.
    fn publish(&self, news: News);
}

/// Tells nobody: for commands that run alone.
pub struct Silent;

impl Outlet for Silent {
    fn publish(&self, _news: News) {}
}
