//! What a person is told on channel `me` when something waits for them: ids only, one form for every kind of thing.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Data, Event, Write};
use crate::kernel::base::{ChannelId, Fault, ItemId, PatientId, Stop, ThingId, UserId};
use crate::kernel::policy::Responsibility;

/// Something waits for you; you were told before that it would.
pub const REMINDER: &str = "reminder";
/// Something rests with you from now on.
pub const ASSIGNED: &str = "assigned";
/// Something waited too long for somebody else, and now waits for you.
pub const ESCALATED: &str = "escalated";
/// The personal events of this form, for the face of the feature that stands lowest.
pub const EVENTS: [Event; 3] =
    [Event::personal::<Nudge>(REMINDER), Event::personal::<Nudge>(ASSIGNED), Event::personal::<Nudge>(ESCALATED)];

/// What waits, by its id; one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// An answer to a message.
    Message(ThingId),
    /// A task.
    Task(ThingId),
    /// A note.
    Note(ThingId),
    /// A handoff.
    Handoff(ThingId),
    /// A check-in.
    Checkin(ThingId),
    /// A plan item, whose open work is to be looked at again.
    Item(ItemId),
    /// A mail on the waiting list.
    Mail(ThingId),
    /// What you stand in for, or hold from now on.
    Responsibility(Responsibility),
}

/// Body of `reminder`, `assigned` and `escalated`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Nudge {
    /// At whose record.
    pub patient: PatientId,
    /// In which channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// What waits.
    #[serde(flatten)]
    pub waiting: Waiting,
    /// Why, in a word: `due`, `overdue`, `ask`, `note`, `handoff`, `checkin`, `drift`, `cover`, `returned`, `mail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// It does not alert you: you muted the channel, or are not to be disturbed. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<bool>,
}

impl Nudge {
    /// About what waits at a patient.
    #[must_use]
    pub const fn of(patient: PatientId, waiting: Waiting) -> Self {
        Self { patient, channel: None, waiting, why: None, quiet: None }
    }

    /// In a channel the person reads.
    #[must_use]
    pub const fn within(self, channel: ChannelId) -> Self {
        Self { channel: Some(channel), ..self }
    }

    /// For a reason.
    #[must_use]
    pub const fn because(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }
}

impl Write<'_> {
    /// Tells a person that something waits for them: [`REMINDER`], [`ASSIGNED`] or [`ESCALATED`].
    ///
    /// # Errors
    /// The database's.
    pub async fn nudge(&mut self, user: UserId, event: &'static str, nudge: &Nudge) -> Result<(), Stop> {
        let Ok(serde_json::Value::Object(data)) = serde_json::to_value(nudge) else {
            return Err(Fault::Defect("a nudge is not an object").into());
        };
        let data: Data = data;
        self.tell(user, event, &data).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nudge_names_one_thing() {
        let id = uuid::Uuid::from_u128(7);
        let nudge = Nudge::of(PatientId(id), Waiting::Task(ThingId(id))).within(ChannelId(id)).because("due");
        let expected = serde_json::json!({"patient": id, "channel": id, "task": id, "why": "due"});
        assert_eq!(serde_json::to_value(nudge).unwrap(), expected);
        let held = Nudge::of(PatientId(id), Waiting::Responsibility(Responsibility::Plan));
        let expected = serde_json::json!({"patient": id, "responsibility": "plan"});
        assert_eq!(serde_json::to_value(held).unwrap(), expected);
    }
}
