//! What the ops on drift take and answer, as types for the published documents; the answer is made of them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::features::tasks::entries::State;
use crate::kernel::base::{ChannelId, ItemId, PatientId, ThingId};
use crate::kernel::engine::shape::{Reason, Time};

/// Asks what drifts and is yours to settle.
#[derive(JsonSchema)]
pub struct OfDrift {
    /// At this patient only.
    pub patient: Option<PatientId>,
}

/// What can be decided.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Decision {
    /// It still fits: it takes the item's version.
    Keep,
    /// It is not to be done any more.
    Cancel,
    /// It serves another item.
    Replace,
}

/// Settles what drifts.
#[derive(JsonSchema)]
pub struct SettleDrift {
    /// What drifts.
    pub thing: ThingId,
    /// What becomes of it.
    pub action: Decision,
    /// The open item it is to serve, with `replace`.
    pub item: Option<ItemId>,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// What the reply of `drift.settle` has besides.
#[derive(JsonSchema)]
pub struct SettledReply {
    /// The task's number from now on; absent for a message.
    pub rev: Option<i64>,
    /// How the task stands; absent for a message.
    pub state: Option<State>,
}

/// What kind of thing drifts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drifting {
    /// A task that is not over.
    Task,
    /// A message whose answer is awaited.
    Message,
}

/// Something that was linked to an item before the item came to mean something else.
#[derive(Serialize, JsonSchema)]
pub struct Drift {
    /// What it is.
    pub kind: Drifting,
    /// Which.
    pub thing: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where it stands.
    pub channel: ChannelId,
    /// The item it serves.
    pub item: ItemId,
    /// The item's number when somebody last looked at both.
    pub item_version_then: i64,
    /// Its number now.
    pub item_version_now: i64,
    /// The item's state in a word.
    pub item_status: String,
    /// Since when it drifts.
    #[schemars(with = "Time")]
    pub since: String,
}

/// What drifts.
#[derive(Serialize, JsonSchema)]
pub struct Drifts {
    /// Longest first.
    pub drifts: Vec<Drift>,
}
