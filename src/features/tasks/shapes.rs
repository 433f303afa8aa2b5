//! What the ops on tasks take and answer, as types for the published documents.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use schemars::JsonSchema;
use serde::Serialize;

use super::entries::{Repeat, State, Tick};
use crate::features::channels::Priority;
use crate::kernel::base::{ChannelId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Due, Reason, Text, Time, Title};
use crate::kernel::policy::Holder;

/// A step as it is given.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum GivenStep {
    /// What is to be done.
    Text(#[schemars(with = "Title")] String),
    /// With whether it is done.
    Ticked {
        /// What is to be done.
        #[schemars(with = "Title")]
        text: String,
        /// It is done.
        done: Option<bool>,
    },
}

/// What is to be done.
#[derive(JsonSchema)]
pub struct Work {
    /// In one line.
    #[schemars(with = "Title")]
    pub title: String,
    /// What else there is to say.
    #[schemars(with = "Option<Text>")]
    pub description: Option<String>,
    /// Who it rests with; you if nobody is named.
    pub owner: Option<Holder>,
    /// When it is due: a day, or a time.
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// The time zone (IANA) in which a day ends; UTC if absent.
    pub due_zone: Option<String>,
    /// How many minutes before that its owner is reminded: 60 before a time unless said otherwise, 0 is never.
    #[schemars(range(min = 0, max = 527_040))]
    pub remind_minutes: Option<i64>,
    /// How soon; routine if absent.
    pub priority: Option<Priority>,
    /// Its steps.
    #[schemars(length(max = 100))]
    pub checklist: Option<Vec<GivenStep>>,
    /// When it comes again once it is completed.
    pub repeat: Option<Repeat>,
}

/// Makes a task.
#[derive(JsonSchema)]
pub struct CreateTask {
    /// Where.
    pub channel: ChannelId,
    /// About what.
    pub item: Option<ItemId>,
    /// What is to be done.
    #[schemars(flatten)]
    pub work: Work,
    /// The message of this channel it is made from.
    pub from_message: Option<ThingId>,
}

/// Says something else of a task: what is absent stays, what is null is no more.
#[derive(JsonSchema)]
pub struct UpdateTask {
    /// Which.
    pub task: ThingId,
    /// Its number as you saw it.
    pub rev: i64,
    /// In one line.
    #[schemars(with = "Option<Title>")]
    pub title: Option<String>,
    /// What else there is to say.
    #[schemars(with = "Option<Text>")]
    pub description: Option<String>,
    /// When it is due: a day, or a time.
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// The time zone (IANA) in which a day ends.
    pub due_zone: Option<String>,
    /// How many minutes before that its owner is reminded.
    #[schemars(range(min = 0, max = 527_040))]
    pub remind_minutes: Option<i64>,
    /// How soon.
    pub priority: Option<Priority>,
    /// All its steps; who ticked one stays with it.
    #[schemars(length(max = 100))]
    pub checklist: Option<Vec<GivenStep>>,
    /// When it comes again.
    pub repeat: Option<Repeat>,
    /// The plan item it is for.
    pub item: Option<ItemId>,
}

/// Asks somebody to do a task; takes it, if it is you.
#[derive(JsonSchema)]
pub struct AssignTask {
    /// Which.
    pub task: ThingId,
    /// Its number as you saw it.
    pub rev: i64,
    /// Who it is to rest with.
    pub owner: Holder,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Takes a task one step on.
#[derive(JsonSchema)]
pub struct StepTask {
    /// Which.
    pub task: ThingId,
    /// Its number as you saw it.
    pub rev: i64,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Stops a task, for a reason.
#[derive(JsonSchema)]
pub struct StopTask {
    /// Which.
    pub task: ThingId,
    /// Its number as you saw it.
    pub rev: i64,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Moves a task on the board: what leads to that column is done.
#[derive(JsonSchema)]
pub struct MoveTask {
    /// Which.
    pub task: ThingId,
    /// Its number as you saw it.
    pub rev: i64,
    /// Where to.
    pub column: State,
    /// The task of that column and patient it is to stand behind; null is the top.
    pub after: Option<ThingId>,
    /// Whom it is to rest with, in column `requested`; whom it rests with now if absent.
    pub owner: Option<Holder>,
    /// Why, where the column asks for it.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Asks for a task.
#[derive(JsonSchema)]
pub struct OfTask {
    /// Which.
    pub task: ThingId,
}

/// Asks what a message or a note led to.
#[derive(JsonSchema)]
pub struct MadeFrom {
    /// A message.
    pub message: Option<ThingId>,
    /// A note.
    pub note: Option<ThingId>,
}

/// What else a change of a task answers.
#[derive(Serialize, JsonSchema)]
pub struct TaskReply {
    /// The task's number from now on.
    pub rev: i64,
    /// How it stands.
    pub state: State,
}

/// A task.
#[derive(Serialize, JsonSchema)]
pub struct TaskShown {
    /// Which.
    pub id: ThingId,
    /// Where it stands, and its thread.
    pub channel: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// The plan item it is for.
    pub item: ItemId,
    /// The number the item had when somebody last looked at both.
    pub item_version: i64,
    /// In one line.
    pub title: String,
    /// What else there is to say.
    pub description: Option<String>,
    /// How it stands.
    pub state: State,
    /// Who it rests with.
    pub owner: Holder,
    /// When it is due, as it was given.
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// How soon.
    pub priority: Priority,
    /// Its steps.
    pub checklist: Vec<Tick>,
    /// How often it was written; a change names it.
    pub rev: i64,
    /// Messages of its thread that you may read.
    pub messages: i64,
    /// Who made it.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// It was not done by the time it was due.
    pub overdue: bool,
    /// What it is ordered by inside its column.
    pub place: String,
    /// The time zone in which a day ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_zone: Option<String>,
    /// How long before it is due its owner is reminded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remind_minutes: Option<i64>,
    /// When it comes again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Who it rested with when they left the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_from: Option<UserId>,
    /// The message it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_message: Option<ThingId>,
    /// The note it was decided in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_note: Option<ThingId>,
    /// The task that comes again as this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<ThingId>,
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub struct OneTask {
    /// The task.
    pub task: TaskShown,
}

/// Some tasks.
#[derive(Serialize, JsonSchema)]
pub struct Tasks {
    /// In the order they were made.
    pub tasks: Vec<TaskShown>,
}
