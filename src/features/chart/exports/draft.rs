//! What people do with an export before and after it is filed: draft, change, take back, try again. Does not know receivers.

use serde_json::Value;

use super::keep::{Found, Job, View, find, is_in};
use super::model::{State, Step};
use super::shapes::{Selection, Summary, Withdrawn};
use super::sql::{self, ExportRow};
use crate::features::channels::Class;
use crate::features::chart::request::between;
use crate::features::chart::{Format, filing};
use crate::kernel::base::config::targets::{Profile, Target};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::log::ThingKind;
use crate::kernel::policy::Right;

/// An attested export was taken back.
pub(super) const WITHDRAWN: &str = "export.withdrawn";
/// Summaries of one export.
const SUMMARIES_MAX: usize = 200;
/// People who have to attest.
const ATTESTERS_MAX: usize = 20;
/// Channels, items or entries that are chosen one by one.
const CHOSEN_MAX: usize = 1000;

/// What a target is filed as: its profile, or the form of its files.
pub(super) fn form_of(target: &Target) -> String {
    match target {
        Target::Fhir(fhir) => match fhir.profile {
            Profile::NoteOnly => "note-only".to_owned(),
            Profile::Full => "full".to_owned(),
            Profile::Inbox => "inbox".to_owned(),
            Profile::Document => Format::FhirDocument.text().to_owned(),
        },
        Target::Mllp(_) => Format::Hl7v2.text().to_owned(),
        Target::Folder(folder) => folder.format.clone(),
    }
}

fn ids<T: std::str::FromStr>(fields: Fields<'_>, name: &'static str) -> Result<Option<Vec<T>>, Refusal> {
    let ids: Option<Vec<T>> = fields.get(name).map(|_| fields.ids(name)).transpose()?;
    match ids {
        Some(ids) if ids.len() > CHOSEN_MAX => Err(Refusal::invalid(name, "At most 1,000 are chosen one by one.")),
        ids => Ok(ids),
    }
}

fn classes(fields: Fields<'_>) -> Result<Option<Vec<Class>>, Refusal> {
    let wrong = || Refusal::invalid("classes", "A list of: care_record, coordination, operational.");
    let Some(given) = fields.get("classes") else { return Ok(None) };
    serde_json::from_value(given.clone()).map(Some).map_err(|_| wrong())
}

fn time(fields: Fields<'_>, name: &'static str) -> Result<Option<String>, Refusal> {
    fields.time(name)?;
    Ok(fields.string(name)?.map(str::to_owned))
}

/// The selection a command names, over the one before.
fn selection(fields: Fields<'_>, before: Selection) -> Result<Selection, Refusal> {
    let selection = Selection {
        channels: ids(fields, "channels")?.or(before.channels),
        items: ids(fields, "items")?.or(before.items),
        classes: classes(fields)?.or(before.classes),
        entries: ids(fields, "entries")?.or(before.entries),
        from: time(fields, "from")?.or(before.from),
        to: time(fields, "to")?.or(before.to),
    };
    let micros = |text: &Option<String>| text.as_deref().and_then(|text| parse_rfc3339(text).ok());
    between(micros(&selection.from), micros(&selection.to))?;
    Ok(selection)
}

fn summaries(fields: Fields<'_>, by: UserId, chars_max: usize) -> Result<Option<Vec<Summary>>, Refusal> {
    let wrong = || Refusal::invalid("summaries", "A list of {item, text}, at most 200, one an item.");
    let Some(given) = fields.get("summaries") else { return Ok(None) };
    let given = given.as_array().filter(|given| given.len() <= SUMMARIES_MAX).ok_or_else(wrong)?;
    let mut summaries: Vec<Summary> = Vec::with_capacity(given.len());
    for one in given {
        let one = Fields(one.as_object().ok_or_else(wrong)?);
        let item: ItemId = one.required_id("item").map_err(|_| wrong())?;
        let text = bounded("summaries", one.string("text")?.ok_or_else(wrong)?, chars_max)?;
        if summaries.iter().any(|summary| summary.item == item) {
            return Err(wrong());
        }
        summaries.push(Summary { item, text, by: Some(by) });
    }
    Ok(Some(summaries))
}

fn attesters(fields: Fields<'_>) -> Result<Option<Vec<UserId>>, Refusal> {
    let Some(mut users) = ids::<UserId>(fields, "attesters")? else { return Ok(None) };
    users.sort_unstable();
    users.dedup();
    if users.len() > ATTESTERS_MAX {
        return Err(Refusal::invalid("attesters", "At most 20 people attest one export."));
    }
    Ok(Some(users))
}

/// Takes over what a command says; what it names has to be there for its caller.
async fn edit(cx: &mut Write<'_>, found: &mut Found, data: &Data) -> Result<(), Stop> {
    let (fields, by) = (Fields(data), cx.subject().user);
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let view = &mut found.view;
    view.selection = selection(fields, std::mem::take(&mut view.selection))?;
    if let Some(given) = summaries(fields, by, chars_max)? {
        // Words that stay are still those of who wrote them.
        let kept = |new: Summary| {
            view.summaries.iter().find(|old| old.item == new.item && old.text == new.text).cloned().unwrap_or(new)
        };
        view.summaries = given.into_iter().map(kept).collect();
    }
    if let Some(attesters) = attesters(fields)? {
        view.attesters = attesters;
    }
    if let Some(purpose) = fields.text("purpose", crate::kernel::base::limits::REASON_CHARS_MAX)? {
        view.purpose = Some(purpose);
    }
    if !view.contributors.contains(&by) {
        view.contributors.push(by);
    }
    found.request()?;
    places(cx, found).await
}

/// Where the chosen things stand. What the caller may not see is not there.
async fn places(cx: &mut Write<'_>, found: &mut Found) -> Result<(), Stop> {
    let patient = found.row.patient;
    let permit = cx.permit_patient(Right::DraftExport, patient).await?;
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    let scope = filing::scope(cx.subject(), &permit, &access, cx.now());
    let view = &mut found.view;
    let mut places: Vec<(ChannelId, Option<i64>)> =
        view.selection.channels.iter().flatten().map(|channel| (*channel, None)).collect();
    if !places.iter().all(|(channel, _)| is_in(&scope, *channel, None)) {
        return Err(Refusal::not_found().field("channels").into());
    }
    for entry in view.selection.entries.iter().flatten() {
        let thing = cx.ledger().thing(ThingId(entry.0)).await?.filter(|thing| thing.patient == patient);
        let thing = thing.filter(|thing| thing.kind != ThingKind::PlanItem);
        let thing = thing.filter(|thing| is_in(&scope, thing.channel, Some(thing.seq)));
        let place = thing.map(|thing| (thing.channel, Some(thing.seq)));
        places.push(place.ok_or_else(|| Refusal::not_found().field("entries"))?);
    }
    for (field, item) in (view.selection.items.iter().flatten().map(|item| ("items", *item)))
        .chain(view.summaries.iter().map(|summary| ("summaries", summary.item)))
    {
        let thing = cx.ledger().thing(item.into()).await?.filter(|thing| thing.patient == patient);
        if thing.is_none_or(|thing| thing.kind != ThingKind::PlanItem) {
            return Err(Refusal::not_found().field(field).into());
        }
    }
    let staff = |user: &UserId| access.member(*user, cx.now()).is_some_and(|member| !member.family);
    if !view.attesters.iter().all(staff) {
        return Err(Refusal::invalid("attesters", "Exports are attested by staff of the care team.").into());
    }
    places.sort_unstable();
    places.dedup();
    view.places = places;
    Ok(())
}

/// The target a command names, and what it is filed as; or the form of the file that it names instead.
fn destination(cx: &mut Write<'_>, fields: Fields<'_>) -> Result<(Option<String>, String), Refusal> {
    if let Some(format) = fields.string("format")? {
        let format = Format::from_text(format).filter(|format| *format != Format::Proof);
        let format = format.filter(|_| fields.get("target").is_none());
        let wrong = || Refusal::invalid("format", "A form of file but `proof`, where no target is named.");
        return Ok((None, format.ok_or_else(wrong)?.text().to_owned()));
    }
    let name = fields.string("target")?.unwrap_or_default();
    let target = cx.ledger().shared().config.targets.get(name);
    let target = target.ok_or_else(|| Refusal::invalid("target", "No target of that name is configured."))?;
    Ok((Some(name.to_owned()), form_of(target)))
}

/// `export.draft`
pub(super) async fn draft(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    cx.permit_patient(Right::DraftExport, patient).await?;
    let (by, now, key) = (cx.subject().user, cx.now(), cx.key());
    if let Some((key, ..)) = &key
        && let Some(row) = sql::by_key(cx.ledger().tx(), by, *key).await?
    {
        let found = super::keep::open(cx.ledger(), row).await?;
        let (mac, version) =
            found.view.drafted.clone().ok_or(Fault::Integrity("an export has a key and no command"))?;
        cx.demand_same(&mac, version)?;
        return Ok(Reply::Plain(found.standing(true)?));
    }
    let (target, form) = destination(cx, fields)?;
    let supersedes: Option<ThingId> = fields.id("supersedes")?;
    if let Some(former) = supersedes {
        let former = find(cx, former).await?;
        if former.row.patient != patient || former.row.target != target {
            return Err(Refusal::not_found().field("supersedes").into());
        }
        former.state()?.after(Step::Supersede)?;
    }
    let row = ExportRow {
        id: ThingId(cx.new_id()),
        patient,
        drafter: by,
        state: State::Draft.number(),
        target,
        form,
        at: now,
        changed_at: now,
        rev: 1,
        revision: 0,
        parcels: 0,
        sent: 0,
        attempts: 0,
        next_at: None,
        draft_key: key.as_ref().map(|(key, ..)| *key),
        sealed: Vec::new(),
    };
    let view = View {
        selection: Selection::default(),
        places: Vec::new(),
        summaries: Vec::new(),
        contributors: Vec::new(),
        attesters: Vec::new(),
        attestations: Vec::new(),
        of_host: false,
        until: None,
        purpose: None,
        supersedes,
        superseded_by: None,
        withdrawn: None,
        outcome: None,
        filed: None,
        left: None,
        drafted: key.map(|(_, mac, version)| (mac, version)),
        job: Job::default(),
    };
    let mut found = Found { row, view };
    edit(cx, &mut found, data).await?;
    found.seal(cx.ledger()).await?;
    cx.about(found.row.id);
    sql::add(cx.ledger().change(), &found.row).await?;
    Ok(Reply::Plain(found.standing(false)?))
}

/// The export a command names, if it still has the number its caller saw.
pub(super) async fn current(cx: &mut Write<'_>, fields: Fields<'_>) -> Result<Found, Stop> {
    let found = find(cx, fields.required_id("export")?).await?;
    if fields.required_integer("rev")? != found.row.rev {
        let current = Value::Object(found.standing(false)?);
        let refusal = Refusal::conflict("The export was changed meanwhile. `current` is how it stands.").field("rev");
        return Err(refusal.with("current", current).into());
    }
    Ok(found)
}

/// `export.change`
pub(super) async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let mut found = current(cx, Fields(data)).await?;
    let state = found.state()?.after(Step::Change)?;
    edit(cx, &mut found, data).await?;
    found.write(cx, state).await?;
    Ok(Reply::Plain(found.standing(false)?))
}

/// `export.withdraw`
pub(super) async fn withdraw(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let mut found = find(cx, fields.required_id("export")?).await?;
    let plan = plan(cx, found.row.patient).await?;
    if cx.repeated(plan).await?.is_some() {
        return Ok(Reply::Plain(found.standing(true)?));
    }
    let reason = fields.reason()?;
    let state = found.state()?.after(Step::Withdraw)?;
    found.view.withdrawn = Some(reason.clone());
    found.row.next_at = None;
    let attested = !found.view.attestations.is_empty();
    found.write(cx, state).await?;
    sql::forget_parcels(cx.ledger().change(), found.row.id).await?;
    if attested {
        let id = cx.new_id();
        let body = Withdrawn { id: EntryId(id), export: found.row.id, reason };
        cx.record(plan, WITHDRAWN, kind::EXPORT, None, id, &body).await?;
    }
    Ok(Reply::Plain(found.standing(false)?))
}

/// The channel that says what became of exports.
pub(super) async fn plan(cx: &mut Write<'_>, patient: PatientId) -> Result<ChannelId, Stop> {
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    Ok(access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?)
}

/// `export.retry`
pub(super) async fn retry(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let mut found = find(cx, Fields(data).required_id("export")?).await?;
    let before = found.state()?;
    let state = before.after(Step::Retry)?;
    if before == State::Failed {
        // Planned again: what the receiver has by now is not sent again.
        found.view.job = found.view.job.anew();
        (found.row.parcels, found.row.sent) = (0, 0);
    }
    found.row.attempts = 0;
    found.row.next_at = found.row.target.is_some().then_some(cx.now());
    found.write(cx, state).await?;
    if before == State::Failed {
        sql::forget_parcels(cx.ledger().change(), found.row.id).await?;
    }
    Ok(Reply::Plain(found.standing(false)?))
}
