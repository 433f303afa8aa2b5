//! Handoffs as they are read: the sealed view, and the answers made of it.
//! Invariant: whoever does not read the plan channel is told of none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entries::{Accepted, Offered};
use super::model::State;
use super::shapes::{HandoffList, Shown};
use super::sql::{self, HandoffRow};
use crate::features::channels::in_view;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{Fault, PatientId, Refusal, Stop, ThingId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Ledger, Read};
use crate::kernel::log::ThingKind;
use crate::kernel::policy::{Access, Right};

/// Handoffs of one list: more than a board can show.
pub(super) const LISTED_MAX: i64 = 200;

/// What is kept sealed of a handoff.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct View {
    /// As it was offered.
    pub offered: Offered,
    /// How it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// Why it was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<String>,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// What stands in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<ThingId>,
}

impl View {
    pub(super) fn of(offered: Offered) -> Self {
        Self { offered, accepted: None, declined: None, withdrawn: None, replaced_by: None }
    }

    fn parse(plain: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(plain).map_err(|_| Fault::Integrity("a handoff's view is not JSON"))
    }

    /// Seals it into its row, under the next revision.
    pub(super) async fn seal(&self, ledger: &Ledger, row: &mut HandoffRow) -> Result<(), Fault> {
        let plain = serde_json::to_vec(self).map_err(|_| Fault::Defect("a handoff is not JSON"))?;
        row.revision += 1;
        row.sealed = ledger.seal_view(row.patient, row.id.0, row.revision, &plain).await?;
        Ok(())
    }

    /// Opens that of a row.
    pub(super) async fn open(ledger: &Ledger, row: &HandoffRow) -> Result<Self, Fault> {
        Self::parse(&ledger.open_view(row.patient, row.id.0, row.revision, &row.sealed).await?)
    }

    fn shown(self, row: &HandoffRow) -> Result<Shown, Fault> {
        let state = row.state()?;
        let respond_by = row.since.saturating_add(row.minutes.saturating_mul(MINUTE));
        let Self { offered, accepted, declined, withdrawn, replaced_by } = self;
        let Offered { ipass, mut tasks, mut left, mut responsibilities, .. } = offered;
        let synthesis = accepted.map(|accepted| {
            tasks = accepted.tasks;
            left.extend(accepted.left);
            responsibilities = accepted.responsibilities;
            accepted.synthesis
        });
        Ok(Shown {
            id: row.id,
            patient: row.patient,
            channel: row.channel,
            seq: row.seq,
            by: row.giver,
            at: rfc3339(row.at),
            to: row.receiver,
            state,
            since: rfc3339(row.since),
            ipass,
            tasks,
            left,
            responsibilities,
            respond_by: state.is_open().then(|| rfc3339(respond_by)),
            escalated: row.escalated,
            synthesis,
            declined,
            withdrawn,
            replaced_by,
        })
    }
}

impl HandoffRow {
    /// How it stands.
    pub(super) fn state(&self) -> Result<State, Fault> {
        State::from_number(self.state).ok_or(Fault::Integrity("a handoff in an unknown state"))
    }
}

async fn shown(cx: &mut Read, rows: Vec<HandoffRow>) -> Result<Vec<Shown>, Fault> {
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        let plain = cx.open_view(row.patient, row.id.0, row.revision, &row.sealed).await?;
        list.push(View::parse(&plain)?.shown(&row)?);
    }
    Ok(list)
}

/// What still waits for somebody at a patient, the oldest first: what is offered, and what was declined until something is done about
/// it. Nothing for whoever does not read the plan channel.
///
/// # Errors
/// The database's, or a view does not open.
pub async fn open(cx: &mut Read, access: &Access) -> Result<Vec<Shown>, Fault> {
    let Some(plan) = access.plan_channel() else { return Ok(Vec::new()) };
    if !cx.readable(access).contains(&plan) {
        return Ok(Vec::new());
    }
    let mut rows = sql::open(cx.tx(), access.patient, LISTED_MAX).await?;
    rows.retain(|row| in_view(access, cx.subject(), plan, row.seq, cx.now()));
    shown(cx, rows).await
}

fn answer<T: Serialize>(answer: T) -> Result<Value, Stop> {
    Ok(serde_json::to_value(answer).map_err(|_| Fault::Defect("an answer is not JSON"))?)
}

/// `handoff.get`
pub(super) async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let id: ThingId = Fields(data).required_id("handoff")?;
    let thing = cx.thing(id).await?.filter(|thing| thing.kind == ThingKind::Handoff);
    let thing = thing.ok_or_else(Refusal::not_found)?;
    let (_, access) = cx.permit_channel(Right::Read, thing.channel).await?;
    if !in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    cx.audit.object = Some(id);
    let row = sql::get(cx.tx(), id).await?.ok_or(Fault::Integrity("a handoff without a row"))?;
    answer(shown(cx, vec![row]).await?.pop())
}

/// `handoff.list`
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    let closed = fields.boolean("closed")?.unwrap_or(false);
    let (_, access) = cx.permit_patient(Right::SeePatient, patient).await?;
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    cx.permit_channel(Right::Read, plan).await?;
    let handoffs = if closed {
        let mut rows = sql::newest(cx.tx(), patient, LISTED_MAX).await?;
        rows.retain(|row| in_view(&access, cx.subject(), plan, row.seq, cx.now()));
        shown(cx, rows).await?
    } else {
        open(cx, &access).await?
    };
    answer(HandoffList { handoffs })
}
