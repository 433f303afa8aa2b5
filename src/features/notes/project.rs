//! Brings what is kept of notes up to an entry: the named thing, the marker, what was said later, the alarm and the claim on the item.
//! Invariant: from the entry alone, so that a rebuild gives the same.

use serde::{Deserialize, Serialize};

use super::model::life::{Addended, Confirmed, Dismissed, Disputed, Opened, Reminded, State, Verdict};
use super::model::{Logged, Medium, Participant};
use super::sql::{self, MarkerRow, SequelRow};
use super::writing::REMIND;
use super::{ADDENDED, CONFIRMED, DISMISSED, DISPUTED, LOGGED, OPENED, REMINDED, UNKNOWN};
use crate::features::care_plan::{self, Claim, Weight, Why};
use crate::features::files;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Fault, Micros, ThingId};
use crate::kernel::engine::Ledger;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::Holder;

/// What a later entry about a note is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequel {
    /// Somebody says that it was so.
    Confirmed,
    /// Somebody says that it was not.
    Disputed,
    /// An addendum.
    Addended,
    /// The marker was given up.
    Dismissed,
    /// Somebody was reminded of the marker.
    Reminded,
}

impl Sequel {
    const ALL: [Self; 5] = [Self::Confirmed, Self::Disputed, Self::Addended, Self::Dismissed, Self::Reminded];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Confirmed => 1,
            Self::Disputed => 2,
            Self::Addended => 3,
            Self::Dismissed => 4,
            Self::Reminded => 5,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// What it says of the note, if it says whether it was so.
    #[must_use]
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Confirmed => Some(Verdict::Confirmed),
            Self::Disputed => Some(Verdict::Disputed),
            Self::Addended | Self::Dismissed | Self::Reminded => None,
        }
    }
}

/// What the sealed view of a marker holds.
#[derive(Serialize, Deserialize)]
pub struct View {
    /// How people talk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// With whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Participant>,
}

/// Takes an entry.
pub async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    match &*fact.event {
        OPENED => opened(ledger, fact).await,
        LOGGED => {
            logged(ledger, fact).await?;
            files::attach(ledger, fact).await
        }
        REMINDED => {
            let Reminded { note, remind_minutes, .. } = fact.read()?;
            sequel(ledger, fact, note, Sequel::Reminded, None).await?;
            remind(ledger, fact, note, Some(remind_minutes)).await
        }
        DISMISSED => {
            let Dismissed { note, .. } = fact.read()?;
            sql::dismissed(ledger.change(), note).await?;
            settled(ledger, fact, note).await?;
            sequel(ledger, fact, note, Sequel::Dismissed, Some(State::Dismissed)).await
        }
        CONFIRMED => {
            let Confirmed { note, state, .. } = fact.read()?;
            sequel(ledger, fact, note, Sequel::Confirmed, Some(state)).await
        }
        DISPUTED => {
            let Disputed { note, state, .. } = fact.read()?;
            sequel(ledger, fact, note, Sequel::Disputed, Some(state)).await
        }
        ADDENDED => {
            let Addended { note, .. } = fact.read()?;
            sequel(ledger, fact, note, Sequel::Addended, None).await
        }
        _ => Err(UNKNOWN),
    }
}

fn thing(fact: &Fact, id: ThingId, state: State) -> Thing {
    Thing::made(fact, id, ThingKind::Note, state.number())
}

async fn opened(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Opened { id, item, medium, with, remind_minutes } = fact.read()?;
    ledger.name_thing(thing(fact, id, State::Open));
    let view =
        serde_json::to_vec(&View { medium, with }).map_err(|_| Fault::Defect("the view of a marker is not JSON"))?;
    let row = MarkerRow {
        id,
        patient: fact.patient,
        channel: fact.channel,
        item,
        opener: fact.by,
        seq: fact.seq,
        at: fact.at,
        logged: None,
        author: None,
        sealed: ledger.seal_view(fact.patient, id.0, fact.seq, &view).await?,
    };
    sql::add_marker(ledger.change(), &row).await?;
    let claim = Claim {
        source: id,
        item,
        patient: fact.patient,
        channel: fact.channel,
        seq: fact.seq,
        holder: Holder::User(fact.by),
        due: Some(after(fact, remind_minutes)),
        weight: Weight::Routine,
        why: Why::Note,
    };
    care_plan::claim(ledger, &claim).await?;
    remind(ledger, fact, id, Some(remind_minutes)).await
}

async fn logged(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Logged { id, item, note, .. } = fact.read()?;
    if note.is_none() {
        ledger.name_thing(thing(fact, id, State::Documented));
        return Ok(());
    }
    sql::logged(ledger.change(), id, item, fact.seq, fact.by).await?;
    settled(ledger, fact, id).await?;
    let thing = named(ledger, id).await?;
    ledger.change_thing(Thing { item: fact.item, state: State::Documented.number(), ..thing }).await
}

async fn named(ledger: &mut Ledger, id: ThingId) -> Result<Thing, Fault> {
    ledger.thing(id).await?.ok_or(Fault::Integrity("an entry about a note that is not there"))
}

/// A later entry, and the state it leads to.
async fn sequel(
    ledger: &mut Ledger,
    fact: &Fact,
    note: ThingId,
    kind: Sequel,
    state: Option<State>,
) -> Result<(), Fault> {
    let row = SequelRow { seq: fact.seq, kind: kind.number(), person: fact.by };
    sql::add_sequel(ledger.change(), note, &row).await?;
    let Some(state) = state else { return Ok(()) };
    let thing = named(ledger, note).await?;
    ledger.change_thing(Thing { open: state != State::Dismissed, state: state.number(), ..thing }).await
}

/// A marker waits no more.
async fn settled(ledger: &mut Ledger, fact: &Fact, note: ThingId) -> Result<(), Fault> {
    care_plan::release(ledger, note).await?;
    remind(ledger, fact, note, None).await
}

fn after(fact: &Fact, minutes: u32) -> Micros {
    fact.at.saturating_add(Micros::from(minutes).saturating_mul(MINUTE))
}

async fn remind(ledger: &mut Ledger, fact: &Fact, note: ThingId, minutes: Option<u32>) -> Result<(), Fault> {
    ledger.set_alarm(note.0, REMIND, fact.patient, minutes.map(|minutes| after(fact, minutes))).await
}
