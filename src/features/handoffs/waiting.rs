//! A handoff that waits is brought before somebody again: the receiver first, then whoever leads, and at once when one of both left.
//! Invariant: each time is an entry; it ends with an answer and with nothing else.

use super::entries::{Cause, ESCALATED, Escalated};
use super::model::{State, reminds_receiver};
use super::sql::{self, HandoffRow};
use super::views::LISTED_MAX;
use crate::features::patients::Departure;
use crate::kernel::base::{EntryId, Fault, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Nudge, Reply, Waiting, Write, nudge};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Holder, Responsibility, Right};

/// The op that the clock runs.
pub(super) const RING: &str = "handoff.escalate";
/// Somebody left a team.
pub(super) const LEFT: &str = "team.left";

/// `handoff.escalate`: nothing was done about it in time.
pub(super) async fn ring(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let row = sql::get(cx.ledger().tx(), ThingId(alarm.thing)).await?;
    let row = row.ok_or(Fault::Integrity("an alarm of a handoff that is not there"))?;
    let cause = row.state()?.cause().ok_or(Fault::Integrity("an alarm of a handoff that is over"))?;
    // A closed record takes no entry: it rings again once it is open.
    cx.permit_patient(Right::HandOff, row.patient).await?;
    cx.about(row.id);
    cx.repeated(row.channel).await?;
    cx.alarm_done(&alarm).await?;
    escalate(cx, &row, cause).await?;
    Ok(Reply::Recorded)
}

/// Follows `team.left`: what waits for somebody who left waits no longer for them.
pub(super) async fn left(cx: &mut Write<'_>, fact: &Fact) -> Result<(), Stop> {
    let Departure { user, .. } = fact.read()?;
    let access = cx.ledger().access(fact.patient).await?.ok_or_else(Refusal::not_found)?;
    if access.plan_channel() != Some(fact.channel) {
        return Ok(());
    }
    for row in sql::open(cx.ledger().tx(), fact.patient, LISTED_MAX).await? {
        if row.giver == user || (row.receiver == user && row.state()? == State::Offered) {
            escalate(cx, &row, Cause::Left).await?;
        }
    }
    Ok(())
}

async fn escalate(cx: &mut Write<'_>, row: &HandoffRow, cause: Cause) -> Result<(), Stop> {
    let now = cx.now();
    let access = cx.ledger().access(row.patient).await?.ok_or_else(Refusal::not_found)?;
    let step = row.escalated + 1;
    let reminds = cause == Cause::Unanswered && reminds_receiver(row.state()?, step);
    let to = if reminds {
        access.reached(Holder::User(row.receiver), now)
    } else {
        access.holders(Responsibility::Lead, now)
    };
    let item = cx.ledger().thing(row.id).await?.and_then(|thing| thing.item);
    let body = Escalated { id: EntryId(cx.new_id()), handoff: row.id, step, cause, to };
    cx.record(row.channel, ESCALATED, kind::HANDOFF, item, body.id.0, &body).await?;
    let waits = Nudge::of(row.patient, Waiting::Handoff(row.id));
    for user in body.to {
        if reminds && user == row.receiver {
            cx.nudge(user, nudge::REMINDER, &waits.because("handoff")).await?;
        } else {
            cx.nudge(user, nudge::ESCALATED, &waits).await?;
        }
    }
    Ok(())
}
