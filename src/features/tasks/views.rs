//! Tasks as they are shown: one, those made from something, and the columns of a board, each to whoever may read it.
//! Invariant: a task that the caller may not read is not shown, not counted, and not told from one that never was.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::due;
use super::entries::State;
use super::keep;
use super::model::Task;
use super::sql::{self, TaskRow};
use crate::features::channels::{in_view, thread_counts};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, ItemId, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::ThingKind;
use crate::kernel::policy::{Access, Holder, Responsibility, Right, Subject};
use crate::kernel::store::Tx;

/// Messages of each task's thread.
pub(super) type Threads = HashMap<ThingId, i64>;

/// How many messages of their threads the caller may read.
pub(super) async fn messages(
    tx: &mut Tx,
    access: &Access,
    subject: &Subject,
    now: Micros,
    tasks: &[ThingId],
) -> Result<Threads, Fault> {
    Ok(thread_counts(tx, tasks, |channel, seq| in_view(access, subject, channel, seq, now)).await?)
}

/// A task as everybody is shown it who may read its channel.
pub(super) fn shown(task: &Task, threads: &Threads) -> Value {
    let mut shown: Map<String, Value> = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("id", json!(task.id));
    put("channel", json!(task.channel));
    put("patient", json!(task.patient));
    put("item", json!(task.item));
    put("item_version", json!(task.item_version));
    put("title", json!(task.title));
    put("description", json!(task.description));
    put("state", json!(task.state));
    put("owner", json!(task.owner));
    put("due", json!(task.due));
    put("priority", json!(task.priority.unwrap_or_default()));
    put("checklist", json!(task.checklist));
    put("rev", json!(task.rev));
    put("messages", json!(threads.get(&task.id).copied().unwrap_or(0)));
    put("by", json!(task.by));
    put("at", json!(rfc3339(task.at)));
    put("overdue", json!(task.overdue));
    put("place", json!(task.place));
    let more = [
        ("due_zone", json!(task.due_zone)),
        ("remind_minutes", json!(task.remind_minutes)),
        ("repeat", json!(task.repeat)),
        ("returned_from", json!(task.returned_from)),
        ("from_message", json!(task.from_message)),
        ("from_note", json!(task.from_note)),
        ("repeats", json!(task.repeats)),
    ];
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
        put(name, value);
    }
    Value::Object(shown)
}

/// Whose tasks are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Those that rest with exactly this one.
    Is(Holder),
    /// The caller's: theirs by name, or by a responsibility they hold or stand in for.
    Mine,
}

/// Which tasks are looked for.
#[derive(Clone, Copy, Default)]
pub struct Filter {
    /// Whose.
    pub owner: Option<Owner>,
    /// About which plan item.
    pub item: Option<ItemId>,
    /// Due before this time.
    pub due_before: Option<Micros>,
    /// How they stand.
    pub state: Option<State>,
    /// Of those that are over, only those that ended since then.
    pub ended_since: Micros,
}

/// A task of a board.
pub struct Listed {
    /// Its column.
    pub state: State,
    /// What it is ordered by there.
    pub place: String,
    /// When it ended.
    pub ended: Option<Micros>,
    /// As it is shown.
    pub task: Value,
}

impl Filter {
    fn takes_row(&self, row: &TaskRow) -> bool {
        self.item.is_none_or(|item| row.item == item) && self.state.is_none_or(|state| row.state == state.number())
    }

    fn takes(&self, task: &Task, access: &Access, user: UserId, now: Micros) -> bool {
        let owned = match self.owner {
            None => true,
            Some(Owner::Is(holder)) => task.owner == holder,
            Some(Owner::Mine) => is_mine(task, access, user, now),
        };
        owned && self.due_before.is_none_or(|before| ends(task).is_some_and(|due| due < before))
    }
}

/// When a task is due.
pub(super) fn ends(task: &Task) -> Option<Micros> {
    task.due.as_deref().and_then(|due| due::ends(due, task.due_zone.as_deref()))
}

fn is_mine(task: &Task, access: &Access, user: UserId, now: Micros) -> bool {
    let holds = |responsibility: Responsibility| {
        let member = access.member(user, now).filter(|member| !member.family);
        member.is_some_and(|member| responsibility.is_held_by(&access.with_covers(user, *member, now)))
    };
    let named = match task.owner {
        Holder::User(owner) => owner == user,
        Holder::Responsibility { responsibility } => holds(responsibility),
    };
    named || access.reached(task.owner, now).contains(&user)
}

/// The tasks at a patient that the caller may read, in the order of their places.
///
/// # Errors
/// The database's, or one does not open.
pub async fn listed(cx: &mut Read, access: &Access, filter: &Filter) -> Result<Vec<Listed>, Fault> {
    let readable = cx.readable(access);
    if readable.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = sql::open(cx.tx(), access.patient).await?;
    rows.extend(sql::ended(cx.tx(), access.patient, filter.ended_since).await?);
    rows.retain(|row| readable.contains(&row.channel) && filter.takes_row(row));
    let (subject, now) = (cx.subject().clone(), cx.now());
    let mut tasks = Vec::with_capacity(rows.len());
    for row in rows {
        let task = keep::opened(cx.vault(), &row).await?;
        let seen = in_view(access, &subject, task.channel, task.seq, now);
        if seen && filter.takes(&task, access, subject.user, now) {
            tasks.push((task, row.ended));
        }
    }
    tasks.sort_by(|(a, _), (b, _)| (&a.place, a.id).cmp(&(&b.place, b.id)));
    let ids: Vec<ThingId> = tasks.iter().map(|(task, _)| task.id).collect();
    let threads = messages(cx.tx(), access, &subject, now, &ids).await?;
    let list = |(task, ended): (Task, Option<Micros>)| {
        let shown = shown(&task, &threads);
        Listed { state: task.state, place: task.place, ended, task: shown }
    };
    Ok(tasks.into_iter().map(list).collect())
}

/// The thing a question names, if it is of that kind and the caller may read it.
async fn asked(cx: &mut Read, id: ThingId, kind: &[ThingKind]) -> Result<std::sync::Arc<Access>, Stop> {
    let thing = cx.thing(id).await?.filter(|thing| kind.contains(&thing.kind)).ok_or_else(Refusal::not_found)?;
    let (_, access) = cx.permit_channel(Right::Read, thing.channel).await?;
    if !in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    cx.audit.object = Some(id);
    Ok(access)
}

async fn show(cx: &mut Read, access: &Access, rows: &[TaskRow]) -> Result<Vec<Value>, Stop> {
    let (subject, now) = (cx.subject().clone(), cx.now());
    let ids: Vec<ThingId> = rows.iter().map(|row| row.id).collect();
    let threads = messages(cx.tx(), access, &subject, now, &ids).await?;
    let mut tasks = Vec::with_capacity(rows.len());
    for row in rows {
        tasks.push(shown(&keep::opened(cx.vault(), row).await?, &threads));
    }
    Ok(tasks)
}

/// `task.get`
pub(super) async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let id: ThingId = Fields(data).required_id("task")?;
    let access = asked(cx, id, &[ThingKind::Task]).await?;
    let row = sql::get(cx.tx(), id).await?.ok_or(Fault::Integrity("a task without a row"))?;
    let task = show(cx, &access, &[row]).await?.into_iter().next();
    Ok(json!({ "task": task }))
}

/// `task.made_from`: what a message or note led to. A task stands in the channel of what it was made from.
pub(super) async fn made_from(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let origin: ThingId = match fields.id("message")? {
        Some(message) => message,
        None => fields.id("note")?.ok_or_else(|| Refusal::invalid("message", "Name a message or a note."))?,
    };
    let access = asked(cx, origin, &[ThingKind::Message, ThingKind::Note]).await?;
    let mut rows = sql::made_from(cx.tx(), origin).await?;
    let (subject, now) = (cx.subject().clone(), cx.now());
    let mut seen = Vec::with_capacity(rows.len());
    for row in rows.drain(..) {
        let made = cx.thing(row.id).await?.ok_or(Fault::Integrity("a task without a name"))?;
        if in_view(&access, &subject, made.channel, made.seq, now) {
            seen.push(row);
        }
    }
    Ok(json!({ "tasks": show(cx, &access, &seen).await? }))
}
