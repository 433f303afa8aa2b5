//! What the clock does to tasks: it reminds their owners before they are due, and marks those that were not done by then.
//! Invariant: a mark of the clock leaves a task's number alone, so that it is no rival of a person who is about to change it.

use super::change;
use super::due;
use super::entries::Change;
use super::keep;
use super::model::Task;
use super::people::{About, tell};
use crate::kernel::base::{Code, Fault, Micros, Refusal, Stop, ThingId};
use crate::kernel::engine::{Alarm, Data, Ledger, Reply, Write, nudge};
use crate::kernel::policy::Access;

/// The owner is reminded.
pub(super) const REMIND: &str = "task.remind";
/// The task is overdue.
pub(super) const OVERDUE: &str = "task.mark_overdue";

/// When the clock has something to say of a task, as of the entry of `at`: never of what lay behind it already, but that it is overdue.
fn times(task: &Task, at: Micros) -> (Option<Micros>, Option<Micros>) {
    let Some(due) = task.due.as_deref().filter(|_| task.state.is_open() && !task.overdue) else { return (None, None) };
    let zone = task.due_zone.as_deref();
    let remind = due::reminds(due, zone, task.remind_minutes).filter(|remind| *remind > at);
    (remind, due::ends(due, zone))
}

/// Sets the alarms of a task. Called from `project`.
pub(super) async fn set(ledger: &mut Ledger, task: &Task, at: Micros) -> Result<(), Fault> {
    let (remind, overdue) = times(task, at);
    ledger.set_alarm(task.id.0, REMIND, task.patient, remind).await?;
    ledger.set_alarm(task.id.0, OVERDUE, task.patient, overdue).await
}

/// The task an alarm is about, with the standing at its patient; none if nothing is to be said of it any more.
async fn due(cx: &mut Write<'_>, alarm: &Alarm) -> Result<Option<(Task, std::sync::Arc<Access>)>, Stop> {
    let ledger = cx.ledger();
    let Some(task) = keep::get(ledger, ThingId(alarm.thing)).await? else { return Ok(None) };
    let Some(access) = ledger.access(task.patient).await? else { return Ok(None) };
    if ledger.shared().book.is_held(task.channel) {
        return Err(Refusal::new(Code::Busy).into());
    }
    let written = access.channels.get(&task.channel).is_some_and(|channel| !channel.archived) && !access.closed;
    Ok((written && task.state.is_open()).then_some((task, access)))
}

/// `task.remind`: before the task is due.
pub(super) async fn remind(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let found = due(cx, &alarm).await?;
    cx.alarm_done(&alarm).await?;
    if let Some((task, access)) = found {
        tell(cx, &access, About::of(&task), nudge::REMINDER, Some("due")).await?;
    }
    Ok(Reply::Plain(Data::new()))
}

/// `task.mark_overdue`: it was not done by the time it was due.
pub(super) async fn mark(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let Some((task, access)) = due(cx, &alarm).await? else {
        cx.alarm_done(&alarm).await?;
        return Ok(Reply::Plain(Data::new()));
    };
    cx.repeated(task.channel).await?;
    cx.alarm_done(&alarm).await?;
    let after = Task { overdue: true, ..task.clone() };
    change::record(cx, &task, &after, Change::Overdue, change::More::default()).await?;
    tell(cx, &access, About::of(&after), nudge::REMINDER, Some("overdue")).await?;
    Ok(Reply::Recorded)
}
