//! Plan items are added, changed and closed: an entry in the plan channel, and one in each shared channel for what family sees.

use std::sync::Arc;

use super::entries::{ADDED, Added, CHANGED, CLOSED, Changed, Closed, Content, Kind, Standing};
use super::meaning;
use super::model::{self, Item};
use super::sql::{self, ItemRow};
use super::views::{self, View};
use crate::features::patients::Registered;
use crate::kernel::base::{ChannelId, Code, Fault, ItemId, PatientId, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Ledger, Reply, Write, subject_sees_item};
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{Access, Audience, Holder, Right};

/// What the named thing of a standing item has for its kind.
const STANDING: i16 = 0;

fn hidden() -> Refusal {
    Refusal::not_found().field("item")
}

/// The channels that family reads. Archived ones too: they take no words any more, but whoever reads them goes on seeing the plan.
fn shared_channels(access: &Access) -> Vec<ChannelId> {
    let shared = access.channels.iter().filter(|(_, channel)| channel.audience == Audience::Shared);
    shared.map(|(id, _)| *id).collect()
}

/// An item that was found, with the standing at its patient.
pub(super) struct Found {
    /// As it stands.
    pub row: ItemRow,
    /// What it says.
    pub content: Content,
    access: Arc<Access>,
    plan: ChannelId,
}

impl Found {
    fn item(&self) -> Item {
        Item {
            kind: self.row.kind.and_then(Kind::from_number),
            standing: self.row.standing.and_then(Standing::from_number),
            open: self.row.open,
            shared: self.row.shared,
            rev: self.row.rev,
        }
    }
}

/// Permits a change of an item and finds it, or gives the first answer of the same key.
async fn find(cx: &mut Write<'_>, item: ItemId) -> Result<Result<Found, Reply>, Stop> {
    let thing = cx.ledger().thing(ThingId(item.0)).await?.filter(|thing| thing.kind == ThingKind::PlanItem);
    let thing = thing.ok_or_else(hidden)?;
    let seen = match cx.permit_patient(Right::SeePatient, thing.patient).await {
        Ok(permit) => subject_sees_item(permit.family(), thing.shared),
        // An item of a patient one does not stand at answers as one that never was.
        Err(Stop::Refused(refusal)) if refusal.code == Code::NotFound => false,
        Err(other) => return Err(other),
    };
    if !seen {
        return Err(hidden().into());
    }
    let barrier = thing.state == Kind::Barrier.number();
    cx.permit_patient(Right::ChangePlan { barrier }, thing.patient).await?;
    cx.about(thing.id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Err(reply));
    }
    let ledger = cx.ledger();
    let row = sql::get(ledger.tx(), item).await?.ok_or(Fault::Integrity("a plan item without a row"))?;
    let content = views::content(&ledger.vault().clone(), &row).await?;
    let access = ledger.access(thing.patient).await?.ok_or_else(Refusal::not_found)?;
    Ok(Ok(Found { row, content, access, plan: thing.channel }))
}

/// Adds to a `conflict` how the item stands.
async fn with_current(cx: &mut Write<'_>, found: &Found, refusal: Refusal) -> Stop {
    if refusal.code != Code::Conflict {
        return refusal.into();
    }
    let (subject, now) = (cx.subject(), cx.now());
    let tx = cx.ledger().tx();
    match views::current(tx, &found.row, found.content.clone(), subject, &found.access, now).await {
        Ok(current) => refusal.with("current", current).into(),
        Err(fault) => fault.into(),
    }
}

/// Whether what an item names is there: items of the same patient, a member of the team.
async fn names_what_is_there(
    cx: &mut Write<'_>,
    access: &Access,
    addresses: &[ItemId],
    owner: Option<&Holder>,
) -> Result<(), Stop> {
    for item in addresses {
        let thing = cx.ledger().thing(ThingId(item.0)).await?;
        if thing.is_none_or(|thing| thing.kind != ThingKind::PlanItem || thing.patient != access.patient) {
            return Err(Refusal::not_found().field("addresses").into());
        }
    }
    match owner {
        Some(Holder::User(user)) if access.member(*user, cx.now()).is_none() => {
            Err(Refusal::not_found().field("owner").into())
        }
        _ => Ok(()),
    }
}

/// Those of the items that family sees.
async fn shared_only(ledger: &mut Ledger, items: &[ItemId]) -> Result<Vec<ItemId>, Fault> {
    let mut shared = Vec::new();
    for item in items {
        if ledger.thing(ThingId(item.0)).await?.is_some_and(|thing| thing.shared) {
            shared.push(*item);
        }
    }
    Ok(shared)
}

/// `plan_item.add`
pub(super) async fn add(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let text_chars = cx.ledger().shared().config.limits.text_chars;
    let command = model::add(data, text_chars)?;
    let barrier = command.kind == Kind::Barrier;
    cx.permit_patient(Right::ChangePlan { barrier }, command.patient).await?;
    let access = cx.ledger().access(command.patient).await?.ok_or_else(Refusal::not_found)?;
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(reply);
    }
    names_what_is_there(cx, &access, &command.content.addresses, command.content.owner.as_ref()).await?;
    let body = Added {
        id: ItemId(cx.new_id()),
        patient: command.patient,
        kind: Some(command.kind),
        standing: None,
        content: command.content,
        shared: command.shared,
        status: model::ACTIVE.to_owned(),
        closed: false,
    };
    record_added(cx, &access, plan, &body).await?;
    Ok(Reply::Recorded)
}

/// Records an item in the plan channel and, if family sees it, in the shared channels.
pub(super) async fn record_added(
    cx: &mut Write<'_>,
    access: &Access,
    plan: ChannelId,
    body: &Added,
) -> Result<(), Stop> {
    cx.record(plan, ADDED, kind::PLAN_ITEM, Some(body.id), body.id.0, body).await?;
    if !body.shared {
        return Ok(());
    }
    let channels = shared_channels(access);
    if channels.is_empty() {
        return Ok(());
    }
    let addresses = shared_only(cx.ledger(), &body.content.addresses).await?;
    let body = Added { content: Content { addresses, ..body.content.clone() }, ..body.clone() };
    for channel in channels {
        let entry = cx.new_id();
        cx.record(channel, ADDED, kind::PLAN_ITEM, Some(body.id), entry, &body).await?;
    }
    Ok(())
}

/// `plan_item.change`
pub(super) async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let text_chars = cx.ledger().shared().config.limits.text_chars;
    let command = model::change(data, text_chars)?;
    let found = match find(cx, command.change.item).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let body = match model::decide_change(&found.item(), &command) {
        Ok(body) => body,
        Err(refusal) => return Err(with_current(cx, &found, refusal).await),
    };
    let addresses = body.addresses.clone().unwrap_or_default();
    names_what_is_there(cx, &found.access, &addresses, body.owner.as_ref().and_then(Option::as_ref)).await?;
    record_changed(cx, &found, &body).await?;
    Ok(Reply::Recorded)
}

/// An item of a patient whose plan the caller was permitted to change.
pub(super) async fn known(cx: &mut Write<'_>, item: ItemId) -> Result<Found, Fault> {
    let ledger = cx.ledger();
    let thing = ledger.thing(ThingId(item.0)).await?.filter(|thing| thing.kind == ThingKind::PlanItem);
    let thing = thing.ok_or(Fault::Integrity("a plan item without a name"))?;
    let row = sql::get(ledger.tx(), item).await?.ok_or(Fault::Integrity("a plan item without a row"))?;
    let content = views::content(&ledger.vault().clone(), &row).await?;
    let access = ledger.access(thing.patient).await?.ok_or(Fault::Integrity("a patient is not there"))?;
    Ok(Found { row, content, access, plan: thing.channel })
}

/// Records a change in the plan channel and, as far as family sees the item, in the shared channels.
pub(super) async fn record_changed(cx: &mut Write<'_>, found: &Found, body: &Changed) -> Result<(), Stop> {
    let entry = cx.new_id();
    cx.record(found.plan, CHANGED, kind::PLAN_ITEM, Some(body.item), entry, body).await?;
    if let Some(body) = for_family(cx, found, body).await? {
        for channel in shared_channels(&found.access) {
            let entry = cx.new_id();
            cx.record(channel, CHANGED, kind::PLAN_ITEM, Some(body.item), entry, &body).await?;
        }
    }
    Ok(())
}

/// Records an end likewise.
pub(super) async fn record_closed(cx: &mut Write<'_>, found: &Found, body: Closed) -> Result<(), Stop> {
    let entry = cx.new_id();
    cx.record(found.plan, CLOSED, kind::PLAN_ITEM, Some(body.item), entry, &body).await?;
    if found.row.shared {
        let body = Closed { reason: None, ..body };
        for channel in shared_channels(&found.access) {
            let entry = cx.new_id();
            cx.record(channel, CLOSED, kind::PLAN_ITEM, Some(body.item), entry, &body).await?;
        }
    }
    Ok(())
}

/// What family is told of a change: nothing of an item they do not see; the whole of one they come to see; of one they see no more
/// only that.
async fn for_family(cx: &mut Write<'_>, found: &Found, body: &Changed) -> Result<Option<Changed>, Stop> {
    let (before, after) = (found.row.shared, body.shared.unwrap_or(found.row.shared));
    let mut told = match (before, after) {
        (false, false) => return Ok(None),
        (true, false) => return Ok(Some(Changed { shared: Some(false), ..Changed::of(body.item, body.rev) })),
        (true, true) => Changed { reason: None, source: None, notes: None, ..body.clone() },
        (false, true) => {
            let mut content = found.content.clone();
            body.lay_over(&mut content);
            let status = body.status.clone().unwrap_or_else(|| found.row.status.clone());
            Changed::whole(body.item, body.rev, found.item().kind, content, true, status)
        }
    };
    if let Some(addresses) = &told.addresses {
        told.addresses = Some(shared_only(cx.ledger(), addresses).await?);
    }
    Ok(Some(told))
}

/// `plan_item.close`
pub(super) async fn close(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command = model::close(data)?;
    let found = match find(cx, command.item).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let rev = match model::decide_write(&found.item(), command.rev) {
        Ok(rev) => rev,
        Err(refusal) => return Err(with_current(cx, &found, refusal).await),
    };
    let body = Closed { item: command.item, rev, status: command.status.to_owned(), reason: command.reason };
    record_closed(cx, &found, body).await?;
    Ok(Reply::Recorded)
}

/// A patient was registered: the two items every plan has.
pub(super) async fn start(cx: &mut Write<'_>, fact: &Fact) -> Result<(), Stop> {
    let registered: Registered = fact.read()?;
    let items = [
        (registered.items.whole, Standing::Whole, "Plan as a whole"),
        (registered.items.unsorted, Standing::Unsorted, "Unsorted"),
    ];
    for (id, standing, title) in items {
        let content = Content {
            title: title.to_owned(),
            detail: None,
            codes: Vec::new(),
            owner: None,
            due: None,
            addresses: Vec::new(),
            source: None,
            notes: Vec::new(),
        };
        let body = Added {
            id,
            patient: registered.id,
            kind: None,
            standing: Some(standing),
            content,
            shared: true,
            status: model::ACTIVE.to_owned(),
            closed: false,
        };
        cx.record(registered.channel, ADDED, kind::PLAN_ITEM, Some(id), id.0, &body).await?;
    }
    Ok(())
}

/// Follows an event of this feature. The plan channel's entry is what counts; those in shared channels say the same to family.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let access = ledger.access(fact.patient).await?;
    let access = access.ok_or(Fault::Integrity("an entry of a patient that is not there"))?;
    if access.plan_channel() != Some(fact.channel) {
        return Ok(());
    }
    match &*fact.event {
        ADDED => project_added(ledger, fact).await,
        CHANGED => {
            let body: Changed = fact.read()?;
            let (mut row, mut view) = standing(ledger, fact.patient, body.item).await?;
            let said = view.content.clone();
            body.lay_over(&mut view.content);
            let other = body.status.as_ref().is_some_and(|status| *status != row.status);
            if other || body.reopened || meaning::changed(&said, &view.content) {
                sql::add_meaning(ledger.change(), fact.patient, body.item, body.rev, fact.at).await?;
            }
            let seen_anew = body.shared == Some(true) && !row.shared;
            let seen_no_more = body.shared == Some(false) && row.shared;
            row.rev = body.rev;
            row.shared = body.shared.unwrap_or(row.shared);
            row.status = body.status.unwrap_or(row.status);
            row.open |= body.reopened;
            if seen_anew || (row.shared && body.addresses.is_some()) {
                view.told = shared_only(ledger, &view.content.addresses).await?;
            }
            put(ledger, row, &view).await?;
            if seen_no_more { forget(ledger, fact.patient, body.item).await } else { Ok(()) }
        }
        CLOSED => {
            let body: Closed = fact.read()?;
            let (mut row, view) = standing(ledger, fact.patient, body.item).await?;
            sql::add_meaning(ledger.change(), fact.patient, body.item, body.rev, fact.at).await?;
            row.rev = body.rev;
            row.open = false;
            row.status = body.status;
            put(ledger, row, &view).await
        }
        _ => Err(Fault::Defect("an event of another feature")),
    }
}

/// Family sees an item no more: whatever named it to them names it no more either, also when the item comes back.
async fn forget(ledger: &mut Ledger, patient: PatientId, item: ItemId) -> Result<(), Fault> {
    let vault = ledger.vault().clone();
    for row in sql::items(ledger.tx(), patient).await?.into_iter().filter(|row| row.shared) {
        let mut view = views::view(&vault, &row).await?;
        if view.told.contains(&item) {
            view.told.retain(|told| *told != item);
            put(ledger, row, &view).await?;
        }
    }
    Ok(())
}

async fn project_added(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Added = fact.read()?;
    let row = ItemRow {
        id: body.id,
        patient: fact.patient,
        kind: body.kind.map(Kind::number),
        standing: body.standing.map(Standing::number),
        status: body.status,
        open: !body.closed,
        shared: body.shared,
        rev: 1,
        place: fact.seq,
        view: Vec::new(),
    };
    let told = if body.shared { shared_only(ledger, &body.content.addresses).await? } else { Vec::new() };
    let view = View { content: body.content, told };
    let row = ItemRow { view: sealed(ledger, &row, &view).await?, ..row };
    sql::add(ledger.change(), &row).await?;
    ledger.name_thing(Thing {
        id: ThingId(body.id.0),
        kind: ThingKind::PlanItem,
        patient: fact.patient,
        channel: fact.channel,
        item: None,
        author: fact.by,
        seq: fact.seq,
        open: row.open,
        shared: row.shared,
        state: row.kind.unwrap_or(STANDING),
        entry: fact.id,
    });
    Ok(())
}

async fn standing(ledger: &mut Ledger, patient: PatientId, item: ItemId) -> Result<(ItemRow, View), Fault> {
    let row = sql::get(ledger.tx(), item).await?.filter(|row| row.patient == patient);
    let row = row.ok_or(Fault::Integrity("an entry about a plan item that is not there"))?;
    let view = views::view(&ledger.vault().clone(), &row).await?;
    Ok((row, view))
}

async fn sealed(ledger: &Ledger, row: &ItemRow, view: &View) -> Result<Vec<u8>, Fault> {
    let plain = serde_json::to_vec(view).map_err(|_| Fault::Defect("a plan item is not JSON"))?;
    ledger.seal_view(row.patient, row.id.0, row.rev, &plain).await
}

async fn put(ledger: &mut Ledger, mut row: ItemRow, view: &View) -> Result<(), Fault> {
    row.view = sealed(ledger, &row, view).await?;
    sql::set(ledger.change(), &row).await?;
    let thing = ledger.thing(ThingId(row.id.0)).await?.ok_or(Fault::Integrity("a plan item without a name"))?;
    ledger.change_thing(Thing { open: row.open, shared: row.shared, ..thing }).await
}
