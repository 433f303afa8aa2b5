//! One entry in the clear, as features, readers and exports see it.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, UserId};
use crate::kernel::crypto::chain;
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
    /// The event's `data`, exactly as sealed, sent and exported; less than that if [`Fact::withheld`].
    pub body: Arc<RawValue>,
    /// The random value its commitment was made with; zero if [`Fact::withheld`].
    pub r: [u8; 32],
    /// `commit(r, body)`.
    pub commitment: [u8; 32],
    /// Hash over its files, zero without.
    pub files: [u8; 32],
    /// The chain after this entry.
    pub head: [u8; 32],
    /// Its content is not read any more: what stands in `body` is the entry's place in the channel and no words of anybody.
    pub withheld: bool,
}

/// What is left of a body that is withheld: which thing it made or named, about which item, and why the rest is not here.
#[derive(Serialize, Deserialize)]
struct Stub<'b> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<&'b RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    item: Option<&'b RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<&'b RawValue>,
    #[serde(skip_deserializing)]
    withheld: &'b str,
}

impl Fact {
    /// The event frame: the same bytes live, in `history` and in exports.
    #[must_use]
    pub fn frame(&self) -> Frame {
        wire::event(&self.event, self.channel, self.seq, self.at, self.by, &self.body)
    }

    /// Takes the content out, once it was held against its commitment. With `r` gone, not even a guess at it can be tried.
    ///
    /// # Errors
    /// The content is not what was committed to, or no JSON object: an integrity fault.
    pub(super) fn withhold(&mut self, reason: &str) -> Result<(), Fault> {
        if chain::commit(&self.r, self.body.get().as_bytes()) != self.commitment {
            return Err(Fault::Integrity("an entry is not what was committed to"));
        }
        let stub: Stub<'_> =
            serde_json::from_str(self.body.get()).map_err(|_| Fault::Integrity("a body is not JSON"))?;
        let body = serde_json::value::to_raw_value(&Stub { withheld: reason, ..stub });
        self.body = Arc::from(body.map_err(|_| Fault::Defect("a stub is not JSON"))?);
        self.r = [0; 32];
        self.withheld = true;
        Ok(())
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
