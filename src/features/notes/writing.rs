//! The ops that write notes: documenting at once, by mail or after a marker; dismissing, confirming, disputing, adding; and reminders.
//! Invariant: a note in a part of the channel the caller may not read is missing for them.

use uuid::Uuid;

use super::model::life::{self, Addend, Confirmed, Dismissed, Disputed, Open, Reminded, State, Step, Verdict};
use super::model::{FromMail, Log, Logged};
use super::project::Sequel;
use super::{ADDENDED, CONFIRMED, DISMISSED, DISPUTED, LOGGED, OPENED, REMINDED, sql};
use crate::features::channels::in_view;
use crate::features::files;
use crate::features::tasks::{self, Origin};
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Link, Nudge, Reply, Waiting, Write, nudge};
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{Holder, Permit, Right};

/// The op the server runs when a marker has waited long enough.
pub const REMIND: &str = "note.remind";

/// What an id names, if it is a note the caller may read.
async fn readable(cx: &mut Write<'_>, id: ThingId) -> Result<Option<Thing>, Stop> {
    let Some(thing) = cx.ledger().thing(id).await?.filter(|thing| thing.kind == ThingKind::Note) else {
        return Ok(None);
    };
    let Some(access) = cx.ledger().access(thing.patient).await? else { return Ok(None) };
    Ok(in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()).then_some(thing))
}

fn state(thing: &Thing) -> Result<State, Fault> {
    State::from_number(thing.state).ok_or(Fault::Integrity("a note in an unknown state"))
}

fn item(thing: &Thing) -> Result<ItemId, Fault> {
    thing.item.ok_or(Fault::Integrity("a note without a plan item"))
}

/// `note.open`
pub async fn open(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let remind_minutes = cx.ledger().shared().config.notes.remind_minutes;
    let open = Open::parse(data)?;
    let channel = open.channel;
    let permit = cx.permit_channel(Right::Document, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let item = cx.link(&permit, open.item).await?.item();
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let (id, now) = (ThingId(cx.new_id()), cx.now());
    let opened = open.decide(id, item, remind_minutes, |user| access.member(user, now).is_some())?;
    // The note's own id is kept for the entry that documents it: that one is exported under it.
    let entry: Uuid = cx.new_id();
    cx.record(channel, OPENED, kind::NOTE_LIFE, Some(item), entry, &opened).await?;
    cx.about(id);
    Ok(Reply::Recorded)
}

/// `note.log`
pub async fn log(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let shared = cx.ledger().shared().clone();
    let mut log = Log::parse(data, shared.config.limits.text_chars)?;
    let channel = log.channel;
    let permit = cx.permit_channel(Right::Document, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let marker = match log.note {
        None => None,
        Some(id) => {
            let found = readable(cx, id).await?.filter(|thing| thing.channel == channel);
            let thing = found.ok_or_else(|| Refusal::not_found().field("note"))?;
            life::take(state(&thing)?, Step::Document)?;
            Some(thing)
        }
    };
    let about = log.item.or_else(|| marker.as_ref().and_then(|thing| thing.item));
    let link = cx.link(&permit, about).await?;
    let item = link.item();
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let id = marker.map_or_else(|| ThingId(cx.new_id()), |thing| thing.id);
    let now = cx.now();
    let member = |user| access.member(user, now).is_some();
    let new = std::mem::take(&mut log.tasks);
    let mut logged = log.decide(id, item, now, shared.config.notes.late_after_minutes, member)?;
    let mut made = Vec::with_capacity(new.len());
    for task in new {
        made.push(tasks::prepare(cx, &permit, link, task, Origin::Note(id)).await?);
    }
    logged.tasks = made.iter().map(tasks::Ready::id).collect();
    let taken = files::take(cx, &permit, &logged.files).await?;
    cx.record_with(channel, LOGGED, kind::NOTE, Some(item), id.0, &logged, &taken.commitments).await?;
    for task in made {
        tasks::record(cx, task).await?;
    }
    Ok(Reply::Recorded)
}

/// Documents a mail by whoever runs the command, who may document in the channel of `permit`. Whoever calls has checked the key, and has
/// recorded nothing before.
///
/// # Errors
/// `invalid`, field `with` or `text`, or the database's.
pub async fn log_from_mail(cx: &mut Write<'_>, permit: &Permit, link: Link, mail: FromMail) -> Result<Fact, Stop> {
    let shared = cx.ledger().shared().clone();
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let (id, now) = (ThingId(cx.new_id()), cx.now());
    let member = |user| access.member(user, now).is_some();
    let (late_after, chars_max) = (shared.config.notes.late_after_minutes, shared.config.limits.text_chars);
    let logged = mail.decide(id, link.item(), now, late_after, chars_max, member)?;
    let taken = files::take(cx, permit, &logged.files).await?;
    cx.record_with(permit.channel(), LOGGED, kind::NOTE, Some(link.item()), id.0, &logged, &taken.commitments).await
}

/// A note a command names. `None` in the first place is the answer of a repeat.
enum Found {
    Repeated(Reply),
    Note(Thing, State),
}

/// Finds the note a command names: the caller may read it and holds `right`.
async fn find(cx: &mut Write<'_>, id: ThingId, right: fn(UserId) -> Right) -> Result<Found, Stop> {
    let thing = readable(cx, id).await?.ok_or_else(Refusal::not_found)?;
    cx.permit_channel(right(thing.author), thing.channel).await?;
    cx.about(id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Found::Repeated(reply));
    }
    let state = state(&thing)?;
    Ok(Found::Note(thing, state))
}

/// `note.dismiss`
pub async fn dismiss(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (thing, state) = match find(cx, fields.required_id("note")?, Right::Retract).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Note(thing, state) => (thing, state),
    };
    let reason = fields.reason()?;
    life::take(state, Step::Dismiss)?;
    let id: Uuid = cx.new_id();
    let body = Dismissed { id: EntryId(id), note: thing.id, reason };
    cx.record(thing.channel, DISMISSED, kind::NOTE_LIFE, Some(item(&thing)?), id, &body).await?;
    Ok(Reply::Recorded)
}

/// `note.addend`
pub async fn addend(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let addend = Addend::parse(data, chars_max)?;
    let (thing, state) = match find(cx, addend.note, |_| Right::Document).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Note(thing, state) => (thing, state),
    };
    life::take(state, Step::Addend)?;
    let id: Uuid = cx.new_id();
    let body = addend.decide(EntryId(id));
    cx.record(thing.channel, ADDENDED, kind::NOTE_LIFE, Some(item(&thing)?), id, &body).await?;
    Ok(Reply::Recorded)
}

/// Who documented a note, and whether the caller took part in what it says; none if the documentation is out of the caller's view.
async fn witnessed(cx: &mut Write<'_>, thing: &Thing) -> Result<Option<(UserId, bool)>, Stop> {
    let marker = sql::marker(cx.ledger().tx(), thing.id).await?;
    let (seq, author) = match marker {
        None => (thing.seq, thing.author),
        Some(row) => match (row.logged, row.author) {
            (Some(seq), Some(author)) => (seq, author),
            _ => return Err(Fault::Integrity("a documented note without its documentation").into()),
        },
    };
    let Some(access) = cx.ledger().access(thing.patient).await? else { return Ok(None) };
    if !in_view(&access, cx.subject(), thing.channel, seq, cx.now()) {
        return Ok(None);
    }
    let user = cx.subject().user;
    let logged: Logged = cx.entry(thing.channel, seq).await?.read()?;
    Ok(Some((author, logged.with.iter().any(|one| one.user == Some(user)))))
}

/// The note a verdict is about, with the state it leads to; or the answer of a repeat.
async fn judged(cx: &mut Write<'_>, data: &Data, verdict: Verdict) -> Result<Result<(Thing, State), Reply>, Stop> {
    let id: ThingId = Fields(data).required_id("note")?;
    let thing = readable(cx, id).await?.ok_or_else(Refusal::not_found)?;
    let right = match state(&thing)? {
        // Before it is documented nobody is named as having taken part.
        State::Open | State::Dismissed => Right::Document,
        State::Documented | State::Confirmed | State::Disputed => {
            // Who may not write here at all is told so first.
            cx.permit_channel(Right::Read, thing.channel).await?;
            let (author, took_part) = witnessed(cx, &thing).await?.ok_or_else(Refusal::not_found)?;
            Right::Witness { author, took_part }
        }
    };
    let permit = cx.permit_channel(right, thing.channel).await?;
    cx.about(id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Err(reply));
    }
    let rows = sql::sequels(cx.ledger().tx(), id).await?;
    let said: Vec<(UserId, Verdict)> =
        rows.iter().filter_map(|row| Some((row.person, Sequel::from_number(row.kind)?.verdict()?))).collect();
    let to = life::judge(state(&thing)?, &said, permit.actor(), verdict)?;
    Ok(Ok((thing, to)))
}

/// `note.confirm`
pub async fn confirm(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let (thing, state) = match judged(cx, data, Verdict::Confirmed).await? {
        Err(reply) => return Ok(reply),
        Ok(found) => found,
    };
    let id: Uuid = cx.new_id();
    let body = Confirmed { id: EntryId(id), note: thing.id, state };
    cx.record(thing.channel, CONFIRMED, kind::NOTE_LIFE, Some(item(&thing)?), id, &body).await?;
    Ok(Reply::Recorded)
}

/// `note.dispute`
pub async fn dispute(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let (thing, state) = match judged(cx, data, Verdict::Disputed).await? {
        Err(reply) => return Ok(reply),
        Ok(found) => found,
    };
    let reason = Fields(data).reason()?;
    let id: Uuid = cx.new_id();
    let body = Disputed { id: EntryId(id), note: thing.id, reason, state };
    cx.record(thing.channel, DISPUTED, kind::NOTE_LIFE, Some(item(&thing)?), id, &body).await?;
    Ok(Reply::Recorded)
}

/// `note.remind`: the marker waits still. Whoever opened it is told, or who leads where they left the team.
pub async fn remind(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let note = ThingId(alarm.thing);
    let thing = cx.ledger().thing(note).await?.ok_or(Fault::Integrity("an alarm of a note that is not there"))?;
    let access = cx.ledger().access(thing.patient).await?.ok_or(Fault::Integrity("a note of no patient"))?;
    let channel: ChannelId = thing.channel;
    let stands = state(&thing)? == State::Open && access.channels.get(&channel).is_some_and(|held| !held.archived);
    if !stands {
        // Nobody can document it any more in an archived channel.
        cx.alarm_done(&alarm).await?;
        return Ok(Reply::Plain(Data::new()));
    }
    let (step, first) = reminders(cx, &thing).await?;
    let to = access.reached(Holder::User(thing.author), cx.now());
    cx.repeated(channel).await?;
    cx.alarm_done(&alarm).await?;
    let id: Uuid = cx.new_id();
    let remind_minutes = life::pause_minutes(first, step);
    let body = Reminded { id: EntryId(id), note, to: to.clone(), step, remind_minutes };
    cx.record(channel, REMINDED, kind::NOTE_LIFE, Some(item(&thing)?), id, &body).await?;
    let nudge = Nudge::of(thing.patient, Waiting::Note(note)).within(channel).because("note");
    for user in to {
        cx.nudge(user, nudge::REMINDER, &nudge).await?;
    }
    Ok(Reply::Recorded)
}

/// The number of the reminder that is due, and after how many minutes the first one came.
async fn reminders(cx: &mut Write<'_>, thing: &Thing) -> Result<(u32, u32), Stop> {
    let rows = sql::sequels(cx.ledger().tx(), thing.id).await?;
    let before = rows.iter().filter(|row| Sequel::from_number(row.kind) == Some(Sequel::Reminded)).count();
    let opened: life::Opened = cx.entry(thing.channel, thing.seq).await?.read()?;
    Ok((u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1), opened.remind_minutes))
}
