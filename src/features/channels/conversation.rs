//! Opening, changing and archiving conversations, and how far each person has read one.
//! Invariant: readers change in `project` alone, from the entry and the standing as it is then, so that a rebuild gives the same.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{self, Archived, Change, Changed, Open, Opened, Team};
use super::sql::{self, ViewRow};
use super::waiting;
use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::{ChannelId, EntryId, Fault, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Access, Audience, ChannelAccess, ChannelKind, Right};

/// A channel was opened.
pub const OPENED: &str = "channel.opened";
/// Its name, purpose, audience or members changed.
pub const CHANGED: &str = "channel.changed";
/// It is read-only for good.
pub const ARCHIVED: &str = "channel.archived";
/// A patient was registered: the first conversation opens.
pub const REGISTERED: &str = "patient.registered";

/// What the sealed view holds.
#[derive(Default, Serialize, Deserialize)]
pub struct View {
    /// What the channel is called.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

async fn access(cx: &mut Write<'_>, patient: PatientId) -> Result<std::sync::Arc<Access>, Stop> {
    Ok(cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?)
}

fn team(access: &Access, now: Micros) -> Team {
    let holds = access.members.iter().filter(|(_, member)| member.holds(now));
    holds.map(|(user, member)| (*user, *member)).collect()
}

/// `channel.open`
pub async fn open(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let open = Open::parse(data)?;
    let permit = cx.permit_patient(Right::ManageChannels, open.patient).await?;
    if let Some(reply) = cx.repeated(ChannelId::ZERO).await? {
        return Ok(reply);
    }
    let access = access(cx, open.patient).await?;
    let opened = open.decide(ChannelId(cx.new_id()), permit.actor(), &team(&access, cx.now()))?;
    cx.ledger().add_channel(opened.patient, opened.id).await?;
    cx.record(opened.id, OPENED, kind::CHANNEL, None, opened.id.0, &opened).await?;
    let listed = opened.members.unwrap_or_default();
    invite(cx, opened.patient, opened.id, &listed).await?;
    Ok(Reply::Recorded)
}

/// Tells people that they are listed in a channel from now on; whoever did it knows.
async fn invite(cx: &mut Write<'_>, patient: PatientId, channel: ChannelId, users: &[UserId]) -> Result<(), Stop> {
    let mut fact = Data::new();
    fact.insert("patient".into(), patient.to_string().into());
    fact.insert("channel".into(), channel.to_string().into());
    let author = cx.subject().user;
    for user in users.iter().filter(|user| **user != author) {
        cx.tell(*user, "invited", &fact).await?;
    }
    Ok(())
}

/// What this feature reads of `patient.registered`.
#[derive(Deserialize)]
struct Registered {
    /// The id the first conversation gets.
    care_team: ChannelId,
}

/// Opens the conversation every patient starts with, in the transaction that registers the patient.
pub async fn open_first(cx: &mut Write<'_>, fact: &Fact) -> Result<(), Stop> {
    let Registered { care_team } = fact.read()?;
    cx.ledger().add_channel(fact.patient, care_team).await?;
    let opened = Opened {
        id: care_team,
        patient: fact.patient,
        name: model::CARE_TEAM.into(),
        purpose: None,
        audience: Audience::Staff,
        members: None,
    };
    cx.record(care_team, OPENED, kind::CHANNEL, None, care_team.0, &opened).await?;
    Ok(())
}

/// `channel.change`
pub async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let change = Change::parse(data)?;
    let channel = change.channel;
    let permit = cx.permit_channel(Right::ManageChannels, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let access = access(cx, permit.patient()).await?;
    let held = access.channels.get(&channel).ok_or_else(Refusal::not_found)?;
    let changed = change.decide(EntryId(cx.new_id()), held, permit.actor(), &team(&access, cx.now()))?;
    cx.record(channel, CHANGED, kind::CHANNEL, None, changed.id.0, &changed).await?;
    let before = reading(held);
    let mut added = changed.members.unwrap_or_default();
    added.retain(|user| !before.contains(user));
    invite(cx, permit.patient(), channel, &added).await?;
    Ok(Reply::Recorded)
}

/// `channel.archive`
pub async fn archive(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let channel = fields.required_id("channel")?;
    let reason = fields.text("reason", REASON_CHARS_MAX)?;
    let permit = cx.permit_channel(Right::ManageChannels, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let access = access(cx, permit.patient()).await?;
    model::changeable(access.channels.get(&channel).ok_or_else(Refusal::not_found)?)?;
    let archived = Archived { id: EntryId(cx.new_id()), channel, reason };
    cx.record(channel, ARCHIVED, kind::CHANNEL, None, archived.id.0, &archived).await?;
    Ok(Reply::Recorded)
}

/// `read`: moves the caller's position forward; their other devices hear of it.
pub async fn read(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let channel: ChannelId = fields.required_id("channel")?;
    let seq = fields.required_integer("seq")?;
    let permit = cx.permit_channel(Right::Read, channel).await?;
    let newest = cx.ledger().head(channel).await?.map_or(0, |head| head.seq);
    if !(0..=newest).contains(&seq) {
        return Err(Refusal::invalid("seq", "This field is the `seq` of an entry of the channel.").into());
    }
    let user = permit.actor();
    let before = sql::position(cx.ledger().tx(), user, channel).await?;
    let mut reply = Data::new();
    reply.insert("channel".into(), channel.to_string().into());
    reply.insert("seq".into(), seq.max(before).into());
    if seq > before {
        let now = cx.now();
        let tx = cx.ledger().change();
        sql::set_position(tx, user, channel, seq).await?;
        super::receipts::sql::add_step(tx, user, channel, seq, now).await?;
        cx.tell(user, "read", &reply).await?;
    }
    Ok(Reply::Plain(reply))
}

/// Who reads a channel now.
fn reading(held: &ChannelAccess) -> BTreeSet<UserId> {
    held.readers.keys().copied().filter(|user| held.readable_by(*user).is_some()).collect()
}

async fn sealed(ledger: &Ledger, fact: &Fact, view: &View) -> Result<ViewRow, Fault> {
    let bytes = serde_json::to_vec(view).map_err(|_| Fault::Defect("a view is not JSON"))?;
    let id: Uuid = fact.channel.0;
    let sealed = ledger.seal_view(fact.patient, id, fact.seq, &bytes).await?;
    Ok(ViewRow { id, revision: fact.seq, sealed })
}

/// A channel, its name and its first readers: they read it from its first entry.
pub async fn project_opened(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Opened { name, purpose, audience, members, .. } = fact.read()?;
    let row = sealed(ledger, fact, &View { name, purpose }).await?;
    sql::add_view(ledger.change(), fact.patient, &row).await?;
    ledger.open_channel(fact.patient, fact.channel, audience, ChannelKind::Conversation).await?;
    let access =
        ledger.access(fact.patient).await?.ok_or(Fault::Integrity("a channel of a patient that is not there"))?;
    for user in model::readers(audience, members.as_deref(), &BTreeSet::new(), &access.members) {
        ledger.begin_reading(fact.patient, fact.channel, user, fact.seq).await?;
    }
    Ok(())
}

/// The new name, and who reads from now on. Whoever never left reads from the first entry; a time away stays closed.
pub async fn project_changed(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    const MISSING: Fault = Fault::Integrity("a change of a channel that is not there");
    let Changed { name, purpose, audience, members, .. } = fact.read()?;
    if name.is_some() || purpose.is_some() {
        let row = sql::view(ledger.tx(), fact.channel).await?.ok_or(MISSING)?;
        let opened = ledger.open_view(fact.patient, row.id, row.revision, &row.sealed).await?;
        let was: View = serde_json::from_slice(&opened).map_err(|_| Fault::Integrity("a view is not JSON"))?;
        let view = View { name: name.unwrap_or(was.name), purpose: purpose.or(was.purpose) };
        let row = sealed(ledger, fact, &view).await?;
        sql::set_view(ledger.change(), &row).await?;
    }
    let access = ledger.access(fact.patient).await?.ok_or(MISSING)?;
    let held = access.channels.get(&fact.channel).ok_or(MISSING)?;
    let audience = audience.unwrap_or(held.audience);
    if audience == held.audience && members.is_none() {
        return Ok(());
    }
    let before = reading(held);
    let after = model::readers(audience, members.as_deref(), &before, &access.members);
    ledger.set_channel(fact.patient, fact.channel, audience, held.archived).await?;
    for user in before.difference(&after) {
        ledger.end_reading(fact.patient, fact.channel, *user, fact.seq).await?;
    }
    for user in after.difference(&before) {
        let was_here = held.readers.contains_key(user) || ledger.was_member(fact.patient, *user).await?;
        let from = if was_here { fact.seq } else { 1 };
        ledger.begin_reading(fact.patient, fact.channel, *user, from).await?;
    }
    Ok(())
}

/// Read-only for good.
pub async fn project_archived(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    const MISSING: Fault = Fault::Integrity("an archived channel that is not there");
    let access = ledger.access(fact.patient).await?.ok_or(MISSING)?;
    let audience = access.channels.get(&fact.channel).ok_or(MISSING)?.audience;
    waiting::archived(ledger, fact).await?;
    ledger.set_channel(fact.patient, fact.channel, audience, true).await
}
