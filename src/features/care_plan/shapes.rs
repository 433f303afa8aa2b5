//! What the ops on the plan take and answer, as types for the published documents.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::claims::Next;
use super::entries::{Code, Kind, Source, SourceNote, Standing};
use crate::kernel::base::{ItemId, PatientId};
use crate::kernel::engine::shape::{Due, Reason, Text, Title};
use crate::kernel::policy::Holder;

/// The plan of a patient.
#[derive(JsonSchema)]
pub struct OfPlan {
    /// Whose plan.
    pub patient: PatientId,
    /// Closed items too.
    pub closed: Option<bool>,
}

/// Adds an item to the plan.
#[derive(JsonSchema)]
pub struct AddItem {
    /// Whose plan.
    pub patient: PatientId,
    /// What it is.
    pub kind: Kind,
    /// In one line.
    #[schemars(with = "Title")]
    pub title: String,
    /// What else there is to say.
    #[schemars(with = "Option<Text>")]
    pub detail: Option<String>,
    /// What it is coded as.
    #[schemars(length(max = 50))]
    pub codes: Option<Vec<Code>>,
    /// Who it rests with.
    pub owner: Option<Holder>,
    /// When it is due.
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// Items it serves.
    #[schemars(length(max = 200))]
    pub addresses: Option<Vec<ItemId>>,
    /// Family sees it.
    pub shared: Option<bool>,
}

/// Changes an item: what is absent stays, what is null is cleared.
#[derive(JsonSchema)]
pub struct ChangeItem {
    /// The item.
    pub item: ItemId,
    /// Its number as you saw it.
    pub rev: i64,
    /// What it is; an item keeps its kind.
    pub kind: Option<Kind>,
    /// In one line.
    #[schemars(with = "Option<Title>")]
    pub title: Option<String>,
    /// What else there is to say.
    #[schemars(with = "Option<Text>")]
    pub detail: Option<String>,
    /// What it is coded as.
    #[schemars(length(max = 50))]
    pub codes: Option<Vec<Code>>,
    /// Who it rests with.
    pub owner: Option<Holder>,
    /// When it is due.
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// Items it serves.
    #[schemars(length(max = 200))]
    pub addresses: Option<Vec<ItemId>>,
    /// Family sees it.
    pub shared: Option<bool>,
    /// Why; said to staff only.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// How an item can end.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum End {
    /// It was done, or reached.
    Completed,
    /// It is not there any more.
    Resolved,
    /// It was given up while under way.
    Stopped,
    /// It was given up before it began.
    Cancelled,
    /// It was not wanted.
    Rejected,
    /// It should never have stood there.
    EnteredInError,
}

/// Closes an item.
#[derive(JsonSchema)]
pub struct CloseItem {
    /// The item.
    pub item: ItemId,
    /// Its number as you saw it.
    pub rev: i64,
    /// How it ends; `completed` unless said otherwise.
    pub status: Option<End>,
    /// Why; said to staff only.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// What else a change of the plan answers.
#[derive(Serialize, JsonSchema)]
pub struct ItemReply {
    /// The item's number from now on.
    pub rev: i64,
    /// Its state in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A plan item with what is linked to it, counted over what you may read.
#[derive(Serialize, JsonSchema)]
pub struct PlanItem {
    /// The item.
    pub id: ItemId,
    /// What it is; null for a standing item.
    pub kind: Option<Kind>,
    /// In one line.
    pub title: String,
    /// What else there is to say.
    pub detail: Option<String>,
    /// What it is coded as.
    pub codes: Vec<Code>,
    /// Its state in a word.
    pub status: String,
    /// Who it rests with.
    pub owner: Option<Holder>,
    /// When it is due, as it was given.
    pub due: Option<String>,
    /// Items it serves.
    pub addresses: Vec<ItemId>,
    /// Family sees it.
    pub shared: bool,
    /// How often it was written; a change names it.
    pub rev: i64,
    /// As `rev`.
    pub version: i64,
    /// Messages and notes linked to it.
    pub messages: i64,
    /// Open tasks linked to it.
    pub open_tasks: i64,
    /// Who must act; null is a flag.
    pub next: Option<Next>,
    /// Which of the two items every plan has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Where an imported item came from; not for family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Notes of the source; not for family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<SourceNote>>,
}

/// What waits to be re-linked.
#[derive(Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Unsorted {
    /// Messages on the item `Unsorted`.
    pub count: i64,
    /// Of these, those that wait too long.
    pub overdue: i64,
}

/// The plan of a patient.
#[derive(Serialize, JsonSchema)]
pub struct Plan {
    /// Its items.
    pub items: Vec<PlanItem>,
    /// What waits to be re-linked.
    pub unsorted: Unsorted,
    /// Items that were changed here and at their source, and wait for the lead; not for family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<i64>,
}

/// The conflicts of a plan with its sources.
#[derive(JsonSchema)]
pub struct OfConflicts {
    /// Whose plan.
    pub patient: PatientId,
}

/// Which words stand.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Keep {
    /// The item as it stands here.
    Ours,
    /// What the source says.
    Theirs,
}

/// Settles a conflict.
#[derive(JsonSchema)]
pub struct SettleConflict {
    /// The conflict.
    pub conflict: Uuid,
    /// Which words stand.
    pub keep: Keep,
}

/// What one side says of an item.
#[derive(Serialize, JsonSchema)]
pub struct Side {
    /// In one line.
    pub title: String,
    /// What else there is to say.
    pub detail: Option<String>,
    /// What it is coded as.
    pub codes: Vec<Code>,
    /// When it is due.
    pub due: Option<String>,
    /// Items it serves.
    pub addresses: Vec<ItemId>,
    /// Its state in a word.
    pub status: String,
    /// It is over.
    pub closed: bool,
}

/// An item that was changed here and at its source.
#[derive(Serialize, JsonSchema)]
pub struct Conflict {
    /// The conflict.
    pub id: Uuid,
    /// The item.
    pub item: ItemId,
    /// The item's number now.
    pub rev: i64,
    /// When the source was last read with a change.
    pub since: String,
    /// As it stands here.
    pub ours: Side,
    /// As the source has it.
    pub theirs: Side,
    /// As the source had it before; null where that is not known any more.
    pub base: Option<Side>,
}

/// The conflicts of a plan with its sources.
#[derive(Serialize, JsonSchema)]
pub struct Conflicts {
    /// Oldest first.
    pub conflicts: Vec<Conflict>,
}
