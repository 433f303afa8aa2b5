//! Handoffs as they stand, projected from the entries alone: the row, the name, when the clock rings, and who is next in line.

use super::entries::{
    ACCEPTED, Accepted, DECLINED, Declined, ESCALATED, Escalated, OFFERED, Offered, Severity, WITHDRAWN, Withdrawn,
};
use super::model::{State, Step, rest};
use super::sql::{self, HandoffRow};
use super::views::View;
use super::waiting::RING;
use crate::features::care_plan::{self, Claim, Weight, Why};
use crate::kernel::base::{Fault, ThingId};
use crate::kernel::engine::Ledger;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::Holder;

const MISSING: Fault = Fault::Integrity("an entry of a handoff that is not there");

/// Follows an entry.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    match &*fact.event {
        OFFERED => project_offered(ledger, fact).await,
        ACCEPTED => {
            let body: Accepted = fact.read()?;
            step(ledger, fact, body.handoff, Step::Accept, |view| view.accepted = Some(body)).await
        }
        DECLINED => {
            let Declined { handoff, reason, .. } = fact.read()?;
            step(ledger, fact, handoff, Step::Decline, |view| view.declined = Some(reason)).await
        }
        WITHDRAWN => {
            let Withdrawn { handoff, reason, .. } = fact.read()?;
            step(ledger, fact, handoff, Step::Withdraw, |view| view.withdrawn = Some(reason)).await
        }
        ESCALATED => {
            let Escalated { handoff, step, .. } = fact.read()?;
            let mut row = sql::get(ledger.tx(), handoff).await?.ok_or(MISSING)?;
            row.escalated = step;
            sql::set(ledger.change(), &row).await?;
            let again = fact.at.saturating_add(rest(row.minutes, step));
            ledger.set_alarm(row.id.0, RING, row.patient, Some(again)).await
        }
        _ => Err(Fault::Defect("an event of another feature")),
    }
}

async fn project_offered(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let offered: Offered = fact.read()?;
    let replaces = offered.replaces.clone();
    let mut row = HandoffRow {
        id: offered.id,
        patient: fact.patient,
        channel: fact.channel,
        seq: fact.seq,
        giver: fact.by,
        receiver: offered.to,
        state: State::Offered.number(),
        at: fact.at,
        since: fact.at,
        minutes: offered.respond_minutes.into(),
        escalated: 0,
        revision: 0,
        sealed: Vec::new(),
    };
    let view = View::of(offered);
    view.seal(ledger, &mut row).await?;
    sql::add(ledger.change(), &row).await?;
    let thing = Thing::made(fact, row.id, ThingKind::Handoff, row.state);
    ledger.name_thing(thing.clone());
    wait(ledger, &row, &view, &thing).await?;
    let id = row.id;
    for former in replaces {
        step(ledger, fact, former, Step::Replace, |view| view.replaced_by = Some(id)).await?;
    }
    Ok(())
}

/// A handoff goes from one state to another.
async fn step(
    ledger: &mut Ledger,
    fact: &Fact,
    id: ThingId,
    step: Step,
    note: impl FnOnce(&mut View) + Send,
) -> Result<(), Fault> {
    let mut row = sql::get(ledger.tx(), id).await?.ok_or(MISSING)?;
    let mut view = View::open(ledger, &row).await?;
    let state = row.state()?.after(step).map_err(|_| Fault::Integrity("a handoff took a step that is none"))?;
    (row.state, row.since, row.escalated) = (state.number(), fact.at, 0);
    note(&mut view);
    view.seal(ledger, &mut row).await?;
    sql::set(ledger.change(), &row).await?;
    let thing = ledger.thing(id).await?.ok_or(MISSING)?;
    let thing = Thing { open: state.is_open(), state: row.state, ..thing };
    ledger.change_thing(thing.clone()).await?;
    wait(ledger, &row, &view, &thing).await
}

/// Sets for when the clock rings and whom the handoff waits for, or ends both.
async fn wait(ledger: &mut Ledger, row: &HandoffRow, view: &View, thing: &Thing) -> Result<(), Fault> {
    let state = row.state()?;
    let due = state.is_open().then(|| row.since.saturating_add(rest(row.minutes, 0)));
    ledger.set_alarm(row.id.0, RING, row.patient, due).await?;
    let holder = match state {
        State::Offered => row.receiver,
        State::Declined => row.giver,
        State::Accepted | State::Withdrawn | State::Replaced => return care_plan::release(ledger, row.id).await,
    };
    let weight = match view.offered.ipass.illness_severity {
        Severity::Unstable => Weight::Stat,
        Severity::Watcher => Weight::Urgent,
        Severity::Stable => Weight::Routine,
    };
    let item = thing.item.ok_or(Fault::Integrity("a handoff without a plan item"))?;
    let claim = Claim {
        source: row.id,
        item,
        patient: row.patient,
        channel: row.channel,
        seq: row.seq,
        holder: Holder::User(holder),
        due,
        weight,
        why: Why::Handoff,
    };
    care_plan::claim(ledger, &claim).await
}
