//! What `board.get` takes and answers, as types for the published documents; the answer is made of them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::model;
use crate::features::care_plan::Unsorted;
use crate::features::channels::Awaited;
use crate::features::checkins::Due;
use crate::features::handoffs::Shown;
use crate::features::notes::Marker;
use crate::features::tasks::{State, TaskShown};
use crate::kernel::base::{ItemId, PatientId};
use crate::kernel::engine::shape::Time;
use crate::kernel::policy::Holder;

/// The board of a patient, or one's own over all patients: one of the two is named. A filter that names something you may not see gives
/// an empty board.
#[derive(JsonSchema)]
pub struct OfBoard {
    /// Whose work.
    pub patient: Option<PatientId>,
    /// What is yours or of a responsibility you hold, at all your patients.
    pub mine: Option<bool>,
    /// Of this holder only; not with `mine`.
    pub owner: Option<Holder>,
    /// About this plan item only.
    pub item: Option<ItemId>,
    /// Tasks due before this only.
    #[schemars(with = "Option<Time>")]
    pub due_before: Option<String>,
    /// Tasks in this state only.
    pub state: Option<State>,
}

/// A column: the tasks in one state, in the order somebody put them in.
#[derive(Serialize, JsonSchema)]
pub struct Column {
    /// Which.
    pub state: State,
    /// Its tasks. Those that are over stand for 14 days, the newest 50 of them.
    #[schemars(with = "Vec<TaskShown>")]
    pub tasks: Vec<Value>,
    /// How many more there are; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<usize>,
}

impl From<model::Column> for Column {
    fn from(column: model::Column) -> Self {
        let model::Column { state, tasks, more } = column;
        Self { state, tasks, more: Some(more).filter(|more| *more > 0) }
    }
}

/// What is to be done.
#[derive(Serialize, JsonSchema)]
pub struct Board {
    /// Every column, in order.
    pub columns: Vec<Column>,
    /// Talks that are not documented yet.
    pub notes: Vec<Marker>,
    /// Handoffs that are not accepted; none for family.
    pub handoffs: Vec<Shown>,
    /// Messages that wait for an answer; on one's own board those that wait for one's own.
    pub asks: Vec<Awaited>,
    /// Check-ins that can be answered; on one's own board those one has not answered.
    pub checkins: Vec<Due>,
    /// What waits to be re-linked.
    pub unsorted: Unsorted,
}
