//! Bodies of the entries about tasks: a file format, never changed, only joined by new members.
//! No `Debug`: they hold what is to be done for a patient.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::features::channels::Priority;
use crate::kernel::base::{EntryId, Fault, ItemId, ThingId, UserId, words};
use crate::kernel::engine::Utterance;
use crate::kernel::engine::shape::{Due, Time, Title};
use crate::kernel::log::scan::Line;
use crate::kernel::policy::Holder;

/// A task is there.
pub const CREATED: &str = "task.created";
/// Something of it changed.
pub const CHANGED: &str = "task.changed";

words! {
    /// How a task stands, and the column of the board it stands in (*task-status*, FHIR R4).
    State {
        /// Somebody is asked to do it.
        Requested 1 "requested",
        /// It can be begun; nobody needs to be asked.
        Ready 2 "ready",
        /// Whoever was asked will do it.
        Accepted 3 "accepted",
        /// It is under way.
        InProgress 4 "in-progress",
        /// It waits for something.
        OnHold 5 "on-hold",
        /// It is done.
        Completed 6 "completed",
        /// Whoever was asked will not do it: it waits to be assigned again.
        Rejected 7 "rejected",
        /// It is not to be done any more.
        Cancelled 8 "cancelled",
        /// It could not be done.
        Failed 9 "failed",
    }
    /// What happened to a task.
    Change {
        /// What it says was changed.
        Update 1 "update",
        /// It rests with somebody else.
        Assign 2 "assign",
        /// Whoever was asked will do it.
        Accept 3 "accept",
        /// Whoever was asked will not do it.
        Decline 4 "decline",
        /// It was begun.
        Start 5 "start",
        /// It waits.
        Hold 6 "hold",
        /// It was done.
        Complete 7 "complete",
        /// It could not be done.
        Fail 8 "fail",
        /// It is not to be done any more.
        Cancel 9 "cancel",
        /// It has another place in its column.
        Move 10 "move",
        /// Its owner left the team: it returns to the lead.
        Return 11 "return",
        /// It was not done by the time it was due.
        Overdue 12 "overdue",
        /// It went over with a handoff.
        Handoff 13 "handoff",
        /// Its plan item changed, and somebody decided what that means for it.
        Drift 14 "drift",
    }
}

/// One step of a task, with who ticked it and when.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tick {
    /// What is to be done.
    pub text: String,
    /// It is done.
    pub done: bool,
    /// Who ticked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub at: Option<String>,
}

/// When a task comes again once it is completed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repeat {
    /// A rule of RFC 5545, such as `FREQ=WEEKLY;BYDAY=MO`.
    pub rrule: String,
    /// The time zone its wall-clock times are in.
    pub zone: String,
    /// The first time it is due: what the rule counts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub start: Option<String>,
}

/// Body of `task.created`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The task.
    pub id: ThingId,
    /// The plan item it is for.
    pub item: ItemId,
    /// The item's number then.
    pub item_version: i64,
    /// In one line.
    #[schemars(with = "Title")]
    pub title: String,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who it rests with.
    pub owner: Holder,
    /// How it stands.
    pub state: State,
    /// A day, or a time in RFC 3339, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Due>")]
    pub due: Option<String>,
    /// The time zone in which a day ends; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_zone: Option<String>,
    /// How long before it is due its owner is reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_minutes: Option<i64>,
    /// How soon; routine if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Its steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Tick>,
    /// When it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// The message it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_message: Option<ThingId>,
    /// The note it was decided in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_note: Option<ThingId>,
    /// The task that was completed and comes again as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<ThingId>,
}

/// Members of a task, those that changed: what is null is no more.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Who it rests with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Holder>,
    /// In one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What else there is to say.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// When it is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Due>")]
    pub due: Option<Option<String>>,
    /// The time zone in which a day ends.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub due_zone: Option<Option<String>>,
    /// How long before it is due its owner is reminded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub remind_minutes: Option<Option<i64>>,
    /// How soon.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Option<Priority>>,
    /// Its steps, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checklist: Option<Vec<Tick>>,
    /// The plan item it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The item's number then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_version: Option<i64>,
    /// What it is ordered by inside its column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When it comes again.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Option<Repeat>>,
    /// It was not done by the time it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<bool>,
    /// Who it rested with when they left the team.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub returned_from: Option<Option<UserId>>,
}

/// Body of `task.changed`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// This entry.
    pub id: EntryId,
    /// The task.
    pub task: ThingId,
    /// Its number after this change.
    pub rev: i64,
    /// What happened.
    pub change: Change,
    /// How it stands now.
    pub state: State,
    /// What changed, as it was.
    pub before: Members,
    /// What changed, as it is.
    pub after: Members,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The handoff it went over with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<ThingId>,
    /// The task as which it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ThingId>,
}

/// What an entry about a task says, for a search.
pub(super) fn words(line: &Line) -> Result<Option<Utterance>, Fault> {
    let steps = |checklist: Vec<Tick>| checklist.into_iter().map(|tick| tick.text);
    Ok(match &*line.event {
        CREATED => {
            let Created { id, title, description, checklist, .. } = line.read()?;
            let said = Utterance::first(id).has("title", [title]).has("description", description);
            Some(said.has("checklist", steps(checklist)))
        }
        CHANGED => {
            let Changed { task, after: Members { title, description, checklist, .. }, .. } = line.read()?;
            let mut said = Utterance::more(task);
            if let Some(title) = title {
                said = said.has("title", [title]);
            }
            if let Some(description) = description {
                said = said.has("description", description);
            }
            if let Some(checklist) = checklist {
                said = said.has("checklist", steps(checklist));
            }
            Some(said)
        }
        _ => None,
    })
}

/// A member that is there, null or not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}
