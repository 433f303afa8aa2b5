//! An item that came before comes again: what its source changed becomes a version of the item with an entry, unless it was changed here,
//! too. Then it is a conflict for the lead, and the item stays as it is.

use std::collections::HashMap;

use uuid::Uuid;

use super::super::change::{self, Found};
use super::super::entries::{Changed, Closed, Source};
use super::super::sql::{by_id, named};
use super::merge::{Part, State, Verdict, decide};
use super::parcel::{ParcelItem, Said};
use super::sql::{self, ConflictRow};
use super::store::{Held, identifier_mac, said};
use crate::features::care_plan::import;
use crate::kernel::base::{Fault, ItemId, PatientId, Stop};
use crate::kernel::engine::Write;

/// What the entry of such a change says for its reason.
const REASON: &str = "The source changed it.";

/// Where items of one call go.
pub(super) struct Plan<'a> {
    /// Whose.
    pub patient: PatientId,
    /// The items of the call, by the keys of their resources.
    pub ids: HashMap<&'a str, ItemId>,
}

/// The item of this patient that came under another key, with the resource it came as: by an identifier of both, if that leads to one
/// only, and not to one that is in this call itself.
pub(super) async fn by_identifier(
    cx: &mut Write<'_>,
    patient: PatientId,
    item: &ParcelItem,
    in_call: &[ItemId],
) -> Result<Option<(ItemId, Uuid)>, Fault> {
    let vault = cx.ledger().vault().clone();
    let mut found: Option<(ItemId, Uuid)> = None;
    for (system, value) in import::identifiers_of(&item.resource.json).iter().filter(|(system, _)| !system.is_empty()) {
        let mac = identifier_mac(&vault, &item.resource.kind, Some(system), value)?;
        for id in named(cx.ledger().tx(), &mac).await? {
            let Some(row) = by_id(cx.ledger().tx(), id).await? else { continue };
            let Some(known) = row.item.filter(|known| row.patient == patient && !in_call.contains(known)) else {
                continue;
            };
            if found.is_some_and(|(other, _)| other != known) {
                return Ok(None);
            }
            // The newest version is the last one.
            found = Some((known, row.id));
        }
    }
    Ok(found)
}

/// What a source said, as it would stand here.
pub(super) async fn state(
    cx: &mut Write<'_>,
    held: &Held,
    ids: &HashMap<&str, ItemId>,
    said: &Said,
) -> Result<State, Fault> {
    let vault = cx.ledger().vault().clone();
    let mut addresses = Vec::new();
    for key in &said.addresses {
        let item = match ids.get(key.as_str()) {
            Some(id) => Some(*id),
            None => held.item(&vault, key)?,
        };
        addresses.extend(item);
    }
    Ok(State::of(&said.content, &said.status, said.closed, addresses))
}

/// As an item stands here.
pub(super) fn stands(found: &Found) -> State {
    State::of(&found.content, &found.row.status, !found.row.open, found.content.addresses.clone())
}

/// An item with a version of its resource that is not held yet; `before` is the row of the version before it.
pub(super) async fn meet(
    cx: &mut Write<'_>,
    held: &mut Held,
    plan: &Plan<'_>,
    item: &ParcelItem,
    (id, before): (ItemId, Option<Uuid>),
) -> Result<(), Stop> {
    let vault = cx.ledger().vault().clone();
    let open = sql::conflict_of(cx.ledger().tx(), id).await?;
    let base = open.as_ref().map_or(before, |conflict| conflict.base);
    let row = match base {
        Some(base) => by_id(cx.ledger().tx(), base).await?,
        None => None,
    };
    let told = match &row {
        Some(row) => said(&vault, row).await?,
        None => None,
    };
    let found = change::known(cx, id).await?;
    let (ours, theirs) = (stands(&found), state(cx, held, &plan.ids, &item.said).await?);
    let began = match &told {
        Some(told) => Some(state(cx, held, &plan.ids, told).await?),
        // Never written to since it came: it says what the source said.
        None => (found.row.rev == 1).then(|| ours.clone()),
    };
    let verdict = decide(began.as_ref(), &ours, &theirs);
    let parts: &[Part] = if let Verdict::Take(parts) = &verdict { parts } else { &[] };
    take(cx, &found, &theirs, parts, Some(item)).await?;
    let kept = held.keep(cx.ledger(), plan.patient, &item.resource, Some(&item.said), Some(id)).await?;
    let at = cx.now();
    match (verdict, open) {
        (Verdict::Conflict, Some(conflict)) => {
            sql::renew_conflict(cx.ledger().change(), conflict.id, kept, at).await?;
        }
        (Verdict::Conflict, None) => {
            let base = told.is_some().then_some(base).flatten();
            let conflict = cx.new_id();
            let row =
                ConflictRow { id: conflict, patient: plan.patient, item: id, base, theirs: kept, at, settled_at: None };
            sql::add_conflict(cx.ledger().change(), &row).await?;
        }
        // The source came back to what stands here, or to where both began.
        (_, Some(conflict)) => sql::settle_conflict(cx.ledger().change(), conflict.id, at).await?,
        (_, None) => {}
    }
    Ok(())
}

/// Records these parts as the source has them, and what is the source's alone: its notes, its own word for the state.
pub(super) async fn take(
    cx: &mut Write<'_>,
    found: &Found,
    theirs: &State,
    parts: &[Part],
    item: Option<&ParcelItem>,
) -> Result<(), Stop> {
    let has = |part: Part| parts.contains(&part);
    let rev = found.row.rev + 1;
    let reopened = has(Part::Status) && !found.row.open && !theirs.closed;
    let closes = has(Part::Status) && found.row.open && theirs.closed;
    let content = item.map(|item| &item.said.content);
    let source =
        content.and_then(|content| source(found, content.source.as_ref()?, item.is_some_and(|item| item.present)));
    let changed = Changed {
        title: has(Part::Title).then(|| theirs.title.clone()),
        detail: has(Part::Detail).then(|| theirs.detail.clone()),
        codes: has(Part::Codes).then(|| theirs.codes.clone()),
        due: has(Part::Due).then(|| theirs.due.clone()),
        addresses: has(Part::Addresses).then(|| theirs.addresses.clone()),
        status: (has(Part::Status) && !closes).then(|| theirs.status.clone()),
        reopened,
        source,
        notes: content.filter(|content| content.notes != found.content.notes).map(|content| content.notes.clone()),
        ..Changed::of(found.row.id, rev)
    };
    let mut last = found.row.rev;
    if changed != Changed::of(found.row.id, rev) {
        last = rev;
        change::record_changed(cx, found, &Changed { reason: Some(REASON.to_owned()), ..changed }).await?;
    }
    if closes {
        let (status, reason) = (theirs.status.clone(), Some(REASON.to_owned()));
        change::record_closed(cx, found, Closed { item: found.row.id, rev: last + 1, status, reason }).await?;
    }
    Ok(())
}

/// Where the item came from, if that is told otherwise now. What is read again is there again.
fn source(found: &Found, theirs: &Source, present: bool) -> Option<Source> {
    let removed = !present && found.content.source.as_ref().is_some_and(|source| source.removed);
    let source = Source { removed, ..theirs.clone() };
    (found.content.source.as_ref() != Some(&source)).then_some(source)
}

#[cfg(test)]
mod tests;
