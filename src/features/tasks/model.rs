//! The rules of tasks, pure: how a task stands, which steps lead where, and what becomes of it.
//! Does not know: the database, frames, who may (policy decided that before). Time and ids are handed in.
//! Invariant: a task is what its entries add up to; every change but a mark of the clock raises its `rev` by one.

use serde::{Deserialize, Serialize};

use super::command::{Command, Step, Update};
use super::entries::{Change, Changed, Created, Members, Repeat, State, Tick};
use super::place;
use crate::features::channels::Priority;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Code, EntryId, ItemId, Micros, PatientId, Refusal, ThingId, UserId};
use crate::kernel::policy::Holder;

/// Every open state: there is something to be done.
const OPEN: &[State] = &[State::Requested, State::Ready, State::Accepted, State::InProgress, State::OnHold];

/// The whole state machine: what can be done, in which states, and where it leads. `assign` to oneself leads to `accepted`.
pub const TABLE: &[(Change, &[State], State)] = &[
    (Change::Accept, &[State::Requested], State::Accepted),
    (Change::Decline, &[State::Requested, State::Accepted], State::Rejected),
    (Change::Start, &[State::Ready, State::Accepted, State::OnHold], State::InProgress),
    (Change::Hold, &[State::Accepted, State::InProgress], State::OnHold),
    (Change::Complete, &[State::Ready, State::Accepted, State::InProgress], State::Completed),
    (Change::Fail, &[State::Accepted, State::InProgress, State::OnHold], State::Failed),
    (Change::Cancel, OPEN, State::Cancelled),
    (Change::Assign, OPEN_OR_REJECTED, State::Requested),
    (Change::Assign, OPEN_OR_REJECTED, State::Accepted),
];

const OPEN_OR_REJECTED: &[State] =
    &[State::Requested, State::Ready, State::Accepted, State::InProgress, State::OnHold, State::Rejected];

impl State {
    /// There is something to be done by its owner.
    #[must_use]
    pub fn is_open(self) -> bool {
        OPEN.contains(&self)
    }

    /// Nothing leads out of it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !TABLE.iter().any(|(_, from, _)| from.contains(&self))
    }

    /// The other states that something leads to from here, in the order of the columns.
    #[must_use]
    pub fn reachable(self) -> Vec<Self> {
        let leads = |to: &Self| TABLE.iter().any(|(_, from, there)| from.contains(&self) && there == to);
        Self::ALL.iter().copied().filter(|to| *to != self && leads(to)).collect()
    }

    fn allows(self, change: Change) -> bool {
        TABLE.iter().any(|(done, from, _)| *done == change && from.contains(&self))
    }
}

/// A task as it stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where it stands, and its thread.
    pub channel: ChannelId,
    /// `seq` of the entry that made it.
    pub seq: i64,
    /// Who made it.
    pub by: UserId,
    /// When.
    pub at: Micros,
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
    /// A day, or a time in RFC 3339, as it was given.
    pub due: Option<String>,
    /// The time zone in which a day ends.
    pub due_zone: Option<String>,
    /// How long before it is due its owner is reminded.
    pub remind_minutes: Option<i64>,
    /// How soon.
    pub priority: Option<Priority>,
    /// Its steps.
    pub checklist: Vec<Tick>,
    /// When it comes again.
    pub repeat: Option<Repeat>,
    /// It was not done by the time it was due.
    pub overdue: bool,
    /// How often it was written, marks of the clock left out.
    pub rev: i64,
    /// What it is ordered by inside its column.
    pub place: String,
    /// Who it rested with when they left the team.
    pub returned_from: Option<UserId>,
    /// The message it was made from.
    pub from_message: Option<ThingId>,
    /// The note it was decided in.
    pub from_note: Option<ThingId>,
    /// The task that comes again as this one.
    pub repeats: Option<ThingId>,
}

/// Where an entry stands, for the task it makes.
pub struct Origin {
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// Who wrote it.
    pub by: UserId,
    /// When.
    pub at: Micros,
}

impl Task {
    /// As its first entry makes it.
    #[must_use]
    pub fn created(body: Created, origin: &Origin) -> Self {
        Self {
            id: body.id,
            patient: origin.patient,
            channel: origin.channel,
            seq: origin.seq,
            by: origin.by,
            at: origin.at,
            item: body.item,
            item_version: body.item_version,
            title: body.title,
            description: body.description,
            state: body.state,
            owner: body.owner,
            due: body.due,
            due_zone: body.due_zone,
            remind_minutes: body.remind_minutes,
            priority: body.priority,
            checklist: body.checklist,
            repeat: body.repeat,
            overdue: false,
            rev: 1,
            place: place::first(body.id),
            returned_from: None,
            from_message: body.from_message,
            from_note: body.from_note,
            repeats: body.repeats,
        }
    }

    /// As an entry changes it.
    pub fn apply(&mut self, body: Changed) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        let after = body.after;
        self.rev = body.rev;
        set(&mut self.state, after.state);
        set(&mut self.owner, after.owner);
        set(&mut self.title, after.title);
        set(&mut self.description, after.description);
        set(&mut self.due, after.due);
        set(&mut self.due_zone, after.due_zone);
        set(&mut self.remind_minutes, after.remind_minutes);
        set(&mut self.priority, after.priority);
        set(&mut self.checklist, after.checklist);
        set(&mut self.item, after.item);
        set(&mut self.item_version, after.item_version);
        set(&mut self.place, after.place);
        set(&mut self.repeat, after.repeat);
        set(&mut self.overdue, after.overdue);
        set(&mut self.returned_from, after.returned_from);
    }

    /// Those of its members that are otherwise in another one.
    #[must_use]
    pub fn unlike(&self, other: &Self) -> Members {
        fn differing<T: PartialEq + Clone>(ours: &T, theirs: &T) -> Option<T> {
            (ours != theirs).then(|| ours.clone())
        }
        Members {
            state: differing(&self.state, &other.state),
            owner: differing(&self.owner, &other.owner),
            title: differing(&self.title, &other.title),
            description: differing(&self.description, &other.description),
            due: differing(&self.due, &other.due),
            due_zone: differing(&self.due_zone, &other.due_zone),
            remind_minutes: differing(&self.remind_minutes, &other.remind_minutes),
            priority: differing(&self.priority, &other.priority),
            checklist: differing(&self.checklist, &other.checklist),
            item: differing(&self.item, &other.item),
            item_version: differing(&self.item_version, &other.item_version),
            place: differing(&self.place, &other.place),
            repeat: differing(&self.repeat, &other.repeat),
            overdue: differing(&self.overdue, &other.overdue),
            returned_from: differing(&self.returned_from, &other.returned_from),
        }
    }

    /// The entry by which this task becomes `after`. A mark of the clock leaves the number as it is: the clock is no rival of a person.
    #[must_use]
    pub fn changed(&self, id: EntryId, after: &Self, change: Change, reason: Option<String>) -> Changed {
        let rev = if change == Change::Overdue { self.rev } else { self.rev + 1 };
        let (before, state) = (self.unlike(after), after.state);
        let after = after.unlike(self);
        Changed { id, task: self.id, rev, change, state, before, after, reason, handoff: None, next: None }
    }

    /// It rests with nobody who could do it: the lead is asked.
    #[must_use]
    pub fn returned(&self, from: UserId) -> Self {
        let owner = Holder::of(crate::kernel::policy::Responsibility::Lead);
        Self { state: State::Requested, owner, returned_from: Some(from), ..self.clone() }
    }

    /// The same task in the hands of somebody else.
    #[must_use]
    pub fn handed_to(&self, user: UserId) -> Self {
        Self { owner: Holder::User(user), returned_from: None, ..self.clone() }
    }
}

fn no_way(task: &Task) -> Refusal {
    let allowed: Vec<&str> = task.state.reachable().into_iter().map(State::text).collect();
    Refusal::new(Code::BadTransition).detail("`allowed` is what can follow.").with("allowed", allowed.into())
}

/// Whether anything can still become of a task.
///
/// # Errors
/// `bad_transition` if not.
pub fn ended(task: &Task) -> Result<(), Refusal> {
    if task.state.is_final() { Err(no_way(task)) } else { Ok(()) }
}

/// The task as it stands once it is not to be done any more.
///
/// # Errors
/// `bad_transition` where the table says so.
pub fn cancelled(task: &Task) -> Result<Task, Refusal> {
    if !task.state.allows(Change::Cancel) {
        return Err(no_way(task));
    }
    Ok(Task { state: State::Cancelled, ..task.clone() })
}

/// Whether a task still has the number its caller saw.
///
/// # Errors
/// `conflict`; a caller adds how the task stands.
pub fn is_current(task: &Task, rev: i64) -> Result<(), Refusal> {
    if task.rev == rev {
        return Ok(());
    }
    Err(Refusal::conflict("The task was changed meanwhile. `current` is how it stands.").field("rev"))
}

/// The command that leads to a column of the board. The column it stands in already leads to another place there.
///
/// # Errors
/// `bad_transition` if nothing leads there.
pub fn leading_to(task: &Task, column: State, owner: Option<Holder>, actor: UserId) -> Result<Command, Refusal> {
    let command = match column {
        same if same == task.state => Command::Place,
        State::Ready => return Err(no_way(task)),
        State::Requested => Command::Assign(owner.unwrap_or(task.owner)),
        State::Accepted if task.state != State::Requested => Command::Assign(Holder::User(actor)),
        State::Accepted => Command::Take(Change::Accept),
        State::Rejected => Command::Take(Change::Decline),
        State::InProgress => Command::Do(Change::Start),
        State::OnHold => Command::Do(Change::Hold),
        State::Completed => Command::Do(Change::Complete),
        State::Cancelled => Command::Do(Change::Cancel),
        State::Failed => Command::Do(Change::Fail),
    };
    let asks_oneself =
        column == State::Requested && matches!(command, Command::Assign(Holder::User(user)) if user == actor);
    if asks_oneself { Err(no_way(task)) } else { Ok(command) }
}

/// Decides what becomes of a task: gives it as it stands afterwards, but for its place and number. `item` is the open plan item that an
/// update names, with its version.
///
/// # Errors
/// `conflict` for another `rev`, `bad_transition`, `reason_required`, `invalid` where nothing is to change.
pub fn decide(
    task: &Task,
    step: &Step,
    item: Option<(ItemId, i64)>,
    actor: UserId,
    now: Micros,
) -> Result<Task, Refusal> {
    is_current(task, step.rev)?;
    match &step.command {
        Command::Update(update) => updated(task, update, item, actor, now),
        Command::Place => ended(task).map(|()| task.clone()),
        Command::Column { .. } => Err(no_way(task)),
        Command::Assign(owner) => assigned(task, *owner, actor),
        Command::Take(change) | Command::Do(change) => done(task, *change, step.reason.as_ref()),
    }
}

fn done(task: &Task, change: Change, reason: Option<&String>) -> Result<Task, Refusal> {
    let row = TABLE.iter().find(|(done, from, _)| *done == change && from.contains(&task.state));
    let (_, _, state) = row.ok_or_else(|| no_way(task))?;
    let asked = [Change::Decline, Change::Hold, Change::Fail, Change::Cancel].contains(&change);
    if asked && reason.is_none() {
        return Err(Refusal::new(Code::ReasonRequired).field("reason").detail("Say why; it is kept with the entry."));
    }
    Ok(Task { state: *state, ..task.clone() })
}

fn assigned(task: &Task, owner: Holder, actor: UserId) -> Result<Task, Refusal> {
    if !task.state.allows(Change::Assign) {
        return Err(no_way(task));
    }
    let state = if owner == Holder::User(actor) { State::Accepted } else { State::Requested };
    let after = Task { state, owner, returned_from: None, ..task.clone() };
    if after == *task {
        return Err(Refusal::invalid("owner", "The task rests with them already."));
    }
    Ok(after)
}

fn updated(
    task: &Task,
    update: &Update,
    item: Option<(ItemId, i64)>,
    actor: UserId,
    now: Micros,
) -> Result<Task, Refusal> {
    ended(task)?;
    let mut after = task.clone();
    if let Some(title) = &update.title {
        after.title.clone_from(title);
    }
    if let Some(description) = &update.description {
        after.description.clone_from(description);
    }
    if let Some(priority) = update.priority {
        after.priority = priority;
    }
    if let Some(minutes) = update.remind_minutes {
        after.remind_minutes = minutes;
    }
    if let Some(checklist) = &update.checklist {
        after.checklist = ticked(checklist, &task.checklist, actor, now);
    }
    if let Some(repeat) = &update.repeat {
        after.repeat.clone_from(repeat);
    }
    if let Some(zone) = &update.due_zone {
        after.due_zone.clone_from(zone);
    }
    if let Some(due) = &update.due {
        after.due.clone_from(due);
    }
    if after.due != task.due || after.due_zone != task.due_zone {
        // The clock says again when the new time has come.
        after.overdue = false;
    }
    if let Some((item, version)) = item {
        (after.item, after.item_version) = (item, version);
    }
    if after == *task {
        return Err(Refusal::invalid(
            "title",
            "Name what changes: title, description, due, due_zone, priority, checklist, remind_minutes, repeat or item.",
        ));
    }
    Ok(after)
}

/// The steps as they are given, with who ticked each and when: whoever ticked it first.
#[must_use]
pub fn ticked(given: &[(String, bool)], held: &[Tick], actor: UserId, now: Micros) -> Vec<Tick> {
    let mut known: Vec<&Tick> = held.iter().filter(|tick| tick.done).collect();
    let mut tick = |(text, done): &(String, bool)| {
        let was = known.iter().position(|tick| *done && tick.text == *text).map(|at| known.remove(at).clone());
        let by = done.then_some(actor);
        was.unwrap_or_else(|| Tick { text: text.clone(), done: *done, by, at: by.map(|_| rfc3339(now)) })
    };
    given.iter().map(&mut tick).collect()
}

#[cfg(test)]
mod tests;
