//! Bodies of the entries about handoffs: a file format, never changed, only joined by new members.
//! No `Debug`: they hold what is said of a patient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::base::{EntryId, Fault, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Reason, Text};
use crate::kernel::engine::{Event, Utterance};
use crate::kernel::log::scan::Line;
use crate::kernel::policy::Responsibility;

/// The events of this feature.
pub const EVENTS: &[Event] = &[
    Event::of::<Offered>(OFFERED),
    Event::of::<Accepted>(ACCEPTED),
    Event::of::<Declined>(DECLINED),
    Event::of::<Withdrawn>(WITHDRAWN),
    Event::of::<Escalated>(ESCALATED),
];
/// Somebody offers their work at a patient to a colleague.
pub const OFFERED: &str = "handoff.offered";
/// The colleague said back what they understood, and has it from here on.
pub const ACCEPTED: &str = "handoff.accepted";
/// The colleague does not take it.
pub const DECLINED: &str = "handoff.declined";
/// It is offered no more.
pub const WITHDRAWN: &str = "handoff.withdrawn";
/// It waited too long, or cannot be answered any more.
pub const ESCALATED: &str = "handoff.escalated";

/// How ill the patient is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As expected.
    Stable,
    /// May get worse.
    Watcher,
    /// Needs somebody now.
    Unstable,
}

impl Severity {
    /// From the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "stable" => Some(Self::Stable),
            "watcher" => Some(Self::Watcher),
            "unstable" => Some(Self::Unstable),
            _ => None,
        }
    }
}

/// What is to be done: as one text, or one a line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Actions {
    /// One text.
    Text(#[schemars(with = "Text")] String),
    /// Each for itself; none: there is nothing to do.
    List(#[schemars(length(max = super::model::ACTIONS_MAX))] Vec<String>),
}

/// What the receiver has to know: I-PASS without its last part, which is the receiver's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipass {
    /// How ill the patient is.
    pub illness_severity: Severity,
    /// What happened so far.
    #[schemars(with = "Text")]
    pub patient_summary: String,
    /// What is to be done.
    pub action_list: Actions,
    /// What may happen, and what then.
    #[schemars(with = "Text")]
    pub situation_awareness: String,
}

impl Ipass {
    /// Everything it says.
    fn texts(self) -> Vec<String> {
        let mut texts = vec![self.patient_summary];
        match self.action_list {
            Actions::Text(text) => texts.push(text),
            Actions::List(list) => texts.extend(list),
        }
        texts.push(self.situation_awareness);
        texts
    }
}

/// Body of `handoff.offered`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    /// The handoff.
    pub id: ThingId,
    /// At which patient.
    pub patient: PatientId,
    /// To whom.
    pub to: UserId,
    /// What they have to know.
    pub ipass: Ipass,
    /// The tasks that are to move.
    pub tasks: Vec<ThingId>,
    /// Open tasks of the offerer that stay, since the receiver does not read their channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<ThingId>,
    /// The responsibilities that are to move.
    pub responsibilities: Vec<Responsibility>,
    /// Minutes until whoever has to act is reminded.
    pub respond_minutes: u32,
    /// Declined handoffs of the offerer that this one stands in place of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<ThingId>,
}

/// Body of `handoff.accepted`: what moves follows in the same commit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// This acceptance.
    pub id: EntryId,
    /// Of what.
    pub handoff: ThingId,
    /// What the receiver understood, in their words.
    #[schemars(with = "Text")]
    pub synthesis: String,
    /// The tasks that move.
    pub tasks: Vec<ThingId>,
    /// Offered tasks that do not: they ended meanwhile, or rest with somebody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<ThingId>,
    /// The responsibilities that move: those the offerer still holds.
    pub responsibilities: Vec<Responsibility>,
}

/// Body of `handoff.declined`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Declined {
    /// This refusal.
    pub id: EntryId,
    /// Of what.
    pub handoff: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Body of `handoff.withdrawn`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withdrawn {
    /// This withdrawal.
    pub id: EntryId,
    /// Of what.
    pub handoff: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Why a handoff is brought before somebody again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nobody answered.
    Unanswered,
    /// It was declined, and nothing was done since.
    Declined,
    /// Whoever offered it, or was to answer it, left the team.
    Left,
}

/// Body of `handoff.escalated`, by the deployment's built-in user where the clock did it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Escalated {
    /// This step.
    pub id: EntryId,
    /// Of what.
    pub handoff: ThingId,
    /// Which step this is since it last changed, from 1.
    pub step: i64,
    /// Why.
    pub cause: Cause,
    /// Who is told: the receiver first, afterwards whoever leads. Nobody where nobody leads.
    pub to: Vec<UserId>,
}

/// What an entry says, for a search.
///
/// # Errors
/// The body is not what its event says.
pub fn words(line: &Line) -> Result<Option<Utterance>, Fault> {
    Ok(Some(match &*line.event {
        OFFERED => {
            let Offered { id, ipass, .. } = line.read()?;
            Utterance::first(id).says(ipass.texts())
        }
        ACCEPTED => {
            let Accepted { handoff, synthesis, .. } = line.read()?;
            Utterance::more(handoff).says([synthesis])
        }
        DECLINED => {
            let Declined { handoff, reason, .. } = line.read()?;
            Utterance::more(handoff).says([reason])
        }
        WITHDRAWN => {
            let Withdrawn { handoff, reason, .. } = line.read()?;
            Utterance::more(handoff).says([reason])
        }
        _ => return Ok(None),
    }))
}
