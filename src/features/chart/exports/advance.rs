//! A filing takes a step: what the job worked out is written in one transaction, or not at all. An op of the program itself.
//! Invariant: a step is taken once, from the state it was worked out for.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::draft::plan;
use super::keep::{Found, View};
use super::ledger::{Kept, beside, place};
use super::making::Planned;
use super::model::{State, Step};
use super::shapes::{Failed, FiledAs, Progress, Superseded};
use super::sql::{self, LedgerRow, ParcelRow};
use crate::features::chart::filing;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{EntryId, Fault, Micros, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::crypto::from_hex;
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::policy::Right;

/// The op.
pub(super) const ADVANCE: &str = "export.advance";
/// Another export was filed in the place of one.
pub(super) const SUPERSEDED: &str = "export.superseded";

/// A receiver did not take all of one.
pub(super) const FAILED: &str = "export.failed";

/// What is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Advance {
    pub export: ThingId,
    /// Of the row it was worked out from.
    pub revision: i64,
    pub state: State,
    pub sent: i64,
    pub attempts: i64,
    pub next_at: Option<Micros>,
    pub view: View,
    /// All parcels, from the beginning.
    pub plan: Option<Vec<Planned>>,
    /// One parcel.
    pub parcel: Option<Moved>,
    /// What the receiver holds, or may hold.
    pub held: Vec<Gained>,
}

/// A parcel that has its bytes, or is there.
#[derive(Serialize, Deserialize)]
pub(super) struct Moved {
    pub n: i64,
    /// 1 its bytes are made, 2 the receiver has it.
    pub state: i16,
    pub revision: i64,
    pub planned: Option<Planned>,
}

/// One resource of the gap ledger.
#[derive(Serialize, Deserialize)]
pub(super) struct Gained {
    pub resource: Uuid,
    /// Hex; empty while it is on its way.
    pub hash: String,
    pub kept: Kept,
}

/// What a parcel is sealed to.
pub(super) fn seat(export: ThingId, n: i64) -> Uuid {
    Uuid::new_v5(&export.0, &n.to_be_bytes())
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|_| Fault::Defect("a filing is not JSON"))
}

/// `export.advance`
pub(super) async fn advance(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let advance: Advance = serde_json::from_value(Value::Object(data.clone()))
        .map_err(|_| Fault::Defect("a step of a filing is not what its maker says"))?;
    let row = sql::get(cx.ledger().tx(), advance.export).await?.ok_or_else(Refusal::not_found)?;
    let mut found = super::keep::open(cx.ledger(), row).await?;
    if found.row.revision != advance.revision {
        return Err(Refusal::conflict("The export was changed meanwhile.").into());
    }
    let before = found.state()?;
    let steps = [Step::Start, Step::Finish, Step::Hold, Step::Fail];
    if before != advance.state && !steps.iter().any(|step| before.to(*step) == Some(advance.state)) {
        return Err(Fault::Defect("a filing takes a step that is none").into());
    }
    cx.about(found.row.id);
    cx.permit_patient(Right::DraftExport, found.row.patient).await?;
    let Advance { state, sent, attempts, next_at, view, plan, parcel, held, .. } = advance;
    (found.row.sent, found.row.attempts, found.row.next_at, found.view) = (sent, attempts, next_at, view);
    if let Some(parcels) = plan {
        lay(cx, &mut found, &parcels).await?;
    }
    if let Some(moved) = parcel {
        shift(cx, &found, moved).await?;
    }
    for gained in held {
        gain(cx, &found, gained).await?;
    }
    if before != State::Filed && state == State::Filed {
        finish(cx, &mut found).await?;
    }
    if before != State::Failed && state == State::Failed {
        fail(cx, &mut found).await?;
    }
    if matches!(state, State::Filed | State::Failed) {
        sql::forget_parcels(cx.ledger().change(), found.row.id).await?;
    }
    found.write(cx, state).await?;
    let mut answer = Data::new();
    answer.insert("revision".into(), found.row.revision.into());
    Ok(Reply::Plain(answer))
}

async fn lay(cx: &mut Write<'_>, found: &mut Found, parcels: &[Planned]) -> Result<(), Stop> {
    let (export, patient) = (found.row.id, found.row.patient);
    sql::forget_parcels(cx.ledger().change(), export).await?;
    for (n, planned) in (0_i64..).zip(parcels) {
        let sealed = cx.ledger().seal_view(patient, seat(export, n), 1, &json(planned)?).await?;
        let state = i16::from(planned.ready.is_some());
        sql::add_parcel(cx.ledger().change(), &ParcelRow { export, n, state, revision: 1, sealed }).await?;
    }
    (found.row.parcels, found.row.sent) = (i64::try_from(parcels.len()).unwrap_or(i64::MAX), 0);
    Ok(())
}

async fn shift(cx: &mut Write<'_>, found: &Found, moved: Moved) -> Result<(), Stop> {
    let Moved { n, state, revision, planned } = moved;
    let (export, patient) = (found.row.id, found.row.patient);
    // What is there is not kept: the record says it, and the receiver.
    let sealed = match planned {
        Some(planned) => cx.ledger().seal_view(patient, seat(export, n), revision + 1, &json(&planned)?).await?,
        None => Vec::new(),
    };
    let row = ParcelRow { export, n, state, revision: revision + 1, sealed };
    Ok(sql::set_parcel(cx.ledger().change(), &row).await?)
}

async fn gain(cx: &mut Write<'_>, found: &Found, gained: Gained) -> Result<(), Stop> {
    let target = found.row.target.clone().ok_or(Fault::Defect("a file has no ledger"))?;
    let Gained { mut resource, hash, mut kept } = gained;
    let (patient, now) = (found.row.patient, cx.now());
    let mut former = sql::ledger_row(cx.ledger().tx(), &target, resource).await?;
    if former.as_ref().is_some_and(|row| row.patient != patient) {
        kept.id = Some(resource);
        resource = beside(patient, resource);
        former = sql::ledger_row(cx.ledger().tx(), &target, resource).await?;
    }
    let (revision, attempts) = former.map_or((0, 0), |row| (row.revision, row.attempts));
    let on_its_way = hash.is_empty();
    let sealed = cx.ledger().seal_view(patient, place(&target, resource), revision + 1, &json(&kept)?).await?;
    let row = LedgerRow {
        target,
        resource,
        patient,
        export: found.row.id,
        state: i16::from(!on_its_way),
        attempts: attempts + i64::from(on_its_way),
        at: now,
        hash: from_hex(&hash).unwrap_or_default(),
        revision: revision + 1,
        sealed,
    };
    Ok(sql::put_ledger(cx.ledger().change(), &row).await?)
}

/// The audit trail says that it failed; the record does where a part of it may have left all the same.
async fn fail(cx: &mut Write<'_>, found: &mut Found) -> Result<(), Stop> {
    cx.audit_as(FAILED, "failed");
    let Some(told) = found.view.left.take() else { return Ok(()) };
    let by = found.view.attestations.first().ok_or(Fault::Defect("filed, and nobody attested"))?.by;
    let outcome = found.view.outcome.as_ref().map_or_else(|| "failed".to_owned(), |said| said.code.clone());
    let (plan, id) = (plan(cx, found.row.patient).await?, cx.new_id());
    let parcels = Progress { done: found.row.sent, of: found.row.parcels };
    let body = Failed { id: EntryId(id), export: found.row.id, outcome, parcels, told };
    cx.record_for(by, plan, FAILED, kind::EXPORT, None, id, &body, &[]).await?;
    Ok(())
}

/// The record says that it was filed, in the name of who attested; what it takes the place of counts no more.
async fn finish(cx: &mut Write<'_>, found: &mut Found) -> Result<(), Stop> {
    let by = found.view.attestations.first().ok_or(Fault::Defect("filed, and nobody attested"))?.by;
    let filing = found.view.job.filing.clone().ok_or(Fault::Defect("filed, and nothing to say of it"))?;
    let told = filing.told.clone();
    let fact = filing::record(cx, by, filing).await?;
    found.view.left = None;
    found.view.filed = Some(FiledAs {
        seq: fact.seq,
        at: rfc3339(fact.at),
        entries: told.entries,
        channels: told.channels,
        resources: found.view.job.resources,
        sha256: told.sha256,
    });
    let Some(former) = found.view.supersedes else { return Ok(()) };
    let Some(row) = sql::get(cx.ledger().tx(), former).await? else { return Ok(()) };
    let mut former = super::keep::open(cx.ledger(), row).await?;
    let Some(state) = former.state()?.to(Step::Supersede) else { return Ok(()) };
    former.view.superseded_by = Some(found.row.id);
    former.write(cx, state).await?;
    let (plan, id) = (plan(cx, found.row.patient).await?, cx.new_id());
    let body = Superseded { id: EntryId(id), export: former.row.id, by: found.row.id };
    cx.record_for(by, plan, SUPERSEDED, kind::EXPORT, None, id, &body, &[]).await?;
    Ok(())
}
