//! `plan.conflicts` and `plan.conflict.settle`: items that were changed here and at their source since both said the same. Whoever answers
//! for the plan says which words stand.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::change;
use super::super::entries::{Changed, Content};
use super::super::sql::{by_id, get};
use super::super::views;
use super::again::{stands, state, take};
use super::parcel::Said;
use super::sql::{self, ConflictRow};
use super::store::{Held, said};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Code, Fault, ItemId, PatientId, Refusal, Stop};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::Right;
use crate::kernel::store::Tx;

/// What the entry of a settled conflict says for its reason.
const OURS: &str = "What the source changed was not taken.";

/// The words that settle one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Ours,
    Theirs,
}

fn keep(text: &str) -> Option<Keep> {
    match text {
        "ours" => Some(Keep::Ours),
        "theirs" => Some(Keep::Theirs),
        _ => None,
    }
}

fn side(content: &Content, addresses: &[ItemId], status: &str, closed: bool) -> Value {
    json!({
        "title": content.title, "detail": content.detail, "codes": content.codes, "due": content.due,
        "addresses": addresses, "status": status, "closed": closed
    })
}

/// What a kept version said; the items it serves that are known here.
async fn told(tx: &mut Tx, vault: &Vault, held: &Held, row: Uuid) -> Result<Option<Value>, Fault> {
    let Some(row) = by_id(tx, row).await? else { return Ok(None) };
    let Some(Said { content, addresses, status, closed }) = said(vault, &row).await? else { return Ok(None) };
    let mut items = Vec::new();
    for key in &addresses {
        items.extend(held.item(vault, key)?);
    }
    Ok(Some(side(&content, &items, &status, closed)))
}

/// `plan.conflicts`
pub(in super::super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let patient: PatientId = Fields(data).required_id("patient")?;
    cx.permit_patient(Right::ChangePlan { barrier: false }, patient).await?;
    let (tx, vault) = cx.log();
    let rows = sql::conflicts(tx, patient).await?;
    let held = Held::of(tx, patient).await?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        let item = get(tx, row.item).await?.ok_or(Fault::Integrity("a conflict without an item"))?;
        let content = views::content(vault, &item).await?;
        let base = match row.base {
            Some(base) => told(tx, vault, &held, base).await?,
            None => None,
        };
        let theirs = told(tx, vault, &held, row.theirs).await?;
        let theirs = theirs.ok_or(Fault::Integrity("a conflict without its other side"))?;
        let ours = side(&content, &content.addresses, &item.status, !item.open);
        listed.push(json!({
            "id": row.id, "item": row.item, "rev": item.rev, "since": rfc3339(row.at),
            "ours": ours, "theirs": theirs, "base": base
        }));
    }
    Ok(json!({ "conflicts": listed }))
}

fn hidden() -> Refusal {
    Refusal::not_found().field("conflict")
}

/// Finds a conflict of a plan that the caller answers for. Of others it is not said that they are there.
async fn find(cx: &mut Write<'_>, id: Uuid) -> Result<ConflictRow, Stop> {
    let row = sql::conflict(cx.ledger().tx(), id).await?.ok_or_else(hidden)?;
    match cx.permit_patient(Right::SeePatient, row.patient).await {
        Ok(permit) if !permit.family() => {}
        Ok(_) => return Err(hidden().into()),
        Err(Stop::Refused(refusal)) if refusal.code == Code::NotFound => return Err(hidden().into()),
        Err(other) => return Err(other),
    }
    cx.permit_patient(Right::ChangePlan { barrier: false }, row.patient).await?;
    Ok(row)
}

/// `plan.conflict.settle`
pub(in super::super) async fn settle(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let id: Uuid = fields.required_id("conflict")?;
    let kept = fields.word("keep", keep, "ours, theirs")?;
    let kept = kept.ok_or_else(|| Refusal::invalid("keep", "This field is required."))?;
    let row = find(cx, id).await?;
    let found = change::known(cx, row.item).await?;
    let plan = cx.ledger().access(row.patient).await?.and_then(|access| access.plan_channel());
    let plan = plan.ok_or(Fault::Integrity("a patient without a plan channel"))?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(reply);
    }
    if row.settled_at.is_some() {
        return Err(Refusal::conflict("This was settled before.").field("conflict").into());
    }
    let vault = cx.ledger().vault().clone();
    let source =
        by_id(cx.ledger().tx(), row.theirs).await?.ok_or(Fault::Integrity("a conflict without its other side"))?;
    let theirs = said(&vault, &source).await?.ok_or(Fault::Integrity("a conflict without its other side"))?;
    let held = Held::of(cx.ledger().tx(), row.patient).await?;
    let theirs = state(cx, &held, &HashMap::new(), &theirs).await?;
    let parts = theirs.differs(&stands(&found));
    if kept == Keep::Ours || parts.is_empty() {
        let reason = Some(OURS.to_owned());
        change::record_changed(cx, &found, &Changed { reason, ..Changed::of(row.item, found.row.rev + 1) }).await?;
    } else {
        take(cx, &found, &theirs, &parts, None).await?;
    }
    let at = cx.now();
    sql::settle_conflict(cx.ledger().change(), row.id, at).await?;
    Ok(Reply::Recorded)
}

/// How many conflicts wait at a patient.
pub(in super::super) async fn count(tx: &mut Tx, patient: PatientId) -> Result<i64, Fault> {
    Ok(sql::count_conflicts(tx, patient).await?)
}
