//! Scheduling check-ins, opening and closing them at their time, and answering them.
//! Does not know: what is asked. Invariant: every time that counts stands in an entry, so that a rebuild asks no calendar.

use super::model::{Answer, Answered, Closed, Opened, Plan, Scheduled, Turn};
use super::sql::{self, AnswerRow, CheckinRow, ScheduleRow};
use super::views::standing;
use super::{ANSWERED, CLOSE, CLOSED, DUE, OPENED, SCHEDULED};
use crate::features::channels;
use crate::features::patients::Registered;
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{self, Access, Object, Right};

const NO_TIME: Fault = Fault::Integrity("a check-in says a time that is none");

/// The plan of the patient as a whole, which a check-in is about.
async fn whole(cx: &mut Write<'_>, access: &Access) -> Result<ItemId, Stop> {
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    let registered: Registered = cx.entry(plan, 1).await?.read()?;
    Ok(registered.items.whole)
}

/// Whether somebody may answer in a channel: staff who read it now.
fn is_asked(cx: &mut Write<'_>, access: &Access, channel: ChannelId, user: UserId) -> bool {
    let now = cx.now();
    let person = cx.ledger().shared().book.person(user).filter(|person| person.active);
    let object = Object::Channel(Some((access, channel)));
    person.is_some_and(|person| policy::decide(&person.subject(user), Right::Document, object, now).is_ok())
}

/// The staff who read a channel now.
fn asked(cx: &mut Write<'_>, access: &Access, channel: ChannelId) -> Vec<UserId> {
    let readers = access.channels.get(&channel).map(|held| held.readers.keys().copied().collect::<Vec<_>>());
    let mut asked = readers.unwrap_or_default();
    asked.retain(|user| is_asked(cx, access, channel, *user));
    asked.sort_unstable();
    asked
}

/// `checkin.schedule`
pub(super) async fn schedule(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let plan = Plan::parse(data)?;
    let channel = plan.channel;
    cx.permit_channel(Right::Document, channel).await?;
    let permit = cx.permit_channel(Right::ManageChannels, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let stands = sql::schedule(cx.ledger().tx(), channel).await?.is_some();
    let readers = asked(cx, &access, channel);
    let mut scheduled = plan.decide(EntryId(cx.new_id()), cx.now(), stands, |user| readers.contains(&user))?;
    let item = whole(cx, &access).await?;
    // What waits for a check-in that does not come is posted now.
    let held = match scheduled.schedule {
        Some(_) => None,
        None => Some(channels::held_in(cx, channel).await?),
    };
    scheduled.dropped = held.as_ref().map_or(0, channels::Held::dropped);
    cx.record(channel, SCHEDULED, kind::CHECK_IN, Some(item), scheduled.id.0, &scheduled).await?;
    if let Some(held) = held {
        channels::release_held(cx, held).await?;
    }
    Ok(Reply::Recorded)
}

/// What an alarm of a channel finds.
enum Place {
    /// Nothing can be written there any more.
    Over,
    Here(std::sync::Arc<Access>),
}

/// Where the server is to write by the clock. A record that is closed for now is tried again later.
async fn place(cx: &mut Write<'_>, patient: PatientId, channel: ChannelId) -> Result<Place, Stop> {
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    if access.channels.get(&channel).is_none_or(|held| held.archived) {
        return Ok(Place::Over);
    }
    cx.permit_channel(Right::Document, channel).await?;
    cx.repeated(channel).await?;
    Ok(Place::Here(access))
}

/// `checkin.due`: the newest time that has come opens a check-in; one that is still open ends with that.
pub(super) async fn due(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let channel = ChannelId(alarm.thing);
    let Place::Here(access) = place(cx, alarm.patient, channel).await? else {
        cx.alarm_done(&alarm).await?;
        channels::drop_held(cx, channel).await?;
        return Ok(Reply::Plain(Data::new()));
    };
    let row = sql::schedule(cx.ledger().tx(), channel).await?;
    let row = row.ok_or(Fault::Integrity("an alarm of a schedule that is not there"))?;
    let Scheduled { schedule, start, .. } = cx.entry(channel, row.seq).await?.read()?;
    let schedule = schedule.ok_or(Fault::Integrity("an alarm of a schedule that has ended"))?;
    let start = start.as_deref().and_then(|start| parse_rfc3339(start).ok()).ok_or(NO_TIME)?;
    let turn = Turn::of(&schedule.recurrence(start)?, alarm.at, cx.now());
    let mut expected = asked(cx, &access, channel);
    if let Some(members) = &schedule.members {
        expected.retain(|user| members.contains(user));
    }
    let item = whole(cx, &access).await?;
    let held = channels::held_in(cx, channel).await?;
    let before = newest_open(cx, channel).await?;
    cx.alarm_done(&alarm).await?;
    if let Some(before) = before {
        let closed = before.close(EntryId(cx.new_id()))?;
        cx.record(channel, CLOSED, kind::CHECK_IN, Some(item), closed.id.0, &closed).await?;
    }
    let id = ThingId(cx.new_id());
    let opened = turn.open(id, &schedule, expected, cx.now(), held.dropped());
    cx.record(channel, OPENED, kind::CHECK_IN, Some(item), id.0, &opened).await?;
    let reminder = reminder(alarm.patient, channel, id);
    for user in &opened.expected {
        cx.tell(*user, "reminder", &reminder).await?;
    }
    channels::release_held(cx, held).await?;
    Ok(Reply::Recorded)
}

fn reminder(patient: PatientId, channel: ChannelId, checkin: ThingId) -> Data {
    let mut fact = Data::new();
    fact.insert("checkin".into(), checkin.to_string().into());
    fact.insert("channel".into(), channel.to_string().into());
    fact.insert("patient".into(), patient.to_string().into());
    fact.insert("why".into(), "checkin".into());
    fact
}

async fn of_row(cx: &mut Write<'_>, row: &CheckinRow) -> Result<super::model::Standing, Stop> {
    let opened: Opened = cx.entry(row.channel, row.seq).await?.read()?;
    let answers = sql::answers(cx.ledger().tx(), row.id).await?;
    Ok(standing(row, &opened, &answers))
}

async fn newest_open(cx: &mut Write<'_>, channel: ChannelId) -> Result<Option<super::model::Standing>, Stop> {
    match sql::newest(cx.ledger().tx(), channel).await?.filter(|row| row.open) {
        Some(row) => Ok(Some(of_row(cx, &row).await?)),
        None => Ok(None),
    }
}

/// `checkin.close`: who has not answered by now stands in the record.
pub(super) async fn close(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
    let row = sql::get(cx.ledger().tx(), ThingId(alarm.thing)).await?;
    let row = row.ok_or(Fault::Integrity("an alarm of a check-in that is not there"))?;
    let Place::Here(access) = place(cx, row.patient, row.channel).await? else {
        cx.alarm_done(&alarm).await?;
        return Ok(Reply::Plain(Data::new()));
    };
    let closed = of_row(cx, &row).await?.close(EntryId(cx.new_id()))?;
    let item = whole(cx, &access).await?;
    cx.alarm_done(&alarm).await?;
    cx.record(row.channel, CLOSED, kind::CHECK_IN, Some(item), closed.id.0, &closed).await?;
    Ok(Reply::Recorded)
}

/// `checkin.answer`
pub(super) async fn answer(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let answer = Answer::parse(data, chars_max)?;
    let row = sql::get(cx.ledger().tx(), answer.checkin).await?.ok_or_else(Refusal::not_found)?;
    let access = cx.ledger().access(row.patient).await?.ok_or_else(Refusal::not_found)?;
    if !channels::in_view(&access, cx.subject(), row.channel, row.seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    let permit = cx.permit_channel(Right::Document, row.channel).await?;
    cx.about(row.id);
    if let Some(reply) = cx.repeated(row.channel).await? {
        return Ok(reply);
    }
    let standing = of_row(cx, &row).await?;
    standing.may_answer(permit.actor())?;
    let item = cx.link(&permit, answer.item).await?.item();
    let answered = standing.answer(EntryId(cx.new_id()), permit.actor(), item, answer)?;
    cx.record(row.channel, ANSWERED, kind::CHECK_IN, Some(item), answered.id.0, &answered).await?;
    Ok(Reply::Recorded)
}

fn instant(text: Option<&str>) -> Result<Option<Micros>, Fault> {
    text.map(|text| parse_rfc3339(text).map_err(|_| NO_TIME)).transpose()
}

async fn await_next(ledger: &mut Ledger, fact: &Fact, next: Option<Micros>) -> Result<(), Fault> {
    ledger.set_alarm(fact.channel.0, DUE, fact.patient, next).await?;
    channels::hold_until(ledger, fact.channel, next).await
}

/// The channel has a schedule, or none any more.
pub(super) async fn project_scheduled(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Scheduled { schedule, next, .. } = fact.read()?;
    let next_at = instant(next.as_deref())?;
    match schedule {
        Some(_) => {
            let row = ScheduleRow { channel: fact.channel, patient: fact.patient, seq: fact.seq, next_at };
            sql::put_schedule(ledger.change(), &row).await?;
        }
        None => sql::end_schedule(ledger.change(), fact.channel).await?,
    }
    await_next(ledger, fact, next_at).await
}

/// It can be answered until it closes; the schedule waits for its next time.
pub(super) async fn project_opened(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Opened { id, closes_at, next, .. } = fact.read()?;
    let row = CheckinRow { id, channel: fact.channel, patient: fact.patient, seq: fact.seq, open: true };
    sql::add(ledger.change(), &row).await?;
    ledger.set_alarm(id.0, CLOSE, fact.patient, instant(Some(&closes_at))?).await?;
    let next = instant(next.as_deref())?;
    sql::set_next(ledger.change(), fact.channel, next).await?;
    await_next(ledger, fact, next).await
}

/// Somebody has answered.
pub(super) async fn project_answered(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Answered { checkin, .. } = fact.read()?;
    let row = AnswerRow { person: fact.by, seq: fact.seq, at: fact.at };
    Ok(sql::add_answer(ledger.change(), checkin, &row).await?)
}

/// It cannot be answered any more.
pub(super) async fn project_closed(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Closed { checkin, .. } = fact.read()?;
    sql::end(ledger.change(), checkin).await?;
    ledger.set_alarm(checkin.0, CLOSE, fact.patient, None).await
}
