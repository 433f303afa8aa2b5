//! What the ops on handoffs take and answer, as types for the published documents; the offer itself stands in the model.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use schemars::JsonSchema;
use serde::Serialize;

use super::entries::Ipass;
use super::model::State;
use crate::kernel::base::{ChannelId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Reason, Text, Time};
use crate::kernel::policy::Responsibility;

/// Takes what is offered to you.
#[derive(JsonSchema)]
pub struct AcceptHandoff {
    /// Which.
    pub handoff: ThingId,
    /// What you understood, in your words.
    #[schemars(with = "Text")]
    pub synthesis: String,
}

/// Does not take what is offered to you.
#[derive(JsonSchema)]
pub struct DeclineHandoff {
    /// Which.
    pub handoff: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Takes back what you offered, or what anybody did if you lead.
#[derive(JsonSchema)]
pub struct WithdrawHandoff {
    /// Which.
    pub handoff: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Names a handoff.
#[derive(JsonSchema)]
pub struct OfHandoff {
    /// Which.
    pub handoff: ThingId,
}

/// Lists the handoffs of a patient.
#[derive(JsonSchema)]
pub struct ListHandoffs {
    /// Whose.
    pub patient: PatientId,
    /// Those that are over, too: then the newest first.
    pub closed: Option<bool>,
}

/// What else a write on a handoff answers.
#[derive(Serialize, JsonSchema)]
pub struct HandoffReply {
    /// The handoff.
    pub handoff: ThingId,
    /// How it stands now.
    pub state: State,
}

/// A handoff as it stands.
#[derive(Serialize, JsonSchema)]
pub struct Shown {
    /// It.
    pub id: ThingId,
    /// At which patient.
    pub patient: PatientId,
    /// The patient's plan channel.
    pub channel: ChannelId,
    /// Where it was offered.
    pub seq: i64,
    /// Who offers.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// To whom.
    pub to: UserId,
    /// How it stands.
    pub state: State,
    /// Since when.
    #[schemars(with = "Time")]
    pub since: String,
    /// What the receiver has to know.
    pub ipass: Ipass,
    /// The tasks: those offered; once accepted, those that moved.
    pub tasks: Vec<ThingId>,
    /// Tasks that stay with the offerer, or did.
    pub left: Vec<ThingId>,
    /// The responsibilities: those offered; once accepted, those that moved.
    pub responsibilities: Vec<Responsibility>,
    /// Until when whoever has to act is not reminded; null once it is over.
    #[schemars(with = "Option<Time>")]
    pub respond_by: Option<String>,
    /// How often it was brought before somebody again since it stands so.
    pub escalated: i64,
    /// What the receiver understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub synthesis: Option<String>,
    /// Why it was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Reason")]
    pub declined: Option<String>,
    /// Why it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Reason")]
    pub withdrawn: Option<String>,
    /// The later offer that stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<ThingId>,
}

/// Handoffs of a patient.
#[derive(Serialize, JsonSchema)]
pub struct HandoffList {
    /// Each of them, at most 200.
    pub handoffs: Vec<Shown>,
}
