//! Named things: what an id stands for, without knowing its feature.

use super::Fact;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, PatientId, ThingId, UserId};

/// What kind of thing an id names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThingKind {
    /// A care plan item.
    PlanItem,
    /// A message.
    Message,
    /// A note.
    Note,
    /// A task.
    Task,
    /// A handoff.
    Handoff,
}

impl ThingKind {
    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::PlanItem => 1,
            Self::Message => 2,
            Self::Note => 3,
            Self::Task => 4,
            Self::Handoff => 5,
        }
    }

    pub(super) fn from_number(number: i16) -> Option<Self> {
        [Self::PlanItem, Self::Message, Self::Note, Self::Task, Self::Handoff]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// A named thing as it stands now.
#[derive(Clone, PartialEq, Debug)]
pub struct Thing {
    /// Its id.
    pub id: ThingId,
    /// What it is.
    pub kind: ThingKind,
    /// At which patient.
    pub patient: PatientId,
    /// In which channel it was made.
    pub channel: ChannelId,
    /// The plan item it is linked to now.
    pub item: Option<ItemId>,
    /// Who made it.
    pub author: UserId,
    /// `seq` of the entry that made it.
    pub seq: i64,
    /// A plan item: open. A message: not retracted. A note, a task: not final.
    pub open: bool,
    /// A plan item: family sees it.
    pub shared: bool,
    /// The feature's own small number.
    pub state: i16,
    /// The entry that made it.
    pub entry: EntryId,
}

impl Thing {
    /// What an entry makes: open, about what the entry is about, by its author.
    #[must_use]
    pub const fn made(fact: &Fact, id: ThingId, kind: ThingKind, state: i16) -> Self {
        Self {
            id,
            kind,
            patient: fact.patient,
            channel: fact.channel,
            item: fact.item,
            author: fact.by,
            seq: fact.seq,
            open: true,
            shared: false,
            state,
            entry: fact.id,
        }
    }
}

/// The row as it stands in the database.
#[derive(sqlx::FromRow)]
pub(super) struct ThingColumns {
    id: ThingId,
    kind: i16,
    patient: PatientId,
    channel: ChannelId,
    item: Option<ItemId>,
    author: UserId,
    seq: i64,
    open: bool,
    shared: bool,
    state: i16,
    entry: EntryId,
}

impl TryFrom<ThingColumns> for Thing {
    type Error = Fault;
    fn try_from(row: ThingColumns) -> Result<Self, Fault> {
        let ThingColumns { id, kind, patient, channel, item, author, seq, open, shared, state, entry } = row;
        let kind = ThingKind::from_number(kind).ok_or(Fault::Integrity("unknown kind of thing"))?;
        Ok(Self { id, kind, patient, channel, item, author, seq, open, shared, state, entry })
    }
}
