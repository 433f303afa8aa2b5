//! The end of care at a patient: the record becomes read-only once what is open is settled, and is opened again for a reason.
//! Does not know: how open work is settled; it lists it. It has no table: that a record is closed is part of the standing at it.
//! Invariants: a record with open work is not closed; what is closed is read, taken out and left as before, and takes no word more.

mod model;
#[cfg(test)]
mod tests;

use serde_json::Value;

use model::{Changed, Close, OpenWork, Reopen};

use crate::features::{care_plan, channels, notes};
use crate::kernel::base::{ChannelId, EntryId, Fault, PatientId, Refusal, Stop};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::{Fact, ThingKind};
use crate::kernel::policy::{Access, Audience, Right};

/// The record was closed or opened again.
const CHANGED: &str = "patient.changed";
const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");
/// Messages on Unsorted that are named; the rest is found once these are sorted.
const UNSORTED_MAX: i64 = 200;

/// The ops `patient.close` and `patient.reopen`.
pub struct Discharge;

impl Feature for Discharge {
    fn face(&self) -> Face {
        const EVENTS: &[Event] = &[Event::of::<Changed>(CHANGED)];
        const OPS: &[Op] = &[
            Op::write("patient.close", "patient").takes::<Close>().records::<model::ClosedReply>(),
            Op::write("patient.reopen", "patient").takes::<Reopen>().records::<model::ClosedReply>(),
        ];
        Face { name: "discharge", ops: OPS, events: EVENTS, reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "patient.close" => close(cx, data).await,
                "patient.reopen" => reopen(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, _cx: &'a mut Read, _op: &'static str, _data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async { Err(UNKNOWN.into()) })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            let access = ledger.access(fact.patient).await?;
            let access = access.ok_or(Fault::Integrity("an entry of a patient that is not there"))?;
            // The same stands in every channel; the plan channel's counts.
            if access.plan_channel() != Some(fact.channel) {
                return Ok(());
            }
            let Changed { closed, .. } = fact.read()?;
            if closed {
                channels::end_asks(ledger, fact).await?;
            }
            ledger.set_closed(fact.patient, closed).await
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut reply = Data::new();
        reply.insert("patient".into(), fact.patient.to_string().into());
        if let Ok(Changed { closed, .. }) = fact.read() {
            reply.insert("closed".into(), closed.into());
        }
        reply
    }
}

/// Permits the change, and finds the standing and the plan channel; or gives the first answer of the same key.
async fn find(
    cx: &mut Write<'_>,
    patient: PatientId,
) -> Result<Result<(std::sync::Arc<Access>, ChannelId), Reply>, Stop> {
    cx.permit_patient(Right::CloseRecord, patient).await?;
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(Err(reply));
    }
    Ok(Ok((access, plan)))
}

/// `patient.close`
async fn close(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command = Close::parse(data)?;
    let (access, plan) = match find(cx, command.patient).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let open = open_work(cx.ledger(), command.patient).await?;
    model::closable(access.closed, open)?;
    record(cx, &access, plan, true, command.reason).await
}

/// `patient.reopen`
async fn reopen(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command = Reopen::parse(data)?;
    let (access, plan) = match find(cx, command.patient).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    model::reopenable(access.closed)?;
    record(cx, &access, plan, false, Some(command.reason)).await
}

/// What is to be settled before the record is closed.
async fn open_work(ledger: &mut Ledger, patient: PatientId) -> Result<OpenWork, Fault> {
    let mut open = OpenWork::default();
    for thing in ledger.open_work(patient).await? {
        match thing.kind {
            ThingKind::Task => open.tasks.push(thing.id),
            ThingKind::Handoff => open.handoffs.push(thing.id),
            ThingKind::Note if notes::is_marker(&thing) => open.notes.push(thing.id),
            _ => {}
        }
    }
    if let Some(unsorted) = care_plan::unsorted_item(ledger.tx(), patient).await? {
        let about = ledger.open_about(unsorted, UNSORTED_MAX).await?;
        let messages = about.into_iter().filter(|thing| thing.kind == ThingKind::Message);
        open.unsorted = messages.map(|thing| thing.id).collect();
    }
    Ok(open)
}

/// Says it in every channel that is not archived, the plan channel first; why a record is closed is not for family.
async fn record(
    cx: &mut Write<'_>,
    access: &Access,
    plan: ChannelId,
    closed: bool,
    reason: Option<String>,
) -> Result<Reply, Stop> {
    let others = access.channels.iter().filter(|(id, channel)| **id != plan && !channel.archived);
    let channels: Vec<(ChannelId, Audience)> =
        std::iter::once((plan, Audience::Staff)).chain(others.map(|(id, channel)| (*id, channel.audience))).collect();
    for (channel, audience) in channels {
        let id = cx.new_id();
        let reason = reason.clone().filter(|_| audience != Audience::Shared);
        let body = Changed { id: EntryId(id), patient: access.patient, closed, reason };
        cx.record(channel, CHANGED, kind::IDENTITY, None, id, &body).await?;
    }
    Ok(Reply::Recorded)
}
