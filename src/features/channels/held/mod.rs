//! Messages that wait for the next check-in instead of interrupting: kept sealed outside the record, posted when it opens.
//! Does not know: schedules. Whoever keeps one says until when a channel holds back, and lets go of what waits.
//! Invariant: a held message is seen by its author alone; what waits no more has left no content here.

pub mod sql;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::message::Posted;
use super::posting;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::Time;
use crate::kernel::engine::{Data, Ledger, Read, Reply, Write};
use crate::kernel::policy::{self, Object, Permit, Right};
use sql::HeldRow;

/// Messages that wait in one channel: all of them are posted in one transaction.
const HELD_MAX: i64 = 200;

const WAITS: i16 = 0;
const WAS_POSTED: i16 = 1;
const DROPPED: i16 = 2;
const WITHDRAWN: i16 = 3;

/// What a message waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The next check-in of its channel.
    Checkin,
}

impl Hold {
    /// Reads `hold`.
    ///
    /// # Errors
    /// `invalid` for another word.
    pub fn parse(fields: Fields<'_>) -> Result<Option<Self>, Refusal> {
        fields.word("hold", |text| (text == "checkin").then_some(Self::Checkin), "checkin")
    }
}

/// Asks for one's messages that wait.
#[derive(JsonSchema)]
pub struct AskHeld {
    /// Where.
    pub channel: ChannelId,
}

/// A message of one's own that waits.
#[derive(Serialize, JsonSchema)]
pub struct HeldMessage {
    /// When it was written.
    #[schemars(with = "Time")]
    pub at: String,
    /// When the next check-in opens, as was known then.
    #[schemars(with = "Time")]
    pub until: String,
    /// What will be posted.
    #[serde(flatten)]
    pub message: Posted,
}

/// The caller's messages that wait, in the order they were written.
#[derive(Serialize, JsonSchema)]
pub struct HeldList {
    /// Each of them.
    pub held: Vec<HeldMessage>,
}

/// Takes back a message of one's own that waits.
#[derive(JsonSchema)]
pub struct Unhold {
    /// Which.
    pub message: ThingId,
}

/// It waits no more, and was seen by nobody.
#[derive(Serialize, JsonSchema)]
pub struct Unheld {
    /// The message.
    pub id: ThingId,
    /// Where it waited.
    pub channel: ChannelId,
}

/// What the schedule of a channel says of held messages. Called from `project`.
///
/// # Errors
/// The database's.
pub async fn hold_until(ledger: &mut Ledger, channel: ChannelId, until: Option<Micros>) -> Result<(), Fault> {
    Ok(sql::set_until(ledger.change(), channel, until).await?)
}

fn answer(id: ThingId, channel: ChannelId, until: Micros) -> Data {
    let mut answer = Data::new();
    answer.insert("id".into(), id.to_string().into());
    answer.insert("held".into(), true.into());
    answer.insert("channel".into(), channel.to_string().into());
    answer.insert("until".into(), rfc3339(until).into());
    answer
}

/// The answer of a command that was kept before under the same key.
pub(super) async fn repeated(cx: &mut Write<'_>, channel: ChannelId) -> Result<Option<Reply>, Stop> {
    let Some((key, _, _)) = cx.key() else { return Ok(None) };
    let author = cx.subject().user;
    let Some(kept) = sql::made_by(cx.ledger().tx(), author, key, channel).await? else { return Ok(None) };
    cx.demand_same(&kept.mac, u32::try_from(kept.mac_version).unwrap_or_default())?;
    let mut answer = answer(kept.id, channel, kept.until);
    answer.insert("repeat".into(), true.into());
    Ok(Some(Reply::Repeated(answer)))
}

/// Keeps what was decided until the next check-in.
pub(super) async fn keep(cx: &mut Write<'_>, permit: &Permit, posted: &Posted) -> Result<Reply, Stop> {
    let (channel, patient, id) = (permit.channel(), permit.patient(), posted.id);
    let until = sql::until(cx.ledger().tx(), channel).await?;
    let until = until.ok_or_else(|| Refusal::invalid("hold", "This channel has no check-in that is to come."))?;
    let (last, waiting) = sql::places(cx.ledger().tx(), channel).await?;
    if waiting >= HELD_MAX {
        return Err(Refusal::conflict("As many messages wait for the next check-in as can.").field("hold").into());
    }
    let body = serde_json::to_vec(posted).map_err(|_| Fault::Defect("a body is not JSON"))?;
    let sealed = cx.ledger().seal_view(patient, id.0, 0, &body).await?;
    let (author, at) = (permit.actor(), cx.now());
    let row = HeldRow { id, channel, patient, author, at, until, state: WAITS, sealed: Some(sealed) };
    let key = cx.key().map(|(key, mac, version)| (key, mac, i64::from(version)));
    cx.about(id);
    sql::add(cx.ledger().change(), &row, last + 1, key).await?;
    Ok(Reply::Plain(answer(id, channel, until)))
}

/// `message.held`
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let channel: ChannelId = Fields(data).required_id("channel")?;
    cx.permit_channel(Right::Read, channel).await?;
    let own = cx.subject().user;
    let mut held = Vec::new();
    for row in sql::waiting(cx.tx(), channel).await?.into_iter().filter(|row| row.author == own) {
        let sealed = row.sealed.as_deref().ok_or(WITHOUT_CONTENT)?;
        let message = body(&cx.open_view(row.patient, row.id.0, 0, sealed).await?)?;
        held.push(HeldMessage { at: rfc3339(row.at), until: rfc3339(row.until), message });
    }
    serde_json::to_value(HeldList { held }).map_err(|_| Fault::Defect("an answer is not JSON").into())
}

const WITHOUT_CONTENT: Fault = Fault::Integrity("a message that waits has no content");

fn body(opened: &[u8]) -> Result<Posted, Fault> {
    serde_json::from_slice(opened).map_err(|_| Fault::Integrity("a message that waits cannot be read"))
}

/// `message.unhold`: once it is withdrawn, a repeat is answered alike.
pub(super) async fn withdraw(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let id: ThingId = Fields(data).required_id("message")?;
    let own = cx.subject().user;
    let row = sql::get(cx.ledger().tx(), id).await?;
    let row = row.filter(|row| row.author == own && [WAITS, WITHDRAWN].contains(&row.state));
    let row = row.ok_or_else(Refusal::not_found)?;
    cx.permit_channel(Right::Read, row.channel).await?;
    cx.about(id);
    if row.state == WAITS {
        sql::end(cx.ledger().change(), id, WITHDRAWN).await?;
    }
    let mut answer = Data::new();
    answer.insert("id".into(), id.to_string().into());
    answer.insert("channel".into(), row.channel.to_string().into());
    Ok(Reply::Plain(answer))
}

/// What waits in a channel: what can be posted now, and what cannot any more.
pub struct Held {
    channel: ChannelId,
    ready: Vec<(UserId, ItemId, Posted)>,
    lost: Vec<ThingId>,
}

impl Held {
    /// How many are dropped: their author may not post here any more, or not about that item.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.lost.len()
    }
}

/// Looks at what waits in a channel. Writes nothing.
///
/// # Errors
/// The database's, or one does not open.
pub async fn held_in(cx: &mut Write<'_>, channel: ChannelId) -> Result<Held, Stop> {
    let mut held = Held { channel, ready: Vec::new(), lost: Vec::new() };
    for row in sql::waiting(cx.ledger().tx(), channel).await? {
        match ready(cx, &row).await {
            Ok((item, posted)) => held.ready.push((row.author, item, posted)),
            Err(Stop::Refused(_)) => held.lost.push(row.id),
            Err(failed) => return Err(failed),
        }
    }
    Ok(held)
}

/// What becomes of a message that waited; refused if its author could not post it now. That its item was closed meanwhile is no hindrance.
async fn ready(cx: &mut Write<'_>, row: &HeldRow) -> Result<(ItemId, Posted), Stop> {
    let (channel, now) = (row.channel, cx.now());
    let access = cx.ledger().access(row.patient).await?.ok_or_else(Refusal::not_found)?;
    let person = cx.ledger().shared().book.person(row.author).filter(|person| person.active);
    let author = person.ok_or_else(Refusal::not_found)?.subject(row.author);
    let permit = policy::decide(&author, Right::Post, Object::Channel(Some((&access, channel))), now)?;
    let sealed = row.sealed.as_deref().ok_or(WITHOUT_CONTENT)?;
    let mut posted = body(&cx.ledger().open_view(row.patient, row.id.0, 0, sealed).await?)?;
    let item = cx.link_even_closed(&permit, Some(posted.item)).await?.item();
    let held = access.channels.get(&channel).ok_or_else(Refusal::not_found)?;
    posted.mentions.retain(|user| held.readable_by(*user).is_some() && access.member(*user, now).is_some());
    posted.held_since = Some(rfc3339(row.at));
    Ok((item, posted))
}

/// Posts what can be posted, each by its author, in the order they were written.
///
/// # Errors
/// The database's.
pub async fn release_held(cx: &mut Write<'_>, held: Held) -> Result<(), Stop> {
    let Held { channel, ready, lost } = held;
    for (author, item, posted) in ready {
        posting::publish(cx, author, channel, item, &posted, &[]).await?;
        sql::end(cx.ledger().change(), posted.id, WAS_POSTED).await?;
    }
    for id in lost {
        sql::end(cx.ledger().change(), id, DROPPED).await?;
    }
    Ok(())
}

/// Drops all that waits in a channel where nothing can be posted any more.
///
/// # Errors
/// The database's.
pub async fn drop_held(cx: &mut Write<'_>, channel: ChannelId) -> Result<(), Stop> {
    for row in sql::waiting(cx.ledger().tx(), channel).await? {
        sql::end(cx.ledger().change(), row.id, DROPPED).await?;
    }
    Ok(())
}
