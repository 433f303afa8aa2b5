//! What the ops on patients and teams take and answer, as types for the published documents.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use schemars::JsonSchema;
use serde::Serialize;

use super::entries::{Covered, Identity, StandingItems};
use crate::kernel::base::{ChannelId, PatientId, UserId};
use crate::kernel::engine::shape::Time;
use crate::kernel::policy::Responsibility;

/// Names a patient.
#[derive(JsonSchema)]
pub struct OfPatient {
    /// The patient.
    pub patient: PatientId,
}

/// What else a registration answers.
#[derive(Serialize, JsonSchema)]
pub struct RegisteredReply {
    /// The patient.
    pub patient: PatientId,
    /// The two items every plan has.
    pub items: StandingItems,
    /// The open staff conversation named `Care team`.
    pub care_team: ChannelId,
}

/// What else a change of the team answers.
#[derive(Serialize, JsonSchema)]
pub struct TeamReply {
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
}

/// A patient you stand at.
#[derive(Serialize, JsonSchema)]
pub struct Patient {
    /// The patient.
    pub id: PatientId,
    /// Who they are.
    #[serde(flatten)]
    pub identity: Identity,
    /// The plan channel; absent for patient and family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// Who leads the team; null while nobody does.
    pub lead: Option<UserId>,
    /// The record is read-only.
    pub closed: bool,
    /// Another patient on the list has a name that is easily taken for this one; on `patient.list` only, absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub similar: Option<bool>,
}

/// The patients you stand at.
#[derive(Serialize, JsonSchema)]
pub struct PatientList {
    /// Each of them.
    pub patients: Vec<Patient>,
}

/// Somebody on a team, now or once.
#[derive(Serialize, JsonSchema)]
pub struct TeamMember {
    /// Who.
    pub user: UserId,
    /// Their handle.
    pub handle: String,
    /// Their name.
    pub name: String,
    /// As what, in words.
    pub role: String,
    /// What they answer for.
    pub responsibilities: Vec<Responsibility>,
    /// Standing on shared channels and items only.
    pub family: bool,
    /// The one accountable person.
    pub lead: bool,
    /// When they joined.
    #[schemars(with = "Time")]
    pub since: String,
    /// When it ends by itself.
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
    /// Who stands in for them, now or later; absent where nobody does, and for patient and family.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<Covered>,
    /// When it ended; of past members only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub ended: Option<String>,
}

/// A care team.
#[derive(Serialize, JsonSchema)]
pub struct TeamList {
    /// Who is on it.
    pub members: Vec<TeamMember>,
    /// Who was.
    pub past: Vec<TeamMember>,
}

/// You are on a team, or listed in a channel, from now on.
#[derive(Serialize, JsonSchema)]
pub struct Invited {
    /// At whose record.
    pub patient: PatientId,
    /// The channel to look at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
}
