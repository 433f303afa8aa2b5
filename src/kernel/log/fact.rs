//! One entry in the clear, as features, readers and exports see it.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, UserId};
use crate::kernel::wire::{self, Frame};

/// An entry, opened. Cloning shares the body.
#[derive(Clone)]
pub struct Fact {
    /// The entry's own id; of what it made, where it made something.
    pub id: EntryId,
    /// Event name, such as `message.posted`.
    pub event: Arc<str>,
    /// Leaf kind.
    pub kind: u8,
    /// Leaf flags: [`event_tag`](crate::kernel::crypto::chain::event_tag).
    pub flags: u8,
    /// Epoch of the channel, raised by restores.
    pub epoch: u16,
    /// Whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Place in the channel, from 1 without gaps.
    pub seq: i64,
    /// When, never decreasing within a channel.
    pub at: Micros,
    /// Author.
    pub by: UserId,
    /// The care plan item it is about.
    pub item: Option<ItemId>,
    /// The event's `data`, exactly as sealed, sent and exported.
    pub body: Arc<RawValue>,
    /// The random value its commitment was made with.
    pub r: [u8; 32],
    /// `commit(r, body)`.
    pub commitment: [u8; 32],
    /// Hash over its files, zero without.
    pub files: [u8; 32],
    /// The chain after this entry.
    pub head: [u8; 32],
}

impl Fact {
    /// The event frame: the same bytes live, in `history` and in exports.
    #[must_use]
    pub fn frame(&self) -> Frame {
        wire::event(&self.event, self.channel, self.seq, self.at, self.by, &self.body)
    }

    /// The body as a type. Unknown members are ignored, so that old readers read new entries.
    ///
    /// # Errors
    /// The body is not what its event says: an integrity fault.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_str(self.body.get())
            .map_err(|_| Fault::Integrity("an entry's body is not what its event says"))
    }
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fact({} {} seq {})", self.event, self.channel, self.seq)
    }
}
