//! Messages that wait for an answer: whom they ask, how they are said again when nobody answers, and how that ends.
//! Does not know: when and to whom, beyond what [`super::escalation`] says.
//! Invariant: what waits, and when it is looked at again, is projected from the entries; the deadline is the one in force when it was
//! posted.

mod listed;
pub mod shapes;
pub mod sql;

use std::sync::Arc;

use uuid::Uuid;

pub use listed::{Awaited, awaited};
pub use sql::OpenAsk;

use self::shapes::{Escalated, Reminded, Settled};
use self::sql::{AskRow, StepRow, list, people};
use super::answers::answers;
use super::attention::{self, rings};
use super::escalation::{self, Act, LEAD, RESPONSIBLE, Reach};
use super::message::{Posted, Priority, Relinked};
use super::posting::{Found, RELINKED, find};
use crate::features::care_plan::{self, Claim, Kind, Weight, Why};
use crate::kernel::base::config::Asks;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, EntryId, Fault, ItemId, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::nudge::{self, Nudge, Waiting};
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{Access, Holder, Responsibility, Right};
use crate::kernel::store::Tx;

/// Those asked were asked again.
pub const REMINDED: &str = "message.reminded";
/// Somebody else was asked.
pub const ESCALATED: &str = "message.escalated";
/// No answer is awaited any more.
pub const SETTLED: &str = "message.settled";
/// The internal op of a deadline.
pub const DUE: &str = "ask.due";
/// Why an ask ends by itself: whoever had not answered has left.
const ANSWERED: &str = "Everybody who was asked and is still here has answered.";
/// Why an ask ends by itself: it has nobody to ask.
const NOBODY: &str = "Nobody is left who could answer.";

/// Messages that are linked to one of these items and wait for an answer.
///
/// # Errors
/// The database's.
pub async fn open_asks(tx: &mut Tx, items: &[ItemId]) -> sqlx::Result<Vec<OpenAsk>> {
    if items.is_empty() { Ok(Vec::new()) } else { sql::open(tx, items).await }
}

/// A message that waits for an answer; nothing where none is awaited.
///
/// # Errors
/// The database's.
pub async fn open_ask(tx: &mut Tx, message: ThingId) -> sqlx::Result<Option<OpenAsk>> {
    let row = sql::get(tx, message).await?.filter(|row| row.ended.is_none());
    Ok(row.map(|AskRow { message, channel, seq, item, item_version, author, .. }| OpenAsk {
        message,
        channel,
        seq,
        item,
        item_version,
        author,
    }))
}

/// Links a message that waits to `item`, or to the one it is linked to, as that reads now. Nothing is refused any more.
///
/// # Errors
/// The database's.
pub async fn relink_ask(cx: &mut Write<'_>, ask: OpenAsk, item: ItemId, reason: String) -> Result<(), Stop> {
    let id: Uuid = cx.new_id();
    let body = Relinked { id: EntryId(id), message: ask.message, item, reason: Some(reason) };
    cx.record(ask.channel, RELINKED, kind::RELINK, Some(item), id, &body).await.map(drop)
}

/// No answer to a message that waits is awaited any more. Nothing is refused any more.
///
/// # Errors
/// The database's.
pub async fn settle_ask(cx: &mut Write<'_>, ask: OpenAsk, reason: String) -> Result<(), Stop> {
    let id: Uuid = cx.new_id();
    let settled = Settled { id: EntryId(id), message: ask.message, reason };
    cx.record(ask.channel, SETTLED, kind::ACKNOWLEDGEMENT, Some(ask.item), id, &settled).await.map(drop)
}

/// The record of a patient is closed: nobody can answer there any more, and nobody is asked again.
///
/// # Errors
/// The database's.
pub async fn end_asks(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    for row in sql::of_patient(ledger.tx(), fact.patient).await? {
        close(ledger, &row, fact.at).await?;
    }
    Ok(())
}

/// A channel is archived: the same.
pub(super) async fn archived(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    for row in sql::of_channel(ledger.tx(), fact.channel).await? {
        close(ledger, &row, fact.at).await?;
    }
    Ok(())
}

/// A message as it is posted: one that asks says in how many minutes an answer is awaited, so that its entry alone tells.
pub(super) fn timed(asks: &Asks, posted: Posted) -> Posted {
    let minutes = match posted.priority.unwrap_or_default() {
        Priority::Stat => asks.stat_minutes,
        Priority::Urgent => asks.urgent_minutes,
        Priority::Routine => asks.routine_minutes,
    };
    Posted { respond_minutes: posted.ask.map(|_| minutes), ..posted }
}

const fn weight(priority: Priority) -> Weight {
    match priority {
        Priority::Stat => Weight::Stat,
        Priority::Urgent => Weight::Urgent,
        Priority::Routine => Weight::Routine,
    }
}

impl AskRow {
    fn priority(&self) -> Result<Priority, Fault> {
        Priority::from_number(self.priority).ok_or(Fault::Integrity("an unknown priority"))
    }

    /// Whether somebody reads the channel at `at`.
    fn reads(&self, access: &Access, user: UserId, at: Micros) -> bool {
        let held = access.channels.get(&self.channel).is_some_and(|held| held.readable_by(user).is_some());
        held && access.member(user, at).is_some()
    }
}

async fn waiting(ledger: &mut Ledger, message: ThingId) -> Result<Option<AskRow>, Fault> {
    Ok(sql::get(ledger.tx(), message).await?.filter(|row| row.ended.is_none()))
}

async fn standing(ledger: &mut Ledger, row: &AskRow) -> Result<Arc<Access>, Fault> {
    ledger.access(row.patient).await?.ok_or(Fault::Integrity("an ask of nobody's record"))
}

/// A message asks those it mentions, or else all staff who read it.
pub(super) async fn begin(
    ledger: &mut Ledger,
    posted: &Fact,
    priority: Priority,
    minutes: u32,
    mentions: &[UserId],
) -> Result<(), Fault> {
    let item = posted.item.ok_or(Fault::Integrity("a message without a plan item"))?;
    let every = Micros::from(minutes) * MINUTE;
    let item_version = care_plan::version(ledger.tx(), item).await?.unwrap_or_default();
    let mut row = AskRow {
        message: posted.id.into(),
        patient: posted.patient,
        channel: posted.channel,
        seq: posted.seq,
        item,
        item_version,
        author: posted.by,
        priority: priority.number(),
        every,
        posted: posted.at,
        asked: String::new(),
        reached: list(&[]),
        rounds: 0,
        step: 0,
        ended: None,
    };
    let access = standing(ledger, &row).await?;
    let mut asked: Vec<UserId> = mentions.iter().copied().filter(|user| *user != posted.by).collect();
    if asked.is_empty() {
        let staff = access.members.iter().filter(|(user, member)| !member.family && **user != posted.by);
        asked = staff.map(|(user, _)| *user).filter(|user| row.reads(&access, *user, posted.at)).collect();
        asked.sort_unstable();
    }
    row.asked = list(&asked);
    sql::add(ledger.change(), &row).await?;
    let first = escalation::due(row.posted, every, 0, row.posted);
    ledger.set_alarm(row.message.0, DUE, row.patient, Some(first)).await
}

async fn close(ledger: &mut Ledger, row: &AskRow, at: Micros) -> Result<(), Fault> {
    sql::end(ledger.change(), row.message, at).await?;
    ledger.set_alarm(row.message.0, DUE, row.patient, None).await?;
    care_plan::release(ledger, row.message).await
}

/// The message is taken back, or settled.
pub(super) async fn end(ledger: &mut Ledger, fact: &Fact, message: ThingId) -> Result<(), Fault> {
    match waiting(ledger, message).await? {
        Some(row) => close(ledger, &row, fact.at).await,
        None => Ok(()),
    }
}

/// Somebody answered: it ends where they were reached by escalation, or were the last of those asked who are still there.
pub(super) async fn answered(ledger: &mut Ledger, fact: &Fact, message: ThingId) -> Result<(), Fault> {
    let Some(row) = waiting(ledger, message).await? else { return Ok(()) };
    let access = standing(ledger, &row).await?;
    let done: Vec<UserId> = answers(ledger.tx(), message).await?.into_iter().map(|answer| answer.user).collect();
    let asked = people(&row.asked)?;
    let missing = |user: &UserId| !done.contains(user) && row.reads(&access, *user, fact.at);
    if people(&row.reached)?.contains(&fact.by) || !asked.iter().any(missing) {
        close(ledger, &row, fact.at).await?;
    }
    Ok(())
}

/// The message is linked to another item.
pub(super) async fn relinked(ledger: &mut Ledger, message: ThingId, item: ItemId) -> Result<(), Fault> {
    let Some(mut row) = waiting(ledger, message).await? else { return Ok(()) };
    let version = care_plan::version(ledger.tx(), item).await?.unwrap_or_default();
    sql::set_item(ledger.change(), message, item, version).await?;
    row.item = item;
    claim(ledger, &row).await
}

/// What was escalated waits on its item for whoever it was escalated to.
async fn claim(ledger: &mut Ledger, row: &AskRow) -> Result<(), Fault> {
    if row.step < RESPONSIBLE {
        return Ok(());
    }
    let thing = ledger.thing(ThingId(row.item.0)).await?;
    let responsibility = if row.step >= LEAD { Responsibility::Lead } else { responsible(thing.as_ref()) };
    let claim = Claim {
        source: row.message,
        item: row.item,
        patient: row.patient,
        channel: row.channel,
        seq: row.seq,
        holder: Holder::of(responsibility),
        due: Some(row.posted.saturating_add(row.every)),
        weight: weight(row.priority()?),
        why: Why::Ask,
    };
    care_plan::claim(ledger, &claim).await
}

/// Who answers for an item.
fn responsible(item: Option<&Thing>) -> Responsibility {
    let barrier = item.is_some_and(|item| item.kind == ThingKind::PlanItem && item.state == Kind::Barrier.number());
    if barrier { Responsibility::Barriers } else { Responsibility::Plan }
}

async fn advance(ledger: &mut Ledger, fact: &Fact, message: ThingId, step: i64, to: &[UserId]) -> Result<(), Fault> {
    let Some(mut row) = waiting(ledger, message).await? else {
        return Err(Fault::Integrity("an ask that is over was said again"));
    };
    let kept = StepRow { message, seq: fact.seq, at: fact.at, step, people: list(to) };
    sql::add_step(ledger.change(), &kept).await?;
    if step > 0 {
        let mut reached = people(&row.reached)?;
        reached.extend(to.iter().copied().filter(|user| !reached.contains(user)).collect::<Vec<_>>());
        row.reached = list(&reached);
    }
    row.rounds += 1;
    row.step = row.step.max(step);
    sql::advance(ledger.change(), &row).await?;
    claim(ledger, &row).await?;
    let next = escalation::due(row.posted, row.every, row.rounds, fact.at);
    ledger.set_alarm(message.0, DUE, row.patient, Some(next)).await
}

/// Those asked were asked again.
pub async fn project_reminded(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Reminded { message, to, .. } = fact.read()?;
    advance(ledger, fact, message, 0, &to).await
}

/// Somebody else was asked.
pub async fn project_escalated(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Escalated { message, step, to, .. } = fact.read()?;
    advance(ledger, fact, message, step, &to).await
}

/// No answer is awaited any more.
pub async fn project_settled(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Settled { message, .. } = fact.read()?;
    end(ledger, fact, message).await
}

/// `message.settle`
pub async fn settle(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let standing = match find(cx, data, Right::Relink).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Message(_, _, standing) => standing,
    };
    let reason = Fields(data).reason()?;
    standing.stands()?;
    if standing.ask.is_none() {
        return Err(Refusal::new(Code::BadTransition).detail("This message does not ask for an answer.").into());
    }
    let Some(ask) = open_ask(cx.ledger().tx(), standing.message).await? else {
        return Err(Refusal::conflict("No answer to this message is awaited any more.").into());
    };
    settle_ask(cx, ask, reason).await?;
    Ok(Reply::Recorded)
}

/// Who could answer now.
async fn reach(ledger: &mut Ledger, row: &AskRow, access: &Access, now: Micros) -> Result<Reach, Fault> {
    let done: Vec<UserId> = answers(ledger.tx(), row.message).await?.into_iter().map(|answer| answer.user).collect();
    let asked = people(&row.asked)?;
    let item = ledger.thing(ThingId(row.item.0)).await?;
    let open = |users: Vec<UserId>| -> Vec<UserId> {
        let could = |user: &UserId| *user != row.author && !done.contains(user) && row.reads(access, *user, now);
        users.into_iter().filter(could).collect()
    };
    let answered = asked.iter().any(|user| done.contains(user));
    let missing = open(asked);
    Ok(Reach {
        answered: answered && missing.is_empty(),
        missing,
        responsible: open(access.holders(responsible(item.as_ref()), now)),
        lead: open(access.holders(Responsibility::Lead, now)),
    })
}

/// `ask.due`: nobody, or not everybody, has answered by the deadline.
pub async fn due(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let nothing = || Ok(Reply::Plain(Data::new()));
    let Some(alarm) = cx.alarm(data).await? else { return nothing() };
    let (message, now) = (ThingId(alarm.thing), cx.now());
    cx.about(message);
    let Some(row) = waiting(cx.ledger(), message).await? else {
        cx.alarm_done(&alarm).await?;
        return nothing();
    };
    let access = standing(cx.ledger(), &row).await?;
    let reach = reach(cx.ledger(), &row, &access, now).await?;
    let over = if reach.answered { ANSWERED } else { NOBODY };
    let act = escalation::next(row.rounds, row.step, reach);
    cx.repeated(row.channel).await?;
    if cx.ledger().shared().book.is_held(row.channel) {
        return Err(Refusal::new(Code::Busy).detail("This channel is held; it is tried again later.").into());
    }
    cx.alarm_done(&alarm).await?;
    match (act, open_ask(cx.ledger().tx(), message).await?) {
        (Some(act), _) => say(cx, &row, act).await?,
        (None, Some(ask)) => settle_ask(cx, ask, over.to_owned()).await?,
        (None, None) => (),
    }
    nothing()
}

async fn say(cx: &mut Write<'_>, row: &AskRow, act: Act) -> Result<(), Stop> {
    let (id, message): (Uuid, ThingId) = (cx.new_id(), row.message);
    let (event, to, why) = match act {
        Act::Remind(to) => {
            let body = Reminded { id: EntryId(id), message, to };
            cx.record(row.channel, REMINDED, kind::ACKNOWLEDGEMENT, Some(row.item), id, &body).await?;
            (nudge::REMINDER, body.to, Some("ask"))
        }
        Act::Escalate { step, to } => {
            let body = Escalated { id: EntryId(id), message, step, to };
            cx.record(row.channel, ESCALATED, kind::ACKNOWLEDGEMENT, Some(row.item), id, &body).await?;
            (nudge::ESCALATED, body.to, None)
        }
    };
    let (priority, now) = (row.priority()?, cx.now());
    let hearing = attention::hearing(cx.ledger().tx(), row.channel, &to, now).await?;
    for user in to {
        let rang = rings(hearing.get(&user).copied().unwrap_or_default(), priority);
        let told = Nudge::of(row.patient, Waiting::Message(message)).within(row.channel);
        let told = Nudge { why, quiet: (!rang).then_some(true), ..told };
        cx.nudge(user, event, &told).await?;
    }
    Ok(())
}
