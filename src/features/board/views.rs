//! `board.get`: the answers of tasks, notes and handoffs, side by side.
//! Invariant: each patient whose work is shown has an audit row of their own.

use serde_json::Value;

use super::model::{self, Card, ENDED_SHOWN, Question, Scope};
use super::shapes::{Board, Column};
use crate::features::care_plan::{self, Standing, Unsorted};
use crate::features::channels::{self, Awaited};
use crate::features::checkins::{self, Due};
use crate::features::handoffs::{self, Shown};
use crate::features::notes::{self, Marker};
use crate::features::tasks;
use crate::kernel::base::{Fault, ItemId, Stop, ThingId, UserId};
use crate::kernel::engine::{Data, Read, subject_sees_item};
use crate::kernel::log::ThingKind;
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{Access, Holder, Permit, Right};

/// What has been gathered so far.
#[derive(Default)]
struct Gathered {
    cards: Vec<Card>,
    notes: Vec<Marker>,
    handoffs: Vec<Shown>,
    asks: Vec<Awaited>,
    checkins: Vec<Due>,
    unsorted: Unsorted,
}

/// `board.get`
pub(super) async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let question = Question::parse(data)?;
    let patients = match question.scope {
        Scope::Patient(patient) => vec![cx.permit_patient(Right::SeePatient, patient).await?],
        Scope::Mine => cx.patients().await?,
    };
    let mut gathered = Gathered::default();
    let mut rows = Vec::with_capacity(patients.len());
    for (permit, access) in patients {
        rows.push(Draft {
            patient: Some(access.patient),
            basis: Some(permit.basis().text()),
            channel: None,
            ..cx.audit.clone()
        });
        if in_sight(cx, &question, &permit, &access).await? {
            gather(cx, &question, &access, &mut gathered).await?;
        }
    }
    if !rows.is_empty() {
        cx.audit = rows.remove(0);
        cx.further = rows;
    }
    let Gathered { cards, notes, handoffs, asks, checkins, unsorted } = gathered;
    let columns = model::columns(&cards).into_iter().map(Column::from).collect();
    let board = Board { columns, notes, handoffs, asks, checkins, unsorted };
    Ok(serde_json::to_value(&board).map_err(|_| Fault::Defect("a board is not JSON"))?)
}

/// Whether what the filters name is there for the caller at this patient: else nothing of the patient is on the board.
async fn in_sight(cx: &mut Read, question: &Question, permit: &Permit, access: &Access) -> Result<bool, Fault> {
    if let Some(Holder::User(user)) = question.owner
        && access.member(user, cx.now()).is_none()
    {
        return Ok(false);
    }
    let Some(item) = question.item else { return Ok(true) };
    let thing = cx.thing(ThingId(item.0)).await?;
    let thing = thing.filter(|thing| thing.kind == ThingKind::PlanItem && thing.patient == access.patient);
    Ok(thing.is_some_and(|thing| subject_sees_item(permit.family(), thing.shared)))
}

async fn gather(cx: &mut Read, question: &Question, access: &Access, gathered: &mut Gathered) -> Result<(), Fault> {
    let owner = match question.scope {
        Scope::Mine => Some(tasks::Owner::Mine),
        Scope::Patient(_) => question.owner.map(tasks::Owner::Is),
    };
    let filter = tasks::Filter {
        owner,
        item: question.item,
        due_before: question.due_before,
        state: question.state,
        ended_since: cx.now() - ENDED_SHOWN,
    };
    let listed = tasks::listed(cx, access, &filter).await?;
    let card = |tasks::Listed { state, ended, task, .. }| Card { state, ended, task };
    gathered.cards.extend(listed.into_iter().map(card));
    let markers = notes::open_markers(cx, access).await?.into_iter();
    let wanted = question.holder(cx.subject().user);
    let about = |item: ItemId| question.item.is_none_or(|only| only == item);
    let rests = |with: UserId| wanted.is_none_or(|wanted| wanted == Holder::User(with));
    gathered.notes.extend(markers.filter(|marker| about(marker.item) && rests(marker.by)));
    let asks = channels::awaited(cx, access).await?.into_iter();
    let waits_for = |of: &[UserId]| match wanted {
        None => true,
        Some(Holder::User(user)) => of.contains(&user),
        // A message and a check-in ask people.
        Some(_) => false,
    };
    gathered.asks.extend(asks.filter(|ask| about(ask.item) && waits_for(&ask.of)));
    let whole = care_plan::standing(cx.tx(), access.patient, Standing::Whole).await?;
    if whole.is_some_and(about) {
        let due = checkins::due(cx, access).await?.into_iter();
        gathered.checkins.extend(due.filter(|checkin| waits_for(&checkin.silent)));
        let offers = handoffs::open(cx, access).await?.into_iter();
        gathered.handoffs.extend(
            offers.filter(|offer| rests(if offer.state == handoffs::State::Declined { offer.by } else { offer.to })),
        );
    }
    let waiting = care_plan::unsorted(cx, access).await?;
    gathered.unsorted.count += waiting.count;
    gathered.unsorted.overdue += waiting.overdue;
    Ok(())
}
