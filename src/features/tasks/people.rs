//! Who is meant by a task's owner, and what they are told of it on their channel `me`.
//! Invariant: nobody is told of a task in a channel they do not read, and what they are told holds ids only.

use super::model::Task;
use crate::kernel::base::{ChannelId, Micros, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::engine::{Nudge, Waiting, Write};
use crate::kernel::policy::{Access, Holder, Responsibility};

/// What somebody is told about.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) task: ThingId,
    pub(super) channel: ChannelId,
    pub(super) patient: PatientId,
    pub(super) owner: Holder,
    /// Who brought it about and need not be told.
    pub(super) but: Option<UserId>,
}

impl About {
    pub(super) const fn of(task: &Task) -> Self {
        Self { task: task.id, channel: task.channel, patient: task.patient, owner: task.owner, but: None }
    }

    pub(super) const fn but(self, user: UserId) -> Self {
        Self { but: Some(user), ..self }
    }
}

/// Whether somebody is staff of the team and reads a channel.
pub(super) fn reads(access: &Access, channel: ChannelId, user: UserId, now: Micros) -> bool {
    let held = access.channels.get(&channel).is_some_and(|held| held.readable_by(user).is_some());
    held && access.member(user, now).is_some_and(|member| !member.family)
}

/// The people an owner stands for now, of those who read the channel; where none of them does, those who lead.
pub(super) fn meant(access: &Access, channel: ChannelId, owner: Holder, now: Micros) -> Vec<UserId> {
    let reading = |mut users: Vec<UserId>| {
        users.retain(|user| reads(access, channel, *user, now));
        users
    };
    let found = reading(access.reached(owner, now));
    if found.is_empty() { reading(access.holders(Responsibility::Lead, now)) } else { found }
}

/// Whether a task can rest with somebody.
pub(super) fn check(cx: &mut Write<'_>, access: &Access, channel: ChannelId, owner: Holder) -> Result<(), Refusal> {
    let now = cx.now();
    let there = match owner {
        Holder::User(user) => {
            let person = cx.ledger().shared().book.person(user);
            person.is_some_and(|person| !person.kind.is_family()) && reads(access, channel, user, now)
        }
        // Where nobody holds it and nobody leads yet, it waits for somebody who does.
        Holder::Responsibility { .. } => {
            let found = access.reached(owner, now);
            found.is_empty() || found.iter().any(|user| reads(access, channel, *user, now))
        }
    };
    if there { Ok(()) } else { Err(Refusal::not_found().field("owner")) }
}

/// Tells whom a task rests with.
pub(super) async fn tell(
    cx: &mut Write<'_>,
    access: &Access,
    about: About,
    event: &'static str,
    why: Option<&'static str>,
) -> Result<(), Stop> {
    let nudge = Nudge::of(about.patient, Waiting::Task(about.task)).within(about.channel);
    let nudge = why.map_or(nudge, |why| nudge.because(why));
    let now = cx.now();
    for user in meant(access, about.channel, about.owner, now).into_iter().filter(|user| about.but != Some(*user)) {
        cx.nudge(user, event, &nudge).await?;
    }
    Ok(())
}
