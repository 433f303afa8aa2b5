//! Bodies of the entries about messages that wait for an answer, and what is taken to settle one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::base::{EntryId, ThingId, UserId};
use crate::kernel::engine::shape::Reason;

/// No answer to a message is awaited any more; by its author, the lead or a holder of `plan`.
#[derive(JsonSchema)]
pub struct SettleMessage {
    /// Which.
    pub message: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Body of `message.reminded`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Reminded {
    /// This reminder.
    pub id: EntryId,
    /// What waits for an answer.
    pub message: ThingId,
    /// Who was asked and has not answered.
    pub to: Vec<UserId>,
}

/// Body of `message.escalated`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Escalated {
    /// This step.
    pub id: EntryId,
    /// What waits for an answer.
    pub message: ThingId,
    /// 1 to whoever is responsible, from 2 on to the lead.
    pub step: i64,
    /// Who is asked now.
    pub to: Vec<UserId>,
}

/// Body of `message.settled`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// This entry.
    pub id: EntryId,
    /// What waits no more.
    pub message: ThingId,
    /// Why.
    pub reason: String,
}
