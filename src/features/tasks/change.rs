//! Tasks are made and changed: one entry each, in the channel of the task, and one more where a task comes again.
//! Does not know: who is shown what. Invariant: all that can be refused is, before the first entry.

use std::sync::Arc;

use super::command::{Command, Create, NewTask, Step};
use super::due;
use super::entries::{CHANGED, CREATED, Change, Created, Repeat, State, Tick};
use super::keep;
use super::model::{self, Task};
use super::people::{self, tell};
use super::place;
use super::sql;
use super::views;
use crate::features::care_plan;
use crate::features::channels::in_view;
use crate::kernel::base::{ChannelId, Code, EntryId, Fault, ItemId, Micros, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Link, Reply, Write, nudge};
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{Access, Holder, Permit, Responsibility, Right};

/// What a task was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nothing but somebody's will.
    None,
    /// A message.
    Message(ThingId),
    /// A documented discussion.
    Note(ThingId),
}

/// A task that nothing refuses any more: to be recorded with [`record_new`].
pub struct Ready {
    channel: ChannelId,
    access: Arc<Access>,
    body: Created,
}

impl Ready {
    /// The task it will be.
    #[must_use]
    pub const fn id(&self) -> ThingId {
        self.body.id
    }
}

/// A task that was found, with the standing at its patient and the permit to write about it.
pub(super) struct Found {
    pub(super) task: Task,
    pub(super) access: Arc<Access>,
    pub(super) permit: Permit,
}

/// What a command finds: the task it names, or that it was done before.
pub(super) enum Sought {
    Repeated(Reply),
    Task(Box<Found>),
}

/// What else the entry of a change says.
#[derive(Default)]
pub(super) struct More {
    /// Why.
    pub(super) reason: Option<String>,
    /// The handoff it went over with.
    pub(super) handoff: Option<ThingId>,
    /// The task as which it comes again.
    pub(super) next: Option<ThingId>,
}

/// What an id names, if it is of these kinds and the caller may read the entry that made it.
pub(super) async fn readable(cx: &mut Write<'_>, id: ThingId, kinds: &[ThingKind]) -> Result<Option<Thing>, Stop> {
    let found = cx.ledger().thing(id).await?.filter(|thing| kinds.contains(&thing.kind));
    let Some(thing) = found else { return Ok(None) };
    let Some(access) = cx.ledger().access(thing.patient).await? else { return Ok(None) };
    Ok(in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()).then_some(thing))
}

/// Finds a task for somebody who may write about it.
pub(super) async fn find(cx: &mut Write<'_>, id: ThingId) -> Result<Sought, Stop> {
    let thing = readable(cx, id, &[ThingKind::Task]).await?.ok_or_else(Refusal::not_found)?;
    let permit = cx.permit_channel(Right::Document, thing.channel).await?;
    cx.about(id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Sought::Repeated(reply));
    }
    let ledger = cx.ledger();
    let task = keep::get(ledger, id).await?.ok_or(Fault::Integrity("a task without a row"))?;
    let access = ledger.access(thing.patient).await?.ok_or_else(Refusal::not_found)?;
    Ok(Sought::Task(Box::new(Found { task, access, permit })))
}

/// Adds to a `conflict` how the task stands.
pub(super) async fn with_current(cx: &mut Write<'_>, found: &Found, refusal: Refusal) -> Stop {
    if refusal.code != Code::Conflict {
        return refusal.into();
    }
    let (subject, now) = (cx.subject(), cx.now());
    match views::messages(cx.ledger().tx(), &found.access, subject, now, &[found.task.id]).await {
        Ok(counts) => refusal.with("current", views::shown(&found.task, &counts)).into(),
        Err(fault) => fault.into(),
    }
}

/// Records what became of a task.
pub(super) async fn record(
    cx: &mut Write<'_>,
    before: &Task,
    after: &Task,
    change: Change,
    more: More,
) -> Result<Fact, Stop> {
    let id = cx.new_id();
    let More { reason, handoff, next } = more;
    let mut body = before.changed(EntryId(id), after, change, reason);
    (body.handoff, body.next) = (handoff, next);
    cx.record(before.channel, CHANGED, kind::TASK, Some(after.item), id, &body).await
}

async fn version(cx: &mut Write<'_>, item: ItemId) -> Result<i64, Stop> {
    let version = care_plan::version(cx.ledger().tx(), item).await?;
    Ok(version.ok_or(Fault::Integrity("a plan item without a row"))?)
}

/// `task.create`
pub(super) async fn create(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let text_chars = cx.ledger().shared().config.limits.text_chars;
    let Create { channel, item, task, from_message } = Create::parse(data, text_chars)?;
    let permit = cx.permit_channel(Right::Document, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let origin = match from_message {
        None => Origin::None,
        Some(id) => {
            let from = readable(cx, id, &[ThingKind::Message]).await?.filter(|from| from.channel == channel);
            Origin::Message(from.ok_or_else(|| Refusal::not_found().field("from_message"))?.id)
        }
    };
    let link = cx.link(&permit, item).await?;
    let ready = prepare(cx, &permit, link, task, origin).await?;
    record_new(cx, ready).await?;
    Ok(Reply::Recorded)
}

/// Looks at a new task that is to stand in the channel of `permit`, which is one to document there.
///
/// # Errors
/// `not_found`, field `owner`, for somebody who is not on the team's staff or does not read the channel; `invalid`, field `repeat`; or the
/// database's.
pub async fn prepare(
    cx: &mut Write<'_>,
    permit: &Permit,
    link: Link,
    new: NewTask,
    origin: Origin,
) -> Result<Ready, Stop> {
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let (channel, actor, now) = (permit.channel(), permit.actor(), cx.now());
    let owner = match new.owner {
        Some(owner) => {
            people::check(cx, &access, channel, owner)?;
            owner
        }
        // Who only writes for the host answers for nothing here.
        None if access.member(actor, now).is_none() => Holder::of(Responsibility::Lead),
        None => Holder::User(actor),
    };
    let (repeat, due) = match new.repeat {
        None => (None, new.due),
        Some(repeat) => due::begun(repeat, new.due, now).map(|(repeat, due)| (Some(repeat), Some(due)))?,
    };
    let body = Created {
        id: ThingId(cx.new_id()),
        item: link.item(),
        item_version: version(cx, link.item()).await?,
        title: new.title,
        description: new.description,
        owner,
        state: if owner == Holder::User(actor) { State::Ready } else { State::Requested },
        due,
        due_zone: new.due_zone,
        remind_minutes: new.remind_minutes,
        priority: new.priority,
        checklist: model::ticked(&new.checklist, &[], actor, now),
        repeat,
        from_message: if let Origin::Message(id) = origin { Some(id) } else { None },
        from_note: if let Origin::Note(id) = origin { Some(id) } else { None },
        repeats: None,
    };
    Ok(Ready { channel, access, body })
}

/// Records a new task, and tells whom it rests with.
///
/// # Errors
/// The database's.
pub async fn record_new(cx: &mut Write<'_>, ready: Ready) -> Result<ThingId, Stop> {
    let Ready { channel, access, body } = ready;
    let fact = cx.record(channel, CREATED, kind::TASK, Some(body.item), body.id.0, &body).await?;
    let Fact { channel, patient, by, .. } = fact;
    let told = people::About { task: body.id, channel, patient, owner: body.owner, but: Some(by) };
    tell(cx, &access, told, nudge::ASSIGNED, None).await?;
    Ok(body.id)
}

/// Every change of a task by a person.
pub(super) async fn step(cx: &mut Write<'_>, op: &str, data: &Data) -> Result<Reply, Stop> {
    let text_chars = cx.ledger().shared().config.limits.text_chars;
    let mut step = Step::parse(op, data, text_chars)?;
    let found = match find(cx, step.task).await? {
        Sought::Repeated(reply) => return Ok(reply),
        Sought::Task(found) => found,
    };
    let after = match decided(cx, &found, &mut step).await {
        Err(Stop::Refused(refusal)) => return Err(with_current(cx, &found, refusal).await),
        decided => decided?,
    };
    let next = again(cx, &found, &after, step.change()).await?;
    let change = step.change();
    let more = More { reason: step.reason, handoff: None, next: next.as_ref().map(Ready::id) };
    record(cx, &found.task, &after, change, more).await?;
    if after.owner != found.task.owner || change == Change::Assign {
        let told = people::About::of(&after).but(found.permit.actor());
        tell(cx, &found.access, told, nudge::ASSIGNED, None).await?;
    }
    if let Some(next) = next {
        record_new(cx, next).await?;
    }
    Ok(Reply::Recorded)
}

/// The task as it is to stand, once everything was found that the command names.
async fn decided(cx: &mut Write<'_>, found: &Found, step: &mut Step) -> Result<Task, Stop> {
    let (task, actor, now) = (&found.task, found.permit.actor(), cx.now());
    model::is_current(task, step.rev)?;
    if let Command::Column { column, owner } = step.command {
        step.command = model::leading_to(task, column, owner, actor)?;
    }
    if let Command::Take(_) = step.command {
        cx.permit_channel(Right::Take(task.owner), task.channel).await?;
    }
    let named = match &step.command {
        Command::Update(update) => update.item,
        _ => None,
    };
    let item = match named {
        None => None,
        Some(item) => {
            let item = cx.link(&found.permit, Some(item)).await?.item();
            Some((item, version(cx, item).await?))
        }
    };
    let mut after = model::decide(task, step, item, actor, now)?;
    if let Command::Update(update) = &step.command {
        repeating(task, &mut after, update.repeat.clone().flatten(), now)?;
    }
    if after.owner != task.owner {
        people::check(cx, &found.access, task.channel, after.owner)?;
    }
    let to = match (&step.command, step.after) {
        (Command::Place, after) => Some(after.flatten()),
        (_, after) => after,
    };
    if let Some(behind) = to {
        after.place = placed(cx, task, after.state, behind).await?;
    }
    Ok(after)
}

/// A task that comes again is due at a time; a new rule counts from there.
fn repeating(before: &Task, after: &mut Task, given: Option<Repeat>, now: Micros) -> Result<(), Refusal> {
    if let Some(repeat) = given {
        let (repeat, due) = due::begun(repeat, after.due.clone(), now)?;
        (after.repeat, after.due) = (Some(repeat), Some(due));
        after.overdue &= after.due == before.due;
    }
    if after.repeat.is_some() && after.due.is_none() {
        return Err(Refusal::invalid("due", "A task that comes again is due at a time. End its `repeat` first."));
    }
    Ok(())
}

/// The place behind another task of the column, or at its top.
async fn placed(cx: &mut Write<'_>, task: &Task, column: State, behind: Option<ThingId>) -> Result<String, Stop> {
    let missing = || Refusal::not_found().field("after");
    let mut places = sql::column(cx.ledger().tx(), task.patient, column.number()).await?;
    places.retain(|(id, _)| *id != task.id);
    if places.is_empty() && behind.is_none() {
        return Ok(task.place.clone());
    }
    let at = match behind {
        None => 0,
        Some(id) => {
            readable(cx, id, &[ThingKind::Task]).await?.ok_or_else(missing)?;
            places.iter().position(|(other, _)| *other == id).ok_or_else(missing)? + 1
        }
    };
    let text = |at: usize| places.get(at).map(|(_, place)| place.as_str());
    let place = place::behind(at.checked_sub(1).and_then(text), text(at));
    Ok(place.ok_or_else(|| Refusal::conflict("There is no room left at this place. Choose the one beside it."))?)
}

/// The task as which a completed one comes again, if it does.
async fn again(cx: &mut Write<'_>, found: &Found, after: &Task, change: Change) -> Result<Option<Ready>, Stop> {
    let (Change::Complete, Some(repeat), Some(due)) = (change, &after.repeat, &after.due) else { return Ok(None) };
    let Some(due) = due::again(repeat, due, cx.now()) else { return Ok(None) };
    // A plan item that is closed takes no new tasks: what came again for it ends with it.
    if cx.ledger().thing(ThingId(after.item.0)).await?.is_none_or(|item| !item.open) {
        return Ok(None);
    }
    let actor = found.permit.actor();
    let steps = after.checklist.iter();
    let body = Created {
        id: ThingId(cx.new_id()),
        item: after.item,
        item_version: version(cx, after.item).await?,
        title: after.title.clone(),
        description: after.description.clone(),
        owner: after.owner,
        state: if after.owner == Holder::User(actor) { State::Ready } else { State::Requested },
        due: Some(due),
        due_zone: after.due_zone.clone(),
        remind_minutes: after.remind_minutes,
        priority: after.priority,
        checklist: steps.map(|tick| Tick { text: tick.text.clone(), done: false, by: None, at: None }).collect(),
        repeat: after.repeat.clone(),
        from_message: None,
        from_note: None,
        repeats: Some(after.id),
    };
    Ok(Some(Ready { channel: after.channel, access: found.access.clone(), body }))
}
