//! `handoff.offer`: what somebody has at a patient, offered to a colleague.

use super::entries::OFFERED;
use super::model::{self, Former, Offer, State, Work};
use super::sql;
use super::views::{LISTED_MAX, View};
use crate::features::patients::{self, Registered};
use crate::features::tasks;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Nudge, Reply, Waiting, Write, nudge};
use crate::kernel::policy::{Access, Member, Responsibility, Right};

/// `handoff.offer`
pub(super) async fn offer(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let shared = cx.ledger().shared().clone();
    let offer = Offer::parse(data, shared.config.limits.text_chars)?;
    let permit = cx.permit_patient(Right::HandOff, offer.patient).await?;
    let access = cx.ledger().access(offer.patient).await?.ok_or_else(Refusal::not_found)?;
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(reply);
    }
    let (giver, now) = (permit.actor(), cx.now());
    // The command line may do anything, but has no work of its own.
    let member = staff(&access, giver, now).ok_or_else(|| Refusal::forbidden("Work is handed over by who has it."))?;
    receives(cx, &access, giver, offer.to)?;
    let work = work(cx, &access, giver, member, offer.to).await?;
    let offered = model::decide_offer(offer, ThingId(cx.new_id()), &work, shared.config.handoffs.respond_minutes)?;
    // What the receiver could not hold is refused now, and not only when they accept it.
    patients::passing(&access, giver, offered.to, &offered.responsibilities, now)?;
    let item = whole(cx, plan).await?;
    cx.record(plan, OFFERED, kind::HANDOFF, Some(item), offered.id.0, &offered).await?;
    let waits = Nudge::of(offered.patient, Waiting::Handoff(offered.id)).because("handoff");
    cx.nudge(offered.to, nudge::REMINDER, &waits).await?;
    Ok(Reply::Recorded)
}

fn staff(access: &Access, user: UserId, now: Micros) -> Option<&Member> {
    access.member(user, now).filter(|member| !member.family)
}

/// Whether somebody can receive what another one hands over: staff of the team, with an account that is in use.
fn receives(cx: &mut Write<'_>, access: &Access, giver: UserId, to: UserId) -> Result<(), Stop> {
    if giver == to {
        return Err(Refusal::invalid("to", "Name a colleague.").into());
    }
    let person = cx.ledger().shared().book.person(to).filter(|person| person.active && !person.kind.is_family());
    match person.and(staff(access, to, cx.now())) {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found().field("to").into()),
    }
}

/// What the giver has at the patient now.
async fn work(cx: &mut Write<'_>, access: &Access, giver: UserId, member: &Member, to: UserId) -> Result<Work, Stop> {
    let now = cx.now();
    let ledger = cx.ledger();
    let open: Vec<ThingId> =
        tasks::open_of(ledger, access.patient, giver).await?.into_iter().map(|task| task.id).collect();
    let tasks::Handover { moves, left: stuck } = tasks::handover(ledger, access, &open, giver, to, now).await?;
    let mut declined = Vec::new();
    for row in sql::open(ledger.tx(), access.patient, LISTED_MAX).await? {
        if row.giver == giver && row.state()? == State::Declined {
            let offered = View::open(ledger, &row).await?.offered;
            declined.push(Former { id: row.id, tasks: offered.tasks, responsibilities: offered.responsibilities });
        }
    }
    let tasks = moves.into_iter().map(|task| task.id).collect();
    // What one only stands in for is not one's own to give away.
    Ok(Work { tasks, stuck, held: Responsibility::of(member), declined })
}

/// The plan of the patient as a whole, which a handoff is about.
async fn whole(cx: &mut Write<'_>, plan: ChannelId) -> Result<ItemId, Stop> {
    let registered: Registered = cx.entry(plan, 1).await?.read()?;
    Ok(registered.items.whole)
}
