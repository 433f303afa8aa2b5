//! Tasks that go into other hands without a command about them: their owner left the team, or handed over.
//! Invariant: a task that is not over never goes on resting with somebody who left.

use super::change::{self, More};
use super::entries::Change;
use super::keep;
use super::model::Task;
use super::people::{self, About, tell};
use super::sql;
use crate::features::patients::Departure;
use crate::kernel::base::{Fault, Micros, PatientId, Stop, ThingId, UserId};
use crate::kernel::engine::{Ledger, Write, nudge};
use crate::kernel::log::Fact;
use crate::kernel::policy::Access;

/// The tasks of a handoff.
pub struct Handover {
    /// Those that go over.
    pub moves: Vec<Task>,
    /// Those that stay where they are: they ended, rest with somebody else by now, or the receiver does not read their channel.
    pub left: Vec<ThingId>,
}

/// A patient's tasks that are not over and rest with a person.
async fn resting_with(ledger: &mut Ledger, patient: PatientId, user: UserId) -> Result<Vec<Task>, Fault> {
    let vault = ledger.vault().clone();
    let mut tasks = Vec::new();
    for row in sql::open(ledger.tx(), patient).await?.iter().filter(|row| row.owner_user == Some(user)) {
        tasks.push(keep::opened(&vault, row).await?);
    }
    tasks.sort_by_key(|task| task.id);
    Ok(tasks)
}

/// The open tasks at a patient that rest with a person, oldest first.
///
/// # Errors
/// The database's, or one does not open.
pub async fn open_of(ledger: &mut Ledger, patient: PatientId, user: UserId) -> Result<Vec<Task>, Fault> {
    let mut tasks = resting_with(ledger, patient, user).await?;
    tasks.retain(|task| task.state.is_open());
    Ok(tasks)
}

/// Which of these tasks can go from one person to another now.
///
/// # Errors
/// The database's, or one does not open.
pub async fn handover(
    ledger: &mut Ledger,
    access: &Access,
    tasks: &[ThingId],
    from: UserId,
    to: UserId,
    now: Micros,
) -> Result<Handover, Fault> {
    let held = open_of(ledger, access.patient, from).await?;
    let goes = |task: &Task| {
        let channel = access.channels.get(&task.channel);
        channel.is_some_and(|channel| !channel.archived) && people::reads(access, task.channel, to, now)
    };
    let moves: Vec<Task> = held.into_iter().filter(|task| tasks.contains(&task.id) && goes(task)).collect();
    let left = tasks.iter().copied().filter(|id| !moves.iter().any(|task| task.id == *id)).collect();
    Ok(Handover { moves, left })
}

/// Records that the tasks of a handoff rest with its receiver; their states stay. What made them move is recorded before.
///
/// # Errors
/// The database's.
pub async fn hand_over(cx: &mut Write<'_>, handover: Handover, to: UserId, handoff: ThingId) -> Result<(), Stop> {
    for task in handover.moves {
        let after = task.handed_to(to);
        let more = More { handoff: Some(handoff), ..More::default() };
        change::record(cx, &task, &after, Change::Handoff, more).await?;
    }
    Ok(())
}

/// Somebody left the team: what was not over of theirs is asked of the lead.
pub(super) async fn leave(cx: &mut Write<'_>, fact: &Fact) -> Result<(), Stop> {
    let Departure { user, .. } = fact.read()?;
    let ledger = cx.ledger();
    let access = ledger.access(fact.patient).await?.ok_or(Fault::Integrity("a patient is not there"))?;
    // Each channel has the entry; the plan channel's counts.
    if access.plan_channel() != Some(fact.channel) {
        return Ok(());
    }
    for task in resting_with(ledger, fact.patient, user).await? {
        let after = task.returned(user);
        change::record(cx, &task, &after, Change::Return, More::default()).await?;
        tell(cx, &access, About::of(&after), nudge::ASSIGNED, Some("returned")).await?;
    }
    Ok(())
}
