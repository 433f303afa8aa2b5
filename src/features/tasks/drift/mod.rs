//! Drift: tasks, and messages whose answer is awaited, whose plan item came to mean something else, or ended, since somebody last looked
//! at both. Whoever answers for the plan keeps, cancels or re-links them.
//! Does not know: when an item changed its meaning; the plan says so. Nothing is kept here: what drifts follows from both versions.
//! Invariant: a task that is not over, or a message that waits, either fits its item or is listed to somebody who can settle it.

mod asks;
mod model;
pub mod shapes;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::model::{Action, Settle};
use self::shapes::{Drift, Drifting};
use super::change::{self, More, Sought};
use super::entries::Change;
use super::{keep, people, sql};
use crate::features::care_plan::{self, Meaning};
use crate::features::channels::in_view;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::nudge::REMINDER;
use crate::kernel::engine::{Data, Nudge, Read, Reply, Waiting, Write};
use crate::kernel::log::{Fact, ThingKind};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{Access, Basis, Permit, Responsibility, Right};

/// Who looks at what drifts in a channel: those who lead or answer for the plan and read it; where none of them does, its staff.
fn reviewers(access: &Access, channel: ChannelId, now: Micros) -> Vec<UserId> {
    let answers = [Responsibility::Lead, Responsibility::Plan];
    let mut found: Vec<UserId> = answers.into_iter().flat_map(|one| access.holders(one, now)).collect();
    found.retain(|user| people::reads(access, channel, *user, now));
    if found.is_empty() {
        found = access.members.keys().copied().filter(|user| people::reads(access, channel, *user, now)).collect();
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether somebody settles what drifts in a channel they read. Whoever is stood in for does not lose it.
fn reviews(access: &Access, permit: &Permit, channel: ChannelId, now: Micros) -> bool {
    let held = permit.member();
    held.lead
        || held.plan
        || permit.basis() == Basis::CommandLine
        || reviewers(access, channel, now).contains(&permit.actor())
}

/// `drift.list`
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let patients = match Fields(data).id::<PatientId>("patient")? {
        Some(patient) => {
            let (permit, access) = cx.permit_patient(Right::SeePatient, patient).await?;
            if permit.family() {
                return Err(Refusal::forbidden("This is for staff.").into());
            }
            vec![(permit, access)]
        }
        None => cx.patients().await?,
    };
    let mut drifts = Vec::new();
    let mut rows = Vec::with_capacity(patients.len());
    for (permit, access) in patients.iter().filter(|(permit, _)| !permit.family()) {
        drifts.extend(of_patient(cx, permit, access).await?);
        let basis = Some(permit.basis().text());
        rows.push(Draft { patient: Some(access.patient), basis, ..cx.audit.clone() });
    }
    if !rows.is_empty() {
        cx.audit = rows.remove(0);
        cx.further = rows;
    }
    drifts.sort_by(|a, b| (&a.since, a.thing).cmp(&(&b.since, b.thing)));
    Ok(json!({ "drifts": drifts }))
}

/// What drifts at a patient and is the caller's to settle.
async fn of_patient(cx: &mut Read, permit: &Permit, access: &Access) -> Result<Vec<Drift>, Fault> {
    let (subject, now) = (cx.subject().clone(), cx.now());
    let meanings = care_plan::meanings(cx.tx(), access.patient).await?;
    let mut drifts = asks::of_patient(cx, permit, access, &meanings).await?;
    for row in sql::open(cx.tx(), access.patient).await? {
        let Some(meaning) = meanings.get(&row.item) else { continue };
        let Some(since) = meaning.changed_after(row.item_version) else { continue };
        let task = keep::opened(cx.vault(), &row).await?;
        let seen = in_view(access, &subject, task.channel, task.seq, now);
        if seen && reviews(access, permit, task.channel, now) {
            drifts.push(Drift {
                kind: Drifting::Task,
                thing: task.id,
                patient: task.patient,
                channel: task.channel,
                item: task.item,
                item_version_then: task.item_version,
                item_version_now: meaning.version,
                item_status: meaning.status.clone(),
                since: rfc3339(since),
            });
        }
    }
    Ok(drifts)
}

/// `drift.settle`
pub(super) async fn settle(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command = Settle::parse(data)?;
    if let Some(message) = change::readable(cx, command.thing, &[ThingKind::Message]).await? {
        return asks::settle(cx, &message, command).await;
    }
    let found = match change::find(cx, command.thing).await? {
        Sought::Repeated(reply) => return Ok(reply),
        Sought::Task(found) => found,
    };
    if !reviews(&found.access, &found.permit, found.task.channel, cx.now()) {
        let detail = "Only the lead or a holder of the responsibility `plan` settles what drifts.";
        return Err(Refusal::forbidden(detail).into());
    }
    let meaning = meaning(cx, found.task.item).await?;
    let to = match other_item(cx, &found.permit, &command).await? {
        Some(item) => Some((item, self::meaning(cx, item).await?.version)),
        None => None,
    };
    let after = match model::decide(&found.task, &meaning, &command, to) {
        Ok(after) => after,
        Err(refusal) => return Err(change::with_current(cx, &found, refusal).await),
    };
    let more = More { reason: Some(command.reason), ..More::default() };
    change::record(cx, &found.task, &after, Change::Drift, more).await?;
    Ok(Reply::Recorded)
}

async fn meaning(cx: &mut Write<'_>, item: ItemId) -> Result<Meaning, Stop> {
    let meaning = care_plan::meaning(cx.ledger().tx(), item).await?;
    Ok(meaning.ok_or(Fault::Integrity("a plan item without a row"))?)
}

/// The open item that something is to be linked to instead.
async fn other_item(cx: &mut Write<'_>, permit: &Permit, command: &Settle) -> Result<Option<ItemId>, Stop> {
    if command.action != Action::Replace {
        return Ok(None);
    }
    Ok(Some(cx.link(permit, command.item).await?.item()))
}

/// A plan item changed: those who settle what drifts now are told, in the same transaction.
pub(super) async fn follow(cx: &mut Write<'_>, fact: &Fact) -> Result<(), Stop> {
    let now = cx.now();
    let ledger = cx.ledger();
    let access = ledger.access(fact.patient).await?.ok_or(Fault::Integrity("a patient is not there"))?;
    let item = fact.item.ok_or(Fault::Integrity("a change of no plan item"))?;
    // What shared channels say of it is for family.
    if access.plan_channel() != Some(fact.channel) {
        return Ok(());
    }
    let meaning = care_plan::meaning(ledger.tx(), item).await?.ok_or(Fault::Integrity("a plan item without a row"))?;
    if !meaning.just_changed() {
        return Ok(());
    }
    let mut channels = sql::drifting(ledger.tx(), fact.patient, item, meaning.version).await?;
    channels.extend(asks::drifting(ledger.tx(), item, meaning.version).await?);
    let mut told: Vec<UserId> = channels.into_iter().flat_map(|channel| reviewers(&access, channel, now)).collect();
    told.sort_unstable();
    told.dedup();
    let nudge = Nudge::of(fact.patient, Waiting::Item(item)).because("drift");
    for user in told {
        cx.nudge(user, REMINDER, &nudge).await?;
    }
    Ok(())
}
