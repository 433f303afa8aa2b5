//! Receipts: who was sent an entry, who read it, who answered it, and for whom it rang.
//! Does not know: sockets. Delivered means that the frame was written out to one of the person's sockets; the roll says so.
//! Invariant: a receipt never says more than happened. After a crash the last moments of delivery may be missing.

mod keep;
pub mod shapes;
mod spans;
pub mod sql;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

pub use keep::{KEEP, keep, settle, write};

use super::answers::answers;
use super::ask::Step;
use super::attention::{self, rings};
use super::message::Priority;
use super::pages::in_view;
use super::posting::POSTED;
use super::waiting;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::roll::delivered::Delivered;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::{self, Fact, ThingKind};
use crate::kernel::policy::sql::MemberRow;
use crate::kernel::policy::{self, Access, Right};
use crate::kernel::store::Tx;
use shapes::{Alert, ReceiptOf, Receipts, SaidAgain};
use spans::Page;

/// The leaf kinds that alert: words of people.
const ALERTING: [u8; 2] = [crate::kernel::crypto::chain::kind::MESSAGE, crate::kernel::crypto::chain::kind::NOTE];

/// What became of one entry with one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// Written out to one of their sockets.
    pub delivered_at: Option<Micros>,
    /// Their read position came to it or passed it.
    pub read_at: Option<Micros>,
}

/// Who was sent an entry and who read it, people who left since included. For what is shown to somebody it is cut to those who may be
/// named to them.
///
/// # Errors
/// The database's.
pub async fn of_entry(
    tx: &mut Tx,
    delivered: &Delivered,
    channel: ChannelId,
    seq: i64,
    readers: impl IntoIterator<Item = UserId>,
) -> Result<HashMap<UserId, Receipt>, Fault> {
    let (page, place) = spans::place(seq);
    let mut receipts: HashMap<UserId, Receipt> = HashMap::new();
    for (user, bytes) in sql::pages(tx, channel, page).await? {
        receipts.entry(user).or_default().delivered_at = Page::read(&bytes)?.at(place);
    }
    for user in readers {
        let held = receipts.entry(user).or_default();
        held.delivered_at = [held.delivered_at, delivered.at(user, channel, seq)].into_iter().flatten().min();
    }
    for (user, read_at) in sql::read_at(tx, channel, seq).await? {
        let held = receipts.entry(user).or_default();
        held.read_at = read_at;
        // Times of delivery are a little late: what is read was there.
        held.delivered_at = held.delivered_at.map(|at| read_at.map_or(at, |read| at.min(read)));
    }
    receipts.retain(|_, held| *held != Receipt::default());
    Ok(receipts)
}

/// Which entry is asked about.
async fn asked(cx: &mut Read, data: &Data) -> Result<(ChannelId, i64, Option<ThingId>), Stop> {
    let fields = Fields(data);
    let Some(id) = fields.id::<ThingId>("message")? else {
        if fields.get("channel").is_none() {
            return Err(Refusal::invalid("message", "Name a message, or `channel` and `seq`.").into());
        }
        return Ok((fields.required_id("channel")?, fields.required_integer("seq")?, None));
    };
    let thing = cx.thing(id).await?.filter(|thing| [ThingKind::Message, ThingKind::Note].contains(&thing.kind));
    let thing = thing.ok_or_else(Refusal::not_found)?;
    Ok((thing.channel, thing.seq, Some(id)))
}

/// `receipts`
pub async fn receipts(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let (channel, seq, message) = asked(cx, data).await?;
    let (_, access) = cx.permit_channel(Right::Read, channel).await?;
    if !in_view(&access, cx.subject(), channel, seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    let head = cx.head(channel).await?.filter(|head| seq <= head.seq).ok_or_else(Refusal::not_found)?;
    let (tx, vault) = cx.log();
    let facts = log::since(tx, vault, &head, seq - 1, seq, 1).await?;
    let fact = facts.first().ok_or(Fault::Integrity("an entry is missing in a channel"))?;
    cx.audit.seq = Some([seq, seq]);
    cx.audit.object = message;
    let answer = Receipts {
        message: ALERTING.contains(&fact.kind).then_some(ThingId(fact.id.0)),
        channel,
        seq,
        at: rfc3339(fact.at),
        by: fact.by,
        receipts: shown(cx, &access, fact).await?,
        escalation: said_again(cx, &access, fact).await?,
    };
    Ok(serde_json::to_value(answer).map_err(|_| Fault::Defect("receipts are not JSON"))?)
}

/// The receipts of everybody who could read the entry when it came and still may, and of those who came later and met it all the same.
async fn shown(cx: &mut Read, access: &Access, fact: &Fact) -> Result<Vec<ReceiptOf>, Fault> {
    let (channel, seq, now) = (fact.channel, fact.seq, cx.now());
    let readers = cx.readers(access, channel);
    let users: Vec<UserId> =
        readers.iter().filter(|reader| in_view(access, reader, channel, seq, now)).map(|reader| reader.user).collect();
    let shared = cx.shared().clone();
    let held = of_entry(cx.tx(), &shared.roll.delivered, channel, seq, users.iter().copied()).await?;
    let rows = policy::sql::member_rows(cx.tx(), access.patient).await?;
    let priority = priority(fact)?;
    let hearing = attention::hearing(cx.tx(), channel, &users, fact.at).await?;
    let answered = answers(cx.tx(), ThingId(fact.id.0)).await?;
    let mut shown = Vec::with_capacity(users.len());
    for user in users {
        let receipt = held.get(&user).copied().unwrap_or_default();
        let there = was_there(&rows, user, fact.at);
        if !there && receipt == Receipt::default() {
            continue;
        }
        let rang = match (priority, hearing.get(&user)) {
            (Some(priority), Some(hearing)) if there && user != fact.by => Some(rings(*hearing, priority)),
            _ => None,
        };
        // An answer is an entry of its own, which the caller may not be allowed to read.
        let answer = answered.iter().find(|answer| answer.user == user);
        let answer = answer.filter(|answer| in_view(access, cx.subject(), channel, answer.seq, now));
        let (acknowledged, checked_back) = match answer {
            Some(answer) if answer.step == Step::Acknowledged => (Some(answer.at), None),
            Some(answer) => (None, Some(answer.at)),
            None => (None, None),
        };
        let one = ReceiptOf {
            user,
            delivered_at: receipt.delivered_at.map(rfc3339),
            read_at: receipt.read_at.map(rfc3339),
            alert: rang.map(|rang| if rang { Alert::Rang } else { Alert::Quiet }),
            acknowledged_at: acknowledged.map(rfc3339),
            checked_back_at: checked_back.map(rfc3339),
            confirmed_at: answer.and_then(|answer| answer.confirmed_at).map(rfc3339),
        };
        shown.push(one);
    }
    Ok(shown)
}

/// Each time that a message was said again, of the entries the caller may read.
async fn said_again(cx: &mut Read, access: &Access, fact: &Fact) -> Result<Vec<SaidAgain>, Fault> {
    if &*fact.event != POSTED {
        return Ok(Vec::new());
    }
    let steps = waiting::sql::steps(cx.tx(), ThingId(fact.id.0)).await?;
    let (subject, now) = (cx.subject(), cx.now());
    let seen = steps.into_iter().filter(|step| in_view(access, subject, fact.channel, step.seq, now));
    let said = seen.map(|row| {
        let to = waiting::sql::people(&row.people)?;
        Ok(SaidAgain { seq: row.seq, at: rfc3339(row.at), step: row.step, to })
    });
    said.collect()
}

/// Whether somebody stood at the patient at `at`.
fn was_there(rows: &[MemberRow], user: UserId, at: Micros) -> bool {
    rows.iter().any(|row| row.member == user && row.since <= at && row.ended.is_none_or(|ended| at <= ended))
}

/// As much of a message as its alert needs.
#[derive(Deserialize)]
struct Urgency {
    priority: Option<Priority>,
}

/// How urgent an entry is; none for what alerts nobody, and where it is not to be read any more.
fn priority(fact: &Fact) -> Result<Option<Priority>, Fault> {
    if fact.withheld || !ALERTING.contains(&fact.kind) {
        return Ok(None);
    }
    let said = if &*fact.event == POSTED { fact.read::<Urgency>()?.priority } else { None };
    Ok(Some(said.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
