//! What is done about an offer: the receiver takes it or does not, the offerer or the lead takes it back.
//! Invariant: work moves in the commit of the acceptance, whose entry comes first, and in no other.

use super::entries::{ACCEPTED, Accepted, DECLINED, Declined, WITHDRAWN, Withdrawn};
use super::model::Step;
use super::sql::{self, HandoffRow};
use super::views::View;
use crate::features::channels::in_view;
use crate::features::{patients, tasks};
use crate::kernel::base::{EntryId, Fault, ItemId, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Nudge, Reply, Waiting, Write, nudge};
use crate::kernel::log::ThingKind;
use crate::kernel::policy::Right;

/// What a changed membership gives as its reason. Family is not told it.
const REASON: &str = "Handoff";

/// The handoff a command is about, or the answer of a repeat.
enum Found {
    Repeated(Reply),
    Handoff(Box<HandoffRow>, Option<ItemId>),
}

/// Permits a step and finds the handoff. Whoever does not read the plan channel gets the answer of one that never was.
async fn find(cx: &mut Write<'_>, id: ThingId, step: Step, right: fn(&HandoffRow) -> Right) -> Result<Found, Stop> {
    let thing = cx.ledger().thing(id).await?.filter(|thing| thing.kind == ThingKind::Handoff);
    let thing = thing.ok_or_else(Refusal::not_found)?;
    cx.permit_channel(Right::Read, thing.channel).await?;
    // What was offered while somebody was away is missing for them, as its entry is.
    let access = cx.ledger().access(thing.patient).await?.ok_or_else(Refusal::not_found)?;
    if !in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    let row = sql::get(cx.ledger().tx(), id).await?.ok_or(Fault::Integrity("a handoff without a row"))?;
    cx.permit_patient(right(&row), thing.patient).await?;
    cx.about(id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Found::Repeated(reply));
    }
    row.state()?.after(step)?;
    Ok(Found::Handoff(Box::new(row), thing.item))
}

/// `handoff.accept`
pub(super) async fn accept(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let fields = Fields(data);
    let id: ThingId = fields.required_id("handoff")?;
    let synthesis = fields.text("synthesis", chars_max)?;
    let synthesis = synthesis.ok_or_else(|| Refusal::invalid("synthesis", "Say in your words what you understood."))?;
    let (row, item) = match find(cx, id, Step::Accept, |row| Right::AnswerHandoff(row.receiver)).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Handoff(row, item) => (row, item),
    };
    let (giver, receiver, now) = (row.giver, row.receiver, cx.now());
    if cx.subject().user != receiver {
        return Err(Refusal::forbidden("Only the person it is offered to answers a handoff.").into());
    }
    let offered = View::open(cx.ledger(), &row).await?.offered;
    let access = cx.ledger().access(row.patient).await?.ok_or_else(Refusal::not_found)?;
    let passing = patients::passing(&access, giver, receiver, &offered.responsibilities, now)?;
    let handover = tasks::handover(cx.ledger(), &access, &offered.tasks, giver, receiver, now).await?;
    let body = Accepted {
        id: EntryId(cx.new_id()),
        handoff: id,
        synthesis,
        tasks: handover.moves.iter().map(|task| task.id).collect(),
        left: handover.left.clone(),
        responsibilities: passing.moved().to_vec(),
    };
    cx.record(row.channel, ACCEPTED, kind::HANDOFF, item, body.id.0, &body).await?;
    tasks::hand_over(cx, handover, receiver, id).await?;
    patients::move_responsibilities(cx, passing, REASON).await?;
    Ok(Reply::Recorded)
}

/// `handoff.decline`
pub(super) async fn decline(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (id, reason) = (fields.required_id("handoff")?, fields.reason()?);
    let (row, item) = match find(cx, id, Step::Decline, |row| Right::AnswerHandoff(row.receiver)).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Handoff(row, item) => (row, item),
    };
    if cx.subject().user != row.receiver {
        return Err(Refusal::forbidden("Only the person it is offered to answers a handoff.").into());
    }
    let body = Declined { id: EntryId(cx.new_id()), handoff: id, reason };
    cx.record(row.channel, DECLINED, kind::HANDOFF, item, body.id.0, &body).await?;
    let waits = Nudge::of(row.patient, Waiting::Handoff(id)).because("handoff");
    let access = cx.ledger().access(row.patient).await?.ok_or_else(Refusal::not_found)?;
    if access.member(row.giver, cx.now()).is_some() {
        cx.nudge(row.giver, nudge::REMINDER, &waits).await?;
    }
    Ok(Reply::Recorded)
}

/// `handoff.withdraw`
pub(super) async fn withdraw(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (id, reason) = (fields.required_id("handoff")?, fields.reason()?);
    let (row, item) = match find(cx, id, Step::Withdraw, |row| Right::WithdrawHandoff(row.giver)).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Handoff(row, item) => (row, item),
    };
    let body = Withdrawn { id: EntryId(cx.new_id()), handoff: id, reason };
    cx.record(row.channel, WITHDRAWN, kind::HANDOFF, item, body.id.0, &body).await?;
    Ok(Reply::Recorded)
}
